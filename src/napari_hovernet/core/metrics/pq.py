"""Panoptic quality: how many nuclei are found, and how well."""

from __future__ import annotations

from typing import NamedTuple

from ...errors import InputError
from .matching import Contingency

MATCH_IOU = 0.5
"""A pair of higher IoU is a match; from 0.5 on no instance can be in two of them."""


class PanopticQuality(NamedTuple):
    """Detection quality, segmentation quality and their product, each in 0..1."""

    dq: float
    sq: float
    pq: float


def panoptic_quality(table: Contingency, match_iou: float = MATCH_IOU) -> PanopticQuality:
    """Panoptic quality of the pairs whose IoU exceeds ``match_iou``.

    Parameters
    ----------
    table : Contingency
        From :func:`contingency`.
    match_iou : float
        Least IoU of a match (exclusive), in 0.5..1.

    Returns
    -------
    PanopticQuality
        ``dq = matches / ((n_true + n_pred) / 2)``, ``sq`` = mean IoU of the matches
        (0 without any), ``pq = dq * sq``; all 1 if both are empty.

    Raises
    ------
    InputError
        If ``match_iou`` is out of range.

    Notes
    -----
    Kirillov et al., CVPR 2019. The published code for nuclei divides by the number of
    matches plus 1e-6; without it a perfect result scores 1, and no score differs by
    more than 1e-6.

    Examples
    --------
    >>> from napari_hovernet.core.metrics import contingency
    >>> panoptic_quality(contingency([[1, 1, 2, 2]], [[1, 1, 0, 0]])).dq.__round__(3)
    0.667
    """
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
