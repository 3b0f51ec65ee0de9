"""What layers a run becomes: pure descriptions, made before anything touches the viewer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from napari.utils.colormaps import Colormap, CyclicLabelColormap, DirectLabelColormap

from ..app.session import Run
from ..core.types import ModelInfo, Nuclei
from .images import METADATA_KEY, Placement
from .preferences import Preferences

PYRAMID_EDGE = 4096
"""Longest edge in pixels that is shown without a pyramid; larger maps stall the canvas."""
PROBABILITY_LIMITS = (0.0, 1.0)
HV_LIMITS = (-1.0, 1.0)
UNTYPED_COLOR = (0.75, 0.75, 0.75, 1.0)
"""Contour of a nucleus for which the model voted background (type 0)."""
CONTOUR_COLORMAP = CyclicLabelColormap(
    [
        [0.00, 0.00, 0.00, 0.0],
        [1.00, 0.95, 0.20, 1.0],
        [0.10, 1.00, 1.00, 1.0],
        [0.45, 1.00, 0.25, 1.0],
        [1.00, 0.62, 0.10, 1.0],
        [0.95, 0.95, 1.00, 1.0],
        [0.40, 0.75, 1.00, 1.0],
        [1.00, 0.45, 0.75, 1.0],
        [0.75, 1.00, 0.70, 1.0],
    ],
    name="nuclei",
    background_value=0,
)
"""Outlines of a model without types: bright, so that they stand out on purple and brown."""
HV_COLORMAP = Colormap(
    [
        [0.02, 0.19, 0.38, 1.0],
        [0.26, 0.58, 0.76, 1.0],
        [0.97, 0.97, 0.97, 1.0],
        [0.84, 0.38, 0.30, 1.0],
        [0.40, 0.00, 0.12, 1.0],
    ],
    name="HV blue-white-red",
)
"""Diverging: blue is left of (above) the centre, red right of (below) it, white the centre."""


@dataclass(frozen=True, eq=False)
class LayerSpec:
    """One layer to be: its kind ("image" or "labels"), role, data and keywords."""

    kind: str
    role: str
    data: Any
    keywords: Mapping[str, Any]


def layer_specs(run: Run, preferences: Preferences) -> tuple[LayerSpec, ...]:
    """Describe the five layers of a run, lowest first.

    Parameters
    ----------
    run : Run
        Its ``placement`` must be a :class:`Placement`.
    preferences : Preferences
        Contour width, colormap of the magnitude, whether maps start visible.
    """
    maps = run.result.maps
    hv = {"contrast_limits": HV_LIMITS, "colormap": HV_COLORMAP}
    images = (
        ("np", "NP", maps.np, {"contrast_limits": PROBABILITY_LIMITS, "colormap": "viridis"}),
        ("hv_horizontal", "HV horizontal", maps.hv[0], hv),
        ("hv_vertical", "HV vertical", maps.hv[1], hv),
        (
            "magnitude",
            "magnitude",
            maps.magnitude,
            {"contrast_limits": PROBABILITY_LIMITS, "colormap": preferences.magnitude_colormap},
        ),
    )
    shared = {"visible": preferences.show_maps, "blending": "translucent_no_depth"}
    specs = [_image(run, role, name, data, {**shared, **look}) for role, name, data, look in images]
    return (*specs, _instances(run, preferences))


def _image(run: Run, role: str, name: str, data: Any, look: Mapping[str, Any]) -> LayerSpec:
    return LayerSpec("image", role, *_placed(run, role, name, data, {**look, "rgb": False}))


def _instances(run: Run, preferences: Preferences) -> LayerSpec:
    look: dict[str, Any] = {"opacity": 1.0, "features": features(run), "visible": True}
    look["colormap"] = type_colors(run) or CONTOUR_COLORMAP
    labels = run.result.labels.copy()  # the layer may be painted on; the result stays as it ran
    return LayerSpec("labels", "instances", *_placed(run, "instances", "nuclei", labels, look))


def _placed(
    run: Run, role: str, name: str, data: Any, look: Mapping[str, Any]
) -> tuple[Any, dict[str, Any]]:
    place: Placement = run.placement
    row, col = run.result.offset
    data = data[(None,) * len(place.plane)]
    levels = pyramid(data)
    keywords = {
        "name": f"{run.title} · {name}",
        "metadata": {METADATA_KEY: {"run": run.id, "role": role, **run.metadata}},
        **place.at(row, col),
        **look,
        "multiscale": len(levels) > 1,
    }
    return (levels if len(levels) > 1 else data), keywords


def pyramid(data: Any, edge: int = PYRAMID_EDGE) -> list[Any]:
    """Return views of the last two axes at 1, 1/2, 1/4 ... until the longest edge fits.

    Every level is a strided view: it costs no memory, and label ids stay label ids.

    Examples
    --------
    >>> [level.shape for level in pyramid(np.zeros((100, 30)), edge=40)]
    [(100, 30), (50, 15), (25, 8)]
    """
    levels = [data]
    while max(levels[-1].shape[-2:]) > edge:
        levels.append(levels[-1][..., ::2, ::2])
    return levels


def type_colors(run: Run) -> DirectLabelColormap | None:
    """Return one colour per nucleus of a run by its type; None for a model without types."""
    return colors_by_type(run.result.nuclei, run.result.info)


def colors_by_type(nuclei: Nuclei, info: ModelInfo) -> DirectLabelColormap | None:
    """Return one colour per nucleus by its type; None for a model without types.

    A nucleus without a row (just drawn) has the colour of those that are not typed.
    """
    if not info.types:
        return None
    by_type = {i: rgba(t.color) for i, t in info.types.items() if i != 0}
    colors: dict[int | None, Any] = {None: UNTYPED_COLOR, 0: (0.0, 0.0, 0.0, 0.0)}
    for label, kind in zip(nuclei.label.tolist(), nuclei.type.tolist(), strict=True):
        colors[label] = by_type.get(kind, UNTYPED_COLOR)
    return DirectLabelColormap(color_dict=colors)


def rgba(color: tuple[int, int, int]) -> tuple[float, float, float, float]:
    """Turn RGB 0..255 into RGBA 0..1.

    Examples
    --------
    >>> rgba((255, 0, 51))
    (1.0, 0.0, 0.2, 1.0)
    """
    red, green, blue = (c / 255 for c in color)
    return (red, green, blue, 1.0)


def features(run: Run) -> dict[str, Any]:
    """Return the features table of a run as it was cut; see :func:`feature_table`."""
    return feature_table(run.result.nuclei, run)


def feature_table(nuclei: Nuclei, run: Run) -> dict[str, Any]:
    """Return the features of nuclei of a run, one row each, ``index`` = label id.

    Centroids are pixels of the whole image, x to the right and y down; areas are
    pixels, and µm² as well where the mpp is known.

    Parameters
    ----------
    nuclei : Nuclei
        Of the run's labels as they were cut, or as they were corrected.
    run : Run
        Gives place, resolution and types.
    """
    row, col = run.result.offset
    table: dict[str, Any] = {
        "index": nuclei.label,
        "area_px": nuclei.area,
        "centroid_x": np.round(nuclei.centroid[:, 0] + col, 2),
        "centroid_y": np.round(nuclei.centroid[:, 1] + row, 2),
        "np_mean": np.round(nuclei.np_mean, 4),
        "magnitude_mean": np.round(nuclei.magnitude_mean, 4),
        "magnitude_p95": np.round(nuclei.magnitude_p95, 4),
    }
    if run.result.mpp:
        table["area_um2"] = np.round(nuclei.area * run.result.mpp**2, 2)
    if run.result.info.types:
        names = {i: t.name for i, t in run.result.info.types.items()}
        table["type"] = nuclei.type
        table["type_name"] = [names.get(int(k), "not typed") for k in nuclei.type]
        table["type_probability"] = np.round(nuclei.type_probability, 4)
    return table
