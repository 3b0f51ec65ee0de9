"""How long the HV vectors are inside nuclei and outside, and what that does not tell."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ...errors import InputError
from ..choices import check_choices, choice, described
from ..hv import compact_ids, cosine, hv_targets, length, length_at
from ..inference.tiles import Box
from ..types import Bool, Float32, Float64, Int32, Int64, Maps, kernel
from .nuclei import UPPER_SHARE, measure

Array = npt.NDArray[Any]
COLLAPSED, WEAK, HEALTHY, NO_NUCLEI = "collapsed", "weak", "healthy", "no nuclei"
"""The words of a verdict."""
BROKEN_MAXIMA = (0.88, 0.99)
"""Whole-image maxima of magnitude met in runs whose instances were useless."""
BLIND = "Magnitude is blind to direction: a map can have full length and point the wrong way."
BARB_LENGTH, BARB_WIDTH = 0.3, 0.2
"""Barbs of a drawn arrow along and across it, in units of its length."""


# fmt: off
@described
@dataclass(frozen=True)
class MagnitudeBands:
    """Bounds by which a mean magnitude inside nuclei is called collapsed, weak or healthy.

    Raises
    ------
    InputError
        If the bounds are not in order or a number is out of range.

    Examples
    --------
    >>> MagnitudeBands().word(0.3)
    'weak'
    """

    collapsed: float = choice(
        0.10, "Collapsed below", "Below this mean the map is close to the zero map.",
        low=0, span=(0, 2), step=0.01)
    weak: float = choice(
        0.25, "Go on from", "After a few epochs of training a mean below this is to be looked "
        "into.", low=0, span=(0, 2), step=0.01)
    healthy: float = choice(
        0.50, "Healthy from", "A trained network should reach this mean.",
        low=0, span=(0, 2), step=0.01)
    target_low: float = choice(
        0.67, "Exact maps from", "Mean magnitude of exact HV maps of round nuclei: 2/3 for a "
        "disc, a little more for small ones.", low=0)
    target_high: float = choice(0.69, "Exact maps up to", "The other end of that range.", low=0)
    direction: float = choice(
        0.75, "Right direction from", "Least mean cosine at which the direction is called right. "
        "Good predictions have 0.83 to 0.98 against their own instances, about 0 with H and V "
        "exchanged.", low=-1, high=1)
    bins: int = choice(75, "Bins", "Bins of the histogram.", low=1)
    upper: float = choice(
        1.5, "Histogram up to", "Larger values are counted in the last bin. HV in [-1, 1] cannot "
        "be longer than the square root of 2.", above=0)

    def __post_init__(self) -> None:
        check_choices(self)
        if not self.collapsed <= self.weak <= self.healthy:
            raise InputError(
                f"The bands are collapsed {self.collapsed:g}, weak {self.weak:g} and healthy "
                f"{self.healthy:g}; give 0 <= collapsed <= weak <= healthy."
            )
        if self.target_low > self.target_high:
            raise InputError(
                f"target_low is {self.target_low:g} and target_high {self.target_high:g}; "
                "give 0 <= low <= high."
            )

    def word(self, mean: float) -> str:
        """Name a mean magnitude: "collapsed", "weak" or "healthy"; NaN is "no nuclei"."""
        if math.isnan(mean):
            return NO_NUCLEI
        if mean < self.collapsed:
            return COLLAPSED
        return WEAK if mean < self.healthy else HEALTHY

    @property
    def edges(self) -> Float64:
        """Edges of the histogram's bins, (bins + 1,)."""
        return np.linspace(0.0, self.upper, self.bins + 1)


@dataclass(frozen=True)
class ArrowParams:
    """How many arrows are drawn, and how long they are."""

    limit: int = choice(3000, "Arrows", "Most arrows that are drawn.", low=1)
    least_step: int = choice(1, "Distance", "Least distance of two arrows.", unit="px", low=1)
    fill: float = choice(
        0.9, "Length", "Of an arrow of magnitude 1, in units of the grid's step.", above=0)
    longest: float = choice(2.0, "Longest", "Arrow that is drawn, in the same units.", above=0)

    def __post_init__(self) -> None:
        check_choices(self)


@dataclass(frozen=True)
class NucleusViewParams:
    """How much is shown around a nucleus."""

    margin: int = choice(12, "Margin", "Around its box.", unit="px", low=0)
    arrows: ArrowParams = field(default_factory=lambda: ArrowParams(limit=400))  # Of the crop
    arrows_along: int = choice(24, "Arrows along", "Most arrows along the longer edge.", low=1)
    bands: MagnitudeBands = field(default_factory=MagnitudeBands)  # Bins of its histogram

    def __post_init__(self) -> None:
        check_choices(self)


# fmt: on
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
    edges: Float64
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
    ids, _ = compact_ids(labels)
    if ids.shape != maps.shape:
        raise InputError(
            f"labels has shape {ids.shape} and the maps {maps.shape}; "
            "give the labels that belong to these maps."
        )
    both = split_magnitudes(maps.hv, ids)
    inside, outside = (histogram(values, bands) for values in both)
    top = max((float(values.max()) for values in both if values.size), default=math.nan)
    within, around = (summarise(values) for values in both)
    direction = direction_cosine(maps.hv, ids)
    words = bands.word(within.mean), _explain(within.mean, direction, top, bands)
    counts = bands.edges, inside, outside
    return MagnitudeReport(within, around, top, *counts, *words, direction, bands)


def summarise(values: Float32) -> MagnitudeSummary:
    """Return number, mean, median and 95 % quantile of magnitudes (n,); reorders ``values``."""
    if not values.size:
        return MagnitudeSummary(0, math.nan, math.nan, math.nan)
    mean = float(values.mean(dtype=np.float64))
    places = [share * (values.size - 1) for share in (0.5, UPPER_SHARE)]
    ranks = [(int(place), min(int(place) + 1, values.size - 1)) for place in places]
    values.partition(sorted({*ranks[0], *ranks[1]}))
    median, upper = (
        float(values[low]) + (place - low) * float(values[high] - values[low])
        for place, (low, high) in zip(places, ranks, strict=True)
    )
    return MagnitudeSummary(values.size, mean, median, upper)


def split_magnitudes(hv: Float32, ids: Int32) -> tuple[Float32, Float32]:
    """Return the magnitudes of pixels whose id is not 0, and of all others; new arrays."""
    values = np.empty(ids.size, np.float32)
    n = _gather(hv, ids, values)
    return values[:n], values[n:]


def direction_cosine(hv: Float32, ids: Int32) -> float:
    """Mean cosine of HV (2, H, W) to the exact HV of the instances, -1..1; NaN without any."""
    return cosine(hv, hv_targets(ids), short=0.0)


def histogram(values: Float32, bands: MagnitudeBands) -> Int64:
    """Count magnitudes (n,) in the bins of ``bands``; the last one takes what lies above."""
    counts = np.zeros(bands.bins, np.int64)
    _count(values, bands.bins / bands.upper, counts)
    return counts


@kernel
def _gather(hv: Array, ids: Array, values: Array) -> int:
    """Write magnitudes of nuclei from the start of ``values``, others from its end; how many."""
    n, last = 0, len(values) - 1
    for r in range(ids.shape[0]):
        for c in range(ids.shape[1]):
            if ids[r, c]:
                values[n] = length_at(hv, r, c)
                n += 1
            else:
                values[last] = length_at(hv, r, c)
                last -= 1
    return n


@kernel
def _count(values: Array, scale: float, counts: Array) -> None:
    """Count values in bins of width 1 / scale; the last bin takes what lies above."""
    last = len(counts) - 1
    for value in values:
        place = value * scale
        counts[int(place) if place < last else last] += 1


def _explain(mean: float, direction: float, top: float, bands: MagnitudeBands) -> str:
    """Put a verdict into words, with what magnitude cannot tell."""
    if math.isnan(mean):
        return f"There are no nuclei, so there is nothing to measure. {BLIND}"
    word = bands.word(mean)
    said = f"Mean magnitude inside nuclei is {mean:.{3 if word == COLLAPSED else 2}f}"
    bound = f"{bands.weak:g}, the bound to go on after a few epochs of training"
    if word == COLLAPSED:
        said += f", below {bands.collapsed:g}: close to the zero map. Investigate."
    elif word == HEALTHY:
        said += f"; {bands.healthy:g} or more is healthy, exact maps have "
        said += f"{bands.target_low:g} to {bands.target_high:g}."
    elif mean < bands.weak:
        said += f", below {bound}. Investigate."
    else:
        said += f": above {bound}, but a finished one should reach {bands.healthy:g}."
    parts = [said, BLIND]
    if not math.isnan(direction):
        parts.append(
            f"Against the shapes of these very instances its cosine is {direction:.2f} "
            "(1 = right, 0 = unrelated, -1 = reversed)."
        )
    if direction < bands.direction:
        start = "The direction is not right either"
        if word == HEALTHY:
            start = "Warning: the length is healthy but the direction is not"
        cause = "HV may be read in the wrong order or sign, or instances may hold several nuclei"
        if direction < -bands.direction:
            cause = "HV seems to be read with the wrong sign"
        parts.append(f"{start} (cosine below {bands.direction:g}): {cause}.")
    parts.append(
        f"The largest magnitude of the whole image ({top:.2f}) tells nothing: broken runs "
        f"reached {BROKEN_MAXIMA[0]:g} to {BROKEN_MAXIMA[1]:g}."
    )
    return " ".join(parts)


def hv_arrows(
    hv: Float32,
    mask: Array,
    box: tuple[int, int, int, int] | None = None,
    params: ArrowParams | None = None,
) -> Float32:
    """Sample HV (2, H, W) on a regular grid inside a mask, as starts and projections (n, 2, 2)."""
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
    along = arrows[:, 1]
    along[:] = hv[::-1, rows, cols].T
    along *= step * params.fill
    longest, lengths = step * params.longest, length(along.T)
    over = lengths > longest
    along[over] *= (longest / lengths[over])[:, None]
    return arrows


def arrow_lines(arrows: Float32) -> Float32:
    """Draw arrows as line segments, float32 (6 n, 2): shaft and two barbs each."""
    start, along = arrows[:, 0, ::-1], arrows[:, 1, ::-1]
    tip, aside = start + along, along[:, ::-1] * np.array([-1, 1], np.float32)
    back, out = tip - BARB_LENGTH * along, BARB_WIDTH * aside
    points = np.stack((start, tip, tip, back + out, tip, back - out), axis=1)
    return np.asarray(points.reshape(-1, 2), np.float32)


def cut_box(box: tuple[int, int, int, int] | None, shape: tuple[int, ...]) -> Box:
    """Cut a box (r0, r1, c0, c1) to an array; an empty one where nothing is left."""
    height, width = shape
    r0, r1, c0, c1 = (0, height, 0, width) if box is None else (max(int(x), 0) for x in box)
    r0, c0 = min(r0, height), min(c0, width)
    return Box(r0, max(min(r1, height), r0), c0, max(min(c1, width), c0))


def grid_step(mask: Array, box: Box, params: ArrowParams) -> int:
    """Smallest step in pixels of a grid that fits the parameters, seen through the mask."""
    inside = np.count_nonzero(mask[box.slices()])
    step = max(int(np.sqrt(inside / params.limit)), params.least_step)
    while len(_grid(mask, box, step)[0]) > params.limit:
        step += 1
    return step


def _grid(mask: Array, box: Box, step: int) -> tuple[Int64, Int64]:
    """Rows and columns of the multiples of ``step`` in a box that lie on the mask."""
    r0, c0 = -(-box.r0 // step) * step, -(-box.c0 // step) * step
    rows, cols = np.nonzero(mask[r0 : box.r1 : step, c0 : box.c1 : step])
    return rows * step + r0, cols * step + c0


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
    hv: Float32  # HV of the crop, (2, h, w)
    mask: Bool  # Pixels of this nucleus
    others: Bool  # Pixels of all others
    centre: tuple[float, float]  # Row and column of its centre of mass, pixels of the maps
    area: int  # Pixels
    magnitude: MagnitudeSummary  # Of its pixels
    edges: Float64
    counts: Int64  # Histogram of its magnitude
    direction: float  # Mean cosine of HV to the exact HV of its shape
    across: Profile  # h along the row through its centre
    down: Profile  # v along the column through its centre
    arrows: Float32  # Start and projection (row, column), pixels of the maps
    outline: Int32  # Its contour, x and y, pixels of the maps
    neighbours: tuple[int, ...]  # Ids of instances that touch it, corners included


def nucleus_view(
    maps: Maps, labels: Array, nucleus_id: int, params: NucleusViewParams | None = None
) -> NucleusView:
    """Look at one nucleus of ``labels`` int (H, W)."""
    params = NucleusViewParams() if params is None else params
    labels = np.asarray(labels)
    box = _around(maps, labels, nucleus_id, params.margin)
    ids, hv = labels[box.slices()], maps.hv[(slice(None), *box.slices())]
    mask: Bool = ids == nucleus_id
    rows, cols = np.nonzero(mask)
    centre = (float(rows.mean()) + box.r0, float(cols.mean()) + box.c0)
    row, col = round(centre[0]), round(centre[1])
    x, y = np.arange(box.c0, box.c1, dtype=np.int64), np.arange(box.r0, box.r1, dtype=np.int64)
    h, v = hv[0, row - box.r0], hv[1, :, col - box.c0]
    beside, below = ids[row - box.r0], ids[:, col - box.c0]
    step = max(params.arrows.least_step, -(-max(ids.shape) // params.arrows_along))
    arrows = hv_arrows(hv, ids, None, replace(params.arrows, least_step=step))
    arrows[:, 0] += np.array([box.r0, box.c0], np.float32)
    (contour,) = measure(mask).contours
    rim = cv2.dilate(mask.view(np.uint8), np.ones((3, 3), np.uint8)).view(np.bool_) & ~mask
    lengths = length(hv[:, mask])
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
        across=Profile(x, h.copy(), beside.astype(np.int64), row),
        down=Profile(y, v.copy(), below.astype(np.int64), col),
        arrows=arrows,
        outline=np.concatenate((contour, contour[:1])) + np.array([box.c0, box.r0], np.int32),
        neighbours=tuple(int(i) for i in np.unique(ids[rim]) if i),
    )


def _around(maps: Maps, labels: Array, nucleus_id: int, margin: int) -> Box:
    """Find the box of a nucleus, with a margin within the image."""
    if labels.shape != maps.shape:
        raise InputError(f"labels has shape {labels.shape} and the maps {maps.shape}.")
    found = labels == nucleus_id
    rows = np.flatnonzero(found.any(axis=1)) if nucleus_id > 0 else np.zeros(0, int)
    if not len(rows):
        raise InputError(f"There is no nucleus {nucleus_id}; ids start at 1.")
    cols = np.flatnonzero(found[rows[0] : rows[-1] + 1].any(axis=0))
    ends = (rows[0] - margin, rows[-1] + 1 + margin, cols[0] - margin, cols[-1] + 1 + margin)
    return cut_box(ends, labels.shape)


@dataclass(frozen=True)
class PixelReading:
    """Everything known of one pixel."""

    row: int  # Pixel of the maps
    col: int  # Pixel of the maps
    np: float  # Probability of nucleus, 0..1
    h: float  # Offset from the nucleus centre to the right, nominally -1..1
    v: float  # Offset from the nucleus centre downward, nominally -1..1
    magnitude: float  # Length of (h, v)
    direction: float  # Degrees from "right", clockwise on the screen; NaN at length 0
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
    """Read the maps and the instances (H, W) at one pixel."""
    height, width = maps.shape
    if labels.shape != maps.shape:
        raise InputError(f"labels has shape {labels.shape} and the maps {maps.shape}.")
    if not (0 <= row < height and 0 <= col < width):
        raise InputError(
            f"Row {row}, column {col} lies outside of the maps of {height} rows and "
            f"{width} columns."
        )
    h, v = float(maps.hv[0, row, col]), float(maps.hv[1, row, col])
    size = math.hypot(h, v)
    way = math.degrees(math.atan2(v, h)) % 360 if size else math.nan
    prob, nucleus = float(maps.np[row, col]), int(labels[row, col])
    return PixelReading(row, col, prob, h, v, size, way, nucleus)
