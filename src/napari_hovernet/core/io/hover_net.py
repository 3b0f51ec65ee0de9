"""The JSON result of hover_net: one object per nucleus, with its boundary pixels."""

from __future__ import annotations

import json
import math
import os
import zlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import io as scipy_io

from ...errors import InputError, OutputError
from ..types import Int32, Nuclei
from .files import (
    METADATA_KEY,
    atomic_path,
    load_json,
    member,
    named,
    numbers,
    own_types,
    points,
    types_to_json,
)
from .geojson import MAX_COORDINATE, Polygons, contour_outlines, default_types
from .labels import Instances, check_labels, instances_of

MAGNIFICATION_TIMES_MPP = 10.0
"""By custom 0.25 micrometres per pixel are called 40x, 0.5 are 20x."""
MAX_TYPE = 255
"""Largest type number taken for real."""


def write_hovernet_json(
    path: str | os.PathLike[str],
    nuclei: Nuclei,
    *,
    offset: tuple[int, int] = (0, 0),
    mpp: float | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> None:
    """Write nuclei as hover_net does."""
    mag = round(MAGNIFICATION_TIMES_MPP / mpp, 4) if mpp else None
    about = {**(metadata or {}), "types": types_to_json(nuclei.type_names)}
    typed = bool(nuclei.type_names) or bool(nuclei.type.any())
    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
        file.write(f'{{"mag": {json.dumps(mag)}, "nuc": {{')
        for i in range(len(nuclei)):
            entry = json.dumps(_entry(nuclei, i, offset, typed), allow_nan=False)
            file.write(f'{"," if i else ""}\n"{nuclei.label[i]}": {entry}')
        file.write(f'\n}}, "{METADATA_KEY}": {json.dumps(about)}}}\n')


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
        rings.append(tuple(contour_outlines(np.rint(contour).astype(np.int32))))
        kind = _scalar(entry.get("type"), f"{what}: type", 0)
        if kind != int(kind) or not 0 <= kind <= MAX_TYPE:
            raise InputError(f"{what}: type is {kind:g}; types are whole numbers in 0..{MAX_TYPE}.")
        types.append(int(kind))
        probabilities.append(_scalar(entry.get("type_prob"), f"{what}: type_prob", math.nan))
    names = default_types([f"type {k + 1}" for k in range(max(types, default=0))])
    return Polygons(
        rings=tuple(rings),
        ids=tuple(nuclei),
        type=np.array(types, np.int32),
        type_names=own_types(data) or names,
        measurements={"Type probability": np.array(probabilities, np.float64)},
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
NAMES = ("inst_map", "inst_uid", "inst_type", "inst_centroid")


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
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        scipy_io.savemat(file, content, do_compression=True)


def read_hovernet_mat(path: str | os.PathLike[str]) -> Instances:
    """Read a hover_net MAT result, or a label file of the same names (CoNSeP, PanNuke)."""
    with named(path):
        content = _load(Path(path))
        return _instances(check_labels(content["inst_map"], "inst_map"), content)


def _load(file: Path) -> dict[str, npt.NDArray[Any]]:
    """Read the four variables, after a look at their sizes."""
    try:
        with open(file, "rb") as handle:
            sizes = {name: shape for name, shape, _ in scipy_io.whosmat(handle)}
            if "inst_map" not in sizes:
                raise InputError(
                    f"it has no inst_map, only {', '.join(sorted(sizes)) or 'nothing'}."
                )
            if int(np.prod(sizes["inst_map"], dtype=object)) > MAX_MAT_PIXELS:
                raise InputError(f"its inst_map claims to be {sizes['inst_map']} pixels large.")
            handle.seek(0)
            content = scipy_io.loadmat(handle, variable_names=NAMES)
    except NotImplementedError as error:  # version 7.3 is HDF5
        raise InputError("it is of MAT version 7.3; save it with '-v7'.") from error
    except OSError as error:
        raise InputError(f"it cannot be read: {error.strerror or error}.") from error
    except (ValueError, TypeError, KeyError, IndexError, OverflowError, MemoryError, zlib.error,
            scipy_io.matlab.MatReadError) as error:  # fmt: skip
        raise InputError(f"it is no MAT file, or is cut off ({error}).") from error
    return {name: np.asarray(content[name]) for name in NAMES if name in content}


def _instances(labels: Int32, content: dict[str, npt.NDArray[Any]]) -> Instances:
    found = instances_of(labels)
    ids, uids, types = found.ids, _column(content, "inst_uid"), _column(content, "inst_type")
    if uids is None:
        uids = ids
    elif missing := np.setdiff1d(ids, uids).size:
        raise InputError(f"inst_uid lacks {missing} of the {len(ids)} ids in inst_map.")
    elif gone := np.setdiff1d(uids, ids).size:
        found = replace(found, notes=(f"{gone} ids of inst_uid have no pixel in inst_map",))
    if types is None:
        return found
    if len(types) != len(uids):
        raise InputError(f"inst_type has {len(types)} rows for {len(uids)} nuclei.")
    order = np.argsort(uids, kind="stable")
    return replace(found, type=types[order[np.searchsorted(uids, ids, sorter=order)]])


def _column(content: dict[str, npt.NDArray[Any]], name: str) -> Int32 | None:
    """Return an (n, 1) or (1, n) variable as (n,); None if it is not there."""
    if name not in content:
        return None
    return check_labels(np.atleast_2d(content[name]), name).reshape(-1)
