"""What a sample looks like where there is no image: its patch tokens as colours."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import linalg

from .image import UInt8
from .token_prefix import GRID, PATCH_PX

MOST_ROWS = 1024
"""Tokens from which the principal components are taken, evenly spread."""
SPREAD = 2.5
"""Standard deviations to either side of the mean that the colours span."""
COLOURS = 3


def principal_rgb(tokens: npt.NDArray[Any]) -> UInt8:
    """Show patch tokens by their first three principal components, as red, green and blue.

    Parameters
    ----------
    tokens : float array (n, T, D)
        The last 256 of each sample are its patches, row by row. The components are those of
        all samples together, so that colours mean the same in each.

    Returns
    -------
    uint8 (n, 224, 224, 3)
        Grey where tokens are not finite, do not differ, or are not enough for a grid.

    Examples
    --------
    >>> principal_rgb(np.zeros((1, 261, 4), np.float32)).shape
    (1, 224, 224, 3)
    """
    patches = GRID * GRID
    n, edge = len(tokens), GRID * PATCH_PX
    grey = np.full((n, edge, edge, COLOURS), 128, np.uint8)
    if tokens.ndim != 3 or tokens.shape[1] < patches or not n:
        return grey
    values = np.asarray(tokens[:, -patches:], np.float32).reshape(n * patches, -1)
    usable = np.isfinite(values).all(axis=1)
    if not usable.any():
        return grey
    mean = values[usable].mean(axis=0)
    rows = values[usable][:: max(1, -(-int(usable.sum()) // MOST_ROWS))] - mean
    axes = _axes(rows)
    found = np.zeros((len(values), COLOURS), np.float32)
    found[usable, : axes.shape[1]] = (values[usable] - mean) @ axes
    spread = found[usable].std(axis=0)
    scaled = found / np.where(spread > 0, SPREAD * spread, 1.0)
    bytes_ = np.clip(128 + 127 * scaled, 0, 255).astype(np.uint8)
    small = bytes_.reshape(n, GRID, GRID, COLOURS)
    large: UInt8 = small.repeat(PATCH_PX, axis=1).repeat(PATCH_PX, axis=2)
    return large


def _axes(rows: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Return the first principal axes (D, up to 3) of centred rows (n, D), by the smaller side."""
    n, dim = rows.shape
    gram = rows @ rows.T if n < dim else rows.T @ rows
    last = len(gram) - 1
    _, vectors = linalg.eigh(gram, subset_by_index=(max(0, last - COLOURS + 1), last))
    axes = rows.T @ vectors[:, ::-1] if n < dim else vectors[:, ::-1]
    axes = axes / np.maximum(np.linalg.norm(axes, axis=0), np.float32(1e-12))
    signs = np.where(axes.sum(axis=0) < 0, -1, 1)  # not left to chance
    return np.asarray(axes * signs, np.float32)
