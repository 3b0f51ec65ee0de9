"""Smooth random fields, the raw material of texture."""

from __future__ import annotations

import cv2
import numpy as np

from ..types import Float32

FINE_SIGMA = 2.0
"""Fields smoother than this, in pixels, are drawn on a coarser grid and enlarged."""
TABLE_STEPS = 4096
"""Length of a one-dimensional random profile before it repeats."""


def smooth_noise(rng: np.random.Generator, shape: tuple[int, int], sigma: float) -> Float32:
    """Draw Gaussian noise of mean about 0 and standard deviation about 1, smooth over ``sigma``.

    Parameters
    ----------
    rng : Generator
    shape : (int, int)
        Height and width.
    sigma : float
        Pixels, above 0.

    Returns
    -------
    float32 (H, W)

    Examples
    --------
    >>> smooth_noise(np.random.default_rng(0), (4, 5), 1.0).shape
    (4, 5)
    """
    step = max(int(sigma / FINE_SIGMA), 1)
    fine = sigma / step
    margin = int(3 * fine) + 2
    rows, columns = (-(-n // step) + 2 * margin for n in shape)
    noise = blurred(rng.standard_normal((rows, columns), dtype=np.float32), fine)
    noise *= np.float32(2 * np.sqrt(np.pi) * fine)
    inner = noise[margin - 1 : rows - margin + 1, margin - 1 : columns - margin + 1]
    if step > 1:
        inner = resized(inner, (inner.shape[0] * step, inner.shape[1] * step))
    return np.ascontiguousarray(inner[step : step + shape[0], step : step + shape[1]])


def blurred(field: Float32, sigma: float) -> Float32:
    """Blur a float32 field with a Gaussian of ``sigma`` pixels."""
    return np.asarray(cv2.GaussianBlur(field, (0, 0), sigma), dtype=np.float32)


def resized(field: Float32, shape: tuple[int, int]) -> Float32:
    """Enlarge or reduce a float32 (H, W) or (H, W, C) field, cubic."""
    size = (shape[1], shape[0])
    return np.asarray(cv2.resize(field, size, interpolation=cv2.INTER_CUBIC), dtype=np.float32)


def profile(rng: np.random.Generator, at: Float32, width: float) -> Float32:
    """Look up a smooth random function of one variable: stripes along the levels of ``at``.

    ``width`` is the half width of a stripe in the units of ``at``; the result has mean
    about 0 and standard deviation about 1.
    """
    table = rng.standard_normal(TABLE_STEPS).astype(np.float32)
    place = at * np.float32(1.0 / width)
    whole = np.floor(place)
    share = place - whole
    share = share * share * (3 - 2 * share)
    index = whole.astype(np.int32) & (TABLE_STEPS - 1)
    low, high = table[index], table[(index + 1) & (TABLE_STEPS - 1)]
    mixed: Float32 = (low + (high - low) * share) * np.float32(1.25)
    return mixed


def step_up(value: Float32, softness: float) -> Float32:
    """Rise smoothly from 0 to 1 around ``value`` = 0, within about ``softness`` either side."""
    bent = np.clip(value * np.float32(0.5 / softness) + np.float32(0.5), 0, 1)
    return np.asarray(bent * bent * (3 - 2 * bent), dtype=np.float32)
