"""Checks of predicted maps, the network's or given: NP, their place, HV's direction and length, score.

Labels are the witness. Without them the image (nuclei are dark) is one for NP, and nothing is for
HV: shapes that NP and HV agree on may be wrong together, so that is worth a warning at most.
Bounds were set on the predictions of ``compact`` (DSB white and purple, MoNuSeg, CoNSeP, generated
tissue) and on stored maps of another network.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import cv2
import numpy as np
from scipy import fft, ndimage

from ..data.samples import TURNS, Turn, turn_plane
from ..data.stores import MAPS
from ..hv import NO_DIRECTION, hv_targets
from ..masks import label_parts
from ..measure.metrics import aji, contingency, dice
from ..types import Bool, Float32, Float64, Progress
from .bench import Bench
from .engine import ALONE, Steps, check, fault, ok, skip, warn
from .reading import (
    HALF,
    READINGS,
    Fit,
    Lies,
    Reading,
    View,
    convex_parts,
    correlation,
    fit,
    lies_of,
    on_maps,
    pooled,
    view_steps,
)
from .report import OK, Finding, Place, Plot, Remedy

CAUSES = ("model.checkpoint", "model.weights", "model.failures")
"""Beside a decisive fault of these, maps say nothing."""
RELATED = 0.35
"""Correlation of NP with labels or darkness from which on the two belong together (healthy: 0.5 to
0.98; with those of another image: up to 0.2)."""


# --- maps that can be used -------------------------------------------------------------

FEW = 0.05
"""Share of images below which a failure is worth a look, not the cause of a bad result."""


@check("model.failures", "Maps of every image", needs=("maps",), after=("model.checkpoint",),
       explains=("model.*", "separation.tuning"))  # fmt: skip
def maps_of_every_image(bench: Bench) -> Steps:
    """Predict (or read) maps of all images that can be read."""
    yield from view_steps(bench)
    names = [item.name for item in bench.case.items or ()]
    readable = [i for i in bench.map_indices if _readable(bench, i)]
    failed = [i for i in readable if bench.maps(i) is None]
    if not readable:
        yield skip("there is no image that the network could read")
        return
    if not failed:
        yield ok(f"There are maps of all {len(readable)} images.")
        return
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
        places=tuple(Place(i, names[i], (0, 1, 0, 1)) for i in failed[: bench.params.n_places]),
        decisive=len(failed) == len(readable),
    )  # fmt: skip


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


def squeezed(found: NP) -> bool:
    """Whether NP is no fair probability, by the labels."""
    if found.truth is None or found.truth.best < RELATED:
        return False
    shifted = _median(found.outside) >= HIGH_OUTSIDE or _median(found.inside) <= LOW_INSIDE
    return shifted and found.dice(found.best) - found.dice(HALF) >= BIASED_GAIN


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
            placed, _ = on_maps(view.labels, truth)
            mask = (view.labels > 0) if placed.shape != prob.shape else _moved(view, truth)
        inside += np.bincount(at[mask], minlength=BINS + 1)
        outside += np.bincount(at[~mask], minlength=BINS + 1)
    return NP(truth, image, inside, outside)


def _moved(view: View, truth: Lies) -> Bool:
    """True nuclei, those at the border too, where the maps have them."""
    plane: Any = view.labels > 0 if view.labels is not None else None
    if truth.turns[TURNS.index(truth.turn)] > truth.there + 0.1:
        return np.asarray(turn_plane(plane, truth.turn))
    moved: Bool = np.roll(plane, truth.shift if truth.there > truth.here + 0.03 else (0, 0), (0, 1))
    return moved


def mask_of(view: View, found: NP) -> Bool:
    """Pixels that NP calls nucleus, read as it has to be."""
    mask: Bool = (view.prob if found.sign > 0 else 1 - view.prob) >= found.threshold
    return mask


NARROW, CONTRAST = 0.5, 0.05
"""Range of NP (1 to 99 %) below which it looks squeezed, and below which there is nothing to part."""
BETWEEN = 0.002
"""Share of pixels with NP in 0.02..0.98 below which it was cut at a threshold (healthy: above 0.05)."""
COVER = 0.5
"""Share of an image beyond which labels may be those of the background."""


@check("model.np", "NP is the probability of nucleus", needs=("maps",), after=CAUSES,
       explains=("model.place", "model.hv_*", "model.score", "model.input", "model.mpp",
                 "separation.tuning", "data.complete"))  # fmt: skip
def np_is_a_probability(bench: Bench) -> Steps:
    """Which channel, which activation, which range."""
    raw = [r.np for i in bench.map_indices if (r := bench.raw(i)) is not None and r.np is not None]
    if bench.case.predictor is None and bench.case.kind == MAPS:
        yield from _np_as_given([np.asarray(a) for a in raw], bench.setup.np_activation)
    views = yield from view_steps(bench)
    found = yield from np_steps(bench)
    if not views:
        yield skip("there are no maps")
        return
    worst = tuple(v.place() for v in views[: bench.params.n_places])
    common: dict[str, Any] = {"layers": ("image", "truth", "np"), "places": worst}
    if found.sign < 0:
        yield _inverted(found, bench.setup.np_channel, common)
        return
    labelled = found.truth is not None and found.truth.best >= RELATED
    if labelled and squeezed(found):
        yield _biased(found, common)
        return
    low, high = (np.searchsorted(np.cumsum(found.all), q * found.all.sum()) / BINS
                 for q in (0.01, 0.99))  # fmt: skip
    between = float(found.all[2:-2].sum() / max(found.all.sum(), 1))
    words = f"NP goes from {low:.2f} to {high:.2f} (1 to 99 %)"
    if labelled:
        words += f"; Dice is {found.dice(HALF):.2f} at 0.5 and at most {found.dice(found.best):.2f}"
    related = found.image is not None and found.image.best >= RELATED
    outside = high < HALF or low >= HALF
    if CONTRAST < high - low < NARROW and outside and related and not labelled:
        yield warn(
            f"{words}: 0.5 parts nothing, though NP follows the image.",
            title=f"NP is squeezed into {low:.2f} to {high:.2f}",
            value=high - low, threshold=NARROW, unit="range",
            remedy=Remedy("Make NP by the softmax over both channels, once; until then set the "
                          "threshold in the middle.", "np_threshold", round((low + high) / 2, 2)),
            **common,
        )  # fmt: skip
    elif between < BETWEEN and found.all[HALF_AT:].sum():
        lost = labelled and found.dice(HALF) < BAD_DICE
        yield (fault if lost else warn)(
            f"NP is 0 or 1 at all but {between:.2%} of the pixels; a network gives values between "
            f"at every rim. {words}.",
            title="NP was cut at a threshold before it came here", certainty=0.7 if lost else 0.45,
            value=between, threshold=BETWEEN, unit="share",
            remedy=Remedy("Give the probability itself (softmax channel 1), not a mask of 0 and 1: "
                          "the threshold is a parameter of the separation."),
            **common,
        )  # fmt: skip
    else:
        yield ok(f"{words}.", layers=("np",), value=high - low)


HALF_AT = int(HALF * BINS)
BAD_DICE = 0.7
"""Dice below which the result is said to be bad, whatever the reason."""


def _np_as_given(raw: Sequence[Any], activation: str) -> Steps:
    """Look at given numbers before anything was made of them."""
    kinds = [("bytes" if a.dtype.kind in "iu" and a.max() <= 255 else "logits") for a in raw
             if a.size and a.dtype.kind in "fiu" and np.isfinite(a).all()
             and not -1e-3 <= a.min() <= a.max() <= 1 + 1e-3]  # fmt: skip
    if not kinds or activation == "logits":
        return
    logits = kinds.count("logits") >= len(kinds) / 2
    yield fault(
        f"NP leaves 0..1 in {len(kinds)} of {len(raw)} images"
        + (": these are logits, before softmax or sigmoid." if logits else ", up to 255."),
        title="NP is not a probability but " + ("logits" if logits else "bytes"),
        value=len(kinds), threshold=1, unit="images", certainty=0.95, layers=("np",),
        remedy=Remedy("Apply the softmax (channel 1) before NP is used.", "np_activation", "logits")
        if logits else Remedy("Divide NP by 255 before it is used."),
    )  # fmt: skip


def _inverted(found: NP, channel: int, common: dict[str, Any]) -> Any:
    said = [
        f"{x.sign * x.best:.2f} with {what}"
        for x, what in ((found.truth, "the labels"), (found.image, "how dark the image is"))
        if x is not None
    ]
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
        decisive=False, **common,
    )  # fmt: skip


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
        **common,
    )  # fmt: skip


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
       explains=("model.hv_*", "model.score", "model.np", "model.input", "model.mpp", "model.tiles",
                 "separation.tuning", "data.complete", "data.place"))  # fmt: skip
def place_of_the_maps(bench: Bench) -> Steps:
    """Shifted, turned, of other images, stitched with an offset."""
    views = yield from view_steps(bench)
    found = yield from np_steps(bench)
    if found.truth is None and found.image is None:
        yield skip("give true labels or images to lay the maps on")
        return
    lies = found.witness
    if lies is None:
        said = list(_strangers(views, found))
        best = max(x.best for x in (found.truth, found.image) if x is not None)
        yield from said or [
            skip(
                f"NP has nothing to do with labels or image, however it is moved "
                f"or turned (correlation {best:.2f}, needed {RELATED:g})"
            )
        ]
        return
    by_labels = lies is found.truth
    other = found.image if by_labels else None
    free = other is not None and other.best >= RELATED  # labels may be what is misplaced
    pixels = sum(v.prob.size for v in views)
    if _turned(lies):
        contradicted = free and other is not None and not _turned(other)
        yield from _turn(lies, by_labels, contradicted, free, views, bench)
    elif _is_shifted(lies, pixels):
        contradicted = free and other is not None and not _is_shifted(other, pixels)
        yield from _shift(lies, by_labels, contradicted, free, views, bench)
    else:
        yield Progress(0, 1, "parts of the maps")
        parts = list(_stitched(views, found, bench.params.n_places)) if by_labels else []
        yield from parts or [
            ok(
                f"NP correlates {lies.here:.2f} with {_what(by_labels)} as it is, and not better moved "
                "or turned.",
                value=0.0,
                threshold=LEAST_SHIFT,
                unit="px",
                layers=("image", "np"),
            )
        ]


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


def _turn(lies: Lies, by_labels: bool, contradicted: bool, free: bool, views: Sequence[View],
          bench: Bench) -> Steps:  # fmt: skip
    if contradicted:
        yield ok("The labels are turned against maps and image: see the findings on data.")
        return
    turn = lies.turn
    back = turn if turn.flip else Turn(False, -turn.quarters % 4)
    yield (fault if by_labels else warn)(
        f"NP correlates {lies.here:.2f} with {_what(by_labels)} as it is, and {max(lies.turns):.2f} "
        f"if that is {turn_words(turn)}.",
        title=f"Maps are {turn_words(turn)}",
        value=max(lies.turns) - lies.here, threshold=TURN_GAIN, unit="correlation",
        certainty=(0.96 if free else 0.85) if by_labels else ALONE,
        remedy=Remedy("Undo the flip or turn where maps are made or read (mind rows and columns), "
                      "HV with its vectors.", "maps_turn", (back.flip, back.quarters)),
        plot=Plot("bars", f"Correlation of NP with {_what(by_labels)}, turned",
                  tuple(map(turn_words, TURNS)), (("correlation", lies.turns),), "turn"),
        plain="What is drawn belongs to the mirrored or turned image.",
        layers=("image", "truth", "np"),
        places=tuple(v.place() for v in views[: bench.params.n_places]),
    )  # fmt: skip


def turn_words(turn: Turn) -> str:
    """Name a turn."""
    plain = ("as it is", "turned by 90", "turned by 180", "turned by 270")
    flipped = ("mirrored left to right", "transposed", "mirrored top to bottom",
               "transposed over the other diagonal")  # fmt: skip
    return (flipped if turn.flip else plain)[turn.quarters]


def _shift(lies: Lies, by_labels: bool, contradicted: bool, free: bool, views: Sequence[View],
           bench: Bench) -> Steps:  # fmt: skip
    if contradicted:
        yield ok("The labels lie elsewhere than maps and image: see the findings on data.")
        return
    rows, cols = lies.shift
    tokens = bench.case.predictor is not None and bench.case.predictor.reads == "features"
    yield (fault if by_labels else warn)(
        f"NP correlates {lies.here:.2f} with {_what(by_labels)} as it is, and {lies.there:.2f} if "
        f"taken to lie {shift_words(lies.shift)} ({lies.agree:.0%} of {lies.n} images say so).",
        title=f"Maps lie {shift_words(lies.shift)} of where they should",
        value=float(max(abs(rows), abs(cols))), threshold=LEAST_SHIFT, unit="px",
        certainty=(0.96 if free else 0.85) if by_labels else ALONE - 0.02 * tokens,
        remedy=Remedy(
            "Find what moves them (tokens that are no patches, padding, a crop put back at the "
            "wrong place); until then move the maps back.", "maps_shift", (-rows, -cols)),
        numbers={"rows": rows, "columns": cols}, layers=("image", "truth", "np"),
        plain="Outlines lie beside their nuclei.",
        places=tuple(v.place() for v in views[: bench.params.n_places]),
    )  # fmt: skip


def shift_words(shift: tuple[int, int]) -> str:
    """Put a shift into words."""
    rows, cols = shift
    said = [f"{abs(rows)} px {'down' if rows > 0 else 'up'}"] if rows else []
    said += [f"{abs(cols)} px to the {'right' if cols > 0 else 'left'}"] if cols else []
    return " and ".join(said) or "in place"


def _stitched(views: Sequence[View], found: NP, n_places: int) -> Steps:
    """Tell whether parts of the maps lie elsewhere, by labels and, if there is one, by the image."""
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
        layers=("image", "truth", "np"), places=tuple(off[:n_places]),
        plain="The picture was put together from tiles in the wrong places.",
    )  # fmt: skip


def _blocks(view: View, reference: Any, sign: int) -> tuple[list[Place], int]:
    """Look for blocks of NP around where they are; returns those that lie elsewhere, and of how many."""
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
        planes = [np.asarray(getattr(v, by) if by == "dark" else v.labels > 0, float)
                  for v in with_it]  # fmt: skip
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
                      if same else "Put maps (or tokens) and images in the same order: pair both by "
                      "name, and mind 10 before 2."),
        plain="What is drawn belongs to another picture.",
    )  # fmt: skip


# --- HV --------------------------------------------------------------------------------

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
    ends: float = 0.0  # Share of pixels with a channel at -1 or 1
    noise: float = 0.0  # From pixel to pixel, relative to the length
    mse: float = 0.0  # Relative to that of a map of zeros; by labels
    truth: Fit = Fit(np.zeros((2, 2)), 0)
    shapes: Fit = Fit(np.zeros((2, 2)), 0)  # Against single convex parts of NP
    turned: tuple[float, ...] = ()  # Cosine with the pixels of HV turned by each of TURNS
    shift: tuple[int, int] = (0, 0)  # By which HV lies off NP
    moved: float = 0.0  # Cosine with HV moved back
    blurred: tuple[float, float] = (0.0, 0.0)  # Correlation with sharp, and with smeared targets
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
    truth = fit(hv, target, len(np.unique(ids)) - 1) if labelled else Fit(np.zeros((2, 2)), 0)
    square = hv.shape[1] == hv.shape[2]
    reading = (truth if labelled else fit(hv, shapes)).best
    t = target[:, inside].astype(np.float64)
    read = reading.read(hv)[:, inside].astype(np.float64)
    soft = [_smeared(target, sigma)[:, inside] for sigma in BLURS] if labelled else []
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
        "places": _worst(view, ids, of),
    }  # fmt: skip


def _smeared(target: Float32, sigma: float) -> Float64:
    return np.stack([cv2.GaussianBlur(plane, (0, 0), sigma) for plane in target]).astype(np.float64)


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
    total = np.zeros(hv.shape[1:])
    a, b = (x / np.maximum(np.hypot(*x), NO_DIRECTION) for x in (hv, target))
    for one, other in zip(a, b, strict=True):
        total += fft.irfft2(fft.rfft2(one) * np.conj(fft.rfft2(other)), total.shape)
    total /= max(float((np.hypot(*target) > 0).sum()), 1.0)
    reach = min(REACH, *((n - 1) // 2 for n in total.shape))
    near: Float32 = np.roll(total, (reach, reach), (0, 1))[: 2 * reach + 1, : 2 * reach + 1]
    return near


def _worst(view: View, ids: Any, target: Float32) -> list[tuple[float, Place]]:
    """The two nuclei whose HV points the wrong way most."""
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
        float((np.abs(p) >= AT_END).any(axis=0).mean()), mean["noise"] / max(float(length), 1e-9),
        float(sum(r["error"] for r in rows) / max(sum(r["zero"] for r in rows), 1e-9)),
        pooled([r["truth"] for r in rows]), pooled([r["shapes"] for r in rows]),
        tuple(np.average([r["turned"] for r in rows], axis=0, weights=[r["n"] for r in rows])),
        (int(at[0]) - middle[0], int(at[1]) - middle[1]) if reach else (0, 0),
        abs(float(surface[at])), (mean["sharp"], mean["soft"]), tuple(p for _, p in places),
    )  # fmt: skip


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
"""|HV| of a channel at the end of tanh, and the share of such pixels (healthy: up to 0.05)."""
COLLAPSED, SHORT = 0.1, 0.25
"""Mean length below which HV is nothing, or short."""
LONG, TOO_LONG = 1.4, 1.8
"""Mean length by that of exact HV: worth a look, and wrong (healthy: 0.7 to 1.2)."""
UNDIVIDED = (60.0, 250.0)
"""Factors between which HV was never divided by 127, or twice."""
ONE_SIDED, OFF_CENTRE = -0.05, 0.3
"""Lowest value, and mean of a channel, by the mean length (healthy: -1.4, and up to 0.1)."""
EMPTY_CHANNEL = 0.15
"""Spread of a channel by that of the other (healthy: above 0.7)."""


@check("model.hv_direction", "Direction of HV", needs=("maps",), after=CAUSES,
       explains=("model.score", "model.hv_length", "separation.tuning"))  # fmt: skip
def direction_of_hv(bench: Bench) -> Steps:
    """Order, sign, place, sharpness: does HV point away from the centres."""
    hv = yield from hv_steps(bench)
    main = hv.main
    if main.parts < LEAST_PARTS:
        yield skip("there are too few whole nuclei in the maps")
        return
    words = (
        f"Mean cosine of HV to {'the true nuclei' if hv.truth is main else 'single nuclei of NP'}: "
        f"{main.claimed:.2f} as it claims to be, {main.score:.2f} as {main.best.words}; to shapes "
        f"of NP {hv.shapes.claimed:.2f}."
    )
    common = _common(hv, main)
    if hv.length < 1e-3 or _one_sided(hv) or min(hv.spread) < EMPTY_CHANNEL * max(hv.spread):
        yield ok(f"{words} See the length of HV.", **common)
        return
    best = max(hv.turned, default=0.0)
    if best >= max(POINTS, hv.score + ELSEWHERE_GAIN):
        turn = TURNS[hv.turned.index(best)]
        yield _said(hv)(f"{words} With its pixels {turn_words(turn)} it is {best:.2f}.",
                        title=f"HV is {turn_words(turn)} against NP",
                        remedy=Remedy("Turn or flip NP and HV together (HV with its vectors)."),
                        **common | {"certainty": _sure(hv, 0.93)})  # fmt: skip
    elif hv.shift != (0, 0) and hv.moved >= max(POINTS, hv.score + ELSEWHERE_GAIN):
        yield _said(hv)(f"{words} Moved back it is {hv.moved:.2f}.",
                        title=f"HV lies {shift_words(hv.shift)} of NP",
                        remedy=Remedy("Find what moves HV but not NP where maps are made or read."),
                        **common | {"certainty": _sure(hv, 0.9)})  # fmt: skip
    elif (
        main.best != READINGS[0]
        and main.score >= POINTS
        and main.lead >= LEAD
        and not (_speaks_for_it(hv))
    ):
        yield _said(hv)(words, title=_misread(main.best), remedy=_read_as(main.best, bench),
                        plain="Borders are looked for where there are none.",
                        **common | {"certainty": _sure(hv, 0.96)})  # fmt: skip
    elif hv.noise >= NOISY:
        yield _said(hv)(f"{words} From pixel to pixel HV has noise of {hv.noise:.0%} of its length "
                        "(healthy: below 10 %).", title="HV is noisy",
                        remedy=Remedy("Look for dropout or batch statistics left in training mode; "
                                      "smooth HV (larger scales of the separation)."),
                        **common | {"certainty": _sure(hv, 0.85)})  # fmt: skip
    elif hv.blurred[1] >= max(hv.blurred[0] + SMEAR_GAIN, POINTS):
        yield _said(hv)(f"{words} It follows targets that were blurred ({hv.blurred[1]:.2f}) better "
                        f"than sharp ones ({hv.blurred[0]:.2f}).", title="HV is smeared",
                        remedy=Remedy("Look for a blur or a bilinear resize of HV (take the nearest "
                                      "pixel), and for targets that were resized after they were "
                                      "computed."),
                        **common | {"certainty": _sure(hv, 0.85)})  # fmt: skip
    elif _lame(main):
        yield _said(hv)(words, title=f"HV along {_lame(main)} was not learned", remedy=ANEW,
                        **common | {"certainty": _sure(hv, 0.85)})  # fmt: skip
    elif hv.score < WEAK and hv.length >= COLLAPSED:
        bad = hv.score < NO_WAY and hv.by_labels
        yield (fault if bad else warn)(
            f"{words} Healthy is above 0.7.", remedy=ANEW,
            title="HV has no direction" if bad else "HV hardly has a direction",
            **common | {"certainty": 0.85 if bad else 0.4})  # fmt: skip
    else:
        yield ok(words, **common)


ANEW = Remedy(
    "Train again with HV targets that are right after each flip and turn (see the findings on "
    "targets and augmentation); no reading of these maps mends it."
)


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


def _said(hv: HV) -> Any:
    return fault if hv.by_labels else warn


def _sure(hv: HV, by_labels: float) -> float:
    return by_labels if hv.by_labels else ALONE


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
        return Remedy(
            "Read the channels the other way round: what is taken for horizontal is "
            f"vertical.{inward}",
            "hv_order",
            "vh" if setup.hv_order == "hv" else "hv",
        )
    if reading.x == reading.y:
        other = "inward" if setup.hv_sign == "outward" else "outward"
        return Remedy("Read HV with the other sign: centre minus pixel.", "hv_sign", other)
    axis = "horizontal (x)" if reading.x < 0 else "vertical (y)"
    return Remedy(f"Negate the {axis} channel where maps or targets are made: a flip whose vectors "
                  "were not turned along, or an axis that runs the other way.")  # fmt: skip


def _lame(fitted: Fit) -> str:
    """Name the axis that was not learned while the other was; "" if none."""
    rows = (1, 0) if fitted.best.order == "vh" else (0, 1)
    x, y = (
        2 * fitted.best.x * fitted.matrix[rows[0], 0],
        2 * fitted.best.y * fitted.matrix[rows[1], 1],
    )
    if max(x, y) < WEAK or min(x, y) >= LAME:
        return ""
    return "y" if y < x else "x"


@check("model.hv_length", "Length of HV", needs=("maps",), after=CAUSES,
       explains=("model.score", "model.hv_direction", "separation.tuning"))  # fmt: skip
def length_of_hv(bench: Bench) -> Steps:
    """Collapsed, saturated, one-sided, of another scale."""
    hv = yield from hv_steps(bench)
    if hv.n < 500:
        yield skip("there are too few nucleus pixels")
        return
    ratio = hv.length / max(hv.usual, 1e-9)
    points = hv.main.score >= POINTS and hv.main.parts >= LEAST_PARTS
    words = (
        f"HV in nuclei is {hv.length:.3g} long on average (exact HV: {hv.usual:.2f}) and goes from "
        f"{hv.low:.2g} to {hv.high:.2g}; outside it is {hv.outside:.2f} long, which is free."
    )
    common: dict[str, Any] = {
        "value": hv.length, "unit": "length", "places": hv.places[:5],
        "layers": ("magnitude", "hv_x", "hv_y", "instances"),
        "numbers": {"outside": hv.outside, "at the ends": hv.ends, "noise": hv.noise},
    }  # fmt: skip
    if hv.by_labels:
        words += f" Its squared error is {hv.mse:.2f} of that of a map of zeros."
    said = list(_impossible(bench, hv, ratio, words, points, common))
    yield from said
    if said:
        return
    low, high = sorted(hv.spread)
    if hv.length < (SHORT if points else COLLAPSED):
        yield from _short(hv, words, points, common)
    elif low < EMPTY_CHANNEL * high:
        name = "vertical (y)" if hv.spread[1] == low else "horizontal (x)"
        yield _said(hv)(words, title=f"The {name} channel of HV is empty", threshold=EMPTY_CHANNEL,
                        certainty=_sure(hv, 0.95), remedy=Remedy(
                            "One of two channels is nothing: look at the HV head (two outputs?) and "
                            "at what writes it, or train again."), **common)  # fmt: skip
    elif hv.ends >= SATURATED:
        yield _said(hv)(f"{words} {hv.ends:.0%} of the pixels stand at -1 or 1 (healthy: below 5 %).",
                        title="HV is saturated", threshold=SATURATED, certainty=_sure(hv, 0.92),
                        remedy=Remedy("HV should run evenly across a nucleus: look for a tanh too "
                                      "much, clipping, or a loss that asks for length."),
                        **common)  # fmt: skip
    elif ratio >= LONG:
        sure = ratio >= TOO_LONG
        yield (fault if sure and hv.by_labels else warn)(
            words, title=f"HV is {ratio:.2g} times too long", threshold=LONG * hv.usual,
            certainty=(0.85 if hv.by_labels else ALONE) if sure else 0.3,
            remedy=Remedy(f"Divide HV by {ratio:.2g}.", "hv_scale",
                          float(f"{bench.setup.hv_scale / ratio:.4g}")), **common)  # fmt: skip
    else:
        yield ok(words, threshold=COLLAPSED, **common)


def _impossible(bench: Bench, hv: HV, ratio: float, words: str, points: bool,
                common: dict[str, Any]) -> Steps:  # fmt: skip
    """What no training gives: whole numbers, a factor of 127, no negative values."""
    given = bench.case.predictor is None and bench.case.kind == MAPS
    raw = bench.raw(bench.map_indices[0]) if given and bench.map_indices else None
    scale = bench.setup.hv_scale
    if raw is not None and np.asarray(raw.hv).dtype.kind in "iu":
        yield fault(f"{words} It is stored as whole numbers, and was read as 127ths.",
                    title="HV is stored as whole numbers", certainty=0.8,
                    remedy=Remedy("Divide HV by 127 before it is used."), **common)  # fmt: skip
    elif UNDIVIDED[0] <= ratio <= UNDIVIDED[1]:
        yield fault(words, title="HV was never divided by 127", certainty=0.96,
                    threshold=UNDIVIDED[0] * hv.usual,
                    remedy=Remedy("Divide HV by 127.", "hv_scale", scale / 127), **common)  # fmt: skip
    elif points and UNDIVIDED[0] <= 1 / max(ratio, 1e-9) <= UNDIVIDED[1]:
        yield _said(hv)(words, title="HV was divided by 127 twice", certainty=_sure(hv, 0.85),
                        remedy=Remedy("Divide by 127 once: multiply HV by 127.", "hv_scale",
                                      scale * 127), **common)  # fmt: skip
    elif _one_sided(hv):
        half = points and min(hv.centre) > 0.3
        yield _said(hv)(f"{words} It is negative left of and above each centre.",
                        title="HV is stored in 0..1" if half else "HV is never negative",
                        threshold=ONE_SIDED, certainty=_sure(hv, 0.94),
                        remedy=Remedy("Read it as 2 * HV - 1." if half else
                                      "Look for a clip, an absolute value, a ReLU or a sigmoid on "
                                      "HV: its sign is lost."), **common)  # fmt: skip
    elif max(map(abs, hv.centre)) >= OFF_CENTRE * hv.length and hv.length > COLLAPSED and points:
        x, y = hv.centre
        yield _said(hv)(f"{words} Its mean is {x:.2f} along x and {y:.2f} along y (healthy: 0).",
                        title="HV is not centred on 0", threshold=OFF_CENTRE,
                        certainty=_sure(hv, 0.8),
                        remedy=Remedy("HV is 0 in the middle of a nucleus: look for an offset that "
                                      "was added, or a bias never trained."), **common)  # fmt: skip


def _one_sided(hv: HV) -> bool:
    return hv.length > COLLAPSED and hv.low >= ONE_SIDED * hv.length


def _short(hv: HV, words: str, points: bool, common: dict[str, Any]) -> Steps:
    if points:
        factor = hv.usual / max(hv.length, 1e-9)
        yield warn(f"{words} It points right, and length alone makes no blob: a separation that "
                   "looks at directions gives the same nuclei.", title="HV is short but points right",
                   certainty=0.4, threshold=COLLAPSED,
                   remedy=Remedy(f"Train on, or multiply HV by {factor:.2g}; look elsewhere for what "
                                 "merges nuclei."), **common)  # fmt: skip
        return
    yield _said(hv)(f"{words} It points nowhere.", title="HV has collapsed", threshold=COLLAPSED,
                    certainty=_sure(hv, 0.9), plain="The network has not learned where the centres "
                    "of nuclei are, so nothing tells touching ones apart.",
                    remedy=Remedy("Look at what makes 0 the best answer: an augmentation whose turns "
                                  "of HV cancel, targets that are 0, or an HV head never trained."),
                    **common)  # fmt: skip


# --- score -----------------------------------------------------------------------------

RULED_OUT = 6
"""Checks that are named as ruled out."""


@check("model.score", "Scores beside base rates", needs=("maps", "labels"), last=True)
def scores_beside_base_rates(bench: Bench) -> Steps:
    """Never "nothing wrong" over a bad score: said last, with what was ruled out."""
    views = yield from view_steps(bench)
    rows = []
    for done, view in enumerate(views):
        yield Progress(done, len(views), "scores")
        cut, maps = bench.instances(view.index), bench.maps(view.index)
        if view.labels is None or cut is None or maps is None or cut.shape != maps.shape:
            continue
        table = contingency(view.labels, cut)
        parts = contingency(view.labels, label_parts(view.prob > HALF)[0])
        rows.append(
            (
                view,
                aji(table),
                aji(parts),
                dice(table),
                table.n_true,
                table.n_pred,
                float((view.prob > HALF).mean()),
                float((view.labels > 0).mean()),
            )
        )
    if not rows:
        yield skip("no image has both labels and instances")
        return
    mine, base, area, true, found, share, truly = (float(np.mean(c)) for c in list(zip(*rows))[1:])
    worst = sorted(rows, key=lambda row: row[1])[: bench.params.n_places]
    common: dict[str, Any] = {
        "value": mine, "threshold": base, "unit": "AJI", "layers": ("image", "truth", "instances"),
        "numbers": {"AJI": mine, "AJI of connected components": base, "Dice": area,
                    "Dice of all-foreground": 2 * truly / (1 + truly)},
        "places": tuple(row[0].place(f"AJI {row[1]:.2f}") for row in worst),
        "plot": Plot("bars", "Scores", ("AJI", "AJI of components", "Dice"),
                     (("mean", (mine, base, area)),)),
    }  # fmt: skip
    words = (
        f"AJI {mine:.2f}, connected components {base:.2f}; Dice {area:.2f}, everything nucleus "
        f"{2 * truly / (1 + truly):.2f}; {found:.0f} instances for {true:.0f} nuclei an image."
    )
    if mine >= base and area >= BAD_DICE:
        yield ok(words, **common)
        return
    known = [f for f in bench.found if f.wrong and f.certainty >= ALONE]
    answer = (
        "no nuclei"
        if share < 0.1 * truly
        else "nuclei nearly everywhere"
        if (share > min(3 * truly, 0.9))
        else "nuclei in other places"
        if area < 0.3
        else ("nuclei of other outlines" if area < BAD_DICE else "nuclei cut in another way")
    )
    bad = area < BAD_DICE and not known
    yield (fault if bad and area < WEAK else warn)(
        f"{words} The network answers {answer} ({share:.0%} of the pixels, {truly:.0%} in truth); "
        f"{_ruled_out(bench.found, known)}",
        title="The result is bad, and no known cause explains it" if not known
        else "The result is bad",
        certainty=0.7 if bad else ALONE if area < BAD_DICE else 0.3,
        remedy=Remedy(
            "Look at the worst image beside its labels. If the network was trained on other images "
            "(encoder, stain, organ), fine-tune it on these; check that input, tokens and weights "
            "are those of its training, and load its checkpoint anew."
        ), plain="The outlines do not fit the labels, for a reason this program does not know.",
        **common,
    )  # fmt: skip


def _ruled_out(found: Sequence[Finding], known: Sequence[Finding]) -> str:
    if known:
        return f"see {known[0].id}."
    names = [f.title for f in found if f.verdict == OK]
    more = f" and {len(names) - RULED_OUT} more" if len(names) > RULED_OUT else ""
    return f"none of the known causes explains it. Ruled out: {', '.join(names[:RULED_OUT])}{more}."
