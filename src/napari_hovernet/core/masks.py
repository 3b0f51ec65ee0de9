"""Connected areas of a mask: number them, drop small ones, fill holes.

All of it is done on runs: stretches of a row, of which there are few.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from .params import SeparationParams
from .types import Bool, Float32, Int32, bands, kernel, spread

Array = npt.NDArray[Any]
Runs = tuple[Array, Array]
"""Place of the first run of each row, (H + 1,), and first and end column of each run, (n, 2)."""

FOUR = 4
EIGHT = 8
RUNS_AT_ONCE = 2**14
"""Runs, about, that one thread works on at once."""


def label_parts(mask: Bool, min_area: int = 0, connectivity: int = FOUR) -> tuple[Int32, int]:
    """Give each connected part of ``mask`` with at least ``min_area`` pixels a number.

    Returns the (H, W) int32 numbers 1..n by first pixel, 0 elsewhere, and n.
    """
    runs = list_runs(np.ascontiguousarray(mask))
    part, n = join_runs(runs, int(connectivity == EIGHT))
    if min_area > 1:
        part, n = chosen_alone(part, run_areas(runs, part, n) >= min_area)
    parts = np.empty(mask.shape, np.int32)
    spread(lambda rows: paint_runs(runs_of_rows(runs, rows), part, parts[rows]), bands(mask.shape))
    return parts, int(n)


def clean_mask(probability: Float32, params: SeparationParams) -> Bool:
    """Pixels taken for nucleus: threshold, then drop small parts, then fill small holes."""
    mask = np.empty(probability.shape, np.bool_)

    def cut(rows: slice) -> None:
        np.greater_equal(probability[rows], params.np_threshold, out=mask[rows])

    spread(cut, bands(mask.shape))
    runs = list_runs(mask)
    part, n = join_runs(runs, 0)
    small = run_areas(runs, part, n) < params.min_area
    small[0] = False
    if small.any():
        set_runs(runs, small[part], False, mask)
        runs = list_runs(mask)
    if params.max_hole_area:
        _fill(mask, runs, params.max_hole_area, EIGHT)
    return mask


def reopen_gaps(mask: Bool, seen: Bool, basins: Array, root: Array) -> None:
    """Take back, in place, filled holes (not ``seen``) that several instances have a share of.

    A hole within a nucleus belongs to it; one between nuclei is background. ``root`` tells for
    each basin to which instance it belongs.
    """
    filled = np.empty_like(mask)
    spread(lambda rows: np.greater(mask[rows], seen[rows], out=filled[rows]), bands(mask.shape))
    runs = list_runs(filled)
    if len(runs[1]):
        part, n = join_runs(runs, 1)
        shared = several_labels(runs, part, n, basins, root)
        set_runs(runs, shared[part], False, mask)


def fill_holes(mask: Bool, max_area: int | None = None, connectivity: int = EIGHT) -> None:
    """Fill, in place, the holes of up to ``max_area`` pixels that do not reach the border."""
    _fill(mask, list_runs(mask), mask.size if max_area is None else max_area, connectivity)


def _fill(mask: Bool, runs: Runs, max_area: int, connectivity: int) -> None:
    gaps = list_gaps(runs, mask.shape[1])
    part, n = join_runs(gaps, int(connectivity == EIGHT))
    hole = (run_areas(gaps, part, n) <= max_area) & ~at_border(gaps, part, n, mask.shape[1])
    if hole[1:].any():
        set_runs(gaps, hole[part], True, mask)


def list_runs(mask: Bool) -> Runs:
    """List the runs of set pixels of a mask, (H, W) bool, row by row."""
    found = spread(lambda rows: list_some(mask[rows]), bands(mask.shape))
    if len(found) == 1:
        return found[0]
    first, total = [np.zeros(1, np.int32)], 0
    for starts, ends in found:
        first.append(starts[1:] + np.int32(total))
        total += len(ends)
    return np.concatenate(first), np.concatenate([ends for _, ends in found])


def runs_of_rows(runs: Runs, rows: slice) -> Runs:
    """Return the runs of some rows; places of runs stay those of all."""
    return runs[0][rows.start : rows.stop + 1], runs[1]


def list_some(mask: Array) -> Runs:
    """List the runs of a mask of some rows."""
    first = np.zeros(len(mask) + 1, np.int32)
    if mask.size == 0:
        return first, np.empty((0, 2), np.int32)
    bits = mask.view(np.uint8)
    count_rises(bits, first)
    ends = np.empty(2 * int(first[-1]) + 1, np.int32)
    list_changes(bits, first, ends)
    return first, ends[:-1].reshape(-1, 2)


@kernel
def count_rises(bits: Array, first: Array) -> None:
    """Write where the runs of each row of 0 and 1 begin in a list of all."""
    for r in range(bits.shape[0]):
        row, before, n = bits[r, 1:], bits[r, :-1], np.int32(bits[r, 0])
        for c in range(row.size):
            n += np.int32(row[c] > before[c])
        first[r + 1] = first[r] + n


@kernel
def list_changes(bits: Array, first: Array, ends: Array) -> None:
    """Write where each row of 0 and 1 changes, its end included if it ends with 1."""
    for r in range(bits.shape[0]):
        n, before = np.uintp(2 * first[r]), np.uint8(0)
        for c in range(bits.shape[1]):  # without a branch: many would be guessed wrong
            ends[n] = c
            n += np.uintp(bits[r, c] ^ before)
            before = bits[r, c]
        if before:
            ends[n] = bits.shape[1]


def list_gaps(runs: Runs, width: int) -> Runs:
    """List the runs between those given."""
    found = np.empty((len(runs[1]) + len(runs[0]), 2), np.int32)
    start = np.zeros_like(runs[0])
    fill_gaps(runs, width, start, found)
    return start, found[: start[-1]].copy()


@kernel
def fill_gaps(runs: Runs, width: int, start: Array, found: Array) -> None:
    """Write the runs between those given, and where those of each row begin."""
    first, ends = runs
    n = 0
    for r in range(len(first) - 1):
        at = 0
        for k in range(first[r], first[r + 1] + 1):
            until = ends[k, 0] if k < first[r + 1] else width
            if until > at:
                found[n, 0], found[n, 1] = at, until
                n += 1
            at = ends[k, 1] if k < first[r + 1] else width
        start[r + 1] = n


def join_runs(runs: Runs, touch: int) -> tuple[Array, int]:
    """Give each run the number of its connected part, 1..n by first pixel; also returns n.

    Runs of neighbouring rows are connected if they overlap, or with ``touch`` 1 if they only meet.
    """
    part, rows = np.arange(len(runs[1]), dtype=np.int32), len(runs[0]) - 1
    cuts = np.searchsorted(runs[0], np.arange(RUNS_AT_ONCE, len(part), RUNS_AT_ONCE))
    seams = np.unique([0, *np.clip(cuts, 0, rows), rows]).tolist()
    spread(lambda ends: join_rows(runs, touch, ends, part), list(pairwise(seams)))
    for row in seams[1:-1]:
        join_rows(runs, touch, (row - 1, row + 1), part)
    n = int(number_parts(part))
    return np.negative(part, out=part), n


@kernel
def join_rows(runs: Runs, touch: int, rows: tuple[int, int], part: Array) -> None:
    """Lead each run of some rows, by ``part``, to an earlier one that it is connected with."""
    first, ends = runs
    for r in range(rows[0] + 1, rows[1]):
        a, b = first[r - 1], first[r]
        while a < first[r] and b < first[r + 1]:
            if ends[a, 0] < ends[b, 1] + touch and ends[b, 0] < ends[a, 1] + touch:
                i, j = a, b
                while part[i] != i:
                    part[i] = part[part[i]]
                    i = part[i]
                while part[j] != j:
                    part[j] = part[part[j]]
                    j = part[j]
                if i < j:
                    part[j] = i
                else:
                    part[i] = j
            if ends[a, 1] < ends[b, 1]:
                a += 1
            else:
                b += 1


@kernel
def number_parts(part: Array) -> int:
    """Replace the place each run is led to by minus the number of its part; how many."""
    n = 0
    for k in range(len(part)):  # the first run of a part comes first, and is its root
        if part[k] == k:
            n += 1
            part[k] = -n
        else:
            part[k] = part[part[k]]
    return n


@kernel
def run_areas(runs: Runs, part: Array, n: int) -> Array:
    """Count the pixels of every part 0..n, (n + 1,)."""
    ends, area = runs[1], np.zeros(n + 1, np.int64)
    for k in range(len(part)):
        area[part[k]] += ends[k, 1] - ends[k, 0]
    return area


def at_border(runs: Runs, part: Array, n: int, width: int) -> Array:
    """Tell for every part 0..n whether it reaches the border of the image."""
    ends, row = runs[1], np.repeat(np.arange(len(runs[0]) - 1), np.diff(runs[0]))
    found = np.zeros(n + 1, np.bool_)
    rim = (row == 0) | (row == len(runs[0]) - 2) | (ends[:, 0] == 0) | (ends[:, 1] == width)
    found[part[rim]] = True
    return found


def chosen_alone(part: Array, keep: Array) -> tuple[Array, int]:
    """Renumber the parts of runs: those kept 1..n, 0 for the others; also returns n."""
    keep[0] = False
    new = np.where(keep, np.cumsum(keep), 0).astype(np.int32)
    return new[part], int(keep.sum())


@kernel
def set_runs(runs: Runs, chosen: Array, value: bool, mask: Array) -> None:
    """Set a mask where runs are chosen, in place."""
    first, ends = runs
    for r in range(len(first) - 1):
        for k in range(first[r], first[r + 1]):
            if chosen[k]:
                mask[r, ends[k, 0] : ends[k, 1]] = value


@kernel
def paint_runs(runs: Runs, values: Array, image: Array) -> None:
    """Write the value of each run into an image, 0 elsewhere."""
    first, ends = runs
    for r in range(len(first) - 1):
        image[r] = 0
        for k in range(first[r], first[r + 1]):
            image[r, ends[k, 0] : ends[k, 1]] = values[k]


def several_labels(runs: Runs, part: Array, n: int, ids: Array, root: Array) -> Array:
    """Tell for every part 1..n of runs whether ``root`` of its pixels' ids (H, W) differ."""
    several = np.zeros(n + 1, np.bool_)
    compare_labels(runs, part, (ids, root), np.full(n + 1, -1, np.int32), several)
    return several


@kernel
def compare_labels(
    runs: Runs, part: Array, found: tuple[Array, Array], label: Array, several: Array
) -> None:
    """Note the first label of each part, and whether there are others."""
    (first, ends), (ids, root) = runs, found
    for r in range(len(first) - 1):
        for k in range(first[r], first[r + 1]):
            for c in range(ends[k, 0], ends[k, 1]):
                here = root[ids[r, c]]
                if label[part[k]] < 0:
                    label[part[k]] = here
                several[part[k]] |= here != label[part[k]]


@kernel
def count_pixels(ids: Array, n: int) -> Array:
    """Count the pixels of every id 0..n-1 in a flat array, without a wider copy of it."""
    count = np.zeros(n, np.int64)
    for i in range(ids.size):
        count[ids[i]] += 1
    return count


@kernel
def replace_ids(ids: Array, new: Array) -> None:
    """Replace each id of a flat array by its entry in ``new``, in place."""
    for i in range(ids.size):
        ids[i] = new[ids[i]]
