"""What is measured of predicted NP, and how it has to be read so that other checks see nuclei."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ..types import Bool, Float32, Progress
from .bench import Bench
from .map_limits import LIMITS, MapLimits
from .map_shapes import convex_share
from .map_views import Steps, View, correlation, kept, views

Int64 = npt.NDArray[np.int64]
BINS = 200
"""Of NP values."""
STEPS = tuple(round(0.05 * k, 2) for k in range(1, 20))
"""Thresholds that are tried."""


@dataclass(frozen=True, eq=False)
class NPTally:
    """What was measured of NP in all images.

    Parameters
    ----------
    inside, outside : int64 (bins,)
        Pixels by NP, in true nuclei and outside; without truth all are outside.
    truth, image : float
        Mean correlation of NP with the truth, and with how dark the image is; NaN without.
    shape, shape_other : float
        Share of the NP mask, and of all else, in small convex parts.
    parts, parts_other : int
        Number of these.
    kinds : tuple of str
        What NP was given as, image by image.
    examples : tuple of (int, str, int, int)
        Number, name, height and width of each image.
    labelled : bool
        Whether there are labels, empty or not.
    """

    inside: Int64
    outside: Int64
    truth: float
    image: float
    shape: float
    shape_other: float
    parts: int
    parts_other: int
    kinds: tuple[str, ...] = ()
    examples: tuple[tuple[int, str, int, int], ...] = ()
    labelled: bool = False

    @property
    def all(self) -> Int64:
        """Pixels by NP."""
        return self.inside + self.outside

    def flipped(self) -> NPTally:
        """Return what would have been measured of 1 - NP."""
        return replace(
            self,
            inside=self.inside[::-1],
            outside=self.outside[::-1],
            truth=-self.truth,
            image=-self.image,
            shape=self.shape_other,
            shape_other=self.shape,
            parts=self.parts_other,
            parts_other=self.parts,
        )

    @property
    def pixels(self) -> int:
        """Pixels of all images."""
        return int(self.all.sum())

    def share(self, threshold: float) -> float:
        """Share of all pixels from a threshold on."""
        return _above(self.all, threshold) / max(self.pixels, 1)

    def dice(self, threshold: float) -> float:
        """Dice of NP from a threshold on against the truth."""
        hit, wrong = _above(self.inside, threshold), _above(self.outside, threshold)
        return 2 * hit / max(hit + wrong + int(self.inside.sum()), 1)

    def quantile(self, q: float) -> float:
        """Value of NP that a share of ``q`` of the pixels does not exceed."""
        total = np.cumsum(self.all)
        return float(np.searchsorted(total, q * total[-1]) + 0.5) / BINS if total[-1] else 0.0


@dataclass(frozen=True)
class NPReading:
    """How NP is read for what else is measured.

    Parameters
    ----------
    inverted : bool
        NP is the probability of background.
    threshold : float
    """

    inverted: bool = False
    threshold: float = 0.5

    def mask(self, view: View) -> Bool:
        """Return the pixels of nuclei."""
        return self.prob(view) >= self.threshold

    def prob(self, view: View) -> Float32:
        """Return the probability of nucleus."""
        return 1 - view.prob if self.inverted else view.prob


def tally(seen: Sequence[View], limits: MapLimits = LIMITS) -> NPTally:
    """Measure NP in all images; see :class:`NPTally`.

    Examples
    --------
    >>> plane = np.eye(64, dtype=np.float32)
    >>> view = View(0, "a", plane, np.zeros((2, 64, 64), np.float32), plane.astype(np.int32))
    >>> round(tally([view]).dice(0.5), 3)
    1.0
    """
    inside, outside = np.zeros(BINS, np.int64), np.zeros(BINS, np.int64)
    with_truth, with_image, shapes, weight = [], [], [], []
    for view in seen:
        place = np.minimum((view.prob * BINS).astype(np.int64), BINS - 1)
        truth = view.truth
        if truth is None:
            outside += np.bincount(place.ravel(), minlength=BINS)
        else:
            inside += np.bincount(place[truth], minlength=BINS)
            outside += np.bincount(place[~truth], minlength=BINS)
            if truth.any() and not truth.all():
                with_truth.append(correlation(view.prob, truth))
        if view.dark is not None:
            with_image.append(correlation(view.prob, view.dark))
        found = view.prob >= limits.threshold
        shapes.append((*convex_share(found, limits), *convex_share(~found, limits)))
        weight.append((int(found.sum()), int((~found).sum())))
    share, parts, other, parts_other = (np.array(column) for column in zip(*shapes, strict=True))
    mine, theirs = (np.array(column) for column in zip(*weight, strict=True))
    return NPTally(
        inside=inside,
        outside=outside,
        truth=_mean(with_truth),
        image=_mean(with_image),
        shape=float((share * mine).sum() / max(mine.sum(), 1)),
        shape_other=float((other * theirs).sum() / max(theirs.sum(), 1)),
        parts=int(parts.sum()),
        parts_other=int(parts_other.sum()),
        kinds=tuple(view.kind for view in seen),
        examples=tuple((v.index, v.name, *v.prob.shape) for v in seen),
        labelled=any(view.labels is not None for view in seen),
    )


def _mean(values: list[float]) -> float:
    return float(np.mean(values)) if values else float("nan")


def _above(counts: Int64, threshold: float) -> int:
    return int(counts[round(threshold * BINS) :].sum())


def tally_steps(bench: Bench) -> Steps[NPTally]:
    """Measure NP of a bench."""

    def measure(bench: Bench) -> Steps[NPTally]:
        seen = yield from views(bench)
        yield Progress(0, 1, "NP")
        return tally(seen)

    return (yield from kept(bench, "maps.np", measure))


def reading_steps(bench: Bench) -> Steps[NPReading]:
    """Tell how NP has to be read."""
    found = yield from tally_steps(bench)
    return np_reading(found, bench.setup.np_threshold)


def np_reading(found: NPTally, asked: float | None = None, limits: MapLimits = LIMITS) -> NPReading:
    """Tell how NP has to be read so that the other checks see nuclei.

    Parameters
    ----------
    found : NPTally
    asked : float, optional
        The threshold that the setup asks for.
    """
    inverted = votes(found, limits) < 0
    used = found.flipped() if inverted else found
    threshold = limits.threshold if asked is None else asked
    if with_truth(used, limits):
        best = best_threshold(used)
        if used.dice(best) - used.dice(threshold) >= limits.threshold_gain:
            threshold = best
    elif not limits.blank < used.share(threshold) < limits.full:
        threshold = parting(used, limits) or threshold
    return NPReading(inverted, threshold)


def votes(found: NPTally, limits: MapLimits = LIMITS) -> int:
    """Tell whether NP is that of nuclei: 1 = yes, -1 = of background, 0 = cannot be told.

    The image comes first (nuclei are dark), then the truth unless the shapes of NP speak
    against it (then the truth is what is inverted), then the shapes alone.
    """
    image, truth = vote(found.image, limits), vote(found.truth, limits)
    shape = shape_vote(found, limits)
    if truth > 0 or (image > 0 and truth <= 0):
        return 1
    if image < 0:
        return 0 if shape > 0 else -1
    if truth < 0:
        return 1 if shape > 0 else -1
    return shape if np.isnan(found.truth) and np.isnan(found.image) else 0


def shape_vote(found: NPTally, limits: MapLimits = LIMITS) -> int:
    """Tell by shapes alone: 1 = NP is made of small convex parts, -1 = all else is."""
    many, few = limits.convex_share, limits.convex_share_low
    if found.shape >= many and found.parts >= limits.many_parts:
        return 1 if found.shape_other < few else 0
    if found.shape_other >= many and found.parts_other >= limits.many_parts:
        return -1 if found.shape < few else 0
    return 0


def vote(value: float, limits: MapLimits) -> int:
    """Return 1 where a correlation speaks for nuclei, -1 where it speaks against, else 0."""
    if np.isnan(value):
        return 0
    return 1 if value >= limits.related else -1 if value <= limits.inverted else 0


def with_truth(found: NPTally, limits: MapLimits = LIMITS) -> bool:
    """Whether there is a truth that NP has to do with, and enough of it."""
    return bool(found.truth >= limits.related and found.pixels >= limits.few_pixels)


def best_threshold(found: NPTally) -> float:
    """Return the threshold with the highest Dice."""
    return max(STEPS, key=found.dice)


def parting(found: NPTally, limits: MapLimits = LIMITS) -> float:
    """Return the threshold that parts NP in two groups best (Otsu); 0 if there are no two."""
    counts = found.all.astype(np.float64)
    centres = (np.arange(BINS) + 0.5) / BINS
    below, total = np.cumsum(counts), counts.sum()
    sums = np.cumsum(counts * centres)
    above = total - below
    with np.errstate(divide="ignore", invalid="ignore"):
        apart = (sums[-1] - sums) / above - sums / below
        between = np.where((below > 0) & (above > 0), below * above * apart**2, -1.0)
    best = int(np.argmax(between))
    if between[best] <= 0 or apart[best] < limits.least_contrast:
        return 0.0
    return (best + 1) / BINS
