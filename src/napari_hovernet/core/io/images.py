"""Image files: PNG, JPEG and TIFF, with the mpp they state."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, JpegImagePlugin, PngImagePlugin

from ...errors import InputError
from ..image import ArraySource, ImageSource, as_source
from ..memory import free_memory
from .mpp import dpi_mpp
from .tiff import open_tiff

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
    """An image file, opened.

    Parameters
    ----------
    source : ImageSource
        Its pixels; a TIFF is read by region.
    mpp : float or None
        Micrometres per pixel by its metadata, None = not stated or not plausible.
    path : Path
    name : str
        File name without suffixes, for results.
    """

    source: ImageSource
    mpp: float | None
    path: Path
    name: str


def read_image(path: str | Path) -> ImageFile:
    """Open a PNG, JPEG or TIFF (strips, tiles, pyramids, BigTIFF, SVS).

    mpp comes from OME-XML, an Aperio description, the resolution tags, or the resolution of
    a PNG or JPEG, if it lies in ``core.io.mpp.MPP_RANGE``. Pixels stay as they are stored:
    an EXIF orientation is told, not applied.

    Parameters
    ----------
    path : str or Path

    Raises
    ------
    InputError
        If the file is not there, no image, damaged, cut off, too large to decode, or holds
        something :func:`napari_hovernet.core.image.as_source` refuses; names the file.

    Examples
    --------
    >>> read_image("missing.png")
    Traceback (most recent call last):
        ...
    napari_hovernet.errors.InputError: missing.png is not there; check the path.
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
