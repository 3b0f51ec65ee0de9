"""How predicted maps lie against the truth and the image, over all shifts and turns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import fft

from ..data.samples import TURNS, Turn, turn_plane
from ..types import Float32, Progress
from .bench import Bench
from .map_limits import LIMITS, MapLimits
from .map_np import NPReading, reading_steps
from .map_views import Steps, View, correlation, kept, views

Shift = tuple[int, int]
NO_SHIFT: Shift = (0, 0)
TRUTH, IMAGE = "truth", "image"


@dataclass(frozen=True, eq=False)
class Lie:
    """How NP of one image lies against its truth, or against how dark the image is.

    Parameters
    ----------
    index : int
    surface : float32 (H, W)
        Correlation if the reference is moved by (rows, columns), wrapping round.
    turns : float64 (8,)
        Correlation with the reference turned by each of ``TURNS``; NaN where sides differ.
    """

    index: int
    surface: Float32
    turns: npt.NDArray[np.float64]

    @property
    def peak(self) -> Shift:
        """Rows and columns by which the reference has to be moved to fit best."""
        flat = int(np.argmax(self.surface))
        at = np.unravel_index(flat, self.surface.shape)
        rows, cols = (
            int(i) - n if i > n // 2 else int(i)
            for i, n in zip(at, self.surface.shape, strict=True)
        )
        return rows, cols

    def at(self, shift: Shift) -> float:
        """Return the correlation at a shift."""
        height, width = self.surface.shape
        return float(self.surface[shift[0] % height, shift[1] % width])


@dataclass(frozen=True)
class Consensus:
    """What all images agree on, against one reference.

    Parameters
    ----------
    shift : (int, int)
        Rows and columns by which NP lies off.
    agree, n : int
        Images that say so (within one pixel), of all.
    here, there : float
        Mean correlation as it is, and with NP moved back.
    sure : float
        Mean gain over its standard error; NaN for one image.
    turn : int
        Number of the turn, of ``TURNS``, that fits best.
    turned : float
        Mean correlation with it.
    turns : tuple of float
        Of all eight.
    pixels : int
        Of all images together.
    """

    shift: Shift
    agree: int
    n: int
    here: float
    there: float
    sure: float
    turn: int
    turned: float
    turns: tuple[float, ...]
    pixels: int = 0

    @property
    def gain(self) -> float:
        """Correlation gained by moving NP back."""
        return self.there - self.here

    @property
    def best(self) -> float:
        """The highest correlation that moving or turning reaches."""
        return max(self.here, self.there, self.turned)


@dataclass(frozen=True)
class Moved:
    """How maps lie against the truth and the image.

    Parameters
    ----------
    truth, image : Consensus, optional
        None where there is nothing to compare with.
    strangers : int
        Images whose NP fits the truth (or image) of another one, and not their own.
    """

    truth: Consensus | None = None
    image: Consensus | None = None
    strangers: int = 0

    def judge(self, limits: MapLimits = LIMITS) -> tuple[str, Consensus | None]:
        """Return what decides where maps should lie: the image if it tells, else the truth."""
        for name, found in ((IMAGE, self.image), (TRUTH, self.truth)):
            if found is not None and found.best >= limits.related:
                return name, found
        return "", None

    def alignment(self, limits: MapLimits = LIMITS) -> tuple[Turn, Shift] | None:
        """Return how the truth has to be turned, then moved, to lie on the maps; None if not."""
        found = self.truth
        if found is None or found.best < limits.related:
            return None
        if is_turned(found, limits):
            return TURNS[found.turn], NO_SHIFT
        return TURNS[0], found.shift if is_shifted(found, limits) else NO_SHIFT


def lie(prob: Float32, reference: npt.NDArray[Any], index: int, limits: MapLimits) -> Lie:
    """Correlate NP with a reference over all shifts and turns.

    Parameters
    ----------
    prob : float32 (H, W)
    reference : array (H, W)
        True nuclei, or darkness.
    index : int
    limits : MapLimits

    Examples
    --------
    >>> plane = np.zeros((16, 16), np.float32)
    >>> plane[4:8, 4:6] = 1
    >>> lie(np.roll(plane, (1, 3), (0, 1)), plane, 0, MapLimits()).peak
    (1, 3)
    """
    a, b = (_middle(np.asarray(x, np.float32), limits.edge) for x in (prob, reference))
    turns = [
        correlation(a, turn_plane(b, turn))
        if a.shape[0] == a.shape[1] or turn.quarters % 2 == 0
        else float("nan")
        for turn in TURNS
    ]
    a, b = a - a.mean(dtype=np.float64), b - b.mean(dtype=np.float64)
    size = float(np.sqrt((a * a).sum() * (b * b).sum()))
    spectrum = fft.rfft2(a) * np.conj(fft.rfft2(b))
    surface = fft.irfft2(spectrum, a.shape) / (size or 1.0)
    return Lie(index, surface.astype(np.float32), np.array(turns))


def _middle(plane: Float32, edge: int) -> Float32:
    r, c = (max(n - edge, 0) // 2 for n in plane.shape)
    return plane[r : r + edge, c : c + edge]


def consensus(lies: Sequence[Lie], limits: MapLimits = LIMITS) -> Consensus | None:
    """Find what images agree on; None without any."""
    if not lies:
        return None
    peaks = [x.peak for x in lies if x.at(x.peak) >= limits.least_peak]
    votes = [(sum(_near(p, q) for q in peaks), peaks.count(p), p) for p in peaks]
    agree, _, shift = max(votes, default=(0, 0, NO_SHIFT))
    gains = np.array([x.at(shift) - x.at(NO_SHIFT) for x in lies])
    error = float(gains.std(ddof=1)) / np.sqrt(len(gains)) if len(gains) > 1 else float("nan")
    with np.errstate(invalid="ignore"):
        stacked = np.array([x.turns for x in lies])
        known = ~np.isnan(stacked).any(axis=0)
        turns = np.where(known, stacked.mean(axis=0), -1.0)
    best = int(np.argmax(turns))
    return Consensus(
        shift=shift,
        agree=agree,
        n=len(lies),
        here=float(np.mean([x.at(NO_SHIFT) for x in lies])),
        there=float(np.mean([x.at(shift) for x in lies])),
        sure=float(gains.mean()) / error if error > 0 else float("nan"),
        turn=best,
        turned=float(turns[best]),
        turns=tuple(map(float, turns)),
        pixels=sum(x.surface.size for x in lies),
    )


def _near(a: Shift, b: Shift) -> bool:
    return max(abs(a[0] - b[0]), abs(a[1] - b[1])) <= 1


def moved(
    seen: Sequence[View], reading: NPReading, limits: MapLimits = LIMITS
) -> tuple[Moved, list[Lie], list[Lie]]:
    """Measure where maps lie; also image by image, against truth and image."""
    truths, images = [], []
    for view in seen:
        prob, truth = reading.prob(view), view.truth
        if truth is not None and limits.few_true <= truth.mean() < 1:
            truths.append(lie(prob, truth, view.index, limits))
        if view.dark is not None:
            images.append(lie(prob, view.dark, view.index, limits))
    return Moved(consensus(truths, limits), consensus(images, limits)), truths, images


def moved_steps(bench: Bench) -> Steps[Moved]:
    """Measure where the maps of a bench lie."""

    def measure(bench: Bench) -> Steps[Moved]:
        seen = yield from views(bench)
        reading = yield from reading_steps(bench)
        truths: list[Lie] = []
        images: list[Lie] = []
        for done, view in enumerate(seen):
            yield Progress(done, len(seen), "where maps lie")
            _, truth, image = moved([view], reading)
            truths += truth
            images += image
        found = Moved(consensus(truths), consensus(images))
        if found.judge()[1] is not None:
            return found
        return replace(found, strangers=(yield from _strangers(seen, reading)))

    return (yield from kept(bench, "maps.moved", measure))


def _strangers(seen: Sequence[View], reading: NPReading, limits: MapLimits = LIMITS) -> Steps[int]:
    """Count the images whose NP fits what belongs to another one."""
    n = 0
    for done, view in enumerate(seen):
        yield Progress(done, len(seen), "whose maps these are")
        n += any(
            correlation(reading.prob(view), other) >= limits.least_peak_alone
            for one in seen
            for other in (one.truth, one.dark)
            if one is not view and other is not None and other.shape == view.prob.shape
        )
    return n


def is_shifted(found: Consensus, limits: MapLimits = LIMITS) -> bool:
    """Whether maps lie off by as much as is sure."""
    if found.shift == NO_SHIFT or is_turned(found, limits):
        return False
    alone = found.n == 1
    if found.there < (limits.least_peak_alone if alone else limits.least_peak):
        return False
    if found.agree < limits.shift_agree * found.n:
        return False
    if max(map(abs, found.shift)) < limits.small_shift:
        return not alone and found.gain >= limits.single_gain and found.sure >= limits.single_sure
    if found.pixels < limits.few_pixels:
        return found.gain >= limits.shift_gain_small
    return found.gain >= (limits.shift_gain_alone if alone else limits.shift_gain)


def is_turned(found: Consensus, limits: MapLimits = LIMITS) -> bool:
    """Whether maps are flipped or turned."""
    least = limits.least_peak_alone if found.n == 1 else limits.least_peak
    gain = found.turned - max(found.here, found.there)
    return bool(found.turn and found.turned >= least and gain >= limits.turn_gain)
