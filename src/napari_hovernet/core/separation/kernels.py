"""Compiled flooding: basins of an energy, and a watershed from given markers."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from ..hv import FIRST_ROOM, doubled
from ..types import kernel

Array = npt.NDArray[Any]
Basins = tuple[Array, Array]
Heap = tuple[Array, Array, Array]

LEVELS = 65536
"""Steps the energy is sorted by."""
SHARE_PIXELS = 1 << 15
"""Pixels of whole parts that are sorted and flooded together; a larger part goes alone."""


@kernel
def list_pixels(parts: Array, order: Array) -> Array:
    """List the flat indices of all pixels of parts 1..n in ``order``, part by part.

    ``parts`` is flat; ``order`` is an integer array with room for one index per pixel that is not 0
    in ``parts``. Returns where each part ends, (n + 1,), 0 for part 0.
    """
    most = 0
    for i in range(parts.size):
        most = max(most, parts[i])
    ends, starts = np.zeros(most + 1, np.int64), np.zeros(most + 2, np.int64)
    for i in range(parts.size):
        if parts[i]:
            ends[parts[i]] += 1
    for part in range(1, ends.size):
        ends[part] += ends[part - 1]
        starts[part + 1] = ends[part]
    for i in range(parts.size):
        if parts[i]:
            order[starts[parts[i]]] = i
            starts[parts[i]] += 1
    return ends


def shares(ends: Array, size: int) -> list[tuple[int, int]]:
    """Cut the pixels listed by `list_pixels` into shares of whole parts, about ``size`` each.

    Returns half-open ranges of positions; a part of more than ``size`` pixels is alone.
    """
    total = int(ends[-1]) if len(ends) else 0
    cuts = [0]
    while cuts[-1] < total:
        last = int(np.searchsorted(ends, cuts[-1] + size, side="right")) - 1
        stop = int(ends[last])
        if stop <= cuts[-1]:  # the next part alone is larger
            stop = int(ends[np.searchsorted(ends, cuts[-1], side="right")])
        cuts.append(stop)
    return list(pairwise(cuts))


@kernel
def level_of(energy: float, low: float, step: float) -> int:
    """Return the step, 0 to ``LEVELS`` - 1, in which an energy lies; NaN lies in the lowest."""
    place = (energy - low) * step
    if not place > 0:
        return 0
    return int(place) if place < LEVELS - 1 else LEVELS - 1


@kernel
def sort_parts(parts: Array, energy: Array, low: float, high: float, order: Array) -> None:
    """Sort ``order``, flat indices of consecutive parts, by part, then energy, then position.

    Energies are told apart in ``LEVELS`` steps from ``low`` to ``high``. Few parts at a time keep
    what is sorted close together in memory.
    """
    step = (LEVELS - 1) / (high - low)
    counts = np.zeros(LEVELS + 1, np.int64)
    first, last = parts[order[0]], parts[order[-1]]
    starts = np.zeros(last - first + 2, np.int64)
    for k in range(order.size):
        level = level_of(energy[order[k]], low, step)
        counts[level + 1] += 1
        starts[parts[order[k]] - first + 1] += 1
    for level in range(LEVELS):
        counts[level + 1] += counts[level]
    for part in range(last - first + 1):
        starts[part + 1] += starts[part]
    by_level = np.empty_like(order)
    for k in range(order.size):
        level = level_of(energy[order[k]], low, step)
        by_level[counts[level]] = order[k]
        counts[level] += 1
    for k in range(by_level.size):
        part = parts[by_level[k]] - first
        order[starts[part]] = by_level[k]
        starts[part] += 1


@kernel
def find_root(parent: Array, node: int) -> int:
    """Root of a node; halves the path to it on the way."""
    while parent[node] != node:
        parent[node] = parent[parent[node]]
        node = parent[node]
    return node


@kernel
def meet(root: int, other: int, level: float, depth: float, parent: Array, floor: Array) -> int:
    """Let two basins meet at ``level``; returns the root of the deeper one.

    The shallower joins it if its floor lies less than ``depth`` below ``level``.
    """
    if floor[other] < floor[root]:
        root, other = other, root
    if level - floor[other] < depth:
        parent[other] = root
    return root


@kernel
def settle(at: int, width: int, energy: Array, labels: Array, depth: float, basins: Basins) -> int:
    """Find the basin of a pixel at which basins meet; they may join.

    ``at`` is its index in the flat arrays ``energy`` and ``labels``.
    """
    column = at % width
    left = at - 1 if column > 0 else -1
    right = at + 1 if column < width - 1 else -1
    parent, floor = basins
    home, lowest, deepest = 0, np.inf, 0
    for beside in (at - width, left, right, at + width):
        if beside < 0 or beside >= labels.size or labels[beside] == 0:
            continue
        root = find_root(parent, labels[beside])
        if energy[beside] < lowest:
            home, lowest = root, energy[beside]
        if deepest == 0:
            deepest = root
        elif root != deepest:
            deepest = meet(deepest, root, energy[at], depth, parent, floor)
    return home


@kernel
def grow_basins(order: Array, width: int, energy: Array, labels: Array, depth: float) -> Array:
    """Flood every part from its minima and join basins that are less deep than ``depth``."""
    parent = np.zeros(FIRST_ROOM, np.int32)
    floor = np.zeros(FIRST_ROOM, np.float32)
    n = 0
    for k in range(order.size):
        at = order[k]
        column = at % width
        up = labels[at - width] if at >= width else 0
        left = labels[at - 1] if column > 0 else 0
        right = labels[at + 1] if column < width - 1 else 0
        down = labels[at + width] if at + width < labels.size else 0
        most = max(up, left, right, down)
        one = ((up == 0) | (up == most)) & ((left == 0) | (left == most))
        one &= ((right == 0) | (right == most)) & ((down == 0) | (down == most))
        if most == 0:
            n += 1
            if n == parent.size:
                parent, floor = doubled(parent), doubled(floor)
            parent[n], floor[n] = n, energy[at]
            labels[at] = n
        elif one:
            labels[at] = most  # most pixels; written out here, for a call would take four times
        else:
            labels[at] = settle(at, width, energy, labels, depth, (parent, floor))
    for k in range(order.size):
        labels[order[k]] = find_root(parent, labels[order[k]])
    return floor[: n + 1]


@kernel
def clear(order: Array, labels: Array) -> None:
    """Set the listed pixels of a flat array to 0."""
    for k in range(order.size):
        labels[order[k]] = 0


@kernel
def shift_ids(order: Array, labels: Array, by: int) -> None:
    """Add ``by`` to the listed pixels of a flat array."""
    for k in range(order.size):
        labels[order[k]] += by


@kernel
def mean_per_id(ids: Array, values: Array, largest: int) -> Array:
    """Mean of ``values`` in every id 0..largest; flat arrays, 0 for ids not there."""
    total = np.zeros(largest + 1, np.float64)
    count = np.zeros(largest + 1, np.int64)
    for i in range(ids.size):
        if ids[i]:
            total[ids[i]] += values[i]
            count[ids[i]] += 1
    for i in range(largest + 1):
        total[i] /= max(count[i], 1)
    return total


@kernel
def number_in_order(labels: Array, keep: Array) -> int:
    """Renumber flat ``labels`` in place 1..n by first pixel, 0 where not ``keep[id]``."""
    new = np.zeros(keep.size, np.int32)
    n = 0
    for i in range(labels.size):
        old = labels[i]
        if old:
            if new[old] == 0 and keep[old]:
                n += 1
                new[old] = n
            labels[i] = new[old]
    return n


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
def mark_floors(labels: Array, energy: Array, ceiling: Array, markers: Array) -> None:
    """Set ``markers`` to 1 where ``energy`` does not exceed the ceiling of its basin."""
    for i in range(labels.size):
        basin = labels[i]
        markers[i] = basin > 0 and energy[i] <= ceiling[basin]


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


@kernel
def add_squeeze(
    h: Array, v: Array, inside: Array, factor: float, oblique: float, total: Array
) -> None:
    """Add ``factor`` times how much the field (h, v) closes in to ``total`` where ``inside``.

    That is minus its divergence, of which the share ``oblique`` is replaced by minus twice the
    lower principal strain (equal to the divergence where the field opens evenly). All (H, W);
    central differences, one-sided at the border of the array.
    """
    height, width = total.shape
    for r in range(height):
        up, down = max(r - 1, 0), min(r + 1, height - 1)
        tall = np.float32(max(down - up, 1))
        for c in range(width):
            if inside[r, c]:
                left, right = max(c - 1, 0), min(c + 1, width - 1)
                wide = np.float32(max(right - left, 1))
                across = (h[r, right] - h[r, left]) / wide
                along = (v[down, c] - v[up, c]) / tall
                shear = (h[down, c] - h[up, c]) / tall + (v[r, right] - v[r, left]) / wide
                spread = np.sqrt((across - along) ** 2 + shear**2)
                total[r, c] -= factor * (across + along - oblique * spread)
