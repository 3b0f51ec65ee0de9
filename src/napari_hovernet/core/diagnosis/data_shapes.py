"""Shapes of labelled instances: how many touch, which are lumps, specks or in parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ..data.samples import touching_count
from ..hv import compact_ids, label_equal, moments
from ..masks import count_pixels
from ..types import Float32, Int32
from .data_limits import LIMITS, DataLimits

EIGHT = 8


@dataclass(frozen=True, eq=False)
class Shapes:
    """Shapes of the instances of one image; index k = k-th id that is there.

    Parameters
    ----------
    index, name
        Of the image.
    ids : int (n,)
        As labelled (or renumbered, if they are sparse).
    area : int (n,)
        Pixels.
    centre : float (n, 2)
        Row and column.
    solidity : float (n,)
        Area (holes filled) over convex area; NaN for those that are cut by the border or too
        small.
    holed : bool (n,)
        Whether it has a hole.
    parts : int (n,)
        4-connected parts.
    split : float
        Share of instances with steps of stored HV in them, NaN without HV.
    touching : int
        Instances beside another one (8 neighbours).
    bordering : int
        Instances that share an edge of a pixel with another one (4 neighbours).
    components : int
        8-connected components of the mask.
    shared : int
        Components that hold more than one instance.
    byte : bool
        Whether labels were stored in 8 bits and reach the end of them.
    boxes : int
        Instances that fill their bounding box; specks are not judged.
    """

    index: int
    name: str
    ids: npt.NDArray[Any]
    area: npt.NDArray[Any]
    centre: npt.NDArray[Any]
    solidity: npt.NDArray[Any]
    holed: npt.NDArray[Any]
    parts: npt.NDArray[Any]
    touching: int
    bordering: int
    components: int
    shared: int
    split: float = float("nan")
    byte: bool = False
    boxes: int = 0

    @property
    def n(self) -> int:
        """Number of instances."""
        return len(self.ids)

    def lumps(self, limits: DataLimits = LIMITS) -> npt.NDArray[np.bool_]:
        """Which instances are larger than most and far from convex."""
        judged = np.isfinite(self.solidity)
        if not judged.any():
            return np.zeros(self.n, bool)
        usual = np.median(self.area[judged])
        with np.errstate(invalid="ignore"):
            lumps: npt.NDArray[np.bool_] = (self.solidity < limits.solidity) & (self.area > usual)
        return lumps


def shapes_of(
    index: int,
    name: str,
    labels: Int32,
    hv: Float32 | None = None,
    byte: bool = False,
    limits: DataLimits = LIMITS,
) -> Shapes:
    """Measure the shapes of one label image.

    Parameters
    ----------
    index, name
        Of the image.
    labels : int32 (H, W)
    hv : float32 (2, H, W), optional
        Stored HV of the same size.
    byte : bool
        See :class:`Shapes`.
    limits : DataLimits

    Examples
    --------
    >>> labels = np.zeros((20, 20), np.int32)
    >>> labels[4:12, 4:8], labels[4:12, 8:12] = 1, 2
    >>> found = shapes_of(0, "a", labels)
    >>> found.n, found.touching, found.components, found.solidity.round(2).tolist()
    (2, 2, 1, [1.0, 1.0])
    """
    ids, largest = compact_ids(labels)
    area, total, box = moments(ids, largest)
    present = np.flatnonzero(area)
    present = present[present > 0]
    solidity = np.full(len(present), np.nan)
    holed = np.zeros(len(present), bool)
    for k, i in enumerate(present):
        solidity[k], holed[k] = _solidity(ids, int(i), box[i], limits)
    n, parts = cv2.connectedComponents((ids > 0).astype(np.uint8), connectivity=EIGHT)
    owner = np.zeros(largest + 1, np.int64)
    owner[ids.ravel()] = parts.ravel()
    held = np.bincount(owner[present], minlength=n)
    return Shapes(
        index=index,
        name=name,
        ids=present,
        area=area[present],
        centre=total[present] / np.maximum(area[present], 1)[:, None],
        solidity=solidity,
        holed=holed,
        parts=_parts(ids, largest)[present],
        touching=touching_count(ids),
        bordering=_bordering(ids),
        components=n - 1,
        shared=int((held > 1).sum()),
        split=_split_share(ids, area, hv, limits),
        byte=byte and largest >= np.iinfo(np.uint8).max - 1,
        boxes=_boxes(area[present], box[present], limits),
    )


def _solidity(ids: Int32, i: int, box: npt.NDArray[Any], limits: DataLimits) -> tuple[float, bool]:
    r0, c0, r1, c1 = (int(x) for x in box)
    inside = (ids[r0 : r1 + 1, c0 : c1 + 1] == i).astype(np.uint8)
    contours, levels = cv2.findContours(np.pad(inside, 1), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    holed = bool((levels[0, :, 3] >= 0).any())
    cut = r0 == 0 or c0 == 0 or r1 == ids.shape[0] - 1 or c1 == ids.shape[1] - 1
    if cut or int(inside.sum()) < limits.shape_area:
        return float("nan"), holed
    outer = [c for c, level in zip(contours, levels[0], strict=True) if level[3] < 0]
    canvas = np.zeros((inside.shape[0] + 2, inside.shape[1] + 2), np.uint8)
    cv2.drawContours(canvas, outer, -1, 1, -1)
    filled = int(canvas.sum())
    cv2.fillConvexPoly(canvas, cv2.convexHull(np.concatenate(outer)), 1)
    return filled / max(int(canvas.sum()), 1), holed


def _boxes(area: npt.NDArray[Any], box: npt.NDArray[Any], limits: DataLimits) -> int:
    sides = box[:, 2:] - box[:, :2] + 1
    filled = area / np.maximum(sides.prod(axis=1), 1)
    return int(((filled >= limits.box_fill) & (area >= limits.shape_area)).sum())


def _bordering(ids: Int32) -> int:
    """Count the instances of which a pixel shares an edge with one of another instance."""
    found = []
    for a, b in ((ids[:, 1:], ids[:, :-1]), (ids[1:], ids[:-1])):
        border = (a != b) & (a > 0) & (b > 0)
        found += [a[border], b[border]]
    return len(np.unique(np.concatenate(found)))


def _parts(ids: Int32, largest: int) -> npt.NDArray[Any]:
    """Count the 4-connected parts of every id."""
    parts = np.zeros(ids.shape, np.int32)
    n = int(label_equal(ids, parts)) if ids.size else 0
    owner = np.zeros(n + 1, np.int64)
    owner[parts] = ids
    counted: npt.NDArray[Any] = np.bincount(owner[1:], minlength=largest + 1)
    return counted


def _split_share(
    ids: Int32, area: npt.NDArray[Any], hv: Float32 | None, limits: DataLimits
) -> float:
    """Share of the instances in which stored HV has the steps of a border between nuclei."""
    if hv is None or hv.shape[1:] != ids.shape:
        return float("nan")
    steps = np.zeros(len(area), np.int64)
    for labels, planes in ((ids, hv), (ids.T, hv.transpose(0, 2, 1))):
        jump = np.abs(np.diff(planes, axis=2)).max(axis=0) >= limits.hv_step
        same = (labels[:, 1:] == labels[:, :-1]) & (labels[:, 1:] > 0)
        steps += count_pixels(np.ascontiguousarray(labels[:, 1:][jump & same]), len(area))
    judged = area >= limits.shape_area
    judged[0] = False
    return float((steps[judged] >= 3).mean()) if judged.any() else float("nan")
