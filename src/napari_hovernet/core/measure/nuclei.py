"""One row of numbers per nucleus: box, outline, centroid, type, and how sure the maps are."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import InputError
from ..hv import compact_ids, moments
from ..types import Float64, Int32, Int64, Maps, Nuclei, TypeInfo
from .kernels import outlines, statistics

UPPER_SHARE = 0.95
"""Quantile of HV magnitude reported beside its mean."""
MAX_ID = int(np.iinfo(np.int32).max)
"""Largest label id."""


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
    numbers = np.full((len(rows), 3), np.nan)
    if maps is not None and len(rows):
        types = np.empty((0, *ids.shape), np.float32) if maps.types is None else maps.types
        given = (maps.np, maps.hv, types)
        numbers, votes = statistics(ids, rows, count[rows], given, UPPER_SHARE)
        if maps.types is not None:
            kind, probability = _most_frequent(votes)
    return Nuclei(
        label=_given_ids(array, points[starts[:-1]]),
        bbox=box.astype(np.int32),
        centroid=total[rows][:, ::-1] / count[rows, None],
        area=count[rows],
        contours=tuple(points[a:b] for a, b in pairwise(starts.tolist())),
        type=kind,
        type_probability=probability,
        magnitude_mean=numbers[:, 0],
        magnitude_p95=numbers[:, 1],
        np_mean=numbers[:, 2],
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
