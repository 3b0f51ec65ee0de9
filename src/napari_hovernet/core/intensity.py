"""What the numbers of an image mean, and how they become 0..255."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import InputError

BIT_DEPTHS = (8, 10, 12, 14, 16)
"""Depths that whole numbers wider than 8 bit may have; the first that holds the largest."""
FLOAT_SLACK = 1e-3
"""How far floats may leave 0..1 or 0..255, relative to the range (rounding, resampling)."""
WHITE = 255


@dataclass(frozen=True)
class Intensity:
    """How values become 8 bit: ``round(value * 255 / white)``, clipped.

    Parameters
    ----------
    white : float
        The value that becomes 255.
    note : str
        What was assumed, "" for 8-bit data.
    """

    white: float = WHITE
    note: str = ""

    def apply(self, block: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
        """Return ``block`` as uint8, itself if it is that already."""
        if block.dtype == np.uint8:
            return block
        scaled = block.astype(np.float64 if block.dtype.itemsize > 4 else np.float32)
        np.multiply(scaled, WHITE / self.white, out=scaled)
        np.rint(scaled, out=scaled)
        np.clip(scaled, 0, WHITE, out=scaled)
        eight: npt.NDArray[np.uint8] = scaled.astype(np.uint8)
        return eight


def choose_intensity(dtype: np.dtype[Any], blocks: Sequence[npt.NDArray[Any]]) -> Intensity:
    """Decide by type and values what the numbers mean.

    Parameters
    ----------
    dtype : numpy.dtype
    blocks : sequence of array
        The data, or regions of them that stand for the whole; not looked at for uint8.

    Raises
    ------
    InputError
        If the type is not numeric, values are NaN, infinite or negative, or reach beyond
        16 bit (whole numbers) or 255 (floats).

    Examples
    --------
    >>> choose_intensity(np.dtype("uint16"), [np.array([4000], np.uint16)]).white
    4095
    """
    if dtype == np.uint8:
        return Intensity()
    if dtype.kind not in "uif":
        remedy = "a mask is not an image" if dtype.kind == "b" else "give uint8, uint16 or float"
        raise InputError(f"The image holds {dtype} values; {remedy}.")
    for block in blocks:
        refuse_nan(block, "the data")
    low = min(float(block.min()) for block in blocks)
    high = max(float(block.max()) for block in blocks)
    return _float_range(low, high) if dtype.kind == "f" else _whole_range(low, high)


def refuse_nan(block: npt.NDArray[Any], where: str) -> None:
    """Refuse values that are NaN or infinite; ``where`` completes "of ... are".

    Raises
    ------
    InputError
    """
    if block.dtype.kind != "f":
        return
    bad = int(block.size - np.count_nonzero(np.isfinite(block)))
    if bad:
        raise InputError(
            f"{bad} of {block.size} values of {where} are not finite (NaN or infinite); "
            "replace them first, for example numpy.nan_to_num(image)."
        )


def _whole_range(low: float, high: float) -> Intensity:
    if low < 0:
        raise InputError(f"The image has values down to {low:g}; give values from 0 on.")
    for bits in BIT_DEPTHS:
        if high < 2**bits:
            return Intensity(
                2**bits - 1, f"values up to {high:g}: taken for {bits}-bit and scaled to 8-bit"
            )
    raise InputError(f"The image has values up to {high:g}; convert it to 8- or 16-bit first.")


def _float_range(low: float, high: float) -> Intensity:
    if low < -FLOAT_SLACK * (1 if high <= 1 else WHITE):
        raise InputError(
            f"The image runs from {low:g} to {high:g}, as if normalised; "
            "give RGB in 0..1 or 0..255."
        )
    for white in (1, WHITE):
        if high <= white * (1 + FLOAT_SLACK):
            return Intensity(white, f"float values up to {high:g}: taken for 0..{white}")
    raise InputError(
        f"The image has float values up to {high:g}; scale it to 0..1 or 0..255 first."
    )
