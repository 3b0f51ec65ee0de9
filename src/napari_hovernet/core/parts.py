"""Connected areas of a mask: number them, drop small ones, fill holes."""

from __future__ import annotations

from typing import cast

import cv2
import numpy as np

from .params import SeparationParams
from .types import Bool, Float32, Int32

FOUR = 4
EIGHT = 8


def label_parts(mask: Bool, min_area: int = 0) -> tuple[Int32, int]:
    """Give each 4-connected part of ``mask`` with at least ``min_area`` pixels a number.

    Returns the (H, W) int32 numbers 1..n, 0 elsewhere, and n.
    """
    if not mask.size:
        return np.zeros(mask.shape, np.int32), 0
    n, found, stats, _ = cv2.connectedComponentsWithStats(
        mask.view(np.uint8), connectivity=FOUR, ltype=cv2.CV_32S
    )
    parts = cast(Int32, found)
    keep = stats[:, cv2.CC_STAT_AREA] >= min_area
    keep[0] = False
    if keep[1:].all():
        return parts, int(n) - 1
    new = np.where(keep, np.cumsum(keep), 0).astype(np.int32)
    for row in parts:
        row[:] = new[row]
    return parts, int(new.max())


def clean_mask(probability: Float32, params: SeparationParams) -> Bool:
    """Pixels taken for nucleus: threshold, then drop small parts, then fill small holes."""
    mask = probability >= params.np_threshold
    if mask.any():
        mask = label_parts(mask, params.min_area)[0] > 0
        if params.max_hole_area:
            _fill_holes(mask, params.max_hole_area)
    return mask


def _fill_holes(mask: Bool, max_area: int) -> None:
    """Fill, in place, the 8-connected holes of up to ``max_area`` pixels off the border."""
    _n, parts, stats, _ = cv2.connectedComponentsWithStats(
        (~mask).view(np.uint8), connectivity=EIGHT, ltype=cv2.CV_32S
    )
    height, width = mask.shape
    left, top = stats[:, cv2.CC_STAT_LEFT], stats[:, cv2.CC_STAT_TOP]
    inside = (left > 0) & (left + stats[:, cv2.CC_STAT_WIDTH] < width)
    inside &= (top > 0) & (top + stats[:, cv2.CC_STAT_HEIGHT] < height)
    hole = inside & (stats[:, cv2.CC_STAT_AREA] <= max_area)
    hole[0] = False
    if hole.any():
        for row in range(height):
            mask[row] |= hole[parts[row]]
