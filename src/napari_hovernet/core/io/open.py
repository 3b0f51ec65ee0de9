"""Image files (PNG, JPEG, TIFF, with the mpp they state) and label files of every kind."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, JpegImagePlugin, PngImagePlugin

from ...errors import InputError, plain
from ..inference.images import ArraySource, ImageSource, as_source
from ..limits import check_file, check_room, npy_header
from .files import readable
from .geojson import Polygons, rasterize, read_geojson
from .hover_net import read_hovernet_json, read_hovernet_mat
from .labels import (
    MAX_LABEL,
    Instances,
    instances_in,
    present_ids,
    read_label_tiff,
    typed_by_map,
    with_type_table,
)
from .scale import Scale, of_dpi
from .tiff import ORIENTATION, check_scans, open_tiff, turned

Array = npt.NDArray[Any]

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".svs", ".ndpi", ".btf", ".tf8")
LABEL_SUFFIXES = (
    ".png",
    ".tif",
    ".tiff",
    ".npy",
    ".mat",
    ".json",
    ".geojson",
    ".zip",
    ".xml",
    ".db",
)
"""Names of files that are looked for in a folder; what a file is, its content tells."""
HEAD_BYTES = 65_536
"""First bytes of a file, in which its kind must show."""
DECODE_BYTES = 8
"""Main memory that decoding a PNG or JPEG takes per pixel, bytes."""

_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_PNG, _JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
MASK_SUFFIXES = (".png", ".tif", ".tiff")
"""Of the files of a folder with a mask per nucleus."""
_SQLITE = b"SQLite format 3\0"
_NPY, _ZIP, _MATLAB = b"\x93NUMPY", b"PK\x03\x04", b"MATLAB "
_HOVER_NET = re.compile(rb'"nuc"\s*:\s*\{')
_PNG_DEPTH_AT = 24
WITH_ALPHA = ("LA", "La", "PA", "RGBa")
"""Pillow's modes that become RGBA."""
OPENCV_PIXELS = 2**30
"""Pixels beyond which OpenCV opens no picture; colours of 16 bits are then read as 8."""


def _pixels(image: Image.Image) -> int:
    return image.size[0] * image.size[1]


def _head(path: Path, wanted: str) -> bytes:
    """Return the first bytes, or say why there are none."""
    check_file(path, wanted)
    with readable(path), path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if not head:
        raise InputError(f"{path} is empty (0 bytes); copy or export it again.")
    return head


@contextmanager
def _picture(path: Path, head: bytes) -> Iterator[Image.Image]:
    """Open a PNG or JPEG whose pixels are not decoded yet; name what is wrong with it."""
    kind: Any = (
        PngImagePlugin.PngImageFile if head.startswith(_PNG) else JpegImagePlugin.JpegImageFile
    )
    # Not Image.open: it would refuse sizes that are usual here.
    with readable(path), path.open("rb") as file:
        try:
            with kind(file) as image:
                yield image
        except SyntaxError as error:  # Pillow's word for what it does not know
            raise InputError(
                f"{path} is damaged, or of a kind that is not read ({plain(error, 80)}; 12-bit and "
                "lossless JPEG are not); export it again, as PNG or TIFF."
            ) from error


def _deep(path: Path, head: bytes, image: Image.Image) -> Array | None:
    """Decode a 16-bit PNG, which Pillow would cut to 8 bits; None for other pictures."""
    if not head.startswith(_PNG) or head[_PNG_DEPTH_AT:][:1] != b"\x10":
        return None
    if _pixels(image) > OPENCV_PIXELS:  # grey ones Pillow reads whole
        return np.asarray(image) if image.mode == "I;16" else None
    image.verify()
    decoded = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    if decoded is None:
        raise OSError("no pixels")
    if decoded.ndim == 2:
        return np.asarray(decoded)
    return np.ascontiguousarray(decoded[..., [2, 1, 0, 3][: decoded.shape[2]]])


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
    or JPEG, if it is a microscope's (see ``scale.py``). Pixels stay as they are stored: an EXIF
    orientation is told, not applied.
    """
    path = Path(path)
    head = _head(path, "an image file")
    try:
        data, notes, scale = open_tiff(path) if head.startswith(_TIFF) else _decode(path, head)
        source = as_source(data)
    except InputError as error:
        text = str(error)
        raise InputError(text if path.name in text else f"{path.name}: {text}") from error
    notes = (*notes, *filter(None, [scale.note]))
    if notes and isinstance(source, ArraySource):
        source = replace(source, notes=(*notes, *source.notes))
    ome = re.fullmatch(r"(.*)\.ome\.tiff?", path.name, re.IGNORECASE)
    return ImageFile(source, scale.mpp, path, ome.group(1) if ome else path.stem)


def _decode(path: Path, head: bytes) -> tuple[Any, tuple[str, ...], Scale]:
    """Decode a PNG or JPEG whole; its size is looked at before its pixels."""
    if not head.startswith((_PNG, _JPEG)):
        raise InputError(f"{path} is no PNG, JPEG or TIFF image; convert it first.")
    with _picture(path, head) as image:
        check_room(_pixels(image) * DECODE_BYTES, path.name, "save it as a tiled TIFF")
        check_scans(path.read_bytes() if head.startswith(_JPEG) else b"")
        scale, turn = of_dpi(image.info.get("dpi")), 1
        pixels = _deep(path, head, image)
        if pixels is None:
            turn = image.getexif().get(ORIENTATION, 1)
            plain = image.mode in ("L", "RGB", "RGBA")  # not palettes, CMYK, 1-bit images
            alpha = "transparency" in image.info or image.mode in WITH_ALPHA
            mode = "RGBA" if alpha else "RGB"
            pixels = np.asarray(image if plain else image.convert(mode))
    return pixels, turned(turn), scale


# --- labels --------------------------------------------------------------------------


def read_labels(
    path: str | os.PathLike[str], shape: tuple[int, int] | None = None, name: str = ""
) -> Instances:
    """Read instance labels of any kind that is known; a folder holds a mask per nucleus.

    ``shape`` is needed for outlines, ``name`` of the image for files that tell of several.
    """
    file = Path(path)
    if file.is_dir():
        from .foreign import read_mask_folder  # noqa: PLC0415 - for labels alone, as below

        masks = [p for p in sorted(file.iterdir()) if p.suffix.lower() in MASK_SUFFIXES]
        planes = (_read_raster(p, _head(p, "a mask")).labels for p in masks)
        return read_mask_folder(file, masks, planes)
    head = _head(file, "one label file")
    polygons = read_outlines(file, head, name)
    if polygons is not None:
        return _drawn(file, head, polygons, shape)
    found = with_type_table(_read_raster(file, head), file)
    if len(found) != 1:
        return found
    note = f"there is only one id ({found.ids[0]}): if this is a mask, label its nuclei first"
    return replace(found, notes=(*found.notes, note))


def read_outlines(file: Path, head: bytes | None = None, name: str = "") -> Polygons | None:
    """Read a file of outlines by what its first bytes say; None where it is none."""
    from .foreign import json_kind, read_json, read_store, read_xml  # noqa: PLC0415
    from .rois import is_rois, read_rois  # noqa: PLC0415

    head = _head(file, "one label file") if head is None else head
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if is_rois(head):
        return read_rois(file)
    if head.startswith(_SQLITE):
        return read_store(file)
    if text[:1] == b"<":
        return read_xml(file)
    if text[:1] not in (b"{", b"["):
        return None
    if is_hovernet(file, head):
        return read_hovernet_json(file)
    kind = "" if b'"Feature' in head or file.suffix.lower() == ".geojson" else json_kind(head)
    return read_json(file, kind, name) if kind else read_geojson(file)


def is_hovernet(file: Path, head: bytes) -> bool:
    """Tell hover_net's JSON by its first bytes."""
    return file.suffix.lower() != ".geojson" and _HOVER_NET.search(head) is not None


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
        why = (
            "is an archive: unpack it (a folder may hold a mask per nucleus); of an .npz save the "
            "labels alone: numpy.save('x.npy', a)"
        )
    elif file.suffix.lower() == ".dat":
        why = "is a pickle of joblib; save it from TIAToolbox as GeoJSON or as a store (.db)"
    elif head.startswith(_JPEG):
        why = "is a JPEG, whose compression changes ids; export the labels as PNG or TIFF"
    else:
        why = (
            "is no label file that is known; give a grey PNG, a TIFF, NPY, MAT, JSON of hover_net, "
            "CellViT or COCO, GeoJSON, ImageJ's ROIs or ImageScope's XML"
        )
    raise InputError(f"{file} {why}.")


def _read_png(file: Path, head: bytes) -> Instances:
    """Read ids as stored: grey levels or numbers of a palette."""
    with _picture(file, head) as image:
        check_room(_pixels(image) * DECODE_BYTES, file.name)
        deep = _deep(file, head, image)
        values = np.asarray(image) if deep is None else deep
        notes: tuple[str, ...] = ()
        if deep is None and image.mode == "P":
            notes = ("the picture has a palette: its numbers are taken for ids",)
    return instances_in(values, f"{file}: the image", notes)


def _read_npy(file: Path) -> Instances:
    """Read one array; its header is looked at first, so that a false size in it does no harm."""
    with readable(file, "save it again"), file.open("rb") as handle:
        shape, _, dtype = npy_header(handle)
        if dtype.hasobject:
            from .foreign import read_cellpose  # noqa: PLC0415

            return read_cellpose(file)
        size = int(np.prod(shape, dtype=object)) * dtype.itemsize
        if size > file.stat().st_size:
            raise ValueError(f"{size} bytes expected")
        check_room(size, str(file))
        handle.seek(0)
        stored = np.load(handle, allow_pickle=False)
    if stored.ndim == 3 and stored.shape[2] == 2:  # ids, types: as hover_net and CoNIC stack them
        found = instances_in(stored[..., 0], f"{file}: the array")
        return typed_by_map(found, stored[..., 1], "the array's second plane")
    return instances_in(stored, f"{file}: the array")


def _drawn(file: Path, head: bytes, polygons: Polygons, shape: tuple[int, int] | None) -> Instances:
    """Draw outlines; those of hover_net keep their ids."""
    if shape is None:
        raise InputError(
            f"{file} holds outlines, and no size of an image; give the image's shape (H, W) too."
        )
    keeps = is_hovernet(file, head)
    ids = [int(text) for text in polygons.ids] if keeps else range(1, len(polygons) + 1)
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
    names = {k: t for k, t in polygons.type_names.items() if t.name != f"type {k}"}
    return Instances(table[positions], table[seen][order], types, notes=notes, type_names=names)
