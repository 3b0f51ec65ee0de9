"""The HTML report: complete, self-contained, and safe with names of any kind."""

from __future__ import annotations

import base64
import re
from dataclasses import asdict, replace
from html.parser import HTMLParser
from typing import Any

import cv2
import numpy as np
import pytest

from napari_hovernet.app.evaluate import (
    OUTCOMES,
    BatchParams,
    BatchResult,
    ImageRow,
    evaluate_steps,
    group_rows,
)
from napari_hovernet.app.jobs import drive
from napari_hovernet.app.pages import DataAbout, render_html
from napari_hovernet.core.data.pairs import Pair
from napari_hovernet.core.params import SeparationParams

VOID = {"meta", "img", "br", "link"}


class Page(HTMLParser):
    """Every tag closed in order, its attributes and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def attributes(self, name: str) -> list[str]:
        return [str(a[name]) for _, a in self.tags if name in a]


@pytest.fixture
def result(pairs: tuple[Pair, ...], predictor: Any) -> BatchResult:
    return drive(evaluate_steps(pairs, predictor))


def test_the_page_holds_scores_base_rates_and_pictures(result: BatchResult) -> None:
    page = Page(render_html(result, DataAbout("some data", ("left out",))))
    aji, cc = result.overall.means["aji"], result.overall.means["cc_aji"]
    for text in ("some data", f"{aji.mean:.3f}", f"{aji.low:.3f} to {aji.high:.3f}",
                 f"connected components {cc.mean:.3f}", "zero map", "all foreground", "oracle",
                 "x0", "x1", "x2", "left out", "3 images healthy", "hardly more than a hint",
                 *OUTCOMES.values()):  # fmt: skip
        assert text in page.text, text
    pictures = page.attributes("src")
    assert len(pictures) == 6
    for source in pictures:
        data = base64.b64decode(source.removeprefix("data:image/png;base64,"))
        assert cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) is not None
    links = [link[1:] for link in page.attributes("href")]
    assert set(links) <= set(page.attributes("id"))


def test_it_loads_nothing_and_runs_nothing(result: BatchResult) -> None:
    html = render_html(result, DataAbout("data"))
    page = Page(html)
    assert not {tag for tag, _ in page.tags} & {"script", "link", "iframe", "object"}
    assert not re.search(r"https?://|url\(|@import|\son\w+=", html)


@pytest.mark.parametrize(
    "nasty", ["<script>alert(1)</script>", '"><img src=x>', "a&b <i>", "{{ 7*7 }}"]
)
def test_names_of_any_kind_are_text(result: BatchResult, nasty: str) -> None:
    row = replace(result.rows[0], name=nasty, source=nasty, notes=(nasty,))
    bad = replace(result.rows[1], error=nasty)
    rows = (row, bad, result.rows[2])
    pictures = {nasty: result.pictures["x0"]}
    spoiled = replace(result, rows=rows, groups=group_rows(rows), pictures=pictures)
    page = Page(render_html(spoiled, DataAbout(nasty, (nasty,))))
    assert page.text.count(nasty) >= 5
    assert not {"script", "object"} & {tag for tag, _ in page.tags}
    assert all(source.startswith("data:image/png;base64,") for source in page.attributes("src"))


def test_the_worst_image_is_the_first(result: BatchResult) -> None:
    worst = replace(result.rows[2], values={**result.rows[2].values, "aji": 0.01})
    rows = (*result.rows[:2], worst)
    page = Page(render_html(replace(result, rows=rows), DataAbout("d")))
    shown = re.findall(r"x\d", page.text[page.text.index("Images, worst first") :])
    assert shown[0] == "x2"


def test_failed_images_are_named_at_the_top_and_nothing_is_said_of_maps_without_maps() -> None:
    values = {"aji": 0.5, "n_true": 3.0, "n_pred": 2.0, **{f"n_{name}": 1.0 for name in OUTCOMES}}
    values["suspected_blobs"] = 0.0
    rows = (ImageRow("a", "", "", "a", "", values), ImageRow("b", "", "", "b", "", error="torn"))
    predictor = {"model": None, "predictions": "results"}
    result = BatchResult(rows, group_rows(rows), predictor, BatchParams(), {}, 1.0)
    text = Page(render_html(result, DataAbout("d"))).text
    assert "1 of 2 images failed" in text
    assert text.index("torn") < text.index("Means")
    assert "labels read from results" in text
    assert "Pictures" not in text
    assert "HV direction" not in text
    assert "nan" not in text.lower().replace("explanation", "")


def test_the_heading_names_model_and_separation_and_says_when_it_is_faulty(
    result: BatchResult,
) -> None:
    model = {"architecture": "hovernet", "mode": "fast", "sha256": "0123456789abcdef"}
    for preset, words in (("hover_net", ""), ("magnitude_peaks", "faulty on purpose"),
                          ("merging_relabel", "merged again (faulty on purpose)")):  # fmt: skip
        about = {"model": model, "separation": asdict(SeparationParams.preset(preset))}
        text = Page(render_html(replace(result, predictor=about), DataAbout("d"))).text
        heading = text[: text.index("Means")]
        assert "hovernet fast, SHA-256 0123456789ab," in heading
        assert words in heading
        assert ("faulty" in heading) is bool(words)


def test_the_file_stays_small(result: BatchResult) -> None:
    assert len(render_html(result, DataAbout("d"))) < 3_000_000
