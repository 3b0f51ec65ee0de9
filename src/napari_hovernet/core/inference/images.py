"""Any image data as 8-bit RGB, read by region; lazy data are never computed whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import PurePath
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from ...errors import InputError

BIT_DEPTHS = (8, 10, 12, 14, 16)
"""Depths that whole numbers wider than 8 bit may have; the first that holds the largest."""
FLOAT_SLACK = 1e-3
"""How far floats may leave 0..1 or 0..255, relative to the range (rounding, resampling)."""
WHITE = 255


@dataclass(frozen=True)
class Intensity:
    """How values become 8 bit: ``round(value * 255 / white)``, clipped."""

    white: float = WHITE  # The value that becomes 255
    note: str = ""  # What was assumed, "" for 8-bit data

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
    return _float_range(low, high) if dtype.kind == "f" else _whole_range(low, high)


def refuse_nan(block: npt.NDArray[Any], where: str) -> None:
    """Refuse values that are NaN or infinite; ``where`` completes "of ... are"."""
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


UInt8 = npt.NDArray[np.uint8]

PROBE_PIXELS = 4_000_000
"""A lazy array of at most this many pixels is looked at whole to find its range of values."""
PROBE_EDGE = 256
"""Edge, pixels, of each region that is looked at in a larger lazy array."""
PROBE_GRID = 3
"""Regions per axis that are looked at in a larger lazy array."""

GREY, RGB, RGBA = 1, 3, 4


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
class CropSource:
    """A rectangle of another source; its notes are those of the source."""

    source: ImageSource
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

    @property
    def notes(self) -> tuple[str, ...]:
        """What was assumed or changed, fit for a user."""
        return self.source.notes

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
    height, width, channels, first = _layout(tuple(int(n) for n in array.shape))
    notes = []
    if first:
        notes.append(f"channels come first {tuple(array.shape)}: read as {channels} x H x W")
    if channels == GREY:
        notes.append("the image is grey: repeated to RGB")
    if channels == RGBA:
        notes.append("the image has an alpha channel: transparent pixels are taken for white")
    probe = [] if np.dtype(array.dtype) == np.uint8 else _probe(array, coarse, first)
    intensity = choose_intensity(np.dtype(array.dtype), probe)
    if intensity.note:
        notes.append(intensity.note)
    return ArraySource(array, (height, width), channels, first, intensity, tuple(notes))


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
    if not (hasattr(image, "shape") and hasattr(image, "dtype")):
        try:
            image = np.asarray(image)
        except (ValueError, TypeError) as error:
            raise InputError(f"The image is no array: {error}; give (H, W, 3) numbers.") from error
    try:
        np.dtype(image.dtype)
    except TypeError:  # torch and other tensors
        image = np.asarray(image)
    return image, image


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


def _layout(shape: tuple[int, ...]) -> tuple[int, int, int, bool]:
    """Return height, width, channels and whether the channels come first."""
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
    height, width, _, _ = _layout(tuple(int(n) for n in coarse.shape))
    if height * width <= PROBE_PIXELS:
        return [_load(coarse, first, 0, height, 0, width)]
    blocks = []
    for i in range(PROBE_GRID):
        for j in range(PROBE_GRID):
            r = (height - min(PROBE_EDGE, height)) * i // (PROBE_GRID - 1)
            c = (width - min(PROBE_EDGE, width)) * j // (PROBE_GRID - 1)
            ends = min(r + PROBE_EDGE, height), min(c + PROBE_EDGE, width)
            blocks.append(_load(coarse, first, r, ends[0], c, ends[1]))
    return blocks


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
