"""Two historical mistakes, rebuilt so that one can see what they do."""

from __future__ import annotations

from typing import cast

import cv2
import numpy as np

from . import flood
from .params import SeparationParams
from .parts import clean_mask, label_parts
from .types import Bool, Float32, Int32, Maps, Separation


def separate_magnitude_peaks(maps: Maps, params: SeparationParams) -> Separation:
    """Flood the HV magnitude from its peaks: the mistake of seeding on the rims.

    The magnitude is about 0 in the centre of a nucleus and 1 on its rim, so a nucleus gets
    several seeds, all on its rim. Stretching the magnitude to 0..1 first, as was done,
    makes the result independent of how long the vectors are.

    See :func:`napari_hovernet.core.separation.separate`.
    """
    mask = clean_mask(maps.np, params)
    energy = np.negative(_stretched(maps.magnitude, mask))
    parts, n = label_parts(mask)
    markers = _peaks(energy, parts, n, params.peak_distance)
    found = flood.count_markers(parts.ravel(), markers.ravel(), n)
    found[0] = 0
    labels = np.zeros_like(parts)
    flood.watershed(energy, parts, found, markers, labels)
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
