"""The curves of a run, and its report: everything in one page that loads nothing."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from napari_hovernet.app.curves import ORANGE
from napari_hovernet.app.reports import (
    charts_of,
    render_run,
    save_plot,
    shots_of,
    write_report,
)
from napari_hovernet.app.watch import (
    EPOCH_COLUMNS,
    HEAD_COLUMNS,
    STEP_COLUMNS,
    RunView,
    RunWatch,
    Series,
    write_state,
)
from napari_hovernet.core.params import DataParams, TrainConfig
from napari_hovernet.core.training.files import RunFolder
from napari_hovernet.errors import InputError, OutputError

VOID = {"meta", "img", "br"}


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


class Checker(HTMLParser):
    """Sees to it that what is opened is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.sources: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.sources += [v or "" for k, v in attrs if k in {"src", "href"}]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert tag in VOID or self.open.pop() == tag


def val(epoch: int) -> dict[str, float]:
    return {"loss": 1.0, "magnitude": 0.02 + 0.1 * epoch, "true_magnitude": 0.67,
            "cosine": 0.1 * epoch, "hv_mse": 0.2, "hv_zero_mse": 0.25, "dice": 0.8,
            "all_foreground_dice": 0.55, "aji": 0.1 * epoch, "pq": 0.1, "cc_aji": 0.31,
            "oracle_aji": 0.97}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    made = RunFolder(tmp_path / "run <1>")
    made.write_config(TrainConfig(name="a", start="/models/m & n.tar", data=DataParams(("/d",))))
    events = [{"event": "start", "epochs": 6, "steps_per_epoch": 2, "train_images": 3,
               "val_images": 1, "parameters": 1234567, "notes": ["coverage <low>"]}]  # fmt: skip
    events += [{"event": "epoch", "epoch": e, "train": {"total": 2.0}, "val": val(e),
                "best": True, "seconds": 61.0, "remark": "go on" if e == 5 else ""}
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
    checker = Checker()
    checker.feed(page)
    assert checker.open == []
    assert checker.sources
    assert all(re.match(r"data:image/(png|svg\+xml);base64,", source) for source in checker.sources)
    assert "<script" not in page
    assert "default-src 'none'" in page
    assert "prefers-color-scheme: dark" in page
    page = render_run(RunWatch(folder).catch_up(), folder)
    assert "The best epoch: 6" in page
    assert "connected components 0.310" in page
    assert "oracle 0.970" in page
    assert "all foreground 0.550" in page
    assert page.count("<tr") == 1 + 7
    assert page.count("data:image/svg+xml") == 6
    assert "go on</b>" in page
    assert "napari-hovernet train --data /d --start &#39;/models/m &amp; n.tar&#39;" in page
    assert "run &lt;1&gt;" in page
    assert "coverage &lt;low&gt;" in page
    assert "1,234,567 parameters" in page


def test_pictures_are_of_the_epochs_0_5_and_the_last(folder: RunFolder) -> None:
    shots = shots_of(RunWatch(folder).catch_up(), folder)
    assert [shot.epoch for shot in shots] == [0, 5, 6]
    assert [(shot.n_true, shot.n_pred, shot.n_matched) for shot in shots] == [
        (2, 1, 0),
        (2, 1, 0),
        (2, 2, 2),
    ]
    assert shots[-1].aji == 1
    page = render_run(RunWatch(folder).catch_up(), folder)
    assert re.findall(r"<figcaption><b>(.*?)</b>", page) == [
        "Before training",
        "Epoch 5",
        "Epoch 6",
    ]


def test_pictures_that_cannot_be_read_are_left_out(folder: RunFolder) -> None:
    folder.preview_of(5).write_bytes(b"PK\x03\x04 cut off")
    np.savez(folder.preview_of(6), hv=np.array([{"no": "code"}], object), labels=np.zeros((2, 2)))
    view = RunWatch(folder).catch_up()
    assert [shot.epoch for shot in shots_of(view, folder)] == [0]
    (folder.path / "preview" / "image.npz").unlink()
    assert shots_of(view, folder) == ()
