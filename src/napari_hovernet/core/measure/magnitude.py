"""How long the HV vectors are inside nuclei and outside, and what that does not tell."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ...errors import InputError
from ..hv import compact_ids, hv_targets
from ..inference.tiles import Box
from ..types import Bool, Float32, Int32, Maps, kernel
from .nuclei import measure, quantile

COLLAPSED, WEAK, HEALTHY, NO_NUCLEI = "collapsed", "weak", "healthy", "no nuclei"
"""The words of a verdict."""


@dataclass(frozen=True)
class MagnitudeBands:
    """Bounds by which a mean magnitude inside nuclei is called collapsed, weak or healthy.

    Parameters
    ----------
    collapsed : float
        Below this mean the map is close to the zero map.
    weak : float
        "Go on" bound after a few epochs of training; below it something is wrong.
    healthy : float
        From this mean on the length is what a trained network should give.
    target_low, target_high : float
        Mean magnitude of exact HV maps of round nuclei: 2/3 for a disc, a little more for
        small ones.
    direction : float
        Least mean cosine, -1..1, at which the direction is called right. Good predictions
        have 0.83 to 0.98 against their own instances, about 0 with H and V exchanged.
    bins : int
        Bins of the histogram.
    upper : float
        Where the histogram ends; larger values are counted in its last bin. HV in [-1, 1]
        cannot be longer than the square root of 2.

    Raises
    ------
    InputError
        If the bounds are not in order or a number is out of range.

    Examples
    --------
    >>> MagnitudeBands().word(0.3)
    'weak'
    """

    collapsed: float = 0.10
    weak: float = 0.25
    healthy: float = 0.50
    target_low: float = 0.67
    target_high: float = 0.69
    direction: float = 0.75
    bins: int = 75
    upper: float = 1.5

    def __post_init__(self) -> None:
        if not 0 <= self.collapsed <= self.weak <= self.healthy < np.inf:
            raise InputError(
                f"The bands are collapsed {self.collapsed:g}, weak {self.weak:g} and healthy "
                f"{self.healthy:g}; give 0 <= collapsed <= weak <= healthy."
            )
        if not 0 <= self.target_low <= self.target_high < np.inf:
            raise InputError(
                f"target_low is {self.target_low:g} and target_high {self.target_high:g}; "
                "give 0 <= low <= high."
            )
        if not -1 <= self.direction <= 1:
            raise InputError(f"direction is {self.direction:g}; give a cosine in -1..1.")
        if self.bins < 1:
            raise InputError(f"bins is {self.bins}; give 1 or more.")
        if not 0 < self.upper < np.inf:
            raise InputError(f"upper is {self.upper:g}; give a finite number above 0.")

    def word(self, mean: float) -> str:
        """Name a mean magnitude: "collapsed", "weak" or "healthy"; NaN is "no nuclei"."""
        if np.isnan(mean):
            return NO_NUCLEI
        if mean < self.collapsed:
            return COLLAPSED
        return WEAK if mean < self.healthy else HEALTHY

    @property
    def edges(self) -> npt.NDArray[np.float64]:
        """Edges of the histogram's bins, (bins + 1,)."""
        return np.linspace(0.0, self.upper, self.bins + 1)


__all__ = [
    "BLIND",
    "MagnitudeBands",
    "MagnitudeReport",
    "MagnitudeSummary",
    "direction_cosine",
    "explain",
    "histogram",
    "ids_like",
    "magnitude_report",
    "split_magnitudes",
    "summarise",
]

Int64 = npt.NDArray[np.int64]

UPPER_SHARE = 0.95
"""Quantile reported beside mean and median."""
BROKEN_MAXIMA = (0.88, 0.99)
"""Whole-image maxima of magnitude met in runs whose instances were useless."""
BLIND = "Magnitude is blind to direction: a map can have full length and point the wrong way."


@dataclass(frozen=True)
class MagnitudeSummary:
    """Number of pixels and mean, median and 95 % quantile of their magnitude; NaN without any."""

    n: int
    mean: float
    median: float
    p95: float


@dataclass(frozen=True, eq=False)
class MagnitudeReport:
    """What the lengths of HV say about a map, and what they do not.

    Parameters
    ----------
    inside, outside : MagnitudeSummary
        Pixels of nuclei, and all others.
    whole_image_max : float
        Largest magnitude anywhere. Misleading: it was 0.88 to 0.99 in every broken run.
    edges : float64 (bins + 1,)
        Edges of the histogram's bins.
    counts_inside, counts_outside : int64 (bins,)
        Pixels per bin; the last bin holds all that lies above it too.
    verdict : str
        "collapsed", "weak" or "healthy" by the mean inside, or "no nuclei".
    explanation : str
        The same in words, and why magnitude alone is not health.
    direction : float
        Mean cosine, -1..1, of HV to the exact HV of these very instances; NaN without any.
    bands : MagnitudeBands
        What the verdict was measured with.
    """

    inside: MagnitudeSummary
    outside: MagnitudeSummary
    whole_image_max: float
    edges: npt.NDArray[np.float64]
    counts_inside: Int64
    counts_outside: Int64
    verdict: str
    explanation: str
    direction: float
    bands: MagnitudeBands

    @property
    def misdirected(self) -> bool:
        """Whether there are nuclei and their HV does not point as their shapes ask."""
        return bool(self.direction < self.bands.direction)


def magnitude_report(
    maps: Maps, labels: npt.ArrayLike, bands: MagnitudeBands | None = None
) -> MagnitudeReport:
    """Measure the length of HV inside and outside nuclei, and whether it points right.

    Parameters
    ----------
    maps : Maps
        What a network predicted.
    labels : int array (H, W)
        The nuclei: instances cut from these maps, or true ones; 0 = background.
    bands : MagnitudeBands, optional
        Default ``MagnitudeBands()``.

    Returns
    -------
    MagnitudeReport

    Raises
    ------
    InputError
        If ``labels`` is not a 2-D array of whole numbers from 0 on, or its size is not
        that of the maps.

    Notes
    -----
    Mean, median and quantile are exact (of float32 values, linear interpolation as in
    ``numpy.percentile``). The direction is the plain mean over nucleus pixels of the
    cosine between HV and ``hv_targets(labels)``; a pixel whose HV is 0 counts as 0, one
    whose target is 0 (the centre) is left out.

    Examples
    --------
    >>> import numpy, napari_hovernet as nh
    >>> labels = numpy.zeros((20, 20), int)
    >>> labels[4:15, 4:15] = 1
    >>> report = magnitude_report(nh.Maps(np=labels, hv=nh.hv_targets(labels)), labels)
    >>> report.verdict, round(report.direction, 3)
    ('healthy', 1.0)
    """
    bands = MagnitudeBands() if bands is None else bands
    ids = ids_like(maps, labels)
    inside, outside = split_magnitudes(maps.hv, ids)
    counts = [histogram(values, bands) for values in (inside, outside)]
    top = max((float(v.max()) for v in (inside, outside) if v.size), default=float("nan"))
    within, around = summarise(inside), summarise(outside)
    direction = direction_cosine(maps.hv, ids)
    return MagnitudeReport(
        inside=within,
        outside=around,
        whole_image_max=top,
        edges=bands.edges,
        counts_inside=counts[0],
        counts_outside=counts[1],
        verdict=bands.word(within.mean),
        explanation=explain(within.mean, direction, top, bands),
        direction=direction,
        bands=bands,
    )


def ids_like(maps: Maps, labels: npt.ArrayLike) -> Int32:
    """Give labels as int32 of the maps' size; ids may be renumbered if they are sparse."""
    ids, _ = compact_ids(labels)
    if ids.shape != maps.shape:
        raise InputError(
            f"labels has shape {ids.shape} and the maps {maps.shape}; "
            "give the labels that belong to these maps."
        )
    return ids


def summarise(values: Float32) -> MagnitudeSummary:
    """Return number, mean, median and 95 % quantile of magnitudes (n,); reorders ``values``."""
    if not values.size:
        return MagnitudeSummary(0, float("nan"), float("nan"), float("nan"))
    return MagnitudeSummary(
        n=values.size,
        mean=float(values.mean(dtype=np.float64)),
        median=float(quantile(values, 0.5)),
        p95=float(quantile(values, UPPER_SHARE)),
    )


def explain(mean: float, direction: float, top: float, bands: MagnitudeBands) -> str:
    """Put a verdict into words, with what magnitude cannot tell."""
    if np.isnan(mean):
        return f"There are no nuclei, so there is nothing to measure. {BLIND}"
    parts = [_length(mean, bands), BLIND]
    if not np.isnan(direction):
        parts.append(
            f"Against the shapes of these very instances its cosine is {direction:.2f} "
            "(1 = right, 0 = unrelated, -1 = reversed)."
        )
    if direction < bands.direction:
        parts.append(_wrong_way(mean, direction, bands))
    low, high = BROKEN_MAXIMA
    parts.append(
        f"The largest magnitude of the whole image ({top:.2f}) tells nothing: "
        f"broken runs reached {low:g} to {high:g}."
    )
    return " ".join(parts)


def _length(mean: float, bands: MagnitudeBands) -> str:
    word = bands.word(mean)
    if word == COLLAPSED:
        return (
            f"Mean magnitude inside nuclei is {mean:.3f}, below {bands.collapsed:g}: close to the "
            "zero map. Investigate."
        )
    if word == HEALTHY:
        return (
            f"Mean magnitude inside nuclei is {mean:.2f}; {bands.healthy:g} or more is healthy, "
            f"exact maps have {bands.target_low:g} to {bands.target_high:g}."
        )
    if mean < bands.weak:
        return (
            f"Mean magnitude inside nuclei is {mean:.2f}, below {bands.weak:g}, the bound to go on "
            "after a few epochs of training. Investigate."
        )
    return (
        f"Mean magnitude inside nuclei is {mean:.2f}: above {bands.weak:g}, the bound to go on "
        f"after a few epochs of training, but a finished one should reach {bands.healthy:g}."
    )


def _wrong_way(mean: float, direction: float, bands: MagnitudeBands) -> str:
    healthy = bands.word(mean) == HEALTHY
    start = (
        "Warning: the length is healthy but the direction is not"
        if healthy
        else ("The direction is not right either")
    )
    cause = (
        "HV seems to be read with the wrong sign"
        if direction < -bands.direction
        else ("HV may be read in the wrong order or sign, or instances may hold several nuclei")
    )
    return f"{start} (cosine below {bands.direction:g}): {cause}."


def split_magnitudes(hv: Float32, ids: Int32) -> tuple[Float32, Float32]:
    """Return the magnitudes of pixels whose id is not 0, and of all others; new arrays."""
    values = np.empty(ids.size, np.float32)
    n = _gather(hv, ids, values)
    return values[:n], values[n:]


def direction_cosine(hv: Float32, ids: Int32) -> float:
    """Mean cosine of HV to the exact HV of the instances, -1..1; NaN without instances.

    ``hv`` float32 (2, H, W); ``ids`` int32 (H, W).
    """
    total, n = _sum_of_cosines(hv, hv_targets(ids), ids)
    return total / n if n else float("nan")


def histogram(values: Float32, bands: MagnitudeBands) -> Int64:
    """Count magnitudes (n,) in the bins of ``bands``; the last one takes what lies above."""
    counts = np.zeros(bands.bins, np.int64)
    _count(values, bands.bins / bands.upper, counts)
    return counts


@kernel
def _gather(hv: npt.NDArray[Any], ids: npt.NDArray[Any], values: npt.NDArray[Any]) -> int:
    """Write magnitudes of nuclei from the start of ``values``, others from its end; how many."""
    n, last = 0, len(values) - 1
    for r in range(ids.shape[0]):
        for c in range(ids.shape[1]):
            length = np.sqrt(hv[0, r, c] * hv[0, r, c] + hv[1, r, c] * hv[1, r, c])
            if ids[r, c]:
                values[n] = length
                n += 1
            else:
                values[last] = length
                last -= 1
    return n


@kernel
def _count(values: npt.NDArray[Any], scale: float, counts: npt.NDArray[Any]) -> None:
    """Count values in bins of width 1 / scale; the last bin takes what lies above."""
    last = len(counts) - 1
    for value in values:
        place = value * scale
        counts[int(place) if place < last else last] += 1


@kernel
def _sum_of_cosines(
    hv: npt.NDArray[Any], target: npt.NDArray[Any], ids: npt.NDArray[Any]
) -> tuple[float, int]:
    """Sum of the cosines over nucleus pixels that have a target, and their number."""
    total, n = 0.0, 0
    for r in range(ids.shape[0]):
        for c in range(ids.shape[1]):
            if ids[r, c] == 0:
                continue
            h, v = float(hv[0, r, c]), float(hv[1, r, c])
            x, y = float(target[0, r, c]), float(target[1, r, c])
            wanted = x * x + y * y
            if wanted == 0.0:
                continue
            n += 1
            square = (h * h + v * v) * wanted
            if square > 0.0:
                total += (h * x + v * y) / np.sqrt(square)
    return total, n


BARB_LENGTH, BARB_WIDTH = 0.3, 0.2
"""Barbs of a drawn arrow along and across it, in units of its length."""


@dataclass(frozen=True)
class ArrowParams:
    """How many arrows are drawn, and how long they are."""

    limit: int = 3000  # Most arrows that are drawn
    least_step: int = 1  # Pixels between two arrows at least
    fill: float = 0.9  # Length of an arrow of magnitude 1, in units of the grid's step
    longest: float = 2.0

    def __post_init__(self) -> None:
        for name in ("limit", "least_step"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}; give 1 or more.")
        for name in ("fill", "longest"):
            if not 0 < getattr(self, name) < np.inf:
                raise InputError(f"{name} is {getattr(self, name)}; give a number above 0.")


def hv_arrows(
    hv: Float32,
    mask: npt.NDArray[Any],
    box: tuple[int, int, int, int] | None = None,
    params: ArrowParams | None = None,
) -> Float32:
    """Sample HV on a regular grid inside a mask, as starts and projections.

    ``hv`` float (2, H, W); ``mask`` bool or int (H, W).
    """
    params = ArrowParams() if params is None else params
    hv, mask = np.asarray(hv), np.asarray(mask)
    if hv.ndim != 3 or hv.shape != (2, *mask.shape):
        raise InputError(
            f"hv has shape {hv.shape} and mask {mask.shape}; give (2, H, W) and (H, W)."
        )
    view = cut_box(box, mask.shape)
    step = grid_step(mask, view, params)
    rows, cols = _grid(mask, view, step)
    arrows = np.empty((len(rows), 2, 2), np.float32)
    arrows[:, 0] = np.stack((rows, cols), axis=1)
    arrows[:, 1] = hv[::-1, rows, cols].T
    arrows[:, 1] *= step * params.fill
    _shorten(arrows[:, 1], step * params.longest)
    return arrows


def arrow_lines(arrows: Float32) -> Float32:
    """Draw arrows as line segments: shaft and two barbs each.

    Returns float32 (6 n, 2).
    """
    start, along = arrows[:, 0, ::-1], arrows[:, 1, ::-1]
    tip, aside = start + along, along[:, ::-1] * np.array([-1, 1], np.float32)
    back, out = tip - BARB_LENGTH * along, BARB_WIDTH * aside
    points = np.stack((start, tip, tip, back + out, tip, back - out), axis=1)
    lines: Float32 = points.reshape(-1, 2).astype(np.float32)
    return lines


def cut_box(box: tuple[int, int, int, int] | None, shape: tuple[int, ...]) -> Box:
    """Cut a box (r0, r1, c0, c1) to an array; an empty one where nothing is left."""
    height, width = shape
    if box is None:
        return Box(0, height, 0, width)
    r0, c0 = max(int(box[0]), 0), max(int(box[2]), 0)
    r1, c1 = min(int(box[1]), height), min(int(box[3]), width)
    return Box(min(r0, height), max(r1, min(r0, height)), min(c0, width), max(c1, min(c0, width)))


def grid_step(mask: npt.NDArray[Any], box: Box, params: ArrowParams) -> int:
    """Smallest step in pixels of a grid that fits the parameters, seen through the mask."""
    part = mask[box.slices()]
    step = max(int(np.sqrt(np.count_nonzero(part) / params.limit)), params.least_step)
    while len(_grid(mask, box, step)[0]) > params.limit:
        step += 1
    return step


def _grid(
    mask: npt.NDArray[Any], box: Box, step: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Rows and columns of the multiples of ``step`` in a box that lie on the mask."""
    r0, c0 = -(-box.r0 // step) * step, -(-box.c0 // step) * step
    rows, cols = np.nonzero(mask[r0 : box.r1 : step, c0 : box.c1 : step])
    return rows * step + r0, cols * step + c0


def _shorten(projections: Float32, longest: float) -> None:
    """Cut vectors (n, 2), in place, to a length."""
    length = np.hypot(projections[:, 0], projections[:, 1])
    over = length > longest
    projections[over] *= (longest / length[over])[:, None]


Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True)
class NucleusViewParams:
    """How much is shown around a nucleus."""

    margin: int = 12  # Pixels around its box
    arrows: ArrowParams = field(default_factory=lambda: ArrowParams(limit=400))  # Of the crop
    arrows_along: int = 24
    bands: MagnitudeBands = field(default_factory=MagnitudeBands)  # Bins of its histogram

    def __post_init__(self) -> None:
        if self.margin < 0:
            raise InputError(f"margin is {self.margin}; give 0 or more.")
        if self.arrows_along < 1:
            raise InputError(f"arrows_along is {self.arrows_along}; give 1 or more.")


@dataclass(frozen=True, eq=False)
class Profile:
    """One HV channel along a line of pixels through a nucleus."""

    position: Int64  # Column (of a row) or row (of a column) in pixels of the maps
    value: Float32  # h along a row, v along a column
    ids: Int64  # Instance of each pixel, 0 = background: where one ends and the next begins
    at: int  # The row or column it runs along


@dataclass(frozen=True, eq=False)
class NucleusView:
    """Everything there is to see of one nucleus."""

    id: int  # Instance
    box: Box  # The crop, (r0, r1, c0, c1) in pixels of the maps
    np: Float32  # NP of the crop
    hv: Float32  # float32 (2, h, w): HV of the crop
    mask: Bool  # Pixels of this nucleus, and of all others
    others: Bool  # Pixels of this nucleus, and of all others
    centre: tuple[float, float]  # Row and column of its centre of mass, pixels of the maps
    area: int  # Pixels
    magnitude: MagnitudeSummary  # Of its pixels
    edges: Float64
    counts: Int64  # Histogram of its magnitude
    direction: float  # Mean cosine of HV to the exact HV of its shape
    across: Profile  # h along the row, and v along the column, through its centre
    down: Profile  # h along the row, and v along the column, through its centre
    arrows: Float32  # Start and projection (row, column), pixels of the maps
    outline: Int32  # Its contour, x and y, pixels of the maps
    neighbours: tuple[int, ...]  # Ids of instances that touch it, corners included


def nucleus_view(
    maps: Maps,
    labels: npt.NDArray[Any],
    nucleus_id: int,
    params: NucleusViewParams | None = None,
) -> NucleusView:
    """Look at one nucleus.

    ``labels`` int (H, W).
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
    """Find the box of a nucleus."""
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


@dataclass(frozen=True)
class PixelReading:
    """Everything known of one pixel."""

    row: int  # Pixel of the maps
    col: int  # Pixel of the maps
    np: float  # Probability of nucleus, 0..1
    h: float  # Offset from the nucleus centre to the right and down, nominally -1..1
    v: float  # Offset from the nucleus centre to the right and down, nominally -1..1
    magnitude: float  # Length of (h, v)
    direction: float
    nucleus: int  # Id of the instance, 0 = background

    @property
    def text(self) -> str:
        """One line of words for a status bar."""
        way = "-" if math.isnan(self.direction) else f"{round(self.direction) % 360}°"
        owner = f"nucleus {self.nucleus}" if self.nucleus else "background"
        return (
            f"NP {self.np:.2f}  h {self.h:+.2f}  v {self.v:+.2f}  "
            f"magnitude {self.magnitude:.2f}  direction {way}  {owner}"
        )


def pixel_reading(maps: Maps, labels: Int32, row: int, col: int) -> PixelReading:
    """Read the maps and the instances at one pixel.

    ``labels`` int (H, W).
    """
    height, width = maps.shape
    if labels.shape != maps.shape:
        raise InputError(f"labels has shape {labels.shape} and the maps {maps.shape}.")
    if not (0 <= row < height and 0 <= col < width):
        raise InputError(
            f"Row {row}, column {col} lies outside of the maps of {height} rows and "
            f"{width} columns."
        )
    h, v = float(maps.hv[0, row, col]), float(maps.hv[1, row, col])
    length = math.hypot(h, v)
    return PixelReading(
        row=row,
        col=col,
        np=float(maps.np[row, col]),
        h=h,
        v=v,
        magnitude=length,
        direction=math.degrees(math.atan2(v, h)) % 360 if length else math.nan,
        nucleus=int(labels[row, col]),
    )
