"""Which finding is looked at, and the viewer over its worst places."""

from __future__ import annotations

import weakref
from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QTimer

from .diagnosis_item import ItemView, item_steps
from .diagnosis_layers import PAUSE_MS, Box, ItemLayers
from .diagnosis_run import outline, switch_layers
from .diagnosis_state import RUN
from .diagnosis_steps import pictures_of
from .diagnosis_words import shown_roles
from .latest import Latest
from .runner import Handlers
from .viewer_keys import ViewerKeys

if TYPE_CHECKING:
    from ..app.jobs import Steps
    from ..app.session import Run
    from ..core.diagnosis.report import Finding, Place
    from .desk import Desk
    from .diagnosing import Diagnosing

NEXT_KEY, BACK_KEY = ".", ","
"""Keys of the viewer: on to the next example and back."""


class DiagnosisView:
    """Looks at one finding, one example of it, and one of its maps.

    Parameters
    ----------
    desk : Desk
    owner : Diagnosing
        Only weak references to both are kept.
    """

    def __init__(self, desk: Desk, owner: Diagnosing) -> None:
        self._desk_ref, self._owner_ref = weakref.ref(desk), weakref.ref(owner)
        self.layers = ItemLayers(desk.viewer)
        self._reading = Latest(desk.runner, "Reading an image")
        self._outlined: Run | None = None
        self._seen: tuple[frozenset[str], Place] | None = None
        self.finding_id, self.at, self.map = "", -1, ""
        ref = weakref.ref(self)
        self.keys = ViewerKeys(
            desk.viewer, {NEXT_KEY: partial(_step, ref, 1), BACK_KEY: partial(_step, ref, -1)}
        )

    @property
    def owner(self) -> Diagnosing:
        """The diagnosis; TypeError once it is gone."""
        owner = self._owner_ref()
        if owner is None:
            raise TypeError("The diagnosis of this view is gone.")
        return owner

    @property
    def busy(self) -> bool:
        """Whether an image is on its way into the viewer."""
        return self._reading.busy or not self.layers.settled or self._outlined is not None

    @property
    def finding(self) -> Finding | None:
        """The finding that is looked at."""
        return self.owner.find(self.finding_id)

    @property
    def place(self) -> Place | None:
        """The example that is looked at."""
        finding = self.finding
        places = () if finding is None else finding.places
        return places[self.at] if 0 <= self.at < len(places) else None

    # ------------------------------------------------------------------ what is looked at

    def clear(self) -> None:
        """Look at nothing; another diagnosis begins."""
        self._reading.cancel()
        self.layers.clear()
        self._seen = self._outlined = None
        self.finding_id, self.at, self.map = "", -1, ""
        self.owner.chosen_changed.emit()

    def begin(self) -> None:
        """Show the most likely cause once all is known, unless the user looks at something."""
        if self.finding is not None:
            self.again()
            return
        first = next((f for f in self.owner.findings if f.is_cause), None)
        self.choose("" if first is None else first.id)

    def choose(self, finding_id: str, *, go: bool = False) -> None:
        """Look at a finding.

        Parameters
        ----------
        finding_id : str
        go : bool
            Whether to fly to its worst place.
        """
        self.finding_id, self.at, self.map = finding_id, -1, ""
        if go and self.finding is not None and self.finding.places:
            self.go(0)
        else:
            self.owner.chosen_changed.emit()

    def go(self, index: int) -> None:
        """Fly to an example of the finding."""
        self.at = index
        self.owner.chosen_changed.emit()
        self._show()

    def step(self, by: int) -> None:
        """Go on to the next example (1) or back (-1), round and round."""
        finding = self.finding
        if finding is None or not finding.places:
            return
        start = self.at if self.at >= 0 else min(-by, 0)
        self.go((start + by) % len(finding.places))

    def look_at(self, role: str) -> None:
        """Show another map of the finding."""
        self.map = role
        if self.at < 0:
            self.go(0)
        else:
            self._show()
        self.owner.chosen_changed.emit()

    def again(self) -> None:
        """Read the image anew that is looked at: it may be read in another way by now."""
        if self.layers.shown is None:
            return
        if self.place is not None:
            self._show(fly=False)
        elif self._seen is not None:  # what is mended has no examples any more
            self._show_item(*self._seen, None)

    # ------------------------------------------------------------------ showing

    def _show(self, *, fly: bool = True) -> None:
        desk, place, target = self._desk_ref(), self.place, self.owner.target
        if desk is None or desk.work.closed or place is None or target is None:
            return
        finding = self.finding
        roles = shown_roles(() if finding is None else finding.layers, self.map)
        if target.kind == RUN:
            self._show_run(desk, roles, place)
        else:
            self._show_item(roles, place, place.box if fly else None)

    def _show_run(self, desk: Desk, roles: frozenset[str], place: Place) -> None:
        run = self.owner.run()
        if run is None:
            self.owner.told.emit("The run of this diagnosis has been removed.")
            return
        desk.choose_run(run.id)
        switch_layers(desk, run, roles)
        desk.fly_to(place.box)
        self._outlined = run if "truth" in roles else None
        if self._outlined is not None:
            QTimer.singleShot(PAUSE_MS, self._outline)

    def _outline(self) -> None:
        """Draw the truth once the viewer has flown, unless something else is looked at by now."""
        desk, run = self._desk_ref(), self._outlined
        self._outlined = None
        if desk is None or desk.work.closed or run is None or run is not self.owner.run():
            return
        outline(desk, run)

    def _show_item(self, roles: frozenset[str], place: Place, box: Box | None) -> None:
        owner, self._seen = self.owner, (roles, place)
        bench = owner.bench
        if bench is None:
            return
        known = owner.diagnosis is not None and owner.at_rest
        whole = known or bench.case.predictor is None
        shown = self.layers.shown
        fresh = shown is not None and shown.index == place.item and shown.bench is bench
        if fresh and shown is not None and shown.whole == whole:
            self._reading.cancel()
            self.layers.show(shown, roles, box)
            return

        def done(view: ItemView) -> None:
            self.layers.show(view, roles, box)

        self._reading.request(
            lambda: _read(bench, place.item, whole=whole), Handlers(done, owner.failed.emit)
        )


def _read(bench: Any, index: int, *, whole: bool) -> Steps[ItemView]:
    """Read an item; while checks are made with a network, it is not asked."""
    used = bench if whole else pictures_of(bench)
    return item_steps(used, index, bench=bench, whole=whole)


def _step(ref: weakref.ref[DiagnosisView], by: int) -> None:
    view = ref()
    if view is not None:
        view.step(by)
