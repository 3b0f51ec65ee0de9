"""The only place that adds layers to a viewer, removes or changes them.

napari has no layer groups (0.9), so a run is a group by name ("compact 1 · NP"), by
``metadata["napari_hovernet"]["run"]``, and by the run list of the panel.
"""

from __future__ import annotations

import weakref
from collections import deque
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
        Only a weak reference is kept.
    later : callable, optional
        Runs a function soon, once the viewer has dealt with what waits: each layer takes
        the canvas some 50 ms, so they come one by one, the instances first. Default: at
        once.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        later: Callable[[Callable[[], None]], None] | None = None,
    ) -> None:
        self._viewer_ref = weakref.ref(viewer)
        self._later = later or _at_once
        self._waiting: deque[tuple[int, Layer]] = deque()
        self._layers: dict[int, tuple[Layer, ...]] = {}
        self._shown: set[int] = set()
        self._hidden: dict[int, dict[Layer, bool]] = {}

    @property
    def _viewer(self) -> ViewerModel:
        viewer = self._viewer_ref()
        if viewer is None:
            raise TypeError("The viewer of these layers is gone.")
        return viewer

    @property
    def settled(self) -> bool:
        """Whether no layer waits to be added."""
        return not self._waiting

    def adopt(self, run_id: int, layers: Iterable[Layer]) -> None:
        """Take layers made beforehand (in a worker thread) for a run to come."""
        self._layers[run_id] = tuple(layers)

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
        if run.id not in self._layers:
            self._layers[run.id] = make_layers(run, preferences())
        self._shown.add(run.id)
        *maps, instances = self._layers[run.id]
        self._add(instances, None)
        idle = not self._waiting
        self._waiting.extend((run.id, layer) for layer in maps)
        if idle:
            self._later(self._add_next)

    def _add_next(self) -> None:
        if not self._waiting or self._viewer_ref() is None:
            return
        run_id, layer = self._waiting.popleft()
        if run_id in self._shown:
            self._add(layer, self._layers[run_id][-1])
        if self._waiting:  # one after the other, so that the viewer can do other things between
            self._later(self._add_next)

    def _add(self, layer: Layer, below: Layer | None) -> None:
        """Add a layer, under another or on top; the selection stays as it is."""
        layers = self._viewer.layers
        active = layers.selection.active
        if layer not in layers:
            layers.insert(layers.index(below) if below in layers else len(layers), layer)
        if active is not None and active in layers:
            layers.selection.active = active

    def _take_out(self, run_id: int) -> None:
        self._shown.discard(run_id)
        self._waiting = deque(x for x in self._waiting if x[0] != run_id)
        for layer in self.of(run_id):
            self._viewer.layers.remove(layer)


def _at_once(action: Callable[[], None]) -> None:
    action()


def make_layers(run: Run, wanted: Preferences) -> tuple[Layer, ...]:
    """Make the layers of a run, lowest first; touches no viewer, so any thread may do it."""
    return tuple(make_layer(spec, wanted) for spec in layer_specs(run, wanted))


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
