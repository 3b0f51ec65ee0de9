"""Checks of an augmentation: that image, labels, HV and types stay together; see draws.py."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..data.items import listed
from ..data.samples import TURNS
from ..types import Progress
from .augmentation_given import Matrix, name_of
from .bench import Bench
from .data import NOISE, scaled
from .draws import (
    APART,
    DEVIATES,
    EYE,
    FAINT,
    FOREIGN,
    HAZE,
    HIDDEN,
    LEAST_DRAWS,
    REST,
    SHARE,
    STRAY,
    SWAP,
    draws_of,
)
from .engine import Steps, check, fault, ok, skip, warn
from .report import Plot, Remedy

TWICE = 0.1
"""Share of ids on several nuclei from which a draw pasted some (cut in two by a warp: none)."""
LAYERS = ("image", "truth", "target_hv_x", "target_hv_y")
PLAIN = "What the network is shown in training is not what it is told to find."
LEARNED = ("model.np", "model.hv_*", "model.types", "model.score")
"""What comes of learning from it; files, layers and what goes in are causes of their own."""


@check("augmentation.labels", "Image, labels and types move together", needs=("augmentation",),
       explains=("augmentation.hv", *LEARNED))  # fmt: skip
def augmentation_labels(bench: Bench) -> Steps:
    """Judge whether labels and types go with their image, and ids stay."""
    yield Progress(0, 2, "Draws of the augmentation")
    looks = draws_of(bench)
    n = len(looks)
    lost = [x for x in looks if x.lost]
    mixed = [x for x in looks if x.foreign > FOREIGN]
    levels = np.array([x.level for x in looks if np.isfinite(x.level)])
    low = float(np.quantile(levels, REST)) if len(levels) else 1.0
    strays = float((levels < STRAY).mean()) if len(levels) else 0.0
    types = [x.types_wrong for x in looks if np.isfinite(x.types_wrong)]
    common = {"unit": "share", "layers": LAYERS, "plain": PLAIN, "numbers": {
        "agreement of image and labels": low, "ids lost": len(lost) / n, "ids mixed":
        len(mixed) / n}}  # fmt: skip
    if len(lost) > SHARE * n:
        yield fault(
            f"In {len(lost)} of {n} draws nuclei come back with hardly any ids ({lost[0].kind}).",
            title="The ids of nuclei are lost", certainty=0.95, value=len(lost) / n,
            threshold=SHARE, remedy=Remedy("Move the instance labels (int32), not a mask of them "
                                           "or 8 bits."), **common)  # fmt: skip
    elif len(mixed) > SHARE * n:
        worst = max(x.foreign for x in mixed)
        yield fault(
            f"In {len(mixed)} of {n} draws labels have ids that were never there, on up to "
            f"{worst:.1%} of nucleus pixels ({mixed[0].kind}).", title="Labels are interpolated",
            certainty=0.95, value=worst, threshold=FOREIGN, remedy=Remedy(
                "Move labels by the nearest pixel (INTER_NEAREST)."), **common)  # fmt: skip
    twice = [x.doubled for x in looks if x.doubled > TWICE]
    if len(twice) > 2 * SHARE * n:
        yield fault(
            f"In {len(twice)} of {n} draws up to {max(twice):.0%} of the ids stand on several "
            "nuclei.", title="One id stands on several nuclei", certainty=0.9,
            value=len(twice) / n, threshold=2 * SHARE, remedy=Remedy(
                "Give nuclei that are pasted (or mirrored in) ids of their own, and compute HV "
                "after that."), **common)  # fmt: skip
    if low < APART or strays > 2 * SHARE:
        yield fault(
            f"Image and labels of {REST:.0%} of {n} draws agree by {low:.2f} or less (1 = as they "
            f"went in; 0.94 to 1 where both are moved alike); {strays:.0%} do not agree at all.",
            title="Image and labels are moved differently", value=low, threshold=APART,
            certainty=scaled(min(low, 0.84 - strays), 0.6, 0.84, 0.95, 0.8), remedy=Remedy(
                "Draw each change of place once, and move image and labels by the very same "
                "(flip, turn, angle, zoom, crop window, elastic warp); HV from the moved labels."),
            **common)  # fmt: skip
    if types and np.mean(types) > SHARE:
        yield fault(f"{np.mean(types):.0%} of the nuclei come back with another type.",
                    title="Types are moved differently", value=float(np.mean(types)),
                    threshold=SHARE, certainty=0.93, remedy=Remedy(
                        "Move types as labels are moved (nearest pixel)."), **common)  # fmt: skip
    hidden = [x.hidden for x in looks if x.hidden > HIDDEN]
    if len(hidden) > 2 * SHARE * n:
        yield fault(
            f"In {len(hidden)} of {n} draws up to {max(hidden):.0%} of the label pixels lie where "
            "the image is flat.", title="Labels stay where the image was cut out", certainty=0.88,
            value=len(hidden) / n, threshold=2 * SHARE, remedy=Remedy(
                "Cut the same parts out of image and labels (mask both together), or none."),
            **common)  # fmt: skip
    elif (len(lost) + len(mixed) <= SHARE * n and low >= APART and strays <= 2 * SHARE
          and len(twice) <= 2 * SHARE * n):  # fmt: skip
        yield ok(f"In {n} draws image and labels agree by {low:.2f} (1 = as they went in), and ids "
                 "are those that went in.", value=low, threshold=APART)  # fmt: skip


MANY = 0.3
"""Share of draws that are full of noise, or blurred, from which it is a fault (ours: blur in one of
ten)."""


@check("augmentation.image", "Images after augmentation", needs=("augmentation",),
       explains=("augmentation.labels", *LEARNED))  # fmt: skip
def augmentation_image(bench: Bench) -> Steps:
    """Judge range and colours of the images that come back."""
    looks = draws_of(bench)
    n = len(looks)
    known = [x for x in looks if np.isfinite(x.image[2])]
    low, high = (float(np.median([x.image[k] for x in known] or [np.nan])) for k in (0, 1))
    said = f"{n} draws give values of {low:.3g} to {high:.3g} (medians)"
    kinds = (
        (n - len(known) + sum(x.image[2] < FAINT for x in known), 0.9, SHARE,
         "Images come back dark, blank or not finite", "of so many hardly anything can be seen",
         "Make the jitter of brightness weaker; multiply 0..1 by 255 only once."),
        (sum(x.noise > NOISE for x in looks), 0.9, MANY,
         "Images come back full of noise", f"in so many there are {NOISE:.0f} grey levels of noise "
         "and more (tissue: below 3)", "Make the noise weaker: less than 10 grey levels of 255."),
        (sum(x.haze < HAZE and x.noise < 1 for x in looks), 0.9, MANY, "Images come back blurred",
         f"in so many less than {HAZE:.0%} of the fine detail is left", "Make the blur weaker "
         "(sigma below 2 px): outlines are not to be seen any more."),
        (sum(x.faded for x in looks), 0.9, 0.15, "Nuclei lose their stain in augmentation",
         "in so many they are where their labels are, and hardly to be seen",
         "Make the jitter of stains weaker: keep 0.7 to 1.3 of the haematoxylin."),
        (sum(x.swapped for x in looks), 0.9, 0.15, "Colour channels are exchanged in augmentation",
         "so many fit the image that went in in another order of channels",
         "Keep one order of colour channels: do not shuffle them, and OpenCV reads BGR."),
        (sum(x.over for x in looks), 0.93, 0.15, "Grey levels jump: bytes run over",
         "in so many pixels lie 256 away from what one gain and offset explain (250 + 10 = 4)",
         "Compute in float32, and clip to 0..255 before turning back to uint8 (no overflow)."),
    )  # fmt: skip
    wrong = False
    for count, certainty, bound, title, words, text in kinds:
        if count > bound * n:
            wrong = True
            yield fault(f"{said}; {words}: {count}.", title=title, value=count / n, threshold=bound,
                        unit="share", certainty=certainty, remedy=Remedy(text), layers=("image",),
                        plain="The pictures used in training look unlike real ones.")  # fmt: skip
    if known and high <= 2 and not wrong:
        yield warn(f"{said}; networks here take 0..255.", title="Images come back in another range",
                   value=high, threshold=255.0, certainty=0.35, remedy=Remedy(
                       "Return uint8 of 0..255, or let the network divide no more."))  # fmt: skip
    elif not wrong:
        yield ok(f"{said}; colours change smoothly.", value=high, threshold=255.0)


# --- HV after augmentation ----------------------------------------------------------------

CAUSES: tuple[tuple[str, Callable[[Matrix], Any], str], ...] = (
    ("Augmentation flips HV by the rules of the other channel order",
     lambda t: SWAP @ t @ SWAP @ np.linalg.inv(t),
     "Bring stored HV into the order that the rules are written for: a left-right flip negates the "
     "channel along x."),
    ("HV is moved like an image, its vectors are not turned", np.linalg.inv,
     "Negate the channel along x in a left-right flip and that along y in an up-down flip, swap "
     "and negate channels in quarter turns, rotate vectors; or compute HV from the moved labels."),
    ("HV is turned the wrong way round", lambda t: np.linalg.inv(t) @ np.linalg.inv(t),
     "Turn vectors in the other sense: with y down, np.rot90 makes (x, y) into (y, -x)."),
    ("HV comes back negated", lambda t: -EYE,
     "Hand HV over in the sign that it is written for, or do not negate it."),
    ("HV comes back with its channels swapped", lambda t: SWAP,
     "Hand HV over in the order that it is written for ([H, V] or [V, H]); do not swap channels."),
    ("HV comes back swapped and negated", lambda t: -SWAP,
     "Hand HV over in the order and sign that it is written for."))  # fmt: skip
"""What is wrong; what it makes of HV by the turn of a draw; what to do."""


def _cause(pairs: Sequence[tuple[Matrix, Matrix]]) -> tuple[str, str]:
    """Find the mistake that explains the transforms of (turn, transform)."""
    flipped = any(np.linalg.det(t) < 0 for t, _ in pairs)
    # without flips the first two do the same; not turned is the plainer one
    for title, expected, text in CAUSES if flipped else (*CAUSES[1:], CAUSES[0]):
        away = [float(np.linalg.norm(m - expected(t), 2)) for t, m in pairs]
        if away and float(np.quantile(away, 0.85)) <= DEVIATES:
            return title, text
    return "", "Compute HV from the labels after the augmentation; then it cannot disagree."


@check("augmentation.hv", "HV turns with its nuclei", needs=("augmentation",),
       explains=("model.hv*", "model.score"))  # fmt: skip
def augmentation_hv(bench: Bench) -> Steps:
    """Judge whether HV that comes back is that of the nuclei, in every draw and on the mean."""
    yield Progress(1, 2, "HV after augmentation")
    looks = [x for x in draws_of(bench) if x.matrix is not None]
    each = [(name_of(x.move.turn) if x.move else "?", x.off) for x in looks]
    pairs = [(x.move.pure if x.move else EYE, x.matrix) for x in looks if x.matrix is not None]
    if len(pairs) < LEAST_DRAWS // 2:
        return skip("labels that come back do not lie on their image, or hold too few whole nuclei")
    n, wrong = len(pairs), [name for name, off in each if off > DEVIATES]
    counts, bad = Counter(name for name, _ in each), Counter(wrong)
    right = {name: 1 - bad[name] / k for name, k in counts.items()}
    mean = _mean([name for name, _ in each], [m for _, m in pairs])
    angles = np.arange(72) * np.pi / 36
    length = float(np.hypot(*(mean @ np.stack((np.cos(angles), np.sin(angles))))).mean())
    plot = Plot("bars", "HV right, by turn", tuple(right), (("right", tuple(right.values())),),
                y_label="share", line=1.0)  # fmt: skip
    order = bench.setup.target_order
    said = (f"HV handed over as [{', '.join(order.upper())}] comes back right in {n - len(wrong)} "
            f"of {n} draws; on the mean {length:.2f} of its length is left")  # fmt: skip
    common = {"value": 1 - len(wrong) / n, "threshold": 1 - SHARE, "unit": "share", "plot": plot,
              "layers": LAYERS, "plain": "The network is taught directions that cancel each other.",
              "numbers": {"length of the mean transform": length}}  # fmt: skip
    if len(wrong) > SHARE * n:
        title, text = _cause(pairs)
        factor = float(np.trace(np.mean([m for _, m in pairs], 0))) / 2
        straight = all(np.linalg.norm(m - factor * EYE, 2) < DEVIATES * abs(factor)
                       for _, m in pairs)  # fmt: skip
        if sum(x.still for x in looks) > len(wrong) / 2:
            title, text = "HV stays where it is while image and labels move", (
                "Move HV together with labels, turn its vectors, or compute it anew.")  # fmt: skip
        elif not title and straight and factor > 0:
            title, text = f"HV comes back {factor:.3g} times as long", (
                "Keep the values of HV: no scaling to bytes, no normalisation.")  # fmt: skip
        settable = title == CAUSES[0][0] and "targets" not in bench.case.has
        other = {"hv": "vh", "vh": "hv"}[order]
        yield fault(
            f"{said}; wrong are {', '.join(sorted(bad))}.",
            certainty=scaled(len(wrong) / n, SHARE, 0.5, 0.9, 0.97), remedy=Remedy(
                text, *(("target_order", other) if settable else ())),
            title=title or f"HV comes back wrong in {listed(sorted(bad))}", **common)  # fmt: skip
    else:
        yield ok(f"{said}.", **common)


def _mean(names: Sequence[str], matrices: Sequence[Matrix]) -> Matrix:
    """Mean transform: over the eight turns alike where all of them came, else over the draws."""
    by = {name: [m for n, m in zip(names, matrices, strict=True) if n == name] for name in names}
    rows = [np.mean(ms, 0) for ms in by.values()] if len(by) == len(TURNS) else matrices
    mean: Matrix = np.mean(rows, 0)
    return mean
