"""Checks of predicted maps, the network's or given: that there are any, NP, their place.

Labels are the witness. Without them the image (nuclei are dark) is one for NP, and nothing is for
HV: shapes that NP and HV agree on may be wrong together, so that is worth a warning at most.
Bounds were set on the predictions of ``compact`` (DSB white and purple, MoNuSeg, CoNSeP, generated
tissue) and on stored maps of another network.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import cv2
import numpy as np

from ..data.samples import TURNS, Turn, turn_plane
from ..data.stores import MAPS
from ..types import Bool, Float64, Progress
from .bench import Bench, scale_of
from .data import scaled
from .engine import ALONE, Steps, check, fault, judge, ok, skip, warn
from .placement import band, pair_of, placement, turn_words, where_of
from .reading import HALF, Lies, View, correlation, lies_of, view_steps
from .report import Place, Plot, Remedy

CAUSES = ("model.checkpoint", "model.weights", "model.failures")
"""Beside a decisive fault of these, maps say nothing."""
RELATED = 0.35
"""Correlation of NP with labels or darkness from which on the two belong together (healthy: 0.5 to
0.98; with those of another image: up to 0.2)."""


# --- maps that can be used -------------------------------------------------------------

FEW = 0.05
"""Share of images below which a failure is worth a look, not the cause of a bad result."""


@check("model.failures", "Maps of every image", needs=("maps",), after=("model.checkpoint",),
       explains=("model.*",))  # fmt: skip
def maps_of_every_image(bench: Bench) -> Steps:
    """Predict (or read) maps of all images that can be read."""
    yield from view_steps(bench)
    names = [item.name for item in bench.case.items or ()]
    readable = [i for i in bench.map_indices if _readable(bench, i)]
    failed = [i for i in readable if bench.maps(i) is None]
    if not readable:
        return skip("there is no image that the network could read")
    if not failed:
        return ok(f"There are maps of all {len(readable)} images.")
    why = bench.failures.get(failed[0], "nothing came back").rstrip(".")
    finite = "finite" in why.lower() or "nan" in why.lower()
    said = fault if len(failed) > FEW * len(readable) else warn
    source = "The network fails" if bench.case.predictor is not None else "Maps cannot be used"
    yield said(
        f"{source} on {len(failed)} of {len(readable)} images; {names[failed[0]]}: {why}.",
        title="Maps hold NaN or infinite values" if finite else source,
        value=len(failed), threshold=1, unit="images", certainty=0.95 if said is fault else ALONE,
        remedy=Remedy(
            "Run in float32 (16 bits overflow) and look for NaN in weights and input."
            if finite else "Look at the error and mend the network; no size of image may fail.",
            plain="These results were not computed in full; ask who made the network."),
        places=[Place(i, names[i], (0, 1, 0, 1)) for i in failed],
        decisive=len(failed) == len(readable))  # fmt: skip


def _readable(bench: Bench, index: int) -> bool:
    predictor, raw = bench.case.predictor, bench.raw(index)
    if raw is None:
        return False
    if predictor is None:
        return raw.np is not None and raw.hv is not None
    if predictor.reads == "features":
        return raw.features is not None
    item = bench.item(index)
    return item is not None and item.image is not None


# --- NP --------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class NP:
    """How NP is to be read, and what was measured of it."""

    truth: Lies | None  # Where NP lies against labels
    image: Lies | None  # And against darkness
    inside: Float64  # Counts of NP values (read upright) in aligned nuclei, by hundredths
    outside: Float64

    @property
    def sign(self) -> int:
        """-1 if NP is that of the background."""
        if self.truth is not None and self.truth.best >= RELATED and self.truth.sign > 0:
            return 1
        told = [x.sign for x in (self.image, self.truth) if x is not None and x.best >= RELATED]
        return told[0] if told else 1

    @property
    def witness(self) -> Lies | None:
        """What tells where maps should lie: labels that have to do with them, else the image."""
        return next((x for x in (self.truth, self.image) if x is not None and x.best >= RELATED),
                    None)  # fmt: skip

    def dice(self, threshold: float) -> float:
        """Dice of NP from a threshold on; NaN without labels."""
        at = round(threshold * BINS)
        hit, extra = self.inside[at:].sum(), self.outside[at:].sum()
        return float(2 * hit / max(hit + extra + self.inside.sum(), 1)) if hit + extra else 0.0

    @cached_property
    def best(self) -> float:
        """The threshold of the highest Dice."""
        return max((k / BINS for k in range(2, BINS - 1)), key=self.dice)

    @property
    def all(self) -> Float64:
        """Counts of all values."""
        return self.inside + self.outside

    @property
    def threshold(self) -> float:
        """Where to cut it so that the other checks see nuclei."""
        return self.best if squeezed(self) else HALF


BINS = 100
BIASED_GAIN = 0.08
"""Dice that another threshold than 0.5 brings (healthy: up to 0.045 in a single image)."""
HIGH_OUTSIDE, LOW_INSIDE = 0.1, 0.6
"""Median NP outside and inside of nuclei (healthy: below 0.05, above 0.8). Labels that are too
large or incomplete move the best threshold, too, but not both medians."""


MENDED = 0.6
"""Dice that the best threshold must reach, else it is not the threshold that is wrong (planted: 0.8
to 1)."""


def squeezed(found: NP) -> bool:
    """Whether NP is no fair probability, by the labels."""
    if found.truth is None or found.truth.best < RELATED:
        return False
    shifted = _median(found.outside) >= HIGH_OUTSIDE or _median(found.inside) <= LOW_INSIDE
    now, then = found.dice(HALF), found.dice(found.best)
    return shifted and then - now >= BIASED_GAIN and then >= MENDED


JUMPS = 0.01
"""Share of neighbours of a sure pixel (NP above 0.94) that are next to 0: bytes that ran over."""


def _jumps(views: Sequence[View], sign: int) -> float:
    """Share of the neighbours of sure pixels that are nearly 0: a network is never as steep."""
    sure = fell = 0
    for view in views:
        prob = view.prob if sign > 0 else 1 - view.prob
        for a, b in ((prob[:, 1:], prob[:, :-1]), (prob[1:], prob[:-1])):
            top, low = np.maximum(a, b) > 0.94, np.minimum(a, b) < 0.06
            sure += int(top.sum())
            fell += int((top & low).sum())
    return fell / max(sure, 1)


def _median(counts: Float64) -> float:
    return float(np.searchsorted(np.cumsum(counts), counts.sum() / 2)) / BINS


def np_steps(bench: Bench) -> Generator[Progress, None, NP]:
    """Measure NP and where it lies."""
    views = yield from view_steps(bench)
    yield Progress(0, 1, "NP")
    return bench.once("np", lambda: measure_np(views))


def measure_np(views: Sequence[View]) -> NP:
    """Measure NP of all images."""
    truth = lies_of([(v.prob, v.labels > 0) for v in views if v.labels is not None])
    image = lies_of([(v.prob, v.dark) for v in views if v.dark is not None])
    empty = np.zeros(BINS + 1)
    found, inside, outside = NP(truth, image, empty, empty), empty.copy(), empty.copy()
    for view in views:
        prob = view.prob if found.sign > 0 else 1 - view.prob
        at = np.clip((prob * BINS).astype(int), 0, BINS)
        mask = np.zeros(prob.shape, bool)
        if view.labels is not None and truth is not None:
            mask = _moved(view.labels > 0, truth)
            mask = mask if mask.shape == prob.shape else view.labels > 0
        inside += np.bincount(at[mask], minlength=BINS + 1)
        outside += np.bincount(at[~mask], minlength=BINS + 1)
    return NP(truth, image, inside, outside)


def _moved(plane: Bool, truth: Lies) -> Bool:
    """Put true nuclei, those at the border too, where the maps have them."""
    if truth.turns[TURNS.index(truth.turn)] > truth.there + 0.1:
        return np.asarray(turn_plane(plane, truth.turn))
    moved: Bool = np.roll(plane, truth.shift if truth.there > truth.here + 0.03 else (0, 0), (0, 1))
    return moved


def mask_of(view: View, found: NP) -> Bool:
    """Pixels that NP calls nucleus, read as it has to be."""
    mask: Bool = (view.prob if found.sign > 0 else 1 - view.prob) >= found.threshold
    return mask


NARROW, CONTRAST = 0.85, 0.05
"""Range of NP (1 to 99 %) below which it looks squeezed (healthy: 0.99 in twelve set-ups of two
networks; a fifth of the logits 0.75), and has nothing to part."""
BETWEEN = 0.002
"""Share of pixels with NP in 0.02..0.98 below which it was cut (healthy: above 0.05)."""
COVER = 0.5
"""Share of an image beyond which labels may be those of the background."""


@check("model.np", "NP is the probability of nucleus", needs=("maps",), after=CAUSES,
       explains=("model.place", "model.hv_*", "model.score", "model.input", "model.mpp",
                 "data.complete"))  # fmt: skip
def np_is_a_probability(bench: Bench) -> Steps:
    """Which channel, which activation, which range."""
    raw = [r.np for i in bench.map_indices if (r := bench.raw(i)) is not None and r.np is not None]
    if bench.case.predictor is None and bench.case.kind == MAPS:
        yield from _np_as_given([np.asarray(a) for a in raw], bench.setup.np_activation)
    views = yield from view_steps(bench)
    found = yield from np_steps(bench)
    if not views:
        return skip("there are no maps")
    common: dict[str, Any] = {"layers": ("image", "truth", "np"),
                              "places": [v.place() for v in views]}  # fmt: skip
    if found.sign < 0:
        return _inverted(found, bench.setup.np_channel, common)
    labelled = found.truth is not None and found.truth.best >= RELATED
    if labelled and squeezed(found):
        yield _biased(found, common)
    else:
        yield from _numbers(views, found, labelled, common)


def _numbers(views: Sequence[View], found: NP, labelled: bool, common: dict[str, Any]) -> Steps:
    """Whether NP is squeezed, ran over, or was cut."""
    low, high = (np.searchsorted(np.cumsum(found.all), q * found.all.sum()) / BINS
                 for q in (0.01, 0.99))  # fmt: skip
    between = float(found.all[2:-2].sum() / max(found.all.sum(), 1))
    words = f"NP goes from {low:.2f} to {high:.2f} (1 to 99 %)"
    if labelled:
        words += f"; Dice is {found.dice(HALF):.2f} at 0.5 and at most {found.dice(found.best):.2f}"
    related = found.image is not None and found.image.best >= RELATED
    outside = high < HALF or low >= HALF
    jumps = _jumps(views, found.sign)
    narrow = CONTRAST < high - low < NARROW
    if narrow and (found.dice(found.best) >= MENDED if labelled else related and outside):
        middle = round(found.best if labelled else (low + high) / 2, 2)
        yield judge(
            labelled, f"{words}: a network that is sure of anything comes near 0 and 1.",
            scaled(high - low, 0.5, NARROW, 0.9, 0.75),
            title=f"NP is squeezed into {low:.2f} to {high:.2f}",
            value=high - low, threshold=NARROW, unit="range",
            remedy=Remedy("Make NP by the softmax over both channels, once (not twice, no sigmoid "
                          "on top, no temperature); until then set the threshold in the middle.",
                          *(("np_threshold", middle) if outside else ())),
            **common)  # fmt: skip
    elif between >= BETWEEN and jumps >= JUMPS:
        yield judge(
            labelled, f"Of the neighbours of pixels with NP near 1, {jumps:.1%} have NP near 0 "
            f"(healthy: hardly any). {words}.", 0.9,
            title="NP falls from 1 to 0 inside nuclei: numbers ran over", value=jumps,
            threshold=JUMPS, unit="share", decisive=labelled,
            remedy=Remedy("Look for an overflow where NP is written: 256 x NP in a byte wraps to "
                          "0; use 255 x NP, rounded and clipped, or floats."),
            **common)  # fmt: skip
    elif between < BETWEEN and found.all[HALF_AT:].sum():
        lost = labelled and found.dice(HALF) < BAD_DICE
        yield (fault if lost else warn)(
            f"NP is 0 or 1 at all but {between:.2%} of the pixels; a network gives values between "
            f"at every rim. {words}.",
            title="NP was cut at a threshold before it came here", certainty=0.7 if lost else 0.45,
            value=between, threshold=BETWEEN, unit="share",
            remedy=Remedy("Give the probability itself (softmax channel 1), not a mask of 0 and 1: "
                          "the threshold is a parameter of the separation."),
            **common)  # fmt: skip
    else:
        yield ok(f"{words}.", layers=("np",), value=high - low)


HALF_AT = int(HALF * BINS)
BAD_DICE = 0.7
"""Dice below which the result is said to be bad, whatever the reason."""


def _np_as_given(raw: Sequence[Any], activation: str) -> Steps:
    """Look at given numbers before anything was made of them."""
    kinds = [(f"0..{scale_of(a):.0f}" if a.min() >= 0 and a.max() <= 255 else "logits") for a in raw
             if a.size and a.dtype.kind in "fiu" and np.isfinite(a).all()
             and not -1e-3 <= a.min() <= a.max() <= 1 + 1e-3]  # fmt: skip
    if not kinds or activation == "logits":
        return
    logits = kinds.count("logits") >= len(kinds) / 2
    yield fault(
        f"NP leaves 0..1 in {len(kinds)} of {len(raw)} images"
        + (": these are logits, before softmax or sigmoid." if logits else f": it is {kinds[0]}."),
        title=f"NP is not a probability but {'logits' if logits else kinds[0]}",
        value=len(kinds), threshold=1, unit="images", certainty=0.95, layers=("np",),
        remedy=Remedy("Apply the softmax (channel 1) before NP is used.", "np_activation", "logits")
        if logits else Remedy(f"Divide NP by {kinds[0][3:]} before it is used."))  # fmt: skip


def _inverted(found: NP, channel: int, common: dict[str, Any]) -> Any:
    said = [f"{x.sign * x.best:.2f} with {what}" for x, what in ((found.truth, "the labels"),
        (found.image, "how dark the image is")) if x is not None]  # fmt: skip
    told = [x is not None and x.best >= RELATED and x.sign < 0 for x in (found.truth, found.image)]
    covered = found.inside.sum() > COVER * found.all.sum()
    sure = told[0] and (told[1] or not covered)
    return (fault if sure else warn)(
        f"NP correlates {' and '.join(said)} (healthy: above {RELATED:g}); read as 1 - NP its Dice "
        f"is {found.dice(HALF):.2f}.",
        title="NP is the probability of background",
        value=-max(x.best for x in (found.truth, found.image) if x is not None),
        threshold=RELATED, unit="correlation",
        certainty=(0.97 if all(told) else 0.9) if sure else ALONE,
        remedy=Remedy("Read the other NP channel: nucleus is channel 1 of the softmax.",
                      "np_channel", 0 if channel else 1),
        plain="The program takes everything but the nuclei for nuclei.",
        stands=all(told), **common)  # fmt: skip


def _biased(found: NP, common: dict[str, Any]) -> Any:
    now, then = found.dice(HALF), found.dice(found.best)
    steps = tuple(k / BINS for k in range(2, BINS, 2))
    return fault(
        f"Dice is {now:.2f} at 0.5 and {then:.2f} at {found.best:g}; the median of NP is "
        f"{_median(found.inside):.2f} in nuclei and {_median(found.outside):.2f} outside (healthy: "
        f"above {LOW_INSIDE + 0.2:g}, below {HIGH_OUTSIDE / 2:g}).",
        title=f"NP is no fair probability: the threshold that fits is {found.best:g}",
        value=then - now, threshold=BIASED_GAIN, unit="Dice", certainty=0.93,
        remedy=Remedy(
            "Make NP by the softmax over both channels, once: a sigmoid of one channel, or one on "
            f"top of it, does this. Until then set the NP threshold to {found.best:g}.",
            "np_threshold", found.best),
        plot=Plot("lines", "Dice by threshold", steps, (("Dice", tuple(map(found.dice, steps))),),
                  "NP threshold", "Dice", found.best, on_x=True),
        plain="The program is far too ready (or far too slow) to call something a nucleus.",
        **common)  # fmt: skip


# --- place -----------------------------------------------------------------------------

SHIFT_GAIN, ALONE_GAIN, SMALL_GAIN = 0.03, 0.05, 0.3
"""Correlation that maps gain by being moved back: in several images, in one, in so few pixels
that any nucleus may lie on any other (healthy: below 0.005 beyond one pixel)."""
SMALL_PIXELS = 30_000
AGREE = 0.6
"""Share of the images that must say the same."""
LEAST_SHIFT = 2
TURN_GAIN = 0.2
"""Correlation gained by a turn (healthy: none; a wrong turn: below 0.1)."""
BLOCK, REACH = 64, 40
"""Edge of the blocks that are looked for in the labels, and how far around; pixels."""
BLOCK_FITS, BLOCK_GAIN, BLOCK_SHIFT = 0.6, 0.3, 4
OFF_BLOCKS, LEAST_BLOCKS = 0.2, 4
"""Share and number of blocks that lie elsewhere (healthy: below 0.05)."""
STRANGE = 0.15
"""Correlation below which maps have nothing to do with their own image."""


@check("model.place", "Place of the maps", needs=("maps",), after=CAUSES,
       explains=("model.hv_length", "model.score", "model.np", "model.input", "model.mpp",
                 "model.tiles", "data.complete", "data.place"))  # fmt: skip
def place_of_the_maps(bench: Bench) -> Steps:
    """Shifted, turned, of other images, stitched with an offset."""
    views = yield from view_steps(bench)
    found = yield from np_steps(bench)
    if found.truth is None and found.image is None:
        return skip("give true labels or images to lay the maps on")
    if sized := list(_sized(bench, views, found.sign)):
        return sized[0]
    lies = found.witness
    if lies is None:
        said = list(_strangers(views, found))
        best = max(x.best for x in (found.truth, found.image) if x is not None)
        yield from said or [skip("NP has nothing to do with labels or image, however it is moved "
            f"or turned (correlation {best:.2f}, needed {RELATED:g})")]  # fmt: skip
        return
    by_labels = lies is found.truth
    other = found.image if by_labels else None
    free = other is not None and other.best >= RELATED  # labels may be what is misplaced
    pixels = sum(v.prob.size for v in views)
    for test, words in ((_turned, _turn), (partial(_is_shifted, pixels=pixels), _shift)):
        if not test(lies):
            continue
        if free and other is not None and not test(other):
            return ok("Labels lie otherwise than maps and image: see the findings on data.")
        evidence, more = words(lies, _what(by_labels))
        alone = ALONE - 0.02 * ("features" in bench.case.has)  # see the tokens first
        sure = (0.96 if free else 0.85) if by_labels else alone
        return (fault if by_labels else warn)(
            f"NP correlates {lies.here:.2f} with {_what(by_labels)} as it is, {evidence}.",
            certainty=sure, layers=("image", "truth", "np"), places=[v.place() for v in views],
            **more)  # fmt: skip
    yield Progress(0, 1, "parts of the maps")
    parts = list(_stitched(views, found)) if by_labels else []
    yield from parts or [ok(f"NP correlates {lies.here:.2f} with {_what(by_labels)} as it is, and "
                            "not better moved or turned.", value=0.0, threshold=LEAST_SHIFT,
                            unit="px", layers=("image", "np"))]  # fmt: skip


def _sized(bench: Bench, views: Sequence[View], sign: int) -> Steps:
    """Tell whether maps fit labels (that fit their image) better in another size."""
    known, labels = placement(bench)
    probs = {v.index: sign * v.prob for v in views}
    where = where_of([pair_of(p.item, p.mask, band(probs[p.item.index]), p.nuclei)
                      for p in known if p.item.index in probs])  # fmt: skip
    if labels.kind in ("fits", "") and where.kind.startswith("zoom"):
        yield fault(
            f"NP correlates {where.own:.2f} with the true nuclei as it is, and {where.value:.2f} "
            f"if it is resized {where.at:.2f} times about the middle.", certainty=0.92,
            title=f"Maps are {1 / where.at:.2f} x as large as they should be", value=where.at,
            unit="times", places=[v.place() for v in views], layers=("image", "truth", "np"),
            remedy=Remedy("Look at how images are framed, padded or resized for the network: take "
                          "that frame off the maps, then resize them to the image."))  # fmt: skip


def _what(by_labels: bool) -> str:
    return "the true nuclei" if by_labels else "how dark the image is"


def _turned(lies: Lies) -> bool:
    best = max(lies.turns)
    return lies.turn != TURNS[0] and best >= RELATED and best - max(
        lies.here, lies.there) >= TURN_GAIN  # fmt: skip


def _is_shifted(lies: Lies, pixels: int) -> bool:
    gain = SMALL_GAIN if pixels < SMALL_PIXELS else SHIFT_GAIN if lies.n > 2 else ALONE_GAIN
    return (max(map(abs, lies.shift)) >= LEAST_SHIFT and lies.there >= RELATED
            and lies.there - lies.here >= gain and lies.agree >= AGREE)  # fmt: skip


def _turn(lies: Lies, what: str) -> tuple[str, dict[str, Any]]:
    turn, best = lies.turn, max(lies.turns)
    back = turn if turn.flip else Turn(False, -turn.quarters % 4)
    return f"and {best:.2f} if that is {turn_words(turn)}", {
        "title": f"Maps are {turn_words(turn)}", "value": best - lies.here, "threshold": TURN_GAIN,
        "unit": "correlation", "plain": "What is drawn belongs to the mirrored or turned image.",
        "remedy": Remedy("Undo the flip or turn where maps are made or read (mind rows and "
                         "columns), HV with its vectors.", "maps_turn", (back.flip, back.quarters)),
        "plot": Plot("bars", f"Correlation of NP with {what}, turned",
                     tuple(map(turn_words, TURNS)), (("correlation", lies.turns),), "turn"),
    }  # fmt: skip


def _shift(lies: Lies, what: str) -> tuple[str, dict[str, Any]]:
    rows, cols = lies.shift
    return (f"and {lies.there:.2f} if taken to lie {shift_words(lies.shift)} ({lies.agree:.0%} of "
            f"{lies.n} images say so)"), {
        "title": f"Maps lie {shift_words(lies.shift)} of where they should",
        "value": float(max(abs(rows), abs(cols))), "threshold": LEAST_SHIFT, "unit": "px",
        "numbers": {"rows": rows, "columns": cols}, "plain": "Outlines lie beside their nuclei.",
        "remedy": Remedy("Find what moves them (tokens that are no patches, padding, a crop put "
                         "back at the wrong place); until then move the maps back.", "maps_shift",
                         (-rows, -cols))}  # fmt: skip


def shift_words(shift: tuple[int, int]) -> str:
    """Put a shift into words."""
    rows, cols = shift
    said = [f"{abs(rows)} px {'down' if rows > 0 else 'up'}"] if rows else []
    said += [f"{abs(cols)} px to the {'right' if cols > 0 else 'left'}"] if cols else []
    return " and ".join(said) or "in place"


def _stitched(views: Sequence[View], found: NP) -> Steps:
    """Tell whether parts of the maps lie elsewhere, by labels and (if any) the image."""
    made = [_blocks(v, v.labels > 0, found.sign) for v in views if v.labels is not None]
    off, n = [p for places, _ in made for p in places], sum(k for _, k in made)
    if n < LEAST_BLOCKS or len(off) < max(OFF_BLOCKS * n, LEAST_BLOCKS):
        return
    seen = [_blocks(v, v.dark, found.sign) for v in views if v.dark is not None]
    dark, of = sum(len(places) for places, _ in seen), sum(k for _, k in seen)
    if of >= LEAST_BLOCKS and dark < OFF_BLOCKS / 2 * of:
        return  # by the image maps are in place: it is the labels that are not
    yield fault(
        f"{len(off)} of {n} blocks of {BLOCK} px fit the labels elsewhere, up to {REACH} px away, "
        "the others where they are.",
        title="Parts of the maps lie elsewhere: tiles were stitched at the wrong place",
        value=len(off) / n, threshold=OFF_BLOCKS, unit="share", certainty=0.92,
        remedy=Remedy("Put each tile back at the place it was cut from: mind offset, halo and the "
                      "order of rows and columns."),
        layers=("image", "truth", "np"), places=off,
        plain="The picture was put together from tiles in the wrong places.")  # fmt: skip


def _blocks(view: View, reference: Any, sign: int) -> tuple[list[Place], int]:
    """Look for blocks of NP around; returns those that lie elsewhere, and of how many."""
    prob, off, n = sign * view.prob, [], 0
    plane = np.pad(np.asarray(reference, np.float32), REACH, mode="edge")
    for r in range(0, prob.shape[0] - BLOCK + 1, BLOCK):
        for c in range(0, prob.shape[1] - BLOCK + 1, BLOCK):
            block = np.ascontiguousarray(prob[r : r + BLOCK, c : c + BLOCK])
            around = plane[r : r + BLOCK + 2 * REACH, c : c + BLOCK + 2 * REACH]
            if block.std() < 0.1:
                continue
            fits = cv2.matchTemplate(around, block, cv2.TM_CCOEFF_NORMED)
            best = np.unravel_index(int(fits.argmax()), fits.shape)
            here, far = float(fits[REACH, REACH]), max(abs(int(k) - REACH) for k in best)
            n += int(fits.max() >= BLOCK_FITS)
            gain = fits.max() - here
            if far >= BLOCK_SHIFT and fits.max() >= BLOCK_FITS and gain >= BLOCK_GAIN:
                off.append(view.place(f"fits {far} px away", (r, r + BLOCK, c, c + BLOCK)))
    return off, n


def _strangers(views: Sequence[View], found: NP) -> Steps:
    """Tell whether maps fit the labels or images of others, and not their own."""
    fits, by = [], "labels"
    for by in ("labels", "dark"):
        with_it = [v for v in views if getattr(v, by) is not None]
        given: list[Any] = [getattr(v, by) for v in with_it]
        planes = [np.asarray(a if by == "dark" else a > 0, float) for a in given]
        fits = [[correlation(v.prob, p) if p.shape == v.prob.shape else 0.0 for p in planes]
                for v in with_it]  # fmt: skip
        strange = [max(range(len(row)), key=row.__getitem__) for row in fits]
        n = sum(j != i and fits[i][j] >= RELATED and fits[i][i] < STRANGE
                for i, j in enumerate(strange))  # fmt: skip
        if n >= max(AGREE * len(fits), 2):
            break
    else:
        return
    agree = by == "dark" or found.image is None or found.image.here < STRANGE
    same = len(set(strange)) == 1
    yield (fault if agree and by == "labels" else warn)(
        f"The maps of {n} of {len(fits)} images fit {'the same other' if same else 'another'} "
        "image, and not their own.",
        title="Every image gets the same maps" if same else "Maps belong to other images",
        value=n, threshold=max(AGREE * len(fits), 2), unit="images",
        certainty=0.93 if agree and by == "labels" else ALONE, layers=("image", "truth", "np"),
        remedy=Remedy("Look at what is kept between two images: a cache, or a constant input."
                      if same else "Put maps (or tokens) and images in the same order: pair both "
                                   "by name, and mind 10 before 2."),
        plain="What is drawn belongs to another picture.")  # fmt: skip
