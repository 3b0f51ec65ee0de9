"""How long the HV vectors are inside nuclei and outside, and what that does not tell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from .compiled import kernel
from .hv import compact_ids, hv_targets
from .magnitude_bands import COLLAPSED, HEALTHY, MagnitudeBands
from .nuclei_kernels import quantile
from .types import Float32, Int32, Maps

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
    """Give labels as int32 of the maps' size; ids may be renumbered if they are sparse.

    Raises
    ------
    InputError
        If ``labels`` is not a 2-D array of whole numbers from 0 on, or of another size.
    """
    ids, _ = compact_ids(labels)
    if ids.shape != maps.shape:
        raise InputError(
            f"labels has shape {ids.shape} and the maps {maps.shape}; "
            "give the labels that belong to these maps."
        )
    return ids


def summarise(values: Float32) -> MagnitudeSummary:
    """Return number, mean, median and 95 % quantile of magnitudes (n,); reorders ``values``.

    Examples
    --------
    >>> summarise(np.array([0.0, 0.5, 1.0], np.float32)).median
    0.5
    """
    if not values.size:
        return MagnitudeSummary(0, float("nan"), float("nan"), float("nan"))
    return MagnitudeSummary(
        n=values.size,
        mean=float(values.mean(dtype=np.float64)),
        median=float(quantile(values, 0.5)),
        p95=float(quantile(values, UPPER_SHARE)),
    )


def explain(mean: float, direction: float, top: float, bands: MagnitudeBands) -> str:
    """Put a verdict into words, with what magnitude cannot tell.

    Parameters
    ----------
    mean : float
        Mean magnitude inside nuclei; NaN without any.
    direction : float
        Mean cosine to the exact HV of the instances.
    top : float
        Largest magnitude of the whole image.
    bands : MagnitudeBands
        What to measure with.
    """
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

    Parameters
    ----------
    hv : float32 (2, H, W)
    ids : int32 (H, W)
        0 = background.

    Examples
    --------
    >>> ids = np.ones((5, 5), np.int32)
    >>> round(direction_cosine(-hv_targets(ids), ids), 3)
    -1.0
    """
    total, n = _sum_of_cosines(hv, hv_targets(ids), ids)
    return total / n if n else float("nan")


def histogram(values: Float32, bands: MagnitudeBands) -> Int64:
    """Count magnitudes (n,) in the bins of ``bands``; the last one takes what lies above.

    Examples
    --------
    >>> histogram(np.array([0.2, 9.0], np.float32), MagnitudeBands(bins=3)).tolist()
    [1, 0, 1]
    """
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
