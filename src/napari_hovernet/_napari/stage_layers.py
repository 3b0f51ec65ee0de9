"""Layers of the stages that ran, arrows of HV, and the limits of map layers.

Beside :mod:`.layers` and :mod:`.study_layers` the only place that changes layers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Layer, Vectors
from napari.utils.colormaps import DirectLabelColormap

from .images import METADATA_KEY
from .run_layers import HV_COLORMAP, HV_LIMITS, PROBABILITY_LIMITS
from .study_layers import Extra, StudyLayers

if TYPE_CHECKING:
    from ..app.session import Run
    from ..core.measure.magnitude import ArrowParams, NucleusView
    from ..core.types import Int32

ARROWS, ENERGY, MARKERS, MASK = "hv_arrows", "energy", "markers", "mask"
"""Roles of the layers on demand."""
STAGES = (ARROWS, ENERGY, MARKERS, MASK)
LOOKED_AT = "looked_at"
"""Role of the frame around the nucleus looked at."""
ENERGY_LIMITS = (-1.0, 1.0)
"""Fixed limits of the energy, which has no bounds of its own: what "local" makes lies within
about -0.6 and 0.6, what the other methods make within -1 and 0."""
LIMITS = {
    "np": PROBABILITY_LIMITS,
    "magnitude": PROBABILITY_LIMITS,
    "hv_horizontal": HV_LIMITS,
    "hv_vertical": HV_LIMITS,
    ENERGY: ENERGY_LIMITS,
}
"""Absolute limits of map layers by role: colours mean the same in every run."""
AUTO_MARK = " [auto limits]"
"""Ends the name of a layer whose colours are stretched to its own data."""
AUTO_KEY = "auto_limits"
MASK_COLOR = (0.2, 0.9, 1.0, 1.0)
MASK_OPACITY = 0.35
MARKER_OPACITY = 0.8
ARROW_COLOR = "#ffeb33"
ARROW_WIDTH = 0.18
"""Width of an arrow in units of the grid's step."""
FRAME_COLOR = "white"
FRAME_WIDTH = 1.5
"""Width of the frame around a nucleus, pixels."""
FRAME_GAP = 2
"""Pixels between a nucleus' box and its frame."""


def stage_extra(run: Run, role: str) -> Extra:
    """Describe the layer of a stage, from the very arrays the run left.

    Parameters
    ----------
    run : Run
        Its result must hold the separation.
    role : {"energy", "markers", "mask"}
    """
    stages = run.result.separation
    if role == ENERGY:
        look = {
            "contrast_limits": ENERGY_LIMITS,
            "colormap": HV_COLORMAP,
            "blending": "translucent_no_depth",
        }
        return Extra(ENERGY, "image", "energy", stages.energy, look)
    if role == MARKERS:
        look = {"opacity": MARKER_OPACITY, "contour": 0}
        return Extra(MARKERS, "labels", "markers", stages.markers, look)
    colors: dict[int | None, Any] = {None: (0.0, 0.0, 0.0, 0.0), 1: MASK_COLOR}
    look = {
        "opacity": MASK_OPACITY,
        "contour": 0,
        "colormap": DirectLabelColormap(color_dict=colors),
    }
    return Extra(MASK, "labels", "mask", stages.mask.view(np.uint8), look)


def show_arrows(
    layers: StudyLayers,
    run: Run,
    labels: Int32,
    box: tuple[int, int, int, int] | None,
    params: ArrowParams,
) -> Layer:
    """Show HV as arrows on the nuclei in a box (r0, r1, c0, c1), or move those that are there."""
    from ..core.measure.magnitude import cut_box, grid_step, hv_arrows  # noqa: PLC0415 - on first use

    data = hv_arrows(run.result.maps.hv, labels, box, params)
    step = grid_step(labels, cut_box(box, labels.shape), params)
    look = {"edge_color": ARROW_COLOR, "vector_style": "arrow", "edge_width": step * ARROW_WIDTH}
    layer = layers.show(run, Extra(ARROWS, "vectors", "HV arrows", data, look))
    if isinstance(layer, Vectors) and layer.edge_width != step * ARROW_WIDTH:
        layer.edge_width = step * ARROW_WIDTH
    return layer


def show_frame(layers: StudyLayers, run: Run, view: NucleusView) -> Layer:
    """Draw a frame around the nucleus looked at."""
    rows, cols = np.nonzero(view.mask)
    r0, c0 = rows.min() + view.box.r0 - FRAME_GAP, cols.min() + view.box.c0 - FRAME_GAP
    tall, wide = np.ptp(rows) + 2 * FRAME_GAP, np.ptp(cols) + 2 * FRAME_GAP
    sides = [
        [[r0, c0], [0, wide]],
        [[r0 + tall, c0], [0, wide]],
        [[r0, c0], [tall, 0]],
        [[r0, c0 + wide], [tall, 0]],
    ]
    look = {"edge_color": FRAME_COLOR, "vector_style": "line", "edge_width": FRAME_WIDTH}
    extra = Extra(LOOKED_AT, "vectors", "nucleus looked at", np.array(sides, np.float32), look)
    return layers.show(run, extra)


def map_layers(layers: StudyLayers, run: Run) -> dict[str, Image]:
    """Return the map layers of a run that are in the viewer, by role."""
    found = {role: layers.find(run.id, role) for role in LIMITS}
    return {role: layer for role, layer in found.items() if isinstance(layer, Image)}


def auto_limits(layers: StudyLayers, run: Run) -> bool:
    """Whether any map layer of a run is stretched to its own data."""
    return any(_is_auto(layer) for layer in map_layers(layers, run).values())


def set_auto_limits(layers: StudyLayers, run: Run, on: bool) -> None:
    """Stretch the map layers of a run to their own data, or go back to absolute limits.

    The name of a stretched layer says so.
    """
    for role, layer in map_layers(layers, run).items():
        if on:
            _stretch(layer, _data_of(run, role))
        elif _is_auto(layer):
            _restore(layer, LIMITS[role])


def _is_auto(layer: Layer) -> bool:
    return bool(layer.metadata.get(METADATA_KEY, {}).get(AUTO_KEY))


def _stretch(layer: Image, data: Any) -> None:
    low, high = (float(data.min()), float(data.max())) if data.size else (0.0, 0.0)
    if not high > low:
        high = low + 1.0  # a flat map has nothing to stretch; napari needs low < high
    layer.contrast_limits_range = (low, high)
    layer.contrast_limits = (low, high)
    if AUTO_MARK not in layer.name:
        layer.name += AUTO_MARK
    _mark(layer, True)


def _restore(layer: Image, limits: tuple[float, float]) -> None:
    low, high = layer.contrast_limits_range
    layer.contrast_limits_range = (min(low, limits[0]), max(high, limits[1]))
    layer.contrast_limits = limits
    layer.contrast_limits_range = limits
    layer.name = layer.name.replace(AUTO_MARK, "")
    _mark(layer, False)


def _mark(layer: Layer, on: bool) -> None:
    known = {**layer.metadata.get(METADATA_KEY, {}), AUTO_KEY: on}
    layer.metadata = {**layer.metadata, METADATA_KEY: known}


def _data_of(run: Run, role: str) -> Any:
    """Return the array behind a map layer."""
    maps = run.result.maps
    if role == ENERGY:
        return run.result.separation.energy
    if role == "np":
        return maps.np
    if role == "magnitude":
        return maps.magnitude
    return maps.hv[0 if role == "hv_horizontal" else 1]
