"""The JSON result of hover_net: one object per nucleus, with its boundary pixels."""

from __future__ import annotations

import json
import math
import os
import zlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
import numpy.typing as npt

from ...errors import InputError, OutputError, plain
from ..limits import check_file, check_room
from ..types import Int32, Nuclei, unnamed
from .files import (
    MAX_TYPE,
    METADATA_KEY,
    atomic_path,
    load_json,
    member,
    named,
    numbers,
    own_shape,
    own_types,
    points,
    readable,
    type_info_json,
    types_to_json,
)
from .geojson import MAX_COORDINATE, Polygons, contour_mask, contour_outlines
from .labels import Instances, check_labels, instances_of, renumbered, typed_by_map
from .scale import BY_CUSTOM

MAX_CONTOUR_EDGE = 4096
"""Largest width or height in pixels of a single nucleus given by its boundary pixels."""


def write_hovernet_json(
    path: str | os.PathLike[str],
    nuclei: Nuclei,
    *,
    offset: tuple[int, int] = (0, 0),
    mpp: float | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> None:
    """Write nuclei as hover_net does."""
    mag = round(BY_CUSTOM / mpp, 4) if mpp else None
    about = {**(metadata or {}), "types": types_to_json(nuclei.type_names), **_not_held(nuclei)}
    typed = bool(nuclei.type_names) or bool(nuclei.type.any())
    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
        file.write(f'{{"mag": {json.dumps(mag)}, "nuc": {{')
        for i in range(len(nuclei)):
            entry = json.dumps(_entry(nuclei, i, offset, typed), allow_nan=False)
            file.write(f'{"," if i else ""}\n"{nuclei.label[i]}": {entry}')
        named_types = json.dumps(type_info_json(nuclei.type_names))
        more = f'"type_info": {named_types}, ' if typed else ""
        file.write(f'\n}}, {more}"{METADATA_KEY}": {json.dumps(about)}}}\n')


def _not_held(nuclei: Nuclei) -> dict[str, str]:
    """Say which nuclei the format cannot hold: it knows the outer boundary of one part alone."""
    short = [
        int(nuclei.label[i])
        for i, contour in enumerate(nuclei.contours)
        if contour_mask(contour).sum() != nuclei.area[i]
    ]
    if not short:
        return {}
    shown = ", ".join(map(str, short[:10])) + (" ..." if len(short) > 10 else "")
    text = f"holes and second parts of {len(short)} nuclei (ids {shown}); GeoJSON keeps them"
    return {"not_held": text}


def _entry(nuclei: Nuclei, i: int, offset: tuple[int, int], typed: bool) -> dict[str, Any]:
    row, col = offset
    corners = nuclei.bbox[i].reshape(2, 2) + np.array([row, col])
    shift = np.array([col, row])
    probability = float(nuclei.type_probability[i])
    return {
        "bbox": corners.tolist(),
        "centroid": [round(float(v), 3) for v in nuclei.centroid[i] + shift],
        "contour": (nuclei.contours[i] + shift).tolist(),
        "type_prob": probability if typed and math.isfinite(probability) else None,
        "type": int(nuclei.type[i]) if typed else None,
    }


def read_hovernet_json(path: str | os.PathLike[str]) -> Polygons:
    """Read a hover_net JSON result.

    Ids may have gaps, as hover_net's own have; ``Polygons.ids`` keeps them. Outlines enclose the
    boundary pixels, so :func:`~.geojson.rasterize` gives back the nuclei. ``measurements`` holds
    "Type probability".
    """
    data = load_json(path)
    with named(path):
        return _polygons(data)


def _polygons(data: Any) -> Polygons:
    nuclei = member(data, "nuc", "The file")
    if not isinstance(nuclei, dict):
        raise InputError("its 'nuc' is no object of nuclei by id; is it another format?")
    rings, types, probabilities = [], [], []
    for identity, entry in nuclei.items():
        what = f"Nucleus {identity!r}"
        if not (identity.isascii() and identity.isdigit() and int(identity[:12]) > 0):
            raise InputError(f"{what}: ids are whole numbers from 1.")
        contour = points(member(entry, "contour", what), f"{what}: its contour")
        if not len(contour) or np.abs(contour).max() > MAX_COORDINATE:
            raise InputError(
                f"{what}: its contour is empty or leaves the +-{MAX_COORDINATE:,.0f} pixels "
                "that an image can have."
            )
        span = int((contour.max(axis=0) - contour.min(axis=0)).max()) + 1
        if span > MAX_CONTOUR_EDGE:  # before memory is taken
            raise InputError(
                f"{what}: its contour spans {span} pixels; a nucleus has at most "
                f"{MAX_CONTOUR_EDGE}."
            )
        rings.append(tuple(contour_outlines(np.rint(contour).astype(np.int32))))
        kind = _scalar(entry.get("type"), f"{what}: type", 0)
        if kind != int(kind) or not 0 <= kind <= MAX_TYPE:
            raise InputError(f"{what}: type is {kind:g}; types are whole numbers in 0..{MAX_TYPE}.")
        types.append(int(kind))
        probabilities.append(_scalar(entry.get("type_prob"), f"{what}: type_prob", math.nan))
    names = {k: unnamed(k) for k in range(1, max(types, default=0) + 1)}
    return Polygons(
        rings=tuple(rings),
        ids=tuple(nuclei),
        type=np.array(types, np.int32),
        type_names=own_types(data) or names,
        measurements={"Type probability": np.array(probabilities, np.float64)},
        shape=own_shape(data),
    )


def _scalar(value: Any, what: str, absent: float) -> float:
    if value is None:
        return absent
    array = numbers(value, what)
    if array.ndim:
        raise InputError(f"{what} must be one number, not {value}.")
    return float(array)


MAX_MAT_PIXELS = 2**29 - 2**20
"""Pixels of an int32 ``inst_map`` that fit into a version 5 MAT file (2 GiB per variable)."""
NAMES = ("inst_map", "inst_uid", "inst_type", "type_map", "id", "class")
"""Variables that are read; the last two as Lizard calls them."""
MAX_MAT_BYTES = 9 * MAX_MAT_PIXELS
"""Most bytes that the variables of a file may unpack to."""
_COMPRESSED, _TAG, _MAT_HEADER = 15, 8, 128
_PIECE = 2**20


def write_hovernet_mat(path: str | os.PathLike[str], labels: Int32, nuclei: Nuclei) -> None:
    """Write a label image and its nuclei as hover_net does, compressed.

    ``inst_type`` is left out where the model has no types. Centroids are x, y within the label
    image.
    """
    if labels.size > MAX_MAT_PIXELS:
        raise OutputError(
            f"Cannot write {os.fspath(path)}: a MAT file holds label images of up to "
            f"{MAX_MAT_PIXELS:,} pixels, this has {labels.size:,}; use the label TIFF."
        )
    content: dict[str, npt.NDArray[Any]] = {
        "inst_map": labels,
        "inst_uid": nuclei.label.reshape(-1, 1),
        "inst_centroid": nuclei.centroid.reshape(-1, 2),
    }
    if nuclei.type_names or nuclei.type.any():
        content["inst_type"] = nuclei.type.reshape(-1, 1)
    from scipy import io as scipy_io  # noqa: PLC0415 - on first use

    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        scipy_io.savemat(file, content, do_compression=True)


def read_hovernet_mat(path: str | os.PathLike[str]) -> Instances:
    """Read a hover_net MAT result, or a label file with ``inst_map`` (CoNSeP, Lizard, PanNuke)."""
    with named(path):
        return _instances(_load(Path(path)))


def _load(file: Path) -> dict[str, npt.NDArray[Any]]:
    """Read the variables that are known, after a look at their sizes."""
    from scipy import io as scipy_io  # noqa: PLC0415 - on first use

    check_file(file, "a MAT file", MAX_MAT_BYTES)
    with readable("it"), open(file, "rb") as handle:
        try:
            sizes = {name: shape for name, shape, _ in scipy_io.whosmat(handle)}
        except NotImplementedError as error:  # version 7.3 is HDF5
            raise InputError("it is of MAT version 7.3; save it with '-v7'.") from error
        if "inst_map" not in sizes:
            there = plain(", ".join(sorted(sizes)) or "nothing")
            raise InputError(f"it has no inst_map, only {there}.")
        if int(np.prod(sizes["inst_map"], dtype=object)) > MAX_MAT_PIXELS:
            raise InputError(f"its inst_map claims to be {sizes['inst_map']} pixels large.")
        _check_unpacked(handle)
        handle.seek(0)
        content = scipy_io.loadmat(handle, variable_names=NAMES)
    return {name: np.asarray(content[name]) for name in NAMES if name in content}


def _check_unpacked(handle: BinaryIO) -> None:
    """Unpack what is compressed, keeping nothing, to see that it does not fill the memory."""
    handle.seek(0)
    start = handle.read(_MAT_HEADER)
    order: Literal["little", "big"] = "big" if start[-2:] == b"MI" else "little"
    total = 0
    while len(tag := handle.read(_TAG)) == _TAG:
        kind, left = (int.from_bytes(tag[i : i + 4], order) for i in (0, 4))
        if not kind or not left:
            break
        if kind != _COMPRESSED:
            handle.seek(left, os.SEEK_CUR)
            continue
        stream = zlib.decompressobj()
        while left and (piece := handle.read(min(left, _PIECE))):
            left -= len(piece)
            while piece and total <= MAX_MAT_BYTES:
                total += len(stream.decompress(piece, _PIECE))
                piece = stream.unconsumed_tail
    if total > MAX_MAT_BYTES:
        raise InputError(f"it unpacks to more than {MAX_MAT_BYTES / 2**30:.1f} GiB.")
    check_room(2 * total, "it")


def _instances(content: dict[str, npt.NDArray[Any]]) -> Instances:
    """Match ids and types, in whatever form they stand there; a type is never lost unsaid."""
    labels, stored, notes = renumbered(content["inst_map"], "inst_map")
    found = instances_of(labels, notes=notes)
    uids = _column(content, "inst_uid", "id")
    types = _column(content, "inst_type", "class")
    if uids is not None:
        if missing := np.setdiff1d(stored, uids).size:
            raise InputError(f"inst_uid lacks {missing} of the {len(stored)} ids in inst_map.")
        if gone := np.setdiff1d(uids, stored).size:
            notes = (*notes, f"{gone} ids of inst_uid have no pixel in inst_map")
    found = replace(found, notes=notes)
    if types is None:
        kinds = content.get("type_map")
        return found if kinds is None else typed_by_map(found, kinds, "type_map")
    if len(types) == len(stored if uids is None else uids):
        uids = stored if uids is None else uids
        order = np.argsort(uids, kind="stable")
        place = np.searchsorted(uids, stored, sorter=order)
        return replace(found, type=types[order[place]])
    if uids is None and len(stored) and len(types) >= stored.max():  # one row per id from 1 on
        return replace(found, type=types[stored.astype(np.int64) - 1])
    if "type_map" in content:
        note = f"inst_type has {len(types)} rows for {len(stored)} nuclei: type_map is read"
        found = replace(found, notes=(*notes, note))
        return typed_by_map(found, content["type_map"], "type_map")
    rows = len(stored if uids is None else uids)
    raise InputError(f"inst_type has {len(types)} rows for {rows} nuclei.")


def _column(content: dict[str, npt.NDArray[Any]], *names: str) -> Int32 | None:
    """Return the first (n, 1) or (1, n) variable of these names as (n,); None if there is none."""
    name = next((name for name in names if name in content), None)
    return None if name is None else check_labels(np.atleast_2d(content[name]), name).reshape(-1)
