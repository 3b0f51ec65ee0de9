"""Where two segmentations of one image differ: pixel by pixel, and in numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import InputError
from ..choices import check_choices, choice
from ..hv import compact_ids, label_equal
from ..masks import count_pixels, replace_ids
from ..types import Int8, Int32, Int64, kernel
from .metrics import Contingency, OutcomeParams, contingency, outcomes

Array = npt.NDArray[Any]
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
NAMED_IDS = 8
"""Ids that a note names one by one; the others are counted."""
_BEFORE, _AFTER, _TOUCHED = 1, 2, 4


@dataclass(frozen=True, eq=False)
class LabelDifference:
    """How a segmentation B differs from A."""

    kinds: Int8  # int8 (H, W)
    n_a: int  # Nuclei of A
    n_b: int  # Nuclei of B
    matched: int  # Pairs of IoU above 0.5
    split: int  # Nuclei of A, as all below but the last
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
    """Compare two segmentations (H, W) of one image, nucleus by nucleus."""
    params = OutcomeParams() if params is None else params
    first, second = np.asarray(a), np.asarray(b)
    if first.shape != second.shape:
        raise InputError(
            f"A has shape {first.shape} and B {second.shape}; give two segmentations of the same "
            "image and region."
        )
    (ids_a, largest_a), (ids_b, largest_b) = compact_ids(first), compact_ids(second)
    table = contingency(ids_a, ids_b)
    kind_a, kind_b = _kinds(table, params)
    by_id_a, by_id_b = np.zeros(largest_a + 1, np.int8), np.zeros(largest_b + 1, np.int8)
    by_id_a[table.true_ids], by_id_b[table.pred_ids] = kind_a, kind_b
    kinds = np.maximum(by_id_a[ids_a], by_id_b[ids_b])
    matched, split, merged, reshaped, only_a = (
        int((kind_a == kind).sum()) for kind in (MATCHED, SPLIT, MERGED, RESHAPED, ONLY_A)
    )
    only_b = int((kind_b == ONLY_B).sum())
    n_a, n_b = table.n_true, table.n_pred
    return LabelDifference(kinds, n_a, n_b, matched, split, merged, reshaped, only_a, only_b)


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


@dataclass(frozen=True)
class LabelChanges:
    """How a label image was changed."""

    pixels: int = 0  # Pixels whose id differs
    added: tuple[int, ...] = ()  # Ids that are there only afterwards
    removed: tuple[int, ...] = ()  # Ids that are there only before
    reshaped: tuple[int, ...] = ()  # Ids that are there before and after, and gained or lost pixels

    @property
    def any(self) -> bool:
        """Whether anything differs."""
        return self.pixels > 0


def label_changes(before: npt.ArrayLike, after: npt.ArrayLike) -> LabelChanges:
    """Find out what was changed in a label image (H, W)."""
    old, new = np.asarray(before), np.asarray(after)
    if old.shape != new.shape:
        raise InputError(
            f"The labels had shape {old.shape} and now have {new.shape}; corrections keep the "
            "size. Give the layer its former data back."
        )
    ids, largest = compact_ids(np.concatenate((old, new)) if old.ndim == 2 else old)
    ids_old, ids_new = ids[: len(old)], ids[len(old) :]
    state = np.zeros(largest + 1, np.uint8)
    pixels = int(_look(ids_old, ids_new, state))
    changed = old != new  # Here is every id that is told of: its name need not be sought elsewhere
    names = np.zeros(largest + 1, np.int64)
    names[ids_old[changed]], names[ids_new[changed]] = old[changed], new[changed]
    state[0] = 0
    there, now = (state & _BEFORE) > 0, (state & _AFTER) > 0
    touched = (state & _TOUCHED) > 0
    chosen = (now & ~there, there & ~now, touched & there & now)
    added, removed, reshaped = (tuple(names[which].tolist()) for which in chosen)
    return LabelChanges(pixels, added, removed, reshaped)


@kernel
def _look(before: Array, after: Array, state: Array) -> int:
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


@dataclass(frozen=True)
class TidyParams:
    """How labels are made fit for training."""

    # fmt: off
    own_id_per_part: bool = choice(
        False, "An id for each part", "Give every 4-connected part of an id an id of its own.")
    small_area: int = choice(
        10, "Small below", "Nuclei of fewer pixels are named in a note (slips of the brush).",
        unit="px", low=0)
    # fmt: on

    def __post_init__(self) -> None:
        check_choices(self)


@dataclass(frozen=True, eq=False)
class TrainingLabels:
    """Labels fit for training."""

    labels: Int32  # int32 (H, W): 0 = background, 1..n without gaps, in the order of the ids given
    n: int  # Number of nuclei
    notes: tuple[str, ...] = ()  # What was changed or looks odd


def tidy_labels(labels: npt.ArrayLike, params: TidyParams | None = None) -> TrainingLabels:
    """Renumber labels (H, W) 1..n, cut ids in parts if so wished, and say what looks odd."""
    params = TidyParams() if params is None else params
    given = np.asarray(labels)
    ids, _ = compact_ids(given)
    parts = np.zeros(ids.shape, np.int32)
    n_parts = int(label_equal(ids, parts)) if ids.size else 0
    owner, names = np.zeros(n_parts + 1, np.int32), np.zeros(n_parts + 1, np.int64)
    owner[parts], names[parts] = ids, given
    notes = []
    each, count = np.unique(names[1:], return_counts=True)
    if (count > 1).any():
        remedy = "kept as one nucleus each; choose an id of its own for each part if not so."
        if params.own_id_per_part:
            remedy = "each part was given an id of its own."
        what = _counted(each[count > 1], "id lies", "ids lie", "in several parts")
        notes.append(f"{what}: {remedy}")
    new = np.zeros(n_parts + 1, np.int32)
    if params.own_id_per_part:
        new[1 + np.argsort(owner[1:], kind="stable")] = np.arange(1, n_parts + 1)
    else:
        new[1:] = np.unique(owner[1:], return_inverse=True)[1] + 1
    replace_ids(parts.ravel(), new)
    n = int(new.max())
    area = count_pixels(parts.ravel(), n + 1)
    name = np.zeros(n + 1, np.int64)
    name[parts] = given
    small = np.flatnonzero(area[1:] < params.small_area) + 1
    if len(small):
        what = f"fewer than {params.small_area} pixels"
        what = _counted(name[small], "nucleus has", "nuclei have", what)
        notes.append(f"{what}: slips of the brush? They were kept.")
    if not n:
        notes.append("There are no nuclei in these labels: the image counts as background.")
    return TrainingLabels(parts, n, tuple(notes))


def _counted(found: Int64, one: str, many: str, what: str) -> str:
    """Say how many have something, and name the ids of the first ones."""
    ids = np.unique(found)
    shown = ", ".join(map(str, ids[:NAMED_IDS].tolist()))
    more = f" and {len(ids) - NAMED_IDS} more" if len(ids) > NAMED_IDS else ""
    listed = f"id {shown}" if len(ids) == 1 else f"ids {shown}{more}"
    return f"{f'1 {one}' if len(found) == 1 else f'{len(found)} {many}'} {what} ({listed})"
