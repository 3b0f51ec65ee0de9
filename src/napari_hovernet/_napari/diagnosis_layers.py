"""Layers of one item of the files under diagnosis: a group of its own, beside everything else.

Beside :mod:`.layers` the only place that adds or changes layers of a diagnosis.
"""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Labels, Layer
from napari.utils.colormaps import DirectLabelColormap
from qtpy.QtCore import QTimer

from ..core.types import Progress
from ..errors import InputError
from .desk import FLY_MARGIN, SMALLEST_BOX
from .diagnosis_words import LAYER_NAMES
from .images import METADATA_KEY
from .run_layers import (
    CONTOUR_COLORMAP,
    HV_COLORMAP,
    HV_LIMITS,
    PROBABILITY_LIMITS,
    PYRAMID_EDGE,
    pyramid,
)
from .run_previews import beside
from .view import camera_of, canvas_size

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from ..core.diagnosis.bench import Bench

GROUP = "diagnosis"
"""Key in a layer's metadata: name of the item it shows."""
PAUSE_MS = 15
"""Between two layers that are changed, for the viewer to do other things."""
CONTOURS = {"truth": 2, "instances": 2, "types": 0}
"""Width in pixels of outlines; 0 = filled."""
TYPES_OPACITY = 0.5
MAPS = {
    "np": ("viridis", PROBABILITY_LIMITS),
    "target_np": ("viridis", PROBABILITY_LIMITS),
    "magnitude": ("inferno", PROBABILITY_LIMITS),
    "hv_x": (HV_COLORMAP, HV_LIMITS),
    "hv_y": (HV_COLORMAP, HV_LIMITS),
    "target_hv_x": (HV_COLORMAP, HV_LIMITS),
    "target_hv_y": (HV_COLORMAP, HV_LIMITS),
}
"""Colormap and limits of each map."""
TRUTH_COLORMAP = DirectLabelColormap(
    color_dict={None: (1.0, 1.0, 1.0, 1.0), 0: (0.0, 0.0, 0.0, 0.0), 1: (1.0, 1.0, 1.0, 1.0)}
)
"""True outlines are white, predicted ones coloured."""

Box = tuple[int, int, int, int]


@dataclass(frozen=True, eq=False)
class ItemView:
    """What can be shown of an item.

    Parameters
    ----------
    index : int
    name : str
    arrays : dict
        By role: uint8 (H, W, 3), float32 (H, W) or int32 (H, W).
    whole : bool
        Whether the network's maps are among them, if there is a network.
    bench : Bench, optional
        Of the diagnosis it belongs to.
    made : dict
        Layers by role, made in the worker thread.
    """

    index: int
    name: str
    arrays: dict[str, Any]
    whole: bool = True
    bench: Any = None
    made: dict[str, Layer] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels of the lowest layer."""
        first = next(iter(self.arrays.values()))
        return int(first.shape[0]), int(first.shape[1])


def item_steps(
    source: Bench, index: int, *, bench: Bench | None = None, whole: bool = True
) -> Generator[Progress, None, ItemView]:
    """Read what can be shown of an item, in a worker thread.

    Parameters
    ----------
    source : Bench
    index : int
        Number of the item in the case.
    bench : Bench, optional
        Of the diagnosis it belongs to, where it is not the source.
    whole : bool
        Whether to ask the network and the separation too.

    Raises
    ------
    InputError
        If nothing of it can be read.
    """
    yield Progress(0, 0, "Reading the image ...")
    item = source.item(index)
    found: dict[str, Any] = {}
    name = f"image {index}"
    if item is not None:
        name = item.name
        hv = item.target_hv
        found = {"image": item.image, "types": item.types, "target_np": item.target_np}
        found["truth"] = item.labels
        if hv is not None:
            found |= {"target_hv_x": hv[0], "target_hv_y": hv[1]}
    if whole:
        yield Progress(0, 0, "Predicting the image ...")
        maps = source.maps(index)
        if maps is not None:
            found |= {"np": maps.np, "hv_x": maps.hv[0], "hv_y": maps.hv[1]}
            found["magnitude"] = maps.magnitude
            yield Progress(0, 0, "Separating nuclei ...")
            found["instances"] = source.instances(index)
    arrays = {role: found[role] for role in LAYER_NAMES if found.get(role) is not None}
    if not arrays:
        why = source.failures.get(index, "there is nothing of it to see.")
        raise InputError(f"{name} cannot be shown: {why}")
    view = ItemView(index, name, arrays, whole, bench or source)
    for role in arrays:
        yield Progress(0, 0, "Making layers ...")
        view.made[role] = make_layer(role, view)
    return view


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
        for layer in self.layers():
            if "old" in _known(layer):
                viewer.layers.remove(layer)

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


def make_layer(role: str, view: ItemView) -> Layer:
    """Make one layer of an item; touches no viewer."""
    data = view.arrays[role]
    scale = np.divide(view.shape, data.shape[:2])
    known = {GROUP: view.name, "role": role}
    if role != "image":  # maps and outlines are nothing to segment, nor to compare with
        known["run"] = f"{GROUP} {view.name}"
    keywords: dict[str, Any] = {
        "name": f"Diagnosis: {view.name} · {LAYER_NAMES[role]}",
        "metadata": {METADATA_KEY: known},
        "scale": scale,
        "translate": (scale - 1) / 2,
        "visible": False,
    }
    if role == "image":
        return Image(data, rgb=True, **keywords)
    levels = pyramid(data)
    if max(data.shape) > PYRAMID_EDGE:
        keywords["multiscale"] = True
    shown = levels if len(levels) > 1 else data
    if role in CONTOURS:
        colors = TRUTH_COLORMAP if role == "truth" else CONTOUR_COLORMAP
        layer = Labels(_whole(shown), colormap=colors, **keywords)
        layer.contour = CONTOURS[role]
        layer.opacity = 1.0 if CONTOURS[role] else TYPES_OPACITY
        layer.editable = False
        return layer
    colormap, limits = MAPS[role]
    return Image(
        shown,
        rgb=False,
        colormap=colormap,
        contrast_limits=limits,
        blending="translucent_no_depth",
        **keywords,
    )


def _whole(data: Any) -> Any:
    if isinstance(data, list):
        return [np.asarray(level, np.int32) for level in data]
    return np.asarray(data, np.int32)


def _known(layer: Layer) -> dict[str, Any]:
    known: dict[str, Any] = layer.metadata.get(METADATA_KEY, {})
    return known
