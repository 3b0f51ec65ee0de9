"""What the panel "Diagnose" can do, without the panel; nothing is computed in the GUI thread."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from psygnal import Signal

from ..errors import InputError, UserError
from .desk import Desk, desk_for
from .diagnosis_ask import NO_MAPS, NO_RUN, asked_of
from .diagnosis_state import FILES, RUN, TUNER, FilesChoice, Target
from .diagnosis_steps import (
    diagnose_files_steps,
    diagnose_run_steps,
    save_steps,
)
from .diagnosis_view import DiagnosisView
from .diagnosis_words import headline
from .latest import Latest
from .remedies import Remedies
from .runner import Handlers

if TYPE_CHECKING:
    from ..app.diagnose import Diagnosis
    from ..app.jobs import Steps
    from ..app.session import Run
    from ..core.diagnosis.report import Finding
    from ..core.types import Progress


class Diagnosing:
    """Diagnoses a run or files, applies remedies, keeps what was found.

    Signals
    -------
    changed
        Other findings, or another state of work.
    chosen_changed
        Another finding or example is looked at.
    progress : Progress or None
        Of what is under way; None = nothing is.
    told : str
        What was done.
    failed : UserError
        What went wrong, fit to show.

    Parameters
    ----------
    desk : Desk
        Only a weak reference is kept.
    """

    changed: ClassVar[Signal] = Signal()
    chosen_changed: ClassVar[Signal] = Signal()
    progress: ClassVar[Signal] = Signal(object)
    told: ClassVar[Signal] = Signal(str)
    failed: ClassVar[Signal] = Signal(object)

    def __init__(self, desk: Desk) -> None:
        self._desk_ref = weakref.ref(desk)
        self._latest = Latest(desk.runner, "Diagnosing")
        self._saving = Latest(desk.runner, "Saving a diagnosis")
        self._bench: Any = None
        self.target: Target | None = None
        self.findings: tuple[Finding, ...] = ()
        self.diagnosis: Diagnosis | None = None
        self.stopped = self._let_go = False
        self.checks = (0, 0)
        """Checks made, and those there are."""
        self.view = DiagnosisView(desk, self)
        self.remedies = Remedies(self)

    @property
    def desk(self) -> Desk:
        """The desk; TypeError once it is gone."""
        desk = self._desk_ref()
        if desk is None:
            raise TypeError("The desk of this diagnosis is gone.")
        return desk

    @property
    def busy(self) -> bool:
        """Whether checks are being made; those that were cancelled no longer count."""
        return self._latest.busy and not self._let_go

    @property
    def at_rest(self) -> bool:
        """Whether no step is under way any more, heard or unheard."""
        return not self._latest.busy

    @property
    def bench(self) -> Any:
        """What images are read from: of the diagnosis, or of the one under way; None if none."""
        return self._bench if self.diagnosis is None else self.diagnosis.bench

    @property
    def headline(self) -> str:
        """What was found, in one line."""
        title = "" if self.target is None else self.target.title
        if self.diagnosis is None and not self.busy and not self.findings:
            return f"{title}: nothing was tested."
        found = headline(self.findings, busy=self.busy)
        stopped = " Stopped before the end." if self.stopped and not self.busy else ""
        return f"{found or f'Looking at {title} ...'}{stopped}"

    def find(self, finding_id: str) -> Finding | None:
        """Return a finding by its id."""
        return next((f for f in self.findings if f.id == finding_id), None)

    # ------------------------------------------------------------------ diagnose

    def diagnose_run(self) -> None:
        """Diagnose the run under the glass, in the background.

        Raises
        ------
        InputError
            If there is none, or it has no maps.
        """
        run = self.desk.run
        if run is None:
            raise InputError(NO_RUN)
        if run.result.maps is None:
            raise InputError(NO_MAPS)
        asked = asked_of(self.desk, run)
        self._start(Target(RUN, run.title, run=run.id), lambda: diagnose_run_steps(asked))

    def diagnose_files(self, choice: FilesChoice) -> None:
        """Diagnose files, in the background.

        Raises
        ------
        InputError
            If nothing is chosen.
        """
        if choice.problem:
            raise InputError(choice.problem)
        from .tuner import tuner_for  # noqa: PLC0415 - imports torch

        tuned = tuner_for(self.desk).tuning.params if choice.separation == TUNER else None
        title = choice.data or choice.model or "settings"
        self._start(Target(FILES, title, files=choice), lambda: diagnose_files_steps(choice, tuned))

    def cancel(self) -> None:
        """Stop at once; what was found stays. The step under way ends by itself, unheard."""
        if self.busy:
            self._latest.cancel()
            self._let_go = True
            self._stopped()

    def _start(self, target: Target, steps: Callable[[], Steps[Any]]) -> None:
        self.target, self.findings, self.diagnosis = target, (), None
        self._bench, self.checks, self.stopped = None, (0, 0), False
        self.remedies.clear()
        self.view.clear()
        self.request(steps, self._done)
        self.changed.emit()

    def request(self, steps: Callable[[], Steps[Any]], done: Callable[[Diagnosis], None]) -> None:
        """Do something that ends in a diagnosis; what was under way is dropped."""

        def failed(error: UserError) -> None:
            if self.diagnosis is not None:
                self.findings = self.diagnosis.report.findings
            self.ended()
            self.failed.emit(error)

        self._let_go = False
        handlers = Handlers(done, failed, self._step, self._gone)
        self._latest.request(steps, handlers)

    def _step(self, step: Progress) -> None:
        bench = getattr(step, "bench", None)
        if bench is not None:
            self._bench = bench
        if step.total:
            self.checks = (step.done, step.total)
        found = getattr(step, "findings", None)
        self.progress.emit(step)
        if found is not None:
            self.findings = found
            self.changed.emit()

    def _done(self, diagnosis: Diagnosis) -> None:
        self.take(diagnosis)
        self.ended()
        self.view.begin()

    def take(self, diagnosis: Diagnosis) -> None:
        """Let another diagnosis count."""
        self.diagnosis, self.findings = diagnosis, diagnosis.report.findings

    def _gone(self) -> None:
        """Note that a step that was let go has ended; the network may be asked again."""
        self._let_go = False
        self.view.again()

    def _stopped(self) -> None:
        """Keep what was found before; a test again that was stopped never was."""
        if self.diagnosis is not None:
            self.findings = self.diagnosis.report.findings
        elif self._bench is not None and self.findings:
            from ..app.diagnose import unfinished  # noqa: PLC0415 - imported by the worker already

            self.take(unfinished(self._bench, self.findings))
        self.stopped = not self.remedies.testing
        self.ended()

    def ended(self) -> None:
        """Tell everybody that nothing is under way any more."""
        self.remedies.testing = False
        self.progress.emit(None)
        self.changed.emit()
        self.chosen_changed.emit()

    # ------------------------------------------------------------------ reports

    def run(self) -> Run | None:
        """Return the run the findings are about, None if it is gone or they are about files."""
        number = 0 if self.target is None else self.target.run
        return next((r for r in self.desk.work.session.runs if r.id == number), None)

    def save(self, path: str) -> None:
        """Write the report in the background, .html or .json."""
        diagnosis, applied = self.diagnosis, self.remedies.applied
        if diagnosis is None:
            return

        def done(written: str) -> None:
            self.told.emit(f"Saved as {written}.")

        handlers = Handlers(done, self.failed.emit)
        self._saving.request(lambda: save_steps(diagnosis, path, applied), handlers)

    @property
    def saving(self) -> bool:
        """Whether a report is being written."""
        return self._saving.busy


_DIAGNOSING: weakref.WeakKeyDictionary[Desk, Diagnosing] = weakref.WeakKeyDictionary()


def diagnosing_for(viewer: Any) -> Diagnosing:
    """Return what diagnoses in a viewer (a proxy is fine), making it on the first call."""
    desk = desk_for(viewer)
    found = _DIAGNOSING.get(desk)
    if found is None:
        found = _DIAGNOSING[desk] = Diagnosing(desk)
    return found
