"""What the panels look into: one run, its instances, the truth, and what follows from them.

Plain Python with psygnal events, on the main thread only; values handed out are frozen.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, ClassVar

from psygnal import Signal

from ..core.types import Int32
from .session_state import Run
from .study_state import Findings, InstanceImage, TruthChoice

if TYPE_CHECKING:
    from ..core.magnitude_bands import MagnitudeBands


class Study:
    """One run under the glass; every change is announced by a signal.

    Whoever computes (see :mod:`napari_hovernet.app.study_steps`) hands the results in;
    results of another run or of older labels are refused by their ticket.

    Examples
    --------
    >>> study = Study()
    >>> study.run is None, study.findings is None
    (True, True)
    """

    run_changed: ClassVar[Signal] = Signal(object)
    labels_changed: ClassVar[Signal] = Signal(object)
    truth_changed: ClassVar[Signal] = Signal(object)
    bands_changed: ClassVar[Signal] = Signal(object)
    findings_changed: ClassVar[Signal] = Signal(object)
    nucleus_changed: ClassVar[Signal] = Signal(int)

    def __init__(self) -> None:
        self._thread = threading.get_ident()
        self._run: Run | None = None
        self._instances: InstanceImage | None = None
        self._truth: TruthChoice | None = None
        self._bands: MagnitudeBands | None = None
        self._findings: Findings | None = None
        self._nucleus = 0
        self._ticket = 0

    @property
    def run(self) -> Run | None:
        """The run looked into, None if there is none."""
        return self._run

    @property
    def instances(self) -> InstanceImage | None:
        """Its instances as they are now, corrections included."""
        return self._instances

    @property
    def labels(self) -> Int32 | None:
        """Label image of :attr:`instances`, int32 (H, W)."""
        return None if self._instances is None else self._instances.labels

    @property
    def truth(self) -> TruthChoice | None:
        """What the run is compared with, None if nothing."""
        return self._truth

    @property
    def bands(self) -> MagnitudeBands:
        """Bounds by which a magnitude is called collapsed, weak or healthy."""
        if self._bands is None:
            from ..core.magnitude_bands import MagnitudeBands  # noqa: PLC0415 - on first use

            self._bands = MagnitudeBands()
        return self._bands

    @property
    def findings(self) -> Findings | None:
        """What is known of the run; None until it was looked at."""
        return self._findings

    @property
    def nucleus(self) -> int:
        """Id of the nucleus looked at, 0 = none."""
        return self._nucleus

    @property
    def ticket(self) -> int:
        """Number that changes with everything findings depend on."""
        return self._ticket

    def choose_run(self, run: Run | None) -> None:
        """Look into another run; the truth stays, to be checked against the new size."""
        self._on_main_thread()
        if run is self._run:
            return
        self._run = run
        self._instances = None if run is None else InstanceImage(run.result.labels)
        self._renew()
        self.run_changed.emit(run)
        self.look_at(0)

    def set_labels(self, labels: Int32, *, corrected: bool) -> None:
        """Take the instances as they are now; the array must not change afterwards."""
        self._on_main_thread()
        if self._run is None:
            return
        self._instances = InstanceImage(labels, corrected)
        self._renew(keep=True)
        self.labels_changed.emit(self._instances)

    def choose_truth(self, truth: TruthChoice | None) -> None:
        """Compare with this from now on; None = with nothing."""
        self._on_main_thread()
        self._truth = truth
        self._renew(keep=True)
        self.truth_changed.emit(truth)

    def set_bands(self, bands: MagnitudeBands) -> None:
        """Set the bounds of the traffic light."""
        self._on_main_thread()
        if bands != self.bands:
            self._bands = bands
            self._renew(keep=True)
            self.bands_changed.emit(bands)

    def look_at(self, nucleus: int) -> None:
        """Look at one nucleus, 0 = none."""
        self._on_main_thread()
        if nucleus != self._nucleus:
            self._nucleus = nucleus
            self.nucleus_changed.emit(nucleus)

    def take(self, findings: Findings, ticket: int) -> bool:
        """Take in findings, unless something they depend on has changed since ``ticket``."""
        self._on_main_thread()
        if ticket != self._ticket:
            return False
        self._findings = findings
        self.findings_changed.emit(findings)
        return True

    def _renew(self, *, keep: bool = False) -> None:
        """Make present and coming findings outdated; old ones stay in sight if ``keep``."""
        self._ticket += 1
        if not keep and self._findings is not None:
            self._findings = None
            self.findings_changed.emit(None)

    def _on_main_thread(self) -> None:
        if threading.get_ident() != self._thread:
            raise TypeError(
                "Study was changed from another thread; send the value to the main thread."
            )
