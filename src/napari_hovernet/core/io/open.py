"""Image files (PNG, JPEG, TIFF, with the mpp they state) and label files of every kind."""

from __future__ import annotations

import os
import re
import struct
import zlib
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Lock
from typing import Any, BinaryIO, NamedTuple
from xml.etree import ElementTree

import cv2
import numpy as np
import numpy.typing as npt
import tifffile
from PIL import Image, JpegImagePlugin, PngImagePlugin

from ...errors import InputError
from ..inference.devices import free_memory
from ..inference.images import ArraySource, ImageSource, as_source
from .geojson import Polygons, rasterize, read_geojson
from .hover_net import read_hovernet_json, read_hovernet_mat
from .labels import (
    MAX_LABEL,
    MAX_READ_PIXELS,
    Instances,
    check_labels,
    instances_of,
    present_ids,
    read_label_tiff,
)

Array = npt.NDArray[Any]

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".svs", ".ndpi", ".btf", ".tf8")
LABEL_SUFFIXES = (".png", ".tif", ".tiff", ".npy", ".mat", ".json", ".geojson")
"""Names of files that are looked for in a folder; what a file is, its content tells."""
HEAD_BYTES = 65_536
"""First bytes of a file, in which its kind must show."""
DECODE_BYTES = 8
"""Main memory that decoding a PNG or JPEG takes per pixel, bytes."""
MAX_PNG_PIXELS = 2**30
"""Largest label PNG that is decoded, in pixels."""
SHOWN = 80
"""Characters of a decoder's own words in an error."""

_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_PNG, _JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
_NPY, _ZIP, _MATLAB = b"\x93NUMPY", b"PK\x03\x04", b"MATLAB "
_HOVER_NET = re.compile(rb'"nuc"\s*:\s*\{')
_PNG_DEPTH_AT = 24


def _head(path: Path, wanted: str) -> bytes:
    """Return the first bytes, or say why there are none."""
    if path.is_dir():
        raise InputError(f"{path} is a folder; give {wanted}.")
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except FileNotFoundError as error:
        raise InputError(f"{path} is not there; check the path.") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from error
    if not head:
        raise InputError(f"{path} is empty (0 bytes); copy or export it again.")
    return head


@contextmanager
def _picture(path: Path, head: bytes, too_large: str) -> Iterator[Image.Image]:
    """Open a PNG or JPEG whose pixels are not decoded yet; name what is wrong with it."""
    kind: Any = (
        PngImagePlugin.PngImageFile if head.startswith(_PNG) else JpegImagePlugin.JpegImageFile
    )
    try:
        # Not Image.open: it would refuse sizes that are usual here.
        with path.open("rb") as file, kind(file) as image:
            yield image
    except MemoryError as error:
        raise InputError(f"{path} does not fit into memory; {too_large}.") from error
    except (OSError, SyntaxError, EOFError, struct.error, zlib.error, cv2.error) as error:
        raise InputError(
            f"{path} is damaged or cut off ({str(error)[:SHOWN]}); copy or export it again."
        ) from error


def _deep(path: Path, head: bytes, image: Image.Image) -> Array | None:
    """Decode a 16-bit PNG, which Pillow would cut to 8 bits; None for other pictures."""
    if not head.startswith(_PNG) or head[_PNG_DEPTH_AT:][:1] != b"\x10":
        return None
    image.verify()
    decoded = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    if decoded is None:
        raise OSError("no pixels")
    if decoded.ndim == 2:
        return np.asarray(decoded)
    return np.ascontiguousarray(decoded[..., [2, 1, 0, 3][: decoded.shape[2]]])


# --- micrometres per pixel -----------------------------------------------------------

MPP_RANGE = (0.05, 10.0)
"""Micrometres per pixel that a microscope may give; print resolutions lie outside."""
MPP_AGREE = 0.01
"""Relative difference of horizontal and vertical mpp that is rounding."""
_UNITS = {"µm": 1.0, "um": 1.0, "μm": 1.0, "nm": 1e-3, "mm": 1e3, "cm": 1e4, "m": 1e6}
_INCH = 25_400.0
_TIFF_UNITS = {2: _INCH, 3: _UNITS["cm"]}


def dpi_mpp(dpi: tuple[float, float] | None) -> float | None:
    """Turn pixels per inch (x, y) into mpp; None if not stated or not plausible."""
    if not dpi or not all(value > 0 for value in dpi):
        return None
    return _plausible(_INCH / float(dpi[0]), _INCH / float(dpi[1]))


def _plausible(x: float, y: float) -> float | None:
    """Return the mean mpp of both axes, None if they differ or no microscope gives it."""
    mpp = (x + y) / 2
    square = abs(x - y) <= MPP_AGREE * mpp
    return mpp if square and MPP_RANGE[0] <= mpp <= MPP_RANGE[1] else None


def tiff_mpp(page: Any) -> float | None:
    """Find mpp in OME-XML, Aperio's description or the resolution tags, the first there is."""
    ome = page.parent.ome_metadata
    aperio = re.search(r"\bMPP\s*=\s*([0-9.eE+-]+)", str(page.description or ""))
    try:
        if ome:
            sides = _ome_sides(ome)
        elif aperio:
            sides = [float(aperio.group(1))] * 2
        else:
            unit = _TIFF_UNITS[int(getattr(page, "resolutionunit", 0) or 0)]
            tags = [page.tags[name].value for name in ("XResolution", "YResolution")]
            sides = [unit * below / above for above, below in tags]
    except (ElementTree.ParseError, KeyError, ValueError, ZeroDivisionError):  # not stated
        return None
    return _plausible(*sides) if len(sides) == 2 else None


def _ome_sides(xml: str) -> list[float]:
    """Return the width and height of a pixel; [] where there are no pixels."""
    for element in ElementTree.fromstring(xml).iter():
        if element.tag.rpartition("}")[2] == "Pixels":
            return [
                float(element.attrib[f"PhysicalSize{axis}"])
                * _UNITS[element.get(f"PhysicalSize{axis}Unit", "µm")]
                for axis in "XY"
            ]
    return []


# --- TIFF ----------------------------------------------------------------------------

CACHE_BYTES = 256 * 2**20
"""Decoded strips and tiles kept for the next region, bytes per file."""
COLOUR_AXES = "SC"
"""Names tifffile gives to axes that may hold the colours."""
WHITE_IS_ZERO, PALETTE, SEPARATE = 0, 3, 2


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
    """

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
            # Strips and tiles of NDPI have their tables in a header of the page.
            tables = {"jpegtables": page.jpegtables, "jpegheader": page.jpegheader}
            given = {name: table for name, table in tables.items() if table}
            decoded = page.decode(data, index, **given)[0]
        except Exception as error:  # decoders raise errors of their own kinds
            raise InputError(
                f"{self.path.name} is damaged or cut off (part {index}: {error}); copy or "
                "export it again."
            ) from error
        return None if decoded is None else _in_colour(np.asarray(decoded[0]), page)


def open_tiff(path: Path, number: int = 0) -> tuple[PagesArray, tuple[str, ...], float | None]:
    """Open a level of a TIFF, 0 the finest, without reading its pixels; mpp is that of level 0."""
    try:
        with tifffile.TiffFile(path) as file:
            level = file.series[0].levels[number]
            pages = tuple(page.aspage() for page in level.pages if page is not None)
            mpp = tiff_mpp(file.series[0].levels[0].pages[0].aspage())
            others = [image for image in file.series[1:] if not _accompanies(image)]
            for page in pages:  # loaded while the file is open
                _ = page.colormap, page.jpegtables, page.jpegheader, page.decode
    except Exception as error:  # tifffile raises errors of many kinds
        raise InputError(
            f"{path.name} cannot be read as TIFF ({error}); is it complete?"
        ) from error
    count = len(others) + 1
    notes = () if count == 1 else (f"the file holds {count} images: the first is used",)
    shape, dtype = _size(path, level, pages), np.dtype(level.dtype)
    if pages[0].photometric == PALETTE:
        shape, dtype = (shape[0], shape[1], 3), np.dtype(np.uint8)
    return PagesArray(path, pages, shape, dtype), notes, mpp


ACCOMPANYING = ("thumbnail", "label", "macro", "map", "overview")
"""Series of a slide's file that are no other images of the sample."""


def _accompanies(series: Any) -> bool:
    """Tell whether a series is the label, macro or thumbnail of a slide."""
    about = f"{series.name} {series.pages[0].aspage().description}".lower()
    return any(name in about for name in ACCOMPANYING)


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


# --- images --------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class ImageFile:
    """An image file, opened."""

    source: ImageSource  # Its pixels
    mpp: float | None  # Micrometres per pixel by its metadata, None = not stated or not plausible
    path: Path
    name: str  # File name without suffixes, for results


def read_image(path: str | Path) -> ImageFile:
    """Open a PNG, JPEG or TIFF (strips, tiles, pyramids, BigTIFF, SVS).

    mpp comes from OME-XML, an Aperio description, the resolution tags, or the resolution of a PNG
    or JPEG, if it lies in ``MPP_RANGE``. Pixels stay as they are stored: an EXIF orientation is
    told, not applied.
    """
    path = Path(path)
    head = _head(path, "an image file")
    try:
        data, notes, mpp = open_tiff(path) if head.startswith(_TIFF) else _decode(path, head)
        source = as_source(data)
    except InputError as error:
        text = str(error)
        raise InputError(text if path.name in text else f"{path.name}: {text}") from error
    if notes and isinstance(source, ArraySource):
        source = replace(source, notes=(*notes, *source.notes))
    ome = re.fullmatch(r"(.*)\.ome\.tiff?", path.name, re.IGNORECASE)
    return ImageFile(source, mpp, path, ome.group(1) if ome else path.stem)


def _decode(path: Path, head: bytes) -> tuple[Any, tuple[str, ...], float | None]:
    """Decode a PNG or JPEG whole; its size is looked at before its pixels."""
    if not head.startswith((_PNG, _JPEG)):
        raise InputError(f"{path} is no PNG, JPEG or TIFF image; convert it first.")
    with _picture(path, head, "save it as a tiled TIFF") as image:
        width, height = image.size
        needed, free = width * height * DECODE_BYTES, free_memory()
        if needed > free:
            raise InputError(
                f"{path.name} claims {width} x {height} px: decoding takes {needed / 1e9:.1f} GB "
                f"and {free / 1e9:.1f} GB are free; save it as a tiled TIFF."
            )
        mpp, turn = dpi_mpp(image.info.get("dpi")), 1
        pixels = _deep(path, head, image)
        if pixels is None:
            turn = image.getexif().get(0x0112, 1)
            plain = image.mode in ("L", "RGB", "RGBA")  # not palettes, CMYK, 1-bit images
            mode = "RGBA" if "transparency" in image.info else "RGB"
            pixels = np.asarray(image if plain else image.convert(mode))
    note = f"the file asks to be turned when shown (EXIF orientation {turn}): read as stored"
    return pixels, (note,) if turn != 1 else (), mpp


# --- labels --------------------------------------------------------------------------


def read_labels(path: str | os.PathLike[str], shape: tuple[int, int] | None = None) -> Instances:
    """Read instance labels: PNG, TIFF, NPY, MAT, hover_net JSON or GeoJSON."""
    file = Path(path)
    head = _head(file, "one label file")
    if head.lstrip()[:1] in (b"{", b"["):
        return _outlines(file, head, shape)
    found = _read_raster(file, head)
    if len(found) != 1:
        return found
    note = f"there is only one id ({found.ids[0]}): if this is a mask, label its nuclei first"
    return replace(found, notes=(*found.notes, note))


def _read_raster(file: Path, head: bytes) -> Instances:
    """Read by what the first bytes say; MAT files before version 5 go by their name."""
    if head.startswith(_PNG):
        return _read_png(file, head)
    if head.startswith(_TIFF):
        return read_label_tiff(file)
    if head.startswith(_NPY):
        return _read_npy(file)
    if head.startswith(_MATLAB) or file.suffix.lower() == ".mat":
        return read_hovernet_mat(file)
    if head.startswith(_ZIP):
        why = "is an archive of arrays (.npz); save the labels alone: numpy.save('x.npy', a)"
    elif head.startswith(_JPEG):
        why = "is a JPEG, whose compression changes ids; export the labels as PNG or TIFF"
    else:
        why = (
            "is no label file that is known; give a grey PNG, a TIFF, NPY, MAT of hover_net, "
            "hover_net JSON or GeoJSON"
        )
    raise InputError(f"{file} {why}.")


def _read_png(file: Path, head: bytes) -> Instances:
    """Read ids as stored: grey levels or numbers of a palette."""
    with _picture(file, head, "give a smaller part") as image:
        width, height = image.size
        if width * height > MAX_PNG_PIXELS:
            raise InputError(f"{file} claims {width} x {height} px; give a smaller part.")
        deep = _deep(file, head, image)
        values = np.asarray(image) if deep is None else deep
        notes: tuple[str, ...] = ()
        if deep is None and image.mode == "P":
            notes = ("the picture has a palette: its numbers are taken for ids",)
    if values.ndim == 3:  # an alpha channel tells nothing of ids
        colours = values[..., :3] if values.shape[2] >= 3 else values[..., :1]
        if not (colours == colours[..., :1]).all():
            raise InputError(
                f"{file} is a colour picture of labels (shape {values.shape}); colours are no "
                "ids: export the label image itself, as grey 16-bit PNG or TIFF."
            )
        notes = (f"the picture has {values.shape[2]} channels, all alike: the first is used",)
        values = np.ascontiguousarray(values[..., 0])
    return instances_of(check_labels(values, f"{file}: the image"), notes=notes)


def _read_npy(file: Path) -> Instances:
    """Read one array; it is mapped first, so that a false size in its header does no harm."""
    try:
        stored = np.load(file, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError, OverflowError, MemoryError, SyntaxError) as error:
        pickled = "pickle" in str(error).lower() or "object" in str(error).lower()
        remedy = (
            "it holds Python objects, which are not opened: save the label array alone, "
            "numpy.save('x.npy', labels)"
            if pickled
            else f"it is damaged or cut off ({str(error)[:SHOWN]}); save it again"
        )
        raise InputError(f"{file} cannot be used: {remedy}.") from error
    if stored.size > MAX_READ_PIXELS:
        raise InputError(f"{file} claims to be {stored.shape} large; give a smaller part.")
    plane = stored.squeeze() if stored.ndim > 2 else stored
    notes = () if plane.shape == stored.shape else (f"shape {stored.shape} is read as one plane",)
    return instances_of(check_labels(np.array(plane), f"{file}: the array"), notes=notes)


def _outlines(file: Path, head: bytes, shape: tuple[int, int] | None) -> Instances:
    """Draw the outlines of a JSON file; those of hover_net keep their ids."""
    if shape is None:
        raise InputError(
            f"{file} holds outlines, and no size of an image; give the image's shape (H, W) too."
        )
    hover_net = file.suffix.lower() != ".geojson" and _HOVER_NET.search(head) is not None
    polygons: Polygons = read_hovernet_json(file) if hover_net else read_geojson(file)
    ids = [int(text) for text in polygons.ids] if hover_net else range(1, len(polygons) + 1)
    if len(set(ids)) < len(ids) or max(ids, default=0) > MAX_LABEL:
        raise InputError(
            f"{file}: its ids repeat or exceed {MAX_LABEL}; number its nuclei from 1 on."
        )
    positions = rasterize(polygons, shape)
    table = np.array([0, *ids], np.int32)
    seen = present_ids(positions)
    order = np.argsort(table[seen], kind="stable")
    notes, gone = polygons.notes, len(polygons) - len(seen)
    if gone:
        text = f"{gone} of {len(polygons)} outlines lie outside of the image or under others"
        notes = (*notes, text)
    types = polygons.type[seen - 1][order]
    return Instances(table[positions], table[seen][order], types, notes=notes)
