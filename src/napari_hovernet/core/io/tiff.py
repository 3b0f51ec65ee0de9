"""TIFF images read by region: strips, tiles, pyramids, one or several planes of colour."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt
import tifffile

from ...errors import InputError
from .mpp import tiff_mpp

CACHE_BYTES = 256 * 2**20
"""Decoded strips and tiles kept for the next region, bytes per file."""

COLOUR_AXES = "SC"
"""Names tifffile gives to axes that may hold the colours."""

WHITE_IS_ZERO, PALETTE, SEPARATE = 0, 3, 2

Array = npt.NDArray[Any]


class _Part(NamedTuple):
    """A strip or tile: its page, number, and the pixel and colour at which it starts."""

    page: int
    number: int
    top: int
    left: int
    colour: int


@dataclass(eq=False)
class PagesArray:
    """The finest level of a TIFF as a lazy (H, W, C) array; slicing decodes what it touches.

    The file is opened for each read and not held open.

    Parameters
    ----------
    path : Path
    pages : tuple of tifffile.TiffPage
        One page, or one page per colour.
    shape : (int, int, int)
        Height, width, colours.
    dtype : numpy.dtype
    """

    path: Path
    pages: tuple[Any, ...]
    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    _cache: OrderedDict[tuple[int, int], Array] = field(default_factory=OrderedDict)
    _lock: Lock = field(default_factory=Lock)

    @property
    def ndim(self) -> int:
        """Number of axes: 3."""
        return 3

    def __getitem__(self, key: tuple[slice, slice]) -> Array:
        """Return rows and columns as (h, w, C).

        Raises
        ------
        InputError
            If a strip or tile is cut off or cannot be decoded.
        """
        r0, r1, _ = key[0].indices(self.shape[0])
        c0, c1, _ = key[1].indices(self.shape[1])
        out = np.zeros((r1 - r0, c1 - c0, self.shape[2]), self.dtype)
        try:
            with self._lock, self.path.open("rb") as file:
                for part in self._parts(r0, r1, c0, c1):
                    block = self._block(file, part)
                    if block is not None:
                        _paste(out, block, part, r0, c0)
        except OSError as error:
            raise InputError(f"{self.path} cannot be read: {error.strerror or error}.") from error
        return out

    def _parts(self, r0: int, r1: int, c0: int, c1: int) -> Iterator[_Part]:
        """Yield the strips or tiles that a region touches, in the order of the file."""
        for number, page in enumerate(self.pages):
            height, width = _part_size(page)
            down, across = -(-self.shape[0] // height), -(-self.shape[1] // width)
            planes = page.samplesperpixel if page.planarconfig == SEPARATE else 1
            for plane in range(planes):
                for i in range(r0 // height, -(-r1 // height)):
                    for j in range(c0 // width, -(-c1 // width)):
                        index = (plane * down + i) * across + j
                        yield _Part(number, index, i * height, j * width, number + plane)

    def _block(self, file: BinaryIO, part: _Part) -> Array | None:
        """Return a decoded strip or tile as (h, w, C); None where the file leaves it out."""
        key = (part.page, part.number)
        if key in self._cache:
            self._cache.move_to_end(key)
            return self._cache[key]
        block = self._decode(file, self.pages[part.page], part.number)
        if block is None:
            return None
        self._cache[key] = block
        kept = sum(b.nbytes for b in self._cache.values())
        while kept > CACHE_BYTES and len(self._cache) > 1:
            kept -= self._cache.popitem(last=False)[1].nbytes
        return block

    def _decode(self, file: BinaryIO, page: Any, index: int) -> Array | None:
        count = page.databytecounts[index]
        if not count:
            return None
        file.seek(page.dataoffsets[index])
        data = file.read(count)
        try:
            if len(data) != count:
                raise ValueError(f"{count} bytes expected, {len(data)} found")
            tables = page.jpegtables
            decoded = page.decode(data, index, **({"jpegtables": tables} if tables else {}))[0]
        except Exception as error:  # decoders raise errors of their own kinds
            raise InputError(
                f"{self.path.name} is damaged or cut off (part {index}: {error}); copy or "
                "export it again."
            ) from error
        return None if decoded is None else _in_colour(np.asarray(decoded[0]), page)


def open_tiff(path: Path) -> tuple[PagesArray, tuple[str, ...], float | None]:
    """Open a TIFF without reading its pixels.

    Parameters
    ----------
    path : Path

    Returns
    -------
    array : PagesArray
        The finest level of the first image.
    notes : tuple of str
        What was assumed.
    mpp : float or None
        Micrometres per pixel, None if not stated or not plausible.

    Raises
    ------
    InputError
        If the file is no TIFF, is damaged, or holds a stack.
    """
    try:
        with tifffile.TiffFile(path) as file:
            level = file.series[0].levels[0]
            pages = tuple(page.aspage() for page in level.pages if page is not None)
            count, mpp = len(file.series), tiff_mpp(pages[0])
            for page in pages:  # loaded while the file is open
                _ = page.colormap, page.jpegtables, page.decode
    except Exception as error:  # tifffile raises errors of many kinds
        raise InputError(
            f"{path.name} cannot be read as TIFF ({error}); is it complete?"
        ) from error
    notes = () if count == 1 else (f"the file holds {count} images: the first is used",)
    shape, dtype = _size(path, level, pages), np.dtype(level.dtype)
    if pages[0].photometric == PALETTE:
        shape, dtype = (shape[0], shape[1], 3), np.dtype(np.uint8)
    return PagesArray(path, pages, shape, dtype), notes, mpp


def _size(path: Path, level: Any, pages: tuple[Any, ...]) -> tuple[int, int, int]:
    """Return height, width and colours of a level, or refuse a stack."""
    sizes = {axis: int(n) for axis, n in zip(level.axes, level.shape, strict=True)}
    height, width = sizes.pop("Y", 0), sizes.pop("X", 0)
    colours = int(np.prod([n for axis, n in sizes.items() if axis in COLOUR_AXES] or [1]))
    stacked = any(n > 1 and axis not in COLOUR_AXES for axis, n in sizes.items())
    if stacked or not height or not width or colours != pages[0].samplesperpixel * len(pages):
        raise InputError(
            f"{path.name} is a stack (axes {level.axes}, {tuple(level.shape)}); save one plane "
            "of it as RGB."
        )
    return height, width, colours


def _part_size(page: Any) -> tuple[int, int]:
    """Return height and width of a page's strips or tiles."""
    if page.is_tiled:
        return int(page.tilelength), int(page.tilewidth)
    return min(int(page.rowsperstrip), int(page.imagelength)), int(page.imagewidth)


def _in_colour(block: Array, page: Any) -> Array:
    """Look a palette up, and turn images whose 0 is white."""
    if page.photometric == PALETTE and page.colormap is not None:
        return np.asarray((page.colormap >> 8).astype(np.uint8).T[block[..., 0]])
    if page.photometric == WHITE_IS_ZERO and block.dtype.kind == "u":
        return np.asarray(np.iinfo(block.dtype).max - block)
    return block


def _paste(out: Array, block: Array, part: _Part, r0: int, c0: int) -> None:
    """Copy the part of a strip or tile that a region starting at (r0, c0) shows."""
    r, c = max(r0, part.top), max(c0, part.left)
    end_r = min(r0 + out.shape[0], part.top + block.shape[0])
    end_c = min(c0 + out.shape[1], part.left + block.shape[1])
    colours = slice(part.colour, part.colour + block.shape[2])
    out[r - r0 : end_r - r0, c - c0 : end_c - c0, colours] = block[
        r - part.top : end_r - part.top, c - part.left : end_c - part.left
    ]
