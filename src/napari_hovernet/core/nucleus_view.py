"""One nucleus under the glass: its crop, its lengths, HV across it and down it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ..errors import InputError
from .arrows import ArrowParams, hv_arrows
from .magnitude import MagnitudeSummary, direction_cosine, histogram, summarise
from .magnitude_bands import MagnitudeBands
from .nuclei import measure
from .tiling import Box
from .types import Bool, Float32, Int32, Maps

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True)
class NucleusViewParams:
    """How much is shown around a nucleus.

    Parameters
    ----------
    margin : int
        Pixels around its box; profiles run on into neighbours by as much.
    arrows : ArrowParams
        Of the crop.
    arrows_along : int
        Arrows along the longer edge of the crop at most, for a plot of some 300 screen
        pixels.
    bands : MagnitudeBands
        Bins of its histogram.

    Raises
    ------
    InputError
        If ``margin`` is negative, or ``arrows_along`` below 1.
    """

    margin: int = 12
    arrows: ArrowParams = field(default_factory=lambda: ArrowParams(limit=400))
    arrows_along: int = 24
    bands: MagnitudeBands = field(default_factory=MagnitudeBands)

    def __post_init__(self) -> None:
        if self.margin < 0:
            raise InputError(f"margin is {self.margin}; give 0 or more.")
        if self.arrows_along < 1:
            raise InputError(f"arrows_along is {self.arrows_along}; give 1 or more.")


@dataclass(frozen=True, eq=False)
class Profile:
    """One HV channel along a line of pixels through a nucleus.

    Parameters
    ----------
    position : int64 (n,)
        Column (of a row) or row (of a column) in pixels of the maps.
    value : float32 (n,)
        h along a row, v along a column.
    ids : int64 (n,)
        Instance of each pixel, 0 = background: where one ends and the next begins.
    at : int
        The row or column it runs along.
    """

    position: Int64
    value: Float32
    ids: Int64
    at: int


@dataclass(frozen=True, eq=False)
class NucleusView:
    """Everything there is to see of one nucleus.

    Parameters
    ----------
    id : int
        Instance.
    box : Box
        The crop, (r0, r1, c0, c1) in pixels of the maps.
    np : float32 (h, w)
        NP of the crop; a view of the maps.
    hv : float32 (2, h, w)
        HV of the crop; a view of the maps.
    mask, others : bool (h, w)
        Pixels of this nucleus, and of all others.
    centre : tuple of float
        Row and column of its centre of mass, pixels of the maps.
    area : int
        Pixels.
    magnitude : MagnitudeSummary
        Of its pixels.
    edges : float64 (bins + 1,)
    counts : int64 (bins,)
        Histogram of its magnitude; the last bin holds all that lies above it too.
    direction : float
        Mean cosine of HV to the exact HV of its shape; NaN for a single pixel.
    across, down : Profile
        h along the row, and v along the column, through its centre.
    arrows : float32 (n, 2, 2)
        Start and projection (row, column), pixels of the maps; on it and on others.
    outline : int32 (k, 2)
        Its contour, x and y, pixels of the maps; closed, the first point comes last too.
    neighbours : tuple of int
        Ids of instances that touch it, corners included.
    """

    id: int
    box: Box
    np: Float32
    hv: Float32
    mask: Bool
    others: Bool
    centre: tuple[float, float]
    area: int
    magnitude: MagnitudeSummary
    edges: Float64
    counts: Int64
    direction: float
    across: Profile
    down: Profile
    arrows: Float32
    outline: Int32
    neighbours: tuple[int, ...]


def nucleus_view(
    maps: Maps,
    labels: npt.NDArray[Any],
    nucleus_id: int,
    params: NucleusViewParams | None = None,
) -> NucleusView:
    """Look at one nucleus.

    Parameters
    ----------
    maps : Maps
    labels : int array (H, W)
        Instances of the same size.
    nucleus_id : int
        Which one.
    params : NucleusViewParams, optional
        Default ``NucleusViewParams()``.

    Returns
    -------
    NucleusView

    Raises
    ------
    InputError
        If there is no such nucleus, or the labels are of another size.

    Examples
    --------
    >>> import numpy, napari_hovernet as nh
    >>> labels = numpy.zeros((20, 30), int)
    >>> labels[4:15, 4:15], labels[4:15, 15:26] = 1, 2
    >>> view = nucleus_view(nh.Maps(np=labels > 0, hv=nh.hv_targets(labels)), labels, 1)
    >>> view.neighbours, view.across.at, (10 * view.across.value[10:20]).round().tolist()
    ((2,), 9, [2.0, 4.0, 6.0, 8.0, 10.0, -10.0, -8.0, -6.0, -4.0, -2.0])
    """
    params = NucleusViewParams() if params is None else params
    labels = np.asarray(labels)
    tight = find_nucleus(maps, labels, nucleus_id)
    height, width = maps.shape
    margin = params.margin
    box = Box(
        max(tight.r0 - margin, 0),
        min(tight.r1 + margin, height),
        max(tight.c0 - margin, 0),
        min(tight.c1 + margin, width),
    )
    ids, hv = labels[box.slices()], maps.hv[(slice(None), *box.slices())]
    mask: Bool = ids == nucleus_id
    rows, cols = np.nonzero(mask)
    centre = (float(rows.mean()) + box.r0, float(cols.mean()) + box.c0)
    lengths = np.hypot(hv[0][mask], hv[1][mask])
    return NucleusView(
        id=int(nucleus_id),
        box=box,
        np=maps.np[box.slices()],
        hv=hv,
        mask=mask,
        others=(ids > 0) & ~mask,
        centre=centre,
        area=len(rows),
        magnitude=summarise(lengths),
        edges=params.bands.edges,
        counts=histogram(lengths, params.bands),
        direction=direction_cosine(hv, mask.astype(np.int32)),
        across=_across(hv, ids, box, round(centre[0])),
        down=_down(hv, ids, box, round(centre[1])),
        arrows=_arrows(hv, ids, box, params),
        outline=_outline(mask, box),
        neighbours=_neighbours(ids, mask),
    )


def find_nucleus(maps: Maps, labels: npt.NDArray[Any], nucleus_id: int) -> Box:
    """Find the box of a nucleus.

    Raises
    ------
    InputError
        If there is no such nucleus, or the labels are of another size.
    """
    if labels.shape != maps.shape:
        raise InputError(f"labels has shape {labels.shape} and the maps {maps.shape}.")
    found = labels == nucleus_id
    rows = np.flatnonzero(found.any(axis=1)) if nucleus_id > 0 else np.zeros(0, int)
    if not len(rows):
        raise InputError(f"There is no nucleus {nucleus_id}; ids start at 1.")
    cols = np.flatnonzero(found[rows[0] : rows[-1] + 1].any(axis=0))
    return Box(int(rows[0]), int(rows[-1]) + 1, int(cols[0]), int(cols[-1]) + 1)


def _arrows(hv: Float32, ids: npt.NDArray[Any], box: Box, params: NucleusViewParams) -> Float32:
    """Thin HV of the crop to what can be read; starts in pixels of the maps."""
    step = max(params.arrows.least_step, -(-max(ids.shape) // params.arrows_along))
    arrows = hv_arrows(hv, ids, None, replace(params.arrows, least_step=step))
    arrows[:, 0] += np.array([box.r0, box.c0], np.float32)
    return arrows


def _across(hv: Float32, ids: npt.NDArray[Any], box: Box, row: int) -> Profile:
    line = row - box.r0
    position = np.arange(box.c0, box.c1, dtype=np.int64)
    return Profile(position, hv[0, line].copy(), ids[line].astype(np.int64), row)


def _down(hv: Float32, ids: npt.NDArray[Any], box: Box, col: int) -> Profile:
    line = col - box.c0
    position = np.arange(box.r0, box.r1, dtype=np.int64)
    return Profile(position, hv[1, :, line].copy(), ids[:, line].astype(np.int64), col)


def _outline(mask: Bool, box: Box) -> Int32:
    (contour,) = measure(mask).contours
    closed: Int32 = np.concatenate((contour, contour[:1])) + np.array([box.c0, box.r0], np.int32)
    return closed


def _neighbours(ids: npt.NDArray[Any], mask: Bool) -> tuple[int, ...]:
    rim = cv2.dilate(mask.view(np.uint8), np.ones((3, 3), np.uint8)).view(np.bool_) & ~mask
    return tuple(int(i) for i in np.unique(ids[rim]) if i)
