"""Remedies of a diagnosis: applied and tested again, taken back, taken to the tuner."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from .diagnosis_state import RUN, Applied
from .diagnosis_steps import retest
from .diagnosis_words import NOT_TESTED, change_words

if TYPE_CHECKING:
    from ..app.diagnose import Diagnosis
    from ..core.diagnosis.report import Finding
    from .diagnosing import Diagnosing

TUNABLE = ("separation", "np_threshold", "hv_order", "hv_sign", "hv_scale")
"""Remedies that the panel "Tune separation" can take."""


class Remedies:
    """Applies remedies of the finding that is looked at.

    Parameters
    ----------
    owner : Diagnosing
        Only a weak reference is kept.
    """

    def __init__(self, owner: Diagnosing) -> None:
        self._owner_ref = weakref.ref(owner)
        self.applied: tuple[Applied, ...] = ()
        self.testing = False

    @property
    def owner(self) -> Diagnosing:
        """The diagnosis; TypeError once it is gone."""
        owner = self._owner_ref()
        if owner is None:
            raise TypeError("The diagnosis of these remedies is gone.")
        return owner

    def clear(self) -> None:
        """Forget everything; another diagnosis begins."""
        self.applied, self.testing = (), False

    def can_apply(self, finding: Finding | None) -> bool:
        """Whether the remedy of a finding can be applied now."""
        ready = self.owner.diagnosis is not None and not self.owner.busy
        return ready and finding is not None and bool(finding.remedy.action)

    def apply(self) -> None:
        """Apply the remedy of the finding that is looked at, and test again."""
        owner = self.owner
        finding, was = owner.view.finding, owner.diagnosis
        if finding is None or was is None or not self.can_apply(finding):
            return

        def done(diagnosis: Diagnosis) -> None:
            owner.take(diagnosis)
            now = owner.find(finding.id)
            made = Applied(
                finding.id,
                finding.title,
                change_words(finding.remedy.action, finding.remedy.value),
                finding.verdict,
                NOT_TESTED if now is None else now.verdict,
                was,
            )
            self.applied = (*self.applied, made)
            owner.ended()
            owner.view.again()

        self.testing = True
        owner.request(lambda: retest(was, finding), done)
        owner.changed.emit()
        owner.chosen_changed.emit()

    def undo(self) -> None:
        """Take the last remedy back."""
        owner = self.owner
        if not self.applied or owner.busy:
            return
        last, self.applied = self.applied[-1], self.applied[:-1]
        owner.take(last.was)
        owner.changed.emit()
        owner.view.choose(last.finding)
        owner.view.again()

    def tunable(self, finding: Finding | None) -> bool:
        """Whether the tuner can take the remedy of a finding: it tunes the run at hand."""
        target = self.owner.target
        if finding is None or target is None or target.kind != RUN:
            return False
        return finding.remedy.action in TUNABLE and self.owner.run() is not None

    def use_in_tuner(self) -> None:
        """Set the tuner to what the remedy says.

        Raises
        ------
        InputError
            If a value is out of range there.
        """
        from .tuner import tuner_for  # noqa: PLC0415 - imports torch

        owner = self.owner
        finding, run = owner.view.finding, owner.run()
        if finding is None or run is None or not self.tunable(finding):
            return
        owner.desk.choose_run(run.id)
        tuning = tuner_for(owner.desk).tuning
        remedy = finding.remedy
        tuning.edit(tuned_with(tuning.params, remedy.action, remedy.value, tuning.preset))
        owner.told.emit("The panel Tune separation has it now; Keep as a run keeps the nuclei.")


def tuned_with(params: Any, action: str, value: Any, preset: Callable[[str], Any]) -> Any:
    """Return tuning parameters with a remedy put in.

    Parameters
    ----------
    params : TuneParams
    action : str
        One of :data:`TUNABLE`.
    value : object
    preset : callable
        Name of a preset -> SeparationParams in pixels of the run.
    """
    if action == "separation":
        fields = dict(value)
        name = fields.pop("preset", None)
        base = preset(name) if name else params.separation
        return replace(params, separation=replace(base, **fields))
    if action == "np_threshold":
        return replace(params, separation=replace(params.separation, np_threshold=value))
    return replace(params, hv=replace(params.hv, **{action.removeprefix("hv_"): value}))
