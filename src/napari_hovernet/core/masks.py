"""Connected areas of a mask: number them, drop small ones, fill holes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import cv2
import numpy as np
import numpy.typing as npt

from .params import SeparationParams
from .types import Bool, Float32, Int32, kernel

FOUR = 4
EIGHT = 8


def label_parts(mask: Bool, min_area: int = 0, connectivity: int = FOUR) -> tuple[Int32, int]:
    """Give each connected part of ``mask`` with at least ``min_area`` pixels a number.

    Returns the (H, W) int32 numbers 1..n, 0 elsewhere, and n.
    """
    if not mask.size:
        return np.zeros(mask.shape, np.int32), 0
    n, parts = _components(mask, connectivity)
    if min_area <= 1:
        return parts, n - 1
    keep = count_pixels(parts.ravel(), n) >= min_area
    keep[0] = False
    if not keep[1:].all():
        replace_ids(parts.ravel(), np.where(keep, np.cumsum(keep), 0).astype(np.int32))
    return parts, int(keep.sum())


def clean_mask(probability: Float32, params: SeparationParams) -> Bool:
    """Pixels taken for nucleus: threshold, then drop small parts, then fill small holes."""
    mask = probability >= params.np_threshold
    if mask.any():
        mask = label_parts(mask, params.min_area)[0] > 0
        if params.max_hole_area:
            fill_holes(mask, params.max_hole_area)
    return mask


def reopen_gaps(mask: Bool, labels: Int32, probability: Float32, threshold: float) -> None:
    """Take back, in place, the filled holes that more than one instance has a share of.

    A hole within a nucleus belongs to it; one between nuclei is background.
    """
    filled = mask & (probability < threshold)
    if filled.any():
        n, holes = _components(filled, EIGHT)
        shared = several_labels(holes.ravel(), labels.ravel(), n)
        open_gaps(holes.ravel(), shared, mask.ravel(), labels.ravel())


def _components(mask: Bool, connectivity: int) -> tuple[int, Int32]:
    n, parts = cv2.connectedComponents(
        mask.view(np.uint8), connectivity=connectivity, ltype=cv2.CV_32S
    )
    return int(n), cast(Int32, parts)


def fill_holes(mask: Bool, max_area: int | None = None, connectivity: int = EIGHT) -> None:
    """Fill, in place, the holes of up to ``max_area`` pixels that do not reach the border."""
    n, parts = _components(~mask, connectivity)
    limit = mask.size if max_area is None else max_area
    small = count_pixels(parts.ravel(), n) <= limit
    small[0] = False
    for edge in (parts[0], parts[-1], parts[:, 0], parts[:, -1]):
        small[edge] = False
    if small.any():
        set_where(mask.ravel(), parts.ravel(), small)


@kernel
def count_pixels(ids: npt.NDArray[Any], n: int) -> npt.NDArray[Any]:
    """Count the pixels of every id 0..n-1 in a flat array, without a wider copy of it."""
    count = np.zeros(n, np.int64)
    for i in range(ids.size):
        count[ids[i]] += 1
    return count


@kernel
def replace_ids(ids: npt.NDArray[Any], new: npt.NDArray[Any]) -> None:
    """Replace each id of a flat array by its entry in ``new``, in place."""
    for i in range(ids.size):
        ids[i] = new[ids[i]]


@kernel
def set_where(mask: npt.NDArray[Any], ids: npt.NDArray[Any], chosen: npt.NDArray[Any]) -> None:
    """Set a flat mask where the id is chosen, in place."""
    for i in range(ids.size):
        if chosen[ids[i]]:
            mask[i] = True


@kernel
def several_labels(ids: npt.NDArray[Any], labels: npt.NDArray[Any], n: int) -> npt.NDArray[Any]:
    """Tell for every id 1..n-1 whether its pixels have more than one label; flat arrays."""
    first = np.zeros(n, np.int64)  # one more than the label
    several = np.zeros(n, np.bool_)
    for i in range(ids.size):
        k = ids[i]
        if k and first[k] == 0:
            first[k] = labels[i] + 1
        elif k and first[k] != labels[i] + 1:
            several[k] = True
    return several


@kernel
def open_gaps(
    ids: npt.NDArray[Any],
    chosen: npt.NDArray[Any],
    mask: npt.NDArray[Any],
    labels: npt.NDArray[Any],
) -> None:
    """Clear mask and label where the id is chosen; flat arrays, in place."""
    for i in range(ids.size):
        if chosen[ids[i]]:
            mask[i] = False
            labels[i] = 0


@dataclass(frozen=True)
class Band:
    """Rows to read (with halo) and rows to keep."""

    read: slice  # Rows of the image to filter
    keep: slice  # Rows of the image whose result is kept
    inner: slice  # The rows to keep, counted from the start of ``read``.


def row_bands(height: int, rows: int, halo: int) -> Iterator[Band]:
    """Cut ``height`` rows into bands of up to ``rows`` that overlap by ``halo`` on each side."""
    for start in range(0, height, rows):
        stop = min(start + rows, height)
        first, last = max(start - halo, 0), min(stop + halo, height)
        yield Band(slice(first, last), slice(start, stop), slice(start - first, stop - first))
