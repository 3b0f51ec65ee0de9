"""The published HoVer-Net post-processing, stage by stage, for comparison."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import cv2
import numpy as np
import numpy.typing as npt

from ..masks import FOUR, clean_mask, fill_holes, label_parts
from ..params import SeparationParams
from ..types import Bool, Float32, Int32, Maps, Separation, bands, spread
from . import kernels as flood
from .filters import split_borders, stretched_slope, stronger

Array = npt.NDArray[Any]
_users: list[int] = []
"""How many threads OpenCV had when each came who keeps it alone."""
_lock = threading.Lock()


def separate_hover_net(maps: Maps, params: SeparationParams) -> Separation:
    """Cut instances as Graham et al. (Medical Image Analysis 2019) published it.

    See :func:`napari_hovernet.core.separation.separate`. HV maps and their Sobel derivatives are
    stretched to 0..1 over the whole tile, so the result depends on what else is in it.
    """
    return cut_borders(clean_mask(maps.np, params), border_strength(maps, params), params)


def cut_borders(
    mask: Bool, strength: Float32, params: SeparationParams, before: Separation | None = None
) -> Separation:
    """Find markers where borders are weak, and flood the mask from them.

    Parts of the mask that are as they were ``before`` keep their labels.
    """
    weak, calm = np.empty_like(mask), np.empty(mask.shape, np.float32)
    most, blur = np.float32(params.energy_threshold), (params.blur_size, params.blur_size)

    def split(rows: slice) -> None:
        split_borders(strength[rows], mask[rows], most, weak[rows], calm[rows])

    spread(split, bands(mask.shape))
    markers = _markers(weak, params)
    energy = in_bands(lambda part: cv2.GaussianBlur(part, blur, 0), calm, blur[0] // 2)
    labels = flood.flood_from_markers(energy, mask, markers, before)
    return Separation(mask=mask, energy=energy, markers=markers, labels=labels)


def in_bands(work: Callable[[Array], Array], image: Array, reach: int) -> Array:
    """Apply a filter of OpenCV to pieces of an image; ``reach`` rows around are what a row sees."""
    found = np.empty_like(image)

    def fill(rows: slice) -> None:
        first = max(rows.start - reach, 0)
        made = work(image[first : rows.stop + reach])
        found[rows] = made[rows.start - first : rows.stop - first]

    with _opencv_alone():
        spread(fill, bands(image.shape))
    return found


@contextmanager
def _opencv_alone() -> Iterator[None]:
    """Keep OpenCV from cutting pieces once more, which takes longer than it spares.

    How many threads it has is a matter of the process: the first user sets it, the last one back.
    """
    with _lock:
        _users.append(cv2.getNumThreads())
        cv2.setNumThreads(1)
    try:
        yield
    finally:
        with _lock:
            number = _users.pop()
            if not _users:
                cv2.setNumThreads(number)


def border_strength(maps: Maps, params: SeparationParams) -> Float32:
    """Strength of borders in 0..1: the stronger of both stretched Sobel derivatives."""
    across, *reach = stretched_slope(maps.hv[0], along_x=True, size=params.sobel_size)
    down, *other = stretched_slope(maps.hv[1], along_x=False, size=params.sobel_size)
    units = _unit(*reach), _unit(*other)
    spread(lambda rows: stronger(across[rows], down[rows], *units), bands(across.shape))
    return across


def _unit(low: float, high: float) -> tuple[np.float32, np.float32]:
    """Return what a value is taken from, and what the rest is multiplied with, to give 0..1."""
    if high > low:
        return np.float32(high), np.float32(1.0 / (high - low))
    return np.float32(1), np.float32(1)


def _markers(weak: Bool, params: SeparationParams) -> Int32:
    """Mark, 1..n, where borders are weak; ``weak`` is changed."""
    fill_holes(weak, connectivity=FOUR)
    size = params.opening_size
    ellipse = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    bits, reach = weak.view(np.uint8), 2 * (size // 2)
    seeds = in_bands(lambda part: cv2.morphologyEx(part, cv2.MORPH_OPEN, ellipse), bits, reach)
    return label_parts(seeds.view(np.bool_), params.min_marker_area)[0]


def separate_magnitude_peaks(maps: Maps, params: SeparationParams) -> Separation:
    """Flood the HV magnitude from its peaks: the mistake of seeding on the rims.

    The magnitude is about 0 in the centre of a nucleus and 1 on its rim, so a nucleus gets several
    seeds, all on its rim. Stretching the magnitude to 0..1 first, as was done, makes the result
    independent of how long the vectors are.
    """
    mask = clean_mask(maps.np, params)
    energy = np.negative(_stretched(maps.magnitude, mask))
    parts, n = label_parts(mask)
    markers = _peaks(energy, parts, n, params.peak_distance)
    labels = flood.flood_from_markers(energy, mask, markers)
    return Separation(mask=mask, energy=energy, markers=markers, labels=labels)


def merged(separation: Separation) -> Separation:
    """Label the union of all instances anew: every cluster becomes one instance.

    The mistake behind ``labels = label(instances > 0)``.
    """
    labels, _ = label_parts(separation.labels > 0)
    return Separation(separation.mask, separation.energy, separation.markers, labels)


def _stretched(magnitude: Float32, mask: Bool) -> Float32:
    """Stretch to 0..1 over the mask; 0 outside, and where everything is equal."""
    result = np.zeros_like(magnitude)
    inside = magnitude[mask]
    if inside.size:
        low, high = float(inside.min()), float(inside.max())
        if high > low:
            result[mask] = (inside - low) / (high - low)
    return result


def _peaks(energy: Float32, parts: Int32, n: int, distance: int) -> Int32:
    """Mark the pixels that are lowest within ``distance``, and the lowest of every part."""
    window = np.ones((2 * distance + 1,) * 2, np.uint8)
    floor = cast(Float32, cv2.erode(energy, window, borderType=cv2.BORDER_REPLICATE))
    peak = (energy <= floor) & (parts > 0)
    flood.add_lowest(parts.ravel(), energy.ravel(), n, peak.ravel())
    return label_parts(peak)[0]
