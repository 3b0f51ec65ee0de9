"""A prediction beside the base rates that give its scores a meaning."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from .comparison_types import Comparison
from .hv import hv_targets
from .hv_scores import hv_scores
from .metrics import evaluate
from .outcome_places import error_places
from .params import SeparationParams
from .parts import clean_mask, label_parts
from .separation import separate
from .truth import Truth, check_truth
from .types import Bool, Evaluation, Int32, Maps

__all__ = ["Comparison", "all_foreground_dice", "compare", "oracle"]


def compare(
    true_labels: npt.ArrayLike | Truth,
    pred_labels: npt.ArrayLike,
    maps: Maps | None = None,
    params: SeparationParams | None = None,
) -> Comparison:
    """Score predicted instances, and the base rates beside them.

    Parameters
    ----------
    true_labels : array (H, W) or Truth
        True instances; an array is taken in by :func:`check_truth` first.
    pred_labels : int array (H, W)
        Predicted instances, 0 = background.
    maps : Maps, optional
        What they were separated from; gives the mask of the connected components (that
        of ``separate``) and the HV scores. Without, the mask is ``pred_labels > 0``.
    params : SeparationParams, optional
        What they were separated with, default ``SeparationParams()``.

    Returns
    -------
    Comparison

    Raises
    ------
    InputError
        If the sizes differ, or the labels are no labels.

    Notes
    -----
    Connected components are 4-connected. The oracle separates ``Maps(np=truth > 0,
    hv=hv_targets(truth))`` with ``params``: if it is low the separation itself is at
    fault, whatever the network does.

    Examples
    --------
    >>> import numpy
    >>> labels = numpy.zeros((20, 40), int)
    >>> labels[4:16, 4:20], labels[4:16, 20:36] = 1, 2
    >>> result = compare(labels, labels)
    >>> [round(scores.aji, 2) for _, scores in result.rows()]
    [1.0, 0.5, 1.0]
    """
    params = SeparationParams() if params is None else params
    predicted = np.asarray(pred_labels)
    if predicted.ndim != 2:
        raise InputError(f"pred_labels has shape {predicted.shape}; give one (H, W) label image.")
    if maps is not None and maps.shape != predicted.shape:
        raise InputError(
            f"pred_labels has shape {predicted.shape} and the maps {maps.shape}; give the labels "
            "that were separated from these maps."
        )
    shape = (int(predicted.shape[0]), int(predicted.shape[1]))
    truth = _truth(true_labels, shape)
    prediction = evaluate(truth.labels, predicted)
    mask: Bool = predicted > 0 if maps is None else clean_mask(maps.np, params)
    return Comparison(
        prediction=prediction,
        connected_components=evaluate(truth.labels, label_parts(mask)[0]),
        oracle=oracle(truth.labels, params),
        all_foreground_dice=all_foreground_dice(truth.labels),
        hv=None if maps is None else hv_scores(maps.hv, truth.labels),
        notes=(*truth.notes, *_empty_notes(prediction)),
        places=error_places(truth.labels, predicted, prediction.outcomes),
    )


def oracle(true_labels: Int32, params: SeparationParams | None = None) -> Evaluation:
    """Score what the separation makes of the true maps of ``true_labels`` (H, W).

    Examples
    --------
    >>> oracle(np.zeros((4, 4), np.int32)).n_pred
    0
    """
    maps = Maps(np=(true_labels > 0).astype(np.float32), hv=hv_targets(true_labels))
    return evaluate(true_labels, separate(maps, params).labels)


def all_foreground_dice(true_labels: npt.ArrayLike) -> float:
    """Dice in 0..1 of taking every pixel for nucleus: ``2 T / (T + N)``; 0 without nuclei.

    Examples
    --------
    >>> all_foreground_dice([[1, 1, 1, 0]]).__round__(3)
    0.857
    """
    array = np.asarray(true_labels)
    inside = int((array > 0).sum())
    return 2 * inside / (inside + array.size) if inside else 0.0


def _truth(labels: npt.ArrayLike | Truth, shape: tuple[int, int]) -> Truth:
    if not isinstance(labels, Truth):
        return check_truth(labels, shape)
    if labels.labels.shape != shape:
        raise InputError(
            f"The truth is {labels.labels.shape[0]} x {labels.labels.shape[1]} pixels, the "
            f"prediction {shape[0]} x {shape[1]}; choose labels of the same image."
        )
    return labels


def _empty_notes(prediction: Evaluation) -> tuple[str, ...]:
    """Say what scores mean where one side, or both, is empty."""
    if not prediction.n_true and not prediction.n_pred:
        return ("Truth and prediction are both empty: every score is 1 by definition.",)
    if not prediction.n_true:
        return ("Without true nuclei every score is 0, whatever was predicted.",)
    if not prediction.n_pred:
        return ("The prediction holds no nuclei: every score is 0.",)
    return ()
