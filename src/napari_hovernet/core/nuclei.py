"""One row of numbers per nucleus: box, outline, centroid, type, and how sure the maps are."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from .hv import compact_ids
from .hv_kernels import moments
from .nuclei_kernels import map_statistics, outlines, type_votes
from .types import Int32, Maps, Nuclei, TypeInfo

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

    Parameters
    ----------
    labels : int array (H, W)
        0 = background; any other ids up to 2**31 - 1, consecutive or not.
    maps : Maps, optional
        What the labels were separated from, of the same size; gives type, magnitude
        and NP.
    type_names : mapping of int to TypeInfo, optional
        Kept in the result for tables and files.

    Returns
    -------
    Nuclei
        Rows in ascending order of id. Without ``maps`` the magnitudes and ``np_mean``
        are NaN; without type probabilities ``type`` and ``type_probability`` are 0.

    Raises
    ------
    InputError
        If ``labels`` is not a 2-D array of whole numbers in 0..2**31 - 1, or its size
        is not that of the maps.

    Notes
    -----
    Contours are those of OpenCV's ``findContours`` (external, simple chain) in image
    coordinates: centres of boundary pixels, corners only, against the clock on the
    screen; of a nucleus in parts, the part that encloses most. As in the published code
    the type is the most frequent one other than background among the pixels' most
    probable types, the lower one if two are equally frequent, and background (0) only
    if no pixel votes for another. Time and memory grow with the nuclei's boxes, not
    with pixels times nuclei.

    Examples
    --------
    >>> nuclei = measure([[0, 4, 4], [0, 4, 4]])
    >>> nuclei.label.tolist(), nuclei.area.tolist(), nuclei.centroid.tolist()
    ([4], [4], [[1.5, 0.5]])
    >>> nuclei.contours[0].tolist()
    [[1, 0], [1, 1], [2, 1], [2, 0]]
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
