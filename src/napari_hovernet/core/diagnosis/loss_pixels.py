"""Which pixels count in a loss, and by what it is divided; whether it sees directions."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import torch

from .loss_batch import LossBatch
from .loss_limits import LossLimits
from .loss_probes import (
    TINY,
    finite,
    lower_than_truth,
    near_and_far,
    noise,
    ratio,
    scalings,
    value,
    wider,
    wrong_directions,
)
from .loss_reading import HvLoss, LossUnderTest
from .report import FAULT, NOT_TESTED, OK, WARN, Finding, Plot, Remedy

MASK, DENOMINATOR, TYPES = "loss.mask", "loss.denominator", "loss.types_background"
DIRECTION = "loss.direction"
INFINITE = "Not tested: the loss is not finite there (loss.finite)."
NEGATED, TURNED = 4.0, 2.0
"""What a squared error makes of the negated and the turned truth, over that of HV = 0."""
SPREAD = 0.3
"""Of the changes by which it is tried which pixels count."""
LEAST_FAR = 0.02
"""Share of the batch that must be far from nuclei to try the background."""
CHANGES = ("change in nuclei", "change in the background", "as it is")
Verdict = tuple[str, float, str, str, Remedy]


def mask_use(loss: LossUnderTest, batch: LossBatch, limits: LossLimits) -> Finding:
    """Judge which pixels count: nuclei must, background need not, and should not dilute.

    Examples
    --------
    >>> from .loss_batch import synthetic_batch
    >>> from .loss_reading import read_loss
    >>> mean = read_loss(lambda p, t, m: ((p - t) ** 2 * m[:, None]).mean())
    >>> finding = mask_use(mean, synthetic_batch(), LossLimits())
    >>> finding.verdict, round(finding.numbers["factor in twice the background"], 2)
    ('fault', 0.5)
    """
    title = "Mask"
    numbers = _effects(loss.hv, batch, limits)
    if not finite({k: v for k, v in numbers.items() if k in CHANGES}):
        return Finding(MASK, NOT_TESTED, title, INFINITE)
    inside, outside = numbers["change in nuclei"], numbers["change in the background"]
    if max(abs(inside), abs(outside)) <= TINY:
        words = "Not tested: the loss does not answer to the prediction."
        return Finding(MASK, NOT_TESTED, title, words)
    factor = numbers["factor in twice the background"]
    before, after = numbers["prediction masked first"], numbers["as it is"]
    verdict, certainty, name, words, remedy = _judge_mask(numbers, batch, limits)
    same = f"with the prediction masked first it is {before:.5g}, as it is {after:.5g}"
    return Finding(
        MASK, verdict, name or title,
        f"Background beside the nuclei as large again makes the loss {factor:.3g} times as "
        f"large (1 = it does not count); {same}. {words}".strip(),
        value=factor, threshold=limits.diluted, unit="factor", certainty=certainty,
        remedy=remedy, numbers=numbers | {"coverage": batch.coverage},
    )  # fmt: skip


def _effects(loss: HvLoss, batch: LossBatch, limits: LossLimits) -> dict[str, float]:
    hv, t, m = batch.hv, batch.target, batch.mask
    near, far = near_and_far(m, limits.margin)
    clean = torch.where(near[:, None], hv, 0.0)
    base, least = value(loss, clean, t, m), value(loss, t, t, m)
    changes = {"nuclei": value(loss, t + noise(t, m, SPREAD), t, m) - least}
    enough = float(far.float().mean()) >= LEAST_FAR
    away = value(loss, t + noise(t, far, SPREAD), t, m) - least if enough else 0.0
    wide = value(loss, *wider(batch, clean)) - value(loss, *wider(batch, t))
    per_pixel = float(m.sum()) / max(float(far.sum()), 1.0)
    return {
        "change in nuclei": changes["nuclei"],
        "change in the background": away,
        "background over nuclei, per pixel": ratio(away, changes["nuclei"]) * per_pixel
        if changes["nuclei"] > TINY
        else (math.inf if abs(away) > TINY else 0.0),
        "factor in twice the background": ratio(wide, base - least),
        "prediction masked first": value(loss, hv * m[:, None], t * m[:, None], m),
        "as it is": value(loss, hv, t, m),
    }


def _judge_mask(numbers: Mapping[str, float], batch: LossBatch, limits: LossLimits) -> Verdict:
    inside, outside = (abs(numbers[f"change in {w}"]) for w in ("nuclei", "the background"))
    factor, each = (
        numbers["factor in twice the background"],
        numbers["background over nuclei, per pixel"],
    )
    if inside < limits.inside * outside:
        return (
            FAULT, 0.97, "The mask is the wrong way round",
            "Changes in the background change the loss, changes in nuclei do not.",
            Remedy("Multiply by the mask of nuclei, not by its opposite."),
        )  # fmt: skip
    if abs(each) > limits.outside:
        words = (
            f"A pixel of the background counts {each:.2g} times as much as one of a nucleus, so "
            "HV is drawn to 0 there, and the nuclei's share of the loss is the coverage "
            f"({batch.coverage:.3f} here)."
        )
        remedy = Remedy("Multiply the error by the mask of nuclei before it is summed.")
        return FAULT, 0.7, "Background counts in the HV loss", words, remedy
    if factor < limits.diluted:
        words = (
            f"The mean runs over all pixels: the loss is its own value times the coverage "
            f"({batch.coverage:.3f} here). That is no pull towards 0, but lambda_hv weighs as much "
            "less beside NP, and less where nuclei are few."
        )
        remedy = Remedy("Divide by the pixels of nuclei: sum / mask.sum().clamp(min=1).")
        return FAULT, 0.7, "The background dilutes the loss", words, remedy
    return OK, 0.0, "", "Background neither counts nor dilutes.", Remedy("")


def denominators(loss: LossUnderTest, batch: LossBatch, limits: LossLimits) -> Finding:
    """Judge whether the loss of the same pixels grows with the batch or the crop."""
    title = "Denominators"
    found = scalings(loss.hv, batch)
    if not finite(found):
        return Finding(DENOMINATOR, NOT_TESTED, title, INFINITE)
    worst = max(found.values(), key=lambda v: abs(math.log(max(v, TINY))))
    words = (
        f"The batch twice over makes the loss {found['batch']:.3g} times as large, crops twice as "
        f"wide {found['crop']:.3g} times; both should be 1."
    )
    wrong = not 1 / limits.scaling < worst < limits.scaling
    what = [n for n, v in found.items() if not 1 / limits.scaling < v < limits.scaling]
    return Finding(
        DENOMINATOR, FAULT if wrong else OK,
        f"The loss grows with the {' and the '.join(what)}" if wrong else title, words,
        value=worst, threshold=limits.scaling, unit="factor", certainty=0.82 if wrong else 0.0,
        remedy=Remedy("Divide by the number of nucleus pixels of the whole batch, "
                      "sum / mask.sum().clamp(min=1), so that weights and learning rate keep "
                      "their meaning.") if wrong else Remedy(""),
        numbers={f"factor, twice the {n}": v for n, v in found.items()},
    )  # fmt: skip


def types_background(loss: LossUnderTest, batch: LossBatch, limits: LossLimits) -> Finding:
    """Judge whether the types are learned over the background."""
    title = "Types on the background"
    if loss.full is None:
        return Finding(TYPES, NOT_TESTED, title, "Not tested: it is a loss of HV alone.")
    live = batch.nt_logits.clone().requires_grad_()
    total, _ = loss.full(replace(batch, nt_logits=live))
    slope = torch.autograd.grad(total, live, allow_unused=True)[0] if total.requires_grad else None
    each = torch.zeros(batch.mask.shape) if slope is None else slope.abs().sum(1)
    whole = float(each.sum())
    if whole <= TINY:
        return Finding(TYPES, OK, title, "Types take no part in this loss.", value=0.0)
    share = float(each[~batch.mask].sum()) / whole
    wrong = share > limits.background_types
    return Finding(
        TYPES, FAULT if wrong else OK,
        "The loss of the types runs over the background" if wrong else title,
        f"{share:.0%} of the gradient of the types lies outside of nuclei, which are "
        f"{batch.coverage:.0%} of the pixels ({batch.source}); it should be 0 %.",
        value=share, threshold=limits.background_types, unit="share",
        certainty=0.72 + 0.1 * share if wrong else 0.0,
        remedy=Remedy("Count the types in nuclei alone (nt_inside_only=True), else the plentiful "
                      "background drowns them.") if wrong else Remedy(""),
        numbers={"share of the background": share},
    )  # fmt: skip


def direction(loss: LossUnderTest, batch: LossBatch, limits: LossLimits) -> Finding:
    """Judge whether a wrong direction costs anything.

    Examples
    --------
    >>> from .loss_batch import synthetic_batch
    >>> from .loss_reading import read_loss
    >>> length = lambda x: (x.square().sum(1) + 1e-6).sqrt()
    >>> only = read_loss(lambda p, t, m: ((length(p) - length(t)) ** 2 * m).sum() / m.sum())
    >>> direction(only, synthetic_batch(), LossLimits()).title
    'The HV loss is blind to directions'
    """
    title = "Directions"
    known = wrong_directions(loss.hv, batch)
    if not finite(known):
        return Finding(DIRECTION, NOT_TESTED, title, INFINITE)
    lower = min(lower_than_truth(loss.hv, batch, limits).values())
    if lower < -limits.lower * max(abs(v - known["truth"]) for v in known.values()):
        words = "Not tested: the truth is not the minimum of this loss (loss.minimum)."
        return Finding(DIRECTION, NOT_TESTED, title, words)
    seen, costs = _sight(known)
    numbers = {f"loss of the {n}": v for n, v in known.items()}
    numbers |= {f"{n}, over HV = 0": v for n, v in costs.items()}
    blind = []
    for name, f in loss.terms.items():
        term = _sight(wrong_directions(f, batch))[0]
        numbers[f"{name}: sees directions"] = term
        blind += [name] * (term < limits.blind_fault)
    if max(abs(v - known["truth"]) for v in known.values()) <= TINY:
        if abs(_effects(loss.hv, batch, limits)["change in the background"]) > TINY:
            words = "Not tested: nuclei do not count in this loss (loss.mask)."
            return Finding(DIRECTION, NOT_TESTED, title, words)
        return Finding(
            DIRECTION, FAULT, "The loss does not depend on HV",
            "The truth, its negative, HV = 0 and HV dealt out anew all cost the same: HV is not "
            "learned at all.",
            value=0.0, threshold=limits.blind_fault, unit="share", certainty=0.97,
            remedy=Remedy("Give HV a weight above 0 (lambda_hv)."), numbers=numbers,
        )  # fmt: skip
    words = (
        f"Above the truth, HV = 0 costs 1, the negated truth {costs['negated']:.3g}, the turned "
        f"{costs['turned']:.3g}, the shuffled {costs['shuffled']:.3g} (a squared error alone: "
        f"{NEGATED:g}, {TURNED:g}, about {TURNED:g}); that is {seen:.1%} of what it should be."
    )
    if blind and seen >= limits.blind_fault:
        words = f"{words} {', '.join(blind)} alone is blind: it buys length, not direction."
    verdict, certainty, name = OK, 0.0, title
    if seen < limits.blind_fault:
        verdict, certainty, name = FAULT, 0.97, "The HV loss is blind to directions"
    elif seen < limits.blind_warn:
        verdict, certainty, name = WARN, 0.45, "The HV loss hardly sees directions"
    return Finding(
        DIRECTION, verdict, name, words, value=seen, threshold=limits.blind_fault, unit="share",
        certainty=certainty,
        remedy=Remedy("Give the squared error of HV (hv_mse) its weight back; a magnitude term "
                      "sees lengths only.") if certainty else Remedy(""),
        numbers=numbers, plot=_plot(loss, batch),
    )  # fmt: skip


def _sight(known: Mapping[str, float]) -> tuple[float, dict[str, float]]:
    """Return what wrong directions cost, least over what a squared error makes of it."""
    least = known["truth"]
    cost = {n: v - least for n, v in known.items() if n != "truth"}
    unit = cost["zero"]
    if unit <= TINY * max(abs(least), 1.0):
        unit = max(*cost.values(), TINY)
    costs = {n: cost[n] / unit for n in ("negated", "turned", "shuffled")}
    return min(abs(costs["negated"]) / NEGATED, abs(costs["turned"]) / TURNED), costs


def _plot(loss: LossUnderTest, batch: LossBatch) -> Plot:
    names = ("truth", "zero", "negated", "turned", "shuffled")
    rows = {"total": loss.hv, **loss.terms}
    found = {n: wrong_directions(f, batch) for n, f in rows.items()}
    series = tuple((n, tuple(found[n][x] for x in names)) for n in rows)
    return Plot("bars", "Loss of HV that points elsewhere", names, series, y_label="loss")
