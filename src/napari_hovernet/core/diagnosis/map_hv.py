"""What is measured of predicted HV: lengths, and how well each reading fits truth and shapes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import fft

from ..hv import hv_targets
from ..training.turns import TURNS, Turn, turn_hv, turn_plane
from ..types import Bool, Float32, Int32, Progress
from .bench import Bench
from .map_lie import NO_SHIFT, Shift, moved_steps
from .map_limits import LIMITS, MapLimits
from .map_np import NPReading, reading_steps
from .map_shapes import convex_parts, worst_boxes
from .map_vectors import NO_FIT, NO_LENGTH, Fit, cosine_matrix, pooled, slope_matrix
from .map_views import Steps, View, kept, views
from .report import Place

Alignment = tuple[Turn, Shift]
ROOT_SIX = 6.0**0.5
"""Standard deviation of a second difference of independent noise."""
NORMAL_MEDIAN = 0.6745
"""Median absolute value of a normal variable."""
SMALL_SHIFT = 64
"""Pixels by which HV is tried to lie off NP."""


@dataclass(frozen=True, eq=False)
class Lengths:
    """Sums over nucleus pixels (true ones, else those of NP), and over all others.

    Parameters
    ----------
    n, n_outside : int
        Pixels.
    length, length_outside : float
        Sum of the lengths.
    channel : float64 (2,)
        Sum of each channel over convex parts of NP that the border does not cut.
    n_channel, parts : int
        Pixels and number of these.
    low, high : float
        Smallest and largest value inside.
    saturated : int
        Pixels at which a channel is at the end of tanh.
    noise : float
        Standard deviation of the noise from pixel to pixel.
    squares, true_squares : float
        Sums of squares of both channels, of HV and of the truth.
    products : float64 (2, 2)
        Sums of channel as given times channel of the truth.
    true_length : float
        Sum of the true lengths; 0 without truth.
    """

    n: int
    n_outside: int
    length: float
    length_outside: float
    channel: npt.NDArray[np.float64]
    low: float
    high: float
    saturated: int
    noise: float
    squares: float
    n_channel: int = 0
    parts: int = 0
    true_squares: float = 0.0
    products: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros((2, 2)))
    true_length: float = 0.0


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


def lengths_of(
    hv: Float32, inside: Bool, parts: Int32 | None = None, limits: MapLimits = LIMITS
) -> Lengths | None:
    """Measure HV without truth; None where there is no nucleus.

    Parameters
    ----------
    hv : float32 (2, H, W)
    inside : bool (H, W)
        Nucleus pixels.
    parts : int32 (H, W), optional
        Single whole nuclei, in which HV must lie around 0.
    limits : MapLimits

    Examples
    --------
    >>> hv = np.zeros((2, 8, 8), np.float32)
    >>> hv[0], inside = 0.5, np.ones((8, 8), bool)
    >>> lengths_of(hv, inside).length / 64
    0.5
    """
    n = int(inside.sum())
    if not n:
        return None
    p = hv[:, inside].astype(np.float64)
    whole = np.zeros((2, 0)) if parts is None else hv[:, parts > 0].astype(np.float64)
    magnitude = np.hypot(*hv)
    return Lengths(
        n=n,
        n_outside=inside.size - n,
        length=float(np.hypot(*p).sum()),
        length_outside=float(magnitude[~inside].sum(dtype=np.float64)),
        channel=whole.sum(axis=1),
        n_channel=whole.shape[1],
        parts=0 if parts is None else int(parts.max(initial=0)),
        low=float(p.min()),
        high=float(p.max()),
        saturated=int((np.abs(p) >= limits.saturated_at).any(axis=0).sum()),
        noise=noise(hv, inside),
        squares=float((p * p).sum()),
    )


def noise(hv: Float32, inside: Bool) -> float:
    """Return the standard deviation of the noise of HV from pixel to pixel.

    Inside a nucleus HV runs straight, so that a second difference is noise; jumps between
    nuclei are few, and the median does not see them.
    """
    found = []
    for channel, axis in ((0, 1), (1, 0), (0, 0), (1, 1)):
        values: Any = hv[channel] if axis == 1 else hv[channel].T
        within: Any = inside if axis == 1 else inside.T
        use = within[:, 2:] & within[:, 1:-1] & within[:, :-2]
        if use.any():
            second = np.diff(values, 2, axis=1)[use]
            found.append(float(np.median(np.abs(second))) / (NORMAL_MEDIAN * ROOT_SIX))
    return float(np.mean(found)) if found else 0.0


def on_maps(labels: Int32, alignment: Alignment) -> tuple[Int32, Float32]:
    """Return true labels and their HV, turned and moved (wrapping) onto the maps.

    Nuclei that the border cuts are left out: how a network takes them is open.
    """
    turn, shift = alignment
    labels = whole_nuclei(labels)
    target = hv_targets(labels)
    turned = np.ascontiguousarray(turn_plane(labels, turn))
    if any((turn.flip, turn.quarters)):
        target = turn_hv(target, turn)
    if shift != NO_SHIFT:
        turned, target = np.roll(turned, shift, (0, 1)), np.roll(target, shift, (1, 2))
    return turned, target


def whole_nuclei(labels: Int32) -> Int32:
    """Return labels without those that the border cuts.

    Examples
    --------
    >>> whole_nuclei(np.array([[1, 1, 1], [1, 2, 1], [1, 1, 1]], np.int32)).max()
    2
    """
    keep = np.ones(int(labels.max(initial=0)) + 1, bool)
    for edge in (labels[0], labels[-1], labels[:, 0], labels[:, -1]):
        keep[edge] = False
    return np.where(keep[labels], labels, 0).astype(np.int32)


def measure_lengths(
    view: View, reading: NPReading, alignment: Alignment | None, limits: MapLimits = LIMITS
) -> Lengths | None:
    """Measure the lengths of one image, over true nuclei if the truth lies on the maps."""
    labels, mask = view.labels, reading.mask(view)
    parts, _ = convex_parts(mask, limits)
    if alignment is None or labels is None or not labels.any():
        return lengths_of(view.hv, mask, parts, limits)
    ids, target = on_maps(labels, alignment)
    if ids.shape != view.prob.shape:
        return lengths_of(view.hv, mask, parts, limits)
    made = lengths_of(view.hv, ids > 0, parts, limits)
    if made is None:
        return None
    p, t = (x[:, ids > 0].astype(np.float64) for x in (view.hv, target))
    return Lengths(**{
        **vars(made), "true_squares": float((t * t).sum()), "products": p @ t.T,
        "true_length": float(np.hypot(*t).sum()),
    })  # fmt: skip


@dataclass(frozen=True, eq=False)
class Fits:
    """How the HV of one image fits; see :class:`HVTally`.

    Parameters
    ----------
    surface : float64 (H, W), optional
        Mean cosine to the convex parts if HV is moved; None without parts.
    turned : tuple of Fit
        Of each of ``TURNS``, see :class:`HVTally`.
    """

    truth: Fit
    convex: Fit
    slope: Fit
    places: list[tuple[float, Place]]
    surface: npt.NDArray[np.float64] | None
    turned: tuple[Fit, ...] = ()


def measure_fits(
    view: View,
    reading: NPReading,
    alignment: Alignment | None,
    offset: npt.NDArray[np.float64],
    limits: MapLimits = LIMITS,
) -> Fits:
    """Compare the HV of one image with truth and shapes.

    Parameters
    ----------
    view : View
    reading : NPReading
    alignment : (Turn, shift), optional
        How the truth lies on the maps; None = it does not.
    offset : float64 (2,)
        Taken off HV first.
    limits : MapLimits
    """
    hv = view.hv
    if offset.any():
        hv = hv - offset.astype(np.float32)[:, None, None]
    mask = reading.mask(view)
    parts, n = convex_parts(mask, limits)
    target = hv_targets(parts)
    convex = cosine_matrix(hv, target, n)
    length = float(np.hypot(*hv[:, mask]).mean()) if mask.any() else 0.0
    slope = slope_matrix(hv, mask, limits.steepest * length)
    truth, ids, wanted = NO_FIT, parts, target
    if alignment is not None and view.labels is not None:
        true_ids, true_target = on_maps(view.labels, alignment)
        if true_ids.shape == mask.shape:
            ids, wanted = true_ids, true_target
            truth = cosine_matrix(hv, wanted, len(np.unique(ids)) - 1)
    return Fits(
        truth=truth,
        convex=convex,
        slope=slope,
        places=_places(view, hv, ids, wanted),
        surface=_surface(hv, target) if n else None,
        turned=_turned(hv, target, n) if n else (),
    )


def _turned(hv: Float32, target: Float32, n: int) -> tuple[Fit, ...]:
    square = hv.shape[1] == hv.shape[2]
    return tuple(
        cosine_matrix(turn_plane(hv, turn), target, n)
        if square or turn.quarters % 2 == 0
        else NO_FIT
        for turn in TURNS
    )


def _places(view: View, hv: Float32, ids: Int32, wanted: Float32) -> list[tuple[float, Place]]:
    size = np.hypot(*hv) * np.hypot(*wanted)
    cosine = np.where(size > NO_LENGTH, (hv * wanted).sum(axis=0) / np.maximum(size, NO_LENGTH), 0)
    area = np.bincount(ids.ravel())
    large = ids * (area[ids] >= LIMITS.min_area)
    return [
        (mean, Place(view.index, view.name, box, f"cosine {mean:.2f} in this nucleus"))
        for mean, box in worst_boxes(large, cosine, 2)
    ]


def _surface(hv: Float32, target: Float32) -> npt.NDArray[np.float64]:
    """Mean cosine of HV to the target, if the target is moved by (rows, columns), wrapping."""
    total = np.zeros(hv.shape[1:])
    a, b = (x / np.maximum(np.hypot(*x), NO_LENGTH) for x in (hv, target))
    for one, other in zip(a, b, strict=True):
        total += fft.irfft2(fft.rfft2(one) * np.conj(fft.rfft2(other)), total.shape)
    return total / max(float((np.hypot(*b) > 0).sum()), 1.0)


def near(surface: npt.NDArray[np.float64], reach: int) -> npt.NDArray[np.float64]:
    """Cut the shifts up to ``reach`` out of a surface; no shift is in the middle."""
    rolled = np.roll(surface, (reach, reach), (0, 1))
    return rolled[: 2 * reach + 1, : 2 * reach + 1]


def tally_hv(lengths: Sequence[Lengths], fits: Sequence[Fits], turn: Turn = TURNS[0]) -> HVTally:
    """Put what was measured image by image together."""
    shift, here, there = _best_move(fits)
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


def _best_move(fits: Sequence[Fits]) -> tuple[Shift, float, float]:
    """Return the shift at which HV fits the convex parts best, and the fit here and there."""
    known = [(f.surface, f.convex.n) for f in fits if f.surface is not None and f.convex.n]
    if not known:
        return NO_SHIFT, 0.0, 0.0
    reach = min(SMALL_SHIFT, *((min(s.shape) - 1) // 2 for s, _ in known))
    weight = sum(n for _, n in known)
    whole = np.zeros((2 * reach + 1, 2 * reach + 1))
    for surface, n in known:
        whole += near(surface, reach) * (n / weight)
    at = np.unravel_index(int(np.argmax(np.abs(whole))), whole.shape)
    shift = (int(at[0]) - reach, int(at[1]) - reach)
    return shift, abs(float(whole[reach, reach])), abs(float(whole[at]))


def used_offset(lengths: Sequence[Lengths], limits: MapLimits = LIMITS) -> npt.NDArray[np.float64]:
    """Return what is taken off HV before directions are told: 0 if it lies around 0."""
    found = HVTally(tuple(lengths))
    offset = found.offset
    large = (
        found.centred_on >= limits.min_parts
        and float(np.abs(offset).max()) >= limits.offset * found.length
    )
    return offset if large else np.zeros(2)


def hv_steps(bench: Bench) -> Steps[HVTally]:
    """Measure the HV of a bench."""
    return (yield from kept(bench, "maps.hv", _measure))


def _measure(bench: Bench) -> Steps[HVTally]:
    seen = yield from views(bench)
    reading = yield from reading_steps(bench)
    alignment = (yield from moved_steps(bench)).alignment()
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
