"""Any image data as 8-bit RGB, read by region and resized; lazy data are never computed whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import PurePath
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from ...errors import InputError
from ..types import Float32, kernel

UInt8 = npt.NDArray[np.uint8]

BIT_DEPTHS = (8, 10, 12, 14, 16)
"""Depths that whole numbers wider than 8 bit may have; the first that holds the largest."""
FLOAT_SLACK = 1e-3
"""How far floats may leave 0..1 or 0..255, relative to the range (rounding, resampling)."""
WHITE = 255
PROBE_PIXELS = 4_000_000
"""A lazy array of at most this many pixels is looked at whole to find its range of values."""
PROBE_EDGE, PROBE_GRID = 256, 3
"""Edge in pixels, and number per axis, of the regions looked at in a larger lazy array."""
GREY, RGB, RGBA = 1, 3, 4


@dataclass(frozen=True)
class Intensity:
    """How values become 8 bit: ``round(value * 255 / white)``, clipped."""

    white: float = WHITE  # The value that becomes 255
    note: str = ""  # What was assumed, "" for 8-bit data

    def apply(self, block: npt.NDArray[Any]) -> UInt8:
        """Return ``block`` as uint8, itself if it is that already."""
        if block.dtype == np.uint8:
            return block
        scaled = block.astype(np.float64 if block.dtype.itemsize > 4 else np.float32)
        np.multiply(scaled, WHITE / self.white, out=scaled)
        return _eight_bit(scaled)


def _eight_bit(values: npt.NDArray[Any]) -> UInt8:
    """Round and clip floats to uint8, in place as far as possible."""
    np.clip(np.rint(values, out=values), 0, WHITE, out=values)
    return values.astype(np.uint8)


def choose_intensity(dtype: np.dtype[Any], blocks: Sequence[npt.NDArray[Any]]) -> Intensity:
    """Decide by type and values what the numbers mean."""
    if dtype == np.uint8:
        return Intensity()
    if dtype.kind not in "uif":
        remedy = "a mask is not an image" if dtype.kind == "b" else "give uint8, uint16 or float"
        raise InputError(f"The image holds {dtype} values; {remedy}.")
    for block in blocks:
        refuse_nan(block, "the data")
    low = min(float(block.min()) for block in blocks)
    high = max(float(block.max()) for block in blocks)
    if dtype.kind == "f":
        return _float_range(low, high)
    if low < 0:
        raise InputError(f"The image has values down to {low:g}; give values from 0 on.")
    for bits in BIT_DEPTHS:
        if high < 2**bits:
            note = f"values up to {high:g}: taken for {bits}-bit and scaled to 8-bit"
            return Intensity(2**bits - 1, note)
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


def refuse_nan(block: npt.NDArray[Any], where: str) -> None:
    """Refuse values that are NaN or infinite; ``where`` completes "of ... are"."""
    bad = int(block.size - np.count_nonzero(np.isfinite(block))) if block.dtype.kind == "f" else 0
    if bad:
        raise InputError(
            f"{bad} of {block.size} values of {where} are not finite (NaN or infinite); "
            "replace them first, for example numpy.nan_to_num(image)."
        )


@runtime_checkable
class ImageSource(Protocol):
    """An RGB image that can be read by region."""

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """What was assumed or changed, fit for a user."""
        ...

    def read(self, r0: int, r1: int, c0: int, c1: int) -> UInt8:
        """Return rows r0..r1 and columns c0..c1, half-open, as (h, w, 3); do not change it."""
        ...


@dataclass(frozen=True, eq=False)
class ArraySource:
    """:class:`ImageSource` over an array; made by :func:`as_source`."""

    array: Any
    shape: tuple[int, int]
    channels: int
    channel_first: bool
    intensity: Intensity
    notes: tuple[str, ...] = ()

    def read(self, r0: int, r1: int, c0: int, c1: int) -> UInt8:
        """Return a region as (h, w, 3) uint8."""
        check_region(self.shape, r0, r1, c0, c1)
        block = _load(self.array, self.channel_first, r0, r1, c0, c1)
        block = block.reshape(r1 - r0, c1 - c0, self.channels)
        refuse_nan(block, f"rows {r0} to {r1}, columns {c0} to {c1}")
        pixels = self.intensity.apply(block)
        if self.channels == GREY:
            return np.repeat(pixels, RGB, axis=2)
        return _on_white(pixels) if self.channels == RGBA else pixels


@dataclass(frozen=True, eq=False)
class _Derived:
    """A source over another, whose notes it keeps."""

    source: ImageSource

    @property
    def notes(self) -> tuple[str, ...]:
        """What was assumed or changed, fit for a user."""
        return self.source.notes


@dataclass(frozen=True, eq=False)
class CropSource(_Derived):
    """A rectangle of another source."""

    r0: int
    r1: int
    c0: int
    c1: int

    def __post_init__(self) -> None:
        check_region(self.source.shape, self.r0, self.r1, self.c0, self.c1)

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return (self.r1 - self.r0, self.c1 - self.c0)

    def read(self, r0: int, r1: int, c0: int, c1: int) -> UInt8:
        """Return a region of the rectangle as (h, w, 3) uint8."""
        check_region(self.shape, r0, r1, c0, c1)
        return self.source.read(self.r0 + r0, self.r0 + r1, self.c0 + c0, self.c0 + c1)


def as_source(image: Any) -> ImageSource:
    """Take any image data for an RGB image."""
    if isinstance(image, ImageSource):
        return image
    if isinstance(image, str | PurePath):
        raise InputError(
            f"{str(image)!r} is a file name; open it first: "
            "napari_hovernet.core.io.open.read_image(path).source."
        )
    array, coarse = _levels(image)
    dtype = np.dtype(array.dtype)
    height, width, channels, first = _layout(array.shape)
    intensity = choose_intensity(dtype, [] if dtype == np.uint8 else _probe(array, coarse, first))
    notes = {
        f"channels come first {tuple(array.shape)}: read as {channels} x H x W": first,
        "the image is grey: repeated to RGB": channels == GREY,
        "the image has an alpha channel: transparent pixels are taken for white": channels == RGBA,
        intensity.note: bool(intensity.note),
    }
    told = tuple(note for note, holds in notes.items() if holds)
    return ArraySource(array, (height, width), channels, first, intensity, told)


def check_region(shape: tuple[int, int], r0: int, r1: int, c0: int, c1: int) -> None:
    """Refuse a region that is empty or reaches beyond an image of ``shape``."""
    if not (0 <= r0 < r1 <= shape[0] and 0 <= c0 < c1 <= shape[1]):
        raise InputError(
            f"The region rows {r0}..{r1}, columns {c0}..{c1} is empty or reaches beyond the "
            f"image of {shape[0]} rows and {shape[1]} columns."
        )


def _levels(image: Any) -> tuple[Any, Any]:
    """Return the finest and the coarsest level; twice the same array if there is one."""
    if _is_multiscale(image):
        return image[0], image[len(image) - 1]
    try:
        _ = np.dtype(image.dtype), image.shape
        return image, image
    except (AttributeError, TypeError):  # lists; torch and other tensors
        pass
    try:
        array = np.asarray(image)
    except (ValueError, TypeError) as error:
        raise InputError(f"The image is no array: {error}; give (H, W, 3) numbers.") from error
    return array, array


def _is_multiscale(image: Any) -> bool:
    """Whether it is a sequence of ever smaller arrays (napari's MultiScaleData included)."""
    if isinstance(image, np.ndarray) or not isinstance(image, Sequence) or not len(image):
        return False
    levels = [image[i] for i in range(len(image))]
    if not all(hasattr(level, "dtype") and len(level.shape) >= 2 for level in levels):
        return False
    sizes = [int(np.prod(level.shape)) for level in levels]
    falling = all(a > b for a, b in pairwise(sizes))
    return falling and (len(levels) > 1 or type(image).__name__ == "MultiScaleData")


def _layout(given: Sequence[int]) -> tuple[int, int, int, bool]:
    """Return height, width, channels and whether the channels come first."""
    shape = tuple(int(n) for n in given)
    if len(shape) == 2:
        shape = (*shape, GREY)
    if len(shape) != 3:
        raise InputError(
            f"The image has {len(shape)} axes {shape}; give one plane, (H, W) or (H, W, 3), "
            "for example data[0]."
        )
    known = (GREY, RGB, RGBA)
    first = shape[2] not in known and shape[0] in known
    height, width, channels = (*shape[1:], shape[0]) if first else shape
    if not height or not width:
        raise InputError(f"The image is empty (shape {shape}); give at least 1 x 1 pixels.")
    if channels not in known:
        raise InputError(
            f"The image has {channels} channels (shape {shape}); give RGB, RGBA or grey, for "
            "example data[..., :3] where the first three are red, green and blue."
        )
    return height, width, channels, first


def _probe(array: Any, coarse: Any, first: bool) -> list[npt.NDArray[Any]]:
    """Read what decides about the range of values, without computing lazy data whole."""
    if isinstance(array, np.ndarray):
        return [array]
    height, width, _, _ = _layout(coarse.shape)
    if height * width <= PROBE_PIXELS:
        return [_load(coarse, first, 0, height, 0, width)]
    rows, cols = (
        [(n - min(PROBE_EDGE, n)) * i // (PROBE_GRID - 1) for i in range(PROBE_GRID)]
        for n in (height, width)
    )
    return [_load(coarse, first, r, r + PROBE_EDGE, c, c + PROBE_EDGE) for r in rows for c in cols]


def _load(array: Any, first: bool, r0: int, r1: int, c0: int, c1: int) -> npt.NDArray[Any]:
    """Read a region of an array as (h, w, C) or (h, w)."""
    if first:
        return np.moveaxis(np.asarray(array[:, r0:r1, c0:c1]), 0, 2)
    return np.asarray(array[r0:r1, c0:c1])


def _on_white(pixels: UInt8) -> UInt8:
    """Lay RGBA on white and drop the alpha channel."""
    alpha = pixels[..., 3:]
    if alpha.min() == 255:
        return pixels[..., :3]
    weighed = pixels[..., :3].astype(np.uint16) * alpha + 255 * (255 - alpha.astype(np.uint16))
    return ((weighed + 127) // 255).astype(np.uint8)


CUBIC_A = -0.5
"""Catmull-Rom: the cubic that passes through the samples and is exact for parabolas."""
METHODS = ("area", "linear", "cubic", "nearest")

Index = npt.NDArray[np.int64]
Taps = tuple[Index, Float32]
"""Positions and weights: output i is the sum over k of weight[i, k] * input[index[i, k]]."""


def taps(start: int, end: int, scale: float, length: int, method: str) -> Taps:
    """Compute positions (the ends repeated) and weights for output pixels start..end of an axis."""
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
    weight = np.ascontiguousarray(weight[:, used], dtype=np.float32)
    return np.ascontiguousarray(index[:, used]), weight


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
    index = np.floor(at).astype(np.int64)[:, None] + np.arange(1 - reach, 1 + reach)
    far = np.abs(at[:, None] - index)
    if method == "linear":
        return index, 1 - far
    a = CUBIC_A
    near = (a + 2) * far**3 - (a + 3) * far**2 + 1
    wide = a * far**3 - 5 * a * far**2 + 8 * a * far - 4 * a
    return index, np.where(far <= 1, near, wide)


def resample(block: npt.NDArray[Any], rows: Taps, cols: Taps, origin: tuple[int, int]) -> Float32:
    """Apply taps to a region whose first pixel is ``origin``."""
    out = np.empty((len(rows[0]), len(cols[0]), block.shape[2]), np.float32)
    moved = rows[0] - origin[0], cols[0] - origin[1]
    _apply(np.ascontiguousarray(block, np.float32), moved[0], rows[1], moved[1], cols[1], out)
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
        for j in range(width):
            for c in range(channels):
                line[j, c] = 0
        for k in range(row_index.shape[1]):
            r, w = row_index[i, k], row_weight[i, k]
            for j in range(width):
                for c in range(channels):
                    line[j, c] += w * block[r, j, c]
        for j in range(out.shape[1]):
            for c in range(channels):
                total = np.float32(0)
                for k in range(col_index.shape[1]):
                    total += col_weight[j, k] * line[col_index[j, k], c]
                out[i, j, c] = total


@dataclass(frozen=True, eq=False)
class ResampledSource(_Derived):
    """Another source, resized while it is read."""

    scale: float  # Pixels of this per pixel of ``source``. Below 1 by area, above 1 cubic

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels, at least 1."""
        height, width = self.source.shape
        return scaled_length(height, self.scale), scaled_length(width, self.scale)

    def read(self, r0: int, r1: int, c0: int, c1: int) -> UInt8:
        """Return a region as (h, w, 3) uint8."""
        check_region(self.shape, r0, r1, c0, c1)
        method = "area" if self.scale < 1 else "cubic"
        rows = taps(r0, r1, self.scale, self.source.shape[0], method)
        cols = taps(c0, c1, self.scale, self.source.shape[1], method)
        (top, bottom), (left, right) = ((int(x[0].min()), int(x[0].max())) for x in (rows, cols))
        block = self.source.read(top, bottom + 1, left, right + 1)
        return _eight_bit(resample(block, rows, cols, (top, left)))


def scaled_length(length: int, scale: float) -> int:
    """Pixels of an axis of ``length`` after resizing, at least 1."""
    return max(int(np.ceil(length * scale - 1e-9)), 1)
