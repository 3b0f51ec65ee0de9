"""Watching: every event finds its place, a resumed run overwrites what it repeats."""

import math
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_hovernet.app import watch as module
from napari_hovernet.app.processes import ProcessMark, mark_of, write_mark
from napari_hovernet.core.params import LOSS_NAMES, LOSS_PARTS
from napari_hovernet.core.training.files import EventWriter, RunFolder

from . import fake_training

STEPS = 4


class Writer:
    """Writes the events of a run."""

    def __init__(self, folder: RunFolder) -> None:
        self.events = EventWriter(folder.events)

    def start(self, **fields: Any) -> None:
        given = {"epochs": 3, "steps_per_epoch": STEPS, "resumed_epoch": 0, **fields}
        self.events.write("start", **given)

    def steps(self, first: int, last: int) -> None:
        for step in range(first, last + 1):
            self.events.write("step", **fake_training.step_fields(step, (step - 1) // STEPS + 1, 0))

    def epoch(self, epoch: int, **fields: Any) -> None:
        given = {
            "train": {"total": 1.0},
            "val": fake_training.val_fields(epoch, 0.3),
            "best": epoch < 3,
        }
        self.events.write("epoch", epoch=epoch, **{**given, **fields})


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path)


@pytest.fixture
def writer(folder: RunFolder) -> Iterator[Writer]:
    made = Writer(folder)
    with made.events:
        yield made


def test_a_run_from_its_beginning_to_its_end(folder: RunFolder, writer: Writer) -> None:
    watch = module.RunWatch(folder)
    assert watch.poll() and (watch.view.state, len(watch.view.steps)) == ("new", 0)
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
    shares = [f"share_{name}" for name in LOSS_PARTS]
    for name in (*LOSS_NAMES, *shares, "magnitude", "lr", "total"):
        assert np.isfinite(view.steps[name]).any(), name
    for name in module.VAL:
        np.testing.assert_array_equal(view.epochs[name], [r.score(name) for r in view.rows])
        assert np.isfinite(view.epochs[name]).any(), name
    assert view.heads["hv"].tolist() == [0.5]
    assert (view.epoch, view.step, view.n_epochs) == (1, 4, 3)
    assert (view.done, view.rows[1].remark) == (pytest.approx(1 / 3), "go on")
    assert view.best is view.rows[1]
    assert [file.path for file in view.previews] == [folder.preview_of(1)]
    assert [file.kind for file in view.checkpoints] == ["best"] and not watch.poll()
    assert watch.view is view
    writer.events.write("end", state="done", message="", seconds=12.5)
    assert watch.poll() and watch.view.seconds == 12.5
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
    watch = module.RunWatch(folder)
    watch.poll()
    before = watch.view
    assert (before.error, before.error_term) == ("NaN", "hv_magnitude")
    writer.start(resumed_epoch=1, resumed_step=4)
    watch.poll()
    assert [row.epoch for row in watch.view.rows] == [0, 1]
    assert (watch.view.steps["step"].tolist(), watch.view.error) == ([1, 2, 3, 4], "")
    writer.steps(5, 6)
    watch.poll()
    assert watch.view.steps["step"].tolist() == [1, 2, 3, 4, 5, 6]
    assert before.steps["step"].tolist() == list(range(1, 11))


def test_a_file_that_was_cut_is_read_anew(folder: RunFolder, writer: Writer) -> None:
    writer.start()
    writer.steps(1, 8)
    watch = module.RunWatch(folder)
    watch.catch_up()
    folder.events.write_bytes(b"")
    watch.poll()
    writer.start()
    writer.steps(1, 2)
    watch.poll()
    assert watch.view.steps["step"].tolist() == [1, 2]


def test_what_is_missing_or_of_another_kind_is_nan(folder: RunFolder) -> None:
    with EventWriter(folder.events) as events:
        events.write("start", epochs="three", notes=None)
        events.write("step", step=1, epoch=1, total=None, terms=[1, 2], shares={"np": "much"})
        events.write("epoch", epoch=1, val=None, train="x", best="yes", remark=None)
        events.write("checkpoint", epoch=1, kind="best")
        events.write("a kind of the future", value=1)
    with open(folder.events, "ab") as file:
        file.write(b"nonsense\n")
    view = module.RunWatch(folder).catch_up()
    assert math.isnan(view.steps.last("total")) and math.isnan(view.steps.last("np"))
    assert math.isnan(view.rows[0].score("aji")) and not view.rows[0].best
    assert (view.checkpoints, view.unreadable, view.n_epochs) == ((), 1, 0)
    assert math.isnan(view.done)


def own_mark(folder: RunFolder) -> ProcessMark:
    return mark_of(os.getpid(), folder.path)


@pytest.mark.parametrize("state", ["queued", "starting", "running", "paused"])
def test_an_active_run_has_a_process_or_was_killed(folder: RunFolder, state: str) -> None:
    write_mark(module.process_file(folder), own_mark(folder))
    module.write_state(folder, state, "as it is", os.getpid())
    found = module.state_of(folder)
    assert (found.state, found.message, found.pid) == (state, "as it is", os.getpid())
    assert found.active
    write_mark(
        module.process_file(folder), replace(own_mark(folder), born=1.0)
    )  # the number went to another
    folder.log.write_bytes(b"Loading\r\nCUDA out of memory\n\n")
    killed = module.state_of(folder)
    assert (killed.state, killed.pid, killed.active) == ("killed", None, False)
    assert killed.message == f"{module.GONE} The log ends with: CUDA out of memory"


def test_a_status_without_a_process_file_names_the_process(folder: RunFolder) -> None:
    module.write_state(folder, "running", pid=os.getpid())
    assert module.state_of(folder).state == "running"
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        child.wait()
    module.write_state(folder, "running", pid=child.pid)
    assert module.state_of(folder).state == "killed"


def test_a_run_that_ends_between_two_looks_was_not_killed(folder, monkeypatch) -> None:
    module.write_state(folder, "running")
    write_mark(module.process_file(folder), replace(own_mark(folder), born=1.0))

    def ends_now(*_: object) -> bool:
        module.write_state(folder, "done")
        return False

    monkeypatch.setattr(module, "_seems_alive", ends_now)
    assert module.state_of(folder).state == "done"


def test_a_run_elsewhere_counts_as_killed_once_it_has_been_quiet(folder, monkeypatch) -> None:
    far = replace(own_mark(folder), host="another computer")
    write_mark(module.process_file(folder), far)
    module.write_state(folder, "running")
    assert module.state_of(folder).state == "running"
    late = time.time() + module.QUIET_S + 1
    monkeypatch.setattr(time, "time", lambda: late)
    assert module.state_of(folder).state == "killed"


def test_lines_come_whole_however_many_long_or_cut_off_they_are(folder: RunFolder) -> None:
    with EventWriter(folder.events) as events:
        for step in range(1, 3001):
            events.write("step", step=step, epoch=1)
        long = "x" * 3 * module.CHUNK
        events.write("checkpoint", epoch=1, path="best.safetensors", kind="best", notes=long)
    whole = folder.events.read_bytes()
    folder.events.write_bytes(whole[:-10])
    watch = module.RunWatch(folder)
    watch.poll()
    assert 0 < len(watch.view.steps) < 3000
    assert watch.catch_up().steps["step"].tolist() == list(range(1, 3001))
    assert watch.view.checkpoints == ()
    with open(folder.events, "ab") as file:
        file.write(whole[-10:] + b"\xff\xfe\n[1]\n{}\n" + b'{"v": 99, "event": "step"}\n')
    view = watch.catch_up()
    assert ([made.kind for made in view.checkpoints], view.unreadable) == (["best"], 4)
