"""Where two segmentations of one image differ: pixel by pixel, and in numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import InputError
from ..hv import compact_ids, label_equal
from ..masks import count_pixels, replace_ids
from ..types import Int32, kernel
from .metrics import Contingency, OutcomeParams, contingency, outcomes

Int8 = npt.NDArray[np.int8]

MATCHED, ONLY_A, ONLY_B, RESHAPED, MERGED, SPLIT = 1, 2, 3, 4, 5, 6
"""Kinds of difference; of two that meet on a pixel the larger number is shown."""
KINDS = {
    MATCHED: "in both alike",
    ONLY_A: "only in A",
    ONLY_B: "only in B",
    RESHAPED: "in both, of another shape",
    MERGED: "apart in A, merged in B",
    SPLIT: "whole in A, split in B",
}
"""Each kind in words."""


@dataclass(frozen=True, eq=False)
class LabelDifference:
    """How a segmentation B differs from A."""

    kinds: Int8  # int8 (H, W)
    n_a: int  # Nuclei of A and of B.
    n_b: int  # Nuclei of A and of B.
    matched: int  # Pairs of IoU above 0.5
    split: int
    merged: int
    reshaped: int
    only_a: int
    only_b: int  # Nuclei of B that A does not have

    def counts(self) -> dict[int, int]:
        """Return the nuclei of each kind, by the numbers of :data:`KINDS`."""
        return {
            MATCHED: self.matched,
            ONLY_A: self.only_a,
            ONLY_B: self.only_b,
            RESHAPED: self.reshaped,
            MERGED: self.merged,
            SPLIT: self.split,
        }


def label_difference(
    a: npt.ArrayLike, b: npt.ArrayLike, params: OutcomeParams | None = None
) -> LabelDifference:
    """Compare two segmentations of one image, nucleus by nucleus.

    ``a, b`` int (H, W).
    """
    params = OutcomeParams() if params is None else params
    first, second = np.asarray(a), np.asarray(b)
    if first.shape != second.shape:
        raise InputError(
            f"A has shape {first.shape} and B {second.shape}; give two segmentations of the same "
            "image and region."
        )
    ids_a, largest_a = compact_ids(first)
    ids_b, largest_b = compact_ids(second)
    table = contingency(ids_a, ids_b)
    kind_a, kind_b = _kinds(table, params)
    by_id_a, by_id_b = np.zeros(largest_a + 1, np.int8), np.zeros(largest_b + 1, np.int8)
    by_id_a[table.true_ids], by_id_b[table.pred_ids] = kind_a, kind_b
    kinds = np.zeros(ids_a.shape, np.int8)
    _paint(ids_a, ids_b, by_id_a, by_id_b, kinds)

    def count(kind: int) -> int:
        return int((kind_a == kind).sum())

    return LabelDifference(
        kinds=kinds,
        n_a=table.n_true,
        n_b=table.n_pred,
        matched=count(MATCHED),
        split=count(SPLIT),
        merged=count(MERGED),
        reshaped=count(RESHAPED),
        only_a=count(ONLY_A),
        only_b=int((kind_b == ONLY_B).sum()),
    )


def _kinds(table: Contingency, params: OutcomeParams) -> tuple[Int8, Int8]:
    """Return the kind of each nucleus of A and of B, in the order of the table."""
    found = outcomes(table, params)
    words = {"matched": MATCHED, "merged": MERGED, "split": SPLIT}
    kind_a = np.array([words.get(str(w), ONLY_A) for w in found.true], np.int8)
    kind_b = np.array([words.get(str(w), ONLY_B) for w in found.pred], np.int8)
    smaller = np.minimum(table.true_area[table.true], table.pred_area[table.pred])
    shares = table.overlap > params.inside_share * smaller
    shares &= (kind_a[table.true] == ONLY_A) & (kind_b[table.pred] == ONLY_B)
    kind_a[table.true[shares]] = RESHAPED
    kind_b[table.pred[shares]] = RESHAPED
    return kind_a, kind_b


@kernel
def _paint(
    ids_a: npt.NDArray[Any],
    ids_b: npt.NDArray[Any],
    kind_a: npt.NDArray[Any],
    kind_b: npt.NDArray[Any],
    kinds: npt.NDArray[Any],
) -> None:
    """Give each pixel the larger kind of its two nuclei."""
    for r in range(kinds.shape[0]):
        for c in range(kinds.shape[1]):
            kinds[r, c] = max(kind_a[ids_a[r, c]], kind_b[ids_b[r, c]])


SPARSE_FACTOR = 4
"""Ids beyond this many times the pixels are renumbered before a table by id is made."""
MIN_TABLE = 1024
"""Small images count as this many pixels for that."""

_BEFORE, _AFTER, _TOUCHED = 1, 2, 4


@dataclass(frozen=True)
class LabelChanges:
    """How a label image was changed."""

    pixels: int = 0  # Pixels whose id differs
    added: tuple[int, ...] = ()  # Ids that are there only afterwards, only before
    removed: tuple[int, ...] = ()  # Ids that are there only afterwards, only before
    reshaped: tuple[int, ...] = ()  # Ids that are there before and after, and gained or lost pixels

    @property
    def any(self) -> bool:
        """Whether anything differs."""
        return self.pixels > 0


def label_changes(before: npt.ArrayLike, after: npt.ArrayLike) -> LabelChanges:
    """Find out what was changed in a label image.

    ``before, after`` int (H, W).
    """
    old, new = np.asarray(before), np.asarray(after)
    if old.shape != new.shape:
        raise InputError(
            f"The labels had shape {old.shape} and now have {new.shape}; corrections keep the "
            "size. Give the layer its former data back."
        )
    old, new, ids = _small_ids(old, new)
    state = np.zeros(len(ids), np.uint8)
    pixels = int(_look(old, new, state))
    state[0] = 0
    touched = (state & _TOUCHED) > 0
    there, now = (state & _BEFORE) > 0, (state & _AFTER) > 0

    def named(chosen: npt.NDArray[np.bool_]) -> tuple[int, ...]:
        return tuple(int(i) for i in ids[chosen])

    return LabelChanges(
        pixels, named(now & ~there), named(there & ~now), named(touched & there & now)
    )


def _small_ids(
    old: npt.NDArray[Any], new: npt.NDArray[Any]
) -> tuple[Int32, Int32, npt.NDArray[np.int64]]:
    """Return both images with ids that fit a table, and the ids they stand for."""
    for labels in (old, new):
        _check(labels)
    largest = max((int(x.max()) for x in (old, new) if x.size), default=0)
    if largest <= SPARSE_FACTOR * max(old.size, MIN_TABLE):
        dense = np.arange(largest + 1)
        return np.ascontiguousarray(old, np.int32), np.ascontiguousarray(new, np.int32), dense
    ids = np.union1d(np.union1d(np.unique(old), np.unique(new)), [0]).astype(np.int64)
    return (
        np.searchsorted(ids, old).astype(np.int32),
        np.searchsorted(ids, new).astype(np.int32),
        ids,
    )


def _check(labels: npt.NDArray[Any]) -> None:
    if labels.ndim != 2:
        raise InputError(f"The labels have shape {labels.shape}; give one (H, W) label image.")
    if labels.dtype.kind not in "iub":
        raise InputError(f"The labels have dtype {labels.dtype}; give whole numbers.")
    if labels.size and labels.dtype.kind == "i" and int(labels.min()) < 0:
        raise InputError(f"The labels go down to {labels.min()}; ids start at 0 = background.")


@kernel
def _look(before: npt.NDArray[Any], after: npt.NDArray[Any], state: npt.NDArray[Any]) -> int:
    """Note for every id where it is seen and whether it was touched; count changed pixels."""
    changed = 0
    for r in range(before.shape[0]):
        for c in range(before.shape[1]):
            a, b = before[r, c], after[r, c]
            state[a] |= _BEFORE
            state[b] |= _AFTER
            if a != b:
                changed += 1
                state[a] |= _TOUCHED
                state[b] |= _TOUCHED
    return changed


NAMED_IDS = 8
"""Ids that a note names one by one; the others are counted."""


@dataclass(frozen=True)
class TidyParams:
    """How labels are made fit for training."""

    own_id_per_part: bool = False  # Give every 4-connected part of an id an id of its own
    small_area: int = 10  # Nuclei of fewer pixels are named in a note (slips of the brush)

    def __post_init__(self) -> None:
        if self.small_area < 0:
            raise InputError(f"small_area is {self.small_area}; give 0 or more pixels.")


@dataclass(frozen=True, eq=False)
class TrainingLabels:
    """Labels fit for training."""

    labels: Int32  # int32 (H, W): 0 = background, 1..n without gaps, in the order of the ids given
    n: int  # Number of nuclei
    notes: tuple[str, ...] = ()  # What was changed or looks odd


def tidy_labels(labels: npt.ArrayLike, params: TidyParams | None = None) -> TrainingLabels:
    """Renumber labels 1..n, cut ids in parts if so wished, and say what looks odd.

    ``labels`` int (H, W).
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
