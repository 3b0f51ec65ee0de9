"""Where labels fit an image best: moved, turned, or on another image; measured, not judged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import fft
from scipy.optimize import linear_sum_assignment

from ..data.samples import TURNS, Turn, turn_plane
from ..types import Bool, Float32
from .data_likeness import band
from .data_limits import LIMITS, DataLimits

LEAST_EDGE = 16
"""Pixels below which an edge is too short to move anything along it."""
ROUND = 1e-9
AREA = 100
"""Pixels per nucleus below which more of them tell no more."""


@dataclass(frozen=True, eq=False)
class Pair:
    """One image and labels that are said to be its own.

    Parameters
    ----------
    index : int
        Number in the case.
    name : str
    plane : float32 (H, W)
        Nucleus likeness, structures of the size of nuclei alone.
    mask : float32 (h, w)
        The labels' nuclei, filtered alike; mostly of the same size.
    nuclei : int
        How many there are (no more than there is room for): so much is chance ruled out.
    """

    index: int
    name: str
    plane: Float32
    mask: Float32
    nuclei: int

    @property
    def fits(self) -> bool:
        """Whether both have the same size."""
        return self.plane.shape == self.mask.shape


def pair_of(
    index: int, name: str, plane: Float32, inside: Bool, nuclei: int, limits: DataLimits = LIMITS
) -> Pair:
    """Make a pair; of large images the middle is taken.

    Parameters
    ----------
    index, name, nuclei
        See :class:`Pair`.
    plane : float32 (H, W)
        Nucleus likeness, already filtered.
    inside : bool (H, W)
    limits : DataLimits
    """
    edge = limits.register_edge
    mask = band(inside.astype(np.float32), limits)
    told = min(nuclei, max(mask.size // AREA, 1))
    return Pair(index, name, middle(plane, edge), middle(mask, edge), told)


def middle(plane: Float32, edge: int) -> Float32:
    """Return the middle of a plane, at most ``edge`` pixels high and wide.

    Examples
    --------
    >>> middle(np.zeros((9, 30), np.float32), 10).shape
    (9, 10)
    """
    height, width = plane.shape
    r, c = max(height - edge, 0) // 2, max(width - edge, 0) // 2
    return plane[r : r + min(edge, height), c : c + min(edge, width)]


@dataclass(frozen=True, eq=False)
class Offsets:
    """How well labels fit when they are moved.

    Parameters
    ----------
    own : float
        Mean correlation where they are (within the tolerated pixels).
    at : (int, int)
        Rows and columns by which they have to be moved to fit best.
    best : float
        Mean correlation there.
    lowest : float
        Mean correlation where they are, pixel for pixel; negative for inverted masks.
    each_own, each_best : tuple of float
        The same of every pair.
    each_at : tuple of (int, int)
    agreeing : float
        Share of the pairs that fit anywhere, whose best place is that of all.
    """

    own: float
    at: tuple[int, int]
    best: float
    lowest: float
    each_own: tuple[float, ...]
    each_best: tuple[float, ...]
    each_at: tuple[tuple[int, int], ...]
    agreeing: float


def window_of(pair: Pair, limits: DataLimits = LIMITS) -> Float32:
    """Return the correlation for all shifts up to ``reach``, around none in the middle.

    The image is taken as going on on its other side, so that a shift that wraps round and
    one that does not are found alike. Rows and columns: 2 * reach + 1; NaN beyond half of
    the image.
    """
    reach = limits.reach
    out: Float32 = np.full((2 * reach + 1, 2 * reach + 1), np.nan, np.float32)
    if not pair.fits or min(pair.plane.shape) < LEAST_EDGE:
        return out
    first, second = fft.rfft2(unit(pair.plane)), fft.rfft2(unit(pair.mask))
    found = fft.irfft2(first * np.conj(second), pair.plane.shape)
    rows, cols = (min(n // 2 - 1, reach) for n in pair.plane.shape)
    rolled = np.roll(found, (rows, cols), (0, 1))[: 2 * rows + 1, : 2 * cols + 1]
    out[reach - rows : reach + rows + 1, reach - cols : reach + cols + 1] = rolled
    return out


def offsets(windows: Sequence[Float32], limits: DataLimits = LIMITS) -> Offsets | None:
    """Put the windows of all pairs together; None if there are none.

    Parameters
    ----------
    windows : sequence of float32 (2 * reach + 1, 2 * reach + 1)
        See :func:`window_of`.
    limits : DataLimits
    """
    usable = [w for w in windows if np.isfinite(w).any()]
    if not usable:
        return None
    stack = np.stack(usable)
    known = np.isfinite(stack).sum(axis=0)
    total = np.nansum(stack, axis=0) / np.maximum(known, 1)
    total[known * 2 < len(usable)] = -np.inf
    at, best = _peak(total)
    peaks = [_peak(np.where(np.isfinite(w), w, -np.inf)) for w in usable]
    own = [_near_middle(w, limits) for w in usable]
    sure = [p for p, value in peaks if value >= limits.match]
    near = [np.hypot(p[0] - at[0], p[1] - at[1]) <= limits.agree_px for p in sure]
    return Offsets(
        own=float(np.mean(own)),
        at=at,
        best=best,
        lowest=float(np.mean([w[limits.reach, limits.reach] for w in usable])),
        each_own=tuple(own),
        each_best=tuple(value for _, value in peaks),
        each_at=tuple(p for p, _ in peaks),
        agreeing=float(np.mean(near)) if near else 0.0,
    )


def _peak(window: npt.NDArray[np.floating]) -> tuple[tuple[int, int], float]:
    reach = window.shape[0] // 2
    r, c = np.unravel_index(int(np.argmax(window)), window.shape)
    return (int(r) - reach, int(c) - reach), float(window[r, c])


def _near_middle(window: Float32, limits: DataLimits) -> float:
    """Best correlation within the shift that is tolerated."""
    reach, far = limits.reach, int(limits.shift)
    part = window[reach - far : reach + far + 1, reach - far : reach + far + 1]
    return float(np.nanmax(part))


def turn_scores(pair: Pair) -> dict[Turn, float]:
    """Return the correlation after each flip and quarter turn of the labels.

    A turn that does not bring labels to the size of their image counts 0.

    Parameters
    ----------
    pair : Pair
    """
    scores = dict.fromkeys(TURNS, 0.0)
    plane, mask = unit(pair.plane), unit(pair.mask)
    for turn in TURNS:
        turned = turn_plane(mask, turn)
        if turned.shape == plane.shape:
            scores[turn] = float(np.vdot(plane, turned))
    return scores


def cross_scores(mask: Float32, planes: Sequence[Float32]) -> npt.NDArray[np.float64]:
    """Return the correlation of one image's labels with every image.

    Of unequal sizes the corner that both have is compared.

    Parameters
    ----------
    mask : float32 (H, W)
        Labels as in :class:`Pair`.
    planes : sequence of float32 (H, W)
        Nucleus likeness of the images, of mean 0 and length 1 (see :func:`unit`).
    """
    scores, own = np.zeros(len(planes)), unit(mask)
    for j, plane in enumerate(planes):
        if mask.shape == plane.shape:
            scores[j] = float(np.vdot(own, plane))
        else:
            h, w = (min(a, b) for a, b in zip(mask.shape, plane.shape, strict=True))
            scores[j] = float(np.vdot(unit(mask[:h, :w]), unit(plane[:h, :w])))
    return scores


def assigned(scores: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Return which image each labels get so that the correlations add up to most.

    Examples
    --------
    >>> assigned(np.array([[0.1, 0.9], [0.8, 0.0]])).tolist()
    [1, 0]
    """
    _, columns = linear_sum_assignment(-scores)
    return np.asarray(columns, np.int64)


def strip_score(pairs: Sequence[Pair], at: tuple[int, int]) -> float:
    """Return the correlation in the strip that a shift brings round from the other side.

    High where labels were rolled, about 0 where they were moved and something else came in.
    """
    found = []
    for pair in pairs:
        if not pair.fits:
            continue
        strip = np.zeros(pair.plane.shape, bool)
        r, c = at
        height, width = pair.plane.shape[0], pair.plane.shape[1]
        strip[: max(r, 0)] = strip[height + min(r, 0) :] = True
        strip[:, : max(c, 0)] = strip[:, width + min(c, 0) :] = True
        if strip.any():
            rolled = np.roll(pair.mask, at, (0, 1))
            found.append(float((unit(pair.plane[strip]) * unit(rolled[strip])).sum()))
    return float(np.mean(found)) if found else 0.0


def unit(plane: Float32) -> Float32:
    """Return a plane of mean 0 and length 1.

    Parameters
    ----------
    plane : float32 array
    """
    centred = plane - plane.mean(dtype=np.float64).astype(np.float32)
    return np.asarray(centred / max(float(np.linalg.norm(centred)), ROUND), np.float32)
