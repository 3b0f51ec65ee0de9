"""True labels as people have them: checked, cut to the run, and what is odd about them in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from .hv import compact_ids
from .hv_kernels import label_equal, moments
from .parts import count_pixels
from .types import Int32

LARGEST_ID = int(np.iinfo(np.int32).max)
"""Ids up to this one are kept; if any is larger all are renumbered."""
COLOUR_CHANNELS = (3, 4)
"""Length of the last axis of a picture in colour."""
NAMED_IDS = 3
"""Ids that a note names one by one; the others are counted."""


@dataclass(frozen=True)
class TruthParams:
    """When true labels look odd.

    Parameters
    ----------
    far_px : float
        Gap in pixels between the boxes of two parts of one id from which a note says so.
    mask_parts : int
        Labels whose ids have this many parts or more (median) look like a mask.

    Raises
    ------
    InputError
        If a number is out of range.
    """

    far_px: float = 30.0
    mask_parts: int = 5

    def __post_init__(self) -> None:
        if not self.far_px >= 0:
            raise InputError(f"far_px is {self.far_px}; give 0 or more pixels.")
        if not self.mask_parts > 1:
            raise InputError(f"mask_parts is {self.mask_parts}; give 2 or more.")


@dataclass(frozen=True, eq=False)
class Truth:
    """True labels that fit a run.

    Parameters
    ----------
    labels : int32 (H, W)
        A copy: 0 = background, one id per nucleus, ids may have gaps.
    n : int
        Number of nuclei.
    notes : tuple of str
        What was assumed, changed or looks odd, in words for the user.
    """

    labels: Int32
    n: int
    notes: tuple[str, ...] = ()


def check_truth(
    labels: npt.ArrayLike,
    shape: tuple[int, int],
    offset: tuple[int, int] | None = None,
    params: TruthParams | None = None,
) -> Truth:
    """Take in true labels for a run of a certain size.

    Parameters
    ----------
    labels : array (H, W)
        Whole numbers of any dtype (also bool, and floats without fractions), 0 =
        background. Axes of length 1 in front are dropped.
    shape : tuple of int
        Height and width of the run, pixels.
    offset : tuple of int, optional
        Row and column of the run's first pixel in the whole image, if the run covers
        only a region of it; labels of the whole image are then cut to the region.
    params : TruthParams, optional
        Default ``TruthParams()``.

    Returns
    -------
    Truth
        The labels, int32, and notes on whatever was assumed.

    Raises
    ------
    InputError
        If these are no labels (a picture in colour, fractions, NaN, negative ids), or
        of another size.

    Examples
    --------
    >>> check_truth([[0.0, 2.0], [0.0, 2.0]], (2, 2)).n
    1
    >>> check_truth([[0, 0]], (1, 2)).notes
    ('The truth holds no nuclei.',)
    """
    params = TruthParams() if params is None else params
    notes: list[str] = []
    array = _cut(_one_plane(np.asarray(labels)), shape, offset, notes)
    ids = _as_int32(_whole_numbers(array, notes), notes)
    compact, largest = compact_ids(ids)
    present = count_pixels(compact.ravel(), largest + 1) > 0 if compact.size else np.zeros(1, bool)
    n = int(present[1:].sum())
    notes += _oddities(ids, compact, n, params)
    return Truth(ids, n, tuple(notes))


def _one_plane(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    full = array.shape
    while array.ndim > 2 and array.shape[0] == 1:
        array = array[0]
    if array.ndim == 2:
        return array
    if array.ndim == 3 and array.shape[-1] in COLOUR_CHANNELS:
        raise InputError(
            f"The truth has shape {full}: a picture in colour, not labels. Choose the label "
            "image itself, (H, W) with one whole number per nucleus."
        )
    raise InputError(
        f"The truth has shape {full}; give one (H, W) label image (one plane of a stack)."
    )


def _cut(
    array: npt.NDArray[Any],
    shape: tuple[int, int],
    offset: tuple[int, int] | None,
    notes: list[str],
) -> npt.NDArray[Any]:
    """Cut labels of the whole image to the run's region; refuse any other size."""
    if array.shape == tuple(shape):
        return array
    row, col = (0, 0) if offset is None else offset
    inside = row + shape[0] <= array.shape[0] and col + shape[1] <= array.shape[1]
    if offset is None or min(row, col) < 0 or not inside:
        where = "" if offset is None else f" (a region that starts at row {row}, column {col})"
        raise InputError(
            f"The truth is {array.shape[0]} x {array.shape[1]} pixels, the run {shape[0]} x "
            f"{shape[1]}{where}: rows x columns must be the same. Choose labels of the very "
            "image that was segmented, at its resolution."
        )
    notes.append(
        f"The truth covers the whole image ({array.shape[0]} x {array.shape[1]}); it was cut to "
        f"the run's region ({shape[0]} x {shape[1]} from row {row}, column {col})."
    )
    return array[row : row + shape[0], col : col + shape[1]]


def _whole_numbers(array: npt.NDArray[Any], notes: list[str]) -> npt.NDArray[Any]:
    """Labels as integers from 0 on, of whatever width."""
    kind = array.dtype.kind
    if kind not in "iubf":
        raise InputError(
            f"The truth has dtype {array.dtype}; give whole numbers: 0 = background, one id per "
            "nucleus."
        )
    if kind == "f" and array.size:
        bad = int(array.size - np.isfinite(array).sum())
        if bad:
            raise InputError(
                f"The truth holds {bad} values that are not finite (NaN or infinite); set them "
                "to 0 = background."
            )
    if kind in "if" and array.size and array.min() < 0:
        raise InputError(
            f"The truth goes down to {array.min()}; ids start at 0 = background. Set what is to "
            "be left out to 0."
        )
    if kind != "f":
        return array
    whole = array.astype(np.int64)
    if array.size and (array != whole).any():
        raise InputError(
            "The truth holds fractions: a probability map, not labels. Give whole numbers, one "
            "id per nucleus."
        )
    notes.append(f"The truth is {array.dtype}, not whole numbers; it was read as such.")
    return whole


def _as_int32(array: npt.NDArray[Any], notes: list[str]) -> Int32:
    """Copy labels as int32; renumber them if an id is too large for it."""
    if array.size and int(array.max()) > LARGEST_ID:
        notes.append(
            f"Ids go up to {array.max()}, above {LARGEST_ID}: they were renumbered 1, 2, 3 ... "
            "in order."
        )
        return compact_ids(array)[0].copy()
    return np.array(array, dtype=np.int32, order="C")


def _oddities(ids: Int32, compact: Int32, n: int, params: TruthParams) -> list[str]:
    """Say what looks wrong: nothing there, a mask, ids in parts far from each other."""
    if not n:
        return ["The truth holds no nuclei."]
    parts = np.zeros(ids.shape, np.int32)
    n_parts = int(label_equal(compact, parts))
    if n_parts == n:
        return []
    area, _, box = (x[1:] for x in moments(parts, n_parts))
    owner = np.zeros(n_parts + 1, np.int32)
    owner[parts] = ids
    owner = owner[1:]
    _, per_id = np.unique(owner, return_counts=True)
    if np.median(per_id) >= params.mask_parts:
        many = "One id lies" if n == 1 else f"{n} ids lie"
        return [
            f"{many} on {n_parts} separate parts: this looks like a mask (or a map of types), "
            "not instances. Each id was counted as one nucleus, as given; give every nucleus an "
            "id of its own."
        ]
    return _far_parts(owner, area, box, params)


def _far_parts(
    owner: Int32, area: npt.NDArray[Any], box: npt.NDArray[Any], params: TruthParams
) -> list[str]:
    """Name the ids of which a part lies far from the largest part."""
    order = np.lexsort((-area, owner))
    owner, box = owner[order], box[order]
    ids, start, count = np.unique(owner, return_index=True, return_counts=True)
    largest = np.repeat(box[start], count, axis=0)
    apart = np.maximum(largest[:, :2] - box[:, 2:], box[:, :2] - largest[:, 2:])
    gap = np.hypot(*np.maximum(apart - 1, 0).T)
    farthest = np.maximum.reduceat(gap, start)
    far = np.flatnonzero(farthest >= params.far_px)
    far = far[np.argsort(-farthest[far], kind="stable")]
    notes = [
        f"Id {ids[k]} lies in {count[k]} parts, {farthest[k]:.0f} px apart; it was counted as one "
        "nucleus, as given."
        for k in far[:NAMED_IDS]
    ]
    if len(far) > NAMED_IDS:
        notes.append(f"{len(far) - NAMED_IDS} more ids lie in parts far from each other.")
    return notes
