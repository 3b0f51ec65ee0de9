"""Image files: PNG, JPEG and TIFF, with the mpp they state."""

from __future__ import annotations

import os
import re
import struct
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
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
    present_ids,
    read_label_tiff,
)

MPP_RANGE = (0.05, 10.0)
"""Micrometres per pixel that a microscope may give; print resolutions lie outside."""
MPP_AGREE = 0.01
"""Relative difference of horizontal and vertical mpp that is rounding."""

MICROMETRES_PER_INCH = 25_400.0
MICROMETRES_PER_CENTIMETRE = 10_000.0
_UNITS = {"µm": 1.0, "um": 1.0, "μm": 1.0, "nm": 1e-3, "mm": 1e3, "cm": 1e4, "m": 1e6}
_TIFF_UNITS = {2: MICROMETRES_PER_INCH, 3: MICROMETRES_PER_CENTIMETRE}


def dpi_mpp(dpi: tuple[float, float] | None) -> float | None:
    """Turn pixels per inch (x, y) into mpp; None if not stated or not plausible."""
    if not dpi or not all(value > 0 for value in dpi):
        return None
    return _plausible(MICROMETRES_PER_INCH / float(dpi[0]), MICROMETRES_PER_INCH / float(dpi[1]))


def _plausible(x: float, y: float) -> float | None:
    """Return the mean mpp of both axes, None if they differ or no microscope gives it."""
    mpp = (x + y) / 2
    square = abs(x - y) <= MPP_AGREE * mpp
    return mpp if square and MPP_RANGE[0] <= mpp <= MPP_RANGE[1] else None


def tiff_mpp(page: Any) -> float | None:
    """Find mpp in OME-XML, Aperio's description or the resolution tags, the first there is."""
    description = str(page.description or "")
    ome = page.parent.ome_metadata
    if ome:
        return _ome_mpp(ome)
    aperio = re.search(r"\bMPP\s*=\s*([0-9.eE+-]+)", description)
    if aperio:
        try:
            value = float(aperio.group(1))
        except ValueError:
            return None
        return _plausible(value, value)
    return _tag_mpp(page)


def _tag_mpp(page: Any) -> float | None:
    unit = _TIFF_UNITS.get(int(getattr(page, "resolutionunit", 0) or 0))
    if unit is None:
        return None
    sides = []
    for name in ("XResolution", "YResolution"):
        tag = page.tags.get(name)
        if tag is None or not all(part > 0 for part in tag.value):
            return None
        sides.append(unit * tag.value[1] / tag.value[0])
    return _plausible(*sides)


def _ome_mpp(xml: str) -> float | None:
    try:
        root = ElementTree.fromstring(xml)
    except ElementTree.ParseError:
        return None
    for element in root.iter():
        if element.tag.endswith("}Pixels") or element.tag == "Pixels":
            sides = [_ome_length(element, axis) for axis in "XY"]
            if None in sides:
                return None
            return _plausible(*(side for side in sides if side is not None))
    return None


def _ome_length(pixels: ElementTree.Element, axis: str) -> float | None:
    unit = _UNITS.get(pixels.get(f"PhysicalSize{axis}Unit", "µm"))
    try:
        length = float(pixels.get(f"PhysicalSize{axis}", ""))
    except ValueError:
        return None
    return None if unit is None else unit * length


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
    """

    path: Path
    pages: tuple[Any, ...]  # One page, or one page per colour
    shape: tuple[int, int, int]  # Height, width, colours
    dtype: np.dtype[Any]
    _cache: OrderedDict[tuple[int, int], Array] = field(default_factory=OrderedDict)
    _lock: Lock = field(default_factory=Lock)

    @property
    def ndim(self) -> int:
        """Number of axes: 3."""
        return 3

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
    """Open a TIFF without reading its pixels."""
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


SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".svs", ".ndpi", ".btf", ".tf8")
"""Names of files that are looked for in a folder; what a file is, its content tells."""
DECODE_BYTES = 8
"""Main memory that decoding a PNG or JPEG takes per pixel, bytes."""
HEADER_BYTES = 26
"""First bytes of a file that tell its kind, and of a PNG its depth."""

_TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
_JPEG_MAGIC = b"\xff\xd8\xff"
_PNG_DEPTH_AT = 24
_DEEP = 16
_ORIENTATION_TAG = 0x0112
_UPRIGHT = 1


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
    or JPEG, if it lies in ``core.io.mpp.MPP_RANGE``. Pixels stay as they are stored: an EXIF
    orientation is told, not applied.
    """
    path = Path(path)
    header = _header(path)
    try:
        data: Any
        if header.startswith(_TIFF_MAGIC):
            data, notes, mpp = open_tiff(path)
        else:
            data, notes, mpp = _decode(path, header)
        found = as_source(data)
    except InputError as error:
        text = str(error)
        raise InputError(text if path.name in text else f"{path.name}: {text}") from error
    return ImageFile(_with_notes(found, notes), mpp, path, _stem(path))


def _header(path: Path) -> bytes:
    """Return the first bytes, or say why there are none."""
    if path.is_dir():
        raise InputError(f"{path} is a folder; give an image file.")
    try:
        with path.open("rb") as file:
            header = file.read(HEADER_BYTES)
    except FileNotFoundError as error:
        raise InputError(f"{path} is not there; check the path.") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from error
    if not header:
        raise InputError(f"{path} is empty (0 bytes); copy or export it again.")
    return header


def _stem(path: Path) -> str:
    name = path.name
    for suffix in (".ome.tiff", ".ome.tif"):
        if name.lower().endswith(suffix):
            return name[: -len(suffix)]
    return path.stem


def _with_notes(source: ImageSource, notes: tuple[str, ...]) -> ImageSource:
    if not notes or not isinstance(source, ArraySource):
        return source
    return ArraySource(
        source.array,
        source.shape,
        source.channels,
        source.channel_first,
        source.intensity,
        (*notes, *source.notes),
    )


def _decode(path: Path, header: bytes) -> tuple[npt.NDArray[Any], tuple[str, ...], float | None]:
    """Decode a PNG or JPEG whole; its size is looked at before its pixels."""
    if header.startswith(_PNG_MAGIC):
        kind: Any = PngImagePlugin.PngImageFile
    elif header.startswith(_JPEG_MAGIC):
        kind = JpegImagePlugin.JpegImageFile
    else:
        raise InputError(f"{path} is no PNG, JPEG or TIFF image; convert it first.")
    deep = kind is PngImagePlugin.PngImageFile and header[_PNG_DEPTH_AT:][:1] == bytes([_DEEP])
    try:
        # Not Image.open: it would refuse sizes that are usual here.
        with path.open("rb") as file, kind(file) as image:
            _check_size(path, *image.size)
            mpp = dpi_mpp(image.info.get("dpi"))
            if deep:
                return _deep_png(path, image), (), mpp
            return _pixels(image), _orientation(image), mpp
    except MemoryError as error:
        raise InputError(
            f"{path.name} does not fit into memory; save it as a tiled TIFF."
        ) from error
    except (OSError, SyntaxError, EOFError, struct.error, zlib.error) as error:
        raise _damaged(path, str(error)) from error


def _check_size(path: Path, width: int, height: int) -> None:
    """Refuse an image, or a bomb that claims to be one, that would fill the memory."""
    needed, free = width * height * DECODE_BYTES, free_memory()
    if needed > free:
        raise InputError(
            f"{path.name} claims {width} x {height} px: decoding takes {needed / 1e9:.1f} GB and "
            f"{free / 1e9:.1f} GB are free; save it as a tiled TIFF."
        )


def _damaged(path: Path, what: str) -> InputError:
    return InputError(f"{path.name} is damaged or cut off ({what}); copy or export it again.")


def _pixels(image: Image.Image) -> npt.NDArray[Any]:
    """Return 8-bit pixels; palettes, CMYK and 1-bit images as RGB."""
    if image.mode not in ("L", "RGB", "RGBA"):
        image = image.convert("RGBA" if "transparency" in image.info else "RGB")
    return np.asarray(image)


def _deep_png(path: Path, image: Image.Image) -> npt.NDArray[Any]:
    """Return the pixels of a 16-bit PNG, which Pillow would cut to 8 bits."""
    image.verify()
    decoded = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    if decoded is None:
        raise _damaged(path, "no pixels")
    if decoded.ndim == 2:
        return np.asarray(decoded)
    order = [2, 1, 0, 3][: decoded.shape[2]]
    return np.ascontiguousarray(decoded[..., order])


def _orientation(image: Image.Image) -> tuple[str, ...]:
    turn = image.getexif().get(_ORIENTATION_TAG, _UPRIGHT)
    if turn == _UPRIGHT:
        return ()
    return (f"the file asks to be turned when shown (EXIF orientation {turn}): read as stored",)


LABEL_SUFFIXES = (".png", ".tif", ".tiff", ".npy", ".mat", ".json", ".geojson")
"""Names of label files that are looked for in a folder; what a file is, its content tells."""
HEAD_BYTES = 65_536
"""First bytes of a file, in which its kind must show."""
MAX_PNG_PIXELS = 2**30
"""Largest label PNG that is decoded, in pixels."""
SHOWN = 80
"""Characters of a decoder's own words in an error."""

_PNG = b"\x89PNG\r\n\x1a\n"
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_NPY = b"\x93NUMPY"
_ZIP = b"PK\x03\x04"
_JPEG = b"\xff\xd8\xff"
_MATLAB = b"MATLAB "
_HOVER_NET = re.compile(rb'"nuc"\s*:\s*\{')
_DEPTH_AT, _DEEP_LABELS_FILE = 24, 16

_Reader = Callable[[Path], Instances]


def read_labels(path: str | os.PathLike[str], shape: tuple[int, int] | None = None) -> Instances:
    """Read instance labels: PNG, TIFF, NPY, MAT, hover_net JSON or GeoJSON."""
    file = Path(path)
    head = _head(file)
    if head.lstrip()[:1] in (b"{", b"["):
        return _outlines(file, head, shape)
    return _with_mask_note(_reader(file, head)(file))


def _head(file: Path) -> bytes:
    """Return the first bytes, or say why there are none."""
    if file.is_dir():
        raise InputError(f"{file} is a folder; give one label file.")
    try:
        with file.open("rb") as handle:
            head = handle.read(HEAD_BYTES)
    except FileNotFoundError as error:
        raise InputError(f"{file} is not there; check the path.") from error
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror or error}.") from error
    if not head:
        raise InputError(f"{file} is empty (0 bytes); copy or export it again.")
    return head


def _reader(file: Path, head: bytes) -> _Reader:
    """Choose the reader by the first bytes; MAT files before version 5 go by their name."""
    if head.startswith(_PNG):
        return _read_png
    if head.startswith(_TIFF):
        return _read_tiff
    if head.startswith(_NPY):
        return _read_npy
    if head.startswith(_MATLAB) or file.suffix.lower() == ".mat":
        return read_hovernet_mat
    if head.startswith(_ZIP):
        raise InputError(
            f"{file} is an archive of arrays (.npz); save the labels alone: numpy.save('x.npy', a)."
        )
    if head.startswith(_JPEG):
        raise InputError(
            f"{file} is a JPEG, whose compression changes ids; export the labels as PNG or TIFF."
        )
    raise InputError(
        f"{file} is no label file that is known; give a grey PNG, a TIFF, NPY, MAT of hover_net, "
        "hover_net JSON or GeoJSON."
    )


def _raster(values: npt.NDArray[Any], what: str, notes: tuple[str, ...] = ()) -> Instances:
    """Make instances of a label image without types."""
    labels = check_labels(values, what)
    ids = present_ids(labels)
    return Instances(labels, ids, np.zeros(len(ids), np.int32), notes=notes)


def _with_mask_note(found: Instances) -> Instances:
    """Say so where a file looks like a mask rather than instances."""
    if len(found) != 1:
        return found
    note = f"there is only one id ({found.ids[0]}): if this is a mask, label its nuclei first"
    return Instances(found.labels, found.ids, found.type, found.metadata, (*found.notes, note))


# --- pictures ------------------------------------------------------------------------


def _read_png(file: Path) -> Instances:
    try:
        # Not Image.open: it would refuse sizes that are usual here.
        with file.open("rb") as handle:
            deep = handle.read(_DEPTH_AT + 1)[-1:] == bytes([_DEEP_LABELS_FILE])
            handle.seek(0)
            with PngImagePlugin.PngImageFile(handle) as image:
                values, notes = _png_values(file, image, deep)
    except MemoryError as error:
        raise InputError(f"{file} does not fit into memory; give a smaller part.") from error
    except (OSError, SyntaxError, EOFError, struct.error, zlib.error, cv2.error) as error:
        raise InputError(
            f"{file} is damaged or cut off ({str(error)[:SHOWN]}); copy or export it again."
        ) from error
    return _raster(values, f"{file}: the image", notes)


def _png_values(
    file: Path, image: Image.Image, deep: bool
) -> tuple[npt.NDArray[Any], tuple[str, ...]]:
    """Return ids as stored: grey levels or numbers of a palette."""
    width, height = image.size
    if width * height > MAX_PNG_PIXELS:
        raise InputError(f"{file} claims {width} x {height} px; give a smaller part.")
    if deep:
        image.verify()
        decoded = cv2.imdecode(np.fromfile(file, np.uint8), cv2.IMREAD_UNCHANGED)
        if decoded is None:
            raise InputError(f"{file} is damaged or cut off; copy or export it again.")
        return _single_channel(file, decoded)
    values = np.asarray(image)
    if image.mode == "P":
        return values, ("the picture has a palette: its numbers are taken for ids",)
    return _single_channel(file, values)


def _single_channel(
    file: Path, values: npt.NDArray[Any]
) -> tuple[npt.NDArray[Any], tuple[str, ...]]:
    """Take grey from a picture with channels; an alpha channel tells nothing of ids."""
    if values.ndim == 2:
        return values, ()
    if values.ndim != 3 or not 1 <= values.shape[2] <= 4:
        raise InputError(f"{file} has shape {values.shape}; a label image is (H, W).")
    colours = values[..., :3] if values.shape[2] >= 3 else values[..., :1]
    if not (colours == colours[..., :1]).all():
        raise InputError(
            f"{file} is a colour picture of labels (shape {values.shape}); colours are no ids: "
            "export the label image itself, as grey 16-bit PNG or TIFF."
        )
    note = f"the picture has {values.shape[2]} channels, all alike: the first is used"
    return np.ascontiguousarray(values[..., 0]), (note,)


def _read_tiff(file: Path) -> Instances:
    """Read a label TIFF; one in colours is refused in our words."""
    try:
        return read_label_tiff(file)
    except InputError as error:
        if "a label image is (H, W)" not in str(error):
            raise
        raise InputError(
            f"{error} Save one plane of whole numbers, not colours and not a stack."
        ) from error


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
    return _raster(np.array(plane), f"{file}: the array", notes)


# --- outlines ------------------------------------------------------------------------


def _outlines(file: Path, head: bytes, shape: tuple[int, int] | None) -> Instances:
    """Draw the outlines of a JSON file."""
    if shape is None:
        raise InputError(
            f"{file} holds outlines, and no size of an image; give the image's shape (H, W) too."
        )
    hover_net = file.suffix.lower() != ".geojson" and _HOVER_NET.search(head) is not None
    polygons = read_hovernet_json(file) if hover_net else read_geojson(file)
    if not hover_net:
        return _drawn(polygons, shape, np.arange(1, len(polygons) + 1))
    numbers = [int(text) for text in polygons.ids]
    if len(set(numbers)) < len(numbers) or max(numbers, default=0) > MAX_LABEL:
        raise InputError(
            f"{file}: its ids repeat or exceed {MAX_LABEL}; number its nuclei from 1 on."
        )
    return _drawn(polygons, shape, np.array(numbers, np.int64))


def _drawn(polygons: Polygons, shape: tuple[int, int], ids: npt.NDArray[np.int64]) -> Instances:
    """Draw polygon i with ``ids[i]``; those without a pixel of their own are told."""
    positions = rasterize(polygons, shape)
    table = np.zeros(len(polygons) + 1, np.int32)
    table[1:] = ids
    labels = table[positions]
    seen = present_ids(positions)
    order = np.argsort(table[seen], kind="stable")
    notes, gone = polygons.notes, len(polygons) - len(seen)
    if gone:
        text = f"{gone} of {len(polygons)} outlines lie outside of the image or under others"
        notes = (*notes, text)
    return Instances(labels, table[seen][order], polygons.type[seen - 1][order], notes=notes)
