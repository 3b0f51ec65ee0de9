"""The published HoVer-Net post-processing, stage by stage, for comparison."""

from __future__ import annotations

from typing import cast

import cv2
import numpy as np

from ..masks import FOUR, clean_mask, fill_holes, label_parts, row_bands
from ..params import SeparationParams
from ..types import Bool, Float32, Int32, Maps, Separation, spread
from . import kernels as flood


def separate_hover_net(maps: Maps, params: SeparationParams) -> Separation:
    """Cut instances as Graham et al. (Medical Image Analysis 2019) published it.

    See :func:`napari_hovernet.core.separation.separate`. HV maps and their Sobel derivatives are
    stretched to 0..1 over the whole tile, so the result depends on what else is in it.
    """
    return cut_borders(clean_mask(maps.np, params), border_strength(maps, params), params)


def cut_borders(mask: Bool, strength: Float32, params: SeparationParams) -> Separation:
    """Find markers where borders are weak, and flood the mask from them."""
    edges = strength * mask
    markers = _markers(mask, edges, params)
    np.subtract(1, edges, out=edges)
    edges *= mask
    blur = (params.blur_size, params.blur_size)
    energy = np.negative(cv2.GaussianBlur(edges, blur, 0), out=edges)
    parts, n = label_parts(mask)
    labels = flood.flood_from_markers(energy, parts, n, markers)
    return Separation(mask=mask, energy=energy, markers=markers, labels=labels)


def border_strength(maps: Maps, params: SeparationParams) -> Float32:
    """Strength of borders in 0..1: the stronger of both stretched Sobel derivatives."""
    across, down = spread(lambda axis: _stretched_sobel(maps.hv[axis], axis == 0, params), [0, 1])
    return np.maximum(across, down, out=across)


def _stretched_sobel(channel: Float32, along_x: bool, params: SeparationParams) -> Float32:
    low, high = float(channel.min()), float(channel.max())
    scale = 1.0 / (high - low) if high > low else 0.0
    result = np.empty(channel.shape, np.float32)
    size = params.sobel_size
    for band in row_bands(channel.shape[0], params.band_rows, size // 2):
        piece = ((channel[band.read].astype(np.float64) - low) * scale).astype(np.float32)
        slope = cv2.Sobel(piece, cv2.CV_64F, int(along_x), int(not along_x), ksize=size)
        result[band.keep] = slope[band.inner]
    low, high = float(result.min()), float(result.max())
    scale = 1.0 / (high - low) if high > low else 0.0
    np.subtract(high if scale else 1.0, result, out=result)
    result *= scale if scale else 1.0
    return result


def _markers(mask: Bool, edges: Float32, params: SeparationParams) -> Int32:
    low = mask & (edges < params.energy_threshold)
    fill_holes(low, connectivity=FOUR)
    size = (params.opening_size, params.opening_size)
    ellipse = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, size)
    seeds = cv2.morphologyEx(low.view(np.uint8), cv2.MORPH_OPEN, ellipse)
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
    labels = flood.flood_from_markers(energy, parts, n, markers)
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
