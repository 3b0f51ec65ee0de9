"""Labels as training wants them: ids 1..n, and what may be wrong with them in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from .hv import compact_ids
from .hv_kernels import label_equal
from .parts import count_pixels, replace_ids
from .types import Int32

NAMED_IDS = 8
"""Ids that a note names one by one; the others are counted."""


@dataclass(frozen=True)
class TidyParams:
    """How labels are made fit for training.

    Parameters
    ----------
    own_id_per_part : bool
        Give every 4-connected part of an id an id of its own; else an id in several parts
        stays one nucleus and a note says so.
    small_area : int
        Nuclei of fewer pixels are named in a note (slips of the brush); they stay.

    Raises
    ------
    InputError
        If ``small_area`` is negative.
    """

    own_id_per_part: bool = False
    small_area: int = 10

    def __post_init__(self) -> None:
        if self.small_area < 0:
            raise InputError(f"small_area is {self.small_area}; give 0 or more pixels.")


@dataclass(frozen=True, eq=False)
class TrainingLabels:
    """Labels fit for training.

    Parameters
    ----------
    labels : int32 (H, W)
        0 = background, 1..n without gaps, in the order of the ids given.
    n : int
        Number of nuclei.
    notes : tuple of str
        What was changed or looks odd; ids in them are those given.
    """

    labels: Int32
    n: int
    notes: tuple[str, ...] = ()


def tidy_labels(labels: npt.ArrayLike, params: TidyParams | None = None) -> TrainingLabels:
    """Renumber labels 1..n, cut ids in parts if so wished, and say what looks odd.

    Parameters
    ----------
    labels : int array (H, W)
        0 = background; any other ids. Not changed.
    params : TidyParams, optional
        Default ``TidyParams()``.

    Returns
    -------
    TrainingLabels

    Raises
    ------
    InputError
        If it is no 2-D array of whole numbers from 0 on.

    Examples
    --------
    >>> made = tidy_labels([[4, 4, 0, 9], [0, 0, 0, 9]], TidyParams(small_area=0))
    >>> made.labels.tolist(), made.n
    ([[1, 1, 0, 2], [0, 0, 0, 2]], 2)
    """
    params = TidyParams() if params is None else params
    given = np.asarray(labels)
    ids, largest = compact_ids(given)
    parts = np.zeros(ids.shape, np.int32)
    n_parts = int(label_equal(ids, parts)) if ids.size else 0
    owner = np.zeros(n_parts + 1, ids.dtype)
    owner[parts] = ids
    names = np.zeros(n_parts + 1, np.int64)
    names[parts] = given
    notes = _parts_notes(names[1:], params)
    if params.own_id_per_part:
        order = np.argsort(owner[1:], kind="stable")
        new = np.zeros(n_parts + 1, np.int32)
        new[1 + order] = np.arange(1, n_parts + 1)
        n = n_parts
        replace_ids(parts.ravel(), new)
    else:
        found = np.unique(owner[1:])
        n = len(found)
        table = np.zeros(largest + 1, np.int32)
        table[found] = np.arange(1, n + 1)
        replace_ids(parts.ravel(), table[owner])
    notes += _small_notes(parts, n, given, params)
    if not n:
        notes.append("There are no nuclei in these labels: the image counts as background.")
    return TrainingLabels(parts, n, tuple(notes))


def _parts_notes(names: npt.NDArray[Any], params: TidyParams) -> list[str]:
    """Tell of ids in several parts; ``names`` holds the given id of each part."""
    ids, count = np.unique(names, return_counts=True)
    several = ids[count > 1]
    if not len(several):
        return []
    what = "1 id lies" if len(several) == 1 else f"{len(several)} ids lie"
    said = f"{what} in several parts ({_listed(several)}): "
    if params.own_id_per_part:
        return [f"{said}each part was given an id of its own."]
    return [f"{said}kept as one nucleus each; choose an id of its own for each part if not so."]


def _small_notes(labels: Int32, n: int, given: npt.NDArray[Any], params: TidyParams) -> list[str]:
    """Tell of nuclei with few pixels."""
    area = count_pixels(labels.ravel(), n + 1)
    small = np.flatnonzero(area[1:] < params.small_area) + 1
    if not len(small):
        return []
    name = np.zeros(n + 1, np.int64)
    name[labels] = given
    what = "1 nucleus has" if len(small) == 1 else f"{len(small)} nuclei have"
    return [
        f"{what} fewer than {params.small_area} pixels ({_listed(np.unique(name[small]))}): "
        "slips of the brush? They were kept."
    ]


def _listed(ids: Sequence[int] | npt.NDArray[Any]) -> str:
    shown = ", ".join(str(int(i)) for i in ids[:NAMED_IDS])
    more = len(ids) - NAMED_IDS
    return f"id {shown}" if len(ids) == 1 else f"ids {shown}" + (f" and {more} more" * (more > 0))
