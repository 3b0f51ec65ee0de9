"""Compiled loops: outlines and numbers of nuclei, cores, hulls and seams of blobs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from ..hv import FIRST_ROOM, doubled, length_at
from ..types import kernel

Array = npt.NDArray[Any]
Cores = tuple[Array, Array, Array]
Part = tuple[Array, Array]
Rules = tuple[float, float]

LEVELS_PER_PIXEL = 16
"""Steps per pixel in which distances from the rim are told apart."""
STEP_X = np.array([1, 1, 0, -1, -1, -1, 0, 1])
"""Chain code, x: 0 = to the right, on against the clock as seen on the screen."""
STEP_Y = np.array([0, -1, -1, -1, 0, 1, 1, 1])
"""Chain code, y downwards."""
SEEN = np.int8(2)
"""Pixel of a border that was followed."""
SEEN_RIGHT = np.int8(-2)
"""The same, with background to its right."""
POINTS_PER_NUCLEUS = 64
"""Room for contour points to start with; doubled when it runs out."""
SAMPLE = 32
"""Values that tell roughly where a quantile lies."""
VISITS = 4
"""Most often that a border passes through one pixel; bounds its corners."""


@kernel
def note(points: Array, n: int, x: int, y: int) -> None:
    """Write point ``n`` where there is room for it."""
    if n < len(points):
        points[n, 0], points[n, 1] = x, y


@kernel
def follow(mask: Array, row: int, column: int, back: int, points: Array) -> tuple[int, int]:
    """Follow one border (Suzuki and Abe 1985), mark it, note where its direction changes."""
    way = (back - 1) & 7
    while mask[row + STEP_Y[way], column + STEP_X[way]] == 0 and way != back:
        way = (way - 1) & 7
    if way == back:
        mask[row, column] = SEEN_RIGHT
        note(points, 0, column, row)
        return 1, 1
    end_row, end_column = row + STEP_Y[way], column + STEP_X[way]
    r, c, last = row, column, way ^ 4
    n, twice_area, steps = 0, 0, 0
    while True:
        right = False
        way = (way + 1) & 7
        while mask[r + STEP_Y[way], c + STEP_X[way]] == 0:
            right = right or way == 0
            way = (way + 1) & 7
        if right:
            mask[r, c] = SEEN_RIGHT
        elif mask[r, c] == 1:
            mask[r, c] = SEEN
        if way != last:
            note(points, n, c, r)
            n += 1
            last = way
        next_row, next_column = r + STEP_Y[way], c + STEP_X[way]
        twice_area += next_column * r - c * next_row
        steps += 1
        if next_row == row and next_column == column and r == end_row and c == end_column:
            return n, (abs(twice_area) + steps) // 2 + 1
        r, c, way = next_row, next_column, (way + 4) & 7


@kernel
def largest_border(mask: Array, points: Array) -> int:
    """Corners of the outer border that encloses most, at the start of ``points``; how many.

    ``points`` has room for ``VISITS`` per set pixel.
    """
    best, kept = 0, 0
    for r in range(1, mask.shape[0] - 1):
        for c in range(1, mask.shape[1] - 1):
            outer = mask[r, c] == 1 and mask[r, c - 1] == 0
            if not outer and (mask[r, c] <= 0 or mask[r, c + 1] != 0):
                continue
            room = kept if outer else len(points)  # what borders holes is followed, not noted
            n, enclosed = follow(mask, r, c, 4 if outer else 0, points[room:])
            if outer and enclosed > best:
                for i in range(n):
                    points[i, 0], points[i, 1] = points[kept + i, 0], points[kept + i, 1]
                best, kept = enclosed, n
    return kept


@kernel
def outlines(ids: Array, rows: Array, box: Array, area: Array) -> tuple[Array, Array]:
    """Outer contour of each id of ``rows``: the one that encloses most, if in parts.

    ``box`` (n, 4) row0, column0, row1, column1, half-open, and ``area`` (n,), row i for
    ``rows[i]``. Returns all points (x, y) one after the other, and where each id's start.
    """
    points = np.empty((POINTS_PER_NUCLEUS * (len(rows) + 1), 2), np.int32)
    starts = np.zeros(len(rows) + 1, np.int64)
    tall, wide = 0, 0
    for i in range(len(rows)):
        tall = max(tall, box[i, 2] - box[i, 0])
        wide = max(wide, box[i, 3] - box[i, 1])
    room = np.empty((tall + 2, wide + 2), np.int8)
    for i in range(len(rows)):
        top, left = box[i, 0] - 1, box[i, 1] - 1
        mask = room[: box[i, 2] - top + 1, : box[i, 3] - left + 1]
        height, width = mask.shape
        for r in range(height):
            for c in range(width):
                inside = 0 < r < height - 1 and 0 < c < width - 1
                mask[r, c] = inside and ids[top + r, left + c] == rows[i]
        begin = starts[i]
        if len(points) < begin + VISITS * area[i]:
            grown = np.empty((2 * len(points) + VISITS * area[i], 2), np.int32)
            for k in range(begin):
                grown[k, 0], grown[k, 1] = points[k, 0], points[k, 1]
            points = grown
        n = largest_border(mask, points[begin:])
        for k in range(begin, begin + n):
            points[k, 0] += left
            points[k, 1] += top
        starts[i + 1] = begin + n
    return points[: starts[-1]].copy(), starts


@kernel
def sort_few(values: Array) -> None:
    """Sort some dozens in place; numpy's own sort takes two seconds to compile."""
    for k in range(1, len(values)):
        value, place = values[k], k
        while place > 0 and values[place - 1] > value:
            values[place] = values[place - 1]
            place -= 1
        values[place] = value


@kernel
def quantile(values: Array, share: float) -> float:
    """Quantile with linear interpolation; reorders ``values`` (n,), n > 0."""
    place = share * (len(values) - 1)
    rank = int(np.floor(place))
    beyond = place - rank
    if len(values) >= 4 * SAMPLE:  # most lie below what a sample says: they are set aside first
        sample = values[:: len(values) // SAMPLE].copy()
        sort_few(sample)
        least = sample[max(int(share * len(sample)) - SAMPLE // 8, 0)]
        upper, n = np.empty(len(values) + 1, values.dtype), 0
        for i in range(len(values)):
            upper[n] = values[i]
            n += int(values[i] >= least)
        if rank >= len(values) - n:
            rank -= len(values) - n
            values = upper[:n]
    low, high = 0, len(values) - 1
    while low < high:  # Hoare's selection
        pivot = values[(low + high) // 2]
        i, j = low, high
        while i <= j:
            while values[i] < pivot:
                i += 1
            while values[j] > pivot:
                j -= 1
            if i <= j:
                values[i], values[j] = values[j], values[i]
                i += 1
                j -= 1
        low, high = (i if rank > j else low), (j if rank < i else high)
    found: float = values[rank]
    if rank + 1 < len(values):
        found += beyond * (least_of(values, rank + 1) - values[rank])
    return found


@kernel
def least_of(values: Array, start: int) -> float:
    """Smallest of the values from a place on."""
    found: float = values[start]
    for k in range(start + 1, len(values)):
        found = min(found, values[k])
    return found


def statistics(
    ids: Array, rows: Array, area: Array, maps: tuple[Array, Array, Array], share: float
) -> tuple[Array, Array]:
    """Mean and ``share`` quantile of HV magnitude and mean NP, (n, 3), of each id of ``rows``.

    Also its pixels whose most probable type is k, (n, C); equal: the lower type. ``maps`` are NP,
    HV and types, (0, H, W) without types; ``area`` (n,) in pixels. One pass over the labels.
    """
    row_of = np.zeros(ids.max(initial=0) + 1, np.int32)  # one more than the place in ``rows``
    row_of[rows] = np.arange(1, len(rows) + 1)
    found = np.zeros((len(rows), 3))
    votes = np.zeros((len(rows), len(maps[2])), np.int64)
    end = np.cumsum(area)
    values = np.empty(area.sum(), np.float32)
    room = np.empty((2, ids.shape[1]), np.float32), np.zeros(ids.shape[1], np.int32)
    collect(ids, maps, (row_of, end - area), room, values, (found, votes))
    sum_up_values(values, end, area, share, found)
    return found, votes


@kernel
def collect(
    ids: Array,
    maps: tuple[Array, Array, Array],
    places: Part,
    room: Part,
    values: Array,
    sums: Part,
) -> None:
    """Gather the magnitudes of each id, and add up its NP and its votes.

    ``places`` are one more than the row of each id, and where in ``values`` each row begins.
    """
    (prob, hv, types), (row_of, at), (found, votes) = maps, places, sums
    length, best, kind = room[0][0], room[0][1], room[1]
    for r in range(ids.shape[0]):
        lengths(hv[0, r], hv[1, r], length)
        for k in range(types.shape[0]):
            take_larger(types[k, r], k, best, kind)
        for c in range(ids.shape[1]):
            i = row_of[ids[r, c]] - 1 if ids[r, c] else -1
            if i >= 0:
                values[at[i]] = length[c]
                at[i] += 1
                found[i, 2] += prob[r, c]
                if types.shape[0]:
                    votes[i, kind[c]] += 1


@kernel
def sum_up_values(values: Array, end: Array, area: Array, share: float, found: Array) -> None:
    """Write mean and quantile of the magnitudes of each row, and make a mean of the sum of NP."""
    for i in range(len(end)):
        mine, total = values[end[i] - area[i] : end[i]], 0.0
        for k in range(len(mine)):
            total += mine[k]
        found[i, 0], found[i, 1] = total / area[i], quantile(mine, share)
        found[i, 2] /= area[i]


@kernel
def lengths(h: Array, v: Array, out: Array) -> None:
    """Length of HV along a row."""
    for c in range(out.size):
        out[c] = np.sqrt(h[c] * h[c] + v[c] * v[c])


@kernel
def take_larger(values: Array, number: int, best: Array, kind: Array) -> None:
    """Where the values of a row are larger than the best so far, take them and their number.

    Number 0 is the first.
    """
    for c in range(best.size):
        larger = number == 0 or values[c] > best[c]
        best[c] = values[c] if larger else best[c]
        kind[c] = np.int32(number) if larger else kind[c]


def on_rim(parts: Array, rim: Array) -> None:
    """Clear ``rim`` (uint8, ones) where a pixel touches a pixel of another part by a side."""
    same = (parts[1:] == parts[:-1]).view(np.uint8)
    rim[1:] &= same
    rim[:-1] &= same
    same = (parts[:, 1:] == parts[:, :-1]).view(np.uint8)
    rim[:, 1:] &= same
    rim[:, :-1] &= same


def rim_mean(parts: Array, rim: Array, hv: Array, n: int) -> Array:
    """Mean HV magnitude over the rim pixels (``rim`` is 0) of parts 1..n; NaN without any."""
    total, count = np.zeros(n + 1), np.zeros(n + 1, np.int64)
    add_rims(parts, rim, hv, total, count)
    mean: Array = np.divide(total, count, out=np.full(n + 1, np.nan), where=count > 0)
    return mean


@kernel
def add_rims(parts: Array, rim: Array, hv: Array, total: Array, count: Array) -> None:
    """Sum and count the magnitudes on the rim of each part."""
    for r in range(parts.shape[0]):
        for c in range(parts.shape[1]):
            i = parts[r, c]
            if i and rim[r, c] == 0:
                count[i] += 1
                total[i] += length_at(hv, r, c)


@kernel
def deepest_first(part: int, parts: Array, depth: Array, box: Array, room: Part) -> Part:
    """List the pixels of one part, deepest first, and their depth.

    Pixels are flat indices in the box and a margin of one pixel; ``room`` fits them twice.
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

    ``core`` is flat, zeros, and left so; ``cores`` takes parent, peak and area of each core from 1
    on. One loop without calls: calls would take five times as long.
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


def find_cores(
    parts: Array, depth: Array, box: Array, room: int, rules: Rules
) -> tuple[Array, Array]:
    """Cut each part at its necks, from the deepest pixels outward."""
    tall, wide = (box[:, 2:] - box[:, :2]).max(axis=0)
    core = np.zeros((tall + 2) * (wide + 2), np.int32)
    space = (np.empty(2 * room, np.int64), np.empty(2 * room, np.float32))
    cores = (
        np.empty(room + 1, np.int32),
        np.empty(room + 1, np.float32),
        np.empty(room + 1, np.int64),
    )
    owner, size = list_cores((parts, depth, box), core, space, rules, cores)
    return owner.copy(), size.copy()


@kernel
def list_cores(
    given: tuple[Array, Array, Array], core: Array, space: Part, rules: Rules, cores: Cores
) -> Part:
    """Part and size of each core; all but ``given`` is room."""
    (parts, depth, box), (parent, _, area) = given, cores
    owner, size = np.empty(FIRST_ROOM, np.int64), np.empty(FIRST_ROOM, np.int64)
    n = 0
    for k in range(len(box)):
        pixels = deepest_first(k + 1, parts, depth, box[k], space)
        stride = box[k, 3] - box[k, 1] + 2
        for j in range(1, cut_part(pixels, core, stride, rules, cores) + 1):
            if parent[j] != j:
                continue
            if n == len(owner):
                owner, size = doubled(owner), doubled(size)
            owner[n], size[n] = k + 1, area[j]
            n += 1
    return owner[:n], size[:n]


def hull_pixels(points: Array, starts: Array) -> Array:
    """Pixels in the convex hull of each run of contour points (x, y), rim included.

    Hull by Andrew's monotone chain; pixels by Pick's theorem.
    """
    found = np.zeros(len(starts) - 1, np.int64)
    wide = int(np.ptp(points[:, 0])) + 1 if len(points) else 0
    count_hulls(points, starts, np.empty((6 * wide, 2), np.int64), found)
    return found


@kernel
def count_hulls(points: Array, starts: Array, room: Array, found: Array) -> None:
    """Write the pixels in each hull; ``room`` (n, 2) has 6 rows per column of the image."""
    for k in range(len(found)):
        found[k] = hull_size(points[starts[k] : starts[k + 1]], room)


@kernel
def hull_size(points: Array, room: Array) -> int:
    """Pixels in the convex hull of some pixels, rim included."""
    low_x, high_x = points[0, 0], points[0, 0]
    for i in range(len(points)):
        low_x, high_x = min(low_x, points[i, 0]), max(high_x, points[i, 0])
    wide = high_x - low_x + 1
    ends, chain = room[:wide], room[wide : 5 * wide]  # lowest and highest y of each column; hull
    seen = room[5 * wide : 6 * wide, 0]
    seen[:] = 0
    for i in range(len(points)):
        x, y = points[i, 0] - low_x, points[i, 1]
        ends[x, 0] = y if not seen[x] or y < ends[x, 0] else ends[x, 0]
        ends[x, 1] = y if not seen[x] or y > ends[x, 1] else ends[x, 1]
        seen[x] = 1
    m = 0
    for turn in range(2):
        floor = m + 1
        for step in range(2 * wide):
            at = step if turn == 0 else 2 * wide - 1 - step
            x, y = at >> 1, ends[at >> 1, at & 1]
            if not seen[x] or (m > 0 and x == chain[m - 1, 0] and y == chain[m - 1, 1]):
                continue
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
        rim += math.gcd(chain[j, 0] - chain[i, 0], chain[j, 1] - chain[i, 1])
    return (abs(twice) + rim) // 2 + 1


def seam_lengths(parts: Array, hv: Array, reach: int, drop: float, n: int) -> Array:
    """Rows and columns, (n + 1, 2), in which HV turns back inside each part 1..n.

    Along a row h falls from the right rim of a nucleus to the left rim of the next; a place where
    it falls by ``drop`` within ``reach`` pixels counts once. So does v along columns.
    """
    found = np.zeros((n + 1, 2), np.int64)
    count_seams(parts, hv, (reach, drop), np.zeros(parts.shape[1], np.int32), found)
    return found


@kernel
def count_seams(parts: Array, hv: Array, rules: Any, above: Array, found: Array) -> None:
    """Count as :func:`seam_lengths` does; ``above`` and ``found`` are zeros."""
    height, width = parts.shape
    reach, drop = rules
    for r in range(height):
        before = 0
        for c in range(width - reach):
            i = parts[r, c]
            falls = i and parts[r, c + reach] == i and hv[0, r, c] - hv[0, r, c + reach] >= drop
            if falls and before != i:
                found[i, 0] += 1
            before = i if falls else 0
    for r in range(height - reach):
        for c in range(width):
            i = parts[r, c]
            falls = i and parts[r + reach, c] == i and hv[1, r, c] - hv[1, r + reach, c] >= drop
            if falls and above[c] != i:
                found[i, 1] += 1
            above[c] = i if falls else 0
