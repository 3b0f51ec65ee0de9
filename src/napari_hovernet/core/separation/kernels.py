"""Compiled flooding: basins of an energy, and a watershed from given markers."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from ..types import kernel

Array = npt.NDArray[Any]
Basins = tuple[Array, Array]
Heap = tuple[Array, Array, Array]

LEVELS = 65536
"""Steps the energy is sorted by."""
SHARE_PIXELS = 1 << 15
"""Pixels of whole parts that are sorted and flooded together; a larger part goes alone."""
FIRST_ROOM = 1024
"""Entries that growing tables start with."""


@kernel
def descend(mask: Array, energy: Array, way: Array) -> None:
    """Write into ``way`` where each pixel flows: 0 outside, else 1 + a place in `steps`.

    It flows to the lowest of its 4-neighbours, if that comes before it: pixels come by energy,
    equals by place. All (H, W).
    """
    height, width = mask.shape
    rows = np.full((3, width + 2), np.float32(np.inf), np.float32)
    for r in range(height + 1):
        up, here, down = rows[(r + 1) % 3], rows[(r + 2) % 3], rows[r % 3]
        down[:] = np.float32(np.inf)
        if r < height:
            fill_heights(mask[r], energy[r], down[1:-1])
        if r > 0:
            flow(here[1:-1], up[1:-1], here[:-2], here[2:], down[1:-1], way[r - 1])


@kernel
def fill_heights(mask: Array, energy: Array, heights: Array) -> None:
    """Copy the energy of a row where there is mask; elsewhere it is infinite."""
    for c in range(mask.size):
        heights[c] = energy[c] if mask[c] else np.float32(np.inf)


@kernel
def flow(here: Array, up: Array, left: Array, right: Array, down: Array, way: Array) -> None:
    """Choose the ways of a row from the heights around."""
    for c in range(way.size):
        own, lowest, chosen = here[c], np.float32(np.inf), np.uint8(1)
        if up[c] <= own:
            lowest, chosen = up[c], np.uint8(2)
        if left[c] <= own and left[c] < lowest:
            lowest, chosen = left[c], np.uint8(3)
        if right[c] < own and right[c] < lowest:
            lowest, chosen = right[c], np.uint8(4)
        if down[c] < own and down[c] < lowest:
            lowest, chosen = down[c], np.uint8(5)
        way[c] = chosen if own < np.float32(np.inf) else np.uint8(0)


@kernel
def steps(width: int) -> Array:
    """Distance to the pixel that each way leads to, in a flat array."""
    return np.array([0, 0, -width, -1, 1, width])


@kernel
def gather(way: Array, width: int, energy: Array, basins: Array) -> Array:
    """Number the basins, pixels that flow to one minimum; all flat, ``basins`` starts with 0.

    Returns the floor of each, (n + 1,), 0 first.
    """
    step = steps(width)
    floor = np.zeros(FIRST_ROOM, np.float32)
    n = 0
    for at in range(way.size):
        if way[at] == 0 or basins[at]:
            continue
        if way[at] == 2 or way[at] == 3:  # what lies there was visited
            basins[at] = basins[at + step[way[at]]]
            continue
        end = at
        while basins[end] == 0 and way[end] != 1:
            end += step[way[end]]
        if basins[end] == 0:
            n += 1
            if n == floor.size:
                floor = np.append(floor, np.zeros_like(floor))
            floor[n], basins[end] = energy[end], n
        found, end = basins[end], at
        while basins[end] == 0:
            basins[end] = found
            end += step[way[end]]
    return floor[: n + 1]


def list_passes(basins: Array, energy: Array) -> Array:
    """List the pixels, as flat indices, before which pixels of another basin came; (H, W)."""
    found = np.empty(basins.size // 16 + FIRST_ROOM, np.int64)
    n = fill_passes(basins, energy, found)
    if n > found.size:
        found = np.empty(n, np.int64)
        fill_passes(basins, energy, found)
    return found[:n]


@kernel
def fill_passes(basins: Array, energy: Array, found: Array) -> int:
    """Write the passes while there is room for them; returns how many there are."""
    height, width = basins.shape
    n = 0
    for r in range(height):
        for c in range(width):
            here = basins[r, c]
            if here == 0:
                continue
            right = basins[r, c + 1] if c + 1 < width else 0
            if right and right != here:
                if n < found.size:
                    found[n] = r * width + c + np.int64(energy[r, c + 1] >= energy[r, c])
                n += 1
            below = basins[r + 1, c] if r + 1 < height else 0
            if below and below != here:
                if n < found.size:
                    found[n] = (r + np.int64(energy[r + 1, c] >= energy[r, c])) * width + c
                n += 1
    return n


def in_order(pixels: Array, energy: Array) -> Array:
    """Sort flat indices of pixels by energy, equals by place."""
    bits = (energy[pixels] + np.float32(0)).view(np.int32)  # no -0.0
    bits ^= (bits >> 31) & np.int32(0x7FFFFFFF)  # whole numbers in the order of the floats
    keys = (bits.astype(np.int64) << 32) | pixels
    keys.sort()
    ordered: Array = keys & 0xFFFFFFFF
    return ordered


@kernel
def find_root(parent: Array, node: int) -> int:
    """Root of a node; halves the path to it on the way."""
    while parent[node] != node:
        parent[node] = parent[parent[node]]
        node = parent[node]
    return node


@kernel
def join_basins(
    passes: Array, width: int, energy: Array, basins: Array, floor: Array, depth: float
) -> Array:
    """Root of each basin after those less deep than ``depth`` have joined; flat arrays.

    At every pass, taken in order, each basin around it meets the deepest of them, and joins it if
    its own floor lies less than ``depth`` below the pass.
    """
    parent = np.arange(floor.size).astype(np.int32)
    for k in range(passes.size):
        at = passes[k]
        column = at % width
        left = at - 1 if column > 0 else -1
        right = at + 1 if column < width - 1 else -1
        level, deepest = energy[at], 0
        for beside in (at - width, left, right, at + width):
            if beside < 0 or beside >= basins.size or basins[beside] == 0:
                continue
            if energy[beside] > level or (energy[beside] == level and beside > at):
                continue  # comes later
            root = find_root(parent, basins[beside])
            if deepest == 0:
                deepest = root
            elif root != deepest:
                if floor[root] < floor[deepest]:
                    deepest, root = root, deepest
                if level - floor[root] < depth:
                    parent[root] = deepest
    for basin in range(parent.size):
        parent[basin] = find_root(parent, basin)
    return parent


@kernel
def mean_per_root(basins: Array, root: Array, inside: Array, values: Array) -> Array:
    """Mean of ``values`` inside the mask in all basins of each root; flat arrays."""
    total = np.zeros(root.size, np.float64)
    count = np.zeros(root.size, np.int64)
    for i in range(basins.size):
        if inside[i]:
            total[root[basins[i]]] += values[i]
            count[root[basins[i]]] += 1
    return total / np.maximum(count, 1)


@kernel
def name_nuclei(
    found: tuple[Array, Array], inside: Array, energy: Array, ceiling: Array, keep: Array,
    labels: Array, markers: Array,
) -> None:  # fmt: skip
    """Number the roots to keep, 1..n by first pixel, in ``labels``; flat arrays.

    ``found`` are the basins and the root of each; ``markers`` is the label where ``energy`` does
    not exceed the ceiling of the root, else 0.
    """
    basins, root = found
    new = np.zeros(keep.size, np.int32)
    n = 0
    for i in range(basins.size):
        here = root[basins[i]] if inside[i] else 0
        if here and keep[here]:
            if new[here] == 0:
                n += 1
                new[here] = n
            labels[i] = new[here]
            markers[i] = new[here] if energy[i] <= ceiling[here] else 0
        else:
            labels[i] = 0
            markers[i] = 0


@kernel
def count_markers(parts: Array, markers: Array, n: int) -> Array:
    """Per part (flat array, 1..n): 0 without a marker, its id if one, -1 if several."""
    found = np.zeros(n + 1, np.int32)
    for i in range(parts.size):
        m = markers[i]
        if m and parts[i] and found[parts[i]] != m:
            found[parts[i]] = m if found[parts[i]] == 0 else -1
    return found


@kernel
def push(heap: Heap, size: int, key: float, at: int, age: int) -> int:
    """Add an entry to a binary heap of keys, pixels and ages; returns the new size.

    Entries of equal key leave in the order they came: ``age`` is the largest so far.
    """
    keys, pixels, ages = heap
    i = size
    while i > 0 and keys[(i - 1) >> 1] > key:
        up = (i - 1) >> 1
        keys[i], pixels[i], ages[i] = keys[up], pixels[up], ages[up]
        i = up
    keys[i], pixels[i], ages[i] = key, at, age
    return size + 1


@kernel
def pop(heap: Heap, size: int) -> int:
    """Drop the first entry of the heap; returns the new size."""
    keys, pixels, ages = heap
    size -= 1
    key, at, age = keys[size], pixels[size], ages[size]
    i = 0
    while 2 * i + 1 < size:
        down = 2 * i + 1
        right = down + 1
        if right < size and (
            keys[right] < keys[down] or (keys[right] == keys[down] and ages[right] < ages[down])
        ):
            down = right
        if key < keys[down] or (key == keys[down] and age <= ages[down]):
            break
        keys[i], pixels[i], ages[i] = keys[down], pixels[down], ages[down]
        i = down
    keys[i], pixels[i], ages[i] = key, at, age
    return size


@kernel
def free_beside(at: int, width: int, parts: Array, labels: Array) -> bool:
    """Tell whether a 4-neighbour of the same part has no label yet; flat arrays."""
    here, column = parts[at], at % width
    up, down = at - width, at + width
    free: bool = (
        (up >= 0 and labels[up] == 0 and parts[up] == here)
        or (column > 0 and labels[at - 1] == 0 and parts[at - 1] == here)
        or (column < width - 1 and labels[at + 1] == 0 and parts[at + 1] == here)
        or (down < labels.size and labels[down] == 0 and parts[down] == here)
    )
    return free


@kernel
def seed(parts: Array, found: Array, markers: Array, labels: Array) -> Array:
    """Fill parts that hold one marker, copy the markers of the others; flat arrays.

    Returns a copy of ``parts`` in which only those others are left.
    """
    crowded = np.zeros_like(parts)
    for i in range(parts.size):
        which = found[parts[i]]
        labels[i] = which if which > 0 else markers[i] * (which < 0)
        if which < 0:
            crowded[i] = parts[i]
    return crowded


@kernel
def watershed(order: Array, width: int, energy: Array, parts: Array, labels: Array) -> None:
    """Flood the listed pixels of one part from those that have a label; flat arrays.

    Pixels are taken by energy, equals first come first served (4-neighbours).
    """
    heap = (
        np.empty(order.size, np.float32), np.empty_like(order), np.empty(order.size, np.int32)
    )  # fmt: skip
    size = 0
    for at in order:
        if labels[at] and free_beside(at, width, parts, labels):
            size = push(heap, size, energy[at], at, 0)
    age = 0
    while size:
        at = heap[1][0]
        size = pop(heap, size)
        column = at % width
        left = at - 1 if column > 0 else -1
        right = at + 1 if column < width - 1 else -1
        for beside in (at - width, left, right, at + width):
            if not 0 <= beside < labels.size or labels[beside] or parts[beside] != parts[at]:
                continue
            age += 1
            labels[beside] = labels[at]
            if free_beside(beside, width, parts, labels):
                size = push(heap, size, energy[beside], beside, age)


@kernel
def watersheds(
    order: Array, ends: Array, width: int, energy: Array, parts: Array, labels: Array
) -> None:
    """Flood one part after the other: their heaps are small; ``ends`` as of `list_pixels`."""
    for part in range(1, ends.size):
        if ends[part] > ends[part - 1]:
            watershed(order[ends[part - 1] : ends[part]], width, energy, parts, labels)


def flood_from_markers(energy: Array, parts: Array, n: int, markers: Array) -> Array:
    """Give each pixel of parts 1..n the marker from which it is flooded; all (H, W)."""
    flat, labels = parts.ravel(), np.zeros_like(parts)
    found = count_markers(flat, markers.ravel(), n)
    found[0] = 0
    crowded = seed(flat, found, markers.ravel(), labels.ravel())
    index = np.int32 if parts.size <= np.iinfo(np.int32).max else np.int64
    order = np.empty(np.count_nonzero(crowded), index)
    if order.size:
        ends = list_pixels(crowded, order)
        watersheds(order, ends, parts.shape[1], energy.ravel(), flat, labels.ravel())
    return labels


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
