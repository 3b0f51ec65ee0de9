"""Is NP the nuclei's channel, is it a probability, and does the usual threshold fit."""

from __future__ import annotations

from typing import Any

import numpy as np

from .map_limits import LIMITS, MapLimits
from .map_np import (
    STEPS,
    NPReading,
    NPTally,
    best_threshold,
    parting,
    shape_vote,
    vote,
    votes,
    with_truth,
)
from .map_views import PROBABILITY
from .report import FAULT, OK, WARN, Finding, Place, Plot, Remedy

LOW, HIGH = 0.01, 0.99
"""Quantiles between which NP lies."""


def np_channel(found: NPTally, setup_channel: int = 1, limits: MapLimits = LIMITS) -> Finding:
    """Judge whether NP is the channel of nuclei."""
    told, words = votes(found, limits), _channel_words(found, limits)
    numbers = {
        "correlation with truth": found.truth,
        "correlation with darkness of image": found.image,
        "share of mask in small convex parts": found.shape,
        "share of rest in small convex parts": found.shape_other,
    }
    value = next((v for v in (found.truth, found.image) if not np.isnan(v)), float("nan"))
    common: dict[str, Any] = {
        "value": value, "threshold": limits.inverted, "numbers": numbers, "unit": "correlation",
        "layers": ("image", "truth", "np"),
    }  # fmt: skip
    if told >= 0:
        more = ""
        if vote(found.truth, limits) < 0:
            more = " The labels are the other way round: see the findings on data."
        return Finding("model.np_channel", OK, "NP channel", words + more, **common)
    dice = ""
    if not np.isnan(found.truth):
        dice = (
            f" Dice against the truth is {found.dice(limits.threshold):.2f} as it is and "
            f"{found.flipped().dice(limits.threshold):.2f} for 1 - NP."
        )
    backing = sum(
        (found.truth <= limits.inverted, found.image <= limits.inverted,
         shape_vote(found, limits) < 0)
    )  # fmt: skip
    return Finding(
        "model.np_channel",
        FAULT,
        "NP is the probability of background",
        words + dice + " Nuclei would be positive.",
        certainty=(0.75, 0.93, 0.97, 0.98)[backing if not np.isnan(value) else 0],
        remedy=Remedy(
            "Read the other NP channel: nucleus is channel 1 of the softmax.",
            "np_channel",
            0 if setup_channel else 1,
        ),
        places=_whole_images(found),
        **common,
    )


def _channel_words(found: NPTally, limits: MapLimits) -> str:
    said = []
    if not np.isnan(found.truth):
        said.append(f"{found.truth:.2f} with the truth")
    if not np.isnan(found.image):
        said.append(f"{found.image:.2f} with how dark the image is")
    shapes = (
        f"{found.shape:.0%} of the NP mask and {found.shape_other:.0%} of all else lie in small "
        "convex parts"
    )
    if not said:
        return f"{shapes[0].upper()}{shapes[1:]}; nuclei are such parts."
    return f"NP correlates {' and '.join(said)} (healthy: {limits.related:g} or more); {shapes}."


def np_activation(found: NPTally, reading: NPReading, *, asked: float | None = None,
                  activation: str = "softmax", limits: MapLimits = LIMITS) -> Finding:  # fmt: skip
    """Judge whether NP is a probability whose usual threshold fits.

    Parameters
    ----------
    found : NPTally
    reading : NPReading
    asked : float, optional
        The threshold that the setup asks for.
    activation : str
        What the setup says NP was made with.
    """
    odd = next((kind for kind in found.kinds if kind != PROBABILITY), PROBABILITY)
    if odd != PROBABILITY and not (odd == "logits" and activation == "logits"):
        return _not_probability(odd, found)
    used = found.flipped() if reading.inverted else found
    threshold = limits.threshold if asked is None else asked
    if with_truth(used, limits):
        return _threshold_by_truth(used, threshold, limits)
    return _threshold_by_range(used, threshold, limits)


def _not_probability(kind: str, found: NPTally) -> Finding:
    n = sum(k == kind for k in found.kinds)
    where = f"in {n} of {len(found.kinds)} images"
    title, told, remedy = {
        "logits": (
            "NP is not a probability but logits",
            f"NP leaves 0..1 {where}: these are logits, before softmax or sigmoid.",
            Remedy("Apply the softmax (channel 1) before NP is used.", "np_activation", "logits"),
        ),
        "bytes": (
            "NP goes from 0 to 255",
            f"NP goes beyond 1, up to 255, {where}; a threshold of 0.5 then takes every pixel "
            "that is not exactly 0.",
            Remedy("Divide NP by 255 before it is used."),
        ),
        "not finite": (
            "NP holds NaN or infinite values",
            f"NP is not finite {where}.",
            Remedy("Look at the network that made it: weights, input range, float16."),
        ),
    }[kind]
    return Finding(
        "model.np_activation", FAULT, title, told, value=n, threshold=1, unit="images",
        certainty=0.95, remedy=remedy, layers=("np",), places=_whole_images(found),
    )  # fmt: skip


def _threshold_by_truth(used: NPTally, threshold: float, limits: MapLimits) -> Finding:
    best = best_threshold(used)
    now, then = used.dice(threshold), used.dice(best)
    gain = then - now
    plot = Plot("lines", "Dice by threshold", STEPS, (("Dice", tuple(map(used.dice, STEPS))),),
                "NP threshold", "Dice", threshold, on_x=True)  # fmt: skip
    told = (
        f"Dice is {now:.3f} at {threshold:g} and {then:.3f} at the best threshold, {best:g}: "
        f"{gain:.3f} more, healthy is less than {limits.threshold_gain_warn:g}."
    )
    common: dict[str, Any] = {
        "value": gain, "threshold": limits.threshold_gain, "unit": "Dice", "plot": plot,
        "layers": ("np", "truth"), "numbers": {"best threshold": best, "Dice": now},
    }  # fmt: skip
    if gain < limits.threshold_gain_warn:
        return Finding("model.np_activation", OK, "NP as a probability", told, **common)
    fault = gain >= limits.threshold_gain
    return Finding(
        "model.np_activation",
        FAULT if fault else WARN,
        f"NP is no fair probability: the threshold that fits is {best:g}",
        told + " A sigmoid where a softmax belongs, or one on top of it, does this.",
        certainty=min(0.82 + 0.4 * (gain - limits.threshold_gain), 0.95) if fault else 0.3,
        remedy=Remedy(
            f"Check that NP is the softmax over both channels; until then set the NP threshold "
            f"to {best:g}.",
            "np_threshold",
            best,
        ),
        places=_whole_images(used),
        **common,
    )


def _threshold_by_range(used: NPTally, threshold: float, limits: MapLimits) -> Finding:
    low, high, share = used.quantile(LOW), used.quantile(HIGH), used.share(threshold)
    told = (
        f"NP goes from {low:.2f} to {high:.2f} (1 to 99 %; healthy: about 0 to 1), and "
        f"{share:.1%} of the pixels reach {threshold:g}."
    )
    between = parting(used, limits)
    extreme = not limits.blank < share < limits.full
    plausible = limits.blank < used.share(between) < limits.full if between else False
    proven = used.image >= limits.related or shape_vote(used, limits) > 0
    apart = share > 0.5 or high - low >= limits.narrow / 2  # an image without nuclei is neither
    if not (high - low < limits.narrow and extreme and plausible and (proven or apart)):
        return Finding(
            "model.np_activation", OK, "NP as a probability", told, value=high - low,
            threshold=limits.narrow, layers=("np",),
        )  # fmt: skip
    return Finding(
        "model.np_activation",
        FAULT,
        f"NP is squeezed into {low:.2f} to {high:.2f}",
        told + f" {between:.2f} parts it in two groups.",
        value=high - low,
        threshold=limits.narrow,
        certainty=0.88 if proven else 0.75,
        remedy=Remedy(
            "Check that NP is the softmax over both channels, and made but once; until then set "
            f"the NP threshold to {between:.2f}.",
            "np_threshold",
            round(between, 3),
        ),
        layers=("np",),
        places=_whole_images(used),
    )


def np_empty(found: NPTally, reading: NPReading, limits: MapLimits = LIMITS) -> Finding:
    """Judge whether nothing or everything was found."""
    used = found.flipped() if reading.inverted else found
    share = used.share(reading.threshold)
    truth = int(used.inside.sum()) / max(used.pixels, 1)
    known = truth > 0
    told = f"{share:.1%} of the pixels are nucleus (NP from {reading.threshold:.2f} on)"
    told += f", {truth:.1%} in truth." if known else "."
    least = limits.few_found * truth if known else limits.blank
    common: dict[str, Any] = {"value": share, "threshold": least, "unit": "share",
                              "layers": ("image", "np")}  # fmt: skip
    enough = used.pixels >= limits.few_pixels
    if share <= least and enough and (known or not found.labelled):
        title, sure = "NP finds hardly a nucleus", 0.7 if known else 0.4
        verdict = FAULT if known else WARN
    elif enough and share >= limits.full and truth < limits.full_truth:
        title, sure, verdict = "NP takes everything for nucleus", 0.7, FAULT
        common["threshold"] = limits.full
    else:
        return Finding("model.np_empty", OK, "NP finds nuclei", told, **common)
    return Finding(
        "model.np_empty",
        verdict,
        title,
        told,
        certainty=sure,
        remedy=Remedy(
            "Look at what goes into the network (range, channel order, size of nuclei) and "
            "whether its NP head was trained."
        ),
        places=_whole_images(found),
        **common,
    )


def _whole_images(found: NPTally) -> tuple[Place, ...]:
    return tuple(Place(i, name, (0, h, 0, w)) for i, name, h, w in found.examples)
