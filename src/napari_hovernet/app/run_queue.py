"""One training after the other: the order in files, the turn a lock that dies with its owner."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
import time
from pathlib import Path
from typing import IO

from ..core.io.files import atomic_path, output_error
from .processes import ProcessMark, is_alive, mark_from

QUEUE = ".queue"
"""Folder in the store for the tickets, with one folder per computer."""
LOCK = "turn.lock"
BETWEEN = "~"


class TurnLock:
    """A lock that one process holds at a time, and that the system frees when it ends."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: IO[bytes] | None = None

    def try_acquire(self) -> bool:
        """Take the lock if nobody else has it; True if it is ours."""
        if self._file is not None:
            return True
        try:
            file = open(self.path, "ab")  # noqa: SIM115 - closed by release()
        except OSError as error:
            raise output_error(self.path, error) from error
        if not _locked(file):
            file.close()
            return False
        self._file = file
        return True

    def release(self) -> None:
        """Let others have it."""
        if self._file is not None:
            self._file.close()
            self._file = None


def _locked(file: IO[bytes]) -> bool:
    """Lock a file for this process alone; processes forked from it do not hold it."""
    try:
        if sys.platform == "win32":
            import msvcrt  # noqa: PLC0415 - Windows alone

            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl  # noqa: PLC0415 - POSIX alone

            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


class RunQueue:
    """Whose turn it is on this computer.

    A run enters with a ticket; the living one with the lowest ticket has the turn, once the one
    before has let the lock go. Tickets of processes that are gone count for nothing.
    """

    def __init__(self, store: Path) -> None:
        self.folder = Path(store) / QUEUE / socket.gethostname()
        self._lock = TurnLock(self.folder / LOCK)

    def enter(self, run: str, mark: ProcessMark) -> None:
        """Take a ticket, or put another process in the place one has already."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise output_error(self.folder, error) from error
        mine = next((path for path, name in self._tickets() if name == run), None)
        ticket = mine or self.folder / f"{time.time_ns():020d}{BETWEEN}{run}.json"
        with atomic_path(ticket) as temporary:
            temporary.write_text(json.dumps(mark.as_dict()), encoding="utf-8")

    def leave(self, run: str) -> None:
        """Give ticket and turn back."""
        for path, name in self._tickets():
            if name == run:
                with contextlib.suppress(OSError):
                    path.unlink(missing_ok=True)
        self._lock.release()

    def order(self) -> tuple[str, ...]:
        """Return the runs that have a living process, the next first; tidies the others away."""
        living = []
        for path, name in self._tickets():
            mark = _read(path)
            if mark is not None and is_alive(mark):
                living.append(name)
            elif mark is not None:
                with contextlib.suppress(OSError):
                    path.unlink(missing_ok=True)
        return tuple(living)

    def ahead(self, run: str) -> tuple[str, ...]:
        """Return the living runs in front of one, the running one included."""
        order = self.order()
        return order[: order.index(run)] if run in order else order

    def try_turn(self, run: str) -> bool:
        """Take the turn if it is this run's; it holds until :meth:`leave` or our end."""
        return not self.ahead(run) and self._lock.try_acquire()

    def _tickets(self) -> list[tuple[Path, str]]:
        try:
            names = sorted(os.listdir(self.folder))
        except OSError:
            return []
        found = []
        for name in names:
            number, between, run = name.partition(BETWEEN)
            if between and number.isdigit() and run.endswith(".json"):
                found.append((self.folder / name, run.removesuffix(".json")))
        return found


def _read(path: Path) -> ProcessMark | None:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return mark_from(found) if isinstance(found, dict) else None
