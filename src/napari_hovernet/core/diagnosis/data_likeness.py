"""How much each pixel of an image looks like nucleus, whatever the stain."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from ..inference.images import UInt8
from ..types import Float32
from .data_limits import LIMITS, DataLimits

WHITE = 256.0
RED, BLUE = 0, 2
DENSITY = -np.log((np.arange(256, dtype=np.float32) + 1) / np.float32(WHITE))
"""Optical density of each byte."""
COARSE = 4
"""What is blurred widely is reduced by this first."""


@dataclass(frozen=True, eq=False)
class Likeness:
    """Nucleus likeness of one image.

    Parameters
    ----------
    density : float32 (H, W)
        Optical density of the channel in which nuclei stand out most.
    plane : float32 (H, W)
        The same, structures of the size of nuclei alone.
    contrast : float
        Spread of ``plane``; near 0 the image shows nothing.
    channel : {0, 2}
        Which channel it is; 2 hints at red and blue swapped, but is no proof.
    """

    density: Float32
    plane: Float32
    contrast: float
    channel: int


def likeness(image: UInt8, limits: DataLimits = LIMITS) -> Likeness:
    """Measure how much each pixel looks like nucleus.

    Haematoxylin takes red light, eosin hardly any of it: in the optical density of red nuclei
    stand out of pink and of purple tissue alike. Of red and blue that channel is taken in
    which structures of the size of nuclei stand out more, so that images with red and blue
    swapped are read as well.

    Parameters
    ----------
    image : uint8 (H, W, 3)
    limits : DataLimits
    """
    density = {c: DENSITY[np.ascontiguousarray(image[..., c])] for c in (RED, BLUE)}
    planes = {c: band(density[c], limits) for c in (RED, BLUE)}
    spread = {c: float(plane.std()) for c, plane in planes.items()}
    channel = BLUE if spread[BLUE] > spread[RED] else RED
    return Likeness(density[channel], planes[channel], spread[channel], channel)


def haematoxylin(image: UInt8) -> Float32:
    """Return the optical density, (H, W), of red or blue, whichever varies more.

    Parameters
    ----------
    image : uint8 (H, W, 3)

    Examples
    --------
    >>> density = haematoxylin(np.array([[[0, 9, 9], [254, 9, 9]]], np.uint8))
    >>> bool(density[0, 0] > 5), bool(density[0, 1] < 0.1)
    (True, True)
    """
    red, blue = (DENSITY[np.ascontiguousarray(image[..., c])] for c in (RED, BLUE))
    chosen: Float32 = blue if float(blue.std()) > float(red.std()) else red
    return chosen


def band(plane: npt.NDArray[np.float32], limits: DataLimits = LIMITS) -> Float32:
    """Keep what is neither finer than ``small_px`` nor coarser than ``large_px``."""
    source = np.ascontiguousarray(plane, dtype=np.float32)
    fine = cv2.GaussianBlur(source, (0, 0), limits.small_px)
    height, width = source.shape
    small = (max(width // COARSE, 1), max(height // COARSE, 1))
    reduced = cv2.resize(source, small, interpolation=cv2.INTER_AREA)
    reduced = cv2.GaussianBlur(reduced, (0, 0), limits.large_px / COARSE)
    coarse = cv2.resize(reduced, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(fine - coarse, np.float32)


def contrast_inside(density: Float32, inside: npt.NDArray[np.bool_]) -> float:
    """Return mean inside minus mean outside, in standard deviations of the whole.

    NaN if there is no inside or no outside.

    Examples
    --------
    >>> contrast_inside(np.array([[1.0, 0.0]], np.float32), np.array([[True, False]]))
    2.0
    """
    if inside.all() or not inside.any():
        return float("nan")
    spread = float(density.std())
    if spread <= 0:
        return 0.0
    return (float(density[inside].mean()) - float(density[~inside].mean())) / spread
