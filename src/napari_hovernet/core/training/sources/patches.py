"""Patches as hover_net cuts them: one .npy file each, RGB, instances and perhaps types."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ....errors import InputError
from ...hv import compact_ids
from ...image import UInt8
from ...io.instances import check_labels
from ..samples import Sample, SampleArrays
from ..stores import open_npy
from .haul import Haul, source_of, split_of

WITH_TYPES, WITHOUT_TYPES = 5, 4
"""Channels of a patch: R, G, B, instances (and types)."""
DEPTH = 3
"""Folders below the one given in which patches are looked for."""


def patch_files(folder: Path) -> list[Path]:
    """List the .npy files of a folder and of those below it that are patches by their shape."""
    found = [p for depth in range(DEPTH + 1) for p in folder.glob("*/" * depth + "*.npy")]
    return sorted(path for path in found if is_patch(path))


def is_patch(path: Path) -> bool:
    """Tell by its header whether a file is a patch."""
    try:
        shape = open_npy(path).shape
    except InputError:
        return False
    return len(shape) == 3 and shape[2] in (WITH_TYPES, WITHOUT_TYPES)


def read_patches(path: Path) -> Haul:
    """List patches; each is read from disk when it is needed.

    Parameters
    ----------
    path : Path
        One file, or a folder (also ``train`` and ``valid`` below it).

    Raises
    ------
    InputError
        If there is none.
    """
    files = patch_files(path) if path.is_dir() else [path]
    if not files or not is_patch(files[0]):
        raise InputError(
            f"{path} holds no patch of hover_net: .npy of shape (H, W, 5), RGB, instances and "
            "types, or (H, W, 4) without types."
        )
    samples: list[Sample] = []
    tests = 0
    for file in files:
        split = _split(file, path)
        if split is None:
            tests += 1
            continue
        height, width, _ = open_npy(file).shape
        reader = partial(read_patch, file)
        samples.append(
            Sample(file.stem, source_of(file.stem), split, reader=reader, shape=(height, width))
        )
    kept = f"{tests} patches of a test folder are kept out of training" if tests else ""
    return Haul(tuple(samples)).noting(
        "patches belong to the image of their name without the number at its end", kept
    )


def _split(file: Path, top: Path) -> str | None:
    """Return what the folders between a patch and the top say it is for."""
    folders = file.relative_to(top).parts[:-1] if top.is_dir() else ()
    said = [split_of(name) for name in (top.name, *folders)]
    return None if None in said else next((s for s in said if s), "")


def read_patch(file: Path) -> SampleArrays:
    """Read one patch.

    Raises
    ------
    InputError
        If its pixels are no 8-bit colours or its labels no whole numbers.
    """
    patch = np.array(open_npy(file))
    labels = compact_ids(check_labels(patch[..., 3], f"{file.name}: channel 3 (instances)"))[0]
    types = None
    if patch.shape[2] == WITH_TYPES:
        types = check_labels(patch[..., 4], f"{file.name}: channel 4 (types)")
    return SampleArrays(image=eight_bits(patch[..., :3], file.name), labels=labels, types=types)


def eight_bits(values: npt.NDArray[Any], what: str, scale: float = 1.0) -> UInt8:
    """Return colours stored as any number as uint8.

    Raises
    ------
    InputError
        If they hold NaN or leave 0..255.

    Examples
    --------
    >>> eight_bits(np.array([0.0, 254.9]), "a").tolist()
    [0, 255]
    """
    if values.dtype == np.uint8 and scale == 1.0:
        return np.ascontiguousarray(values)
    if values.dtype.kind not in "iuf":
        raise InputError(f"{what} has dtype {values.dtype}; an image holds numbers.")
    scaled = values * scale
    low, high = float(scaled.min(initial=0)), float(scaled.max(initial=0))
    if not (np.isfinite(low) and np.isfinite(high)):
        raise InputError(f"{what} holds NaN or infinite pixels; repair or leave it out.")
    if low < -0.5 or high > 255.5:
        raise InputError(f"{what} has pixels of {low:g} to {high:g}; colours lie in 0..255.")
    return np.ascontiguousarray(np.rint(np.clip(scaled, 0, 255)), np.uint8)
