"""Layers that panels add to a run: stages, arrows, colourings; found by run and role.

Beside :mod:`.layers` the only place that adds or changes layers.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer, Vectors

from ..app.session import Run
from .images import METADATA_KEY, Placement
from .run_layers import PYRAMID_EDGE, pyramid

KINDS = {"image": Image, "labels": Labels, "vectors": Vectors}
KEPT = ("name", "opacity", "blending")
"""What the user may have set, taken over where a layer has to be made anew."""


@dataclass(frozen=True, eq=False)
class Extra:
    """A layer to be.

    Parameters
    ----------
    role : str
        Tells it from the other layers of the run: "energy", "markers", "blobs" ...
    kind : {"image", "labels", "vectors"}
    name : str
        Shown after the run's title.
    data : array
        (H, W), or (n, 2, 2) for vectors (start and projection, row and column), in pixels
        of the run's arrays.
    look : mapping
        Keywords of the layer: ``colormap``, ``contrast_limits``, ``features`` ...
    offset : tuple of int
        Row and column in the run's arrays of the first pixel of ``data``.
    """

    role: str
    kind: str
    name: str
    data: Any
    look: Mapping[str, Any] = field(default_factory=dict)
    offset: tuple[int, int] = (0, 0)


class StudyLayers:
    """Adds, updates and removes extra layers; the user's own changes to them stay.

    Parameters
    ----------
    viewer : ViewerModel
        Only a weak reference is kept.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer_ref = weakref.ref(viewer)

    @property
    def _layers(self) -> Any:
        viewer = self._viewer_ref()
        if viewer is None:
            raise TypeError("The viewer of these layers is gone.")
        return viewer.layers

    def show(self, run: Run, extra: Extra) -> Layer:
        """Add the layer, or bring the one that is there up to date and into sight."""
        layer = self.find(run.id, extra.role)
        before: dict[str, Any] = {}
        if layer is not None and not fits(layer, extra):
            before = {name: getattr(layer, name) for name in KEPT}
            self._layers.remove(layer)
            layer = None
        if layer is None:
            layer = make_extra(run, extra)
            for name, value in before.items():
                setattr(layer, name, value)
            self._insert(layer, run)
        else:
            update_extra(layer, run, extra)
        layer.visible = True
        return layer

    def find(self, run_id: int, role: str) -> Layer | None:
        """Return the layer of a role, None if it is not there (any more)."""
        for layer in self._layers:
            known = layer.metadata.get(METADATA_KEY, {})
            if known.get("run") == run_id and known.get("role") == role:
                found: Layer = layer
                return found
        return None

    def remove(self, run_id: int, role: str) -> None:
        """Remove the layer of a role, if it is there."""
        layer = self.find(run_id, role)
        if layer is not None:
            self._layers.remove(layer)

    def tidy(self, runs: Iterable[int]) -> None:
        """Remove the extra layers of runs that are not among ``runs``."""
        alive = set(runs)
        for layer in list(self._layers):
            known = layer.metadata.get(METADATA_KEY, {})
            if known.get("extra") and known.get("run") not in alive:
                self._layers.remove(layer)

    def _insert(self, layer: Layer, run: Run) -> None:
        """Images go beneath the run's outlines, everything else on top; selection stays."""
        active = self._layers.selection.active
        instances = self.find(run.id, "instances")
        at = len(self._layers)
        if isinstance(layer, Image) and instances is not None:
            at = self._layers.index(instances)
        self._layers.insert(at, layer)
        if active is not None and active in self._layers:
            self._layers.selection.active = active


def fits(layer: Layer, extra: Extra) -> bool:
    """Whether a layer can take the data: of its kind, and a pyramid just where it is one."""
    if not isinstance(layer, KINDS[extra.kind]):
        return False
    large = extra.kind != "vectors" and max(np.shape(extra.data)[-2:]) > PYRAMID_EDGE
    return large == bool(getattr(layer, "multiscale", False))


def make_extra(run: Run, extra: Extra) -> Layer:
    """Make the layer; touches no viewer."""
    look = dict(extra.look)
    contour = look.pop("contour", None)
    data, more = _data(run, extra)
    place: Placement = run.placement
    row, col = run.result.offset
    keywords = {
        "name": f"{run.title} · {extra.name}",
        "metadata": {METADATA_KEY: {"run": run.id, "role": extra.role, "extra": True}},
        **place.at(row + extra.offset[0], col + extra.offset[1]),
        **more,
        **look,
    }
    layer: Layer = KINDS[extra.kind](data, **keywords)
    if contour is not None and isinstance(layer, Labels):
        layer.contour = contour
    return layer


def update_extra(layer: Layer, run: Run, extra: Extra) -> None:
    """Give an existing layer new data and looks; its name and visibility stay."""
    data, _ = _data(run, extra)
    place: Placement = run.placement
    row, col = run.result.offset
    at = place.at(row + extra.offset[0], col + extra.offset[1])["translate"]
    if tuple(layer.translate) != tuple(at):
        layer.translate = at
    layer.data = data
    for name, value in extra.look.items():
        if name in ("colormap", "features", "contrast_limits"):
            setattr(layer, name, value)


def _data(run: Run, extra: Extra) -> tuple[Any, dict[str, Any]]:
    """Fit data to the run's axes; large images become pyramids."""
    plane = run.placement.plane
    if extra.kind == "vectors":
        data = np.asarray(extra.data, np.float32)
        ends = np.zeros((len(data), 2, len(plane)), np.float32)  # the layer lies on the plane
        return np.concatenate((ends, data), axis=2), {"ndim": len(plane) + 2}
    levels = pyramid(extra.data[(None,) * len(plane)])
    more = {"rgb": False} if extra.kind == "image" else {}
    if len(levels) > 1:
        return levels, {**more, "multiscale": True}
    return levels[0], {**more, "multiscale": False}
