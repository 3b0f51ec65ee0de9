"""From error to error: which one is looked at, and flying there."""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar

from psygnal import Signal

from ..core.measure.compare import ERROR_KINDS

if TYPE_CHECKING:
    from ..core.measure.compare import ErrorPlace
    from .desk import Desk


class ErrorTour:
    """Goes through the errors of a desk's comparison, worst first.

    Parameters
    ----------
    desk : Desk
        Only a weak reference is kept.
    """

    moved: ClassVar[Signal] = Signal()

    def __init__(self, desk: Desk) -> None:
        self._desk_ref = weakref.ref(desk)
        self._kinds = frozenset(ERROR_KINDS)
        self._places: tuple[ErrorPlace, ...] = ()
        self._at = -1
        self._resume = 0
        desk.study.findings_changed.connect(self._renew)
        self._renew()

    @property
    def kinds(self) -> frozenset[str]:
        """The kinds of errors it stops at."""
        return self._kinds

    @property
    def places(self) -> tuple[ErrorPlace, ...]:
        """The errors of the kinds chosen."""
        return self._places

    @property
    def place(self) -> ErrorPlace | None:
        """The error looked at, None before the first step."""
        return self._places[self._at] if 0 <= self._at < len(self._places) else None

    @property
    def words(self) -> str:
        """Say where the tour stands."""
        n = len(self._places)
        if not n:
            return "No errors of these kinds." if self._compared else ""
        if self.place is None:
            return f"{n:,} place{'s' if n > 1 else ''} to look at."
        return f"{self._at + 1:,} of {n:,}: {self.place.words}"

    def choose_kinds(self, kinds: Iterable[str]) -> None:
        """Go to errors of these kinds only."""
        self._kinds = frozenset(kinds)
        self._renew()

    def step(self, by: int) -> None:
        """Go on (1) or back (-1), round and round, and fly there."""
        desk = self._desk_ref()
        if desk is None or not self._places:
            return
        if self._at >= 0:
            self._at = (self._at + by) % len(self._places)
        else:
            self._at = (self._resume + min(by, 0)) % len(self._places)
        place = self._places[self._at]
        desk.fly_to(place.box)
        desk.study.look_at(place.pred_ids[0] if place.pred_ids else 0)
        self.moved.emit()

    @property
    def _compared(self) -> bool:
        desk = self._desk_ref()
        findings = None if desk is None else desk.study.findings
        return findings is not None and findings.comparison is not None

    def _renew(self, _findings: Any = None) -> None:
        """Take in new errors; the one looked at stays, or else its place in the row."""
        desk = self._desk_ref()
        findings = None if desk is None else desk.study.findings
        comparison = None if findings is None else findings.comparison
        found = None if comparison is None else comparison.places
        before = self.place
        errors = () if found is None else found.errors
        self._places = tuple(place for place in errors if place.kind in self._kinds)
        if before in self._places:
            self._at = self._places.index(before)
        elif before is not None:  # put right: the next one has moved up, a step leads to it
            self._resume, self._at = self._at, -1
        if not self._places:
            self._resume = 0
        self.moved.emit()
