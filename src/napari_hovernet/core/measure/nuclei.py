"""One row of numbers per nucleus: box, outline, centroid, type, and how sure the maps are."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import InputError
from ..hv import compact_ids, length_at, moments
from ..types import Float64, Int32, Int64, Maps, Nuclei, TypeInfo, kernel

Array = npt.NDArray[Any]
UPPER_SHARE = 0.95
"""Quantile of HV magnitude reported beside its mean."""
MAX_ID = int(np.iinfo(np.int32).max)
"""Largest label id."""
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
def quantile(values: Array, share: float) -> float:
    """Quantile with linear interpolation of ``values`` (n,), n above 0."""
    place = share * (len(values) - 1)
    rank = int(np.floor(place))
    ordered = np.partition(values, rank)
    low: float = ordered[rank]
    if rank + 1 == len(values):
        return low
    high: float = ordered[rank + 1 :].min()
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
                    values[n] = length_at(hv, r, c)
                    total += values[n]
                    n += 1
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


def measure(
    labels: npt.ArrayLike,
    maps: Maps | None = None,
    type_names: Mapping[int, TypeInfo] | None = None,
) -> Nuclei:
    """Measure every nucleus of a label image, int (H, W)."""
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
    kind, probability = np.zeros(len(rows), np.int32), np.zeros(len(rows))
    if maps is not None and maps.types is not None and len(rows):
        kind, probability = _most_frequent(type_votes(ids, rows, box, maps.types))
    statistics = np.full((len(rows), 3), np.nan)
    if maps is not None:
        statistics = map_statistics(ids, rows, box, maps.np, maps.hv, UPPER_SHARE)
    return Nuclei(
        label=_given_ids(array, points[starts[:-1]]),
        bbox=box.astype(np.int32),
        centroid=total[rows][:, ::-1] / count[rows, None],
        area=count[rows],
        contours=tuple(points[a:b] for a, b in pairwise(starts.tolist())),
        type=kind,
        type_probability=probability,
        magnitude_mean=statistics[:, 0],
        magnitude_p95=statistics[:, 1],
        np_mean=statistics[:, 2],
        type_names=dict(type_names or {}),
    )


def _most_frequent(votes: Int64) -> tuple[Int32, Float64]:
    """Most frequent type other than background of each nucleus, and its share of the pixels."""
    kind = np.concatenate((np.zeros_like(votes[:, :1]), votes[:, 1:]), axis=1).argmax(axis=1)
    return kind.astype(np.int32), votes[np.arange(len(votes)), kind] / votes.sum(axis=1)


def _given_ids(array: npt.NDArray[Any], points: Int32) -> Int32:
    """Ids as given, where they were renumbered; one point (x, y) on each nucleus."""
    given = array[points[:, 1], points[:, 0]]
    if given.size and int(given.max()) > MAX_ID:
        raise InputError(f"labels goes up to {given.max()}; ids end at {MAX_ID}. Renumber them.")
    return np.asarray(given, dtype=np.int32)
