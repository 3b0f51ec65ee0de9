"""Watching: every event finds its place, a resumed run overwrites what it repeats."""

from __future__ import annotations

import importlib.util
import json
import math
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from napari_hovernet.app.watch import write_state
from napari_hovernet.app.watch import SHARES, TERMS, VAL, RunView
from napari_hovernet.app.watch import RunWatch
from napari_hovernet.core.training.files import RunFolder


def _fake() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "fake_training", Path(__file__).with_name("fake_training.py")
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


FAKE = _fake()
STEPS = 4


class Writer:
    """Writes the events of a run."""

    def __init__(self, folder: RunFolder) -> None:
        self.events = FAKE.Events(folder.events)

    def start(self, **fields: Any) -> None:
        given = {"epochs": 3, "steps_per_epoch": STEPS, "resumed_epoch": 0, **fields}
        self.events.write("start", **given)

    def steps(self, first: int, last: int) -> None:
        for step in range(first, last + 1):
            self.events.write("step", **FAKE.step_fields(step, (step - 1) // STEPS + 1, 0))

    def epoch(self, epoch: int, **fields: Any) -> None:
        given = {"train": {"total": 1.0}, "val": FAKE.val_fields(epoch, 0.3), "best": epoch < 3}
        self.events.write("epoch", epoch=epoch, **{**given, **fields})


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path)


@pytest.fixture
def writer(folder: RunFolder) -> Writer:
    return Writer(folder)


def test_a_run_from_its_beginning_to_its_end(folder: RunFolder, writer: Writer) -> None:
    watch = RunWatch(folder)
    assert watch.poll()
    assert (watch.view.state, len(watch.view.steps)) == ("new", 0)
    writer.start()
    writer.epoch(0)
    writer.steps(1, 4)
    writer.events.write("heads", epoch=1, step=4, grad_share={"np": 0.5, "hv": 0.5, "nt": 0})
    writer.events.write("preview", epoch=1, path="preview/epoch_0001.npz")
    writer.events.write("checkpoint", epoch=1, path="best.safetensors", kind="best")
    writer.epoch(1, remark="go on", seconds=2.5)
    assert watch.poll()
    view = watch.view
    assert view.steps["step"].tolist() == [1, 2, 3, 4]
    for name in (*TERMS, *(f"share_{name}" for name in SHARES), "magnitude", "lr", "total"):
        assert view.steps.known(name), name
    for name in VAL:
        np.testing.assert_array_equal(view.epochs[name], [r.score(name) for r in view.rows])
        assert view.epochs.known(name), name
    assert view.heads["hv"].tolist() == [0.5]
    assert (view.epoch, view.step, view.n_epochs) == (1, 4, 3)
    assert view.done == pytest.approx(1 / 3)
    assert view.rows[1].remark == "go on"
    assert view.best is view.rows[1]
    assert view.preview(1) == folder.path / "preview" / "epoch_0001.npz"
    assert view.preview(2) is None
    assert [file.kind for file in view.checkpoints] == ["best"]
    assert not watch.poll()
    assert watch.view is view
    writer.events.write("end", state="done", message="", seconds=12.5)
    assert watch.poll()
    assert watch.view.seconds == 12.5
    assert view.seconds != 12.5  # an earlier view does not change


def test_a_resumed_run_repeats_what_was_not_saved(folder: RunFolder, writer: Writer) -> None:
    writer.start()
    writer.epoch(0)
    writer.steps(1, 4)
    writer.epoch(1)
    writer.steps(5, 8)
    writer.epoch(2)
    writer.steps(9, 10)
    writer.events.write("error", message="NaN", term="hv_magnitude", kind="nan")
    watch = RunWatch(folder)
    watch.poll()
    before = watch.view
    assert (before.error, before.error_term) == ("NaN", "hv_magnitude")
    writer.start(resumed_epoch=1, resumed_step=4)
    watch.poll()
    assert [row.epoch for row in watch.view.rows] == [0, 1]
    assert watch.view.steps["step"].tolist() == [1, 2, 3, 4]
    assert watch.view.error == ""
    writer.steps(5, 6)
    watch.poll()
    assert watch.view.steps["step"].tolist() == [1, 2, 3, 4, 5, 6]
    assert before.steps["step"].tolist() == list(range(1, 11))


def test_a_run_that_begins_anew_forgets_what_was(folder: RunFolder, writer: Writer) -> None:
    writer.start()
    writer.steps(1, 6)
    writer.events.write("preview", epoch=1, path="preview/epoch_0001.npz")
    writer.epoch(1)
    writer.start()
    view = RunWatch(folder).catch_up()
    assert (len(view.steps), view.rows, view.previews, view.step) == (0, (), (), 0)


def test_a_file_that_was_cut_is_read_anew(folder: RunFolder, writer: Writer) -> None:
    writer.start()
    writer.steps(1, 8)
    watch = RunWatch(folder)
    watch.catch_up()
    folder.events.write_bytes(b"")
    watch.poll()
    writer.start()
    writer.steps(1, 2)
    watch.poll()
    assert watch.view.steps["step"].tolist() == [1, 2]


def test_what_is_missing_or_of_another_kind_is_nan(folder: RunFolder) -> None:
    events = FAKE.Events(folder.events)
    events.write("start", epochs="three", notes=None)
    events.write("step", step=1, epoch=1, total=None, terms=[1, 2], shares={"np": "much"})
    events.write("epoch", epoch=1, val=None, train="x", best="yes", remark=None)
    events.write("checkpoint", epoch=1, kind="best")
    events.write("a kind of the future", value=1)
    with open(folder.events, "ab") as file:
        file.write(b"nonsense\n")
    view = RunWatch(folder).catch_up()
    assert math.isnan(view.steps.last("total"))
    assert math.isnan(view.steps.last("np"))
    assert math.isnan(view.rows[0].score("aji"))
    assert not view.rows[0].best
    assert (view.checkpoints, view.unreadable, view.n_epochs) == ((), 1, 0)
    assert math.isnan(view.done)


def test_the_state_is_that_of_the_process(folder: RunFolder) -> None:
    watch = RunWatch(folder)
    watch.poll()
    write_state(folder, "done", "all of it")
    time.sleep(0.26)
    assert watch.poll()
    assert (watch.view.state, watch.view.message) == ("done", "all of it")


def test_a_look_at_a_long_run_takes_milliseconds(folder: RunFolder) -> None:
    step = json.dumps({"v": 1, "t": 0.0, "event": "step", **FAKE.step_fields(1, 1, 0)})
    lines = [step.replace('"step": 1,', f'"step": {i},') + "\n" for i in range(1, 30_001)]
    folder.events.write_text("".join(lines))
    watch = RunWatch(folder)
    watch.poll()
    assert watch.behind  # it did not read everything at once
    assert len(watch.catch_up().steps) == 30_000
    writer = Writer(folder)
    times = []
    for step_number in range(30_001, 30_021):
        writer.steps(step_number, step_number)
        begin = time.perf_counter()
        assert watch.poll()
        assert watch.view.step == step_number
        times.append(time.perf_counter() - begin)
    assert sorted(times)[10] < 0.005


def test_an_empty_view_can_be_drawn() -> None:
    view = RunView()
    assert (view.best, view.step, view.epoch, view.preview(0)) == (None, 0, 0, None)
    assert math.isnan(view.eta_s)
    assert math.isnan(view.images_per_s)
