"""The only place that adds layers to a viewer, removes or changes them.

napari has no layer groups (0.9), so a run is a group by name ("compact 1 · NP"), by
``metadata["napari_hovernet"]["run"]``, and by the run list of the panel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer, Shapes

from ..app.session import Run
from .preferences import Preferences, preferences
from .run_layers import LayerSpec, layer_specs

REGION_EDGE_PX = 2
"""Width of a drawn region's outline, image pixels."""


class RunLayers:
    """Keeps the layers of a viewer equal to the runs of its session.

    Parameters
    ----------
    viewer : ViewerModel
    read_preferences : callable
        Returns the display settings to use for new layers.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        read_preferences: Callable[[], Preferences] = preferences,
    ) -> None:
        self._viewer = viewer
        self._read_preferences = read_preferences
        self._layers: dict[int, tuple[Layer, ...]] = {}
        self._shown: set[int] = set()
        self._hidden: dict[int, dict[Layer, bool]] = {}

    def sync(self, runs: Iterable[Run], kept: Iterable[Run]) -> None:
        """Add layers of new runs, remove those of runs that are gone.

        Layers of runs in ``kept`` (undo may bring them back) stay in memory with the
        user's changes to them; others are let go.
        """
        runs = tuple(runs)
        wanted = {run.id for run in runs}
        for run_id in sorted(self._shown - wanted):
            self._take_out(run_id)
        for run in runs:
            if run.id not in self._shown:
                self._put_in(run)
        alive = {run.id for run in kept} | wanted
        for run_id in set(self._layers) - alive:
            del self._layers[run_id]
            self._hidden.pop(run_id, None)

    def of(self, run_id: int) -> tuple[Layer, ...]:
        """Layers of a run that are in the viewer (the user may have deleted some)."""
        return tuple(x for x in self._layers.get(run_id, ()) if x in self._viewer.layers)

    def visible(self, run_id: int) -> bool:
        """Whether any layer of a run is visible."""
        return any(layer.visible for layer in self.of(run_id))

    def set_visible(self, run_id: int, visible: bool) -> None:
        """Hide a whole run, or show again what was visible before."""
        before = self._hidden.pop(run_id, {})
        if not visible:
            self._hidden[run_id] = {layer: layer.visible for layer in self.of(run_id)}
        restore = any(before.values())
        for layer in self.of(run_id):
            shown = before.get(layer, False) if restore else isinstance(layer, Labels)
            layer.visible = visible and shown

    def _put_in(self, run: Run) -> None:
        active = self._viewer.layers.selection.active
        if run.id not in self._layers:
            wanted = self._read_preferences()
            self._layers[run.id] = tuple(
                make_layer(spec, wanted) for spec in layer_specs(run, wanted)
            )
        self._shown.add(run.id)
        for layer in self._layers[run.id]:
            if layer not in self._viewer.layers:
                self._viewer.layers.append(layer)
        if active is not None and active in self._viewer.layers:
            self._viewer.layers.selection.active = active

    def _take_out(self, run_id: int) -> None:
        self._shown.discard(run_id)
        for layer in self.of(run_id):
            self._viewer.layers.remove(layer)


def make_layer(spec: LayerSpec, wanted: Preferences) -> Layer:
    """Make the napari layer that a description asks for."""
    keywords: dict[str, Any] = dict(spec.keywords)
    if spec.kind == "image":
        return Image(spec.data, **keywords)
    keywords.pop("rgb", None)
    layer = Labels(spec.data, **keywords)
    layer.contour = wanted.contour
    return layer


def add_region_layer(viewer: ViewerModel, image: Image) -> Shapes:
    """Add an empty Shapes layer over an image, selected and ready to draw a rectangle."""
    layer = Shapes(
        ndim=image.ndim,
        name="region to segment",
        scale=image.scale,
        translate=image.translate,
        rotate=image.rotate,
        shear=image.shear,
        affine=image.affine,
        edge_color="yellow",
        face_color="transparent",
        edge_width=REGION_EDGE_PX,
    )
    viewer.layers.append(layer)
    viewer.layers.selection.active = layer
    layer.mode = "add_rectangle"
    return layer
