"""Reports of an evaluation: the same numbers in every file, all or none; the page is safe."""

import base64
import csv
import errno
import io
import json
import math
import os
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
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
from napari_hovernet.app.pages import DataAbout, as_csv, as_json, render_html, write_reports
from napari_hovernet.core.data.pairs import Pair
from napari_hovernet.errors import OutputError

ABOUT = DataAbout("data/index.csv", ("u1", "u2"), {"split": "val", "found": 3})


@pytest.fixture
def result(pairs: tuple[Pair, ...], predictor: Any) -> BatchResult:
    pairs[2].image.unlink()
    return drive(evaluate_steps(pairs, predictor, BatchParams(n_pictures=2)))


def table(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_every_file_tells_the_same(tmp_path: Path, result: BatchResult) -> None:
    files = write_reports(result, tmp_path / "new" / "out", ABOUT)
    assert sorted(os.listdir(tmp_path / "new" / "out")) == [
        "evaluation.csv", "evaluation.html", "evaluation.json",
    ]  # fmt: skip
    found = json.loads(files["json"].read_text("utf-8"))
    lines = table(files["csv"].read_text("utf-8"))
    assert found["schema_version"] == 1
    assert found["data"] == {
        "origin": "data/index.csv", "images": 3, "failed": 1, "unpaired": ["u1", "u2"],
        "split": "val", "found": 3,
    }  # fmt: skip
    assert [row["name"] for row in found["rows"]] == [line["name"] for line in lines]
    for row, line in zip(found["rows"][:2], lines, strict=False):
        assert row["split"] == line["split"] == "val"
        for key in ("n_true", "n_split", "aji", "cc_aji", "hv_mse", "magnitude_inside"):
            assert float(line[key]) == row[key], key
    assert "is not there" in found["rows"][2]["error"]
    assert "is not there" in lines[2]["error"]
    assert lines[2]["aji"] == ""
    overall = found["means"]["all"]
    mean = result.overall.means["aji"]
    assert overall["scores"]["aji"]["mean"] == pytest.approx(mean.mean, rel=1e-5)
    assert (overall["images"], overall["failed"]) == (2, 1)
    assert found["means"]["B"]["scores"]["aji"] == {"mean": None, "low": None, "high": None, "n": 0}
    assert "x0" in files["html"].read_text("utf-8")


def test_what_is_not_defined_is_empty_and_names_cannot_be_run(result: BatchResult) -> None:
    row = ImageRow("a", "", "", "a.png", "", {"aji": 0.5, "hv_mse": math.nan})
    (line,) = table(as_csv([row]))
    assert (line["aji"], line["hv_mse"], line["mpp"]) == ("0.5", "", "")
    json.dumps(as_json(result, ABOUT), allow_nan=False)
    row = ImageRow("=cmd()", "+s", "", "x.png", "", {}, notes=("=1", "b"), error="-2")
    (line,) = table(as_csv([row]))
    assert [line[key] for key in ("name", "source", "notes", "error")] == [
        "'=cmd()", "'+s", "'=1; b", "'-2",
    ]  # fmt: skip


@pytest.mark.parametrize("kind", [OSError, KeyboardInterrupt])
def test_an_error_or_ctrl_c_leaves_what_was_there(tmp_path, result, monkeypatch, kind) -> None:
    before = write_reports(result, tmp_path / "out", ABOUT)
    texts = {name: path.read_bytes() for name, path in before.items()}
    fsync, written = os.fsync, []

    def fails(handle: int) -> None:
        written.append(handle)
        if len(written) > 1:
            raise kind(errno.ENOSPC, "full") if kind is OSError else kind()
        fsync(handle)

    monkeypatch.setattr("napari_hovernet.core.io.files.os.fsync", fails)
    with pytest.raises(OutputError if kind is OSError else kind):
        write_reports(result, tmp_path / "out", ABOUT)
    assert {name: path.read_bytes() for name, path in before.items()} == texts
    assert len(os.listdir(tmp_path / "out")) == 3


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
def whole(pairs: tuple[Pair, ...], predictor: Any) -> BatchResult:
    return drive(evaluate_steps(pairs, predictor))


def test_the_page_holds_scores_base_rates_and_pictures_and_runs_nothing(whole) -> None:
    page = Page(render_html(whole, DataAbout("some data", ("left out",))))
    aji, cc = whole.overall.means["aji"], whole.overall.means["cc_aji"]
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
    html = render_html(whole, DataAbout("data"))
    page = Page(html)
    assert not {tag for tag, _ in page.tags} & {"script", "link", "iframe", "object"}
    assert not re.search(r"https?://|url\(|@import|\son\w+=", html)


@pytest.mark.parametrize(
    "nasty", ["<script>alert(1)</script>", '"><img src=x>', "a&b <i>", "{{ 7*7 }}"]
)
def test_names_of_any_kind_are_text(whole: BatchResult, nasty: str) -> None:
    row = replace(whole.rows[0], name=nasty, source=nasty, notes=(nasty,))
    bad = replace(whole.rows[1], error=nasty)
    rows = (row, bad, whole.rows[2])
    pictures = {nasty: whole.pictures["x0"]}
    spoiled = replace(whole, rows=rows, groups=group_rows(rows), pictures=pictures)
    page = Page(render_html(spoiled, DataAbout(nasty, (nasty,))))
    assert page.text.count(nasty) >= 5
    assert not {"script", "object"} & {tag for tag, _ in page.tags}
    assert all(source.startswith("data:image/png;base64,") for source in page.attributes("src"))


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
