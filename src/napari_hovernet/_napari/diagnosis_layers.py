"""Layers of one item of the files under diagnosis: a group of its own, beside everything else.

Beside :mod:`.layers` the only place that adds or changes layers of a diagnosis.
"""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Layer
from qtpy.QtCore import QTimer

from .desk import FLY_MARGIN, SMALLEST_BOX
from .diagnosis_item import GROUP, ItemView, layer_name
from .diagnosis_words import LAYER_NAMES
from .images import METADATA_KEY
from .run_previews import beside
from .view import camera_of, canvas_size

if TYPE_CHECKING:
    from napari.components import ViewerModel

PAUSE_MS = 15
"""Between two layers that are changed, for the viewer to do other things."""

Box = tuple[int, int, int, int]


class ItemLayers:
    """Shows one item at a time; its layers come one after the other.

    Parameters
    ----------
    viewer : ViewerModel
        Only a weak reference is kept.
    later : callable, optional
        Runs a function soon; tests run it at once.
    """

    def __init__(
        self, viewer: ViewerModel, later: Callable[[Callable[[], None]], None] | None = None
    ) -> None:
        self._viewer_ref = weakref.ref(viewer)
        self._later = later or (lambda action: QTimer.singleShot(PAUSE_MS, action))
        self._waiting: deque[tuple[str, Layer]] = deque()
        self._corner: tuple[float, float] | None = None
        self._roles: frozenset[str] = frozenset()
        self._box: Box | None = None
        self.shown: ItemView | None = None

    @property
    def settled(self) -> bool:
        """Whether no layer waits to be added."""
        return not self._waiting

    def show(self, view: ItemView, roles: Sequence[str] | frozenset[str], box: Box | None) -> None:
        """Show an item in the place of the one before, some of its layers switched on.

        Parameters
        ----------
        view : ItemView
        roles : set of str
            Layers that are switched on; the others are off.
        box : tuple of int, optional
            Part to fly to (r0, r1, c0, c1), pixels of the item; None = the camera stays.
        """
        viewer = self._viewer_ref()
        if viewer is None:
            return
        self._roles, self._box = frozenset(roles), box
        if self.shown is view and self.settled:
            self._switch()
            self._fly()
            return
        before = self.layers()
        if self._corner is None or not before:
            self._corner = beside(viewer)
        self.shown = view
        idle = not self._waiting
        order = sorted(view.made, key=lambda role: role not in self._roles)
        self._waiting = deque((role, view.made.pop(role)) for role in order)
        for layer in before:
            _known(layer)["old"] = True
        if idle:
            self._next()

    def look(self, roles: frozenset[str]) -> None:
        """Switch layers on and off."""
        self._roles = roles
        self._switch()

    def clear(self) -> None:
        """Take the group out of the viewer."""
        self._waiting.clear()
        self.shown = None
        viewer = self._viewer_ref()
        if viewer is not None:
            for layer in self.layers():
                viewer.layers.remove(layer)

    def layers(self) -> list[Layer]:
        """Layers of the group that are in the viewer."""
        viewer = self._viewer_ref()
        return [] if viewer is None else [x for x in viewer.layers if GROUP in _known(x)]

    # ------------------------------------------------------------------ inner

    def _next(self) -> None:
        viewer = self._viewer_ref()
        if not self._waiting or viewer is None:
            return
        role, layer = self._waiting.popleft()
        self._put(viewer, role, layer)
        if not any(x in self._roles for x, _ in self._waiting):  # those that are looked at stand
            self._drop_old(viewer)
            self._fly()
        if self._waiting:
            self._later(self._next)

    def _put(self, viewer: ViewerModel, role: str, layer: Layer) -> None:
        """Add a layer in its place in the group; the selection stays."""
        active = viewer.layers.selection.active
        layer.translate = np.add(layer.translate, self._corner or (0.0, 0.0))
        layer.visible = role in self._roles
        order = list(LAYER_NAMES)
        mine = [x for x in self.layers() if "old" not in _known(x)]
        above = [x for x in mine if order.index(_known(x)["role"]) > order.index(role)]
        at = min((viewer.layers.index(x) for x in above), default=len(viewer.layers))
        viewer.layers.insert(at, layer)
        if active is not None and active in viewer.layers:
            viewer.layers.selection.active = active

    def _drop_old(self, viewer: ViewerModel) -> None:
        """Take the item before out; the names that were taken are free then."""
        for layer in self.layers():
            if "old" in _known(layer):
                viewer.layers.remove(layer)
        for layer in self.layers():
            layer.name = layer_name(_known(layer)[GROUP], _known(layer)["role"])

    def _switch(self) -> None:
        for layer in self.layers():
            wanted = _known(layer)["role"] in self._roles
            if layer.visible != wanted:
                layer.visible = wanted

    def _fly(self) -> None:
        """Go to the box, once."""
        viewer, box = self._viewer_ref(), self._box
        self._box = None
        if viewer is not None and box is not None and self._corner is not None:
            fly(viewer, box, self._corner)


def fly(viewer: ViewerModel, box: Box, corner: tuple[float, float]) -> None:
    """Bring a box of an item that lies at ``corner`` to the middle of the canvas."""
    r0, r1, c0, c1 = box
    camera = camera_of(viewer)
    middle = (corner[0] + (r0 + r1 - 1) / 2, corner[1] + (c0 + c1 - 1) / 2)
    camera.center = (*camera.center[:-2], *middle)
    extent = np.array([max(r1 - r0, SMALLEST_BOX), max(c1 - c0, SMALLEST_BOX)], float)
    size = np.asarray(canvas_size(viewer), float)
    camera.zoom = float((1 - FLY_MARGIN) * (size / extent).min())


def _known(layer: Layer) -> dict[str, Any]:
    known: dict[str, Any] = layer.metadata.get(METADATA_KEY, {})
    return known
