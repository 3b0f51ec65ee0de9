"""What the maps say at one pixel."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..errors import InputError
from .types import Int32, Maps


@dataclass(frozen=True)
class PixelReading:
    """Everything known of one pixel.

    Parameters
    ----------
    row, col : int
        Pixel of the maps.
    np : float
        Probability of nucleus, 0..1.
    h, v : float
        Offset from the nucleus centre to the right and down, nominally -1..1.
    magnitude : float
        Length of (h, v).
    direction : float
        Where (h, v) points, in degrees 0..360: 0 = right, 90 = down, 180 = left, 270 = up;
        that is clockwise as seen on the screen, since rows count downwards. NaN if the
        length is 0.
    nucleus : int
        Id of the instance, 0 = background.
    """

    row: int
    col: int
    np: float
    h: float
    v: float
    magnitude: float
    direction: float
    nucleus: int

    @property
    def text(self) -> str:
        """One line of words for a status bar.

        Examples
        --------
        >>> PixelReading(3, 4, 0.93, 0.3, -0.4, 0.5, 306.87, 7).text
        'NP 0.93  h +0.30  v -0.40  magnitude 0.50  direction 307°  nucleus 7'
        """
        way = "-" if math.isnan(self.direction) else f"{round(self.direction) % 360}°"
        owner = f"nucleus {self.nucleus}" if self.nucleus else "background"
        return (
            f"NP {self.np:.2f}  h {self.h:+.2f}  v {self.v:+.2f}  "
            f"magnitude {self.magnitude:.2f}  direction {way}  {owner}"
        )


def pixel_reading(maps: Maps, labels: Int32, row: int, col: int) -> PixelReading:
    """Read the maps and the instances at one pixel.

    Parameters
    ----------
    maps : Maps
    labels : int array (H, W)
        Instances of the same size.
    row, col : int
        Pixel, from 0 on.

    Returns
    -------
    PixelReading

    Raises
    ------
    InputError
        If the pixel lies outside, or the labels are of another size.

    Examples
    --------
    >>> import numpy
    >>> maps = Maps(np=numpy.ones((1, 1)), hv=numpy.array([[[0.0]], [[1.0]]]))
    >>> pixel_reading(maps, numpy.array([[5]]), 0, 0).direction
    90.0
    """
    height, width = maps.shape
    if labels.shape != maps.shape:
        raise InputError(f"labels has shape {labels.shape} and the maps {maps.shape}.")
    if not (0 <= row < height and 0 <= col < width):
        raise InputError(
            f"Row {row}, column {col} lies outside of the maps of {height} rows and "
            f"{width} columns."
        )
    h, v = float(maps.hv[0, row, col]), float(maps.hv[1, row, col])
    length = math.hypot(h, v)
    return PixelReading(
        row=row,
        col=col,
        np=float(maps.np[row, col]),
        h=h,
        v=v,
        magnitude=length,
        direction=math.degrees(math.atan2(v, h)) % 360 if length else math.nan,
        nucleus=int(labels[row, col]),
    )
