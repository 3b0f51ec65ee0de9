"""Compiled loops between masks and outlines that run along pixel edges."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..compiled import kernel

Array = npt.NDArray[Any]


@kernel
def trace(mask: Array, points: Array, starts: Array) -> int:
    """Walk along the outer side of every boundary of a mask.

    ``mask`` (H, W) has a margin of one empty pixel all round. Corners are written to
    ``points`` (x, y; room for 4 per set pixel), the index of each ring's first one to
    ``starts`` (room for one per set pixel, and one more for the end). Pixels that meet
    in a corner alone belong to different rings. Set pixels lie to the right of the walk:
    an outer ring has positive area with y downwards, that of a hole a negative one.

    Returns the number of rings.
    """
    height, width = mask.shape
    seen = np.zeros((height, width), np.bool_)
    total, rings = 0, 0
    for r in range(1, height):
        for c in range(1, width):
            if not mask[r, c] or mask[r - 1, c] or seen[r, c]:
                continue
            starts[rings] = total
            y, x, way = r, c, 0  # 0 = to the right, 1 = down, 2 = to the left, 3 = up
            while way != 0 or not seen[y, x]:
                if way == 0:
                    seen[y, x] = True
                y += (way == 1) - (way == 3)
                x += (way == 0) - (way == 2)
                ahead_right = mask[y - (way >= 2), x - (1 <= way <= 2)]
                ahead_left = mask[y - (way % 3 == 0), x - (way >= 2)]
                if ahead_right and not ahead_left:
                    continue
                points[total, 0], points[total, 1] = x, y
                total += 1
                way = (way + 3) % 4 if ahead_right else (way + 1) % 4
            rings += 1
    starts[rings] = total
    return rings


@kernel
def fill(rings: Array, edges: Array, first: Array, labels: Array) -> None:
    """Set each object's number where a pixel centre lies inside an odd number of its rings.

    ``edges`` (n, 4) holds x0, y0, x1, y1 in pixel-edge coordinates; those of object i
    (numbered i + 1 in ``labels``) are ``edges[first[i]:first[i + 1]]``. ``rings`` gives
    each object's least and largest y.
    """
    height, width = labels.shape
    for i in range(len(first) - 1):
        crossings = np.empty(first[i + 1] - first[i], np.float64)
        top = max(0, int(np.ceil(rings[i, 0] - 0.5)))
        bottom = min(height - 1, int(np.floor(rings[i, 1] - 0.5)))
        for r in range(top, bottom + 1):
            centre = r + 0.5
            n = 0
            for k in range(first[i], first[i + 1]):
                y0, y1 = edges[k, 1], edges[k, 3]
                if (y0 <= centre) == (y1 <= centre):
                    continue
                share = (centre - y0) / (y1 - y0)
                crossings[n] = edges[k, 0] + share * (edges[k, 2] - edges[k, 0])
                n += 1
            ordered = np.sort(crossings[:n])
            for k in range(0, n - 1, 2):
                start = max(0, int(np.ceil(ordered[k] - 0.5)))
                stop = min(width, int(np.ceil(ordered[k + 1] - 0.5)))
                for c in range(start, stop):
                    labels[r, c] = i + 1
