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
from PIL import Image

from napari_hovernet.app.curves import ORANGE
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
from napari_hovernet.app.reports import charts_of, render_run, save_plot, shots_of, write_report
from napari_hovernet.app.watch import (
    EPOCH_COLUMNS,
    HEAD_COLUMNS,
    STEP_COLUMNS,
    RunView,
    RunWatch,
    Series,
    write_state,
)
from napari_hovernet.core.data.pairs import Pair
from napari_hovernet.core.params import DataParams, TrainConfig
from napari_hovernet.core.training.files import RunFolder
from napari_hovernet.errors import InputError, OutputError

from . import fake_training

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
    assert "is not there" in lines[2]["error"] and lines[2]["aji"] == ""
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
    assert page.text.count(nasty) >= 5 and not {"script", "object"} & {tag for tag, _ in page.tags}
    assert all(source.startswith("data:image/png;base64,") for source in page.attributes("src"))


def test_failed_images_are_named_at_the_top_and_nothing_is_said_of_maps_without_maps() -> None:
    values = {"aji": 0.5, "n_true": 3.0, "n_pred": 2.0, **{f"n_{name}": 1.0 for name in OUTCOMES}}
    values["suspected_blobs"] = 0.0
    rows = (ImageRow("a", "", "", "a", "", values), ImageRow("b", "", "", "b", "", error="torn"))
    predictor = {"model": None, "predictions": "results"}
    result = BatchResult(rows, group_rows(rows), predictor, BatchParams(), {}, 1.0)
    text = Page(render_html(result, DataAbout("d"))).text
    assert "1 of 2 images failed" in text and text.index("torn") < text.index("Means")
    assert "labels read from results" in text and "Pictures" not in text
    assert "HV direction" not in text and "nan" not in text.lower().replace("explanation", "")


@pytest.fixture
def view() -> RunView:
    steps = {name: np.linspace(0.1, 0.9, 40) for name in STEP_COLUMNS}
    steps["step"] = np.arange(1.0, 41.0)
    epochs = {name: np.linspace(0.2, 0.8, 5) for name in EPOCH_COLUMNS}
    epochs["epoch"] = np.arange(5.0)
    heads = {name: np.linspace(0.1, 0.3, 4) for name in HEAD_COLUMNS}
    heads["step"] = np.array([1.0, 10.0, 20.0, 30.0])
    heads["nt"] = np.zeros(4)
    return RunView(
        name="a", state="done", steps_per_epoch=10, steps=Series(steps), epochs=Series(epochs),
        heads=Series(heads),
    )  # fmt: skip


def test_the_curves_are_saved_with_what_is_fixed_in_view(view: RunView, tmp_path: Path) -> None:
    with Image.open(save_plot(view, tmp_path / "curves.png")) as stored:
        picture = np.asarray(stored.convert("RGB"))
    assert (abs(picture.astype(int) - ORANGE).max(-1) < 8).sum() > 100
    text = save_plot(view, tmp_path / "curves.svg").read_text("utf-8")
    for kind in charts_of(view):
        assert kind.title in text
    assert "nothing to draw yet" in save_plot(RunView(name="b"), tmp_path / "b.svg").read_text()
    with pytest.raises(InputError, match=r"does not end in \.png or \.svg"):
        save_plot(view, tmp_path / "curves.pdf")
    with pytest.raises(OutputError):
        save_plot(view, tmp_path / "no" / "curves.png")


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    made = RunFolder(tmp_path / "run <1>")
    made.write_config(TrainConfig(name="a", start="/models/m & n.tar", data=DataParams(("/d",))))
    events = [{"event": "start", "epochs": 6, "steps_per_epoch": 2, "train_images": 3,
               "val_images": 1, "parameters": 1234567, "notes": ["coverage <low>"]}]  # fmt: skip
    events += [{"event": "epoch", "epoch": e, "val": fake_training.val_fields(e, 0.02 + 0.1 * e),
                "train": {"total": 2.0}, "best": True, "seconds": 61.0,
                "remark": "go on" if e == 5 else ""}
               for e in range(7)]  # fmt: skip
    events += [{"event": "preview", "epoch": e, "path": f"preview/epoch_{e:04d}.npz"}
               for e in (0, 3, 5, 6)]  # fmt: skip
    made.events.write_text("".join(json.dumps({"v": 1, "t": 0.0, **e}) + "\n" for e in events))
    labels = np.zeros((40, 60), np.int32)
    labels[5:25, 5:25], labels[5:25, 25:45] = 1, 2
    (made.path / "preview").mkdir()
    image = np.full((40, 60, 3), 200, np.uint8)
    np.savez(made.path / "preview" / "image.npz", image=image, truth=labels)
    for epoch in (0, 3, 5, 6):
        found = (labels > 0).astype(np.int32) if epoch < 6 else labels
        np.savez(made.preview_of(epoch), hv=np.zeros((2, 40, 60), np.float16), labels=found,
                 np=np.zeros((40, 60), np.float16))  # fmt: skip
    write_state(made, "done")
    return made


def test_the_page_is_whole_loads_nothing_and_holds_every_score(folder: RunFolder) -> None:
    page = write_report(folder).read_text(encoding="utf-8")
    sources = [s for name in ("src", "href") for s in Page(page).attributes(name)]
    assert sources
    assert all(re.match(r"data:image/(png|svg\+xml);base64,", source) for source in sources)
    assert "<script" not in page and "default-src 'none'" in page
    assert "prefers-color-scheme: dark" in page
    page = render_run(RunWatch(folder).catch_up(), folder)
    assert "The best epoch: 6" in page and "connected components 0.250" in page
    assert "oracle 0.950" in page and "all foreground 0.500" in page
    assert page.count("<tr") == 1 + 7 and page.count("data:image/svg+xml") == 6
    assert "go on</b>" in page
    assert "napari-hovernet train --data /d --start &#39;/models/m &amp; n.tar&#39;" in page
    assert "run &lt;1&gt;" in page and "coverage &lt;low&gt;" in page
    assert "1,234,567 parameters" in page


def test_pictures_are_of_the_epochs_0_5_and_the_last_that_can_be_read(folder) -> None:
    shots = shots_of(RunWatch(folder).catch_up(), folder)
    assert [shot.epoch for shot in shots] == [0, 5, 6]
    counts = [(shot.n_true, shot.n_pred, shot.n_matched) for shot in shots]
    assert (counts, shots[-1].aji) == ([(2, 1, 0), (2, 1, 0), (2, 2, 2)], 1)
    page = render_run(RunWatch(folder).catch_up(), folder)
    titles = ["Before training", "Epoch 5", "Epoch 6"]
    assert re.findall(r"<figcaption><b>(.*?)</b>", page) == titles
    folder.preview_of(5).write_bytes(b"PK\x03\x04 cut off")
    np.savez(folder.preview_of(6), hv=np.array([{"no": "code"}], object), labels=np.zeros((2, 2)))
    view = RunWatch(folder).catch_up()
    assert [shot.epoch for shot in shots_of(view, folder)] == [0]
    (folder.path / "preview" / "image.npz").unlink()
    assert shots_of(view, folder) == ()
