"""Compiled loops over labelled pixels for the HV maps."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .compiled import kernel

Array = npt.NDArray[Any]

FIRST_ROOM = 1024
"""Entries that growing tables start with."""


@kernel
def moments(ids: Array, n: int) -> tuple[Array, Array, Array]:
    """Count, sum of (row, column) and inclusive box (r0, c0, r1, c1) of every id."""
    count = np.zeros(n + 1, np.int64)
    total = np.zeros((n + 1, 2), np.float64)
    box = np.zeros((n + 1, 4), np.int64)
    height, width = ids.shape
    for r in range(height):
        c = 0
        while c < width:
            i = ids[r, c]
            start = c
            c += 1
            while c < width and ids[r, c] == i:
                c += 1
            if i == 0:
                continue
            length = c - start
            if count[i] == 0:
                box[i, 0], box[i, 1], box[i, 3] = r, start, c - 1
            box[i, 1] = min(box[i, 1], start)
            box[i, 2] = r
            box[i, 3] = max(box[i, 3], c - 1)
            count[i] += length
            total[i, 0] += r * length
            total[i, 1] += 0.5 * (start + c - 1) * length
    return count, total, box


@kernel
def farthest(ids: Array, centre: Array) -> Array:
    """Largest distance from the centre to a pixel of each id."""
    square = np.zeros(len(centre), np.float64)
    for r in range(ids.shape[0]):
        for c in range(ids.shape[1]):
            i = ids[r, c]
            if i:
                y, x = r - centre[i, 0], c - centre[i, 1]
                square[i] = max(square[i], y * y + x * x)
    radius: Array = np.sqrt(square)
    return radius


@kernel
def write_offsets(ids: Array, centre: Array, inverse: Array, hv: Array) -> None:
    """Write each offset from the centre times the inverse extent of its side."""
    for r in range(ids.shape[0]):
        for c in range(ids.shape[1]):
            i = ids[r, c]
            if i:
                x, y = c - centre[i, 1], r - centre[i, 0]
                hv[0, r, c] = x * (inverse[i, 0] if x < 0 else inverse[i, 1])
                hv[1, r, c] = y * (inverse[i, 2] if y < 0 else inverse[i, 3])


@kernel
def join(parent: Array, a: int, b: int) -> int:
    """Let two nodes (0 = none) share the lower of their roots; returns it."""
    if a == 0 or b == 0:
        return max(a, b)
    while parent[a] != a:
        a = parent[a]
    while parent[b] != b:
        b = parent[b]
    low = min(a, b)
    parent[a] = parent[b] = low
    return low


@kernel
def flatten(parent: Array, n: int) -> None:
    """Replace each node 1..n, in place, by the number of its root in order of roots.

    A root is its own parent; all others have a parent that comes before them.
    """
    found = 0
    for node in range(1, n + 1):
        if parent[node] == node:
            found += 1
            parent[node] = found
        else:
            parent[node] = parent[parent[node]]


@kernel
def label_equal(ids: Array, parts: Array) -> int:
    """Fill ``parts`` with the 4-connected parts of equal id, in order of first pixel."""
    height, width = ids.shape
    parent = np.zeros(FIRST_ROOM, np.int32)
    n = 0
    for r in range(height):
        for c in range(width):
            i = ids[r, c]
            if i == 0:
                continue
            left = parts[r, c - 1] if c > 0 and ids[r, c - 1] == i else 0
            above = parts[r - 1, c] if r > 0 and ids[r - 1, c] == i else 0
            part = join(parent, left, above)
            if part == 0:
                n += 1
                if n == parent.size:
                    parent = np.concatenate((parent, np.zeros_like(parent)))
                parent[n] = part = n
            parts[r, c] = part
    flatten(parent, n)
    for r in range(height):
        for c in range(width):
            parts[r, c] = parent[parts[r, c]]
    found: int = parent[: n + 1].max()
    return found
