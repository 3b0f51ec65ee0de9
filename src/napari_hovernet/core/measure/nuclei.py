"""One row of numbers per nucleus: box, outline, centroid, type, and how sure the maps are."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import InputError
from ..hv import compact_ids, moments
from ..types import Int32, Maps, Nuclei, TypeInfo, kernel

Array = npt.NDArray[Any]

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
            if mask[r, c] == 1 and mask[r, c - 1] == 0:
                n, enclosed = follow(mask, r, c, 4, points[kept:])
                if enclosed > best:
                    points[:n] = points[kept : kept + n].copy()
                    best, kept = enclosed, n
            elif mask[r, c] > 0 and mask[r, c + 1] == 0:
                follow(mask, r, c, 0, points[:0])
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
    room = np.zeros((tall + 2, wide + 2), np.int8)
    for i in range(len(rows)):
        top, left = box[i, 0] - 1, box[i, 1] - 1
        mask = room[: box[i, 2] - top + 1, : box[i, 3] - left + 1]
        mask[:] = 0
        for r in range(1, mask.shape[0] - 1):
            for c in range(1, mask.shape[1] - 1):
                mask[r, c] = ids[top + r, left + c] == rows[i]
        begin = starts[i]
        if len(points) < begin + VISITS * area[i]:
            grown = np.empty((2 * len(points) + VISITS * area[i], 2), np.int32)
            grown[:begin] = points[:begin]
            points = grown
        n = largest_border(mask, points[begin:])
        points[begin : begin + n, 0] += np.int32(left)
        points[begin : begin + n, 1] += np.int32(top)
        starts[i + 1] = begin + n
    return points[: starts[-1]].copy(), starts


@kernel
def select(values: Array, rank: int) -> float:
    """Put the value of that rank at its sorted place; none before it is larger."""
    low, high = 0, len(values) - 1
    while low < high:
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
        if rank <= j:
            high = j
        elif rank >= i:
            low = i
        else:
            break
    chosen: float = values[rank]
    return chosen


@kernel
def quantile(values: Array, share: float) -> float:
    """Quantile with linear interpolation; reorders ``values`` (n,), n above 0."""
    place = share * (len(values) - 1)
    rank = int(np.floor(place))
    low = select(values, rank)
    if rank + 1 == len(values):
        return low
    high: float = values[rank + 1 :].min()
    return low + (place - rank) * (high - low)


@kernel
def map_statistics(
    ids: Array, rows: Array, box: Array, prob: Array, hv: Array, share: float
) -> Array:
    """Mean and ``share`` quantile of HV magnitude and mean NP, (n, 3), of each id."""
    most = 1
    for i in range(len(rows)):
        most = max(most, (box[i, 2] - box[i, 0]) * (box[i, 3] - box[i, 1]))
    values = np.empty(most, np.float32)
    found = np.zeros((len(rows), 3))
    for i in range(len(rows)):
        n, total, nucleus = 0, 0.0, 0.0
        for r in range(box[i, 0], box[i, 2]):
            for c in range(box[i, 1], box[i, 3]):
                if ids[r, c] == rows[i]:
                    length = np.sqrt(hv[0, r, c] * hv[0, r, c] + hv[1, r, c] * hv[1, r, c])
                    values[n] = length
                    n += 1
                    total += length
                    nucleus += prob[r, c]
        found[i, 0] = total / n
        found[i, 1] = quantile(values[:n], share)
        found[i, 2] = nucleus / n
    return found


@kernel
def type_votes(ids: Array, rows: Array, box: Array, types: Array) -> Array:
    """Pixels of each id whose most probable type is k, (n, C); equal: the lower type."""
    votes = np.zeros((len(rows), types.shape[0]), np.int64)
    for i in range(len(rows)):
        for r in range(box[i, 0], box[i, 2]):
            for c in range(box[i, 1], box[i, 3]):
                if ids[r, c] != rows[i]:
                    continue
                kind, best = 0, types[0, r, c]
                for k in range(1, types.shape[0]):
                    chance = types[k, r, c]
                    kind = k if chance > best else kind
                    best = chance if chance > best else best
                votes[i, kind] += 1
    return votes


Float64 = npt.NDArray[np.float64]

UPPER_SHARE = 0.95
"""Quantile of HV magnitude reported beside its mean."""
MAX_ID = int(np.iinfo(np.int32).max)
"""Largest label id."""


def measure(
    labels: npt.ArrayLike,
    maps: Maps | None = None,
    type_names: Mapping[int, TypeInfo] | None = None,
) -> Nuclei:
    """Measure every nucleus of a label image.

    ``labels`` int (H, W).
    """
    array = np.asarray(labels)
    ids, largest = compact_ids(array)
    if maps is not None and maps.shape != ids.shape:
        raise InputError(
            f"labels has shape {ids.shape} and the maps {maps.shape}; "
            "give the labels that were separated from these maps."
        )
    count, total, box = moments(ids, largest)
    count[0] = 0
    rows = np.flatnonzero(count)
    box = box[rows] + [0, 0, 1, 1]
    points, starts = outlines(ids, rows, box, count[rows])
    kind, probability = _types(ids, rows, box, maps)
    statistics = _statistics(ids, rows, box, maps)
    return Nuclei(
        label=_original_ids(array, ids, rows, points, starts),
        bbox=box.astype(np.int32),
        centroid=total[rows][:, ::-1] / count[rows, None],
        area=count[rows],
        contours=_cut(points, starts),
        type=kind,
        type_probability=probability,
        magnitude_mean=statistics[:, 0],
        magnitude_p95=statistics[:, 1],
        np_mean=statistics[:, 2],
        type_names=dict(type_names or {}),
    )


def _types(
    ids: Int32, rows: npt.NDArray[np.int64], box: npt.NDArray[np.int64], maps: Maps | None
) -> tuple[Int32, Float64]:
    """Most frequent type other than background of each nucleus, and its share of the pixels."""
    if maps is None or maps.types is None or not len(rows):
        return np.zeros(len(rows), np.int32), np.zeros(len(rows))
    votes = type_votes(ids, rows, box, maps.types)
    ranked = votes.copy()
    ranked[:, 0] = 0
    kind = ranked.argmax(axis=1)
    share = votes[np.arange(len(rows)), kind] / votes.sum(axis=1)
    return kind.astype(np.int32), share


def _statistics(
    ids: Int32, rows: npt.NDArray[np.int64], box: npt.NDArray[np.int64], maps: Maps | None
) -> Float64:
    """Magnitude mean, its upper quantile and NP mean, (n, 3)."""
    if maps is None:
        return np.full((len(rows), 3), np.nan)
    found: Float64 = map_statistics(ids, rows, box, maps.np, maps.hv, UPPER_SHARE)
    return found


def _original_ids(
    array: npt.NDArray[np.integer],
    ids: Int32,
    rows: npt.NDArray[np.int64],
    points: Int32,
    starts: npt.NDArray[np.int64],
) -> Int32:
    """Ids as given, where they were renumbered; every contour point lies on its nucleus."""
    if not len(rows):
        return np.zeros(0, np.int32)
    x, y = points[starts[:-1]].T
    given: npt.NDArray[np.integer] = array[y, x]
    if int(given.max()) > MAX_ID:
        raise InputError(f"labels goes up to {given.max()}; ids end at {MAX_ID}. Renumber them.")
    return np.asarray(given, dtype=np.int32)


def _cut(points: Int32, starts: npt.NDArray[np.int64]) -> tuple[Int32, ...]:
    ends = starts.tolist()
    return tuple(points[a:b] for a, b in pairwise(ends))
