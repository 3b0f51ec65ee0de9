"""Parts of an NP mask that look like single nuclei: they need no separation to tell how HV lies."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ..masks import label_parts
from ..types import Bool, Int32
from .map_limits import MapLimits

Box = tuple[int, int, int, int]


def convex_parts(mask: Bool, limits: MapLimits, *, at_border: bool = False) -> tuple[Int32, int]:
    """Give a number to each part of a mask that is convex and not too large.

    Parameters
    ----------
    mask : bool (H, W)
    limits : MapLimits
    at_border : bool
        Take also those that the image's border cuts.

    Returns
    -------
    labels : int32 (H, W)
    n : int

    Examples
    --------
    >>> mask = np.zeros((64, 64), bool)
    >>> mask[5:15, 5:15] = mask[30:50, 30:34] = mask[30:34, 30:50] = True
    >>> convex_parts(mask, MapLimits())[1]
    1
    """
    ids, _ = label_parts(np.ascontiguousarray(mask), limits.min_area)
    found, n = np.zeros(ids.shape, np.int32), 0
    largest = limits.large_part * ids.size
    for number, (r0, r1, c0, c1) in _boxes(ids):
        if not at_border and (r0 == 0 or c0 == 0 or r1 == ids.shape[0] or c1 == ids.shape[1]):
            continue
        if (r1 - r0) * (c1 - c0) > 2 * largest:
            continue
        part = (ids[r0:r1, c0:c1] == number).astype(np.uint8)
        area = int(part.sum())
        if area <= largest and area >= limits.solidity * _hull_area(part):
            n += 1
            found[r0:r1, c0:c1][part > 0] = n
    return found, n


def convex_share(mask: Bool, limits: MapLimits) -> tuple[float, int]:
    """Return the share of a mask that lies in small convex parts, and their number."""
    whole = int(mask.sum())
    if not whole:
        return 0.0, 0
    labels, n = convex_parts(mask, limits, at_border=True)
    return float((labels > 0).sum()) / whole, n


def worst_boxes(labels: Int32, values: npt.NDArray[Any], n: int) -> list[tuple[float, Box]]:
    """Return the mean of ``values`` (H, W) in the ``n`` nuclei where it is lowest, with boxes."""
    largest = int(labels.max(initial=0))
    if not largest or not n:
        return []
    flat = labels.ravel()
    count = np.bincount(flat, minlength=largest + 1)
    mean = np.bincount(flat, values.ravel(), largest + 1) / np.maximum(count, 1)
    mean[count == 0] = np.inf
    mean[0] = np.inf
    boxes = dict(_boxes(labels))
    lowest = [int(i) for i in np.argsort(mean)[:n] if np.isfinite(mean[i])]
    return [(float(mean[i]), boxes[i]) for i in lowest]


def _boxes(ids: Int32) -> Iterator[tuple[int, Box]]:
    for number, box in enumerate(ndimage.find_objects(ids), start=1):
        if box is not None:
            yield number, (box[0].start, box[0].stop, box[1].start, box[1].stop)


def _hull_area(part: npt.NDArray[np.uint8]) -> int:
    contours, _ = cv2.findContours(part, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    hull = cv2.convexHull(np.concatenate(contours))
    filled = np.zeros(part.shape, np.uint8)
    cv2.fillConvexPoly(filled, hull, 1)
    return int(filled.sum())
