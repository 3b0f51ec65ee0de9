"""Scores of instance segmentation, all read from one contingency table."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import sparse, stats
from scipy.optimize import linear_sum_assignment

from ...errors import InputError
from ..types import Evaluation, Outcomes

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
    """Who overlaps whom, and by how many pixels."""

    true_ids: Int64  # Ids as in the arrays given, ascending, background left out
    pred_ids: Int64  # Ids as in the arrays given, ascending, background left out
    true_area: Int64  # Pixels
    pred_area: Int64  # Pixels
    true: Int64
    pred: Int64
    overlap: Int64  # Pixels that pair shares, 1 or more

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

    ``true_labels, pred_labels`` int (H, W).
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
    """Pick for each true instance the prediction of highest IoU, be it taken or not."""
    order = np.lexsort((table.pred, -table.pairing_weight, table.true))
    found, first = np.unique(table.true[order], return_index=True)
    return found, order[first]


def unique_partners(table: Contingency) -> Int64:
    """Pair true and predicted instances one to one so that the sum of IoU is largest."""
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


def aji(table: Contingency) -> float:
    """Compute the aggregated Jaccard index."""
    _, pairs = best_partner(table)
    return _aggregated(table, pairs)


def aji_plus(table: Contingency) -> float:
    """Compute the aggregated Jaccard index with partners one to one."""
    return _aggregated(table, unique_partners(table))


def _aggregated(table: Contingency, pairs: Int64) -> float:
    alone_true = np.ones(table.n_true, dtype=bool)
    alone_pred = np.ones(table.n_pred, dtype=bool)
    alone_true[table.true[pairs]] = False
    alone_pred[table.pred[pairs]] = False
    left_over = int(table.true_area[alone_true].sum() + table.pred_area[alone_pred].sum())
    union = int(table.union[pairs].sum()) + left_over
    return int(table.overlap[pairs].sum()) / union if union else 1.0


def dice(table: Contingency) -> float:
    """Dice coefficient of all nucleus pixels, whatever instance they belong to."""
    total = int(table.true_area.sum() + table.pred_area.sum())
    return 2 * int(table.overlap.sum()) / total if total else 1.0


MATCH_IOU = 0.5
"""A pair of higher IoU is a match; from 0.5 on no instance can be in two of them."""


class PanopticQuality(NamedTuple):
    """Detection quality, segmentation quality and their product, each in 0..1."""

    dq: float
    sq: float
    pq: float


def panoptic_quality(table: Contingency, match_iou: float = MATCH_IOU) -> PanopticQuality:
    """Panoptic quality of the pairs whose IoU exceeds ``match_iou``."""
    if not MATCH_IOU <= match_iou < 1:
        raise InputError(
            f"match_iou is {match_iou}; give 0.5 or more (matches are unique from there on), "
            "and less than 1."
        )
    if not table.n_true + table.n_pred:
        return PanopticQuality(1.0, 1.0, 1.0)
    matched = table.iou[table.iou > match_iou]
    dq = len(matched) / (0.5 * (table.n_true + table.n_pred))
    sq = float(matched.mean()) if len(matched) else 0.0
    return PanopticQuality(dq, sq, dq * sq)


@dataclass(frozen=True)
class OutcomeParams:
    """When a nucleus counts as matched, merged or split."""

    match_iou: float = MATCH_IOU  # A pair of higher IoU is matched
    inside_share: float = 0.5

    def __post_init__(self) -> None:
        for name in ("match_iou", "inside_share"):
            if not 0.5 <= getattr(self, name) < 1:
                raise InputError(
                    f"{name} is {getattr(self, name)}; give 0.5 or more (below it one instance "
                    "could belong to two others), and less than 1."
                )


def evaluate(
    true_labels: npt.ArrayLike,
    pred_labels: npt.ArrayLike,
    params: OutcomeParams | None = None,
) -> Evaluation:
    """Score predicted against true instances.

    Parameters
    ----------
    true_labels, pred_labels : int array (H, W)
        0 = background; any other ids from 1 on, consecutive or not.
    params : OutcomeParams, optional
        Default ``OutcomeParams()``. ``match_iou`` holds for DQ, SQ and PQ too.

    Returns
    -------
    Evaluation
        Dice, AJI, AJI+, DQ, SQ, PQ, the counts, and the outcome of each nucleus. Both
        images without nuclei: every score is 1. Only one of them: every score is 0.

    Raises
    ------
    InputError
        If an array is not 2-D, not of whole numbers or holds negative ids, or if the
        two differ in size.

    Examples
    --------
    >>> ev = evaluate([[1, 1, 0, 2]], [[7, 7, 0, 0]])
    >>> ev.n_true, ev.n_pred, ev.outcomes.counts()["missed"]
    (2, 1, 1)
    """
    params = OutcomeParams() if params is None else params
    table = contingency(true_labels, pred_labels)
    quality = panoptic_quality(table, params.match_iou)
    return Evaluation(
        dice=dice(table),
        aji=aji(table),
        aji_plus=aji_plus(table),
        dq=quality.dq,
        sq=quality.sq,
        pq=quality.pq,
        n_true=table.n_true,
        n_pred=table.n_pred,
        outcomes=outcomes(table, params),
    )


def outcomes(table: Contingency, params: OutcomeParams | None = None) -> Outcomes:
    """Say for each true and predicted instance what became of it."""
    params = OutcomeParams() if params is None else params
    true = np.full(table.n_true, "missed", dtype="<U8")
    pred = np.full(table.n_pred, "spurious", dtype="<U8")
    split = _split(table, params)
    true[split] = "split"
    part = table.overlap > params.inside_share * table.pred_area[table.pred]
    matched = table.iou > params.match_iou
    beside = split.copy()
    beside[table.true[matched]] = True
    pred[table.pred[part & beside[table.true]]] = "split"
    inside = table.overlap > params.inside_share * table.true_area[table.true]
    shared = _count(table.pred[inside], table.n_pred) > 1
    true[table.true[inside & shared[table.pred]]] = "merged"
    pred[shared] = "merged"
    true[table.true[matched]] = "matched"
    pred[table.pred[matched]] = "matched"
    partner = np.zeros(table.n_true, np.int64)
    iou = np.zeros(table.n_true)
    found, pairs = best_partner(table)
    partner[found] = table.pred_ids[table.pred[pairs]]
    iou[found] = table.iou[pairs]
    return Outcomes(table.true_ids, true, table.pred_ids, pred, partner, iou)


def _split(table: Contingency, params: OutcomeParams) -> npt.NDArray[np.bool_]:
    """Tell which true nuclei are covered by two or more predictions that lie in them."""
    part = table.overlap > params.inside_share * table.pred_area[table.pred]
    parts = _count(table.true[part], table.n_true)
    covered = np.bincount(table.true[part], weights=table.overlap[part], minlength=table.n_true)
    return (parts > 1) & (covered > params.inside_share * table.true_area)


def _count(positions: npt.NDArray[np.int64], n: int) -> npt.NDArray[np.int64]:
    return np.bincount(positions, minlength=n).astype(np.int64)


__all__ = [
    "Contingency",
    "OutcomeParams",
    "PanopticQuality",
    "aji",
    "aji_plus",
    "contingency",
    "dice",
    "evaluate",
    "outcomes",
    "panoptic_quality",
]


@dataclass(frozen=True)
class BootstrapParams:
    """How a mean is resampled."""

    confidence: float = 0.95  # Share of the resampled means inside the interval, in 0..1 exclusive
    resamples: int = 9999  # Number of resampled means, 1 or more
    seed: int = 0  # The same numbers give the same interval

    def __post_init__(self) -> None:
        if not 0 < self.confidence < 1:
            raise InputError(f"confidence is {self.confidence}; give a share between 0 and 1.")
        if self.resamples < 1:
            raise InputError(f"resamples is {self.resamples}; give 1 or more.")
        if self.seed < 0:
            raise InputError(f"seed is {self.seed}; give 0 or more.")


@dataclass(frozen=True)
class Interval:
    """Mean of ``n`` values, and the interval it lies in; NaN where there is none."""

    mean: float
    low: float
    high: float
    n: int


def bootstrap_mean(values: npt.ArrayLike, params: BootstrapParams | None = None) -> Interval:
    """Return the mean of some values with its percentile bootstrap interval."""
    params = BootstrapParams() if params is None else params
    array = np.asarray(values, dtype=np.float64).ravel()
    array = array[~np.isnan(array)]
    if np.isinf(array).any():
        raise InputError("A value is infinite; leave it out or give NaN.")
    nan = float("nan")
    if not array.size:
        return Interval(nan, nan, nan, 0)
    mean = float(array.mean())
    if array.size == 1:
        return Interval(mean, nan, nan, 1)
    found = stats.bootstrap(
        (array,),
        np.mean,
        n_resamples=params.resamples,
        confidence_level=params.confidence,
        method="percentile",
        random_state=np.random.default_rng(params.seed),
    ).confidence_interval
    return Interval(mean, float(found.low), float(found.high), int(array.size))
