"""Dice of nucleus against background pixels."""

from __future__ import annotations

from .matching import Contingency


def dice(table: Contingency) -> float:
    """Dice coefficient of all nucleus pixels, whatever instance they belong to.

    Parameters
    ----------
    table : Contingency
        From :func:`contingency`.

    Returns
    -------
    float
        ``2 |T and P| / (|T| + |P|)`` in 0..1; 1 if both are empty.

    Notes
    -----
    Dice, Ecology 1945. It does not see whether touching nuclei are apart: show it
    beside :func:`aji` and :func:`panoptic_quality`.

    Examples
    --------
    >>> from napari_hovernet.core.metrics import contingency
    >>> dice(contingency([[1, 1, 0]], [[3, 0, 0]])).__round__(3)
    0.667
    """
    total = int(table.true_area.sum() + table.pred_area.sum())
    return 2 * int(table.overlap.sum()) / total if total else 1.0
