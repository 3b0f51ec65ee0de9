"""All scores at once, and what became of each nucleus."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ...errors import InputError
from ..types import Evaluation, Outcomes
from .aji import aji, aji_plus
from .dice import dice
from .matching import Contingency, best_partner, contingency
from .pq import MATCH_IOU, panoptic_quality


@dataclass(frozen=True)
class OutcomeParams:
    """When a nucleus counts as matched, merged or split.

    Parameters
    ----------
    match_iou : float
        A pair of higher IoU is matched; 0.5 or more, less than 1.
    inside_share : float
        An instance lies in another if more than this share of its own pixels does, and
        a nucleus is covered by its parts if they hold more than this share of it;
        0.5 or more (then it lies in one at most), less than 1.

    Raises
    ------
    InputError
        If a value is out of range.
    """

    match_iou: float = MATCH_IOU
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
    """Say for each true and predicted instance what became of it.

    The first that fits: *matched* (IoU above ``match_iou``; as many as the true positives
    of DQ), *merged* (a true nucleus in a prediction that holds others too; such a
    prediction), *split* (a true nucleus covered by two or more predictions that lie in
    it; a prediction that lies in such a nucleus, or in one matched by another
    prediction), *missed* (a true nucleus) or *spurious* (a prediction).

    Parameters
    ----------
    table : Contingency
        From :func:`contingency`.
    params : OutcomeParams, optional
        Default ``OutcomeParams()``.

    Returns
    -------
    Outcomes
        In the order of ``table.true_ids`` and ``table.pred_ids``.

    Examples
    --------
    >>> from napari_hovernet.core.metrics import contingency
    >>> outcomes(contingency([[1, 1, 2, 2]], [[4, 4, 4, 4]])).true.tolist()
    ['merged', 'merged']
    """
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
