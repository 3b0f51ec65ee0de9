"""States: from the status, unless the process tells otherwise."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from napari_hovernet.app import run_state
from napari_hovernet.app.watch import (
    GONE,
    last_words,
    own_mark,
    read_process,
    state_of,
    write_process,
    write_state,
)
from napari_hovernet.core.training.files import RunFolder


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path)


def test_a_run_that_was_never_started_is_new(folder: RunFolder) -> None:
    assert state_of(folder).state == "new"
    folder.status_file.write_text("{ not json")
    assert state_of(folder).state == "new"


@pytest.mark.parametrize("state", ["queued", "starting", "running", "paused"])
def test_an_active_run_has_a_process_or_was_killed(folder: RunFolder, state: str) -> None:
    write_process(folder, own_mark())
    write_state(folder, state, "as it is", os.getpid())
    found = state_of(folder)
    assert (found.state, found.message, found.pid) == (state, "as it is", os.getpid())
    assert found.active
    write_process(folder, replace(own_mark(), birth="before/1"))  # the number went to another
    folder.log.write_bytes(b"Loading\r\nCUDA out of memory\n\n")
    killed = state_of(folder)
    assert (killed.state, killed.pid, killed.active) == ("killed", None, False)
    assert killed.message == f"{GONE} The log ends with: CUDA out of memory"


@pytest.mark.parametrize("state", ["done", "stopped", "failed"])
def test_a_finished_run_needs_no_process(folder: RunFolder, state: str) -> None:
    write_state(folder, state)
    assert state_of(folder).state == state


def test_a_status_without_a_process_file_names_the_process(folder: RunFolder) -> None:
    write_state(folder, "running", pid=os.getpid())
    assert state_of(folder).state == "running"
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        child.wait()
    write_state(folder, "running", pid=child.pid)
    assert state_of(folder).state == "killed"


def test_a_run_that_ends_between_two_looks_was_not_killed(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_state(folder, "running")
    write_process(folder, replace(own_mark(), birth="before/1"))

    def ends_now(*_: object) -> bool:
        write_state(folder, "done")
        return False

    monkeypatch.setattr(run_state, "_seems_alive", ends_now)
    assert state_of(folder).state == "done"


def test_a_run_elsewhere_counts_as_killed_once_it_has_been_quiet(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_process(folder, replace(own_mark(), host="another computer"))
    write_state(folder, "running")
    assert state_of(folder).state == "running"
    late = time.time() + run_state.QUIET_S + 1
    monkeypatch.setattr(time, "time", lambda: late)
    assert state_of(folder).state == "killed"


def test_the_beginning_is_kept_until_it_starts_again(folder: RunFolder) -> None:
    write_state(folder, "starting")
    began = folder.read_status()["started"]
    write_state(folder, "running")
    assert folder.read_status()["started"] == began
    write_state(folder, "queued")
    assert folder.read_status()["started"] > began


def test_words_of_a_log(folder: RunFolder) -> None:
    assert last_words(folder) == ""
    folder.log.write_text("x" * 10_000 + "\nKilled\n \n")
    assert last_words(folder) == "Killed"
    assert read_process(folder) is None
