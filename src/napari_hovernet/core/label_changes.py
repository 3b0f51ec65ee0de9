"""What differs between two states of one label image: pixels, and nuclei by id."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from .compiled import kernel
from .types import Int32

SPARSE_FACTOR = 4
"""Ids beyond this many times the pixels are renumbered before a table by id is made."""
MIN_TABLE = 1024
"""Small images count as this many pixels for that."""

_BEFORE, _AFTER, _TOUCHED = 1, 2, 4


@dataclass(frozen=True)
class LabelChanges:
    """How a label image was changed.

    Parameters
    ----------
    pixels : int
        Pixels whose id differs.
    added, removed : tuple of int
        Ids that are there only afterwards, only before; ascending.
    reshaped : tuple of int
        Ids that are there before and after, and gained or lost pixels; ascending.

    Examples
    --------
    >>> LabelChanges(3, added=(7,)).any
    True
    """

    pixels: int = 0
    added: tuple[int, ...] = ()
    removed: tuple[int, ...] = ()
    reshaped: tuple[int, ...] = ()

    @property
    def any(self) -> bool:
        """Whether anything differs."""
        return self.pixels > 0


def label_changes(before: npt.ArrayLike, after: npt.ArrayLike) -> LabelChanges:
    """Find out what was changed in a label image.

    Parameters
    ----------
    before, after : int array (H, W)
        0 = background; any other ids, consecutive or not.

    Returns
    -------
    LabelChanges
        By id: a nucleus that was erased and drawn anew under another id is one removed
        and one added.

    Raises
    ------
    InputError
        If the sizes differ, or an array is no label image.

    Examples
    --------
    >>> label_changes([[1, 1, 2, 0]], [[1, 0, 0, 3]])
    LabelChanges(pixels=3, added=(3,), removed=(2,), reshaped=(1,))
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
