"""Drive generators of :class:`Progress` in a thread; what they say arrives on the main thread.

superqt's workers are not used for three reasons: they swallow ``RuntimeError`` (most of
torch's errors), an aborted generator is not closed, and warnings raised in the thread
reach napari from there.
"""

from __future__ import annotations

import gc
import logging
import threading
import warnings
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from qtpy.QtCore import QObject, Qt, QTimer, Signal, Slot

from ..app.jobs import JobCancelled, Steps, describe_failure, drive
from ..core.types import Progress
from ..errors import JobFailed, UserError

TURN_MS = 10
"""Pause in which the event loop surely turns, so that what takes long is not done at once."""
COLLECT_MS = 2000
"""Pause between collections of garbage while jobs run."""
CLOSE_WAIT_S = 5.0
"""Longest wait for running steps when a viewer closes."""

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Handlers:
    """What to call, on the main thread, as a job goes on."""

    done: Callable[[Any], None]  # Receives the generator's return value
    failed: Callable[[UserError], None]  # Receives an error that is fit to show
    progress: Callable[[Progress], None] | None = None
    cancelled: Callable[[], None] | None = None  # Once a cancelled job has stopped


class QtJob:
    """A generator under way; :meth:`cancel` stops it after the present step."""

    def __init__(self, name: str, handlers: Handlers) -> None:
        self.name = name
        self.handlers = handlers
        self._stop = threading.Event()
        self.thread: threading.Thread | None = None

    def cancel(self) -> None:
        """Ask the job to stop after its present step."""
        self._stop.set()

    @property
    def cancel_requested(self) -> bool:
        """Whether :meth:`cancel` was called."""
        return self._stop.is_set()

    @property
    def running(self) -> bool:
        """Whether its thread is still alive."""
        return self.thread is not None and self.thread.is_alive()


class QtRunner(QObject):
    """Runs jobs, each in a thread of its own, for one viewer.

    While any runs, garbage is collected on the main thread alone, where Qt's objects live; why
    that is not enough for widgets that go, :func:`.kit.take_away` says.
    """

    _event = Signal(object, str, object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._jobs: list[QtJob] = []
        self._closed = False
        self._event.connect(self._deliver, Qt.ConnectionType.QueuedConnection)
        self._collect = QTimer(self)
        self._collect.timeout.connect(partial(gc.collect, 1))

    def start(self, name: str, steps: Callable[[], Steps[Any]], handlers: Handlers) -> QtJob:
        """Start a job and return at once.

        ``steps`` makes the generator, in the worker thread: slow imports belong inside.
        """
        job = QtJob(name, handlers)
        job.thread = threading.Thread(
            target=self._work, args=(job, steps), name=f"napari-hovernet {name}", daemon=True
        )
        self._jobs.append(job)
        gc.disable()
        self._collect.start(COLLECT_MS)
        job.thread.start()
        return job

    @property
    def jobs(self) -> tuple[QtJob, ...]:
        """Jobs that have not reported their end yet."""
        return tuple(self._jobs)

    def close(self, wait: float = CLOSE_WAIT_S) -> None:
        """Cancel everything, deliver nothing any more, wait up to ``wait`` seconds."""
        self._closed = True
        jobs, self._jobs = self._jobs, []
        self._collect.stop()
        for job in jobs:
            job.cancel()
        for job in jobs:
            if job.thread is not None and job.thread is not threading.current_thread():
                job.thread.join(wait)
        gc.enable()

    def _work(self, job: QtJob, make: Callable[[], Steps[Any]]) -> None:
        kind: str = "failed"
        value: object = None
        try:
            with _quiet_warnings():
                value = drive(
                    make(),
                    lambda step: self._emit(job, "progress", step),
                    lambda: job.cancel_requested,
                )
            kind = "done"
        except JobCancelled:
            kind = "cancelled"
        except UserError as error:
            _LOG.debug("%s failed", job.name, exc_info=True)
            value = error
        except Exception as error:  # raised while the generator was being made
            _LOG.exception("%s failed", job.name)
            value = JobFailed(describe_failure(error))
        self._emit(job, kind, value)

    def _emit(self, job: QtJob, kind: str, value: object) -> None:
        if self._closed:
            return
        try:
            self._event.emit(job, kind, value)
        except RuntimeError:  # Qt has deleted the runner: nobody is left to tell
            _LOG.debug("%s: %s after the viewer closed", job.name, kind)

    @Slot(object, str, object)
    def _deliver(self, job: QtJob, kind: str, value: Any) -> None:
        if self._closed:
            return
        with self.no_collection():
            if kind == "progress":
                if job.handlers.progress and not job.cancel_requested:
                    job.handlers.progress(value)
                return
            self._jobs.remove(job)
            if kind == "cancelled" or job.cancel_requested:  # also when the last step was under way
                if job.handlers.cancelled:
                    job.handlers.cancelled()
            else:
                getattr(job.handlers, kind)(value)

    @contextmanager
    def no_collection(self) -> Iterator[None]:
        """Leave garbage to a later turn of the event loop: a full collection takes 30 ms."""
        gc.disable()
        try:
            yield
        finally:
            QTimer.singleShot(TURN_MS, self._collect_again)

    def _collect_again(self) -> None:
        if not self._jobs:
            self._collect.stop()
            gc.enable()


@contextmanager
def _quiet_warnings() -> Iterator[None]:
    """Log this thread's warnings instead of showing them: napari must not be called from here.

    Warnings of other threads take their usual way; ``warnings.catch_warnings`` would
    swallow those too.
    """
    worker, usual = threading.get_ident(), warnings.showwarning

    def show(message: Any, category: Any, filename: str, lineno: int, *rest: Any) -> None:
        if threading.get_ident() == worker:
            _LOG.warning("%s:%d: %s: %s", filename, lineno, category.__name__, message)
        else:
            usual(message, category, filename, lineno, *rest)

    warnings.showwarning = show
    try:
        yield
    finally:
        if warnings.showwarning is show:
            warnings.showwarning = usual


class Latest:
    """Runs one job at a time and keeps at most one waiting: the newest.

    A new request cancels the job under way (it stops before its next step) and replaces
    the one that waits. What a cancelled job answers is never delivered; nor is anything
    once Qt has deleted the ``owner``.
    """

    def __init__(self, runner: QtRunner, name: str, owner: QObject | None = None) -> None:
        self._runner = runner
        self._name = name
        if owner is not None:
            owner.destroyed.connect(_AtEnd(self.cancel))
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


def calling(method: Callable[..., Any], *arguments: Any) -> Callable[..., Any]:
    """Call a method of a widget that is not kept alive by it; not once Qt has deleted that."""
    ref = weakref.WeakMethod(method)

    def call(*more: Any) -> Any:
        found = ref()
        if found is None:
            return None
        try:
            getattr(found.__self__, "objectName", str)()
        except RuntimeError:  # the wrapper outlives what it wraps
            return None
        return found(*arguments, *more)

    return call


def bind(owner: QObject, signal: Any, slot: Callable[..., Any]) -> None:
    """Connect a psygnal signal or napari event to a slot for the life of ``owner``.

    Emitters that outlive a widget would go on calling it after Qt has deleted it.
    """
    signal.connect(slot)
    owner.destroyed.connect(_AtEnd(signal.disconnect, slot))


class _AtEnd:
    """Calls something when a widget is destroyed.

    No bound method of the widget, for Qt would never call it; and no closure: where the
    garbage collector takes a widget apart it empties closures first, and to call one then
    ends the program. An object that it has emptied merely lacks its attributes.
    """

    def __init__(self, act: Callable[..., Any], *arguments: Any) -> None:
        self.act, self.arguments = act, arguments

    def __call__(self, *_: object) -> None:
        try:
            self.act(*self.arguments)
        except (ValueError, TypeError, KeyError, AttributeError):
            return  # already gone: the emitter dropped it, or was itself cleared
