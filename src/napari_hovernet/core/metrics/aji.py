"""Aggregated Jaccard index, as published and with unique partners."""

from __future__ import annotations

import numpy as np

from .matching import Contingency, Int64, best_partner, unique_partners


def aji(table: Contingency) -> float:
    """Compute the aggregated Jaccard index.

    Parameters
    ----------
    table : Contingency
        From :func:`contingency`.

    Returns
    -------
    float
        In 0..1; 1 if both are empty, 0 if one is.

    Notes
    -----
    Kumar et al., IEEE Transactions on Medical Imaging 2017: every true nucleus takes the
    prediction of highest IoU, even one that another has taken; the sum of the
    intersections is divided by the sum of the unions plus the area of everything that
    was left over. A prediction over several nuclei is therefore punished once for each;
    :func:`aji_plus` does not do that.

    Examples
    --------
    >>> from napari_hovernet.core.metrics import contingency
    >>> aji(contingency([[1, 1, 2, 2]], [[1, 1, 1, 1]]))
    0.5
    """
    _, pairs = best_partner(table)
    return _aggregated(table, pairs)


def aji_plus(table: Contingency) -> float:
    """Compute the aggregated Jaccard index with partners one to one.

    Parameters
    ----------
    table : Contingency
        From :func:`contingency`.

    Returns
    -------
    float
        In 0..1; 1 if both are empty, 0 if one is.

    Notes
    -----
    Graham et al., Medical Image Analysis 2019: pairs are those of the assignment of
    largest total IoU, each instance used once at most.

    Examples
    --------
    >>> from napari_hovernet.core.metrics import contingency
    >>> aji_plus(contingency([[1, 1, 2, 2]], [[1, 1, 1, 1]])).__round__(3)
    0.333
    """
    return _aggregated(table, unique_partners(table))


def _aggregated(table: Contingency, pairs: Int64) -> float:
    alone_true = np.ones(table.n_true, dtype=bool)
    alone_pred = np.ones(table.n_pred, dtype=bool)
    alone_true[table.true[pairs]] = False
    alone_pred[table.pred[pairs]] = False
    left_over = int(table.true_area[alone_true].sum() + table.pred_area[alone_pred].sum())
    union = int(table.union[pairs].sum()) + left_over
    return int(table.overlap[pairs].sum()) / union if union else 1.0
