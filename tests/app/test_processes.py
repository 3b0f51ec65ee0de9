"""Processes are recognised, outlive us, and end with their children; strangers are left alone."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from napari_hovernet.app import processes
from napari_hovernet.app.processes import (
    ProcessMark,
    birth_by_ps,
    birth_of,
    is_alive,
    is_here,
    kill,
    mark_from,
    mark_of,
    start_detached,
    wait_until_gone,
)
from napari_hovernet.errors import JobFailed, OutputError

posix = pytest.mark.skipif(sys.platform == "win32", reason="groups of processes are POSIX")


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[ProcessMark]:
    command = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(60)"]
    mark = start_detached(command, tmp_path, tmp_path / "log.txt", {}, nice=5)
    yield mark
    kill(mark)


def test_a_process_is_known_by_its_birth(sleeper: ProcessMark) -> None:
    assert is_here(sleeper)
    assert is_alive(sleeper)
    assert birth_of(sleeper.pid) == sleeper.birth != ""
    assert not is_alive(replace(sleeper, birth="another boot/1"))


def test_a_stranger_with_the_number_is_not_killed(sleeper: ProcessMark) -> None:
    kill(replace(sleeper, birth="another boot/1"))
    assert not wait_until_gone(sleeper, 0.05)


def test_killed_is_gone_at_once_though_nobody_collected_it(sleeper: ProcessMark) -> None:
    kill(sleeper)
    assert wait_until_gone(sleeper, 1.0)
    kill(sleeper)  # once more is fine


def test_an_uncollected_child_counts_as_gone() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        mark = mark_of(child.pid)
        end = time.monotonic() + 10
        while birth_of(child.pid) is not None and time.monotonic() < end:
            time.sleep(0.01)
        assert child.returncode is None
        assert not is_alive(mark)


@posix
def test_it_has_a_group_of_its_own_stands_back_and_writes_a_log(
    sleeper: ProcessMark, tmp_path: Path
) -> None:
    assert os.getpgid(sleeper.pid) == sleeper.pid != os.getpgid(0)
    assert os.getpriority(os.PRIO_PROCESS, sleeper.pid) >= 5
    end = time.monotonic() + 10
    while not (tmp_path / "log.txt").read_text() and time.monotonic() < end:
        time.sleep(0.01)
    assert (tmp_path / "log.txt").read_text() == "up\n"


@posix
def test_what_it_started_ends_with_it_even_if_it_is_gone_itself(tmp_path: Path) -> None:
    code = "import subprocess, sys; print(subprocess.Popen(['sleep', '60']).pid, flush=True)"
    log = tmp_path / "log.txt"
    mark = start_detached([sys.executable, "-c", code], tmp_path, log, {})
    assert wait_until_gone(mark, 10)
    orphan = mark_of(int(log.read_text()))
    assert is_alive(orphan)
    kill(mark)
    assert wait_until_gone(orphan, 2)


@posix
def test_ps_tells_births_as_well(sleeper: ProcessMark) -> None:
    first = birth_by_ps(sleeper.pid)
    assert first
    assert birth_by_ps(sleeper.pid) == first
    assert birth_by_ps(2**22 + 1) is None


@posix
def test_where_asking_is_slow_a_process_seen_just_now_is_not_asked_for_again(
    sleeper: ProcessMark, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert is_alive(sleeper)
    with monkeypatch.context() as patch:
        patch.setattr(processes, "QUICK", ())
        patch.setattr(processes, "birth_of", lambda _pid: pytest.fail("asked"))
        assert is_alive(sleeper)


def test_marks_survive_json_and_nonsense_is_none() -> None:
    mark = ProcessMark(7, "b", "h")
    assert mark_from(mark.as_dict()) == mark
    assert not is_here(mark)
    for values in ({}, {"pid": "7"}, {"pid": True}, {"pid": 0}):
        assert mark_from(values) is None


def test_what_cannot_be_started_says_so(tmp_path: Path) -> None:
    with pytest.raises(JobFailed, match="no such program"):
        start_detached(["no such program"], tmp_path, tmp_path / "log.txt", {})
    with pytest.raises(OutputError, match="folder does not exist"):
        start_detached([sys.executable], tmp_path, tmp_path / "no" / "log.txt", {})
