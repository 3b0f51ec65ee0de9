"""TIFF files of any kind as lazy arrays: strips, tiles, pyramids, colours in planes."""

from __future__ import annotations

import logging
import re
import struct
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt
import tifffile

from ...errors import InputError, plain
from ..limits import check_file, check_room
from .files import readable
from .scale import Scale, of_tiff

Array = npt.NDArray[Any]
logging.getLogger("tifffile").addHandler(logging.NullHandler())  # errors say what counts

CACHE_BYTES = 256 * 2**20
"""Decoded strips and tiles kept for the next region, bytes per file."""
MAX_PART_BYTES = 2**28
"""A larger strip or tile is decoded only where the memory is there, bytes."""
JPEGS, JPEG_2000 = (6, 7, 34892), (33003, 33004, 33005, 34712)
"""TIFF's words for JPEG and JPEG 2000 inside."""
MAX_CODED = 4
"""How many times a strip's or tile's pixels its own header may claim: edges are padded."""
_SIZES = (
    (JPEG_2000, re.compile(rb"\xff\x4f\xff\x51....(.{8})", re.DOTALL), ">II"),
    ((34933,), re.compile(rb"^\x89PNG\r\n\x1a\n....IHDR(.{8})", re.DOTALL), ">II"),
    ((34887,), re.compile(rb"Lerc2 [\x03-\xff]\0\0\0....(.{8})", re.DOTALL), "<II"),
    ((22610, 34934), re.compile(rb"WMPHOTO\0..[\x80-\xff].(.{4})", re.DOTALL), ">HH"),
    ((22610, 34934), re.compile(rb"WMPHOTO\0..[\0-\x7f].(.{8})", re.DOTALL), ">II"),
    ((50002, 52546), re.compile(rb"(?:^|jxlc|jxlp....)\xff\x0a(.{10})", re.DOTALL), ""),
)
"""Compressions, how the code of a strip or tile begins there, and how its two sides are written:
in JPEG XR less one; "" = in bits, as JPEG XL does. WebP has 16,383 px a side at most."""
COLOUR_AXES = "SC"
"""Names tifffile gives to axes that may hold the colours."""
WHITE_IS_ZERO, COLOUR_TABLE, SEPARATE = 0, 3, 2
SHOWN_AS_RGB = (0, 1, 2, 3, 6)
"""TIFF's words for colours: grey (either way), RGB, palette, YCbCr; not CMYK nor CIELAB."""
ORIENTATION = 0x0112
SCAN, MAX_SCANS = b"\xff\xda", 100
"""What starts a scan in a JPEG, and how many are read: real ones have some ten."""
PREMULTIPLIED, STRAIGHT = 1, 2
"""TIFF's words for the kinds of alpha."""


class _Part(NamedTuple):
    """A strip or tile: its page, number, and the pixel and colour at which it starts."""

    page: int
    number: int
    top: int
    left: int
    colour: int


@dataclass(eq=False)
class PagesArray:
    """The finest level of a TIFF as a lazy (H, W, C) array; the file is opened for each read."""

    path: Path
    pages: tuple[Any, ...]  # One page, or one page per colour
    shape: tuple[int, int, int]  # Height, width, colours
    dtype: np.dtype[Any]
    ndim: int = 3
    _cache: OrderedDict[tuple[int, int], Array] = field(default_factory=OrderedDict)
    _lock: Lock = field(default_factory=Lock)

    def __getitem__(self, key: tuple[slice, slice]) -> Array:
        """Return rows and columns as (h, w, C)."""
        r0, r1, _ = key[0].indices(self.shape[0])
        c0, c1, _ = key[1].indices(self.shape[1])
        out = np.zeros((r1 - r0, c1 - c0, self.shape[2]), self.dtype)
        with readable(self.path.name), self._lock, self.path.open("rb") as file:
            for part in self._parts(r0, r1, c0, c1):
                block = self._block(file, part)
                if block is not None:
                    _paste(out, block, part, r0, c0)
        return out

    def _parts(self, r0: int, r1: int, c0: int, c1: int) -> Iterator[_Part]:
        """Yield the strips or tiles that a region touches, in the order of the file."""
        for number, page in enumerate(self.pages):
            height, width = part_size(page)
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
        size = sum(b.nbytes for b in self._cache.values())
        while size > CACHE_BYTES and len(self._cache) > 1:
            size -= self._cache.popitem(last=False)[1].nbytes
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
            check_scans(data if page.compression in JPEGS else b"")
            height, width = part_size(page)
            if (size := coded_pixels(data, int(page.compression))) > MAX_CODED * height * width:
                raise ValueError(f"its code is of {size:,} px, not {height} x {width}")
            # Strips and tiles of NDPI have their tables in a header of the page.
            tables = {"jpegtables": page.jpegtables, "jpegheader": page.jpegheader}
            given = {name: table for name, table in tables.items() if table}
            decoded = page.decode(data, index, **given)[0]
        except Exception as error:  # decoders raise errors of their own kinds
            raise InputError(
                f"{self.path.name} is damaged or cut off (part {index}: {plain(error)}); "
                "copy or export it again."
            ) from error
        return None if decoded is None else _in_colour(np.asarray(decoded[0]), page)


@contextmanager
def tiff_file(path: Path) -> Iterator[tifffile.TiffFile]:
    """Open a TIFF; whatever is wrong with its tables is said in one line."""
    check_file(path, "a TIFF")
    with readable(path.name), tifffile.TiffFile(path) as file:
        yield file


def main_series(file: tifffile.TiffFile) -> tuple[Any, tuple[str, ...]]:
    """Choose the image of a file: the largest, since thumbnails may come first."""
    notes: tuple[str, ...] = ()
    try:
        series = file.series
        chosen = max(series, key=_plane_pixels)  # looks into the OME-XML, in some versions first
    except Exception as error:  # a broken OME-XML does not make the pixels unreadable
        if not file.is_ome:
            raise
        notes = (f"its OME-XML is not read ({plain(error, 80)})",)
        file.is_ome = False
        series = file.series
        chosen = max(series, key=_plane_pixels)
    count = sum(image is chosen or not _accompanies(image) for image in series)
    if count > 1:
        which = series.index(chosen)
        first = "the first" if which == 0 else f"number {which + 1}, the largest,"
        notes += (f"the file holds {count} images: {first} is used",)
    return chosen, notes


ACCOMPANYING = ("thumbnail", "label", "macro", "map", "overview")
"""Series of a slide's file that are no other images of the sample."""


def _accompanies(series: Any) -> bool:
    """Tell whether a series is the label, macro or thumbnail of a slide."""
    about = f"{series.name} {series.pages[0].aspage().description}".lower()
    return any(name in about for name in ACCOMPANYING)


def _plane_pixels(series: Any) -> int:
    sizes = dict(zip(series.axes, series.shape, strict=True))
    return int(sizes.get("Y", 0)) * int(sizes.get("X", 0))


def open_tiff(path: Path, number: int = 0) -> tuple[PagesArray, tuple[str, ...], Scale]:
    """Open a level of a TIFF, 0 the finest, without reading its pixels; its scale is level 0's."""
    with tiff_file(path) as file:
        series, notes = main_series(file)
        level = series.levels[number]
        pages = tuple(page.aspage() for page in level.pages if page is not None)
        scale = of_tiff(series.levels[0].pages[0].aspage())
        for page in pages:  # loaded while the file is open
            _ = page.colormap, page.jpegtables, page.jpegheader, page.decode
        shape, dtype = _size(path, level, pages), np.dtype(level.dtype)
        for page in pages:
            _check_parts(path, page)
            if (kind := page.photometric) not in SHOWN_AS_RGB:
                name = {5: "CMYK"}.get(int(kind), getattr(kind, "name", kind))
                raise InputError(f"{path.name} has {name} colours; convert it to RGB first.")
        turn = pages[0].tags.valueof(ORIENTATION, 1)
    notes = (*notes, *turned(turn))
    if len(pages) == 1 and shape[2] == 2 and _has_alpha(pages[0]):
        shape = (shape[0], shape[1], 4)
    if pages[0].photometric == COLOUR_TABLE:
        shape, dtype = (shape[0], shape[1], 3), np.dtype(np.uint8)
    return PagesArray(path, pages, shape, dtype), notes, scale


def coded_pixels(data: bytes, compression: int) -> int:
    """Pixels that a strip or tile claims by its own header, by which decoders take memory; or 0."""
    sizes = [
        struct.unpack(form, found[1]) if form else _jpeg_xl_size(found[1])
        for codes, pattern, form in _SIZES
        if compression in codes
        for found in pattern.finditer(data)
    ]
    if sizes:
        return int(max(w * h for w, h in sizes))
    at = 2 if data.startswith(b"\xff\xd8") else len(data)  # NDPI's have their header elsewhere
    while compression in JPEGS and at + 9 <= len(data) and data[at] == 0xFF:
        if 0xC0 <= data[at + 1] <= 0xCF and data[at + 1] not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", data, at + 5)
            return int(height * width)
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return 0


def _jpeg_xl_size(start: bytes) -> tuple[int, int]:
    """Read height and width from the first bits of a JPEG XL (ISO 18181-1, SizeHeader)."""
    bits = int.from_bytes(start, "little")

    def take(count: int) -> int:
        nonlocal bits
        value, bits = bits & ((1 << count) - 1), bits >> count
        return value

    def side() -> int:
        return 8 * (take(5) + 1) if small else take((9, 13, 18, 30)[take(2)]) + 1

    small = take(1)
    height = side()
    over, under = ((0, 1), (1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))[take(3)]
    return height, height * over // under if over else side()


def check_scans(jpeg: bytes) -> None:
    """Refuse a JPEG that comes in thousands of passes over all its pixels: it takes hours."""
    if (n := jpeg.count(SCAN)) > MAX_SCANS:
        raise ValueError(f"{n:,} scans, up to {MAX_SCANS} are read")


def turned(orientation: Any) -> tuple[str, ...]:
    """Say that a picture asks to be turned, which is not done: labels lie as pixels are stored."""
    text = f"the file asks to be turned when shown (EXIF orientation {orientation}): read as stored"
    return (text,) if orientation != 1 else ()


def _check_parts(path: Path, page: Any) -> None:
    """Refuse a strip or tile that alone would fill the memory."""
    height, width = part_size(page)
    size = height * width * page.samplesperpixel * np.dtype(page.dtype).itemsize
    if size > MAX_PART_BYTES:
        check_room(size, f"{path.name} (strips of {height} x {width} px)", "save it with tiles")


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


def part_size(page: Any) -> tuple[int, int]:
    """Return height and width of a page's strips or tiles."""
    if page.is_tiled:
        return int(page.tilelength), int(page.tilewidth)
    return min(int(page.rowsperstrip), int(page.imagelength)), int(page.imagewidth)


def _in_colour(block: Array, page: Any) -> Array:
    """Look a palette up, and turn images whose 0 is white."""
    if page.photometric == COLOUR_TABLE and page.colormap is not None:
        return np.asarray((page.colormap >> 8).astype(np.uint8).T[block[..., 0]])
    if page.photometric == WHITE_IS_ZERO and block.dtype.kind == "u":
        return np.asarray(np.iinfo(block.dtype).max - block)
    return _with_alpha(block, page.extrasamples[0]) if _has_alpha(page) else block


def _has_alpha(page: Any) -> bool:
    """Whether the last sample of grey or RGB is alpha."""
    known = bool(page.extrasamples) and page.extrasamples[0] in (PREMULTIPLIED, STRAIGHT)
    return known and page.samplesperpixel in (2, 4) and np.dtype(page.dtype).kind == "u"


def _with_alpha(block: Array, kind: int) -> Array:
    """Return RGBA of (h, w, 2 or 4); colours multiplied by alpha before are laid on white."""
    colours, alpha = block[..., :-1], block[..., -1:]
    if kind == PREMULTIPLIED:
        most = np.iinfo(block.dtype).max
        rest = most - alpha
        colours = np.minimum(colours, most - rest) + rest
        alpha = np.full_like(alpha, most)
    return np.concatenate([*[colours] * (3 // colours.shape[2]), alpha], axis=2)


def _paste(out: Array, block: Array, part: _Part, r0: int, c0: int) -> None:
    """Copy the part of a strip or tile that a region starting at (r0, c0) shows."""
    r, c = max(r0, part.top), max(c0, part.left)
    end_r = min(r0 + out.shape[0], part.top + block.shape[0])
    end_c = min(c0 + out.shape[1], part.left + block.shape[1])
    colours = slice(part.colour, part.colour + block.shape[2])
    out[r - r0 : end_r - r0, c - c0 : end_c - c0, colours] = block[
        r - part.top : end_r - part.top, c - part.left : end_c - part.left
    ]
