"""The one place that holds what a viewer's panel shows: model, image, options, runs, status.

Everything here is plain Python with psygnal events, on the main thread only; values
handed out are frozen. Signals whose values hold arrays carry ``eq=False`` holders,
so nothing compares arrays.
"""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import ClassVar

from psygnal import Signal

from ..core.model import ModelInfo
from ..core.types import Progress
from ..errors import InputError
from .history import Change, History
from .session_state import (
    NO_IMAGE,
    ImageChoice,
    ModelChoice,
    Options,
    Run,
    Status,
    describe_change,
    short_name,
    summary,
    time_left,
)
from .settings import Settings


class Session:
    """State of one viewer's panel; every change is announced by a signal.

    Parameters
    ----------
    settings : Settings, optional
        Choices of the last session.

    Examples
    --------
    >>> session = Session()
    >>> session.blocked_reason()
    'Reading the model file ...'
    """

    model_changed: ClassVar[Signal] = Signal(object)
    image_changed: ClassVar[Signal] = Signal(object)
    options_changed: ClassVar[Signal] = Signal(object)
    settings_changed: ClassVar[Signal] = Signal(object)
    runs_changed: ClassVar[Signal] = Signal(tuple)
    status_changed: ClassVar[Signal] = Signal(object)

    def __init__(self, settings: Settings | None = None) -> None:
        self._thread = threading.get_ident()
        self._settings = settings or Settings()
        self._model = ModelChoice(self._settings.model)
        self._image: ImageChoice | None = None
        self._options = Options(
            device=self._settings.device,
            inference=self._settings.inference,
            separation=self._settings.separation,
        )
        self._status = Status()
        self._history: History[Run] = History()
        self._count = 0
        self._started = 0.0

    @property
    def model(self) -> ModelChoice:
        """The chosen model."""
        return self._model

    @property
    def image(self) -> ImageChoice | None:
        """The chosen image, None if there is none."""
        return self._image

    @property
    def options(self) -> Options:
        """How to run."""
        return self._options

    @property
    def settings(self) -> Settings:
        """What will be remembered."""
        return self._settings

    @property
    def runs(self) -> tuple[Run, ...]:
        """Runs whose layers are in the viewer, oldest first."""
        return self._history.items

    @property
    def kept_runs(self) -> tuple[Run, ...]:
        """Runs in the viewer and those that undo or redo can bring back."""
        return self._history.reachable()

    @property
    def status(self) -> Status:
        """What is going on."""
        return self._status

    @property
    def can_undo(self) -> bool:
        """Whether there is a run, or a removal, to take back."""
        return self._history.can_undo

    @property
    def can_redo(self) -> bool:
        """Whether something taken back can be brought back."""
        return self._history.can_redo

    def choose_model(self, source: str) -> None:
        """Choose a model by name or path; :meth:`describe_model` must follow."""
        self._on_main_thread()
        self._model = ModelChoice(source)
        self.model_changed.emit(self._model)

    def describe_model(self, source: str, info: ModelInfo | None, error: str = "") -> None:
        """Tell what is in the chosen model; ignored if another was chosen meanwhile."""
        self._on_main_thread()
        if source != self._model.source:
            return
        self._model = ModelChoice(source, info, error)
        self._remember_model(source, usable=info is not None)
        self.model_changed.emit(self._model)

    def choose_image(self, image: ImageChoice | None) -> None:
        """Choose an image; its mpp becomes the one to run with, unless it was chosen before."""
        self._on_main_thread()
        if image == self._image:
            return
        before, self._image = self._image, image
        self.image_changed.emit(image)
        if before and image and (before.key, before.mpp) == (image.key, image.mpp):
            return  # the same image, another plane or name: an mpp typed in stays
        mpp = image.mpp if image else None
        self.set_options(
            replace(self._options, inference=replace(self._options.inference, image_mpp=mpp))
        )

    def set_options(self, options: Options) -> None:
        """Set how to run."""
        self._on_main_thread()
        if options == self._options:
            return
        self._options = options
        self.options_changed.emit(options)
        self._remember(
            replace(
                self._settings,
                device=options.device,
                separation=options.separation,
                inference=replace(options.inference, image_mpp=None, model_mpp=None),
            )
        )

    def blocked_reason(self) -> str:
        """Say in words why a run cannot start now; "" when it can."""
        if self._status.busy:
            return "A run is under way."
        if self._model.error:
            return "The chosen model cannot be used: choose another."
        if self._model.reading:
            return "Reading the model file ..."
        if self._image is None:
            return NO_IMAGE
        return self._image.error

    def begin(self, now: float | None = None) -> None:
        """Start a run.

        Raises
        ------
        InputError
            If :meth:`blocked_reason` is not empty.
        """
        reason = self.blocked_reason()
        if reason:
            raise InputError(reason)
        self._started = time.monotonic() if now is None else now
        self._set_status(Status(state="running", message="Starting ..."))

    def progress(self, step: Progress, now: float | None = None) -> None:
        """One step of the run is done."""
        if not self._status.busy:
            return
        elapsed = (time.monotonic() if now is None else now) - self._started
        notices = self._status.notices + ((step.notice,) if step.notice else ())
        self._set_status(
            replace(
                self._status,
                message=step.message or self._status.message,
                done=step.done,
                total=step.total,
                eta=time_left(step.done, step.total, elapsed),
                notices=notices,
            )
        )

    def cancelling(self) -> None:
        """Note that the user asked to stop; the tile under way is finished first."""
        if self._status.state == "running":
            self._set_status(
                replace(
                    self._status,
                    state="cancelling",
                    message="Stopping after this tile ...",
                    eta=None,
                )
            )

    def cancelled(self, reason: str = "") -> None:
        """End a run that was stopped; it left nothing."""
        self._set_status(Status(message=reason or "Cancelled; no layers were added."))

    def failed(self, message: str) -> None:
        """End a run with an error."""
        self._set_status(Status(message=message, error=message, notices=self._status.notices))

    def next_run(self) -> tuple[int, str]:
        """Return the id and the title that the next finished run will have."""
        number = self._count + 1
        return number, f"{short_name(self._model)} {number}"

    def finish(self, run: Run) -> None:
        """Take in a finished run; replaces the previous run only if so chosen."""
        self._on_main_thread()
        self._count = max(self._count, run.id)
        old = self.runs[-1:] if self._options.replace_previous else ()
        self._history.do(Change(added=(run,), removed=old))
        notices = self._status.notices
        self.runs_changed.emit(self.runs)
        self._set_status(Status(message=summary(run), notices=notices))

    def add_run(self, run: Run, message: str) -> None:
        """Take in a run that was made of another; can be undone, replaces nothing."""
        self._on_main_thread()
        self._count = max(self._count, run.id)
        self._history.do(Change(added=(run,)))
        self._after_history(message)

    def remove_run(self, run_id: int) -> None:
        """Remove one run; can be undone."""
        gone = tuple(run for run in self.runs if run.id == run_id)
        if gone:
            self._history.do(Change(removed=gone))
            self._after_history(f"{gone[0].title} removed.")

    def undo(self) -> None:
        """Take the last run (or removal) back."""
        change = self._history.undo()
        if change is not None:
            self._after_history("Undone: " + describe_change(change))

    def redo(self) -> None:
        """Bring back what :meth:`undo` took."""
        change = self._history.redo()
        if change is not None:
            self._after_history("Redone: " + describe_change(change))

    def _after_history(self, message: str) -> None:
        self._on_main_thread()
        self.runs_changed.emit(self.runs)
        if not self._status.busy:
            self._set_status(Status(message=message))

    def _set_status(self, status: Status) -> None:
        self._on_main_thread()
        self._status = status
        self.status_changed.emit(status)

    def _remember_model(self, source: str, *, usable: bool) -> None:
        settings = self._settings
        is_file = source != Settings().model
        if usable:
            settings = settings.with_recent(source) if is_file else settings
            settings = replace(settings, model=source)
        elif is_file:
            settings = replace(settings.without_recent(source), model=Settings().model)
        self._remember(settings)

    def _remember(self, settings: Settings) -> None:
        if settings != self._settings:
            self._settings = settings
            self.settings_changed.emit(settings)

    def _on_main_thread(self) -> None:
        if threading.get_ident() != self._thread:
            raise TypeError(
                "Session was changed from another thread; send the value to the main thread."
            )
