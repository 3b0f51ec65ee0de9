"""The published HoVer-Net post-processing, stage by stage, for comparison."""

from __future__ import annotations

import cv2
import numpy as np

from . import flood
from .bands import row_bands
from .params import SeparationParams
from .parts import FOUR, clean_mask, fill_holes, label_parts
from .types import Bool, Float32, Int32, Maps, Separation
from .workers import spread


def separate_hover_net(maps: Maps, params: SeparationParams) -> Separation:
    """Cut instances as Graham et al. (Medical Image Analysis 2019) published it.

    See :func:`napari_hovernet.core.separation.separate`. HV maps and their Sobel
    derivatives are stretched to 0..1 over the whole tile, so the result depends on what
    else is in it.
    """
    mask = clean_mask(maps.np, params)
    edges = _edges(maps, mask, params)
    markers = _markers(mask, edges, params)
    np.subtract(1, edges, out=edges)
    edges *= mask
    blur = (params.blur_size, params.blur_size)
    energy = np.negative(cv2.GaussianBlur(edges, blur, 0), out=edges)
    parts, n = label_parts(mask)
    found = flood.count_markers(parts.ravel(), markers.ravel(), n)
    found[0] = 0
    labels = np.zeros_like(parts)
    flood.watershed(energy, parts, found, markers, labels)
    return Separation(mask=mask, energy=energy, markers=markers, labels=labels)


def _edges(maps: Maps, mask: Bool, params: SeparationParams) -> Float32:
    """Border strength in 0..1: the stronger of both stretched Sobel derivatives."""
    across, down = spread(lambda axis: _stretched_sobel(maps.hv[axis], axis == 0, params), [0, 1])
    np.maximum(across, down, out=across)
    across *= mask
    return across


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
