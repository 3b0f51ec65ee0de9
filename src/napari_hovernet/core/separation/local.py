"""Our separation: every decision is made from the neighbourhood it is about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..masks import RUNS_AT_ONCE, clean_mask, reopen_gaps
from ..params import SeparationParams
from ..types import Bool, Float32, Maps, Separation, bands, spread
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
    seen = seen_pixels(maps, mask, params)
    return cut_basins(maps, (mask, seen), squeeze_energy(maps, (mask, seen), params), params)


def squeeze_energy(maps: Maps, masks: tuple[Bool, Bool], params: SeparationParams) -> Float32:
    """Sigma times how much HV closes in, seen through Gaussians inside the mask.

    Averaged over ``params.scales``; (H, W) float32, 0 outside the mask. HV grows outward in a
    nucleus (negative energy) and drops from its rim to the next one's (positive). Pixels below the
    NP threshold have weight 0, so HV of the background draws no border. ``masks`` are the mask and
    what is `seen_pixels` of it.
    """
    mask, seen = masks
    terms = np.empty(mask.shape, np.float32)
    parts = [(sigma, sigma / len(params.scales), terms) for sigma in params.scales]
    gain = window_gain(maps.hv, seen, params)
    squeeze_terms(maps.hv, seen, gain, chosen_blocks(mask), parts, params.oblique)
    return mixed((terms,), mask, terms)


def seen_pixels(maps: Maps, mask: Bool, params: SeparationParams) -> Bool:
    """Pixels of the mask whose HV counts."""
    seen = np.empty_like(mask)

    def see(rows: slice) -> None:
        np.greater_equal(maps.np[rows], params.np_threshold, out=seen[rows])
        seen[rows] &= mask[rows]

    spread(see, bands(mask.shape))
    return seen


@dataclass(frozen=True, eq=False)
class Given:
    """What the terms of the energy are made from."""

    maps: Maps
    mask: Bool  # (H, W)
    seen: Bool  # (H, W), pixels of the mask whose HV counts
    gain: Float32  # (H, W)


@dataclass(frozen=True, eq=False)
class KeptTerms:
    """The terms of the energy by scale, float32 (H, W), valid in blocks with mask."""

    of: dict[float, Float32]
    share: tuple[float, float]  # Of each scale, 1 / scales, and of the strain in it
    given: Given


def mended_terms(before: KeptTerms | None, given: Given, params: SeparationParams) -> KeptTerms:
    """Compute the terms, or only where they have changed; ``before`` is then used up."""
    kept: dict[float, Float32] = {}
    share, spare = (1 / len(params.scales), params.oblique), []
    if before is not None:
        if before.given.maps is given.maps and before.share == share:
            kept = {sigma: before.of[sigma] for sigma in params.scales if sigma in before.of}
        spare = [terms for sigma, terms in before.of.items() if sigma not in kept]
    made = {
        sigma: spare.pop() if spare else np.empty(given.mask.shape, np.float32)
        for sigma in params.scales if sigma not in kept
    }  # fmt: skip
    blocks, changed = chosen_blocks(given.mask), np.zeros((0, 0), np.bool_)
    if before is not None and kept:
        old = before.given
        pairs = (old.mask, given.mask), (old.seen, given.seen), (old.gain, given.gain)
        if any(a is not b for a, b in pairs):
            changed = blocks & grown_blocks(changed_blocks(*pairs), max(kept))
    for chosen, found in ((blocks, made), (changed, kept)):
        parts = [(sigma, sigma / len(params.scales), terms) for sigma, terms in found.items()]
        squeeze_terms(given.maps.hv, given.seen, given.gain, chosen, parts, params.oblique)
    return KeptTerms({**made, **kept}, share, given)


def mixed(parts: Sequence[Float32], mask: Bool, energy: Float32 | None = None) -> Float32:
    """Sum of the terms; written over ``energy`` if that is given, which may be one of them."""
    energy = np.empty(mask.shape, np.float32) if energy is None else energy

    def mix(rows: slice) -> None:
        mix_terms(tuple(parts), mask, (rows.start, rows.stop), energy)

    spread(mix, bands(mask.shape))
    return energy


def cut_basins(
    maps: Maps, masks: tuple[Bool, Bool], energy: Float32, params: SeparationParams
) -> Separation:
    """Flood the energy and keep what is a nucleus; the mask is changed where gaps open again."""
    return join_and_name(maps.np, masks, energy, find_basins(masks[0], energy), params)


@dataclass(frozen=True, eq=False)
class Basins:
    """What flows to one minimum, before any of them have joined."""

    ids: npt.NDArray[Any]  # (H, W) uint32, 0 outside the mask
    floor: Float32  # (n + 1,), lowest energy of each
    passes: tuple[npt.NDArray[Any], Float32]  # Where they meet: (n, 4) basins, (n,) energy


def find_basins(mask: Bool, energy: Float32) -> Basins:
    """Let each pixel flow to its lowest neighbour."""
    way, rows = np.empty(mask.shape, np.uint32), [(b.start, b.stop) for b in bands(mask.shape)]
    found = spread(lambda ends: flood.descend(mask, energy, ends, way), rows)
    minima, flat = np.concatenate(found), way.reshape(-1)
    flat[minima] = np.arange(1, len(minima) + 1)
    floor = np.concatenate([np.zeros(1, np.float32), energy.reshape(-1)[minima]])
    passes = spread(lambda ends: flood.find_passes(way, energy, ends), rows)
    around, levels = (np.concatenate(parts) for parts in zip(*passes, strict=True))
    return Basins(way, floor, (around, levels))


def in_order(basins: Basins, depth: float) -> npt.NDArray[Any]:
    """Places of those passes that can join basins, sorted by energy, equals by place."""
    (around, levels), floor = basins.passes, basins.floor

    def choose(start: int) -> npt.NDArray[Any]:
        piece = slice(start, start + RUNS_AT_ONCE)
        some = start + flood.shallow(around[piece], levels[piece], floor, depth)
        return np.asarray(some[levels[some].argsort(kind="stable")])

    some = np.concatenate(spread(choose, range(0, max(len(levels), 1), RUNS_AT_ONCE)))
    return np.asarray(some[levels[some].argsort(kind="stable")])  # merges what is sorted in pieces


def join_and_name(
    probability: Float32, masks: tuple[Bool, Bool], energy: Float32, basins: Basins,
    params: SeparationParams,
) -> Separation:  # fmt: skip
    """Join basins that no real pass divides, and keep what is a nucleus.

    ``masks`` are the mask, changed where gaps open again, and what is `seen_pixels` of it.
    """
    (mask, seen), ids, floor, pieces = masks, basins.ids, basins.floor, bands(energy.shape)
    order = in_order(basins, params.depth)
    root = flood.join_basins(order, *basins.passes, floor, params.depth)
    if params.max_hole_area:
        reopen_gaps(mask, seen, ids, root)
    mean, order = mean_np(probability, mask, ids, root)
    order = order[mean[order] >= params.min_mean_np]
    name = np.zeros(len(floor), np.int32)
    name[order] = np.arange(1, len(order) + 1)
    names, ceiling = name[root], (floor + np.float32(params.depth / 2))[root]
    labels, markers = (np.empty(ids.shape, np.int32) for _ in range(2))

    def write(rows: slice) -> None:
        found = (ids[rows].ravel(), names, ceiling)
        given = (mask[rows].ravel(), energy[rows].ravel())
        flood.write_names(found, *given, labels[rows].ravel(), markers[rows].ravel())

    spread(write, pieces)
    return Separation(mask=mask, energy=energy, markers=markers, labels=labels)


def mean_np(
    probability: Float32, mask: Bool, ids: npt.NDArray[Any], root: npt.NDArray[Any]
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Mean over all basins of each root, within the mask, and the roots by first pixel."""

    def weigh(rows: slice) -> tuple[npt.NDArray[Any], ...]:
        return flood.weigh_roots(ids[rows], root, mask[rows], probability[rows])

    totals, counts, orders = zip(*spread(weigh, bands(mask.shape)), strict=True)
    met = np.concatenate(orders)
    first = np.unique(met, return_index=True)[1]
    return sum(totals) / np.maximum(sum(counts), 1), met[np.sort(first)]
