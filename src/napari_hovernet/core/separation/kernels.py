"""Compiled flooding: basins of an energy, and a watershed from given markers."""

from __future__ import annotations

from functools import reduce
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from ..masks import RUNS_AT_ONCE, Runs, join_runs, list_runs, runs_of_rows
from ..types import Separation, bands, kernel, spread

Array = npt.NDArray[Any]
Heap = tuple[Array, Array]

Pair = tuple[Array, Array]

SEVERAL = np.int32(-1)
"""Stands for the marker of a part that has more than one."""
KEPT = np.int32(-2)
"""Stands for the markers of a part that is as it was."""
OUTSIDE = np.int32(-1)
"""Stands where there is no mask, in a window that is flooded."""
LEAST_BITS = np.int32(-(2**31))
"""Bits of -0.0."""


@kernel
def descend(mask: Array, energy: Array, rows: tuple[int, int], way: Array) -> Array:
    """Write into ``way`` where each pixel of some rows flows; returns the places of minima.

    That is 0 outside, else the size of the image plus a place. A pixel flows to the lowest of its
    4-neighbours, if that comes before it, else to itself: pixels come by energy, equals by place.
    All (H, W).
    """
    height, width = mask.shape
    first, last = rows
    heights = np.empty((3, width + 2), np.float32)
    heights[:] = np.float32(np.inf)
    minima = 0
    for r in range(first - 1, last + 1):
        up, here, down = heights[(r + 1) % 3], heights[(r + 2) % 3], heights[r % 3]
        down[:] = np.float32(np.inf)
        if 0 <= r < height:
            fill_heights(mask[r], energy[r], down[1:-1])
        if r > first:
            start = np.uint32(way.size + (r - 1) * width)
            minima += flow(up[1:-1], here, down[1:-1], start, way[r - 1])
    found = np.empty(minima, np.uint32)
    list_minima(way.reshape(-1), first * width, last * width, found)
    shorten(way.reshape(-1), first * width, last * width)
    return found


@kernel
def fill_heights(mask: Array, energy: Array, heights: Array) -> None:
    """Copy the energy of a row where there is mask; elsewhere it is infinite."""
    for c in range(mask.size):
        heights[c] = energy[c] if mask[c] else np.float32(np.inf)


@kernel
def flow(up: Array, around: Array, down: Array, start: Any, way: Array) -> Any:
    """Choose the ways of a row, whose first pixel has the way ``start``, from the heights around.

    Returns how many lead nowhere.
    """
    left, here, right = around[:-2], around[1:-1], around[2:]
    width, minima = np.uint32(way.size), np.int32(0)
    for c in range(way.size):
        own, least = here[c], min(up[c], left[c], right[c], down[c])
        chosen = np.uint32(0)
        chosen = width if (down[c] == least) & (least < own) else chosen
        chosen = np.uint32(1) if (right[c] == least) & (least < own) else chosen
        chosen = np.uint32(-1) if (left[c] == least) & (least <= own) else chosen
        chosen = np.uint32(-width) if (up[c] == least) & (least <= own) else chosen
        way[c] = np.uint32(start + c + chosen) if own < np.float32(np.inf) else np.uint32(0)
    for c in range(way.size):
        minima += np.int32(way[c] == np.uint32(start + c))
    return minima


@kernel
def list_minima(way: Array, first: int, last: int, minima: Array) -> None:
    """List the places of a stretch that flow to themselves, 64 looked at at once; flat."""
    size, n = np.uint32(way.size), 0
    for start in range(first, last, 64):
        some, ways = np.int32(0), way[start : min(start + 64, last)]
        for i in range(ways.size):
            some += np.int32(ways[i] == np.uint32(size + np.uint32(start) + np.uint32(i)))
        for i in range(ways.size if some else 0):
            if ways[i] == np.uint32(size + np.uint32(start) + np.uint32(i)):
                minima[n] = start + i
                n += 1


@kernel
def shorten(way: Array, first: int, last: int) -> None:
    """Lead each pixel of a stretch to where its next one leads, the last pixel first; flat."""
    size = np.uintp(way.size)
    least, most = size + np.uintp(first), size + np.uintp(last)
    for place in range(first + 1, last + 1):
        at = np.uintp(first + last - place)
        to = np.uintp(way[at])
        if to:
            way[at] = way[to - size if (to >= least) & (to < most) else at]


@kernel
def find_passes(way: Array, energy: Array, rows: tuple[int, int]) -> tuple[Array, Array]:
    """List where basins meet in some rows, by place: (n, 4) basins and (n,) energy.

    That is at each pixel before which a pixel of another basin came; 0 stands for no neighbour, or
    one that comes later. Ways that are left are followed to their end.
    """
    height, width = way.shape
    first, last = rows
    follow(way.reshape(-1), max(first - 1, 0) * width, min(last + 1, height) * width)
    words = -(-width // 8)  # eight pixels are looked at at once
    met, n = np.zeros((last - first, 8 * words), np.bool_), 0
    yes, no = np.bool_(True), np.bool_(False)  # for the plain words `mark_row` is compiled twice
    for r in range(first, last):
        here, level, row = way[r], energy[r], met[r - first, :width]
        if r > 0:
            mark_row(here, way[r - 1], level, energy[r - 1], yes, row)
        mark_row(here[1:], here[:-1], level[1:], level[:-1], yes, row[1:])
        mark_row(here[:-1], here[1:], level[:-1], level[1:], no, row[:-1])
        if r + 1 < height:
            mark_row(here, way[r + 1], level, energy[r + 1], no, row)
        for c in range(width):
            n += int(row[c])
    around, levels, n = np.empty((n, 4), np.uint32), np.empty(n, np.float32), 0
    for r in range(first, last):
        some = met[r - first].view(np.uint64)
        for word in range(words):
            if not some[word]:
                continue
            for c in range(8 * word, 8 * word + 8):
                if met[r - first, c]:
                    list_pass(way, energy, (r, c), around[n])
                    levels[n] = energy[r, c]
                    n += 1
    return around, levels


@kernel
def follow(way: Array, first: int, last: int) -> None:
    """Replace the ways of a stretch by the numbers at their ends, the first pixel first; flat."""
    size = np.uintp(way.size)
    for place in range(first, last):
        at = np.uintp(place)
        to = np.uintp(way[at])
        while to >= size:
            to = np.uintp(way[to - size])
        way[at] = to


@kernel
def list_pass(way: Array, energy: Array, place: tuple[int, int], around: Array) -> None:
    """Write the basins around a pixel that are before it: up, left, right, down."""
    r, c = place
    level, up, down = energy[r, c], max(r - 1, 0), min(r + 1, way.shape[0] - 1)
    left, right = max(c - 1, 0), min(c + 1, way.shape[1] - 1)
    around[0] = way[up, c] if (r > up) & (energy[up, c] <= level) else 0
    around[1] = way[r, left] if (c > left) & (energy[r, left] <= level) else 0
    around[2] = way[r, right] if energy[r, right] < level else 0
    around[3] = way[down, c] if energy[down, c] < level else 0


@kernel
def mark_row(
    here: Array, beside: Array, level: Array, other: Array, equal: Any, met: Array
) -> None:  # fmt: skip
    """Mark pixels of a row of which the neighbour on one side is of another basin and before.

    One of equal energy comes before or not.
    """
    for c in range(met.size):
        before = (other[c] < level[c]) | (equal & (other[c] == level[c]))
        met[c] |= before & (here[c] != beside[c]) & (here[c] != 0) & (beside[c] != 0)


@kernel
def shallow(around: Array, levels: Array, floor: Array, depth: float) -> Array:
    """Places of the passes, as of `find_passes`, at which a basin can join another.

    A floor only gets lower by joining, so no basin joins where none of those around is less deep
    than ``depth`` by its own floor.
    """
    found, n = np.empty(levels.size, np.int64), 0
    for k in range(levels.size):
        highest = -np.float32(np.inf)
        for side in range(4):
            basin = around[k, side]
            highest = max(highest, floor[basin] if basin else highest)
        found[n] = k
        n += int(levels[k] - highest < depth)
    return found[:n]


@kernel
def find_root(parent: Array, node: Any) -> Any:
    """Root of a node; halves the path to it on the way."""
    while parent[node] != node:
        parent[node] = parent[parent[node]]
        node = parent[node]
    return node


@kernel
def join_basins(
    order: Array, around: Array, levels: Array, floor: Array, depth: float
) -> Array:  # fmt: skip
    """Root of each basin after those less deep than ``depth`` have joined.

    At every pass, in order, each basin around it meets the deepest of them, and joins it if its
    own floor lies less than ``depth`` below the pass.
    """
    parent = np.empty(floor.size, np.int32)
    for basin in range(parent.size):
        parent[basin] = basin
    for k in order:
        deepest = 0
        for side in range(4):
            if around[k, side] == 0:
                continue
            root = find_root(parent, np.int64(around[k, side]))
            if deepest == 0:
                deepest = root
            elif root != deepest:
                if floor[root] < floor[deepest]:
                    deepest, root = root, deepest
                if levels[k] - floor[root] < depth:
                    parent[root] = deepest
    for basin in range(parent.size):
        parent[basin] = find_root(parent, basin)
    return parent


def weigh_roots(
    basins: Array, root: Array, inside: Array, values: Array
) -> tuple[Array, Array, Array]:
    """Sum and number of ``values`` inside the mask by root; also the roots, by first pixel.

    All (rows, W); the sum is 0 for what is no root.
    """
    total, count = np.zeros(root.size, np.float64), np.zeros(root.size, np.int64)
    order = np.empty(root.size, np.int32)
    n = add_roots((basins, root, inside, values), total, count, order)
    return total, count, order[:n]


@kernel
def add_roots(
    given: tuple[Array, Array, Array, Array], total: Array, count: Array, order: Array
) -> int:
    """Sum and count the values of each root in zeros, and list the roots; how many."""
    basins, root, inside, values = given
    n = 0
    for r in range(basins.shape[0]):
        ids, some, row, c = basins[r], inside[r], values[r], 0
        while c < ids.size:
            if not some[c]:
                c += 1
                continue
            here, share, start = root[ids[c]], 0.0, c
            while c < ids.size and some[c] and root[ids[c]] == here:
                share += row[c]
                c += 1
            if count[here] == 0 and here:
                order[n] = here
                n += 1
            total[here] += share
            count[here] += c - start
    total[0] = 0
    return n


@kernel
def write_names(
    found: tuple[Array, Array, Array], inside: Array, energy: Array, labels: Array, markers: Array
) -> None:
    """Write the name of each pixel's basin; a marker where ``energy`` is not above its ceiling.

    ``found`` are basins, and name and ceiling of each; flat arrays. Basins are unsigned, as all
    numbers of them: nobody asks then whether they count from the end.
    """
    basins, name, ceiling = found
    for i in range(basins.size):
        basin = basins[i] if inside[i] else np.uint32(0)
        here = name[basin]
        labels[i] = here
        markers[i] = here if energy[i] <= ceiling[basin] else np.int32(0)


def flood_from_markers(
    energy: Array, mask: Array, markers: Array, before: Separation | None = None
) -> Array:
    """Give each pixel of the mask the marker from which it is flooded; all (H, W).

    Parts of the mask that are as they were ``before`` keep what they had.
    """
    labels, pieces = np.empty(mask.shape, np.int32), bands(mask.shape)
    runs = list_runs(mask)
    part, n = join_runs(runs, 0)

    def count(rows: slice) -> Array:
        return count_markers(runs_of_rows(runs, rows), part, n, markers[rows])

    def fill(rows: slice) -> None:
        fill_parts(runs_of_rows(runs, rows), part, found, markers[rows], labels[rows])

    found = reduce(both_markers, spread(count, pieces))
    if before is None:
        spread(fill, pieces)
    else:
        new, changed = pair_ids(before.markers, markers), np.empty_like(mask)
        pairs = (before.mask, mask), (before.energy, energy), (before.markers, markers)
        find_changes(*pairs, new, changed)
        found[~touched_parts(runs, part, n, changed)] = KEPT
        spread(fill, pieces)
        copy_parts(runs, part, found, (before.labels, new), labels)
    members, bits = by_part(runs, part, n), energy.view(np.int32)
    cuts = np.searchsorted(members[1], np.arange(RUNS_AT_ONCE, len(part), RUNS_AT_ONCE))
    ends = pairwise(np.unique([1, *np.clip(cuts, 1, n + 1), n + 1]).tolist())
    spread(lambda parts: flood_parts(runs, members, parts, found, bits, labels), list(ends))
    return labels


def both_markers(some: Array, others: Array) -> Array:
    """Join what two pieces say of each part, as of `count_markers`."""
    one = np.where(some == 0, others, some)
    return np.where((others == 0) | (others == one), one, SEVERAL)


@kernel
def pair_ids(before: Array, after: Array) -> Array:
    """Give each id of ``before`` the first free one of ``after`` it meets, -1 if there is none."""
    new = np.full(before.max() + 1, -1, np.int32)
    new[0] = 0
    taken = np.zeros(after.max() + 1, np.bool_)
    for r in range(before.shape[0]):
        for c in range(before.shape[1]):
            a, b = before[r, c], after[r, c]
            if a and b and new[a] < 0 and not taken[b]:
                new[a], taken[b] = b, True
    return new


@kernel
def find_changes(masks: Pair, energies: Pair, markers: Pair, new: Array, changed: Array) -> None:
    """Tell where mask, energy or, by ``new`` ids, markers are not what they were."""
    (mask0, mask), (energy0, energy), (marker0, marker) = masks, energies, markers
    for r in range(changed.shape[0]):
        for c in range(changed.shape[1]):
            same = (mask0[r, c] == mask[r, c]) & (energy0[r, c] == energy[r, c])
            changed[r, c] = not (same & (new[marker0[r, c]] == marker[r, c]))


@kernel
def touched_parts(runs: Runs, part: Array, n: int, changed: Array) -> Array:
    """Tell for parts 0..n whether a pixel of theirs, or a 4-neighbour of one, has changed."""
    first, ends = runs
    touched = np.zeros(n + 1, np.bool_)
    height, width = changed.shape
    for r in range(height):
        up, down = max(r - 1, 0), min(r + 1, height - 1)
        for k in range(first[r], first[r + 1]):
            a, b = ends[k, 0], ends[k, 1]
            some = changed[r, max(a - 1, 0)] | changed[r, min(b, width - 1)]
            for c in range(a, b):
                some |= changed[up, c] | changed[r, c] | changed[down, c]
            touched[part[k]] |= some
    return touched


@kernel
def copy_parts(runs: Runs, part: Array, found: Array, kept: Pair, labels: Array) -> None:
    """Write the labels of parts that are `KEPT`, by their new ids."""
    first, ends = runs
    before, new = kept
    for r in range(len(first) - 1):
        for k in range(first[r], first[r + 1]):
            if found[part[k]] == KEPT:
                for c in range(ends[k, 0], ends[k, 1]):
                    labels[r, c] = new[before[r, c]]


@kernel
def count_markers(runs: Runs, part: Array, n: int, markers: Array) -> Array:
    """Per part, 1..n, of the runs: 0 without a marker, its id if one, `SEVERAL` if more."""
    first, ends = runs
    found = np.zeros(n + 1, np.int32)
    for r in range(len(first) - 1):
        for k in range(first[r], first[r + 1]):
            which = found[part[k]]
            if which == SEVERAL:
                continue
            here = markers[r, ends[k, 0] : ends[k, 1]]
            least, most = ends_of_markers(here)
            if most:
                alone = (least == most) & ((which == 0) | (which == most))
                found[part[k]] = most if alone else SEVERAL
    return found


@kernel
def ends_of_markers(values: Array) -> tuple[Any, Any]:
    """Smallest and largest marker of a run; 0 and 0 without one."""
    least, most, one = np.uint32(0xFFFFFFFF), np.uint32(0), np.uint32(1)
    for c in range(values.size):
        value = np.uint32(values[c])
        least = min(least, np.uint32(value - one))  # 0 becomes the largest number
        most = max(most, value)
    return np.int32(least + one), np.int32(most)


@kernel
def fill_parts(runs: Runs, part: Array, found: Array, markers: Array, labels: Array) -> None:
    """Fill parts that hold one marker, copy the markers of those with several."""
    first, ends = runs
    for r in range(len(first) - 1):
        labels[r] = 0
        for k in range(first[r], first[r + 1]):
            a, b, which = ends[k, 0], ends[k, 1], found[part[k]]
            if which > 0:
                labels[r, a:b] = which
            elif which == SEVERAL:
                labels[r, a:b] = markers[r, a:b]


@kernel
def by_part(runs: Runs, part: Array, n: int) -> tuple[Array, Array]:
    """List row and number of all runs, part by part, (runs, 2); and where each of 1..n starts."""
    first = runs[0]
    start = np.zeros(n + 2, np.int64)
    for k in range(len(part)):
        start[part[k] + 1] += 1
    for i in range(n + 1):
        start[i + 1] += start[i]
    at, listed = start.copy(), np.empty((len(part), 2), np.int32)
    for r in range(len(first) - 1):
        for k in range(first[r], first[r + 1]):
            listed[at[part[k]], 0], listed[at[part[k]], 1] = r, k
            at[part[k]] += 1
    return listed, start


@kernel
def flood_parts(
    runs: Runs, members: Pair, parts: tuple[int, int], found: Array, energy: Array, labels: Array
) -> None:
    """Flood those parts that have several markers, each in a window of its own, from its labels.

    ``energy`` (H, W) float32, its bits seen as int32.
    """
    ends, (listed, start) = runs[1], members
    here, height = np.empty(0, np.int32), np.empty(0, np.int32)
    heap = (np.empty(0, np.int64), np.empty(0, np.int32))
    for p in range(parts[0], parts[1]):
        if found[p] != SEVERAL:
            continue
        mine = listed[start[p] : start[p + 1]]
        left, right, pixels = ends[mine[0, 1], 0], 0, 0
        for m in range(len(mine)):
            a, b = ends[mine[m, 1], 0], ends[mine[m, 1], 1]
            left, right, pixels = min(left, a), max(right, b), pixels + b - a
        top, stride = mine[0, 0] - 1, right - left + 2
        area = (mine[-1, 0] - top + 2) * stride
        if area > here.size:
            here, height = np.empty(2 * area, np.int32), np.empty(2 * area, np.int32)
        if pixels > heap[1].size:
            heap = (np.empty(2 * pixels, np.int64), np.empty(2 * pixels, np.int32))
        here[:area] = OUTSIDE
        for m in range(len(mine)):
            r, a, b = mine[m, 0], ends[mine[m, 1], 0], ends[mine[m, 1], 1]
            at = (r - top) * stride + a - left + 1
            load(labels[r, a:b], energy[r, a:b], here[at : at + b - a], height[at : at + b - a])
        watershed(here[:area], height, stride, heap)
        for m in range(len(mine)):
            r, a, b = mine[m, 0], ends[mine[m, 1], 0], ends[mine[m, 1], 1]
            at = (r - top) * stride + a - left + 1
            copy(here[at : at + b - a], labels[r, a:b])


@kernel
def load(labels: Array, energy: Array, here: Array, height: Array) -> None:
    """Copy a run into a window; the bits of its energies become numbers of the same order."""
    for c in range(here.size):
        bits = energy[c] if energy[c] != LEAST_BITS else np.int32(0)  # -0.0 is 0.0
        height[c] = bits ^ ((bits >> np.int32(31)) & np.int32(0x7FFFFFFF))
        here[c] = labels[c]


@kernel
def copy(source: Array, target: Array) -> None:
    """Copy a run; a call of numpy would take longer."""
    for c in range(target.size):
        target[c] = source[c]


@kernel
def watershed(here: Array, height: Array, stride: int, heap: Heap) -> None:
    """Flood a window from its labels; flat arrays, `OUTSIDE` around and between.

    Pixels are taken by height, equals first come first served (4-neighbours). Places are unsigned:
    nobody asks then whether they count from the end.
    """
    size: Any = np.uintp(0)
    age, step, one = 0, np.uintp(stride), np.uintp(1)
    for place in range(stride, here.size - stride):
        at = np.uintp(place)
        if here[at] > 0 and free_beside(here, at, step):
            size = push(heap, size, np.int64(height[at]) << 32, place)
    while size:
        at = np.uintp(heap[1][0])
        size = pop(heap, size)
        for beside in (at - step, at - one, at + one, at + step):
            if here[beside] == 0:
                age += 1
                here[beside] = here[at]
                if free_beside(here, beside, step):
                    key = (np.int64(height[beside]) << 32) | age
                    size = push(heap, size, key, np.int32(beside))


@kernel
def free_beside(here: Array, at: Any, step: Any) -> bool:
    """Tell whether a 4-neighbour has no label yet."""
    one = np.uintp(1)
    free: bool = (
        here[at - step] == 0 or here[at - one] == 0 or here[at + one] == 0 or here[at + step] == 0
    )
    return free


@kernel
def push(heap: Heap, size: Any, key: Any, at: Any) -> Any:
    """Add an entry, by height and then by age, to a binary heap; returns the new size."""
    keys, pixels = heap
    i, one = size, np.uintp(1)
    while i:
        up = (i - one) >> one
        if keys[up] <= key:
            break
        keys[i], pixels[i] = keys[up], pixels[up]
        i = up
    keys[i], pixels[i] = key, at
    return size + one


@kernel
def pop(heap: Heap, size: Any) -> Any:
    """Drop the first entry of the heap; returns the new size."""
    keys, pixels = heap
    i: Any = np.uintp(0)
    one = np.uintp(1)
    size -= one
    key, at = keys[size], pixels[size]
    down = one
    while down + one < size:  # down to the end without a branch, as the last entry is high
        down += np.uintp(keys[down + one] < keys[down])
        keys[i], pixels[i] = keys[down], pixels[down]
        i, down = down, down + down + one
    if down < size:
        keys[i], pixels[i] = keys[down], pixels[down]
        i = down
    while i:
        up = (i - one) >> one
        if keys[up] < key:
            break
        keys[i], pixels[i] = keys[up], pixels[up]
        i = up
    keys[i], pixels[i] = key, at
    return size


@kernel
def add_lowest(parts: Array, energy: Array, n: int, chosen: Array) -> None:
    """Set ``chosen`` at the first pixel of lowest energy of every part 1..n; flat arrays."""
    best = np.full(n + 1, -1, np.int64)
    for i in range(parts.size):
        part = parts[i]
        if part and (best[part] < 0 or energy[i] < energy[best[part]]):
            best[part] = i
    for part in range(1, n + 1):
        if best[part] >= 0:
            chosen[best[part]] = True
