"""Checks of HV, predicted or given: direction, place, sharpness, length.

Nothing but labels is a witness for HV: shapes that NP and HV agree on may be wrong together,
which is worth a warning at most. Bounds were set as those of ``maps.py``.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from scipy import fft, ndimage

from ..data.samples import TURNS, turn_plane
from ..data.stores import MAPS
from ..hv import NO_DIRECTION, hv_targets
from ..types import Bool, Float32, Progress
from .bench import Bench
from .engine import ALONE, Steps, check, fault, judge, ok, skip, warn
from .maps import CAUSES, NP, REACH, RELATED, mask_of, np_steps, shift_words
from .placement import turn_words
from .reading import (
    NO_FIT,
    READINGS,
    Fit,
    Reading,
    View,
    convex_parts,
    correlation,
    fit,
    on_maps,
    pooled,
    view_steps,
)
from .report import FAULT, Place, Plot, Remedy

NOISE_UNIT = 0.6745 * 6.0**0.5
"""Median absolute second difference of independent noise, in its standard deviations."""
BLURS = (3.0, 6.0, 10.0)
"""Sigmas in pixels by which HV may have been smeared."""
USUAL = 0.68
"""Mean length of exact HV: 0.67 to 0.69 in every source."""


@dataclass(frozen=True, eq=False)
class HV:
    """What was measured of HV, in true nuclei where NP has to do with them, else in those of NP."""

    by_labels: bool
    n: int = 0  # Pixels
    length: float = 0.0  # Mean
    outside: float = 0.0  # Mean elsewhere
    usual: float = USUAL  # Mean length there should be
    low: float = 0.0  # Values between which 99 % lie
    high: float = 0.0
    centre: tuple[float, float] = (0.0, 0.0)  # Mean of each channel
    spread: tuple[float, float] = (0.0, 0.0)  # Root mean square of each channel
    ends: float = 0.0  # Share of pixels with a channel at its end: -1, 1, or where it was clipped
    noise: float = 0.0  # From pixel to pixel, relative to the length
    mse: float = 0.0  # Relative to that of a map of zeros; by labels
    truth: Fit = NO_FIT
    shapes: Fit = NO_FIT  # Against single convex parts of NP
    turned: tuple[float, ...] = ()  # Cosine with the pixels of HV turned by each of TURNS
    shift: tuple[int, int] = (0, 0)  # By which HV lies off NP
    moved: float = 0.0  # Cosine with HV moved back
    blurred: tuple[float, float] = (0.0, 0.0)  # Correlation with sharp, and with smeared targets
    odd: tuple[int, int] = (0, 0)  # Images that are read another way than most, of how many
    places: tuple[Place, ...] = ()

    @property
    def main(self) -> Fit:
        """What tells most: labels if they have to do with the maps, else shapes."""
        return self.truth if self.by_labels and self.truth.parts else self.shapes

    @property
    def score(self) -> float:
        """Cosine of the best reading; the shapes may speak for HV where labels are wrong."""
        enough = self.shapes.parts >= LEAST_PARTS
        return max(self.truth.score, self.shapes.score if enough else 0.0)


def hv_steps(bench: Bench) -> Generator[Progress, None, HV]:
    """Measure HV."""
    views = yield from view_steps(bench)
    found = yield from np_steps(bench)
    yield Progress(0, 1, "HV")
    return bench.once("hv", lambda: measure_hv(views, found))


def measure_hv(views: Sequence[View], found: NP) -> HV:
    """Measure HV of all images together."""
    lies = found.truth if found.truth is not None and found.truth.best >= RELATED else None
    rows: list[dict[str, Any]] = []
    for view in views:
        parts, n_parts = convex_parts(mask_of(view, found))
        ids, target = parts, np.zeros_like(view.hv)
        if lies is not None and view.labels is not None:
            placed, wanted = on_maps(view.labels, lies)
            if placed.shape == view.prob.shape:
                ids, target = placed, wanted
        if (ids > 0).any():
            rows.append(_measured(view, ids, target, parts, n_parts))
    return _together(rows, lies is not None)


def _measured(view: View, ids: Any, target: Float32, parts: Any, n_parts: int) -> dict[str, Any]:
    hv, inside = view.hv, ids > 0
    shapes = hv_targets(parts)
    labelled = bool(target.any())
    p = hv[:, inside].astype(np.float64)
    of = target if labelled else shapes
    truth = fit(hv, target, len(np.unique(ids)) - 1) if labelled else NO_FIT
    square = hv.shape[1] == hv.shape[2]
    reading = (truth if labelled else fit(hv, shapes)).best
    t = target[:, inside].astype(np.float64)
    read = reading.read(hv)[:, inside].astype(np.float64)
    soft = [np.stack([cv2.GaussianBlur(x, (0, 0), sigma) for x in target])[:, inside].astype(float)
            for sigma in BLURS] if labelled else []  # fmt: skip
    return {
        "n": int(inside.sum()), "length": np.hypot(*p).sum(), "p": p,
        "outside": float(np.hypot(*hv[:, ~inside]).mean()) if not inside.all() else 0.0,
        "usual": np.hypot(*t).sum() if labelled else USUAL * inside.sum(),
        "noise": _noise(hv, inside), "truth": truth, "shapes": fit(hv, shapes, n_parts),
        "error": ((p - t) ** 2).sum(), "zero": (t**2).sum(),
        "turned": [fit(turn_plane(hv, turn), of).score if square or not turn.quarters % 2 else 0.0
                   for turn in TURNS],
        "surface": _overlap(hv, of),
        "sharp": correlation(read, t) if labelled else 0.0,
        "soft": max((correlation(read, s) for s in soft), default=0.0),
        "places": _worst(view, ids, of)}  # fmt: skip


def _noise(hv: Float32, inside: Bool) -> float:
    """Noise from pixel to pixel: a second difference is 0 where HV runs straight."""
    found = []
    for values, within in ((hv, inside), (hv.swapaxes(1, 2), inside.T)):
        use = within[:, 2:] & within[:, 1:-1] & within[:, :-2]
        if use.any():
            found.append(np.median(np.abs(np.diff(values, 2, axis=2)[:, use])) / NOISE_UNIT)
    return float(np.mean(found)) if found else 0.0


def _overlap(hv: Float32, target: Float32) -> Float32:
    """Mean cosine of HV to a target that is moved by (rows, columns), up to REACH."""
    total: Any = np.zeros(hv.shape[1:])
    a, b = (x / np.maximum(np.hypot(*x), NO_DIRECTION) for x in (hv, target))
    for one, other in zip(a, b, strict=True):
        total += fft.irfft2(fft.rfft2(one) * np.conj(fft.rfft2(other)), total.shape)
    total /= max(float((np.hypot(*target) > 0).sum()), 1.0)
    reach = min(REACH, *((n - 1) // 2 for n in total.shape))
    near: Float32 = np.roll(total, (reach, reach), (0, 1))[: 2 * reach + 1, : 2 * reach + 1]
    return near


def _worst(view: View, ids: Any, target: Float32) -> list[tuple[float, Place]]:
    """Find the two nuclei whose HV points the wrong way most."""
    size = np.hypot(*view.hv) * np.hypot(*target)
    cosine = (view.hv * target).sum(axis=0) / np.maximum(size, NO_DIRECTION)
    numbers = np.flatnonzero(np.bincount(ids.ravel(), minlength=2)[1:] >= 30) + 1
    if not len(numbers):
        return []
    means = np.asarray(ndimage.mean(cosine, ids, numbers))
    boxes = ndimage.find_objects(ids)
    made = []
    for k in np.argsort(means)[:2]:
        rows, cols = boxes[int(numbers[k]) - 1]
        box = (rows.start, rows.stop, cols.start, cols.stop)
        made.append((float(means[k]), view.place(f"cosine {means[k]:.2f} in this nucleus", box)))
    return made


def _together(rows: Sequence[dict[str, Any]], by_labels: bool) -> HV:
    if not rows:
        return HV(by_labels)
    n = sum(r["n"] for r in rows)
    p = np.concatenate([r["p"] for r in rows], axis=1)
    length = sum(r["length"] for r in rows) / n
    low, high = np.quantile(p, (0.005, 0.995))
    mean = {k: float(np.average([r[k] for r in rows], weights=[r["n"] for r in rows]))
            for k in ("noise", "sharp", "soft", "outside")}  # fmt: skip
    reach = min(len(r["surface"]) for r in rows) // 2
    surface = sum(r["surface"] * (r["n"] / n) for r in rows) if len(
        {r["surface"].shape for r in rows}) == 1 else np.zeros((1, 1))  # fmt: skip
    at = np.unravel_index(int(np.abs(surface).argmax()), surface.shape)
    middle = tuple(k // 2 for k in surface.shape)
    places = sorted((pair for r in rows for pair in r["places"]), key=lambda pair: pair[0])
    return HV(
        by_labels, n, float(length), mean["outside"], float(sum(r["usual"] for r in rows) / n),
        float(low), float(high), (float(p[0].mean()), float(p[1].mean())),
        (float((p[0] ** 2).mean() ** 0.5), float((p[1] ** 2).mean() ** 0.5)),
        float((np.abs(p) >= AT_END * min(max(-low, high), 1)).any(axis=0).mean()),
        mean["noise"] / max(float(length), 1e-9),
        float(sum(r["error"] for r in rows) / max(sum(r["zero"] for r in rows), 1e-9)),
        pooled([r["truth"] for r in rows]), pooled([r["shapes"] for r in rows]),
        tuple(np.average([r["turned"] for r in rows], axis=0, weights=[r["n"] for r in rows])),
        (int(at[0]) - middle[0], int(at[1]) - middle[1]) if reach else (0, 0),
        abs(float(surface[at])), (mean["sharp"], mean["soft"]), _odd(rows, by_labels),
        tuple(p for _, p in places))  # fmt: skip


def _odd(rows: Sequence[dict[str, Any]], by_labels: bool) -> tuple[int, int]:
    """Count images whose HV is clearly read in another way than that of most."""
    fits = [r["truth" if by_labels else "shapes"] for r in rows]
    read = [f.best for f in fits if f.parts >= LEAST_PARTS and f.score >= POINTS and f.lead >= LEAD]
    return len(read) - max(map(read.count, read), default=0), len(read)


MIXED = 0.15
"""Share of images that are read in another way than most, from which it is no accident (healthy:
none)."""
LEAST_PARTS = 3
"""Nuclei below which nothing is told of HV."""
POINTS, LEAD = 0.4, 0.2
"""Mean cosine and its lead from which on a reading is believed (healthy: 0.74 to 0.98)."""
NO_WAY, WEAK = 0.3, 0.5
"""Mean cosine of the best reading below which HV has no direction, or hardly one."""
LAME = 0.25
"""Twice the share of one axis in the cosine (1 at best) below which that axis was not learned."""
ELSEWHERE_GAIN = 0.25
"""Cosine that HV gains when it is moved or turned onto NP."""
NOISY = 0.35
"""Noise from pixel to pixel by mean length (healthy: up to 0.1)."""
SMEAR_GAIN = 0.12
"""Correlation by which smeared targets fit better than sharp ones (healthy: none)."""
AT_END, SATURATED = 0.98, 0.5
"""Share of its end (1, or less) from which a channel stands there, and that of such pixels
(healthy: up to 0.05)."""
COLLAPSED, SHORT = 0.1, 0.25
"""Mean length below which HV is nothing, or short."""
LONG, TOO_LONG = 1.4, 1.8
"""Mean length by that of exact HV: worth a look, and wrong (healthy: 0.7 to 1.2)."""
UNDIVIDED = (60.0, 250.0)
"""Factors between which HV was never divided by 127, or twice."""
ONE_SIDED, OFF_CENTRE = -0.05, 0.3
"""Lowest value, and mean of a channel, by the mean length (healthy: -1.4, and up to 0.1)."""
SQUARE = 0.5
"""Mean square of exact HV in nuclei: an offset is the cause if it makes half of the error."""
EMPTY_CHANNEL = 0.15
"""Spread of a channel by that of the other (healthy: above 0.7)."""


@check("model.hv_direction", "Direction of HV", needs=("maps",), after=CAUSES,
       explains=("model.score", "model.hv_length"))  # fmt: skip
def direction_of_hv(bench: Bench) -> Steps:
    """Order, sign, place, sharpness: does HV point away from the centres."""
    hv = yield from hv_steps(bench)
    main = hv.main
    if main.parts < LEAST_PARTS:
        return skip("there are too few whole nuclei in the maps")
    what = "the true nuclei" if hv.truth is main else "single nuclei of NP"
    words = (f"Mean cosine of HV to {what}: {main.claimed:.2f} as it claims to be, "
             f"{main.score:.2f} as {main.best.words}; to shapes of NP "
             f"{hv.shapes.claimed:.2f}.")  # fmt: skip
    common = _common(hv, main)
    if hv.length < 1e-3 or _one_sided(hv) or min(hv.spread) < EMPTY_CHANNEL * max(hv.spread):
        return ok(f"{words} See the length of HV.", **common)
    best = max(hv.turned, default=0.0)
    turn = TURNS[hv.turned.index(best)] if hv.turned else TURNS[0]
    gains = max(POINTS, hv.score + ELSEWHERE_GAIN)
    odd, of = hv.odd
    said = list(_first(hv, words, (
        (best >= max(gains, hv.turned[0] + ELSEWHERE_GAIN), 0.93,
         f"HV is {turn_words(turn)} against NP",
         f"With its pixels {turn_words(turn)} it is {best:.2f}.",
         Remedy("Turn or flip NP and HV together (HV with its vectors)."), {}),
        (odd > MIXED * of, 0.93, "HV of some images is written in another way than that of others",
         f"In {odd} of {of} images another reading fits.", Remedy(
             "Bring the HV of all images into the same order and sign: look which files or code "
             "paths negate or swap it."), {}),
        (hv.shift != (0, 0) and hv.moved >= gains, 0.9, f"HV lies {shift_words(hv.shift)} of NP",
         f"Moved back it is {hv.moved:.2f}.",
         Remedy("Find what moves HV but not NP where maps are made or read."), {}),
        (_misreads(hv, main), 0.96, _misread(main.best), "", _read_as(main.best, bench),
         {"plain": "Borders are looked for where there are none.", "stands": _both_say(hv)}),
        (hv.noise >= NOISY, 0.85, "HV is noisy", f"From pixel to pixel HV has noise of "
         f"{hv.noise:.0%} of its length (healthy: below 10 %).", Remedy(
             "Look for dropout or batch statistics left in training mode; smooth HV (larger scales "
             "of the separation)."), {}),
    ), common))  # fmt: skip
    if said:
        yield from said
    elif any(f.id == "model.place" and f.verdict == FAULT for f in bench.found):
        yield ok(f"{words} How well it fits is open until the maps are in place.", **common)
    else:
        yield from _vague(hv, main, words, common)


Said = tuple[Any, float, str, str, Remedy, dict[str, Any]]
"""Whether it holds, certainty by labels, title, what is added to the evidence, remedy, more."""


def _first(hv: HV, words: str, claims: Sequence[Said], common: dict[str, Any]) -> Steps:
    """Say the first claim that holds."""
    for holds, sure, title, added, remedy, more in claims:
        if holds:
            yield judge(hv.by_labels, f"{words} {added}".rstrip(), sure, title=title,
                        remedy=remedy, **common | more)  # fmt: skip
            return


def _vague(hv: HV, main: Fit, words: str, common: dict[str, Any]) -> Steps:
    """Smeared, learned along one axis alone, or hardly at all."""
    said = list(_first(hv, words, (
        (hv.blurred[1] >= max(hv.blurred[0] + SMEAR_GAIN, POINTS), 0.85, "HV is smeared",
         f"It follows targets that were blurred ({hv.blurred[1]:.2f}) better than sharp ones "
         f"({hv.blurred[0]:.2f}).", Remedy(
             "Look for a blur or a bilinear resize of HV (take the nearest pixel), and for targets "
             "that were resized after they were computed."), {}),
        (_lame(main), 0.85, f"HV along {_lame(main)} was not learned", "", ANEW, {}),
    ), common))  # fmt: skip
    yield from said
    if not said and hv.score < WEAK and hv.length >= COLLAPSED:
        bad = hv.score < NO_WAY and hv.by_labels
        yield judge(bad, f"{words} Healthy is above 0.7.", 0.85, remedy=ANEW, **common | (
            {"title": "HV has no direction"} if bad else
            {"title": "HV hardly has a direction", "certainty": 0.4}))  # fmt: skip
    elif not said:
        yield ok(words, **common)


ANEW = Remedy("Train again with HV targets that are right after each flip and turn (see the "
    "findings on targets and augmentation); no reading of these maps mends it.")  # fmt: skip


def _common(hv: HV, fitted: Fit) -> dict[str, Any]:
    names = tuple(r.words for r in READINGS)
    series = tuple((name, tuple(r.of(f.matrix) for r in READINGS)) for name, f in (
        ("true nuclei", hv.truth), ("shapes in NP", hv.shapes)) if f.n)  # fmt: skip
    return {
        "value": fitted.claimed, "threshold": POINTS, "unit": "cosine", "places": hv.places[:5],
        "layers": ("image", "hv_x", "hv_y", "instances"),
        "numbers": {"length": hv.length, "noise": hv.noise, "nuclei": float(fitted.parts)},
        "plot": Plot("bars", "How well each reading of HV fits", names, series, "", "cosine"),
    }  # fmt: skip


def _misreads(hv: HV, main: Fit) -> bool:
    """Whether another reading than the claimed one fits, by far."""
    fits = main.best != READINGS[0] and main.score >= POINTS and main.lead >= LEAD
    return fits and not _speaks_for_it(hv)


def _both_say(hv: HV) -> bool:
    """Whether NP's own shapes say the same as labels: whatever is wrong with these."""
    return (hv.shapes.parts >= LEAST_PARTS and hv.shapes.best == hv.main.best
            and hv.shapes.score >= WEAK and hv.shapes.lead >= LEAD)  # fmt: skip


def _speaks_for_it(hv: HV) -> bool:
    """Whether NP's own shapes say that HV is read right: then the labels are what is wrong."""
    return (hv.by_labels and hv.shapes.parts >= LEAST_PARTS and hv.shapes.claimed >= WEAK
            and hv.shapes.best == READINGS[0])  # fmt: skip


def _misread(reading: Reading) -> str:
    if reading.order == "hv" and reading.x == reading.y:
        return "HV points the wrong way round"
    axis = "" if reading.x == reading.y else " and one is negated"
    return (
        f"HV channels are swapped{axis}"
        if reading.order == "vh"
        else (f"HV is negated along the {'horizontal' if reading.x < 0 else 'vertical'} axis alone")
    )


def _read_as(reading: Reading, bench: Bench) -> Remedy:
    setup = bench.setup
    inward = " It is inward, too: negate both." if reading.x == reading.y == -1 else ""
    if reading.order == "vh":
        return Remedy("Read the channels the other way round: what is taken for horizontal is "
            f"vertical.{inward}", "hv_order", "vh" if setup.hv_order == "hv" else "hv")  # fmt: skip
    if reading.x == reading.y:
        other = "inward" if setup.hv_sign == "outward" else "outward"
        return Remedy("Read HV with the other sign: centre minus pixel.", "hv_sign", other)
    axis = "horizontal (x)" if reading.x < 0 else "vertical (y)"
    return Remedy(f"Negate the {axis} channel where maps or targets are made: a flip whose vectors "
                  "were not turned along, or an axis that runs the other way.")  # fmt: skip


def _lame(fitted: Fit) -> str:
    """Name the axis that was not learned while the other was; "" if none."""
    rows = (1, 0) if fitted.best.order == "vh" else (0, 1)
    x, y = (2 * fitted.best.x * fitted.matrix[rows[0], 0],
            2 * fitted.best.y * fitted.matrix[rows[1], 1])  # fmt: skip
    if max(x, y) < WEAK or min(x, y) >= LAME:
        return ""
    return "y" if y < x else "x"


@check("model.hv_length", "Length of HV", needs=("maps",), after=CAUSES,
       explains=("model.score", "model.hv_direction"))  # fmt: skip
def length_of_hv(bench: Bench) -> Steps:
    """Collapsed, saturated, one-sided, of another scale."""
    hv = yield from hv_steps(bench)
    if hv.n < 500:
        return skip("there are too few nucleus pixels")
    ratio = hv.length / max(hv.usual, 1e-9)
    points = hv.main.score >= POINTS and hv.main.parts >= LEAST_PARTS
    words = (f"HV in nuclei is {hv.length:.3g} long on average (exact HV: {hv.usual:.2f}) and goes "
             f"from {hv.low:.2g} to {hv.high:.2g}; outside it is {hv.outside:.2f} long, which is "
             "free.")  # fmt: skip
    common: dict[str, Any] = {
        "value": hv.length, "unit": "length", "places": hv.places[:5],
        "layers": ("magnitude", "hv_x", "hv_y", "instances"),
        "numbers": {"outside": hv.outside, "at the ends": hv.ends, "noise": hv.noise}}  # fmt: skip
    if hv.by_labels:
        words += f" Its squared error is {hv.mse:.2f} of that of a map of zeros."
    said = list(_impossible(bench, hv, ratio, words, points, common))
    yield from said
    if said:
        return
    low, high = sorted(hv.spread)
    name = "vertical (y)" if hv.spread[1] == low else "horizontal (x)"
    if hv.length < (SHORT if points else COLLAPSED):
        yield from _short(hv, words, points, common)
        return
    said = list(_first(hv, words, (
        (low < EMPTY_CHANNEL * high, 0.95, f"The {name} channel of HV is empty", "", Remedy(
            "One of two channels is nothing: look at the HV head (two outputs?) and at what writes "
            "it, or train again."), {"threshold": EMPTY_CHANNEL}),
        (hv.ends >= SATURATED, 0.92, "HV is saturated",
         f"{hv.ends:.0%} of the pixels stand at an end of its range (healthy: below 5 %).", Remedy(
             "HV should run evenly across a nucleus: look for a tanh too much, clipping, or a loss "
             "that asks for length."), {"threshold": SATURATED}),
    ), common))  # fmt: skip
    yield from said
    if not said and ratio >= LONG:
        sure = ratio >= TOO_LONG
        yield judge(sure and hv.by_labels, words, 0.85, title=f"HV is {ratio:.2g} times too long",
                    threshold=LONG * hv.usual, remedy=Remedy(
                        f"Divide HV by {ratio:.2g}.", "hv_scale",
                        float(f"{bench.setup.hv_scale / ratio:.4g}")),
                    **common | ({} if sure else {"certainty": 0.3}))  # fmt: skip
    elif not said:
        yield ok(words, threshold=COLLAPSED, **common)


def _impossible(bench: Bench, hv: HV, ratio: float, words: str, points: bool,
                common: dict[str, Any]) -> Steps:  # fmt: skip
    """Look for what no training gives: whole numbers, a factor of 127, no negative values."""
    given = bench.case.predictor is None and bench.case.kind == MAPS
    raw = bench.raw(bench.map_indices[0]) if given and bench.map_indices else None
    scale, (x, y) = bench.setup.hv_scale, hv.centre
    if raw is not None and np.asarray(raw.hv).dtype.kind in "iu":
        yield fault(f"{words} It is stored as whole numbers, and was read as 127ths.",
                    title="HV is stored as whole numbers", certainty=0.8,
                    remedy=Remedy("Divide HV by 127 before it is used."), **common)  # fmt: skip
        return
    if UNDIVIDED[0] <= ratio <= UNDIVIDED[1]:
        yield fault(words, title="HV was never divided by 127", certainty=0.96,
                    threshold=UNDIVIDED[0] * hv.usual, remedy=Remedy(
                        "Divide HV by 127.", "hv_scale", scale / 127), **common)  # fmt: skip
        return
    half = points and min(x, y) > 0.3
    off = max(abs(x), abs(y)) >= OFF_CENTRE * hv.length
    cause = not hv.by_labels or (x * x + y * y) / SQUARE >= hv.mse / 2
    yield from _first(hv, words, (
        (points and UNDIVIDED[0] <= 1 / max(ratio, 1e-9) <= UNDIVIDED[1], 0.85,
         "HV was divided by 127 twice", "",
         Remedy("Divide by 127 once: multiply HV by 127.", "hv_scale", scale * 127), {}),
        (_one_sided(hv), 0.94, "HV is stored in 0..1" if half else "HV is never negative",
         "It is negative left of and above each centre.", Remedy(
             "Read it as 2 * HV - 1." if half else "Look for a clip, an absolute value, a ReLU or "
             "a sigmoid on HV: its sign is lost."), {"threshold": ONE_SIDED}),
        (off and hv.length > COLLAPSED and points, 0.8 if cause else ALONE - 0.05,
         "HV is not centred on 0",
         f"Its mean is {x:.2f} along x and {y:.2f} along y (healthy: 0).", Remedy(
             "HV is 0 in the middle of a nucleus: look for an offset that was added, or a bias "
             "never trained."), {"threshold": OFF_CENTRE}),
    ), common)  # fmt: skip


def _one_sided(hv: HV) -> bool:
    return hv.length > COLLAPSED and hv.low >= ONE_SIDED * hv.length


def _short(hv: HV, words: str, points: bool, common: dict[str, Any]) -> Steps:
    if points:
        factor = hv.usual / max(hv.length, 1e-9)
        yield warn(f"{words} It points right, and length alone makes no blob: a separation that "
                   "looks at directions gives the same nuclei.",
                   title="HV is short but points right",
                   certainty=0.4, threshold=COLLAPSED,
                   remedy=Remedy(f"Train on, or multiply HV by {factor:.2g}; look elsewhere for "
                                 "what merges nuclei."), **common)  # fmt: skip
        return
    by_shapes = hv.shapes.parts >= LEAST_PARTS and hv.shapes.score < POINTS
    yield judge(hv.by_labels, f"{words} It points nowhere.", 0.9, title="HV has collapsed",
                threshold=COLLAPSED, stands=by_shapes, plain="The network has not learned where "
                "the centres of nuclei are, so nothing tells touching ones apart.", remedy=Remedy(
                    "Look at what makes 0 the best answer: an augmentation whose turns of HV "
                    "cancel, targets that are 0, or an HV head never trained."),
                **common)  # fmt: skip
