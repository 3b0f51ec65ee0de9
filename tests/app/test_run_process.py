"""The life of a training process, in this one."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from napari_hovernet.app.runs import Life, is_first, live
from napari_hovernet.app.watch import read_process, state_of
from napari_hovernet.core.params import TrainConfig
from napari_hovernet.core.training.files import RunFolder


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    made = RunFolder(tmp_path / "a")
    made.write_config(TrainConfig(name="a"))
    return made


def test_the_states_a_run_goes_through(folder: RunFolder) -> None:
    seen = []

    def train(run: RunFolder, resume: bool) -> int:
        seen.append((state_of(run).state, resume))
        assert read_process(run) is not None
        return 0

    assert live(folder, train, Life(resume=True)) == 0
    assert seen == [("starting", True)]
    assert state_of(folder).state == "done"


def test_a_status_that_is_not_zero_is_a_failure(folder: RunFolder) -> None:
    assert live(folder, lambda *_: 3, Life(queued=False)) == 1
    assert state_of(folder).message == "It ended with status 3; see log.txt."


def test_what_the_training_said_itself_stays(folder: RunFolder) -> None:
    def train(run: RunFolder, _resume: bool) -> int:
        run.write_status({"state": "failed", "message": "hv_magnitude became NaN"})
        raise SystemExit(1)

    assert live(folder, train) == 1
    assert state_of(folder).message == "hv_magnitude became NaN"


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGTERM")
def test_a_request_of_the_system_to_end_is_one_to_stop(folder: RunFolder) -> None:
    def train(run: RunFolder, _resume: bool) -> int:
        os.kill(os.getpid(), signal.SIGTERM)
        assert run.read_command() == "stop"
        run.write_status({"state": "stopped"})
        return 0

    before = signal.getsignal(signal.SIGTERM)
    assert live(folder, train) == 0
    assert signal.getsignal(signal.SIGTERM) is before
    assert state_of(folder).state == "stopped"


def test_an_interrupt_passes_and_is_noted(folder: RunFolder) -> None:
    def train(*_: object) -> int:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        live(folder, train)
    assert state_of(folder).state == "stopped"


def test_only_the_first_of_several_processes_speaks(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert live(folder, lambda *_: 0) == 0
    assert not folder.status_file.exists()
    assert not is_first()
    assert is_first({"SLURM_PROCID": "0", "RANK": ""})
