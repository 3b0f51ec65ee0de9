"""The command ``train``: checks, starts, follows, goes on; and the real training once."""

import json
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from napari_hovernet.app import runs as app_runs
from napari_hovernet.app.runs import RunStore, Start, training_command
from napari_hovernet.app.watch import RunWatch
from napari_hovernet.cli import train as command
from napari_hovernet.core.training.files import RunFolder

FAKE = Path(__file__).parents[1] / "app" / "fake_training.py"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Three images of two touching nuclei."""
    folder = tmp_path / "data"
    folder.mkdir()
    for i in range(3):
        labels = np.zeros((64, 64), np.uint8)
        labels[8:24, 8:24], labels[8:24, 24:40] = 1, 2
        image = np.random.default_rng(i).integers(180, 256, (64, 64, 3), np.uint8)
        image[labels > 0] //= 2
        cv2.imwrite(str(folder / f"x{i}.png"), image)
        cv2.imwrite(str(folder / f"x{i}_lab.png"), labels)
    return folder


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunStore]:
    """A store whose runs train nothing."""
    monkeypatch.setenv("NAPARI_HOVERNET_RUNS", str(tmp_path / "runs"))

    def fake(folder: RunFolder, start: Start) -> list[str]:
        real = training_command(folder, start)
        return [sys.executable, str(FAKE), *real[real.index("--run") :]]

    with monkeypatch.context() as patch:
        patch.setattr(app_runs, "training_command", fake)
        store = RunStore()
        yield store
        for info in store.list():
            if info.active:
                store.kill(info.folder)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    return lambda **how: monkeypatch.setenv("FAKE", json.dumps(how))


@pytest.fixture
def train(run: Any, data: Path, runs: RunStore) -> Any:
    return lambda *argv: run("train", "--data", data, "--no-check", "--epochs", 3, *argv)


def test_the_first_interrupt_stops_and_a_run_can_go_on(train, run, runs, fake, heeds_interrupts):
    fake(steps=20, hold_at=22)
    interrupt_at(runs, 22, 1)
    outcome = train("--name", "mine")
    assert outcome.status == 130 and "with a checkpoint; Ctrl-C again kills" in outcome.err
    assert "mine: stopped" in outcome.err
    assert "go on with: napari-hovernet train --resume mine" in outcome.err
    fake(steps=20)
    outcome = run("train", "--resume", "mine")
    assert outcome.status == 0 and "goes on after epoch 1" in outcome.err
    assert RunWatch(runs.find("mine")).catch_up().steps["step"].tolist() == list(range(1, 61))


def test_the_second_interrupt_kills(train, runs, fake, heeds_interrupts) -> None:
    fake(step_s=3.0, steps=2)  # it does not look at its commands for long
    interrupt_at(runs, 0, 2)
    outcome = train("--name", "mine")
    assert (outcome.status, runs.info("mine").state) == (130, "stopped") and "Killed" in outcome.err


def interrupt_at(store: RunStore, step: int, times: int) -> None:
    """Press Ctrl-C once the run has come to a step."""

    def press() -> None:
        end = time.monotonic() + 120
        while time.monotonic() < end:
            if any(info.state == "running" and RunWatch(info.folder).catch_up().step >= step
                   for info in store.list()):  # fmt: skip
                break
            time.sleep(0.02)
        for _ in range(times):
            signal.raise_signal(signal.SIGINT)
            time.sleep(0.4)

    threading.Thread(target=press, daemon=True).start()


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (("--lambda_hv", "nan"), "lambda_hv is nan"),
        (("--start", "nowhere.tar"), "There is no model at"),
        (("--data", "nowhere"), "There are no training data at"),
        (("--name", "a/b"), "name is 'a/b'"),
        (("--save-epochs", "5;10"), "no list of epochs"),
        (("--resume", "mine"), "leave out --epochs, --data"),
    ],
)
def test_bad_input_is_told_before_anything_is_made(train, runs, argv, words) -> None:
    outcome = train(*argv)
    assert outcome.status == 2 and words in outcome.err
    assert not runs.folder.exists()


def test_data_are_checked_first_and_can_be_refused(run: Any, data: Path, runs: RunStore) -> None:
    outcome = run("train", "--data", data, "--epochs", 1, "--crop", 64, "--name", "good")
    assert outcome.status == 0 and "data: 2 to train, 1 to validate, 6 nuclei" in outcome.err
    for i in range(3):
        cv2.imwrite(str(data / f"x{i}_lab.png"), np.zeros((64, 64), np.uint8))
    outcome = run("train", "--data", data, "--name", "bad")
    assert (outcome.status, outcome.out) == (2, "") and "Not fit for training" in outcome.errors[0]
    assert [info.name for info in runs.list()] == ["good"]


def test_a_report_that_fails_harms_nothing(tmp_path, run, monkeypatch) -> None:
    folder = RunFolder(tmp_path / "a")
    folder.path.mkdir()
    folder.events.touch()
    folder.report.mkdir()
    monkeypatch.setattr(command, "_train", lambda *_: 0)
    outcome = run("train", "--run", folder.path, "--now")
    assert outcome.status == 0 and "the report could not be written" in outcome.err
