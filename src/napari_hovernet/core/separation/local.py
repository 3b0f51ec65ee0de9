"""Our separation: every decision is made from the neighbourhood it is about."""

from __future__ import annotations

from typing import Any, cast

import cv2
import numpy as np
import numpy.typing as npt

from ..masks import Band, clean_mask, label_parts, reopen_gaps, row_bands
from ..params import SeparationParams
from ..types import Bool, Float32, Int32, Maps, Separation, spread
from . import kernels as flood

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
    return cut_basins(maps, mask, squeeze_energy(maps, mask, params), params)


def cut_basins(maps: Maps, mask: Bool, energy: Float32, params: SeparationParams) -> Separation:
    """Flood the energy and keep what is a nucleus; ``mask`` is changed where gaps open again."""
    labels, floor = _flooded(mask, energy, params.depth)
    if params.max_hole_area:
        reopen_gaps(mask, labels, maps.np, params.np_threshold)
    markers = np.empty_like(labels)
    ceiling = floor + np.float32(params.depth / 2)
    flood.mark_floors(labels.ravel(), energy.ravel(), ceiling, markers.ravel())
    sure = flood.mean_per_id(labels.ravel(), maps.np.ravel(), len(floor) - 1)
    flood.number_in_order(labels.ravel(), sure >= params.min_mean_np)
    np.multiply(labels, markers, out=markers)
    return Separation(mask=mask, energy=energy, markers=markers, labels=labels)


def _flooded(mask: Bool, energy: Float32, depth: float) -> tuple[Int32, Float32]:
    """Basins of every part of the mask, numbered from 1, and the floor of each (0 first).

    Parts have no 4-neighbour in common, so shares of them are flooded side by side, all in the one
    array.
    """
    labels = label_parts(mask)[0]
    flat, heights = labels.ravel(), energy.ravel()
    index = np.int32 if labels.size <= np.iinfo(np.int32).max else np.int64
    order = np.empty(np.count_nonzero(labels), index)
    if not order.size:
        return labels, np.zeros(1, np.float32)
    ends = flood.list_pixels(flat, order)

    def grow(share: tuple[int, int]) -> npt.NDArray[Any]:
        mine = order[slice(*share)]
        flood.sort_parts(flat, heights, *ENERGY_RANGE, mine)
        flood.clear(mine, flat)
        floors: npt.NDArray[Any] = flood.grow_basins(mine, labels.shape[1], heights, flat, depth)
        return floors[1:]

    pieces = flood.shares(ends, flood.SHARE_PIXELS)
    floors = spread(grow, pieces)
    first = np.concatenate(([0], np.cumsum([len(f) for f in floors])))
    for piece, before in zip(pieces[1:], first[1:], strict=False):
        flood.shift_ids(order[slice(*piece)], flat, int(before))
    return labels, np.concatenate([np.zeros(1, np.float32), *floors])


def squeeze_energy(maps: Maps, mask: Bool, params: SeparationParams) -> Float32:
    """Sigma times how much HV closes in, seen through Gaussians inside the mask.

    Averaged over ``params.scales``; (H, W) float32, 0 outside the mask. HV grows outward in a
    nucleus (negative energy) and drops from its rim to the next one's (positive). Pixels below the
    NP threshold have weight 0, so HV of the background draws no border.
    """
    energy = np.zeros(mask.shape, np.float32)
    reach = int(np.ceil(TRUNCATE * max(params.scales))) + 1
    halo = reach + params.magnitude_window // 2 + 1

    def fill(band: Band) -> None:
        inside = mask[band.read]
        if inside[band.inner].any():
            seen = inside & (maps.np[band.read] >= params.np_threshold)
            piece = _band_energy(maps.hv[:, band.read], seen, inside, params)
            energy[band.keep] = piece[band.inner]

    spread(fill, list(row_bands(mask.shape[0], params.band_rows, halo)))
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
