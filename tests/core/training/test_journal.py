"""Events and status of a run."""

from __future__ import annotations

import pytest

from napari_hovernet.core.training import files as module
from napari_hovernet.core.training.files import Journal, RunFolder, read_events
from napari_hovernet.errors import OutputError


@pytest.fixture
def folder(tmp_path):
    made = RunFolder(tmp_path / "run")
    made.path.mkdir()
    return made


def kinds(folder: RunFolder) -> list[str]:
    return [event["event"] for event in read_events(folder.events)[0]]


def test_states_stand_in_both_files(folder):
    journal = Journal(folder)
    journal.state("running", "off we go")
    journal.at(2, 30)
    journal.end("done", "that is all")
    journal.close()
    status = folder.read_status()
    assert (status["state"], status["epoch"], status["step"]) == ("done", 2, 30)
    assert status["message"] == "that is all" and status["updated"] >= status["started"]
    assert kinds(folder) == ["state", "end"]


def test_steps_that_follow_closely_are_told_only_when_they_must(folder, monkeypatch):
    monkeypatch.setattr(module, "STEP_SECONDS", 60)
    journal = Journal(folder)
    told = [journal.step(always, {"epoch": 1, "step": n}) for n, always in
            enumerate((False, False, True, False))]  # fmt: skip
    journal.close()
    assert told == [True, False, True, False]
    assert [e["step"] for e in read_events(folder.events)[0]] == [0, 2]


def test_what_failed_is_told_as_far_as_the_folder_takes_it(folder, monkeypatch):
    journal = Journal(folder)

    def full(*_):
        raise OutputError("the disk is full")

    monkeypatch.setattr(RunFolder, "write_status", full)
    journal.failed({"message": "HV became NaN", "term": "hv_mse", "kind": "diverged"})
    journal.close()
    events = read_events(folder.events)[0]
    assert [e["event"] for e in events] == ["error", "state", "end"]
    assert events[0]["term"] == "hv_mse" and events[-1]["state"] == "failed"


def test_other_processes_write_nothing(folder):
    journal = Journal(folder, active=False)
    journal.state("running")
    journal.end("done", "")
    journal.close()
    assert list(folder.path.iterdir()) == []
