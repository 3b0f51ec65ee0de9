"""One contingency table of true against predicted instances; every score reads it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.optimize import linear_sum_assignment

from ...errors import InputError

Int64 = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]

BAND_PIXELS = 1 << 20
"""Pixels read at a time; bounds the temporaries, never changes the result."""
PAIRING_EPSILON = 1e-6
"""Added to the union while partners are chosen, as the published code does: of two
pairs of equal IoU the larger one wins. No score is divided by it."""
DENSE_BLOCK = 1 << 20
"""Most cells of a cost table solved as a whole; larger ones are solved as a sparse graph."""
SPARSE_COST = 2.0
"""Cost of leaving a true nucleus alone in the sparse graph, above 1 so that no edge costs 0."""


@dataclass(frozen=True, eq=False)
class Contingency:
    """Who overlaps whom, and by how many pixels.

    Parameters
    ----------
    true_ids, pred_ids : int64 (n,), (m,)
        Ids as in the arrays given, ascending, background left out.
    true_area, pred_area : int64 (n,), (m,)
        Pixels.
    true, pred : int64 (k,)
        Positions in ``true_ids`` and ``pred_ids`` of each overlapping pair, sorted by
        ``true``, then ``pred``.
    overlap : int64 (k,)
        Pixels that pair shares, 1 or more.
    """

    true_ids: Int64
    pred_ids: Int64
    true_area: Int64
    pred_area: Int64
    true: Int64
    pred: Int64
    overlap: Int64

    @property
    def n_true(self) -> int:
        """Number of true instances."""
        return len(self.true_ids)

    @property
    def n_pred(self) -> int:
        """Number of predicted instances."""
        return len(self.pred_ids)

    @cached_property
    def union(self) -> Int64:
        """Pixels of the union of each pair."""
        return self.true_area[self.true] + self.pred_area[self.pred] - self.overlap

    @cached_property
    def iou(self) -> Float64:
        """Intersection over union of each pair, in (0, 1]."""
        return self.overlap / self.union

    @cached_property
    def pairing_weight(self) -> Float64:
        """IoU by which partners are chosen, see :data:`PAIRING_EPSILON`."""
        return self.overlap / (self.union + PAIRING_EPSILON)


def contingency(true_labels: npt.ArrayLike, pred_labels: npt.ArrayLike) -> Contingency:
    """Count the pixels every true and predicted instance share, in one pass.

    Parameters
    ----------
    true_labels, pred_labels : int array (H, W)
        0 = background; any other ids from 1 on, consecutive or not.

    Returns
    -------
    Contingency
        Memory proportional to the length of the borders and the number of pairs.

    Raises
    ------
    InputError
        If an array is not 2-D, not of whole numbers or holds negative ids, or if the
        two differ in size.

    Examples
    --------
    >>> table = contingency([[5, 5, 0]], [[9, 9, 9]])
    >>> table.overlap.tolist(), table.union.tolist()
    ([2], [3])
    """
    true = _checked("true_labels", true_labels)
    pred = _checked("pred_labels", pred_labels)
    if true.shape != pred.shape:
        raise InputError(
            f"true_labels has shape {true.shape} and pred_labels {pred.shape}; "
            "give two label images of the same size."
        )
    run_true, run_pred, length = _runs(true, pred)
    true_ids, true_index, true_area = _ids(run_true, length)
    pred_ids, pred_index, pred_area = _ids(run_pred, length)
    both = (run_true > 0) & (run_pred > 0)
    width = max(len(pred_ids), 1)
    key = true_index[both] * width + pred_index[both]
    pairs, inverse = np.unique(key, return_inverse=True)
    overlap = np.bincount(inverse, weights=length[both], minlength=len(pairs)).astype(np.int64)
    return Contingency(
        true_ids, pred_ids, true_area, pred_area, pairs // width, pairs % width, overlap
    )


def best_partner(table: Contingency) -> tuple[Int64, Int64]:
    """Pick for each true instance the prediction of highest IoU, be it taken or not.

    Returns
    -------
    true, pair : int64 (j,)
        Positions of the true instances that overlap anything, ascending, and of their
        best pair in the table; equal pairs: the lower predicted id.
    """
    order = np.lexsort((table.pred, -table.pairing_weight, table.true))
    found, first = np.unique(table.true[order], return_index=True)
    return found, order[first]


def unique_partners(table: Contingency) -> Int64:
    """Pair true and predicted instances one to one so that the sum of IoU is largest.

    Returns
    -------
    int64 (j,)
        Positions in the table of the pairs taken, ascending.

    Notes
    -----
    Instances that overlap nothing in common cannot compete, so the assignment is solved
    in each connected group by itself; no table of all against all is built.
    """
    if not len(table.overlap):
        return np.zeros(0, np.int64)
    group = _groups(table)
    order = np.argsort(group, kind="stable")
    starts = np.flatnonzero(np.diff(group[order], prepend=-1))
    single = np.diff(np.append(starts, len(order))) == 1
    taken = [order[starts[single]]]
    ends = np.append(starts[1:], len(order))
    taken += [
        _assign(table, order[start:end])
        for start, end in zip(starts[~single], ends[~single], strict=True)
    ]
    return np.sort(np.concatenate(taken))


def _checked(name: str, labels: npt.ArrayLike) -> npt.NDArray[Any]:
    array = np.asarray(labels)
    if array.ndim != 2:
        raise InputError(f"{name} has shape {array.shape}; give one (H, W) label image.")
    if array.dtype.kind not in "iub":
        raise InputError(
            f"{name} has dtype {array.dtype}; give whole numbers: 0 = background, one id per "
            "nucleus. Turn a probability map into instances first (separate)."
        )
    if array.size and array.dtype.kind == "i" and int(array.min()) < 0:
        raise InputError(f"{name} goes down to {array.min()}; ids start at 0 = background.")
    if array.size and array.dtype == np.uint64 and int(array.max()) > np.iinfo(np.int64).max:
        raise InputError(f"{name} goes up to {array.max()}; ids end at {np.iinfo(np.int64).max}.")
    return array


def _runs(true: npt.NDArray[Any], pred: npt.NDArray[Any]) -> tuple[Int64, Int64, Int64]:
    """Cut the rows into runs of constant (true, predicted) id; keep those with any nucleus."""
    height, width = true.shape
    rows = max(BAND_PIXELS // max(width, 1), 1)
    parts: list[tuple[Int64, Int64, Int64]] = [(np.zeros(0, np.int64),) * 3]
    for row in range(0, height if width else 0, rows):
        a, b = true[row : row + rows].ravel(), pred[row : row + rows].ravel()
        change = a[1:] != a[:-1]
        change |= b[1:] != b[:-1]
        starts = np.concatenate(([0], np.flatnonzero(change) + 1))
        length = np.diff(starts, append=a.size)
        run_a, run_b = a[starts].astype(np.int64), b[starts].astype(np.int64)
        keep = (run_a > 0) | (run_b > 0)
        parts.append((run_a[keep], run_b[keep], length[keep]))
    run_true, run_pred, lengths = (np.concatenate(part) for part in zip(*parts, strict=True))
    return run_true, run_pred, lengths


def _ids(run: Int64, length: Int64) -> tuple[Int64, Int64, Int64]:
    """Ids without background, the position of each run's id (-1 = background), the areas."""
    values, inverse = np.unique(run, return_inverse=True)
    area = np.bincount(inverse, weights=length, minlength=len(values)).astype(np.int64)
    skip = int(len(values) > 0 and values[0] == 0)
    return values[skip:], inverse.astype(np.int64) - skip, area[skip:]


def _groups(table: Contingency) -> Int64:
    """Give each pair the number of the connected group it belongs to."""
    n, m = table.n_true, table.n_pred
    link = (np.ones(len(table.true), np.int8), (table.true, table.pred + n))
    graph = sparse.coo_array(link, shape=(n + m, n + m))
    _, group = sparse.csgraph.connected_components(graph, directed=False)
    return np.asarray(group[table.true], dtype=np.int64)


def _assign(table: Contingency, pairs: Int64) -> Int64:
    """Solve one connected group of pairs."""
    rows, row = np.unique(table.true[pairs], return_inverse=True)
    columns, column = np.unique(table.pred[pairs], return_inverse=True)
    weight = table.pairing_weight[pairs]
    if min(len(rows), len(columns)) == 1:
        best = int(np.argmax(weight))
        return pairs[best : best + 1]
    if len(rows) * len(columns) > DENSE_BLOCK:
        return pairs[_assign_sparse(row, column, weight)]
    cost = np.zeros((len(rows), len(columns)))
    cost[row, column] = -weight
    index = np.full(cost.shape, -1)
    index[row, column] = np.arange(len(pairs))
    chosen: Int64 = index[linear_sum_assignment(cost)]
    return pairs[chosen[chosen >= 0]]


def _assign_sparse(row: Int64, column: Int64, weight: Float64) -> Int64:
    """Positions of the pairs of the best assignment; each row may stay alone."""
    n, m = int(row.max()) + 1, int(column.max()) + 1
    alone = np.arange(n)
    cost = sparse.csr_array(
        (
            np.concatenate((SPARSE_COST - weight, np.full(n, SPARSE_COST))),
            (np.concatenate((row, alone)), np.concatenate((column, m + alone))),
        ),
        shape=(n, m + n),
    )
    matched_row, matched_column = sparse.csgraph.min_weight_full_bipartite_matching(cost)
    partner = np.full(n, -1)
    partner[matched_row] = matched_column
    return np.flatnonzero(partner[row] == column)
