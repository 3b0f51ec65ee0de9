"""Turns: in order, one at a time, and nobody waits for the dead."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from napari_hovernet.app.processes import ProcessMark
from napari_hovernet.app.runs import RunQueue, TurnLock
from napari_hovernet.app.watch import own_mark
from napari_hovernet.errors import OutputError

HOLD = """
import sys
from pathlib import Path
from napari_hovernet.app.runs import TurnLock
print(TurnLock(Path(sys.argv[1])).try_acquire(), flush=True)
lock = TurnLock(Path(sys.argv[1])); lock.try_acquire()
sys.stdin.read()
"""


@pytest.fixture
def gone() -> ProcessMark:
    return replace(own_mark(), birth="before/1")


def test_the_order_is_that_of_entering_and_the_dead_do_not_count(
    tmp_path: Path, gone: ProcessMark
) -> None:
    queue = RunQueue(tmp_path)
    for name, mark in (("b", own_mark()), ("dead", gone), ("a", own_mark())):
        queue.enter(name, mark)
    assert queue.order() == ("b", "a")
    assert queue.ahead("a") == ("b",)
    assert not RunQueue(tmp_path).try_turn("a")
    assert queue.try_turn("b")
    queue.leave("b")
    assert queue.order() == ("a",)


def test_entering_again_keeps_the_place(tmp_path: Path, gone: ProcessMark) -> None:
    queue = RunQueue(tmp_path)
    queue.enter("a", gone)
    queue.enter("b", own_mark())
    queue.enter("a", own_mark())  # its own process takes over
    assert queue.order() == ("a", "b")


def test_a_lock_is_held_by_one_process_and_freed_when_it_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "turn.lock"
    command = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "True\n"
        lock = TurnLock(path)
        # the first lock object of the child was closed: its second one may still be on the way
        while lock.try_acquire():
            lock.release()
        assert not lock.try_acquire()
        holder.kill()
        holder.wait()
        assert lock.try_acquire()
        lock.release()


def test_a_store_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / ".queue").write_text("in the way")
    with pytest.raises(OutputError, match=r"\.queue"):
        RunQueue(tmp_path).enter("a", own_mark())
    assert RunQueue(tmp_path).order() == ()
