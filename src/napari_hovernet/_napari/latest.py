"""Only the newest question counts: start jobs, drop the answers of outdated ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..app.jobs import Steps
from ..errors import UserError
from .runner import Handlers, QtJob, QtRunner


class Latest:
    """Runs one job at a time and keeps at most one waiting: the newest.

    A new request cancels the job under way (it stops before its next step) and replaces
    the one that waits. What a cancelled job answers is never delivered.

    Parameters
    ----------
    runner : QtRunner
    name : str
        For thread names and logs.
    """

    def __init__(self, runner: QtRunner, name: str) -> None:
        self._runner = runner
        self._name = name
        self._job: QtJob | None = None
        self._waiting: tuple[Callable[[], Steps[Any]], Handlers] | None = None

    @property
    def busy(self) -> bool:
        """Whether a job is under way or waits."""
        return self._job is not None

    def request(self, steps: Callable[[], Steps[Any]], handlers: Handlers) -> None:
        """Ask; ``handlers`` hear of it unless a newer request comes in time."""
        self._waiting = (steps, handlers)
        if self._job is None:
            self._start()
        else:
            self._job.cancel()

    def cancel(self) -> None:
        """Want no answer any more."""
        self._waiting = None
        if self._job is not None:
            self._job.cancel()

    def _start(self) -> None:
        if self._waiting is None:
            return
        (steps, handlers), self._waiting = self._waiting, None

        def done(value: Any) -> None:
            self._job = None
            handlers.done(value)
            self._start_waiting()

        def failed(error: UserError) -> None:
            self._job = None
            handlers.failed(error)
            self._start_waiting()

        def cancelled() -> None:
            self._job = None
            if self._waiting is None and handlers.cancelled:
                handlers.cancelled()
            self._start_waiting()

        ours = Handlers(done, failed, handlers.progress, cancelled)
        self._job = self._runner.start(self._name, steps, ours)

    def _start_waiting(self) -> None:
        if self._job is None:
            self._start()
