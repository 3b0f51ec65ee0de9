"""Whether a loss is finite where HV begins, and least where HV is right."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from ...errors import UserError
from .loss_batch import LossBatch
from .loss_limits import LossLimits
from .loss_probes import (
    KS,
    TINY,
    axis_answers,
    curve,
    finite,
    gradient,
    lower_than_truth,
    norm,
    ratio,
    value,
    wrong_directions,
)
from .loss_reading import HvLoss, LossUnderTest
from .report import FAULT, NOT_TESTED, OK, WARN, Finding, Plot, Remedy

FINITE, MINIMUM, SCALE = "loss.finite", "loss.minimum", "loss.scale_of_prediction"
HALVES = {"float16": torch.float16, "bfloat16": torch.bfloat16}
NEARLY = (1e-3, 1e-4, 1e-5)
"""Lengths of HV, as shares of the truth, that are tried beside zero."""
INFINITE = "Not tested: the loss is not finite there (loss.finite)."


def finite_gradients(loss: LossUnderTest, batch: LossBatch, limits: LossLimits) -> Finding:
    """Judge value and gradient at zero and near it, in three precisions.

    Examples
    --------
    >>> from .loss_batch import synthetic_batch
    >>> from .loss_reading import read_loss
    >>> root = read_loss(lambda p, t, m: ((p**2).sum(1).sqrt() * m).sum() / m.sum())
    >>> finite_gradients(root, synthetic_batch(), LossLimits()).verdict
    'fault'
    """
    title = "Finite gradients"
    bad, notes, numbers = _broken(loss.hv, batch, limits)
    whole, slope = gradient(loss.hv, batch.hv, batch.target, batch.mask)
    numbers["loss of the batch"], numbers["norm of its gradient"] = whole, norm(slope)
    if not math.isfinite(whole) or (slope is not None and not math.isfinite(norm(slope))):
        bad.setdefault("float32", []).append("the batch itself")
    reached = norm(slope) > TINY and not bad.get("float32")
    said = f"Tried at HV = 0, tiny HV, the truth and the batch ({batch.source})"
    if "float32" in bad and set(bad["float32"]) - {"no nucleus", "the truth"}:
        return Finding(
            FINITE, FAULT, "The gradient is not finite",
            f"{said}: NaN or infinite in float32 at {', '.join(bad['float32'])}; it is to be a "
            "number everywhere.",
            value=float(sum(map(len, bad.values()))), threshold=1.0, unit="places",
            certainty=0.98, remedy=_under_root(), numbers=numbers,
        )  # fmt: skip
    if slope is None or not (reached or bad.get("float32")):
        return Finding(
            FINITE, FAULT, "No gradient reaches HV",
            f"The loss is {whole:.4g} and its gradient on the prediction is "
            f"{'missing' if slope is None else 'zero'}; nothing can be learned.",
            value=norm(slope), threshold=TINY, unit="norm", certainty=0.96,
            remedy=Remedy("Compute the loss with tensors of the graph: no .item(), .detach(), "
                          ".data or numpy on the way."),
            numbers=numbers,
        )  # fmt: skip
    if bad:
        where = "; ".join(f"{kind} at {', '.join(names)}" for kind, names in bad.items())
        half = [kind for kind in bad if kind != "float32"]
        return Finding(
            FINITE, WARN, f"Not finite {'in ' + half[0] if half else 'at special points'}",
            f"{said}: NaN or infinite in {where}. In float32 HV = 0 is fine, so this matters only "
            f"{'in training with half precision' if half else 'where that happens'}.",
            value=float(sum(map(len, bad.values()))), threshold=1.0, unit="places",
            certainty=0.45 if half else 0.3, remedy=_under_root(), numbers=numbers,
        )  # fmt: skip
    kinds = ", ".join(["float32", *(k for k in HALVES if k not in notes)])
    tail = f" Not tried: {'; '.join(f'{k} ({w})' for k, w in notes.items())}." if notes else ""
    at_zero = numbers["gradient at HV = 0, float32"]
    return Finding(
        FINITE, OK, title,
        f"{said} in {kinds}: finite everywhere; the gradient at HV = 0 has norm {at_zero:.3g}."
        f"{tail}",
        value=0.0, threshold=1.0, unit="places", numbers=numbers,
    )  # fmt: skip


def _broken(
    loss: HvLoss, batch: LossBatch, limits: LossLimits
) -> tuple[dict[str, list[str]], dict[str, str], dict[str, float]]:
    """Places where it is not finite, by precision; what could not be tried; gradient norms."""
    hv, t, m = _small(batch, limits)
    places = {"HV = 0": (0 * t, t, m)}
    places |= {f"HV = {k:g} x truth": (k * t, t, m) for k in NEARLY}
    places |= {"the prediction": (hv, t, m), "the truth": (t, t, m)}
    places["no nucleus"] = (0 * t, 0 * t, torch.zeros_like(m))
    bad: dict[str, list[str]] = {}
    notes: dict[str, str] = {}
    numbers: dict[str, float] = {}
    for kind, dtype in {"float32": torch.float32, **HALVES}.items():
        for name, (p, q, mask) in places.items():
            if kind != "float32" and name in ("no nucleus", "the truth"):
                continue
            try:
                value, slope = gradient(loss, p.to(dtype), q.to(dtype), mask)
            except (UserError, RuntimeError) as error:
                if kind == "float32":
                    raise
                notes[kind] = str(error).split("\n", maxsplit=1)[0][:80]
                break
            length = norm(slope)
            numbers[f"gradient at {name}, {kind}"] = length
            if not (math.isfinite(value) and math.isfinite(length)):
                bad.setdefault(kind, []).append(name)
    return bad, notes, numbers


def _small(batch: LossBatch, limits: LossLimits) -> tuple[Tensor, Tensor, Tensor]:
    """Cut the best covered small crop: sums over it are small in half precision."""
    edge = min(limits.small, *batch.mask.shape[1:])
    best = max(
        (
            (b, r, c)
            for b in range(len(batch.mask))
            for r in range(0, batch.mask.shape[1] - edge + 1, edge)
            for c in range(0, batch.mask.shape[2] - edge + 1, edge)
        ),
        key=lambda at: int(batch.mask[at[0], at[1] : at[1] + edge, at[2] : at[2] + edge].sum()),
    )
    b, r, c = best
    box = (slice(b, b + 1), ..., slice(r, r + edge), slice(c, c + edge))
    return batch.hv[box], batch.target[box], batch.mask[b : b + 1, r : r + edge, c : c + edge]


def _under_root() -> Remedy:
    return Remedy(
        "Put a small number under every root, sqrt(s + 1e-6), not beside it; clamp what you "
        "divide by, sum / mask.sum().clamp(min=1); in half precision compute the loss in float32."
    )


def minimum(loss: LossUnderTest, batch: LossBatch, limits: LossLimits) -> Finding:
    """Judge whether the truth is where the loss is least.

    Examples
    --------
    >>> from .loss_batch import synthetic_batch
    >>> from .loss_reading import read_loss
    >>> mixed = read_loss(lambda p, t, m: ((p.flip(1) - t) ** 2 * m[:, None]).mean())
    >>> minimum(mixed, synthetic_batch(), LossLimits()).title
    'The loss is least at the truth with its channels swapped'
    """
    title = "Truth is the minimum"
    above = lower_than_truth(loss.hv, batch, limits)
    known = wrong_directions(loss.hv, batch)
    if not finite(above) or not finite(known):
        return Finding(MINIMUM, NOT_TESTED, title, INFINITE)
    span = max(abs(v - known["truth"]) for v in known.values())
    at_truth = norm(gradient(loss.hv, batch.target, batch.target, batch.mask)[1])
    at_zero = norm(gradient(loss.hv, 0 * batch.target, batch.target, batch.mask)[1])
    slope = ratio(at_truth, max(at_zero, TINY)) if at_zero > TINY else 0.0
    numbers = {f"{n} above the truth": v for n, v in above.items()}
    numbers |= {"gradient at the truth": at_truth, "gradient at HV = 0": at_zero}
    lowest = min(above, key=lambda n: above[n])
    if span > TINY and above[lowest] < -limits.lower * span:
        return _not_least(above, lowest, span, numbers)
    unseen = _unseen(loss, batch, span, limits)
    if unseen:
        return _one_channel(unseen, numbers)
    wrong = _wrong_axis(loss, batch, limits)
    if wrong:
        return _axes(wrong, limits)
    return Finding(
        MINIMUM, OK, title,
        f"No step from the truth lowers the loss (the least of {len(above)} is "
        f"{above[lowest]:.3g} above it); the gradient there is {slope:.2g} of that at HV = 0.",
        value=above[lowest], threshold=0.0, unit="loss", numbers=numbers,
    )  # fmt: skip


def _not_least(
    above: Mapping[str, float], lowest: str, span: float, numbers: dict[str, float]
) -> Finding:
    by_step = "step" in lowest
    length_only = lowest in ("half of the truth", "twice the truth")
    said = "" if by_step else f" at {lowest}"
    return Finding(
        MINIMUM, FAULT,
        f"The loss is least{said}" if said else "The truth is not the minimum of the loss",
        f"The loss of {lowest} is {-above[lowest]:.4g} below that of the truth "
        f"({-above[lowest] / span:.0%} of the span of wrong answers); it should be above it.",
        value=above[lowest], threshold=0.0, unit="loss",
        certainty=0.85 if by_step or length_only else 0.96,
        remedy=Remedy("Check what is subtracted from what: channel order, sign, scale and "
                      "activation of prediction and truth must be the same in every term."),
        numbers=numbers,
    )  # fmt: skip


def _unseen(loss: LossUnderTest, batch: LossBatch, span: float, limits: LossLimits) -> str:
    """Return the channel that may be negated at hardly any cost, "" if there is none."""
    t, m = batch.target, batch.mask
    at_truth = value(loss.hv, t, t, m)
    costs = []
    for channel in range(2):
        other = t.clone()
        other[:, channel] *= -1
        costs.append(value(loss.hv, other, t, m) - at_truth)
    least, most = min(costs), max(costs)
    if span <= TINY or most <= TINY or least > limits.blind_fault * most:
        return ""
    return ("first", "second")[costs.index(least)]


def _one_channel(unseen: str, numbers: dict[str, float]) -> Finding:
    letter = "h, along x" if unseen == "first" else "v, along y"
    return Finding(
        MINIMUM, FAULT, f"The loss does not see the {unseen} channel of HV",
        f"The truth with its {unseen} channel ({letter}) negated costs hardly more than the truth "
        "itself: that channel is not learned.",
        value=0.0, threshold=0.0, unit="loss", certainty=0.95,
        remedy=Remedy("Compare both channels: HV is (batch, 2, H, W); look for an index [:, 0] or "
                      "[:, 1] that picks one of them."),
        numbers=numbers,
    )  # fmt: skip


def _wrong_axis(
    loss: LossUnderTest, batch: LossBatch, limits: LossLimits
) -> dict[str, tuple[float, float]]:
    """Terms that answer to changes of h along y and v along x rather than the other way round."""
    found = {}
    for name, f in loss.parts.items():
        answers = axis_answers(f, batch)
        if not finite(answers):
            continue
        h = ratio(answers["h along x"], answers["h along y"])
        v = ratio(answers["v along y"], answers["v along x"])
        if h < limits.axis and v < limits.axis:
            found[name] = (h, v)
    return found


def _axes(wrong: Mapping[str, tuple[float, float]], limits: LossLimits) -> Finding:
    name, (h, v) = next(iter(wrong.items()))
    return Finding(
        MINIMUM, FAULT, "The gradient term looks along the wrong axis",
        f"{name} answers to ripples of h along x {h:.2g} times as strongly as along y, and to "
        f"those of v along y {v:.2g} times as strongly as along x; both should be 1 or more. h "
        "jumps along x where two nuclei touch, and that is what it does not see.",
        value=max(h, v), threshold=limits.axis, unit="ratio", certainty=0.75,
        remedy=Remedy("Derive h (channel 0) along x = columns, and v (channel 1) along y = rows: "
                      "swap the two kernels, or the channels."),
        numbers={"h: along x over along y": h, "v: along y over along x": v},
    )  # fmt: skip


def scale_of_prediction(loss: LossUnderTest, batch: LossBatch, limits: LossLimits) -> Finding:
    """Judge at which multiple of the truth the loss is least."""
    title = "Prediction = k x truth"
    values = curve(loss.hv, batch)
    known = wrong_directions(loss.hv, batch)
    if not all(map(math.isfinite, values)):
        return Finding(SCALE, NOT_TESTED, title, INFINITE)
    best = min(zip(values, (abs(k - 1) for k in KS), KS, strict=True))[2]
    plot = Plot(
        "lines", "Loss of k times the truth", KS,
        tuple((n, curve(f, batch)) for n, f in {"total": loss.hv, **loss.terms}.items()),
        "k", "loss", 1.0, on_x=True,
    )  # fmt: skip
    at = dict(zip(KS, values, strict=True))
    numbers = {f"k = {k:g}": at[k] for k in (-1, 0, 0.5, 1, 1.5, 2)}
    said = f"k = 0: {at[0]:.4g}, 0.5: {at[0.5]:.4g}, 1: {at[1]:.4g}, 1.5: {at[1.5]:.4g}"
    spread = max(at[k] for k in KS if k > 0) - min(at[k] for k in KS if k > 0)
    other = max(abs(v - known["truth"]) for v in known.values())
    common = {"value": best, "threshold": 1.0, "unit": "k", "numbers": numbers, "plot": plot}
    if other <= TINY:
        words = "Not tested: the loss does not depend on the prediction."
        return Finding(SCALE, NOT_TESTED, title, words)
    if spread < limits.flat * other:
        return Finding(
            SCALE, WARN, "The loss does not see the length of HV",
            f"Loss of k times the truth: {said}; from k = 0.125 to 2 it hardly changes, so HV may "
            "become any length.",
            certainty=0.3, remedy=Remedy("Add a squared error of HV."), **common,  # type: ignore[arg-type]
        )  # fmt: skip
    if abs(best - 1) > limits.k_tolerance:
        # the least at 0 or below is a matter of directions, which loss.minimum names
        certainty = 0.93 if best > 0 else 0.6
        more = " or more" if best == KS[-1] else " or less" if best == KS[0] else ""
        return Finding(
            SCALE, FAULT, f"The loss is least at {best:g} times the truth{more}",
            f"Loss of k times the truth: {said}; it is least at k = {best:g}, and should be at 1.",
            certainty=certainty,
            remedy=Remedy("Bring prediction and truth to one scale before they are compared."),
            **common,  # type: ignore[arg-type]
        )  # fmt: skip
    return Finding(
        SCALE, OK, title, f"Loss of k times the truth: {said}; it is least at k = {best:g}.",
        **common,  # type: ignore[arg-type]
    )  # fmt: skip
