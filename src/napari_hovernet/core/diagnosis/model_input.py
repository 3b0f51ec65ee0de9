"""How images go into the network: channel order, range, and how usual they look."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..inference.images import UInt8
from ..types import Progress
from .bench import Bench, Variant
from .model_limits import MODEL_LIMITS, ModelLimits
from .model_whatifs import (
    TRUTH,
    Gain,
    Predict,
    WhatIfs,
    certainty_of,
    of_input,
    of_pixels,
    of_variant,
    places_of,
    said,
)
from .predicting import TOKENS
from .registry import Steps
from .report import FAULT, NOT_TESTED, OK, WARN, Finding, Place, Plot, Remedy

SWAPPED = "red and blue are swapped"
TIMES, BY = "values are multiplied by 255", "values are divided by 255"
TIMES_INSIDE = "what enters the network is multiplied by 255"
BY_INSIDE = "what enters the network is divided by 255"
BYTE = 255.0
TINY_RANGE = 4
"""Images whose largest value is not above this are 0..1 in whole numbers."""
LOW, HIGH = 1.0, 99.0
"""Percentiles that a stretch puts on black and white."""
PAPER = 95.0
"""Percentile of a channel that is the white of the slide."""
BLIND, BLIND_NETWORK = 0.95, 0.7
"""How certain it is that a function, or a network whose layers may be dead, gets no image."""
WHITE = 243.0
USUAL_MEAN, USUAL_STD = (189.0, 146.0, 183.0), (44.0, 52.0, 38.0)
"""Mean and standard deviation of red, green and blue in usual H&E images."""
LAYERS = ("image", "np", "hv_x")


def channel_order(
    gain: Gain, order: str, places: Sequence[Place] = (), limits: ModelLimits = MODEL_LIMITS
) -> Finding:
    """Judge whether the network gets red where it expects blue.

    Parameters
    ----------
    gain : Gain
        Of swapping red and blue.
    order : {"rgb", "bgr"}
        How images are read now.
    places : sequence of Place
    limits : ModelLimits
    """
    fault = gain.wins(limits.channel_gain, limits)
    other = "rgb" if order == "bgr" else "bgr"
    return Finding(
        "model.channel_order",
        FAULT if fault else OK,
        "Red and blue are swapped (BGR for RGB)" if fault else "Channel order of the input",
        f"The {said(gain, limits)}; in health it gets worse.",
        value=gain.mean,
        threshold=limits.channel_gain,
        unit="gain",
        certainty=certainty_of(gain, limits) if fault else 0.0,
        remedy=Remedy(
            "Give the network RGB: read images with red first (OpenCV reads BGR), or turn the "
            "channels round before the network.",
            "channel_order",
            other,
        )
        if fault
        else Remedy(""),
        numbers={"before": gain.before, "after": gain.after},
        layers=LAYERS,
        places=tuple(places) if fault else (),
        plot=per_image(gain, "Agreement gained by swapping red and blue") if fault else None,
    )


def input_range(
    outside: Sequence[Gain],
    inside: Sequence[Gain],
    factor_now: float,
    largest: float,
    places: Sequence[Place] = (),
    limits: ModelLimits = MODEL_LIMITS,
) -> Finding:
    """Judge whether the network gets values of another range than it expects.

    Parameters
    ----------
    outside : sequence of Gain
        Of multiplying and dividing image values by 255 (cut to bytes).
    inside : sequence of Gain
        The same with what enters the network; empty for a function.
    factor_now : float
        ``Setup.input_factor``.
    largest : float
        Largest value of the images.
    places : sequence of Place
    limits : ModelLimits
    """
    won = [g for g in (*outside, *inside) if g.wins(limits.range_gain, limits)]
    best = max(won, key=lambda g: g.mean, default=None)
    if best is None:
        return Finding(
            "model.input_range",
            OK,
            "Range of the input",
            f"Images reach {largest:.0f}; neither 255 times larger nor 255 times smaller values "
            "make maps better.",
            value=max((g.mean for g in (*outside, *inside)), default=0.0),
            threshold=limits.range_gain,
            unit="gain",
        )
    up = best.name in (TIMES, TIMES_INSIDE)
    alike = [g for g in won if g in outside and g.mean >= best.mean - limits.contradiction]
    remedy = _range_remedy(up, alike, largest, factor_now)
    images = bool(remedy.action)
    where = "The images have" if images else "The network itself makes"
    title = (
        f"{'Images are' if images else 'The network sees'} 0..1 where 0..255 is expected"
        if up
        else f"{'Images are' if images else 'The network sees'} 0..255 where 0..1 is expected"
    )
    return Finding(
        "model.input_range",
        FAULT,
        title,
        f"The {said(best, limits)}. {where} values of the wrong range (images reach "
        f"{largest:.0f}); in health both ways make maps useless.",
        value=best.mean,
        threshold=limits.range_gain,
        unit="gain",
        certainty=certainty_of(best, limits),
        remedy=remedy,
        numbers={"before": best.before, "after": best.after, "largest": largest},
        layers=LAYERS,
        places=tuple(places),
        plot=per_image(best, f"Agreement gained if {best.name}"),
    )


def _range_remedy(up: bool, alike: Sequence[Gain], largest: float, factor: float) -> Remedy:
    if up and (alike or largest <= TINY_RANGE):
        return Remedy(
            "Give images of 0..255: multiply by 255 before they become whole numbers.",
            "input_factor",
            factor * BYTE,
        )
    if not up and alike:
        return Remedy(
            "Divide images by 255 before this network, as in its training.",
            "input_factor",
            factor / BYTE,
        )
    if up:
        return Remedy("Divide by 255 once only: the network does it again inside.")
    return Remedy("Divide by 255 inside the network (or before it), as in its training.")


def normalisation(
    gains: Sequence[Gain], places: Sequence[Place] = (), limits: ModelLimits = MODEL_LIMITS
) -> Finding:
    """Judge whether brightness, contrast or stain of the images is foreign to the network.

    Parameters
    ----------
    gains : sequence of Gain
        Of simple ways of making images look usual.
    places : sequence of Place
    limits : ModelLimits
    """
    won = [g for g in gains if g.wins(limits.normalisation_gain, limits)]
    best = max(won or gains, key=lambda g: g.mean)
    strong = bool(won) and best.mean >= limits.strong_look
    verdict = FAULT if strong else WARN if won else OK
    judged = 0.9 if best.by == TRUTH else 0.8
    certainty = {FAULT: judged, WARN: 0.4, OK: 0.0}[verdict]
    return Finding(
        "model.normalisation",
        verdict,
        "Images look foreign to the network" if won else "Brightness, contrast and stain",
        f"The {said(best, limits)}"
        + ("; a network made for these images gains nothing." if won else ", no gain."),
        value=best.mean,
        threshold=limits.normalisation_gain,
        unit="gain",
        certainty=certainty,
        remedy=Remedy(
            f"Prepare the images as in the training: maps get better if {best.name}. Or "
            "fine-tune the network on images like these."
        )
        if won
        else Remedy(""),
        numbers={g.name: g.mean for g in gains},
        layers=LAYERS,
        places=tuple(places) if won else (),
        plot=per_image(best, f"Agreement gained if {best.name}") if won else None,
    )


def stretched(part: UInt8) -> UInt8:
    """Stretch brightness so that it fills black to white."""
    low, high = np.percentile(part, (LOW, HIGH))
    return _bytes((part.astype(np.float32) - low) * (BYTE / max(high - low, 1.0)))


def whitened(part: UInt8) -> UInt8:
    """Make the brightest of each channel the white of the slide."""
    paper = np.percentile(part, PAPER, axis=(0, 1))
    return _bytes(part.astype(np.float32) * (WHITE / np.maximum(paper, 1.0)))


def inverted(part: UInt8) -> UInt8:
    """Turn dark into bright."""
    return 255 - part


def usual(part: UInt8) -> UInt8:
    """Give every channel the mean and spread it usually has."""
    values = part.astype(np.float32)
    mean, std = values.mean(axis=(0, 1)), values.std(axis=(0, 1))
    return _bytes((values - mean) / np.maximum(std, 1.0) * USUAL_STD + USUAL_MEAN)


LOOKS = {
    "brightness is stretched": stretched,
    "the slide is made white": whitened,
    "dark and bright are exchanged": inverted,
    "colours are given their usual mean and spread": usual,
}
"""Simple ways of making an image look usual, by what they do."""


def _bytes(values: Any) -> UInt8:
    made: UInt8 = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return made


def per_image(gain: Gain, title: str) -> Plot:
    """Draw what each image gains."""
    return Plot(
        "bars",
        title,
        tuple(f"image {i}" for i in gain.parts),
        (("gain", gain.gains),),
        y_label="agreement (with it minus without)",
        line=0.0,
    )


def run_channel_order(bench: Bench) -> Steps:
    """Try the image with red and blue swapped."""
    whatifs = WhatIfs.of(bench)
    for step in whatifs.steps(SWAPPED, of_variant(Variant(bgr=True))):
        if isinstance(step, Gain):
            if not step.parts:
                yield untested("model.channel_order", "Channel order of the input", bench)
                return
            yield channel_order(step, bench.setup.channel_order, places_of(whatifs, step))
        else:
            yield step


def run_input_range(bench: Bench) -> Steps:
    """Try 255 times larger and smaller values, outside and inside the network."""
    whatifs = WhatIfs.of(bench)
    outside: list[Gain] = []
    inside: list[Gain] = []
    ways: list[tuple[str, Predict, list[Gain]]] = [
        (TIMES, of_variant(Variant(factor=BYTE)), outside),
        (BY, of_variant(Variant(factor=1 / BYTE)), outside),
    ]
    predictor = bench.case.predictor
    if predictor is not None and predictor.model is not None:
        ways += [(TIMES_INSIDE, of_input(BYTE), inside), (BY_INSIDE, of_input(1 / BYTE), inside)]
    for name, predict, into in ways:
        for step in whatifs.steps(name, predict):
            if isinstance(step, Gain):
                into.append(step)
            else:
                yield step
    if not outside[0].parts:
        yield untested("model.input_range", "Range of the input", bench)
        return
    best = max((*outside, *inside), key=lambda g: g.mean)
    if not any(g.wins(MODEL_LIMITS.range_gain, MODEL_LIMITS) for g in (*outside, *inside)):
        yield Progress(0, 1, "the image turned dark for bright")
        blind = sees_nothing(bench, whatifs.parts)
        if blind is not None:
            yield blind
            return
    images = [item.image for i in whatifs.parts if (item := bench.item(i)) is not None]
    largest = max((float(x.max()) for x in images if x is not None), default=0.0)
    places = places_of(whatifs, best)
    yield input_range(outside, inside, bench.setup.input_factor, largest, places)


def sees_nothing(
    bench: Bench, parts: Sequence[int], limits: ModelLimits = MODEL_LIMITS
) -> Finding | None:
    """Return a finding if maps stay the same whatever is in the image, else None."""
    largest = 0.0
    for index in parts[: limits.least_parts]:
        plain, other = bench.variant(index), bench.part_changed(index, inverted)
        if plain is None or other is None:
            return None
        moved = (np.abs(plain.np - other.np).mean(), np.abs(plain.hv - other.hv).mean())
        largest = max(largest, float(max(moved)))
        if largest > limits.same_maps:  # one part that matters is enough, and saves time
            return None
    if not parts:
        return None
    whole = bench.case.predictor is not None and bench.case.predictor.model is None
    return Finding(
        "model.input_range",
        FAULT,
        "The network sees nothing of the image",
        f"Maps of an image and of the same image with dark and bright exchanged differ by "
        f"{largest:.4f} on average; in health by 0.1 and more.",
        value=largest,
        threshold=limits.same_maps,
        unit="mean difference",
        certainty=BLIND if whole else BLIND_NETWORK,
        remedy=Remedy(
            "Look at what enters the network: values of 0..1 made whole numbers are all 0; a "
            "blank or constant array is given in place of the image; or the network is dead."
        ),
        layers=LAYERS,
    )


def run_normalisation(bench: Bench) -> Steps:
    """Try simple ways of making images look usual."""
    whatifs = WhatIfs.of(bench)
    gains: list[Gain] = []
    for name, change in LOOKS.items():
        for step in whatifs.steps(name, of_pixels(change)):
            if isinstance(step, Gain):
                gains.append(step)
            else:
                yield step
    if not gains[0].parts:
        yield untested("model.normalisation", "Brightness, contrast and stain", bench)
        return
    best = max(gains, key=lambda g: g.mean)
    yield normalisation(gains, places_of(whatifs, best))


def untested(finding_id: str, title: str, bench: Bench) -> Finding:
    """Say why no what-if could be tried."""
    predictor = bench.case.predictor
    if predictor is not None and predictor.reads == TOKENS:
        why = "the network reads tokens, not images"
    elif predictor is None:
        why = "the model could not be loaded"
    else:
        first = next(iter(bench.failures.values()), "no image could be predicted")
        why = f"no image could be predicted ({first})"
    return Finding(finding_id, NOT_TESTED, title, f"Not tested: {why}.")
