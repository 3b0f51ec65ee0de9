"""Our separation: every decision is made from the neighbourhood it is about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..masks import clean_mask, reopen_gaps
from ..params import SeparationParams
from ..types import Bool, Float32, Int32, Maps, Separation
from . import kernels as flood
from .filters import (
    changed_blocks,
    chosen_blocks,
    grown_blocks,
    mix_terms,
    squeeze_terms,
    window_gain,
)


def separate_local(maps: Maps, params: SeparationParams) -> Separation:
    """Cut instances where HV turns round.

    See :func:`napari_hovernet.core.separation.separate`.
    """
    mask = clean_mask(maps.np, params)
    return cut_basins(maps, mask, squeeze_energy(maps, mask, params), params)


def squeeze_energy(maps: Maps, mask: Bool, params: SeparationParams) -> Float32:
    """Sigma times how much HV closes in, seen through Gaussians inside the mask.

    Averaged over ``params.scales``; (H, W) float32, 0 outside the mask. HV grows outward in a
    nucleus (negative energy) and drops from its rim to the next one's (positive). Pixels below the
    NP threshold have weight 0, so HV of the background draws no border.
    """
    seen = seen_pixels(maps, mask, params)
    terms = np.empty((2, *mask.shape), np.float32)
    parts = [(sigma, sigma / len(params.scales), terms) for sigma in params.scales]
    gain = window_gain(maps.hv, seen, params)
    squeeze_terms(maps.hv, seen, gain, chosen_blocks(mask), parts)
    return mixed((terms,), mask, params)


def seen_pixels(maps: Maps, mask: Bool, params: SeparationParams) -> Bool:
    """Pixels of the mask whose HV counts."""
    seen = maps.np >= params.np_threshold
    seen &= mask
    return seen


@dataclass(frozen=True, eq=False)
class Given:
    """What the two terms of the energy are made from."""

    hv: Float32  # (2, H, W)
    mask: Bool  # (H, W)
    seen: Bool  # (H, W), pixels of the mask whose HV counts
    gain: Float32  # (H, W)


@dataclass(frozen=True, eq=False)
class KeptTerms:
    """The terms of the energy by scale, float32 (2, H, W), valid in blocks with mask."""

    of: dict[float, Float32]
    share: float  # Of each scale: 1 / scales
    given: Given


def mended_terms(before: KeptTerms | None, given: Given, params: SeparationParams) -> KeptTerms:
    """Compute the terms, or only where they have changed; ``before`` is then used up."""
    share, kept = 1 / len(params.scales), {}
    if before is not None and before.given.hv is given.hv and before.share == share:
        kept = {sigma: before.of[sigma] for sigma in params.scales if sigma in before.of}
    shape = (2, *given.mask.shape)
    made = {s: np.empty(shape, np.float32) for s in params.scales if s not in kept}
    blocks, changed = chosen_blocks(given.mask), np.zeros((0, 0), np.bool_)
    if before is not None and kept:
        old = before.given
        pairs = (old.mask, given.mask), (old.seen, given.seen), (old.gain, given.gain)
        changed = blocks & grown_blocks(changed_blocks(*pairs), max(kept))
    for chosen, found in ((blocks, made), (changed, kept)):
        parts = [(sigma, sigma / len(params.scales), terms) for sigma, terms in found.items()]
        squeeze_terms(given.hv, given.seen, given.gain, chosen, parts)
    return KeptTerms({**made, **kept}, share, given)


def mixed(parts: Sequence[Float32], mask: Bool, params: SeparationParams) -> Float32:
    """Energy from its terms: the share ``oblique`` of strain takes the place of the divergence."""
    energy = np.empty(mask.shape, np.float32)
    mix_terms(tuple(parts), np.float32(params.oblique), mask, energy)
    return energy


def cut_basins(maps: Maps, mask: Bool, energy: Float32, params: SeparationParams) -> Separation:
    """Flood the energy and keep what is a nucleus; ``mask`` is changed where gaps open again."""
    return join_and_name(maps, mask, energy, find_basins(mask, energy), params)


@dataclass(frozen=True, eq=False)
class Basins:
    """What flows to one minimum, before any of them have joined."""

    ids: Int32  # (H, W), 0 outside the mask
    floor: Float32  # (n + 1,), lowest energy of each
    passes: tuple[npt.NDArray[Any], Float32]  # Where they meet: (n, 4) basins, (n,) energy


def find_basins(mask: Bool, energy: Float32) -> Basins:
    """Let each pixel flow to its lowest neighbour."""
    way, ids = np.empty(mask.shape, np.uint8), np.zeros(mask.shape, np.int32)
    flood.descend(mask, energy, way)
    floor = flood.gather(way.ravel(), mask.shape[1], energy.ravel(), ids.ravel())
    return Basins(ids, floor, flood.list_passes(ids, energy, way))


def join_and_name(
    maps: Maps, mask: Bool, energy: Float32, basins: Basins, params: SeparationParams
) -> Separation:
    """Join basins that no real pass divides, and keep what is a nucleus."""
    ids, heights, floor = basins.ids.ravel(), energy.ravel(), basins.floor
    root = flood.join_basins(*basins.passes, floor, params.depth)
    if params.max_hole_area:
        reopen_gaps(mask, mask & (maps.np < params.np_threshold), basins.ids, root)
    inside = mask.ravel()
    mean, order = flood.weigh_roots(ids, root, inside, maps.np.ravel())
    order = order[mean[order] >= params.min_mean_np]
    name = np.zeros(len(floor), np.int32)
    name[order] = np.arange(1, len(order) + 1)
    found = (ids, name[root], (floor + np.float32(params.depth / 2))[root])
    labels, markers = np.empty_like(basins.ids), np.empty_like(basins.ids)
    flood.write_names(found, inside, heights, labels.ravel(), markers.ravel())
    return Separation(mask=mask, energy=energy, markers=markers, labels=labels)
