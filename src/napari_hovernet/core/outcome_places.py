"""Where the errors are: one place per merged, split, missed or spurious nucleus, worst first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .comparison_types import ERROR_KINDS, ErrorPlace, Places
from .hv import compact_ids
from .hv_kernels import moments
from .metrics.matching import Contingency, contingency
from .metrics.report import OutcomeParams
from .types import Outcomes

__all__ = ["ERROR_KINDS", "ErrorPlace", "Places", "error_places"]

Int64 = npt.NDArray[np.int64]


def error_places(
    true_labels: npt.ArrayLike,
    pred_labels: npt.ArrayLike,
    outcomes: Outcomes,
    params: OutcomeParams | None = None,
) -> Places:
    """List the errors of a prediction as places to go to.

    Parameters
    ----------
    true_labels, pred_labels : int array (H, W)
        As given to :func:`evaluate`.
    outcomes : Outcomes
        What it found for them.
    params : OutcomeParams, optional
        What it was asked with.

    Returns
    -------
    Places
        *merged*: one place per prediction that holds several true nuclei of which one or
        more count as merged. *split*: one per true nucleus with predictions that count
        as split in it. *missed* and *spurious*: one each.

    Raises
    ------
    InputError
        If the arrays are no label images of one size.

    Examples
    --------
    >>> import napari_hovernet as nh
    >>> true, pred = [[1, 1, 2, 2, 0]], [[8, 8, 8, 8, 0]]
    >>> places = error_places(true, pred, nh.evaluate(true, pred).outcomes)
    >>> [(p.kind, p.true_ids, p.box) for p in places.errors]
    [('merged', (1, 2), (0, 1, 0, 4))]
    """
    params = OutcomeParams() if params is None else params
    table = contingency(true_labels, pred_labels)
    finder = _Finder(table, outcomes, params, _Extents(true_labels), _Extents(pred_labels))
    errors = [*finder.merged(), *finder.split(), *finder.missed(), *finder.spurious()]
    errors.sort(key=_worst_first)
    return Places(tuple(errors), table.pred_ids, *_best_true(table))


def _worst_first(place: ErrorPlace) -> tuple[int, int, int]:
    size = max(len(place.true_ids), len(place.pred_ids))
    return ERROR_KINDS.index(place.kind), -size, -place.area


class _Extents:
    """Box (r0, c0, r1, c1, inclusive) and area of every id of a label image, ascending."""

    def __init__(self, labels: npt.ArrayLike) -> None:
        ids, largest = compact_ids(labels)
        count, _, box = moments(ids, largest)
        rows = np.flatnonzero(count)
        self.area: Int64 = count[rows]
        self.box: Int64 = box[rows]


@dataclass(frozen=True, eq=False)
class _Finder:
    """Positions, not ids, throughout."""

    table: Contingency
    outcomes: Outcomes
    params: OutcomeParams
    true: _Extents
    pred: _Extents

    def merged(self) -> Iterator[ErrorPlace]:
        table = self.table
        inside = table.overlap > self.params.inside_share * table.true_area[table.true]
        for pred, members in _grouped(table.pred[inside], table.true[inside]):
            if len(members) > 1 and (self.outcomes.true[members] == "merged").any():
                yield self._place("merged", members, pred)

    def split(self) -> Iterator[ErrorPlace]:
        table = self.table
        part = table.overlap > self.params.inside_share * table.pred_area[table.pred]
        for true, parts in _grouped(table.true[part], table.pred[part]):
            if (self.outcomes.pred[parts] == "split").any():
                yield self._place("split", true, parts)

    def missed(self) -> Iterator[ErrorPlace]:
        nobody = np.zeros(0, np.int64)
        for true in _single(self.outcomes.true == "missed"):
            yield self._place("missed", true, nobody)

    def spurious(self) -> Iterator[ErrorPlace]:
        nobody = np.zeros(0, np.int64)
        for pred in _single(self.outcomes.pred == "spurious"):
            yield self._place("spurious", nobody, pred)

    def _place(self, kind: str, true: Int64, pred: Int64) -> ErrorPlace:
        boxes = np.concatenate((self.true.box[true], self.pred.box[pred]))
        r0, c0 = (int(x) for x in boxes[:, :2].min(axis=0))
        r1, c1 = (int(x) + 1 for x in boxes[:, 2:].max(axis=0))
        area = self.true.area[true] if len(true) else self.pred.area[pred]
        return ErrorPlace(
            kind,
            tuple(self.table.true_ids[true].tolist()),
            tuple(self.table.pred_ids[pred].tolist()),
            (r0, r1, c0, c1),
            ((c0 + c1 - 1) / 2, (r0 + r1 - 1) / 2),
            int(area.sum()),
        )


def _single(chosen: npt.NDArray[np.bool_]) -> Int64:
    """Positions of what is chosen, each as an array of one."""
    return np.flatnonzero(chosen).astype(np.int64)[:, None]


def _grouped(keys: Int64, values: Int64) -> Iterator[tuple[Int64, Int64]]:
    """Each key (as an array of one) with its values."""
    order = np.argsort(keys, kind="stable")
    found, starts = np.unique(keys[order], return_index=True)
    for key, members in zip(found, np.split(values[order], starts[1:]), strict=False):
        yield key[None], members


def _best_true(table: Contingency) -> tuple[npt.NDArray[np.float64], Int64]:
    """Largest IoU of each prediction, and the id of the true nucleus it is with."""
    iou = np.zeros(table.n_pred)
    partner = np.zeros(table.n_pred, np.int64)
    order = np.argsort(table.iou, kind="stable")
    iou[table.pred[order]] = table.iou[order]
    partner[table.pred[order]] = table.true_ids[table.true[order]]
    return iou, partner
