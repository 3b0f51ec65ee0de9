"""Compiled loops over labelled pixels for the HV maps."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .compiled import kernel

Array = npt.NDArray[Any]


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
def label_equal(ids: Array, parts: Array) -> int:
    """Fill ``parts`` with the 4-connected parts of equal id, in order of first pixel."""
    height, width = ids.shape
    stack = np.empty(ids.size, np.int64)
    n = 0
    for start in range(ids.size):
        if ids[start // width, start % width] == 0 or parts[start // width, start % width]:
            continue
        n += 1
        parts[start // width, start % width] = n
        stack[0], top = start, 1
        while top:
            top -= 1
            r, c = stack[top] // width, stack[top] % width
            for dr, dc in ((-1, 0), (1, 0), (0, -1), (0, 1)):
                y, x = r + dr, c + dc
                inside = 0 <= y < height and 0 <= x < width
                if inside and parts[y, x] == 0 and ids[y, x] == ids[r, c]:
                    parts[y, x] = n
                    stack[top] = y * width + x
                    top += 1
    return n
