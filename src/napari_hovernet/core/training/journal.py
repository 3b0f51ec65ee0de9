"""What a run tells: its events and its state, so that anyone can follow it."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from ...errors import UserError
from .events import EventWriter
from .run_folder import RunFolder

STEP_SECONDS = 0.2
"""Least time between two steps that are told; the first and last of an epoch always are."""
STATUS_SECONDS = 1.0
"""Least time between two updates of the status while nothing but the step changes."""

log = logging.getLogger(__name__)


class Journal:
    """Writes events and status of a run.

    Parameters
    ----------
    folder : RunFolder
    active : bool
        Off for all but the first of several processes: then nothing is written.

    Raises
    ------
    OutputError
        If the folder cannot be written; also by the methods.
    """

    def __init__(self, folder: RunFolder, active: bool = True) -> None:
        self.active = active
        self._folder = folder
        self._events = EventWriter(folder.events) if active else None
        self._began = time.time()
        self._told = self._updated = 0.0
        self._status: dict[str, Any] = {
            "state": "starting",
            "pid": os.getpid(),
            "started": self._began,
            "updated": self._began,
            "epoch": 0,
            "step": 0,
            "message": "",
        }

    @property
    def seconds(self) -> float:
        """Time since the process began to tell."""
        return time.time() - self._began

    def write(self, kind: str, /, **fields: Any) -> None:
        """Write an event."""
        if self._events is not None:
            self._events.write(kind, **fields)

    def state(self, state: str, message: str = "") -> None:
        """Write a new state, into both files."""
        self.write("state", state=state, message=message)
        self._update(state=state, message=message)

    def step(self, always: bool, fields: Mapping[str, Any]) -> bool:
        """Write a step unless one was written just before; tell whether it was.

        Parameters
        ----------
        always : bool
            First or last of its epoch.
        fields : mapping
            Of the event.
        """
        now = time.monotonic()
        if not always and now - self._told < STEP_SECONDS:
            return False
        self._told = now
        self.write("step", **fields)
        if now - self._updated >= STATUS_SECONDS:
            self._update(epoch=fields["epoch"], step=fields["step"])
        return True

    def at(self, epoch: int, step: int) -> None:
        """Write where the run stands into the status."""
        self._update(epoch=epoch, step=step)

    def end(self, state: str, message: str) -> None:
        """Write the last event and state."""
        self.write("end", state=state, message=message, seconds=self.seconds)
        self._update(state=state, message=message)

    def failed(self, error: Mapping[str, Any]) -> None:
        """Write what went wrong, as far as the folder still takes it.

        Parameters
        ----------
        error : mapping
            "message", "term" and "kind" of the event.
        """
        log.error("%s", error["message"])
        message = str(error["message"])
        with suppress(UserError):  # the disk may be full: each may still find its place
            self.write("error", **error)
        with suppress(UserError):
            self.write("state", state="failed", message=message)
        with suppress(UserError):
            self.write("end", state="failed", message=message, seconds=self.seconds)
        with suppress(UserError):
            self._update(state="failed", message=message)

    def close(self) -> None:
        """Close the events."""
        if self._events is not None:
            self._events.close()

    def _update(self, **changes: Any) -> None:
        self._status |= {**changes, "updated": time.time()}
        self._updated = time.monotonic()
        if self.active:
            self._folder.write_status(self._status)
