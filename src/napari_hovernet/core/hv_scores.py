"""How right an HV map is: error, direction and length, beside what a map of zeros would get."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from .comparison_types import HVScores
from .hv import hv_targets
from .types import Float32

__all__ = ["HVScores", "hv_scores"]

ZERO_LENGTH = 1e-6
"""HV vectors not longer than this have no direction."""


def hv_scores(hv: npt.ArrayLike, true_labels: npt.ArrayLike) -> HVScores:
    """Score an HV map against that of the true nuclei.

    Parameters
    ----------
    hv : float array (2, H, W)
        Predicted map, channel 0 = x to the right, 1 = y down, outward (as in ``Maps``).
    true_labels : int array (H, W)
        True instances, 0 = background.

    Returns
    -------
    HVScores
        Over the pixels of true nuclei.

    Raises
    ------
    InputError
        If the shapes do not fit, or ``true_labels`` are no labels.

    Notes
    -----
    ``mse`` is the loss of Graham et al., Medical Image Analysis 2019, over nucleus pixels
    alone. The cosine is a mean over the pixels whose true vector has a direction (longer
    than ``ZERO_LENGTH``: all but exact centres); where the prediction has none it counts
    as 0. Scaling a map changes ``mse`` and ``magnitude``, never ``cosine``.

    Examples
    --------
    >>> labels = [[0, 1, 1, 1, 0]]
    >>> scores = hv_scores(0.5 * hv_targets(labels), labels)
    >>> round(scores.cosine, 3), round(scores.magnitude / scores.true_magnitude, 3)
    (1.0, 0.5)
    """
    target = hv_targets(true_labels)
    predicted: Float32 = np.asarray(hv, dtype=np.float32)
    if predicted.shape != target.shape:
        raise InputError(
            f"hv has shape {predicted.shape} and the true labels {target.shape[1:]}; give an HV "
            f"map of shape {target.shape}."
        )
    inside = np.asarray(true_labels) > 0
    if not inside.any():
        return HVScores(*(float("nan"),) * 5)
    p, t = (x[:, inside].astype(np.float64) for x in (predicted, target))
    length, true_length = np.hypot(*p), np.hypot(*t)
    directed = true_length > ZERO_LENGTH
    product = (p * t).sum(axis=0)[directed]
    norm = np.maximum(length, ZERO_LENGTH)[directed] * true_length[directed]
    cosine = np.where(length[directed] > ZERO_LENGTH, product / norm, 0.0)
    return HVScores(
        mse=float(((p - t) ** 2).mean()),
        zero_mse=float((t**2).mean()),
        cosine=float(cosine.mean()) if cosine.size else float("nan"),
        magnitude=float(length.mean()),
        true_magnitude=float(true_length.mean()),
    )
