"""The commands ``runs``, ``attach`` and ``stop``."""

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import cv2
import pytest

from napari_hovernet.app.processes import ProcessMark, mark_of, write_mark
from napari_hovernet.app.runs import RunStore
from napari_hovernet.app.watch import process_file, state_of, write_state
from napari_hovernet.core.params import OptimParams, TrainConfig
from napari_hovernet.core.training.files import RunFolder

EVENTS = [
    {"event": "start", "epochs": 2, "steps_per_epoch": 4, "device": "cpu", "notes": []},
    {"event": "epoch", "epoch": 0, "val": {"aji": 0.1, "magnitude": 0.02}, "best": True},
    {"event": "step", "epoch": 1, "step": 3, "total": 1.5, "magnitude": 0.1, "eta_s": 90.0},
    {"event": "epoch", "epoch": 1, "val": {"aji": 0.5, "pq": None}, "best": True},
]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunStore:
    monkeypatch.setenv("NAPARI_HOVERNET_RUNS", str(tmp_path / "runs"))
    return RunStore()


@pytest.fixture
def folder(store: RunStore) -> RunFolder:
    """A run that runs: in this process."""
    made = store.create(TrainConfig(name="mine", optim=OptimParams(epochs=2)))
    lines = (json.dumps({"v": 1, "t": 0.0, **event}) + "\n" for event in EVENTS)
    made.events.write_text("".join(lines))
    write_mark(process_file(made), mark_of(os.getpid(), made.path))
    write_state(made, "running", pid=os.getpid())
    return made


@pytest.fixture
def while_waiting(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Have something done where ``attach`` waits for the first time."""

    def arrange(act: Any) -> None:
        sleep, acts = time.sleep, [act]
        monkeypatch.setattr(time, "sleep", lambda s: acts.pop()() if acts else sleep(s))

    return arrange


def test_a_list_of_runs(run: Any, store: RunStore, folder: RunFolder) -> None:
    store.create(TrainConfig(name="broken")).config_file.write_text("{")
    lines = {line.split()[0]: line.split() for line in run("runs").out.splitlines()}
    assert lines["mine"][:5] == ["mine", "running", "1/2", "0.500", "-"]
    assert lines["broken"][1] == "broken"
    entry = next(e for e in json.loads(run("runs", "--json").out) if e["name"] == "mine")
    assert (entry["state"], entry["val"]) == ("running", {"aji": 0.5})


def test_no_runs_are_no_error(run: Any, store: RunStore, tmp_path: Path) -> None:
    outcome = run("runs")
    assert (outcome.status, outcome.out) == (0, "")
    assert f"no runs in {store.folder}" in outcome.err and run("attach").status == 2
    assert json.loads(run("runs", "--runs-dir", tmp_path, "--json").out) == []


def test_attach_follows_to_the_end_and_saves_the_curves(
    run, folder, while_waiting, tmp_path
) -> None:
    def finish() -> None:
        with open(folder.events, "a", encoding="utf-8") as file:
            for event in (
                {"event": "epoch", "epoch": 2, "val": {"aji": 0.75}, "best": True},
                {"event": "end", "state": "done", "seconds": 3.0},
            ):
                file.write(json.dumps({"v": 1, "t": 1.0, **event}) + "\n")
        write_state(folder, "done", "all of it")

    while_waiting(finish)
    outcome = run("attach", "mine", "--plot", tmp_path / "curves.png", "--report")
    assert outcome.status == 0
    assert [line.split()[0] for line in outcome.out.splitlines()] == ["epoch", "0", "1", "2"]
    assert "best epoch 2, AJI 0.750. all of it" in outcome.err
    assert cv2.imread(str(tmp_path / "curves.png")) is not None and folder.report.exists()


def test_leaving_does_not_stop(run, folder, while_waiting, heeds_interrupts) -> None:
    while_waiting(lambda: signal.raise_signal(signal.SIGINT))
    outcome = run("attach", "mine")
    assert outcome.status == 0 and "mine goes on by itself" in outcome.err
    assert folder.read_command() == ""


def test_a_run_that_failed_is_told_by_the_status(run: Any, folder: RunFolder) -> None:
    write_state(folder, "failed", "The loss became NaN.")
    outcome = run("attach", "mine", "-q")
    assert (outcome.status, outcome.out) == (1, "")
    assert "mine: failed. The loss became NaN." in outcome.err


def test_stop_pause_and_kill(run: Any, folder: RunFolder) -> None:
    assert (run("stop", "mine", "--pause").status, folder.read_command()) == (0, "pause")
    outcome = run("stop", "mine")
    assert (outcome.status, folder.read_command()) == (0, "stop")
    write_mark(process_file(folder), ProcessMark(os.getpid(), 1.0))  # it is gone
    assert state_of(folder).state == "killed"
    outcome = run("stop", "mine", "--kill")
    assert (outcome.status, state_of(folder).state) == (0, "stopped")
    outcome = run("stop", "mine")
    assert "cannot be asked to stop: it is stopped" in outcome.errors[0]
    assert "there are: mine" in run("stop", "yours").errors[0]
