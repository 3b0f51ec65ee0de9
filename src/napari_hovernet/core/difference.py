"""Where two segmentations of one image differ: pixel by pixel, and in numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from .compiled import kernel
from .hv import compact_ids
from .metrics.matching import Contingency, contingency
from .metrics.report import OutcomeParams, outcomes

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
    """How a segmentation B differs from A.

    Parameters
    ----------
    kinds : int8 (H, W)
        Kind of each pixel, a key of :data:`KINDS`; 0 where neither has a nucleus.
    n_a, n_b : int
        Nuclei of A and of B.
    matched : int
        Pairs of IoU above 0.5.
    split, merged, reshaped, only_a : int
        Nuclei of A that B cut in several, that share a nucleus of B with others, that lie
        where a nucleus of B does but match none, that B does not have. With ``matched``
        they add up to ``n_a``.
    only_b : int
        Nuclei of B that A does not have.
    """

    kinds: Int8
    n_a: int
    n_b: int
    matched: int
    split: int
    merged: int
    reshaped: int
    only_a: int
    only_b: int

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

    Parameters
    ----------
    a, b : int array (H, W)
        0 = background; any other ids, consecutive or not.
    params : OutcomeParams, optional
        When a pair is matched, an instance lies in another; default ``OutcomeParams()``.

    Returns
    -------
    LabelDifference

    Raises
    ------
    InputError
        If the sizes differ, or an array is no label image.

    Notes
    -----
    Kinds are those of :func:`.metrics.outcomes` with A in the place of the truth. What it
    calls missed or spurious is told apart once more: *reshaped* if it holds more than
    ``inside_share`` of, or lies by more than that share in, a nucleus of the other side
    that is missed or spurious too; else it is in one of them *only*.

    Examples
    --------
    >>> found = label_difference([[1, 1, 2, 2, 0, 0]], [[5, 5, 5, 5, 0, 6]])
    >>> found.kinds.tolist(), found.merged, found.only_b
    ([[5, 5, 5, 5, 0, 3]], 2, 1)
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
