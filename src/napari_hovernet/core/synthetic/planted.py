"""Maps as a good network would predict them, made from known nuclei."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ...errors import InputError
from ..hv import compact_ids, hv_targets
from ..types import Float32, Int32, Maps
from ..typesets import PANNUKE
from .fields import blurred, smooth_noise

EDGE = 1.0
"""Sigma in pixels by which a network blurs the outline of a nucleus."""
STEEPNESS = 9.0
"""Logit of NP far inside a nucleus is half of this."""
NP_NOISE, HV_NOISE, TYPE_NOISE = 9.0, 0.8, 4.0
"""What ``noise`` = 1 adds: to the logit of NP, to HV, and to the logits of the types."""
GRAIN, HV_GRAIN = 2.5, 5.0
"""Sigma of the noise in pixels; that of HV is smoother, as networks have it."""
TYPE_LOGIT = 3.0
"""How far the true type's logit lies above the others'."""
MAX_HV = 1.2
"""Network outputs overshoot; beyond this they are cut."""


def planted_maps(
    labels: npt.ArrayLike,
    seed: int = 0,
    noise: float = 0.15,
    types: npt.ArrayLike | None = None,
) -> Maps:
    """Make noisy but good maps from known nuclei, for tests, benchmarks and demos.

    Parameters
    ----------
    labels : int array (H, W)
        0 = background; any other ids.
    seed : int
        The same seed gives the same maps.
    noise : float
        0 = only the blur of outlines; 0.15 = a good network; 1 = useless maps.
    types : int array (n,), optional
        PanNuke type, 1..5, of nucleus i + 1; ids must then be 1..n. Adds type probabilities.

    Returns
    -------
    Maps
        HV in the default convention.

    Raises
    ------
    InputError
        If ``labels`` is no label image, ``noise`` is below 0, or ``types`` does not fit.

    Examples
    --------
    >>> maps = planted_maps([[0, 0, 0, 0], [0, 1, 1, 0], [0, 1, 1, 0]], noise=0)
    >>> bool(maps.np[1, 1] > 0.5 > maps.np[0, 3])
    True
    """
    if not 0 <= noise < np.inf:
        raise InputError(f"noise is {noise}; give 0 or more (0.15 = a good network).")
    ids, largest = compact_ids(labels)
    rng = np.random.default_rng(seed)
    table = None if types is None else _type_table(types, largest)
    if not ids.size:
        channels = None if table is None else np.zeros((len(PANNUKE), *ids.shape), np.float32)
        return Maps(ids.astype(np.float32), np.zeros((2, *ids.shape), np.float32), channels)
    soft = blurred((ids > 0).astype(np.float32), EDGE)
    logit = STEEPNESS * (soft - 0.5) + NP_NOISE * noise * smooth_noise(rng, ids.shape, GRAIN)
    hv = hv_targets(ids)
    for axis in range(2):
        hv[axis] += np.float32(HV_NOISE * noise) * smooth_noise(rng, ids.shape, HV_GRAIN)
        hv[axis] *= soft
    np.clip(hv, -MAX_HV, MAX_HV, out=hv)
    chances = None if table is None else _types(ids, table, noise, rng)
    return Maps(np=_sigmoid(logit), hv=hv, types=chances)


def _type_table(types: npt.ArrayLike, largest: int) -> Int32:
    """Type by id, 0 for background."""
    array = np.asarray(types)
    if array.shape != (largest,) or array.dtype.kind not in "iu":
        raise InputError(
            f"types has shape {array.shape} and dtype {array.dtype}; with labels up to {largest} "
            f"give {largest} whole numbers."
        )
    if array.size and not (array.min() >= 1 and array.max() < len(PANNUKE)):
        raise InputError(
            f"types runs from {array.min()} to {array.max()}; give 1..{len(PANNUKE) - 1}."
        )
    return np.concatenate(([0], array)).astype(np.int32)


def _types(ids: Int32, table: Int32, noise: float, rng: np.random.Generator) -> Float32:
    kind = table[ids]
    logits = np.empty((len(PANNUKE), *ids.shape), np.float32)
    for number in range(len(PANNUKE)):
        logits[number] = TYPE_NOISE * noise * smooth_noise(rng, ids.shape, GRAIN)
        logits[number] += TYPE_LOGIT * (kind == number)
    np.exp(logits, out=logits)
    logits /= logits.sum(axis=0)
    return logits


def _sigmoid(logit: Float32) -> Float32:
    return np.asarray(1 / (1 + np.exp(-logit)), dtype=np.float32)
