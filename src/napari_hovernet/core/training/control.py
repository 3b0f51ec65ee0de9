"""What a run is asked for from outside: a file that is looked at between steps, or a signal."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from .run_folder import RunFolder

POLL_SECONDS = 0.2
"""Least time between two looks at the file; also how long a paused run sleeps at a time."""
SIGNALS = (signal.SIGTERM, signal.SIGINT)
"""Signals that ask a run to stop after its step."""


class Control:
    """Commands for a run.

    Parameters
    ----------
    folder : RunFolder
    active : bool
        Off for all but the first of several processes, which are told by it.
    """

    def __init__(self, folder: RunFolder, active: bool = True) -> None:
        self._folder, self._active = folder, active
        self._signalled = False
        self._looked = 0.0
        self._command = ""
        self._before: dict[signal.Signals, Any] = {}

    def command(self, now: bool = False) -> str:
        """Return what is asked for: "pause", "stop", "resume" or "".

        Parameters
        ----------
        now : bool
            Look at the file even if it was looked at just before.
        """
        if self._signalled:
            return "stop"
        moment = time.monotonic()
        if self._active and (now or moment - self._looked >= POLL_SECONDS):
            self._looked = moment
            self._command = self._folder.read_command()
        return self._command

    def wait(self) -> str:
        """Sleep while a pause is asked for; return what ended it."""
        while (command := self.command(now=True)) == "pause":
            time.sleep(POLL_SECONDS)
        return command

    def answered(self) -> None:
        """Take the command away once the run has ended: it is not meant for the next one."""
        if self._active:
            self._folder.control_file.unlink(missing_ok=True)

    @contextmanager
    def signals(self) -> Iterator[None]:
        """Take a signal to end for a request to stop; a second one acts as usual."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        self._before = {number: signal.getsignal(number) for number in SIGNALS}
        self.listen()
        try:
            yield
        finally:
            for number, handler in self._before.items():
                signal.signal(number, handler)

    def listen(self) -> None:
        """Take the signals (again: Lightning puts handlers of its own in their place)."""
        if self._before and not self._signalled:
            for number in SIGNALS:
                signal.signal(number, self._stop)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self._signalled = True
        before = self._before.get(signal.Signals(number), signal.SIG_DFL)
        signal.signal(number, before if before is not None else signal.SIG_DFL)
