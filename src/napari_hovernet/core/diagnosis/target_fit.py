"""Centre and extent of every nucleus, read back from its stored HV."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ..data.samples import NEIGHBOURS
from ..hv import compact_ids, farthest, moments
from ..types import Bool, Float32, Int32

MARGIN = 2
"""Pixels from the rim of a nucleus that are left out: a blur does not reach further in."""
FEWEST = 25
"""Pixels inside of that margin that a nucleus must have."""
RIDGE = 1e-6
SIDES = 4


@dataclass(frozen=True, eq=False)
class Fits:
    """What stored HV says of the nuclei of one image; one row per nucleus that is large enough.

    Parameters
    ----------
    index, name
        Of the image.
    ids : int (n,)
    centre : float (n, 2)
        Row and column where HV is 0.
    extent : float (n, 4)
        Pixels per unit of HV: left, right, up, down.
    straight : float (n,)
        Share of the variance of the position that HV explains along the worse axis, 0..1.
    mass : float (n, 2)
        Centre of mass of the label.
    box : int (n, 4)
        r0, c0, r1, c1, inclusive.
    radius : float (n,)
        Of a disc of the same area.
    farthest : float (n,)
        Largest distance of a pixel from ``centre``.
    depth : float (n,)
        Distance of ``centre`` from the rim, relative to that of the deepest pixel.
    touching : bool (n,)
    cut : bool (n,)
        At the edge of the image: HV may have been made before a crop.
    without : float
        Share of nuclei in which HV is 0 throughout.
    """

    index: int
    name: str
    ids: npt.NDArray[Any]
    centre: npt.NDArray[np.float64]
    extent: npt.NDArray[np.float64]
    straight: npt.NDArray[np.float64]
    mass: npt.NDArray[np.float64]
    box: npt.NDArray[Any]
    radius: npt.NDArray[np.float64]
    farthest: npt.NDArray[np.float64]
    depth: npt.NDArray[np.float64]
    touching: npt.NDArray[np.bool_]
    cut: npt.NDArray[np.bool_]
    without: float = 0.0

    @property
    def n(self) -> int:
        """Number of nuclei."""
        return len(self.ids)

    def expected(self, scale: str) -> npt.NDArray[np.float64]:
        """Return the extents (n, 4) that a scale gives around the centres found."""
        row, col = self.centre.T
        sides = np.stack(
            (col - self.box[:, 1], self.box[:, 3] - col, row - self.box[:, 0],
             self.box[:, 2] - row), axis=1,
        )  # fmt: skip
        if scale == "axis":
            return np.asarray(np.maximum(sides, 0.5), np.float64)
        if scale == "isotropic":
            return np.repeat(sides.max(axis=1)[:, None], SIDES, axis=1)
        if scale == "radial":
            return np.repeat(self.farthest[:, None], SIDES, axis=1)
        return np.ones((self.n, SIDES))


def fits_of(index: int, name: str, labels: Int32, hv: Float32) -> Fits:
    """Fit position against HV in every nucleus.

    With per-axis scale x = x0 + e_right h for h > 0 and x0 + e_left h below; radial and
    isotropic scale have equal sides. Either way x is a sum of 1, h and |h|, so that the
    centre and the extents come out of one least squares fit, whatever the convention.

    Parameters
    ----------
    index, name
        Of the image.
    labels : int32 (H, W)
    hv : float32 (2, H, W)
        [H, V] outward, of any length.

    Examples
    --------
    >>> from napari_hovernet.core.hv import hv_targets
    >>> labels = np.pad(np.ones((15, 21), np.int32), 4)
    >>> found = fits_of(0, "a", labels, hv_targets(labels))
    >>> found.centre.round(2).tolist(), found.extent.round(2).tolist()
    ([[11.0, 14.0]], [[10.0, 10.0, 7.0, 7.0]])
    """
    ids, largest = compact_ids(labels)
    inner = np.where(_inside(ids), ids, 0)
    area, total, box = moments(ids, largest)
    there = np.bincount(ids.ravel(), np.abs(hv).max(axis=0).ravel() > 0, minlength=largest + 1)
    present = np.flatnonzero(area[1:]) + 1
    counts = np.bincount(inner.ravel(), minlength=largest + 1)
    keep = present[(counts[present] >= FEWEST) & (there[present] > 0)]
    rows, cols = np.nonzero(inner)
    owner = inner[rows, cols]
    x = _lines(owner, cols.astype(np.float64), hv[0, rows, cols], largest + 1)
    y = _lines(owner, rows.astype(np.float64), hv[1, rows, cols], largest + 1)
    centre = np.stack((y[0], x[0]), axis=1)
    extent = np.stack((x[1], x[2], y[1], y[2]), axis=1)
    mass = total / np.maximum(area, 1)[:, None]
    far = farthest(ids, np.ascontiguousarray(centre))
    return Fits(
        index,
        name,
        keep,
        centre[keep],
        extent[keep],
        np.minimum(x[3], y[3])[keep],
        mass[keep],
        box[keep],
        np.sqrt(area[keep] / np.pi),
        far[keep],
        np.array([_depth(ids, int(i), box[i], centre[i]) for i in keep]),
        np.isin(keep, _touching_ids(ids)),
        _at_edge(box[keep], ids.shape),
        float((there[present] == 0).mean()) if len(present) else 0.0,
    )


def _depth(ids: Int32, i: int, box: npt.NDArray[Any], centre: npt.NDArray[np.float64]) -> float:
    """Distance of a place in a nucleus from its rim, relative to the deepest place."""
    r0, c0, r1, c1 = (int(x) for x in box)
    inside = np.pad((ids[r0 : r1 + 1, c0 : c1 + 1] == i).astype(np.uint8), 1)
    deep = cv2.distanceTransform(inside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    r, c = round(float(centre[0])) - r0 + 1, round(float(centre[1])) - c0 + 1
    if not (0 <= r < deep.shape[0] and 0 <= c < deep.shape[1]):
        return 0.0
    return float(deep[r, c]) / max(float(deep.max()), RIDGE)


def _at_edge(box: npt.NDArray[Any], shape: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    last = np.array(shape) - 1
    edge: npt.NDArray[np.bool_] = (box[:, :2] == 0).any(axis=1) | (box[:, 2:] == last).any(axis=1)
    return edge


def _inside(ids: Int32) -> Bool:
    """Pixels all of whose neighbours up to MARGIN away are of the same id."""
    plane = ids.astype(np.float32)
    kernel = np.ones((2 * MARGIN + 1, 2 * MARGIN + 1), np.uint8)
    inside: Bool = (cv2.dilate(plane, kernel) == cv2.erode(plane, kernel)) & (ids > 0)
    return inside


def _touching_ids(ids: Int32) -> npt.NDArray[Any]:
    found = [np.zeros(0, ids.dtype)]
    height, width = ids.shape
    for rows, cols in NEIGHBOURS:
        first = ids[: height - rows, max(-cols, 0) : width - max(cols, 0)]
        second = ids[rows:, max(cols, 0) : width - max(-cols, 0)]
        border = (first != second) & (first > 0) & (second > 0)
        found += [first[border], second[border]]
    return np.unique(np.concatenate(found))


def _lines(
    owner: npt.NDArray[Any], at: npt.NDArray[np.float64], h: npt.NDArray[Any], n: int
) -> tuple[npt.NDArray[np.float64], ...]:
    """Fit ``at`` = x0 + b h + c |h| for every owner.

    Returns x0, extent on the negative and on the positive side, and the share of the variance
    explained.
    """
    values = h.astype(np.float64)
    columns = (np.ones_like(values), values, np.abs(values))

    def total(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.asarray(np.bincount(owner, x, minlength=n), np.float64)

    count = np.maximum(total(columns[0]), 1)
    middle = total(at) / count
    off = at - middle[owner]
    left = np.stack([np.stack([total(a * b) for b in columns], 1) for a in columns], 1)
    right = np.stack([total(a * off) for a in columns], 1)
    ridge = RIDGE * np.maximum(left[:, 1, 1], RIDGE)[:, None, None] * np.eye(3)
    fit = np.linalg.solve(left + ridge, right[..., None])[..., 0]
    told = (fit * right).sum(axis=1)
    spread = np.maximum(total(off * off), RIDGE)
    share = np.clip(told / spread, 0, 1)
    share = np.where(fit[:, 1] > 0, share, 0.0)  # a falling line is another sign, no fit
    return middle + fit[:, 0], fit[:, 1] - fit[:, 2], fit[:, 1] + fit[:, 2], share
