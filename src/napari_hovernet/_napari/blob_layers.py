"""Connected components in the colours of their status, and what the status bar says of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.utils.colormaps import DirectLabelColormap

from .run_layers import rgba
from .study_layers import Extra

if TYPE_CHECKING:
    from ..core.measure.blobs import BlobReport
    from ..core.types import Int32

BLOBS = "blobs"
"""Role of the layer."""
STATUS_COLORS = {
    "blob": (230, 50, 20),
    "separated": (0, 170, 165),
    "single": (165, 165, 165),
    "empty": (240, 228, 66),
}
"""RGB in 0..255. Red, cyan and grey differ in lightness too, and stay apart with every
common colour vision."""
OPACITY = 0.5
"""The tissue stays in sight beneath."""
CLEAR = np.zeros(4, np.float32)


def blob_extra(report: BlobReport) -> Extra:
    """Describe the layer: the components, coloured by status, with their features."""
    look = {
        "colormap": status_colormap(report),
        "features": features(report),
        "opacity": OPACITY,
        "contour": 0,
        "blending": "translucent_no_depth",
    }
    return Extra(
        BLOBS, "labels", "blob check", _narrow(report.components, report.n_components), look
    )


def status_colormap(report: BlobReport) -> DirectLabelColormap:
    """Return the colour of each component number by its status.

    The most frequent status is the colour of all numbers that are not named, so that the
    map of an image with 20,000 single nuclei is short.
    """
    from ..core.measure.blobs import STATUSES  # noqa: PLC0415 - on first use

    status = report.component_status
    counts = np.bincount(status[1:], minlength=len(STATUSES))
    common = int(counts.argmax())
    palette = [np.array(rgba(STATUS_COLORS[name]), np.float32) for name in STATUSES]
    colors: dict[int | None, Any] = {None: palette[common], 0: CLEAR}
    rare = 1 + np.flatnonzero(status[1:] != common)
    for number, kind in zip(rare.tolist(), status[rare].tolist(), strict=True):
        colors[number] = palette[kind]
    if not len(rare):
        colors[1] = palette[common]  # napari takes a map of defaults alone for no map
    return DirectLabelColormap(color_dict=colors)


def features(report: BlobReport) -> dict[str, Any]:
    """Return the features table, one row per component, ``index`` = its number."""
    rows = report.rows
    return {
        "index": [row.component for row in rows],
        "status": [row.status for row in rows],
        "nuclei": [row.n_instances for row in rows],
        "nuclei_expected": [row.expected for row in rows],
        "area_ratio": [round(row.area_ratio, 2) for row in rows],
        "solidity": [round(row.solidity, 3) for row in rows],
        "rim_magnitude": [round(row.rim_magnitude, 3) for row in rows],
        "suspicion": [round(row.score, 2) for row in rows],
    }


def _narrow(components: Int32, largest: int) -> Any:
    """Return the numbers in 16 bits where they fit: napari draws those without a look-up."""
    return components.astype(np.uint16) if largest <= np.iinfo(np.uint16).max else components
