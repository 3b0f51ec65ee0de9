"""What-ifs: whether the network does better if the image goes in another way."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...errors import UserError
from ..inference.images import UInt8
from ..types import Maps, Progress
from .bench import PLAIN, Bench, Variant
from .model_limits import MODEL_LIMITS, ModelLimits
from .model_quality import PartQuality, part_quality
from .predicting import IMAGE
from .report import Place

KEPT = "model.whatifs"
"""Name under which a bench keeps what was measured."""
AS_IS = "as it is"
COST = 16
"""Predictions that all what-ifs take of one image, about, in parts of ordinary size."""
TRUTH, MAPS = "truth", "maps"
"""What a what-if can be judged by."""

Predict = Callable[[Bench, int], Maps | None]


@dataclass(frozen=True, eq=False)
class Gain:
    """How much better maps are under a what-if.

    Parameters
    ----------
    name : str
        Of the what-if.
    parts : tuple of int
        Items that were compared.
    by : {"truth", "maps"}
        What they were judged by.
    gains : tuple of float
        Per item, what-if minus as it is.
    before, after : float
        Mean quality as it is and under the what-if.
    reached : float
        Median correlation of NP with truth (or darkness) under the what-if.
    other : float
        Mean gain by the other judge, NaN without.
    prob : float
        Mean gain of NP alone (correlation with truth or darkness).
    complete : bool
        False if it was given up after some images.
    """

    name: str
    parts: tuple[int, ...]
    by: str
    gains: tuple[float, ...]
    before: float
    after: float
    reached: float
    other: float = math.nan
    prob: float = 0.0
    complete: bool = True

    @property
    def mean(self) -> float:
        """Mean gain."""
        return float(np.mean(self.gains)) if self.gains else -1.0

    def share(self, least: float) -> float:
        """Return the share of the items whose gain is above ``least``."""
        return float(np.mean(np.asarray(self.gains) > least)) if self.gains else 0.0

    def better(self, least: float) -> int:
        """Return the number of items whose gain is above ``least``."""
        return int((np.asarray(self.gains) > least).sum())

    def wins(self, need: float, limits: ModelLimits) -> bool:
        """Tell whether it helps clearly and in nearly all images."""
        if not self.gains or not self.complete or self.reached < limits.fits:
            return False
        if len(self.gains) < limits.least_parts:
            need *= limits.few_factor
        if self.by == MAPS:
            need *= limits.alone_factor
            if self.after < limits.alone_fits:
                return False
        elif self.other < -limits.contradiction:
            return False
        return self.mean >= need and self.share(limits.counts) >= limits.consistent


@dataclass(eq=False)
class WhatIfs:
    """Qualities of the parts of images under what-ifs, each measured once.

    Parameters
    ----------
    bench : Bench
    limits : ModelLimits
    """

    bench: Bench
    limits: ModelLimits = MODEL_LIMITS
    known: dict[tuple[int, str], PartQuality | None] = field(default_factory=dict)
    _parts: tuple[int, ...] | None = None

    @classmethod
    def of(cls, bench: Bench) -> WhatIfs:
        """Return those of a bench."""
        kept = bench.kept.get(KEPT)
        if not isinstance(kept, WhatIfs) or kept.bench is not bench:
            kept = bench.kept[KEPT] = cls(bench)
        return kept

    def parts_steps(self) -> Iterator[Progress]:
        """Predict the parts as they are; a slow network is tried on fewer."""
        if self._parts is not None:
            return
        indices, began, made = image_indices(self.bench), time.perf_counter(), []
        for number, index in enumerate(indices):
            yield Progress(number, len(indices), "looking at parts of images")
            if self.quality(index, AS_IS, _plain) is not None:
                made.append(index)
            each = (time.perf_counter() - began) / (number + 1)
            allowed = self.limits.seconds / max(each * COST, 1e-9)
            if len(made) >= max(self.limits.least_parts, allowed):
                break
        self._parts = tuple(made)

    @property
    def parts(self) -> tuple[int, ...]:
        """Items that could be predicted as they are."""
        return self._parts or ()

    def quality(self, index: int, name: str, predict: Predict) -> PartQuality | None:
        """Return the quality of a part under a what-if, None if it cannot be predicted."""
        if (index, name) not in self.known:
            self.known[index, name] = self._measured(index, predict)
        return self.known[index, name]

    def plain(self, index: int) -> PartQuality | None:
        """Return the quality of a part as it is."""
        return self.quality(index, AS_IS, _plain)

    def steps(
        self, name: str, predict: Predict, few: int | None = None, whole: bool = False
    ) -> Iterator[Progress | Gain]:
        """Try a what-if on the parts; it is given up when it cannot win any more.

        Parameters
        ----------
        name : str
        predict : callable
            Bench, item -> Maps or None.
        few : int, optional
            Try only so many parts.
        whole : bool
            Go on even if it cannot win, unless it is hopeless.

        Yields
        ------
        Progress or Gain
            One gain, at the end.
        """
        yield from self.parts_steps()
        parts = self.parts if few is None else self.parts[:few]
        for number, index in enumerate(parts):
            if (index, name) not in self.known:
                yield Progress(number, len(parts), f"what if {name}")
            self.quality(index, name, predict)
            if self._given_up(name, parts, number + 1, whole):
                yield self.gain(name, parts[: number + 1], complete=False)
                return
        yield self.gain(name, parts, complete=few is None or len(parts) == len(self.parts))

    def _given_up(self, name: str, parts: Sequence[int], done: int, whole: bool) -> bool:
        """Tell whether a what-if need not be tried on more parts."""
        if done == len(parts):
            return False
        so_far = self.gain(name, parts[:done])
        most = max(so_far.gains, default=-1.0)
        if done == 1 or whole:
            at = {1: self.limits.ruinous, self.limits.least_parts: self.limits.hopeless}
            return done in at and most <= -at[done]
        left = len(parts) - done
        possible = (so_far.better(self.limits.counts) + left) / len(parts)
        return done >= self.limits.least_parts and possible < self.limits.consistent

    def gain(self, name: str, parts: Sequence[int], complete: bool = True) -> Gain:
        """Compare a what-if with how it is."""
        pairs = [(i, self.known.get((i, AS_IS)), self.known.get((i, name))) for i in parts]
        return compared(name, pairs, self.limits, complete)

    def _measured(self, index: int, predict: Predict) -> PartQuality | None:
        maps, box, item = predict(self.bench, index), self.bench.box(index), self.bench.item(index)
        if maps is None or box is None or item is None or item.image is None:
            return None
        r0, r1, c0, c1 = box
        labels = None if item.labels is None else item.labels[r0:r1, c0:c1]
        image = item.image[r0:r1, c0:c1]
        if labels is not None and labels.shape != image.shape[:2]:
            labels = None
        return part_quality(maps, image, labels)


Pair = tuple[int, PartQuality | None, PartQuality | None]


def compared(
    name: str, pairs: Sequence[Pair], limits: ModelLimits = MODEL_LIMITS, complete: bool = True
) -> Gain:
    """Compare qualities, paired over images.

    The truth decides, where there is one that fits the maps as they are or under the what-if;
    else what image and maps say among themselves. A part that cannot be predicted under the
    what-if counts as lost.
    """
    there = [(i, a, b) for i, a, b in pairs if a is not None]
    known = [(i, a, b) for i, a, b in there if not math.isnan(a.truth)]
    alone = [_difference(a.alone, None if b is None else b.alone) for _, a, b in there]
    fits = _median(a.np for _, a, _ in known), _median(b.np for _, _, b in known if b is not None)
    if known and max(fits) >= limits.fits:
        gains = [_difference(a.truth, None if b is None else b.truth) for _, a, b in known]
        before = float(np.mean([a.truth for _, a, _ in known]))
        by, chosen, reached = TRUTH, known, fits[1]
        prob = [b.np - a.np for _, a, b in known if b is not None]
    else:
        gains, by, chosen = alone, MAPS, there
        before = float(np.mean([a.alone for _, a, _ in there])) if there else 0.0
        reached = _median(b.dark for _, _, b in there if b is not None)
        prob = [b.dark - a.dark for _, a, b in there if b is not None]
    return Gain(
        name=name,
        parts=tuple(i for i, _, _ in chosen),
        by=by,
        gains=tuple(gains),
        before=before,
        after=before + (float(np.mean(gains)) if gains else 0.0),
        reached=reached,
        other=float(np.mean(alone)) if alone and by == TRUTH else math.nan,
        prob=float(np.mean(prob)) if prob else 0.0,
        complete=complete,
    )


def image_indices(bench: Bench) -> tuple[int, ...]:
    """Return the items whose parts can be predicted in other ways; none for tokens."""
    predictor = bench.case.predictor
    images = predictor is not None and predictor.reads == IMAGE
    return bench.variant_indices if images else ()


def of_variant(variant: Variant) -> Predict:
    """Make a what-if of a variant of the bench."""
    return lambda bench, index: bench.variant(index, variant)


def of_pixels(change: Callable[[UInt8], UInt8]) -> Predict:
    """Make a what-if of any change of the pixels."""
    return lambda bench, index: bench.part_changed(index, change)


def of_input(factor: float) -> Predict:
    """Make a what-if of a factor on what enters the network itself, beyond 0..255 too."""

    def predict(bench: Bench, index: int) -> Maps | None:
        predictor = bench.case.predictor
        if predictor is None or predictor.model is None or predictor.reads != IMAGE:
            return None
        with scaled_input(predictor.model.network, factor):
            return bench.part_changed(index, lambda part: part)

    return predict


@contextmanager
def scaled_input(network: Any, factor: float) -> Iterator[None]:
    """Multiply what enters a network, for as long as the block lasts."""

    def scale(_: Any, given: tuple[Any, ...]) -> tuple[Any, ...]:
        return (given[0] * factor, *given[1:])

    handle = network.register_forward_pre_hook(scale)
    try:
        yield
    finally:
        handle.remove()


def places_of(whatifs: WhatIfs, gain: Gain) -> tuple[Place, ...]:
    """Return the parts that gain most."""
    bench, made = whatifs.bench, []
    order = sorted(zip(gain.gains, gain.parts, strict=True), reverse=True)
    for won, index in order[: bench.params.n_places]:
        item, box = bench.item(index), bench.box(index)
        if item is not None and box is not None:
            words = f"maps are better by {won:.2f} if {gain.name}"
            made.append(Place(index, item.name, box, words))
    return tuple(made)


def said(gain: Gain, limits: ModelLimits = MODEL_LIMITS) -> str:
    """Say in words what a what-if changes."""
    judge = "the true nuclei" if gain.by == TRUTH else "the image and themselves"
    return (
        f"agreement of the maps with {judge} goes from {gain.before:.2f} to {gain.after:.2f} if "
        f"{gain.name} (better in {gain.better(limits.counts)} of {len(gain.gains)} images)"
    )


def certainty_of(gain: Gain, limits: ModelLimits = MODEL_LIMITS) -> float:
    """Return how certain a fault is that a what-if mends."""
    low, high = (0.95, 0.99) if gain.by == TRUTH else (0.86, 0.95)
    return low + (high - low) * min(max(gain.mean, 0.0) / limits.sure_gain, 1.0)


def _plain(bench: Bench, index: int) -> Maps | None:
    try:
        return bench.variant(index, PLAIN)
    except UserError:
        return None


def _difference(before: float, after: float | None) -> float:
    return -before if after is None else after - before


def _median(values: Iterator[float] | Any) -> float:
    found = [v for v in values if not math.isnan(v)]
    return float(np.median(found)) if found else 0.0
