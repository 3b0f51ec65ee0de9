"""How long HV is: collapsed, no better than zero, saturated, of another scale, noisy."""

from __future__ import annotations

from typing import Any

import numpy as np

from .map_hv import HVTally
from .map_limits import LIMITS, MapLimits
from .map_reading import Told, elsewhere, told
from .report import FAULT, NOT_TESTED, OK, WARN, Finding, Remedy

LAYERS_LENGTH = ("magnitude", "hv_x", "hv_y", "instances")
INT8 = 127.0
NO_NUCLEI = "Not tested: there are too few nuclei in which to measure HV."


def _points(found: HVTally, limits: MapLimits) -> tuple[Told, bool]:
    """Return how HV is meant, and whether it has a direction at all."""
    who = told(found, limits)
    return who, bool(who.sources)


def hv_collapsed(found: HVTally, limits: MapLimits = LIMITS) -> Finding:
    """Judge whether HV has length inside nuclei."""
    name, title = "model.hv_collapsed", "Length of HV"
    if found.n < limits.few_length:
        return Finding(name, NOT_TESTED, title, NO_NUCLEI)
    length, (_, points) = found.length, _points(found, limits)
    told_length = (
        f"Mean length of HV inside nuclei is {length:.3g} (collapsed below {limits.collapsed:g}; "
        f"exact HV has {limits.usual_length:g})"
    )
    common: dict[str, Any] = {"value": length, "threshold": limits.collapsed, "unit": "length",
                              "layers": LAYERS_LENGTH}  # fmt: skip
    if length >= (limits.weak if points else limits.collapsed):
        return Finding(name, OK, title, told_length + ".", **common)
    if points:
        short = length < limits.collapsed
        return Finding(
            name, WARN, "HV is short but points right",
            f"{told_length}, and it points right. The length alone does not make a blob: a "
            "separation that looks at directions gives the same nuclei.",
            certainty=0.45 if short else 0.25, places=found.places, **common,
            remedy=Remedy("Multiply HV, or train on; look elsewhere for what merges nuclei.",
                          "hv_scale", float(f"{limits.usual_length / length:.3g}")),
        )  # fmt: skip
    nothing = length < limits.zero
    return Finding(
        name,
        FAULT,
        "HV is 0" if nothing else "HV has collapsed",
        f"{told_length}, and it points nowhere: the network gives "
        f"{'a map of zeros' if nothing else 'little more than zeros'}.",
        certainty=0.9 if nothing else 0.85,
        remedy=Remedy(
            "Look at what makes 0 the best answer: an augmentation whose turns of HV cancel, "
            "targets that are 0, or an HV head that was never trained."
        ),
        places=found.places,
        **common,
    )


def hv_zero(found: HVTally, limits: MapLimits = LIMITS) -> Finding:
    """Judge whether HV is nearer to the truth than a map of zeros."""
    name, title = "model.hv_zero", "HV beside a map of zeros"
    zero = sum(x.true_squares for x in found.lengths)
    if not zero or found.truth.parts < limits.min_parts:
        words = "Not tested: give true labels that lie on the maps, of some nuclei."
        return Finding(name, NOT_TESTED, title, words)
    who, points = _points(found, limits)
    products = sum((x.products for x in found.lengths), np.zeros((2, 2)))
    squares = sum(x.squares for x in found.lengths)
    mse, zero_mse = (squares - 2 * products[0, 0] - 2 * products[1, 1] + zero), zero
    ratio = float(mse / zero_mse)
    n = 2 * found.n
    words = (
        f"Mean squared error of HV inside nuclei is {mse / n:.3f}, that of a map of zeros "
        f"{zero_mse / n:.3f} (ratio {ratio:.2f})."
    )
    common: dict[str, Any] = {"value": ratio, "threshold": limits.no_better, "unit": "ratio",
                              "layers": LAYERS_LENGTH}  # fmt: skip
    if ratio < limits.no_better:
        return Finding(name, OK, title, words, **common)
    if points:
        words += f" HV has a direction ({who.reading.words}), so how it is read explains that."
        return Finding(name, OK, title, words, **common)
    return Finding(
        name, FAULT, "HV is no better than a map of zeros", words, certainty=0.6,
        remedy=Remedy("Look at targets and augmentation: HV has learned nothing of the truth."),
        places=found.places, **common,
    )  # fmt: skip


def hv_saturated(found: HVTally, limits: MapLimits = LIMITS) -> Finding:
    """Judge whether HV stands at the ends of tanh."""
    name, title = "model.hv_saturated", "HV at -1 and 1"
    if found.n < limits.few_length:
        return Finding(name, NOT_TESTED, title, NO_NUCLEI)
    share = sum(x.saturated for x in found.lengths) / found.n
    high = max(max(x.high, -x.low) for x in found.lengths)
    words = (
        f"At {share:.0%} of the nucleus pixels a channel of HV is at {limits.saturated_at:g} or "
        f"beyond (healthy: up to 2 to 5 %); the largest value is {high:.2f}."
    )
    common: dict[str, Any] = {"value": share, "threshold": limits.saturated, "unit": "share",
                              "layers": LAYERS_LENGTH}  # fmt: skip
    if share < limits.saturated_warn or high > limits.overshoot:
        return Finding(name, OK, title, words, **common)
    fault = share >= limits.saturated
    return Finding(
        name, FAULT if fault else WARN, "HV is saturated", words,
        certainty=0.9 if fault else 0.35, places=found.places, **common,
        remedy=Remedy("HV should run evenly from -1 to 1 across a nucleus: look for a tanh or "
                      "sign too much, a rate or weight that drove the HV head to its ends, or "
                      "a term of the loss that asks for length."),
    )  # fmt: skip


def hv_scale(found: HVTally, *, whole: bool = False, limits: MapLimits = LIMITS) -> Finding:
    """Judge whether HV is in -1..1, around 0.

    Parameters
    ----------
    found : HVTally
    whole : bool
        Whether HV was given as whole numbers.
    limits : MapLimits
    """
    name, title = "model.hv_scale", "Scale of HV"
    if found.n < limits.few_length:
        return Finding(name, NOT_TESTED, title, NO_NUCLEI)
    usual = found.true_length or limits.usual_length
    ratio = found.length / usual
    low, high = min(x.low for x in found.lengths), max(x.high for x in found.lengths)
    words = (
        f"HV goes from {low:.3g} to {high:.3g} inside nuclei (but for 1 % of the pixels), "
        f"{found.length:.3g} long on average; "
        f"exact HV there has {usual:.2f}."
    )
    common: dict[str, Any] = {
        "value": ratio, "threshold": limits.overshoot, "unit": "ratio", "layers": LAYERS_LENGTH,
        "numbers": {"lowest": low, "highest": high, "mean x": float(found.offset[0]),
                    "mean y": float(found.offset[1])},
    }  # fmt: skip
    if whole:
        return Finding(
            name, FAULT, "HV is stored as whole numbers",
            f"{words} It was read as 127ths.", certainty=0.85, **common,
            remedy=Remedy("Divide HV by 127 before it is used."),
        )  # fmt: skip
    uneven = _not_centred(found, limits)
    if uneven is not None:
        title, sure, remedy = uneven
        x, y = found.offset
        return Finding(
            name, FAULT, title,
            f"{words} Its mean is {x:.2f} along x and {y:.2f} along y; healthy is about 0.",
            certainty=sure, remedy=remedy, places=found.places, **common,
        )  # fmt: skip
    if limits.int8_low <= 1 / max(ratio, 1e-9) <= limits.int8_high and told(found, limits).sources:
        return Finding(
            name, FAULT, "HV was divided by 127 once too often", words, certainty=0.88,
            remedy=Remedy("Multiply HV by 127, or leave out the division.", "hv_scale", INT8),
            places=found.places, **common,
        )  # fmt: skip
    return _too_long(found, ratio, words, common, limits)


def _too_long(
    found: HVTally, ratio: float, words: str, common: dict[str, Any], limits: MapLimits
) -> Finding:
    name = "model.hv_scale"
    share = sum(x.saturated for x in found.lengths) / found.n
    ends = max(max(x.high, -x.low) for x in found.lengths) <= limits.overshoot_warn
    if ratio < limits.overshoot_warn or (ends and share >= limits.saturated_warn):
        return Finding(name, OK, "Scale of HV", words, **common)
    never = limits.int8_low <= ratio <= limits.int8_high
    fault = ratio >= limits.overshoot
    title = "HV was never divided by 127" if never else f"HV is {ratio:.3g} times too long"
    factor = 1 / INT8 if never else 1 / ratio
    return Finding(
        name,
        FAULT if fault else WARN,
        title,
        words,
        certainty=(0.95 if never else 0.85) if fault else 0.3,
        remedy=Remedy(f"Divide HV by {1 / factor:.3g}.", "hv_scale", float(f"{factor:.4g}")),
        places=found.places,
        **common,
    )


def _not_centred(found: HVTally, limits: MapLimits) -> tuple[str, float, Remedy] | None:
    """Return title, certainty and remedy if HV does not lie around 0."""
    if not found.off_centre(limits) or elsewhere(found, limits):
        return None
    _, points = _points(found, limits)
    if not found.one_sided(limits):
        return "HV is not centred on 0", 0.85 if points else 0.7, Remedy(
            "HV is 0 in the middle of a nucleus: look for an offset that was added, or a bias "
            "of the HV head that was never trained.")  # fmt: skip
    if points:
        return "HV is stored in 0..1", 0.94, Remedy(
            "Read it as 2 * HV - 1: HV is negative left of and above the centre.")  # fmt: skip
    return "HV is never negative: its sign is lost", 0.9, Remedy(
        "HV is negative left of and above the centre: look for an absolute value, a ReLU or a "
        "sigmoid on HV, or unsigned storage.")  # fmt: skip


def hv_noise(found: HVTally, limits: MapLimits = LIMITS) -> Finding:
    """Judge whether HV runs evenly from pixel to pixel."""
    name, title = "model.hv_noise", "Noise of HV"
    if found.n < limits.few_length or found.length < limits.zero:
        return Finding(name, NOT_TESTED, title, NO_NUCLEI)
    mean = sum(x.noise * x.n for x in found.lengths) / found.n
    value = mean / found.length
    words = (
        f"From pixel to pixel HV has noise of {value:.2f} of its mean length (healthy: up to 0.15)."
    )
    common: dict[str, Any] = {"value": value, "threshold": limits.noise, "unit": "share",
                              "layers": LAYERS_LENGTH}  # fmt: skip
    if value < limits.noise_warn:
        return Finding(name, OK, title, words, **common)
    fault = value >= limits.noise
    return Finding(
        name, FAULT if fault else WARN, "HV is noisy", words,
        certainty=0.72 if fault else 0.3, places=found.places, **common,
        remedy=Remedy("Smooth HV before it is differentiated (larger scales of the separation), "
                      "and look for dropout or batch statistics left in training mode."),
    )  # fmt: skip


def hv_outside(found: HVTally, limits: MapLimits = LIMITS) -> Finding:
    """Tell how long HV is outside nuclei; that is no fault, but a common misreading."""
    name, title = "model.hv_outside", "HV outside nuclei"
    if found.n < limits.few_length:
        return Finding(name, NOT_TESTED, title, NO_NUCLEI)
    return Finding(
        name,
        OK,
        title,
        f"Mean length is {found.outside:.2f} outside nuclei and {found.length:.2f} inside. The "
        "loss does not look outside, so that is free; a maximum over the whole image (0.88 to "
        "0.99 in every broken run) says nothing.",
        value=found.outside,
        unit="length",
        layers=LAYERS_LENGTH,
        numbers={"inside": found.length, "usual": limits.usual_length},
    )
