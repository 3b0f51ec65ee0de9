"""Compiled loops of the blob check: cores, hulls, seams and rims of labelled parts."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .compiled import kernel

Array = npt.NDArray[Any]

Cores = tuple[Array, Array, Array]
Part = tuple[Array, Array]
Rules = tuple[float, float]

FIRST_ROOM = 1024
"""Entries that growing tables start with."""
LEVELS_PER_PIXEL = 16
"""Steps per pixel in which distances from the rim are told apart."""


@kernel
def on_rim(parts: Array, rim: Array) -> None:
    """Clear ``rim`` (uint8, ones) where a pixel touches a pixel of another part by a side."""
    height, width = parts.shape
    for r in range(height):
        for c in range(width):
            i = parts[r, c]
            if (
                (c > 0 and parts[r, c - 1] != i)
                or (c + 1 < width and parts[r, c + 1] != i)
                or (r > 0 and parts[r - 1, c] != i)
                or (r + 1 < height and parts[r + 1, c] != i)
            ):
                rim[r, c] = 0


@kernel
def rim_mean(parts: Array, rim: Array, hv: Array, n: int) -> Array:
    """Mean HV magnitude over the rim pixels (``rim`` is 0) of parts 1..n; NaN without any."""
    count = np.zeros(n + 1, np.int64)
    total = np.zeros(n + 1)
    for r in range(parts.shape[0]):
        for c in range(parts.shape[1]):
            i = parts[r, c]
            if i and rim[r, c] == 0:
                count[i] += 1
                total[i] += np.sqrt(hv[0, r, c] * hv[0, r, c] + hv[1, r, c] * hv[1, r, c])
    mean = np.full(n + 1, np.nan)
    for i in range(n + 1):
        if count[i]:
            mean[i] = total[i] / count[i]
    return mean


@kernel
def deepest_first(part: int, parts: Array, depth: Array, box: Array, room: Part) -> Part:
    """List the pixels of one part, deepest first, and their depth.

    Pixels are flat indices in the box with a margin of one pixel; ``room`` has space for
    all of them, twice.
    """
    where, deep = room
    half = len(where) // 2
    stride = box[3] - box[1] + 2
    n, top = 0, np.float32(0)
    for r in range(box[0], box[2]):
        for c in range(box[1], box[3]):
            if parts[r, c] == part:
                where[half + n] = (r - box[0] + 1) * stride + c - box[1] + 1
                deep[half + n] = depth[r, c]
                top = max(top, depth[r, c])
                n += 1
    starts = np.zeros(int(top * LEVELS_PER_PIXEL) + 2, np.int32)
    for k in range(half, half + n):
        starts[int((top - deep[k]) * LEVELS_PER_PIXEL) + 1] += 1
    for level in range(1, len(starts)):
        starts[level] += starts[level - 1]
    for k in range(half, half + n):
        level = int((top - deep[k]) * LEVELS_PER_PIXEL)
        where[starts[level]] = where[k]
        deep[starts[level]] = deep[k]
        starts[level] += 1
    return where[:n], deep[:n]


@kernel
def cut_part(pixels: Part, core: Array, stride: int, rules: Rules, cores: Cores) -> int:
    """Place the pixels of one part, deepest first, in cores; how many, joined ones too.

    ``core`` is flat, zeros, and left so; ``cores`` takes parent, peak and area of each
    core from 1 on. One loop without calls: calls would take five times as long.
    """
    where, deep = pixels
    neck, least = rules
    parent, peak, area = cores
    n = 0
    for k in range(len(where)):
        i, here, mine = where[k], deep[k], 0
        for step in (-stride, -1, 1, stride):
            other = core[i + step]
            if not other or other == mine:
                continue
            while parent[other] != other:
                parent[other] = parent[parent[other]]
                other = parent[other]
            if not mine or other == mine:
                mine = other
                continue
            mine, low = (mine, other) if peak[mine] >= peak[other] else (other, mine)
            if here >= neck * peak[low] or peak[low] < least * peak[mine]:
                parent[low] = mine
                area[mine] += area[low]
        if mine == 0:
            n += 1
            mine = n
            parent[n], peak[n], area[n] = n, here, 0
        core[i] = mine
        area[mine] += 1
    for k in range(len(where)):
        core[where[k]] = 0
    return n


@kernel
def find_cores(
    parts: Array, depth: Array, box: Array, room: int, rules: Rules
) -> tuple[Array, Array]:
    """Cut each part at its necks, from the deepest pixels outward.

    With ``rules`` neck and least, two cores that meet are one if the place where they
    meet is at least neck times as deep as the shallower of them, or if that one is less
    than least times as deep as the other. ``box`` (n, 4) half-open, row i for part i + 1;
    ``room`` is the pixel count of the largest part. Returns the part of each core, and
    its pixels.
    """
    tall, wide = 0, 0
    for k in range(len(box)):
        tall = max(tall, box[k, 2] - box[k, 0])
        wide = max(wide, box[k, 3] - box[k, 1])
    core = np.zeros((tall + 2) * (wide + 2), np.int32)
    space = (np.empty(2 * room, np.int64), np.empty(2 * room, np.float32))
    parent, peak = np.empty(room + 1, np.int32), np.empty(room + 1, np.float32)
    area = np.empty(room + 1, np.int64)
    owner, size = np.zeros(FIRST_ROOM, np.int64), np.zeros(FIRST_ROOM, np.int64)
    n = 0
    for k in range(len(box)):
        pixels = deepest_first(k + 1, parts, depth, box[k], space)
        stride = box[k, 3] - box[k, 1] + 2
        for j in range(1, cut_part(pixels, core, stride, rules, (parent, peak, area)) + 1):
            if parent[j] != j:
                continue
            if n == len(owner):
                owner, size = doubled(owner), doubled(size)
            owner[n], size[n] = k + 1, area[j]
            n += 1
    return owner[:n].copy(), size[:n].copy()


@kernel
def doubled(table: Array) -> Array:
    """Give a table as much room again, zeros."""
    grown: Array = np.concatenate((table, np.zeros_like(table)))
    return grown


@kernel
def hull_pixels(points: Array, starts: Array) -> Array:
    """Pixels in the convex hull of each run of contour points (x, y), rim included.

    Hull by Andrew's monotone chain; pixels by Pick's theorem.
    """
    n = len(starts) - 1
    found = np.zeros(n, np.int64)
    for k in range(n):
        found[k] = hull_size(points[starts[k] : starts[k + 1]])
    return found


@kernel
def hull_size(points: Array) -> int:
    """Pixels in the convex hull of some pixels, rim included."""
    low_x, low_y = points[:, 0].min(), points[:, 1].min()
    tall = np.int64(points[:, 1].max() - low_y + 1)
    keys = np.empty(len(points), np.int64)
    for i in range(len(points)):
        keys[i] = (points[i, 0] - low_x) * tall + (points[i, 1] - low_y)
    keys = np.unique(keys)
    if len(keys) == 1:
        return 1
    chain = np.empty((2 * len(keys), 2), np.int64)
    m = 0
    for turn in range(2):
        floor = m + 1
        for step in range(len(keys)):
            key = keys[step] if turn == 0 else keys[len(keys) - 1 - step]
            x, y = key // tall, key % tall
            while (
                m > floor
                and (
                    (chain[m - 1, 0] - chain[m - 2, 0]) * (y - chain[m - 2, 1])
                    - (chain[m - 1, 1] - chain[m - 2, 1]) * (x - chain[m - 2, 0])
                )
                <= 0
            ):
                m -= 1
            chain[m, 0], chain[m, 1] = x, y
            m += 1
        m -= 1
    twice, rim = 0, 0
    for i in range(m):
        j = (i + 1) % m
        twice += chain[i, 0] * chain[j, 1] - chain[j, 0] * chain[i, 1]
        rim += greatest_divisor(abs(chain[j, 0] - chain[i, 0]), abs(chain[j, 1] - chain[i, 1]))
    return (abs(twice) + rim) // 2 + 1


@kernel
def greatest_divisor(a: int, b: int) -> int:
    """Greatest common divisor."""
    while b:
        a, b = b, a % b
    return a


@kernel
def seam_lengths(parts: Array, hv: Array, reach: int, drop: float, n: int) -> Array:
    """Rows and columns, (n + 1, 2), in which HV turns back inside each part 1..n.

    Along a row h grows inside a nucleus and falls from its right rim to the left rim of
    the next; a place where it falls by ``drop`` within ``reach`` pixels counts once. The
    same for v along columns.
    """
    height, width = parts.shape
    found = np.zeros((n + 1, 2), np.int64)
    for r in range(height):
        before = 0
        for c in range(width - reach):
            i = parts[r, c]
            falls = i and parts[r, c + reach] == i and hv[0, r, c] - hv[0, r, c + reach] >= drop
            if falls and before != i:
                found[i, 0] += 1
            before = i if falls else 0
    above = np.zeros(width, np.int32)
    for r in range(height - reach):
        for c in range(width):
            i = parts[r, c]
            falls = i and parts[r + reach, c] == i and hv[1, r, c] - hv[1, r + reach, c] >= drop
            if falls and above[c] != i:
                found[i, 1] += 1
            above[c] = i if falls else 0
    return found
