"""What a training run is doing, told from its files and its process."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.io.files import atomic_path, load_json
from ..core.training.files import RunFolder
from ..errors import UserError
from .processes import ProcessMark, is_alive, is_here, mark_from, mark_of

ACTIVE = ("queued", "starting", "running", "paused")
"""States of a run that has a process."""
FINISHED = ("done", "stopped", "failed")
NEW, KILLED, BROKEN = "new", "killed", "broken"
"""States that no file names: never started; its process is gone; no readable configuration."""
RESUMABLE = ("stopped", "failed", KILLED)
QUIET_S = 15 * 60.0
"""A run on another computer that has written nothing for so long is taken for killed."""
LOG_TAIL = 8192
"""Bytes at the end of the log that are looked at for last words."""
GONE = (
    "Its process is gone and said nothing: it was killed, memory ran out, or the computer went "
    "down."
)


@dataclass(frozen=True)
class RunState:
    """What a run is doing."""

    state: str  # One of ``STATES`` of the run folder, or "killed", "new" or "broken".
    message: str = ""  # What there is to say about it, "" if nothing
    pid: int | None = None  # Its process, while there is one
    updated: float = 0.0  # When its state was last written, unix seconds

    @property
    def active(self) -> bool:
        """Whether it has a process, be it waiting or paused."""
        return self.state in ACTIVE


def process_file(folder: RunFolder) -> Path:
    """Return where the run's process is named, JSON."""
    return folder.path / "process.json"


def write_process(folder: RunFolder, mark: ProcessMark) -> None:
    """Name the process that runs, or is about to run, this run."""
    with atomic_path(process_file(folder)) as temporary:
        temporary.write_text(json.dumps(mark.as_dict()) + "\n", encoding="utf-8")


def read_process(folder: RunFolder) -> ProcessMark | None:
    """Return the run's last process; None if there was none."""
    try:
        found = load_json(process_file(folder))
    except UserError:
        return None
    return mark_from(found) if isinstance(found, dict) else None


def write_state(folder: RunFolder, state: str, message: str = "", pid: int | None = None) -> None:
    """Write a state, keeping when the run began."""
    now = time.time()
    before = folder.read_status()
    started = before.get("started", now) if state not in {"queued", "starting"} else now
    folder.write_status(
        {"state": state, "pid": pid, "started": started, "updated": now, "message": message}
    )


def state_of(folder: RunFolder) -> RunState:
    """Tell what a run is doing now.

    A run whose files say that it runs while its process is gone, or is another one that got its
    number, is "killed".
    """
    status = folder.read_status()
    state = status.get("state")
    if state not in ACTIVE:
        return _settled(status)
    mark = read_process(folder) or _mark_in(status)
    if mark is not None and _seems_alive(mark, folder, str(state)):
        return _told(status, mark.pid)
    status = folder.read_status()  # it may have ended properly between the two looks
    return _told(status, None) if status.get("state") in FINISHED else _killed(folder, status)


def last_words(folder: RunFolder) -> str:
    """Return the last line of the log that says anything, "" if there is none."""
    try:
        with open(folder.log, "rb") as file:
            file.seek(max(file.seek(0, 2) - LOG_TAIL, 0))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return ""
    lines = [line.strip() for line in text.replace("\r", "\n").splitlines() if line.strip()]
    return lines[-1][:300] if lines else ""


def _settled(status: Mapping[str, Any]) -> RunState:
    return _told(status, None) if status.get("state") in FINISHED else RunState(NEW)


def _told(status: Mapping[str, Any], pid: int | None) -> RunState:
    updated = status.get("updated", 0.0)
    return RunState(
        str(status.get("state")),
        str(status.get("message") or ""),
        pid,
        float(updated) if isinstance(updated, int | float) else 0.0,
    )


def _killed(folder: RunFolder, status: Mapping[str, Any]) -> RunState:
    words = last_words(folder)
    rest = f" The log ends with: {words}" if words else ""
    return RunState(KILLED, GONE + rest, None, _told(status, None).updated)


def _mark_in(status: Mapping[str, Any]) -> ProcessMark | None:
    """Return the process a status names, which cannot be told from a later one."""
    return mark_from({"pid": status.get("pid")})


def _seems_alive(mark: ProcessMark, folder: RunFolder, state: str) -> bool:
    if is_here(mark):
        return is_alive(mark)
    if state != "running":
        return True
    return time.time() - _last_written(folder) < QUIET_S


def _last_written(folder: RunFolder) -> float:
    times = [0.0]
    for path in (folder.events, folder.status_file):
        try:
            times.append(path.stat().st_mtime)
        except OSError:
            continue
    return max(times)


def own_mark() -> ProcessMark:
    """Mark this very process."""
    return mark_of(os.getpid())
