"""A label image with a type per instance: what MAT and TIFF files hold."""

from __future__ import annotations

import csv
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import InputError
from ..limits import check_room
from ..types import Int32, TypeInfo, unnamed
from .files import MAX_TYPE, METADATA_KEY, atomic_path, readable
from .tiff import JPEGS, main_series, tiff_file

MAX_LABEL = 2**31 - 1
"""Largest instance id that fits a label image."""


@dataclass(frozen=True, eq=False)
class Instances:
    """Labels and what is known of each instance."""

    labels: Int32  # int32 (H, W): 0 = background
    ids: Int32  # The ids in ``labels``, rising
    type: Int32  # Type of each id, 0 = none
    metadata: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()  # What was left out or assumed while reading
    type_names: Mapping[int, TypeInfo] = field(default_factory=dict)  # Where the file names types

    def __len__(self) -> int:
        return len(self.ids)


COLOURS = (2, 3, 4)
"""Sizes of a last axis that holds colours."""


def renumbered(
    values: npt.NDArray[Any], what: str
) -> tuple[Int32, npt.NDArray[Any], tuple[str, ...]]:
    """Return a label image as int32, the ids as stored in the order of those here, and notes.

    Ids beyond int32 are numbered anew; negative ones, which by custom do not count, are background.
    """
    low = high = 0.0
    if values.size and values.ndim == 2 and values.dtype.kind in "if":
        low, high = float(values.min()), float(values.max())
    elif values.size and values.dtype.kind == "u":
        high = float(values.max())
    notes: list[str] = []
    if -np.inf < low < 0:
        gone = values < 0
        ids = ", ".join(f"{value:g}" for value in np.unique(values[gone])[:3])
        notes.append(f"{np.count_nonzero(gone):,} pixels of negative ids ({ids}) are background")
        values = np.where(gone, 0, values)
    if MAX_LABEL < high < np.inf:
        stored, inverse = np.unique(values, return_inverse=True)
        inverse = inverse.reshape(values.shape) + int(bool(len(stored)) and stored[0] != 0)
        notes.append(f"ids run to {high:.0f}: numbered anew from 1 on")
        _ = check_labels(np.atleast_2d(stored - stored.min()) % 2, what)  # fractions
        return inverse.astype(np.int32), stored[stored > 0], tuple(notes)
    labels = check_labels(values, what)
    return labels, present_ids(labels), tuple(notes)


def check_labels(values: npt.NDArray[Any], what: str) -> Int32:
    """Return a label image as int32."""
    if values.ndim != 2:
        raise InputError(
            f"{what} has shape {values.shape}; a label image is (H, W): one plane of whole "
            "numbers, not colours and not a stack."
        )
    if values.dtype.kind not in "iufb":
        raise InputError(f"{what} has dtype {values.dtype}; labels are whole numbers.")
    if not values.size:
        return values.astype(np.int32)
    low, high = values.min(), values.max()
    if np.isnan(low):
        n = np.count_nonzero(np.isnan(values))
        raise InputError(f"{what} has {n:,} pixels that are no number; give 0 for background.")
    if not (low >= 0 and high <= MAX_LABEL):
        raise InputError(f"{what} runs from {low} to {high}; labels lie in 0..{MAX_LABEL}.")
    labels = values.astype(np.int32, copy=False)
    if values.dtype.kind == "f" and not (labels == values).all():
        raise InputError(f"{what} holds fractions; labels are whole numbers.")
    return labels


def present_ids(labels: Int32) -> Int32:
    """List the ids in a label image, rising, without 0."""
    ids = np.unique(labels)
    return ids[ids > 0].astype(np.int32)


def instances_of(labels: Int32, **about: Any) -> Instances:
    """Make instances without types of a label image; ``about`` is metadata and notes."""
    ids = present_ids(labels)
    return Instances(labels, ids, np.zeros(len(ids), np.int32), **about)


def instances_in(
    values: npt.NDArray[Any], what: str, notes: tuple[str, ...] = (), **about: Any
) -> Instances:
    """Make instances of a stored label image: one plane of whole numbers, or all colours alike."""
    plane, more = one_plane(values, what)
    labels, _, renamed = renumbered(plane, what)
    return instances_of(labels, notes=(*notes, *more, *renamed), **about)


def typed_by_map(found: Instances, kinds: npt.NDArray[Any], what: str) -> Instances:
    """Give each nucleus the type that most of its pixels have in a map of types."""
    kinds, _, _ = renumbered(kinds, what)
    if kinds.shape != found.labels.shape:
        raise InputError(f"{what} is {kinds.shape}, the labels are {found.labels.shape}.")
    inside = (found.labels > 0) & (kinds > 0)
    place = np.searchsorted(found.ids, found.labels[inside])
    n = int(kinds.max(initial=0)) + 1
    if n > MAX_TYPE + 1:
        raise InputError(f"{what} runs to {n - 1}; types lie in 0..{MAX_TYPE}.")
    votes = np.bincount(place * n + kinds[inside], minlength=len(found) * n).reshape(-1, n)
    note = f"types are those that most pixels of a nucleus have in {what}"
    kind = votes.argmax(axis=1).astype(np.int32)
    return replace(found, type=kind, notes=(*found.notes, note))


def one_plane(values: npt.NDArray[Any], what: str) -> tuple[npt.NDArray[Any], tuple[str, ...]]:
    """Drop axes of one, and colours that are all alike; an alpha channel tells nothing of ids."""
    shape = values.shape
    if values.ndim > 2 and 1 in shape:
        values = values.squeeze()
        if values.ndim == 2:
            return values, (f"shape {shape} is read as one plane",)
    if values.ndim != 3 or values.shape[2] not in COLOURS or min(shape[:2]) <= max(COLOURS):
        return values, ()
    colours = values[..., :3] if values.shape[2] >= 3 else values[..., :1]
    if not (colours == colours[..., :1]).all():
        raise InputError(
            f"{what} is a colour picture of labels (shape {shape}); colours are no ids: export "
            "the label image itself, as grey 16-bit PNG or TIFF."
        )
    note = f"the picture has {shape[2]} channels, all alike: the first is used"
    return np.ascontiguousarray(values[..., 0]), (note,)


TYPE_TABLE = "_types.csv"
TYPE_TABLES = (rf"\g<stem>{TYPE_TABLE}", r"\g<stem>.csv")
"""Names of a table of types beside a label image ``STEM_labels.tif``; the first that is there."""
_STEM = re.compile(r"(?P<stem>.+?)(_(lab|label|inst|instance|mask)s?)?$")
_TYPE_COLUMNS = ("label", "type")


def with_type_table(found: Instances, file: Path) -> Instances:
    """Give instances the types of a table beside their file: columns label, type, type_name."""
    for name in TYPE_TABLES:
        beside = file.with_name(_STEM.sub(name, file.stem, count=1))
        if not found.type.any() and beside.is_file():
            found = _typed(found, beside)
    return found


def _typed(found: Instances, table: Path) -> Instances:
    """Read the types of a table; one without the columns is about something else."""
    remedy = "label and type must be whole numbers"
    with readable(table, remedy), open(table, encoding="utf-8-sig", newline="") as handle:
        rows = csv.DictReader(handle)
        if not set(_TYPE_COLUMNS) <= set(rows.fieldnames or ()):
            return found
        typed = [(int(row["label"]), int(row["type"] or 0), row.get("type_name") or "")
                 for row in rows]  # fmt: skip
    types = {label: kind for label, kind, _ in typed if 0 <= kind <= MAX_TYPE}
    names = {kind: name.lstrip("'") for _, kind, name in typed if kind and name}
    known = {kind: unnamed(kind, names[kind]) for kind in sorted(names)}
    kinds = np.array([types.get(int(i), 0) for i in found.ids], np.int32)
    named_so = table.name.endswith(TYPE_TABLE)
    notes = found.notes if named_so else (*found.notes, f"types are those of {table.name}")
    return replace(found, type=kinds, type_names=known, notes=notes)


TILE = 512
"""Tile edge in pixels of large images."""
TILED_FROM = 2048
"""Images with an edge of at least this many pixels are tiled."""
BIG_TIFF_FROM = 2**31
"""Uncompressed bytes from which 64-bit offsets are used."""


def write_label_tiff(
    path: str | os.PathLike[str],
    labels: Int32,
    *,
    mpp: float | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> None:
    """Write a label image: uint16 up to 65,535 nuclei, int32 beyond; zlib, no loss.

    Large ones are written tile by tile, so no second copy of the image is made.
    """
    labels = check_labels(np.asarray(labels), "The label image")
    if not labels.size:
        raise InputError(f"The label image is empty (shape {labels.shape}); there is no such TIFF.")
    largest = int(labels.max())
    dtype = np.dtype(np.uint16 if largest <= np.iinfo(np.uint16).max else np.int32)
    tiled = max(labels.shape) >= TILED_FROM
    per_cm = 1e4 / mpp if mpp else None
    import tifffile  # noqa: PLC0415 - on first use

    with atomic_path(path) as temporary, open(temporary, "rb+") as file:
        tifffile.imwrite(
            file,
            _tiles(labels, dtype) if tiled else labels.astype(dtype),
            shape=labels.shape,
            dtype=dtype,
            bigtiff=labels.size * dtype.itemsize >= BIG_TIFF_FROM,
            tile=(TILE, TILE) if tiled else None,
            compression="zlib",
            photometric="minisblack",
            resolution=(per_cm, per_cm) if per_cm else None,
            resolutionunit="CENTIMETER" if per_cm else None,
            # tifffile looks for the array's shape in any JSON there
            description=json.dumps(
                {"shape": list(labels.shape), METADATA_KEY: dict(metadata or {})}
            ),
            metadata=None,
            software="napari-hovernet",
        )


def _tiles(labels: Int32, dtype: np.dtype[Any]) -> Iterator[npt.NDArray[Any]]:
    """Cut the image into tiles, row by row; those at the border are smaller."""
    height, width = labels.shape
    for r in range(0, height, TILE):
        for c in range(0, width, TILE):
            yield labels[r : r + TILE, c : c + TILE].astype(dtype)


def read_label_tiff(path: str | os.PathLike[str]) -> Instances:
    """Read a label TIFF, ours or another's: its largest image, refused where it is a stack."""
    file = Path(path)
    with tiff_file(file) as tiff:
        series, notes = main_series(tiff)
        level = series.levels[0]
        if level.keyframe.compression in JPEGS:
            raise InputError(f"{file} is compressed as JPEG, which changes ids; use LZW or none.")
        pixels = int(np.prod(level.shape, dtype=object))
        check_room(pixels * level.dtype.itemsize, file.name)
        values, description = level.asarray(), tiff.pages.first.description
    try:
        found = json.loads(description)
    except (ValueError, RecursionError):  # another program's words
        found = None
    about = found.get(METADATA_KEY) if isinstance(found, dict) else None
    return instances_in(
        values, f"{file}: the image", notes, metadata=about if isinstance(about, dict) else {}
    )
