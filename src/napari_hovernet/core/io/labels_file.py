"""A label image out of whatever file holds one; the content tells the format."""

from __future__ import annotations

import os
import re
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, PngImagePlugin

from ...errors import InputError
from .geojson import read_geojson
from .hovernet_json import read_hovernet_json
from .hovernet_mat import read_hovernet_mat
from .instances import MAX_LABEL, Instances, check_labels, present_ids
from .label_tiff import MAX_READ_PIXELS, read_label_tiff
from .polygons import Polygons, rasterize

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
_DEPTH_AT, _DEEP = 24, 16

_Reader = Callable[[Path], Instances]


def read_labels(path: str | os.PathLike[str], shape: tuple[int, int] | None = None) -> Instances:
    """Read instance labels: PNG, TIFF, NPY, MAT, hover_net JSON or GeoJSON.

    Parameters
    ----------
    path : path
        PNG: grey, 8 or 16 bits; a palette is ignored, its numbers are the ids; colours are
        read only where red, green and blue are equal. TIFF: one (H, W) plane of whole
        numbers. NPY: one (H, W) array of numbers. MAT: hover_net's ``inst_map`` (CoNSeP
        too). JSON: the outlines of hover_net or QuPath, drawn into ``shape``.
    shape : (int, int), optional
        Height and width of the image the nuclei lie in. Outlines need it; a label image
        has a size of its own, which is not compared here.

    Returns
    -------
    Instances
        ``labels`` int32 (H, W), 0 = background; ids as in the file, gaps kept. hover_net
        JSON keeps its ids, GeoJSON is numbered from 1 in its order.

    Raises
    ------
    InputError
        If the file is not there, damaged, of another kind, or holds no whole numbers in
        0..2**31 - 1; names the file and what to do.

    Examples
    --------
    >>> read_labels("missing.png")
    Traceback (most recent call last):
        ...
    napari_hovernet.errors.InputError: missing.png is not there; check the path.
    """
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
            deep = handle.read(_DEPTH_AT + 1)[-1:] == bytes([_DEEP])
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
