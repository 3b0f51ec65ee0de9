"""What is measured of predicted HV in all images together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..data.samples import TURNS, Turn
from ..types import Progress
from .bench import Bench
from .map_fits import Fits, best_move, measure_fits
from .map_lengths import Alignment, Lengths, measure_lengths
from .map_lie import NO_SHIFT, Shift, moved_steps
from .map_limits import LIMITS, MapLimits
from .map_np import reading_steps, tally_steps
from .map_vectors import NO_FIT, Fit, pooled
from .map_views import Steps, kept, views
from .report import Place


@dataclass(frozen=True, eq=False)
class HVTally:
    """What was measured of HV in all images.

    Parameters
    ----------
    lengths : tuple of Lengths
        Image by image; those without a nucleus are left out.
    truth, convex, slope : Fit
        Against the true nuclei (moved onto the maps), against convex parts of NP, and by
        slopes inside of NP; ``n`` is 0 where it could not be told.
    moved : (int, int)
        Rows and columns by which HV lies off NP; (0, 0) if it does not.
    moved_from, moved_to : float
        Cosine to the convex parts as it is, and moved back.
    turn : Turn
        By which the maps were found to be turned against the truth.
    turned : tuple of Fit
        Against the convex parts, with the pixels of HV (not its vectors) turned by each of
        ``TURNS``; () where images are not square or have no such parts.
    places : tuple of Place
        Nuclei whose HV points the wrong way most, the worst first.
    """

    lengths: tuple[Lengths, ...]
    truth: Fit = NO_FIT
    convex: Fit = NO_FIT
    slope: Fit = NO_FIT
    moved: Shift = NO_SHIFT
    moved_from: float = 0.0
    moved_to: float = 0.0
    turn: Turn = TURNS[0]
    turned: tuple[Fit, ...] = ()
    places: tuple[Place, ...] = ()

    @property
    def n(self) -> int:
        """Nucleus pixels."""
        return sum(x.n for x in self.lengths)

    @property
    def length(self) -> float:
        """Mean length inside nuclei; NaN without any."""
        return sum(x.length for x in self.lengths) / self.n if self.n else float("nan")

    @property
    def outside(self) -> float:
        """Mean length outside; NaN without any."""
        n = sum(x.n_outside for x in self.lengths)
        return sum(x.length_outside for x in self.lengths) / n if n else float("nan")

    @property
    def true_length(self) -> float:
        """Mean length of the truth inside nuclei, 0 without."""
        return sum(x.true_length for x in self.lengths) / max(self.n, 1)

    @property
    def offset(self) -> npt.NDArray[np.float64]:
        """Mean of each channel inside whole nuclei, (2,)."""
        total = sum((x.channel for x in self.lengths), np.zeros(2))
        offset: npt.NDArray[np.float64] = total / max(sum(x.n_channel for x in self.lengths), 1)
        return offset

    @property
    def centred_on(self) -> int:
        """Nuclei over which :attr:`offset` was taken."""
        return sum(x.parts for x in self.lengths)

    def one_sided(self, limits: MapLimits = LIMITS) -> bool:
        """Whether HV is never negative, and so not around 0."""
        low = min((x.low for x in self.lengths), default=0.0)
        return self.off_centre(limits) and low >= limits.one_sided * self.length

    def off_centre(self, limits: MapLimits = LIMITS) -> bool:
        """Whether HV does not lie around 0 in whole nuclei."""
        if self.centred_on < limits.min_parts or self.length < limits.zero:
            return False
        return float(np.abs(self.offset).max()) >= limits.offset * self.length


def tally_hv(lengths: Sequence[Lengths], fits: Sequence[Fits], turn: Turn = TURNS[0]) -> HVTally:
    """Put what was measured image by image together."""
    shift, here, there = best_move(fits)
    with_turns = [f.turned for f in fits if f.turned]
    places = sorted((p for f in fits for p in f.places), key=lambda p: p[0])
    return HVTally(
        lengths=tuple(lengths),
        truth=pooled([f.truth for f in fits]),
        convex=pooled([f.convex for f in fits]),
        slope=pooled([f.slope for f in fits]),
        moved=shift,
        moved_from=here,
        moved_to=there,
        turn=turn,
        turned=tuple(pooled(column) for column in zip(*with_turns, strict=True)),
        places=tuple(place for _, place in places),
    )


def used_offset(lengths: Sequence[Lengths], limits: MapLimits = LIMITS) -> npt.NDArray[np.float64]:
    """Return what is taken off HV before directions are told: 0 if it lies around 0."""
    found = HVTally(tuple(lengths))
    return found.offset if found.off_centre(limits) else np.zeros(2)


def hv_steps(bench: Bench) -> Steps[HVTally]:
    """Measure the HV of a bench."""
    return (yield from kept(bench, "maps.hv", _measure))


def _measure(bench: Bench) -> Steps[HVTally]:
    seen = yield from views(bench)
    reading = yield from reading_steps(bench)
    alignment = yield from _alignment(bench)
    lengths = []
    for done, view in enumerate(seen):
        yield Progress(done, len(seen), "length of HV")
        found = measure_lengths(view, reading, alignment)
        if found is not None:
            lengths.append(found)
    offset = used_offset(lengths)
    fits = []
    for done, view in enumerate(seen):
        yield Progress(done, len(seen), "direction of HV")
        fits.append(measure_fits(view, reading, alignment, offset))
    return tally_hv(lengths, fits, TURNS[0] if alignment is None else alignment[0])


def _alignment(bench: Bench, limits: MapLimits = LIMITS) -> Steps[Alignment | None]:
    """Return how the truth lies on the maps; as it is where NP is empty or full and cannot tell."""
    found = (yield from moved_steps(bench)).alignment(limits)
    reading = yield from reading_steps(bench)
    tally = yield from tally_steps(bench)
    share = (tally.flipped() if reading.inverted else tally).share(reading.threshold)
    if found is None and not limits.blank < share < limits.full:
        return TURNS[0], NO_SHIFT
    return found
