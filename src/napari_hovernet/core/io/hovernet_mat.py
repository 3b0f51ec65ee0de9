"""The MATLAB result of hover_net: ``inst_map`` with uid, type and centroid per nucleus."""

from __future__ import annotations

import os
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import io as scipy_io

from ...errors import InputError, OutputError
from ..types import Int32, Nuclei
from .atomic import atomic_path
from .instances import Instances, check_labels, present_ids

MAX_MAT_PIXELS = 2**29 - 2**20
"""Pixels of an int32 ``inst_map`` that fit into a version 5 MAT file (2 GiB per variable)."""
NAMES = ("inst_map", "inst_uid", "inst_type", "inst_centroid")


def write_hovernet_mat(path: str | os.PathLike[str], labels: Int32, nuclei: Nuclei) -> None:
    """Write a label image and its nuclei as hover_net does, compressed.

    ``inst_type`` is left out where the model has no types. Centroids are x, y within the
    label image.

    Parameters
    ----------
    path : path
        Ends in .mat by custom.
    labels : int32 (H, W)
        Instances.
    nuclei : Nuclei
        One row per instance.

    Raises
    ------
    OutputError
        If the image is too large for the format or the file cannot be written; nothing
        is left of it.

    Examples
    --------
    >>> write_hovernet_mat("nuclei.mat", result.labels, result.nuclei)  # doctest: +SKIP
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
    """Read a hover_net MAT result, or a label file of the same names (CoNSeP, PanNuke).

    Raises
    ------
    InputError
        If it is no such file, lacks ``inst_map``, or its parts do not fit each other.

    Examples
    --------
    >>> instances = read_hovernet_mat("nuclei.mat")  # doctest: +SKIP
    """
    file = Path(path)
    try:
        content = _load(file)
        labels = check_labels(content["inst_map"], "inst_map")
        return _instances(labels, content)
    except InputError as error:
        raise InputError(f"{file}: {error}") from error


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
    ids = present_ids(labels)
    uids = _column(content, "inst_uid")
    notes: tuple[str, ...] = ()
    if uids is None:
        uids = ids
    elif missing := np.setdiff1d(ids, uids).size:
        raise InputError(f"inst_uid lacks {missing} of the {len(ids)} ids in inst_map.")
    elif gone := np.setdiff1d(uids, ids).size:
        notes = (f"{gone} ids of inst_uid have no pixel in inst_map",)
    types = _column(content, "inst_type")
    if types is None:
        return Instances(labels, ids, np.zeros(len(ids), np.int32), notes=notes)
    if len(types) != len(uids):
        raise InputError(f"inst_type has {len(types)} rows for {len(uids)} nuclei.")
    order = np.argsort(uids, kind="stable")
    at = order[np.searchsorted(uids, ids, sorter=order)]
    return Instances(labels, ids, types[at], notes=notes)


def _column(content: dict[str, npt.NDArray[Any]], name: str) -> Int32 | None:
    """Return an (n, 1) or (1, n) variable as (n,); None if it is not there."""
    if name not in content:
        return None
    return check_labels(np.atleast_2d(content[name]), name).reshape(-1)
