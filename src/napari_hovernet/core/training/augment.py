"""Colour, sharpness and noise of crops: stains and tones change in optical density.

Geometry is in :mod:`.geometry`.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ..image import UInt8
from ..types import Float32
from .params import AugmentParams

STAINS = ((0.65, 0.70, 0.29), (0.07, 0.99, 0.11))
"""Haematoxylin and eosin in optical density of R, G, B (Ruifrok & Johnston 2001)."""
STAIN_BIAS = 0.05
"""Largest optical density of a stain that is added everywhere or taken away."""
THIRD_GAIN = (0.7, 1.3)
"""Factors of what is neither stain."""
MOST_NEGATIVE = 0.02
"""A drawn stain absorbs at least this share in every channel."""
LOG_GAMMA = 0.3
"""Spread of the logarithm of gamma."""
WHITE = (0.9, 1.06)
"""Factors of the white balance, per channel."""
SATURATION = (0.7, 1.3)
CONTRAST = (0.8, 1.2)
BRIGHTNESS = 0.06
"""Added light, as a share of white."""
BLUR_SIGMA = (0.4, 1.5)
"""Pixels."""
NOISE_STD = (2.0, 10.0)
"""Grey levels of 255."""
JPEG_QUALITY = (40, 92)
WHITE_LEVEL = 255.0

Matrix = npt.NDArray[np.float64]


def augment_image(image: UInt8, params: AugmentParams, rng: np.random.Generator) -> UInt8:
    """Change the look of a crop.

    Parameters
    ----------
    image : uint8 (H, W, 3)
        RGB; not changed.
    params : AugmentParams
        Strengths.
    rng : Generator

    Returns
    -------
    uint8 array (H, W, 3)
        The image itself if nothing was drawn.

    Notes
    -----
    Stain strengths, stain vectors, gamma and white balance are one 3 x 3 matrix and an offset
    in optical density, so that a pixel pays one logarithm (from a table) and one exponential
    for all of them.

    Examples
    --------
    >>> grey = np.full((4, 4, 3), 128, np.uint8)
    >>> augment_image(grey, AugmentParams(on=False), np.random.default_rng(0)) is grey
    True
    """
    if not params.on:
        return image
    stain, tone = rng.random() < params.p_stain, rng.random() < params.p_tone
    rgb: Any = image
    if stain or tone:
        rgb = _recoloured(image, params, rng, stain=stain, tone=tone)
    if rng.random() < params.p_blur:
        rgb = cv2.GaussianBlur(rgb, (0, 0), rng.uniform(*BLUR_SIGMA))
    if rng.random() < params.p_noise:
        noise = rng.standard_normal(rgb.shape, np.float32)
        rgb = rgb + np.float32(rng.uniform(*NOISE_STD)) * noise
    jpeg = rng.random() < params.p_jpeg
    quality = int(rng.integers(*JPEG_QUALITY))
    made = rgb if rgb.dtype == np.uint8 else _eight_bits(rgb)
    return _through_jpeg(made, quality) if jpeg else made


def stain_matrix(
    params: AugmentParams, rng: np.random.Generator
) -> tuple[Matrix, npt.NDArray[np.float64]]:
    """Draw new strengths and vectors of the stains.

    Returns
    -------
    matrix : (3, 3)
        From optical density (R, G, B) to optical density, from the left.
    offset : (3,)
        Added to it.
    """
    basis = _basis()
    gain = np.append(rng.uniform(*params.stain_gain, 2), rng.uniform(*THIRD_GAIN))
    bias = np.append(rng.uniform(-STAIN_BIAS, STAIN_BIAS, 2), 0.0)
    new = basis.copy()
    if params.stain_vectors:
        drawn = new[:2] + rng.normal(0, params.stain_vectors, (2, 3))
        new[:2] = np.maximum(drawn, MOST_NEGATIVE)
        new[:2] /= np.linalg.norm(new[:2], axis=1, keepdims=True)
    return (np.linalg.inv(basis) @ np.diag(gain) @ new).T, bias @ new


@cache
def _basis() -> Matrix:
    """Both stains and what is orthogonal to them, rows of length 1."""
    rows = np.array([*STAINS, np.cross(*np.array(STAINS))])
    unit: Matrix = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit


@cache
def _density_table() -> Float32:
    """Optical density of each grey level, by the natural logarithm."""
    levels = np.maximum(np.arange(256), 1) / WHITE_LEVEL
    return (-np.log(levels)).astype(np.float32)


def _recoloured(
    image: UInt8, params: AugmentParams, rng: np.random.Generator, *, stain: bool, tone: bool
) -> Float32:
    matrix, offset = stain_matrix(params, rng) if stain else (np.eye(3), np.zeros(3))
    if tone:
        gamma = np.exp(rng.uniform(-LOG_GAMMA, LOG_GAMMA))
        matrix, offset = gamma * matrix, gamma * offset - np.log(rng.uniform(*WHITE, 3))
    density = cv2.LUT(image, _density_table())
    density = cv2.transform(density, np.hstack([-matrix, -offset[:, None] + np.log(WHITE_LEVEL)]))
    rgb = np.asarray(cv2.exp(density), np.float32)
    return _toned(rgb, rng) if tone else rgb


def _toned(rgb: Float32, rng: np.random.Generator) -> Float32:
    """Change saturation, contrast and brightness: one matrix and an offset."""
    saturation, contrast = rng.uniform(*SATURATION), rng.uniform(*CONTRAST)
    light = rng.uniform(-BRIGHTNESS, BRIGHTNESS) * WHITE_LEVEL
    middle = float(np.mean(cv2.mean(rgb)[:3]))
    matrix = contrast * (saturation * np.eye(3) + (1 - saturation) / 3)
    offset = np.full((3, 1), (1 - contrast) * middle + light)
    return np.asarray(cv2.transform(rgb, np.hstack([matrix, offset])), np.float32)


def _eight_bits(rgb: npt.NDArray[Any]) -> UInt8:
    """Round to 0..255; OpenCV saturates."""
    made: UInt8 = cv2.convertScaleAbs(np.maximum(rgb, 0.0))
    return made


def _through_jpeg(image: UInt8, quality: int) -> UInt8:
    written, code = cv2.imencode(
        ".jpg", np.ascontiguousarray(image[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, quality]
    )
    if not written:
        return image
    read: Any = cv2.imdecode(code, cv2.IMREAD_COLOR)
    return np.ascontiguousarray(read[..., ::-1])
