"""Blocks of a slide, each computed by itself, that together are the result of one big image.

A nucleus belongs to the block in whose core its first pixel lies (row by row). A block reads its
core and what is around: ``context`` for nuclei that reach beyond, ``guard`` for what the
separation of those looks at, and what the network needs. Whether that was enough is found out:
a connected part of the mask that leaves what is certain makes its block run again with more.
"""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from ...errors import InputError
from ..inference.tiles import Box, scaled_separation, working_scale
from ..masks import EIGHT, clean_mask, count_pixels, label_parts
from ..measure.nuclei import measure
from ..params import InferenceParams, SeparationParams
from ..separation import filters, separate
from ..separation.local import cut_basins, seen_pixels, squeeze_energy
from ..separation.published import merged
from ..types import Bool, Int8, Int32, Int64, Maps, Model, Nuclei, driven, kernel
from .mask import TissueMask
from .params import LARGEST, SlideParams
from .source import SlideSource

UNCERTAIN = 24
"""Pixels along a cut in which it is not certain what is mask, at the first go."""
QC_CELL = 256
"""Edge in pixels of the cells of the overview tables."""
WEAK = 0.25
"""Mean HV magnitude below which a nucleus is told as weak."""
SIDES, MOST_CONTEXT = 4, LARGEST + 256
"""Sides of a block; context that holds every part that is taken whole."""


@dataclass(frozen=True)
class Recipe:
    """All that decides what a slide's result is, besides slide, model and mask."""

    inference: InferenceParams
    separation: SeparationParams
    slide_params: SlideParams

    @property
    def exact(self) -> bool:
        """Whether the result is that of one big image: what a tile holds must not matter."""
        return self.separation.method == "local"


class Block(NamedTuple):
    """One task: the block's place among the blocks, and its core in pixels of the slide."""

    row: int
    col: int
    core: Box

    @property
    def name(self) -> str:
        """Name of its files."""
        return f"{self.row:04d}_{self.col:04d}"


def plan_blocks(
    shape: tuple[int, int], edge: int, tissue: TissueMask | None = None
) -> tuple[Block, ...]:
    """Cut a slide into blocks, row by row; those without tissue are left out."""
    if min(shape) < 1 or edge < 1:
        raise InputError(f"A slide of {shape[0]} x {shape[1]} px cannot be cut into blocks.")
    blocks = (
        Block(i, j, Box(r, min(r + edge, shape[0]), c, min(c + edge, shape[1])))
        for i, r in enumerate(range(0, shape[0], edge))
        for j, c in enumerate(range(0, shape[1], edge))
    )
    return tuple(b for b in blocks if tissue is None or tissue.within(b.core).any())


@dataclass(frozen=True, eq=False)
class BlockResult:
    """What a block keeps; coordinates are those of the slide."""

    block: Block
    labels: Int32  # Of the core: the block's own nuclei 1..n by first pixel, then ``others``
    spill_at: Int64  # Pixels of its nuclei beyond the core, as row * width + column
    spill_id: Int32
    first: Int64  # First pixel of each nucleus, likewise
    others: Int64  # And of nuclei of other blocks that reach into the core, if that is exact
    nuclei: Nuclei
    np: Any  # uint8, probability x 255
    hv: Int8  # (2, h, w), HV x 100, 0 outside the mask
    missed: Int64  # (k, 2): overview cell (row * 2**32 + column), pixels with NP > 0.5 alone
    tries: int
    window: Box  # What was looked at in the end
    cut: int  # Parts larger than ``LARGEST``
    seconds: float


def reach_of(params: SeparationParams) -> int:
    """Pixels around a part of the mask that decide how it is cut."""
    return filters.reach_of(max(params.scales)) + 1 + params.magnitude_window // 2 + 1


def segment_block(
    model: Model, source: SlideSource, block: Block, recipe: Recipe, tissue: TissueMask,
    turn: AbstractContextManager[object] | None = None,
) -> BlockResult:  # fmt: skip
    """Predict, separate and measure a block; looks further where a nucleus reaches further.

    The network is run within ``turn``: what several blocks at once share.
    """
    started = time.perf_counter()
    inference = replace(recipe.inference, image_mpp=source.mpp)
    params = scaled_separation(recipe.separation, working_scale(model.info, inference))
    around, tries = [recipe.slide_params.context] * SIDES, 0
    while True:
        tries += 1
        window = _window(block.core, around, reach_of(params) + UNCERTAIN, source.shape)
        with turn or nullcontext():
            maps = _maps(model, source, inference, window)
        cut = _cut(maps, params, block, window, source.shape)
        if (
            not any(cut.leaves)
            or min(a for a, out in zip(around, cut.leaves, strict=True) if out) >= MOST_CONTEXT
        ):
            break
        del maps
        around = [
            min(2 * a, MOST_CONTEXT) if out else a
            for a, out in zip(around, cut.leaves, strict=True)
        ]
    return _kept(block, window, maps, cut, tissue, (source.shape, recipe.exact, tries, started))


def _window(core: Box, around: list[int], more: int, shape: tuple[int, int]) -> Box:
    top, bottom, left, right = (a + more for a in around)
    return Box(
        max(core.r0 - top, 0), min(core.r1 + bottom, shape[0]),
        max(core.c0 - left, 0), min(core.c1 + right, shape[1]),
    )  # fmt: skip


def _maps(model: Model, source: SlideSource, params: InferenceParams, window: Box) -> Maps:
    from ..inference.maps import predict_steps  # noqa: PLC0415 - loads torch

    return driven(predict_steps(model, source, params, box=window))


@dataclass(frozen=True, eq=False)
class _Cut:
    """A window, separated, and what of it is certain."""

    mask: Bool
    labels: Int32
    parts: Int32
    whole: Bool  # Per part: taken whole; False = cut along the core
    giants: int  # Parts that are cut
    leaves: tuple[bool, ...]  # Whether a part of the core's leaves what is certain: t, b, l, r


def _cut(
    maps: Maps, params: SeparationParams, block: Block, window: Box, shape: tuple[int, int]
) -> _Cut:
    mask = clean_mask(maps.np, params)
    parts, n = label_parts(mask)
    if params.method == "local":
        seen = seen_pixels(maps, mask, params)
        energy = squeeze_energy(maps, (mask, seen), params)
        found = cut_basins(maps, (mask.copy(), seen), energy, params)
        found = merged(found) if params.merge_touching else found
    else:
        found = separate(maps, params)
    inner = (window.r0 > 0, window.r1 < shape[0], window.c0 > 0, window.c1 < shape[1])
    rim = _uncertain(maps, params, inner) + reach_of(params)
    height, width = mask.shape
    ends, limits = (0, height, 0, width), (rim, height - rim, rim, width - rim)
    safe = [at if cut else end for at, end, cut in zip(limits, ends, inner, strict=True)]
    core = np.array(block.core) - np.array([window.r0, window.r0, window.c0, window.c0])
    box, mine = part_boxes(parts, n, core)
    out = np.stack([box[:, 0] < safe[0], box[:, 1] > safe[1], box[:, 2] < safe[2],
                    box[:, 3] > safe[3]], axis=1) & mine[:, None]  # fmt: skip
    giant = (np.maximum(box[:, 1] - box[:, 0], box[:, 3] - box[:, 2]) > LARGEST) & mine
    leaves = tuple(bool(x) for x in (out & ~giant[:, None]).any(axis=0))
    whole = ~(giant | out.any(axis=1))
    return _Cut(found.mask, found.labels, parts, whole, int((~whole & mine).sum()), leaves)


def _uncertain(maps: Maps, params: SeparationParams, inner: tuple[bool, ...]) -> int:
    """Depth, from the cut sides, of mask that may be otherwise in a larger window.

    Small parts that a side cuts may belong to larger ones; small holes may be open beyond it, or
    closed by one of those parts.
    """
    raw = maps.np >= params.np_threshold
    parts, n = label_parts(raw)
    areas = count_pixels(parts.ravel(), n + 1)
    small = np.zeros(n + 1, np.bool_)
    for edge in _edges(parts, inner):
        small[edge] = True
    small[0] = False
    small &= areas < params.min_area
    doubtful = small[parts]
    kept = areas >= params.min_area
    kept[0] = False
    depth = _depth(doubtful, inner)
    if params.max_hole_area:
        grown = np.zeros_like(doubtful)
        rows, cols = np.nonzero(doubtful)
        for dr in (-1, 0, 1):
            for dc in (-1, 0, 1):
                r, c = (rows + dr).clip(0, raw.shape[0] - 1), (cols + dc).clip(0, raw.shape[1] - 1)
                grown[r, c] = True
        for mask in (kept[parts], (kept | small)[parts]):
            holes, count = label_parts(~mask, connectivity=EIGHT)
            sizes = count_pixels(holes.ravel(), count + 1)
            open_ = np.zeros(count + 1, np.bool_)
            for edge in _edges(holes, inner):
                open_[edge] = True
            open_[holes[grown]] = True
            open_[0] = False
            depth = max(depth, _depth((open_ & (sizes <= params.max_hole_area))[holes], inner))
    return depth


def _edges(array: Any, inner: tuple[bool, ...]) -> list[Any]:
    sides = (array[0], array[-1], array[:, 0], array[:, -1])
    return [side for side, cut in zip(sides, inner, strict=True) if cut]


def _depth(doubtful: Bool, inner: tuple[bool, ...]) -> int:
    """Return how far from the nearest cut side the deepest of these pixels lies."""
    rows, cols = np.nonzero(doubtful)
    if not len(rows):
        return 0
    far = np.full(len(rows), np.iinfo(np.int64).max)
    distances = (rows, doubtful.shape[0] - 1 - rows, cols, doubtful.shape[1] - 1 - cols)
    for distance, cut in zip(distances, inner, strict=True):
        if cut:
            np.minimum(far, distance, out=far)
    return int(far.max()) + 2  # and the pixel itself, and its neighbour


def _kept(
    block: Block,
    window: Box,
    maps: Maps,
    cut: _Cut,
    tissue: TissueMask,
    run: tuple[tuple[int, int], bool, int, float],
) -> BlockResult:
    """Keep the nuclei that are the block's own, and measure them."""
    (_, width), exact, tries, started = run
    core = block.core.moved(-window.r0, -window.c0)
    labels, bounds = cut.labels, np.array(core)
    own = np.zeros(int(labels.max()) + 1 if labels.size else 1, np.int64)
    first_pixels(labels, cut.parts, cut.whole, bounds, own)
    where, known = core.slices(), np.zeros(len(own), np.bool_)
    known[labels[where]] = exact  # what reaches into the core
    rows, cols = own // labels.shape[1], own % labels.shape[1]
    inside = (rows >= core.r0) & (rows < core.r1) & (cols >= core.c0) & (cols < core.c1)
    known |= inside
    known[0] = False
    at = np.flatnonzero(known & (own >= 0))
    cells = (rows[at] + window.r0) // tissue.step, (cols[at] + window.c0) // tissue.step
    at = at[tissue.cells[cells]]
    at = at[np.lexsort((own[at], ~inside[at]))]
    n = int(inside[at].sum())
    new = np.zeros(len(own), np.int32)
    new[at] = np.arange(1, len(at) + 1)
    first = (rows[at] + window.r0).astype(np.int64) * width + cols[at] + window.c0
    counted, all_labels = _missed(maps, labels, core, (window.r0, window.c0)), new[labels[where]]
    new[at[n:]] = 0
    keep_own(labels, cut.parts, cut.whole, bounds, new)
    nuclei = _placed(measure(labels, maps), window)
    labels[where] = 0
    rows, cols = np.nonzero(labels)
    spill_at = (rows + window.r0).astype(np.int64) * width + cols + window.c0
    hv = np.clip(np.rint(maps.hv[(slice(None), *where)] * 100), -127, 127).astype(np.int8)
    hv *= cut.mask[where]
    return BlockResult(
        block, all_labels, spill_at, labels[rows, cols], first[:n], first[n:], nuclei,
        np.rint(maps.np[where] * 255).clip(0, 255).astype(np.uint8), hv, counted, tries, window,
        cut.giants, time.perf_counter() - started,
    )  # fmt: skip


def _placed(nuclei: Nuclei, window: Box) -> Nuclei:
    """Move nuclei from a window to where it lies on the slide."""
    r, c = window.r0, window.c0
    return replace(
        nuclei,
        bbox=nuclei.bbox + np.array([r, c, r, c], np.int32),
        centroid=nuclei.centroid + np.array([c, r], np.float64),
        contours=tuple(contour + np.array([c, r], np.int32) for contour in nuclei.contours),
    )


def _missed(maps: Maps, labels: Int32, core: Box, origin: tuple[int, int]) -> Int64:
    """Count, per overview cell, the pixels of the core that NP takes for nucleus and nobody has."""
    where = core.slices()
    rows, cols = np.nonzero((maps.np[where] > 0.5) & (labels[where] == 0))
    cells = ((rows + core.r0 + origin[0]) // QC_CELL).astype(np.int64) << 32
    cells |= (cols + core.c0 + origin[1]) // QC_CELL
    keys, counts = np.unique(cells, return_counts=True)
    return np.stack([keys, counts.astype(np.int64)], axis=1)


@kernel
def part_boxes(parts: Any, n: int, core: Any) -> tuple[Any, Any]:
    """Return box (r0, r1, c0, c1) of parts 0..n and whether each has a pixel in the core."""
    box = np.zeros((n + 1, 4), np.int64)
    mine = np.zeros(n + 1, np.bool_)
    for r in range(parts.shape[0]):
        for c in range(parts.shape[1]):
            k = parts[r, c]
            if k == 0:
                continue
            if box[k, 1] == 0:
                box[k, 0], box[k, 2] = r, c
            box[k, 1] = r + 1
            box[k, 2], box[k, 3] = min(box[k, 2], c), max(box[k, 3], c + 1)
            if core[0] <= r < core[1] and core[2] <= c < core[3]:
                mine[k] = True
    return box, mine


@kernel
def first_pixels(labels: Any, parts: Any, whole: Any, core: Any, first: Any) -> None:
    """Write the first pixel of each label, -1 if none; of parts that are cut, in the core."""
    first[:] = -1
    for r in range(labels.shape[0]):
        inside = core[0] <= r < core[1]
        for c in range(labels.shape[1]):
            k = labels[r, c]
            if k and first[k] < 0 and (whole[parts[r, c]] or (inside and core[2] <= c < core[3])):
                first[k] = r * labels.shape[1] + c


@kernel
def keep_own(labels: Any, parts: Any, whole: Any, core: Any, new: Any) -> None:
    """Renumber in place; of parts that are cut only pixels of the core stay."""
    for r in range(labels.shape[0]):
        inside = core[0] <= r < core[1]
        for c in range(labels.shape[1]):
            k = labels[r, c]
            if k:
                here = whole[parts[r, c]] or (inside and core[2] <= c < core[3])
                labels[r, c] = new[k] if here else 0
