"""A label image with a type per instance: what MAT and TIFF files hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import InputError
from ..types import Int32

MAX_LABEL = 2**31 - 1
"""Largest instance id that fits a label image."""


@dataclass(frozen=True, eq=False)
class Instances:
    """Labels and what is known of each instance.

    Parameters
    ----------
    labels : int32 (H, W)
        0 = background; ids may have gaps.
    ids : int32 (n,)
        The ids in ``labels``, rising.
    type : int32 (n,)
        Type of each id, 0 = none.
    metadata : mapping
        How the file was made, where it says so.
    notes : tuple of str
        What was left out or assumed while reading.
    """

    labels: Int32
    ids: Int32
    type: Int32
    metadata: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.ids)


def check_labels(values: npt.NDArray[Any], what: str) -> Int32:
    """Return a label image as int32.

    Raises
    ------
    InputError
        If it is no (H, W) array of whole numbers in 0..2**31 - 1; names ``what``.
    """
    if values.ndim != 2:
        raise InputError(f"{what} has shape {values.shape}; a label image is (H, W).")
    if values.dtype.kind not in "iufb":
        raise InputError(f"{what} has dtype {values.dtype}; labels are whole numbers.")
    if not values.size:
        return values.astype(np.int32)
    low, high = values.min(), values.max()
    if not (low >= 0 and high <= MAX_LABEL):  # NaN fails too
        raise InputError(f"{what} runs from {low} to {high}; labels lie in 0..{MAX_LABEL}.")
    labels = values.astype(np.int32, copy=False)
    if values.dtype.kind == "f" and not (labels == values).all():
        raise InputError(f"{what} holds fractions; labels are whole numbers.")
    return labels


def present_ids(labels: Int32) -> Int32:
    """List the ids in a label image, rising, without 0."""
    ids = np.unique(labels)
    return ids[ids > 0].astype(np.int32)
