"""A slide of any kind as an image that is read by region, opened in the process that reads it."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ...errors import InputError
from ..inference.images import ArraySource, UInt8, as_source
from ..io.open import read_image
from ..io.scale import MPP_RANGE
from ..io.tiff import main_series, open_tiff, tiff_file

Array = npt.NDArray[Any]

TIFF, OPENSLIDE, ZARR, PICTURE = "TIFF", "OpenSlide", "OME-Zarr", "picture"
OPENSLIDE_SUFFIXES = (".ndpi", ".mrxs", ".scn", ".bif", ".vms", ".vmu", ".svslide", ".czi", ".dcm")
TIFF_SUFFIXES = (".svs", ".tif", ".tiff", ".btf", ".tf8", ".ndpi", ".scn", ".bif", ".qptiff")
ZARR_FILES = ("zarr.json", ".zgroup", ".zattrs")
EXTRA = "pip install 'napari-hovernet[slides]'"
OVERVIEW_PIXELS = 4_000_000
"""Pixels of a finer level that are read at a time to make an overview."""
UNREADABLE = 128
"""Shown on an overview where the slide cannot be read."""
OPEN_SLIDES = 8
"""Slides that a process holds open."""
MICROMETRES = {"nanometer": 1e-3, "micrometer": 1.0, "millimeter": 1e3}


def optional(name: str) -> Any:
    """Import a package of the extra, or say how to get it."""
    try:
        return import_module(name)
    except ImportError as error:
        raise InputError(f"{name.partition('.')[0]} is not installed; {EXTRA}.") from error


@dataclass(frozen=True)
class SlideSource:
    """Where a slide is, and which level of it; an :class:`ImageSource` that can be pickled."""

    path: str  # File, folder or store URL
    kind: str
    shape: tuple[int, int]  # Height and width of the level, pixels
    mpp: float  # Micrometres per pixel of the level
    level: int = 0
    levels: tuple[tuple[int, int], ...] = ()  # Sizes of all levels, finest first
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """File name without its endings."""
        name = self.path.rstrip("/\\").replace("\\", "/").rpartition("/")[2]
        for ending in (".ome.zarr", ".ome.tif", ".ome.tiff"):
            if name.lower().endswith(ending):
                return name[: -len(ending)]
        return Path(name).stem

    @property
    def array(self) -> ArraySource:
        """The level as 8-bit RGB, opened in this process."""
        return _opened(self.path, self.kind, self.level)

    def read(self, r0: int, r1: int, c0: int, c1: int) -> UInt8:
        """Return a region as (h, w, 3) uint8; what was unreadable is tried anew next time."""
        try:
            return self.array.read(r0, r1, c0, c1)
        except InputError:
            _opened.cache_clear()
            raise

    def readable(self, r0: int, r1: int, width: int) -> UInt8:
        """Return rows, grey (as if it were tissue) where they cannot be read."""
        try:
            return self.read(r0, r1, 0, width)
        except InputError:
            return np.full((r1 - r0, width, 3), UNREADABLE, np.uint8)

    def overview(self, step: int) -> UInt8:
        """Return the slide reduced ``step`` times, from the coarsest level that is fine enough."""
        rows, cols = (-(-n // step) for n in self.shape)
        level = self.level
        for number in range(self.level + 1, len(self.levels)):
            if min(self.levels[number][0] / rows, self.levels[number][1] / cols) >= 1:
                level = number
        source = replace(self, level=level, shape=self.levels[level] if self.levels else self.shape)
        height, width = source.shape
        out = np.empty((rows, cols, 3), np.uint8)
        at_once = max(int(OVERVIEW_PIXELS / width * rows / height), 1)
        for first in range(0, rows, at_once):
            last = min(first + at_once, rows)
            top, bottom = (round(edge * height / rows) for edge in (first, last))
            strip = source.readable(top, max(bottom, top + 1), width)
            size = (cols, last - first)
            out[first:last] = cv2.resize(strip, size, interpolation=cv2.INTER_AREA)
        return out


@dataclass(frozen=True, eq=False)
class _Opened:
    """What a reader found: its levels as arrays, and the mpp of the finest."""

    level: Callable[[int], Any]
    sizes: tuple[tuple[int, int], ...]
    mpp: float | None
    notes: tuple[str, ...] = ()


def open_slide(
    path: str | os.PathLike[str], level: int = 0, mpp: float | None = None, *, to_look: bool = False
) -> SlideSource:
    """Find out how a slide is read, its size and its mpp (that of the level, if it is given).

    ``to_look`` takes one that does not tell its mpp, too: it is 0 then.
    """
    where = os.fspath(path)
    kind, found = _find(where)
    if not 0 <= level < len(found.sizes):
        raise InputError(
            f"{where} has {len(found.sizes)} level(s), numbered from 0; level {level} is not there."
        )
    factor = found.sizes[0][0] / found.sizes[level][0] if level else 1.0
    stated = found.mpp and found.mpp * factor
    if not (mpp or stated or to_look):
        raise InputError(
            f"{where} does not say how many micrometres a pixel has, and a whole slide is not "
            "segmented on a guess; give --image-mpp, in the viewer Resolution (0.25 at 40x, 0.5 at "
            "20x is usual)."
        )
    shape, value = found.sizes[level], float(mpp or stated or 0)
    source = SlideSource(where, kind, shape, value, level, found.sizes)
    return replace(source, notes=(*found.notes, *source.array.notes))


def _find(where: str) -> tuple[str, _Opened]:
    """Choose the reader: by what the path is, then by its ending, then by trying."""
    path = Path(where)
    if "://" in where or any((path / name).is_file() for name in ZARR_FILES):
        return ZARR, _open(where, ZARR)
    if path.is_dir():
        return OPENSLIDE, _open(where, OPENSLIDE)
    if not path.exists():
        raise InputError(f"{where} is not there; check the path.")
    if path.suffix.lower() in TIFF_SUFFIXES:
        try:
            return TIFF, _open(where, TIFF)
        except InputError:
            if path.suffix.lower() not in OPENSLIDE_SUFFIXES:
                raise
    if path.suffix.lower() in OPENSLIDE_SUFFIXES:
        return OPENSLIDE, _open(where, OPENSLIDE)
    return PICTURE, _open(where, PICTURE)


def _open(where: str, kind: str) -> _Opened:
    return {TIFF: _tiff, OPENSLIDE: _openslide, ZARR: _zarr, PICTURE: _picture}[kind](where)


@lru_cache(maxsize=OPEN_SLIDES)
def _opened(where: str, kind: str, level: int) -> ArraySource:
    try:
        source = as_source(_open(where, kind).level(level))
    except InputError as error:
        text = str(error)
        raise InputError(text if where in text else f"{where}: {text}") from error
    if not isinstance(source, ArraySource):  # pragma: no cover - readers give arrays
        raise InputError(f"{where} is no image.")
    # OpenSlide adds an alpha channel to whatever it reads: that tells nothing of the slide.
    return replace(source, notes=()) if kind == OPENSLIDE else source


def _picture(where: str) -> _Opened:
    """Decode a PNG or JPEG whole; its source brings its notes."""
    file = read_image(where)
    return _Opened(lambda _: file.source, (file.source.shape,), file.mpp)


# --- TIFF ----------------------------------------------------------------------------


def _tiff(where: str) -> _Opened:
    """Any TIFF by the reader of images: its first series, whose levels may be SubIFDs."""
    path = Path(where)
    try:
        with tiff_file(path) as file:
            series = main_series(file)[0]
            sizes = tuple(
                (level.shape[level.axes.index("Y")], level.shape[level.axes.index("X")])
                for level in series.levels
            )
    except ValueError as error:
        raise InputError(
            f"{where} has a level without rows and columns; is it complete?"
        ) from error
    array, notes, scale = open_tiff(path)
    first = (int(array.shape[0]), int(array.shape[1]))
    levels = (first, *((int(h), int(w)) for h, w in sizes[1:]))
    notes = (*notes, *filter(None, [scale.note]))
    return _Opened(lambda level: open_tiff(path, level)[0], levels, scale.mpp, notes)


# --- OpenSlide -----------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _OpenSlideArray:
    """A level of a slide of OpenSlide as a lazy (H, W, 4) array."""

    slide: Any
    level: int
    shape: tuple[int, int, int]
    dtype: np.dtype[Any] = field(default_factory=lambda: np.dtype(np.uint8))
    ndim: int = 3

    def __getitem__(self, key: tuple[slice, slice]) -> Array:
        """Return rows and columns as (h, w, 4)."""
        (r0, r1, _), (c0, c1, _) = (k.indices(n) for k, n in zip(key, self.shape, strict=False))
        factor = self.slide.level_downsamples[self.level]
        start = (round(c0 * factor), round(r0 * factor))
        try:
            return np.asarray(self.slide.read_region(start, self.level, (c1 - c0, r1 - r0)))
        except Exception as error:  # OpenSlideError, and Pillow's own
            raise InputError(
                f"rows {r0} to {r1}, columns {c0} to {c1} cannot be read ({error}); copy or export "
                "the slide again."
            ) from error


def _openslide(where: str) -> _Opened:
    """NDPI, MRXS, SCN, BIF, DICOM and what else OpenSlide knows."""
    library, path = optional("openslide"), Path(where)
    candidates = sorted(path.glob("*.dcm")) if path.is_dir() else [path]
    slide, why = None, "there is no slide in this folder"
    for candidate in candidates:
        try:
            slide = library.OpenSlide(candidate)
            break
        except library.OpenSlideError as error:
            why = str(error)
    if slide is None:
        raise InputError(f"{where} cannot be read as a slide ({why}); is it complete?")
    sizes = tuple((int(h), int(w)) for w, h in slide.level_dimensions)
    sides = [slide.properties.get(f"openslide.mpp-{axis}") for axis in "xy"]
    mpp = sum(float(side) for side in sides) / 2 if all(sides) else None
    if mpp is not None and not MPP_RANGE[0] <= mpp <= MPP_RANGE[1]:
        mpp = None
    return _Opened(lambda level: _OpenSlideArray(slide, level, (*sizes[level], 4)), sizes, mpp)


# --- OME-Zarr ------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _ZarrArray:
    """A level of OME-Zarr as a lazy (H, W, C) array: the first of time and depth."""

    array: Any
    axes: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def ndim(self) -> int:
        """Number of axes: 2 or 3."""
        return len(self.shape)

    def __getitem__(self, key: tuple[slice, slice]) -> Array:
        """Return rows and columns, colours last."""
        where = {"y": key[0], "x": key[1], "c": slice(None)}
        try:
            block = np.asarray(self.array[tuple(where.get(axis, 0) for axis in self.axes)])
        except Exception as error:  # stores and codecs raise errors of their own kinds
            raise InputError(
                f"{key[0]}, {key[1]} cannot be read ({type(error).__name__}: {error}); copy or "
                "export the slide again."
            ) from error
        kept = "".join(axis for axis in self.axes if axis in where)
        return np.transpose(block, [kept.index(axis) for axis in "yxc"[: len(self.shape)]])


def _zarr(where: str) -> _Opened:
    """OME-Zarr 0.4 (zarr 2) and 0.5 (zarr 3), a folder or a URL."""
    library = optional("zarr")
    try:
        group = library.open_group(where, mode="r")
        about = dict(group.attrs)
        scales = about.get("ome", about)["multiscales"][0]
        axes = "".join(axis["name"].lower() for axis in scales["axes"])
        arrays = [group[entry["path"]] for entry in scales["datasets"]]
        transforms = scales["datasets"][0].get("coordinateTransformations", [])
        scale = next((t["scale"] for t in transforms if t["type"] == "scale"), None)
    except Exception as error:  # missing keys, stores that are no zarr, networks that are down
        raise InputError(
            f"{where} cannot be read as OME-Zarr ({type(error).__name__}: {error}); give the "
            "folder that holds its multiscales. Slides of other kinds are read from files alone."
        ) from error
    if "y" not in axes or "x" not in axes:
        raise InputError(f"{where} has the axes {axes!r}; an image with y and x is needed.")
    sizes = tuple((int(a.shape[axes.index("y")]), int(a.shape[axes.index("x")])) for a in arrays)
    unit = MICROMETRES.get(str(scales["axes"][axes.index("x")].get("unit")))
    mpp = float(scale[axes.index("x")]) * unit if scale and unit else None
    plausible = mpp is not None and MPP_RANGE[0] <= mpp <= MPP_RANGE[1]

    def level(number: int) -> _ZarrArray:
        array = arrays[number]
        colours = (int(array.shape[axes.index("c")]),) if "c" in axes else ()
        return _ZarrArray(array, axes, (*sizes[number], *colours), np.dtype(array.dtype))

    return _Opened(level, sizes, mpp if plausible and not math.isnan(mpp or 0) else None)
