"""Cells of a viewer's grid beside each other, and the viewer as it was afterwards.

Beside :mod:`.layers` and :mod:`.study_layers` the only place that hides, adds and removes
layers; what it adds is its own, and what it hides it shows again.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from napari.layers import Image, Labels, Layer
from napari.utils.colormaps import DirectLabelColormap
from psygnal import Signal
from qtpy.QtCore import QTimer

from ..core.measure.changes import KINDS, MATCHED, MERGED, ONLY_A, ONLY_B, RESHAPED, SPLIT
from .images import METADATA_KEY
from .run_layers import CONTOUR_COLORMAP, rgba
from .study_layers import Extra, make_extra
from .view import camera_of, canvas_size, grid_of

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from ..app.session import Run
    from ..core.types import Int32

DIFFERENCE_COLORS = {
    MATCHED: (255, 255, 255),
    ONLY_A: (86, 180, 233),
    ONLY_B: (240, 228, 66),
    RESHAPED: (0, 0, 0),
    MERGED: (213, 94, 0),
    SPLIT: (204, 121, 167),
}
"""RGB in 0..255 (Okabe and Ito): told apart with every common colour vision."""
PALE = 0.25
"""Opacity of nuclei that are alike in both."""
DIFFERENCE_OPACITY = 0.75
SPACING_PX = 6
"""Screen pixels between two cells."""
FILLED = 0.97
"""Share of a cell that a layer fills which was seen whole."""
GRID_SETTINGS = ("stride", "shape", "spacing", "enabled")
CONTOUR = 2
"""Width of the outlines of A and B, where the run's own layer is not there to ask."""


class GridView:
    """Takes a viewer over for cells beside each other, and gives it back.

    Signals
    -------
    lost
        One of the cells' layers was removed by someone else.

    Parameters
    ----------
    viewer : ViewerModel
        Only a weak reference is kept.
    """

    lost: ClassVar[Signal] = Signal()

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer_ref = weakref.ref(viewer)
        self._ours: list[Layer] = []
        self._visible: list[tuple[weakref.ref[Layer], bool]] = []
        self._grid: dict[str, Any] = {}
        self._camera: dict[str, Any] = {}
        self._active: weakref.ref[Layer] | None = None
        viewer.layers.events.inserted.connect(self._inserted)
        viewer.layers.events.removed.connect(self._removed)

    @property
    def viewer(self) -> ViewerModel:
        """The viewer; TypeError once it is gone."""
        viewer = self._viewer_ref()
        if viewer is None:
            raise TypeError("The viewer of this grid is gone.")
        return viewer

    @property
    def on(self) -> bool:
        """Whether the cells are shown."""
        return bool(self._ours)

    def enter(self, cells: Sequence[Sequence[Layer]]) -> None:
        """Show cells from left to right, each with as many layers, the lowest first."""
        viewer, grid, camera = self.viewer, grid_of(self.viewer), camera_of(self.viewer)
        self._grid = {name: getattr(grid, name) for name in GRID_SETTINGS}
        self._camera = {name: getattr(camera, name) for name in ("center", "zoom", "angles")}
        active = viewer.layers.selection.active
        self._active = None if active is None else weakref.ref(active)
        self._hide_others()
        self._ours = [layer for cell in reversed(cells) for layer in cell]
        for layer in self._ours:
            viewer.layers.append(layer)
        viewer.layers.selection.active = cells[0][-1]
        grid.stride = -len(cells[0])  # negative: counted from the top, whatever lies beneath
        grid.shape, grid.spacing = (1, len(cells)), SPACING_PX
        before = canvas_size(viewer)
        grid.enabled = True
        camera.center = self._camera["center"]
        camera.zoom = self._camera["zoom"] * self._smaller(before, cells[0][0])

    def leave(self) -> None:
        """Remove the cells' layers; grid, camera and visible layers are as they were."""
        if not self._ours:
            return
        viewer, ours = self.viewer, self._ours
        self._ours = []
        grid, camera = grid_of(viewer), camera_of(viewer)
        grid.enabled = False
        for layer in ours:
            if layer in viewer.layers:
                viewer.layers.remove(layer)
        for ref, visible in self._visible:
            layer = ref()
            if layer is not None:  # also if it is out: undo may bring it back
                layer.visible = visible
        self._visible = []
        for name, value in self._grid.items():
            setattr(grid, name, value)
        for name, value in self._camera.items():
            setattr(camera, name, value)
        active = None if self._active is None else self._active()
        if active is not None and active in viewer.layers:
            viewer.layers.selection.active = active

    def _smaller(self, before: tuple[int, int], layer: Layer) -> float:
        """Factor of the zoom at which a cell shows of a layer what the canvas showed."""
        extent = layer.extent
        edges = (np.ptp(extent.world, axis=0) + extent.step)[-2:] * self._camera["zoom"]
        seen = np.minimum(before, np.maximum(edges / FILLED, 1.0))
        return float((np.asarray(canvas_size(self.viewer)) / seen).min())

    def _hide_others(self) -> None:
        known = {id(ref()) for ref, _ in self._visible}
        for layer in self.viewer.layers:
            if layer not in self._ours and id(layer) not in known:
                self._visible.append((weakref.ref(layer), layer.visible))
                layer.visible = False

    def _inserted(self, event: Any) -> None:
        if self._ours and event.value not in self._ours:
            QTimer.singleShot(0, self._tidy)

    def _tidy(self) -> None:
        """Hide what others have added meanwhile, and lift the cells above it."""
        viewer = self._viewer_ref()
        if viewer is None or not self._ours:
            return
        self._hide_others()
        layers = viewer.layers
        if list(layers)[-len(self._ours) :] != self._ours:
            layers.move_multiple([layers.index(x) for x in self._ours], len(layers))

    def _removed(self, event: Any) -> None:
        if event.value in self._ours:  # whoever removes layers may be about to remove more
            QTimer.singleShot(0, self._tell_lost)

    def _tell_lost(self) -> None:
        if self._ours and self._viewer_ref() is not None:
            self.lost.emit()


def image_copy(image: Image, run: Run, role: str, name: str) -> Image:
    """Return a second layer over an image's very data, that looks and lies the same."""
    data, keywords, _ = image.as_layer_data_tuple()
    keywords.pop("experimental_clipping_planes", None)
    keywords.pop("plane", None)
    data = list(data) if image.multiscale else data
    keywords.update(
        name=name,
        visible=True,
        metadata={METADATA_KEY: {"run": run.id, "role": role, "extra": True}},
    )
    return Image(data, **keywords)


def outline_copy(run: Run, labels: Int32, like: Labels | None, role: str, name: str) -> Labels:
    """Return outlines of labels (H, W) over a run, that look like its nuclei layer.

    Nobody can paint on them: corrections belong onto the run's own layer.
    """
    look: dict[str, Any] = {"opacity": 1.0, "contour": CONTOUR, "colormap": CONTOUR_COLORMAP}
    if like is not None:
        look.update(opacity=like.opacity, contour=like.contour, features=like.features.copy())
        look["colormap"] = _own_colormap(like.colormap)
    layer = make_extra(run, Extra(role, "labels", name, labels, look))
    layer.name, layer.editable = name, False
    if not isinstance(layer, Labels):
        raise TypeError(f"{name} became {type(layer).__name__}.")
    return layer


def difference_layer(run: Run, kinds: Any, role: str, name: str) -> Labels:
    """Return the layer of differences; ``kinds`` as in :class:`LabelDifference`, int32.

    napari compiles a map of single colours once for every dtype of labels (0.5 s); that for
    int32 is there already wherever nuclei have had colours of their own.
    """
    colors: dict[int | None, Any] = {None: (0.0, 0.0, 0.0, 0.0), 0: (0.0, 0.0, 0.0, 0.0)}
    for kind, color in DIFFERENCE_COLORS.items():
        red, green, blue, alpha = rgba(color)
        colors[kind] = (red, green, blue, PALE if kind == MATCHED else alpha)
    look = {
        "colormap": DirectLabelColormap(color_dict=colors),
        "opacity": DIFFERENCE_OPACITY,
        "features": {"index": list(KINDS), "difference": list(KINDS.values())},
    }
    layer = make_extra(run, Extra(role, "labels", name, kinds, look))
    layer.name, layer.editable = name, False
    if not isinstance(layer, Labels):
        raise TypeError(f"{name} became {type(layer).__name__}.")
    return layer


def no_difference(shape: tuple[int, int]) -> Any:
    """Return the kinds of two segmentations that have not been compared yet."""
    return np.zeros(shape, np.int32)


def _own_colormap(colormap: Any) -> Any:
    """Copy a colormap of single colours: napari changes it with the layer it belongs to."""
    if isinstance(colormap, DirectLabelColormap):
        return DirectLabelColormap(color_dict=dict(colormap.color_dict))
    return colormap
