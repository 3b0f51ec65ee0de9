"""Resize by exact position: a region comes out the same whatever lies around it.

Pixel ``i`` of an image ``scale`` times as large sits at ``(i + 0.5) / scale - 0.5`` of the
original. Every output pixel is a weighted sum whose weights follow from that position
alone, so an image resized in tiles equals the image resized at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from .compiled import kernel
from .image import ImageSource, UInt8, check_region
from .types import Float32

CUBIC_A = -0.5
"""Catmull-Rom: the cubic that passes through the samples and is exact for parabolas."""
METHODS = ("area", "linear", "cubic", "nearest")

Index = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Taps:
    """Weighted sums along one axis: output i = sum over k of weight[i, k] * input[index[i, k]].

    Parameters
    ----------
    index : int64 (n, K)
        Positions in the input, repeated at its ends.
    weight : float32 (n, K)
        Each row sums to 1.
    """

    index: Index
    weight: Float32

    @property
    def first(self) -> int:
        """Smallest input position used."""
        return int(self.index.min())

    @property
    def end(self) -> int:
        """One past the largest input position used."""
        return int(self.index.max()) + 1


def taps(start: int, end: int, scale: float, length: int, method: str) -> Taps:
    """Compute the weights for output pixels start..end of an axis.

    Parameters
    ----------
    start, end : int
        Output pixels, half-open.
    scale : float
        Output pixels per input pixel.
    length : int
        Pixels of the input.
    method : {"area", "linear", "cubic", "nearest"}
        "area" = mean over what the output pixel covers.

    Examples
    --------
    >>> taps(0, 2, 0.5, 4, "area").weight.tolist()
    [[0.5, 0.5], [0.5, 0.5]]
    """
    if method not in METHODS:
        raise InputError(f"method is {method!r}; choose one of {', '.join(METHODS)}.")
    position = np.arange(start, end, dtype=np.float64)
    if method == "area":
        index, weight = _area(position, scale)
    else:
        index, weight = _point((position + 0.5) / scale - 0.5, method)
    index = np.clip(index, 0, length - 1)
    weight = weight / weight.sum(axis=1, keepdims=True)
    used = np.flatnonzero(weight.any(axis=0))
    return Taps(
        np.ascontiguousarray(index[:, used]),
        np.ascontiguousarray(weight[:, used], dtype=np.float32),
    )


def _area(position: npt.NDArray[np.float64], scale: float) -> tuple[Index, Any]:
    low, high = position / scale, (position + 1) / scale
    count = int(np.ceil(1 / scale)) + 1
    index = np.floor(low + 1e-9).astype(np.int64)[:, None] + np.arange(count)
    cover = np.minimum(high[:, None], index + 1) - np.maximum(low[:, None], index)
    return index, np.where(cover > 1e-9, cover, 0.0)


def _point(at: npt.NDArray[np.float64], method: str) -> tuple[Index, Any]:
    if method == "nearest":
        return np.floor(at + 0.5).astype(np.int64)[:, None], np.ones((len(at), 1))
    reach = 1 if method == "linear" else 2
    base = np.floor(at).astype(np.int64)
    index = base[:, None] + np.arange(1 - reach, 1 + reach)
    far = np.abs(at[:, None] - index)
    if method == "linear":
        return index, 1 - far
    a = CUBIC_A
    near = (a + 2) * far**3 - (a + 3) * far**2 + 1
    wide = a * far**3 - 5 * a * far**2 + 8 * a * far - 4 * a
    return index, np.where(far <= 1, near, wide)


def resample(block: npt.NDArray[Any], rows: Taps, cols: Taps, origin: tuple[int, int]) -> Float32:
    """Apply taps to a region.

    Parameters
    ----------
    block : uint8 or float32 array (h, w, C)
        The region of the input that the taps use.
    rows, cols : Taps
    origin : (int, int)
        Row and column of the input at which ``block`` starts.

    Returns
    -------
    float32 array (n_rows, n_cols, C)
    """
    out = np.empty((len(rows.index), len(cols.index), block.shape[2]), np.float32)
    _apply(
        np.ascontiguousarray(block),
        rows.index - origin[0],
        rows.weight,
        cols.index - origin[1],
        cols.weight,
        out,
    )
    return out


@kernel
def _apply(
    block: npt.NDArray[Any],
    row_index: Index,
    row_weight: Float32,
    col_index: Index,
    col_weight: Float32,
    out: Float32,
) -> None:
    width, channels = block.shape[1], block.shape[2]
    line = np.empty((width, channels), np.float32)
    for i in range(out.shape[0]):
        line[:] = np.float32(0)
        for k in range(row_index.shape[1]):
            r, w = row_index[i, k], row_weight[i, k]
            for j in range(width):
                for c in range(channels):
                    line[j, c] += w * np.float32(block[r, j, c])
        for j in range(out.shape[1]):
            for c in range(channels):
                total = np.float32(0)
                for k in range(col_index.shape[1]):
                    total += col_weight[j, k] * line[col_index[j, k], c]
                out[i, j, c] = total


@dataclass(frozen=True, eq=False)
class ResampledSource:
    """Another source, resized while it is read.

    Parameters
    ----------
    source : ImageSource
    scale : float
        Pixels of this per pixel of ``source``. Below 1 by area, above 1 cubic.
    """

    source: ImageSource
    scale: float

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels, at least 1."""
        height, width = self.source.shape
        return scaled_length(height, self.scale), scaled_length(width, self.scale)

    @property
    def notes(self) -> tuple[str, ...]:
        """What was assumed or changed, fit for a user."""
        return self.source.notes

    def read(self, r0: int, r1: int, c0: int, c1: int) -> UInt8:
        """Return a region as (h, w, 3) uint8."""
        check_region(self.shape, r0, r1, c0, c1)
        method = "area" if self.scale < 1 else "cubic"
        height, width = self.source.shape
        rows = taps(r0, r1, self.scale, height, method)
        cols = taps(c0, c1, self.scale, width, method)
        block = self.source.read(rows.first, rows.end, cols.first, cols.end)
        out = resample(block, rows, cols, (rows.first, cols.first))
        return np.clip(np.rint(out, out=out), 0, 255, out=out).astype(np.uint8)


def scaled_length(length: int, scale: float) -> int:
    """Pixels of an axis of ``length`` after resizing, at least 1.

    Examples
    --------
    >>> scaled_length(1001, 0.5)
    501
    """
    return max(int(np.ceil(length * scale - 1e-9)), 1)
