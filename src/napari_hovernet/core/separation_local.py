"""Our separation: every decision is made from the neighbourhood it is about."""

from __future__ import annotations

from typing import Any, cast

import cv2
import numpy as np
import numpy.typing as npt

from . import flood
from .bands import row_bands
from .params import SeparationParams
from .parts import clean_mask, label_parts, reopen_gaps
from .types import Bool, Float32, Int32, Maps, Separation

TRUNCATE = 3.0
"""Sigmas at which a Gaussian is cut off."""
ENERGY_RANGE = (-4.0, 4.0)
"""Energies are sorted within these bounds; HV in [-1, 1] stays inside +-2.3."""
TINY = 1e-6
"""Added to denominators that can be 0."""


def separate_local(maps: Maps, params: SeparationParams) -> Separation:
    """Cut instances where HV turns round.

    See :func:`napari_hovernet.core.separation.separate`.
    """
    mask = clean_mask(maps.np, params)
    energy = squeeze_energy(maps, mask, params)
    labels = label_parts(mask)[0]
    order = _ordered(labels, energy)
    labels[:] = 0
    floor = flood.grow_basins(order, energy, labels, params.depth)
    del order
    if params.max_hole_area:
        reopen_gaps(mask, labels, maps.np, params.np_threshold)
    markers = np.empty_like(labels)
    ceiling = floor + np.float32(params.depth / 2)
    flood.mark_floors(labels.ravel(), energy.ravel(), ceiling, markers.ravel())
    sure = flood.mean_per_id(labels.ravel(), maps.np.ravel(), len(floor) - 1)
    flood.number_in_order(labels.ravel(), sure >= params.min_mean_np)
    np.multiply(labels, markers, out=markers)
    return Separation(mask=mask, energy=energy, markers=markers, labels=labels)


def _ordered(parts: Int32, energy: Float32) -> npt.NDArray[Any]:
    """Flat indices of the pixels of all parts, each part from its lowest energy up."""
    index = np.int32 if parts.size <= np.iinfo(np.int32).max else np.int64
    order = np.empty(np.count_nonzero(parts), index)
    flood.order_pixels(parts.ravel(), energy.ravel(), *ENERGY_RANGE, order)
    return order


def squeeze_energy(maps: Maps, mask: Bool, params: SeparationParams) -> Float32:
    """Sigma times how much HV closes in, seen through Gaussians inside the mask.

    Averaged over ``params.scales``; (H, W) float32, 0 outside the mask. HV grows outward
    in a nucleus (negative energy) and drops from its rim to the next one's (positive).
    Pixels below the NP threshold have weight 0, so HV of the background draws no border.
    """
    energy = np.zeros(mask.shape, np.float32)
    reach = int(np.ceil(TRUNCATE * max(params.scales))) + 1
    halo = reach + params.magnitude_window // 2 + 1
    for band in row_bands(mask.shape[0], params.band_rows, halo):
        inside = mask[band.read]
        if inside[band.inner].any():
            seen = inside & (maps.np[band.read] >= params.np_threshold)
            piece = _band_energy(maps.hv[:, band.read], seen, inside, params)
            energy[band.keep] = piece[band.inner]
    return energy


def _band_energy(hv: Float32, seen: Bool, inside: Bool, params: SeparationParams) -> Float32:
    weight = seen.astype(np.float32)
    hv = hv * weight
    hv *= _gain(hv, weight, params)
    total = np.zeros(inside.shape, np.float32)
    for sigma in params.scales:
        share = _smooth(weight, sigma)
        share += TINY
        h, v = _smooth(hv[0], sigma), _smooth(hv[1], sigma)
        h /= share
        v /= share
        factor = sigma / len(params.scales)
        flood.add_squeeze(h, v, inside, factor, params.oblique, total)
    return total


def _smooth(channel: Float32, sigma: float) -> Float32:
    edge = 2 * int(np.ceil(TRUNCATE * sigma)) + 1
    smooth = cv2.GaussianBlur(channel, (edge, edge), sigma, borderType=cv2.BORDER_CONSTANT)
    return cast(Float32, smooth)


def _gain(hv: Float32, weight: Float32, params: SeparationParams) -> Float32:
    """Compute what brings the mean HV magnitude around each pixel into its range."""
    window = (params.magnitude_window, params.magnitude_window)
    mean = cv2.boxFilter(cv2.magnitude(hv[0], hv[1]), -1, window, borderType=cv2.BORDER_CONSTANT)
    mean /= np.maximum(cv2.boxFilter(weight, -1, window, borderType=cv2.BORDER_CONSTANT), TINY)
    np.maximum(mean, TINY, out=mean)
    gain: Float32 = np.clip(mean, params.magnitude_low, params.magnitude_high) / mean
    return gain
