"""Scores of instance segmentation, all read from one contingency table."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ...errors import InputError
from ..choices import check_choices, choice
from ..types import Bool, Evaluation, Float64, Int64, Outcomes, TypeInfo
from .typed import Tally, TypedParams, by_id, pooled, tally, without

BAND_PIXELS = 1 << 20
"""Pixels read at a time; bounds the temporaries, never changes the result."""
PAIRING_EPSILON = 1e-6
"""Added to the union while partners are chosen, as the published code does: of two
pairs of equal IoU the larger one wins. No score is divided by it."""
ALONE_COST = 2.0
"""Cost of leaving a true nucleus alone, above 1 so that no edge of the graph costs 0."""
MATCH_IOU = 0.5
"""A pair of higher IoU is a match; from 0.5 on no instance can be in two of them."""


@dataclass(frozen=True, eq=False)
class Contingency:
    """Who overlaps whom, and by how many pixels."""

    true_ids: Int64  # Ids as in the arrays given, ascending, background left out
    pred_ids: Int64  # Ids as in the arrays given, ascending, background left out
    true_area: Int64  # Pixels
    pred_area: Int64  # Pixels
    true: Int64  # Of each pair: position of the true instance
    pred: Int64  # Of each pair: position of the predicted one
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
    """Count the pixels that true and predicted instances (H, W) share, in one pass."""
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
    n_preds = np.bincount(table.true, minlength=table.n_true)[table.true]
    n_trues = np.bincount(table.pred, minlength=table.n_pred)[table.pred]
    rival = np.flatnonzero((n_preds > 1) | (n_trues > 1))
    taken = np.ones(len(table.overlap), bool)
    if len(rival):
        taken[rival] = _assigned(table.true[rival], table.pred[rival], table.pairing_weight[rival])
    return np.flatnonzero(taken)


def _assigned(true: Int64, pred: Int64, weight: Float64) -> Bool:
    """Tell which pairs the best assignment holds; a true nucleus may stay alone."""
    from scipy import sparse  # noqa: PLC0415 - on first use

    (trues, row), (preds, column) = (np.unique(x, return_inverse=True) for x in (true, pred))
    n, m = len(trues), len(preds)
    alone = np.arange(n)
    values = np.concatenate((ALONE_COST - weight, np.full(n, ALONE_COST)))
    at = np.concatenate((row, alone)), np.concatenate((column, m + alone))
    cost = sparse.csr_array((values, at), shape=(n, m + n))
    rows, columns = sparse.csgraph.min_weight_full_bipartite_matching(cost)
    partner = np.empty(n, np.int64)
    partner[rows] = columns
    return np.asarray(partner[row] == column)


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


class PanopticQuality(NamedTuple):
    """Detection quality, segmentation quality and their product, each in 0..1."""

    dq: float
    sq: float
    pq: float


def panoptic_quality(table: Contingency, match_iou: float = MATCH_IOU) -> PanopticQuality:
    """Panoptic quality of the pairs whose IoU exceeds ``match_iou``."""
    if not table.n_true + table.n_pred:
        return PanopticQuality(1.0, 1.0, 1.0)
    matched = table.iou[table.iou > match_iou]
    dq = len(matched) / (0.5 * (table.n_true + table.n_pred))
    sq = float(matched.mean()) if len(matched) else 0.0
    return PanopticQuality(dq, sq, dq * sq)


@dataclass(frozen=True)
class OutcomeParams:
    """When a nucleus counts as matched, merged or split."""

    # fmt: off
    match_iou: float = choice(
        MATCH_IOU, "Matched from", "A pair of higher IoU is matched; below 0.5 one instance could "
        "belong to two others.", low=0.5, high=0.999)
    inside_share: float = choice(
        0.5, "Inside from", "An instance lies in another from this share of its pixels on.",
        low=0.5, high=0.999)
    # fmt: on

    def __post_init__(self) -> None:
        check_choices(self)


def evaluate(  # noqa: PLR0913 - each may be left out
    true_labels: npt.ArrayLike,
    pred_labels: npt.ArrayLike,
    params: OutcomeParams | None = None,
    *,
    types: Any = None,
    true_types: Any = None,
    type_names: Mapping[int, TypeInfo] | None = None,
    ignore: npt.ArrayLike | None = None,
    mpp: float | None = None,
) -> Evaluation:
    """Score predicted against true instances.

    Parameters
    ----------
    true_labels, pred_labels : int array (H, W)
        0 = background; any other ids from 1 on, consecutive or not.
    params : OutcomeParams, optional
        Default ``OutcomeParams()``. ``match_iou`` holds for DQ, SQ and PQ too.
    types, true_types : mapping, or int array (n,) or (H, W), optional
        Types of the predicted and of the true nuclei: by id, one for each id (rising), or of
        each pixel (the most frequent counts). 0 = none, in the truth: not known. With either,
        ``typed`` is there.
    type_names : mapping of int to TypeInfo, optional
        Types that are scored, beside those that are met.
    ignore : bool array (H, W), optional
        Where nothing counts, neither misses nor what is found: pixels there are taken out of
        both images, and nuclei that lie there with more than half of their pixels.
    mpp : float, optional
        Micrometres per pixel, for the distance within which a nucleus is found; 0.25 if not
        given.

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
    >>> evaluate([[1, 0, 2]], [[1, 0, 2]], types=[3, 3], true_types=[3, 4]).typed.type_accuracy
    0.5
    """
    params = OutcomeParams() if params is None else params
    if ignore is not None:
        types, true_types = by_id(pred_labels, types), by_id(true_labels, true_types, "true_types")
        true_labels, pred_labels = (without(x, ignore) for x in (true_labels, pred_labels))
    table = contingency(true_labels, pred_labels)
    scores = dice(table), aji(table), aji_plus(table), *panoptic_quality(table, params.match_iou)
    typed = None
    if types is not None or true_types is not None:
        found = tally_types(true_labels, pred_labels, (true_types, types), params, mpp, table)
        typed = pooled([found], type_names)
    return Evaluation(*scores, table.n_true, table.n_pred, outcomes(table, params), typed)


def tally_types(
    true_labels: npt.ArrayLike,
    pred_labels: npt.ArrayLike,
    types: tuple[Any, Any] = (None, None),
    params: OutcomeParams | None = None,
    mpp: float | None = None,
    table: Contingency | None = None,
) -> Tally:
    """Count what one image adds to the scores of types; ``types`` are the true, the predicted."""
    params = OutcomeParams() if params is None else params
    table = contingency(true_labels, pred_labels) if table is None else table
    hit = table.iou > params.match_iou
    pairs = table.true_ids[table.true[hit]], table.pred_ids[table.pred[hit]], table.iou[hit]
    labels = np.asarray(true_labels), np.asarray(pred_labels)
    return tally(*labels, pairs, types, TypedParams().radius_px(mpp))


def outcomes(table: Contingency, params: OutcomeParams | None = None) -> Outcomes:
    """Say for each true and predicted instance what became of it."""
    params = OutcomeParams() if params is None else params
    true = np.full(table.n_true, "missed", dtype="<U8")
    pred = np.full(table.n_pred, "spurious", dtype="<U8")
    part = table.overlap > params.inside_share * table.pred_area[table.pred]
    parts = np.bincount(table.true[part], minlength=table.n_true)
    covered = np.bincount(table.true[part], weights=table.overlap[part], minlength=table.n_true)
    split = (parts > 1) & (covered > params.inside_share * table.true_area)
    true[split] = "split"
    matched = table.iou > params.match_iou
    beside = split.copy()
    beside[table.true[matched]] = True
    pred[table.pred[part & beside[table.true]]] = "split"
    inside = table.overlap > params.inside_share * table.true_area[table.true]
    shared = np.bincount(table.pred[inside], minlength=table.n_pred) > 1
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


@dataclass(frozen=True)
class BootstrapParams:
    """How a mean is resampled."""

    # fmt: off
    confidence: float = choice(
        0.95, "Confidence", "Share of the resampled means inside the interval.",
        above=0, high=0.9999)
    resamples: int = choice(9999, "Resamples", "Number of resampled means.", low=1)
    seed: int = choice(0, "Seed", "The same seed gives the same interval.", low=0)
    # fmt: on

    def __post_init__(self) -> None:
        check_choices(self)


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
    mean = float(array.mean()) if array.size else math.nan
    if array.size < 2:
        return Interval(mean, math.nan, math.nan, array.size)
    from scipy import stats  # noqa: PLC0415 - takes a second to be loaded

    rng = np.random.default_rng(params.seed)
    drawn = stats.bootstrap(
        (array,), np.mean, n_resamples=params.resamples, confidence_level=params.confidence,
        method="percentile", random_state=rng,
    )  # fmt: skip
    found = drawn.confidence_interval
    return Interval(mean, float(found.low), float(found.high), array.size)
