"""Checks of a loss: that its gradient reaches HV, that the truth is its minimum, what it weighs."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ...errors import UserError
from ..types import Progress
from .bench import Bench
from .data import scaled
from .engine import Claim, Steps, Verdict, check, fault, ok, skip, told, warn
from .loss_given import (
    ADDED,
    TINY,
    Batch,
    HvLoss,
    Loss,
    given,
    gradient,
    norm,
    rng,
    synthetic_batch,
    value,
    wrong_answers,
)
from .report import Plot, Remedy

# --- gradient -----------------------------------------------------------------------------

DEAD, ALIVE = 0.9, 0.1
"""Share of HV of one sign without gradient, and of the other sign, from which it was clamped."""
FOLLOWS = 0.5
"""Share of the fall of the loss towards the truth that its gradient must know of (1 in health)."""
ROOT = ("Put a small epsilon under every root, sqrt(s + 1e-6), not outside of it; clamp what you "
        "divide by, sum / mask.sum().clamp(min=1).")  # fmt: skip


@check("loss.gradient", "The gradient reaches HV, and is finite", needs=("loss",),
       explains=("loss.minimum", "model.weights", "model.np", "model.hv_*",
                 "model.score"))  # fmt: skip
def loss_gradient(bench: Bench) -> Steps:
    """Judge value and gradient at zero and near it, without nuclei, in three precisions."""
    yield Progress(0, 1, "Gradients of the loss")
    loss, b = given(bench)
    bad, notes = _not_finite(loss.hv, b)
    whole, slope = gradient(loss.hv, b.hv, b.target, b.mask)
    size, costs, full = norm(slope), wrong_answers(loss.hv, b), bad.pop("float32", [])
    said = f"Tried at HV = 0, tiny HV, the truth and the batch ({b.source})"
    endless = not math.isfinite(whole + size) or set(full) - {NONE, "the truth"}
    if not endless and size <= TINY and max(
        abs(v - costs["truth"]) for v in costs.values()) <= TINY:  # fmt: skip
        return skip("the loss does not depend on HV (see its minimum)")
    falls, true = _turning(loss.hv, b)
    learned = true > DIM * (max(costs.values()) - min(costs.values()))
    sign, (half, places) = _dead(slope, b), next(iter(bad.items()), ("", []))
    near, far = (_counted(loss.hv, b, by)[0] for by in (0.03, 0.3))
    claims: list[Claim] = [
        (endless, 0.98, "The gradient is not finite", f"{said}: NaN or infinite in float32 at "
         f"{', '.join(full or ['the batch'])}.", size, TINY, ROOT),
        (size <= TINY, 0.97, "No gradient reaches HV", f"The loss is {whole:.4g} and changes with "
         f"the prediction, but its gradient is {'missing' if slope is None else 'zero'}: nothing "
         "can be learned.", size, TINY, "Keep tensors in the graph: no .detach(), .item(), .data, "
         "no_grad or numpy between prediction and loss."),
        (NONE in full, 0.9, "The loss is NaN in a batch without nuclei", f"{said}: finite, but "
         "without any nucleus the loss is NaN or infinite (0 / 0).", size, TINY, "Clamp what you "
         "divide by: sum / mask.sum().clamp(min=1), so that crops without nuclei give 0."),
        (learned and falls < FOLLOWS * true, 0.93, "The gradient is not that of the loss",
         f"Turned towards the truth the loss falls by {true:.3g} per step, its gradient says "
         f"{falls:.3g}.", falls / (true or math.nan), FOLLOWS, "Keep the prediction in the graph "
         "in every term: no .detach(), .data or no_grad around it; without them HV learns no "
         "direction.", {"unit": "share"}),
        (near >= COUNTS > far, 0.93, "Large errors get no gradient", f"{near:.0%} of the nucleus "
         f"pixels have a gradient where HV is off by 0.03, {far:.0%} where it is off by 0.3.", far,
         COUNTS, "Do not clamp or clip the error: what is far from the truth must be drawn to it "
         "(use a smooth L1 loss if outliers are feared).", {"unit": "share"}),
        (sign, 0.93, "Part of HV gets no gradient", f"Where {sign}, the gradient is exactly zero; "
         "elsewhere it is not: HV was clamped.", size, TINY, "Do not clamp, clip or relu HV: it is "
         "negative in half of every nucleus (-1..1)."),
        (half, 0.45, f"Not finite in half precision ({half})", f"{said}: NaN or infinite in {half} "
         f"at {', '.join(places)}; float32 is fine.", size, TINY,
         f"{ROOT} Compute the loss in float32."),
    ]  # fmt: skip
    found = list(told(claims, first=True, unit="norm"))
    tail = f" Not tried: {'; '.join(notes)}." if notes else ""
    yield from found or [ok(f"{said}: finite everywhere.{tail}", value=size, threshold=TINY,
                            unit="norm")]  # fmt: skip


def _turning(loss: HvLoss, b: Batch) -> tuple[float, float]:
    """Fall of the loss on a small turn towards the truth: by its gradient, and by its values."""
    x, y = b.target.unbind(1)
    made = torch.stack([x - y, x + y], 1) / math.sqrt(2)  # turned by 45 degrees
    way, step = b.target - made, 0.01
    slope = gradient(loss, made, b.target, b.mask)[1]
    ends = [value(loss, made + k * step * way, b.target, b.mask) for k in (-1, 1)]
    falls = 0.0 if slope is None else -float((slope.double() * way).sum())
    return falls, (ends[0] - ends[1]) / (2 * step)


NONE = "no nucleus"


def _not_finite(loss: HvLoss, b: Batch) -> tuple[dict[str, list[str]], list[str]]:
    """Places where loss or gradient is not finite, by precision; what could not be tried."""
    edge = min(32, b.mask.shape[-1])  # Sums over more overflow in half precision by themselves
    box = (slice(0, 1), ..., slice(0, edge), slice(0, edge))
    hv, t, m = b.hv[box], b.target[box], b.mask[box]
    places = {"HV = 0": (0 * t, t, m), "HV = 0.0001 x truth": (1e-4 * t, t, m),
              "the prediction": (hv, t, m), "the truth": (t, t, m),
              NONE: (0 * t + 0.1, 0 * t, torch.zeros_like(m))}  # fmt: skip
    bad: dict[str, list[str]] = {}
    notes = []
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        kind = str(dtype).removeprefix("torch.")
        for name, (p, q, mask) in places.items():
            if kind != "float32" and name in (NONE, "the truth"):
                continue
            try:
                made, slope = gradient(loss, p.to(dtype), q.to(dtype), mask)
            except (UserError, RuntimeError) as error:
                if kind == "float32":
                    raise
                notes.append(f"{kind} ({str(error).splitlines()[0][:60]})")
                break
            if not math.isfinite(made + norm(slope)):
                bad.setdefault(kind, []).append(name)
    return bad, notes


def _dead(slope: Tensor | None, b: Batch) -> str:
    """Say of which sign HV gets no gradient, "" if of none."""
    if slope is None:
        return ""
    inside = b.mask[:, None].expand_as(b.hv)
    still = slope.abs() <= TINY
    shares: dict[str, tuple[Any, Any]] = {}
    for name, x in (("the prediction is", b.hv), ("the truth is", b.target)):
        low, high = (still[inside & side].float().mean() for side in (x < -0.05, x > 0.05))
        shares |= {f"{name} negative": (low, high), f"{name} positive": (high, low)}
    return next((n for n, (dead, rest) in shares.items() if dead >= DEAD and rest <= ALIVE), "")


# --- minimum ------------------------------------------------------------------------------

LOWER = 0.01
"""By how much of the span of wrong answers the loss may fall below that of the truth: rounding."""
BLIND, DIM = 0.012, 0.025
"""What a wrong direction costs, as a share of what a squared error makes of it, below which the
loss is blind (and hardly sees it): that of the story had 0.06 with its weights of length."""
KS = tuple(round(-1 + 0.125 * k, 3) for k in range(25))
"""Multiples of the truth that are tried."""
OFF = 0.15
"""How far from 1 the best multiple may be."""
LEVEL = 0.02
"""Range of the loss of multiples of the truth, over that of wrong directions, below which it does
not see the length."""
AXIS = 0.6
"""Answer of a term to changes along the right axis over that along the wrong one."""


@check("loss.minimum", "The loss is least where HV is right", needs=("loss",),
       explains=("model.hv*",))  # fmt: skip
def loss_minimum(bench: Bench) -> Steps:
    """Judge whether the truth is the minimum, in direction, in length, in both channels."""
    yield Progress(0, 2, "Loss of wrong answers")
    loss, b = given(bench)
    known = wrong_answers(loss.hv, b)
    curve = [value(loss.hv, k * b.target, b.target, b.mask) for k in KS]
    if not all(map(math.isfinite, [*known.values(), *curve])):
        return skip("the loss is not finite there (see its gradient)")
    base = known.pop("truth")
    cost = {name: v - base for name, v in known.items()}
    numbers = {f"{name}, above the truth": v for name, v in cost.items()}
    plot = Plot("lines", "Loss of k times the truth", KS, ((loss.name, tuple(curve)), *(
        (n, tuple(value(f, k * b.target, b.target, b.mask) for k in KS))
        for n, f in loss.terms.items())), "k", "loss", 1.0, on_x=True)  # fmt: skip
    common = {"numbers": numbers, "plot": plot}
    yield Progress(1, 2, "Steps from the truth")
    found = list(_minimum_faults(loss, b, cost, curve, common))
    yield from found or [ok(
        f"Every other answer costs more than the truth ({min(cost, key=lambda n: cost[n])} least, "
        f"by {min(cost.values()):.3g}).", value=min(cost.values()), threshold=0.0, unit="loss",
        **common)]  # fmt: skip


def _minimum_faults(
    loss: Loss, b: Batch, cost: dict[str, float], curve: list[float], common: dict[str, Any]
) -> Iterator[Verdict]:
    offset = cost.pop(ADDED)  # where background counts it is large, whatever else
    span = max(map(abs, cost.values()))
    if span <= TINY:
        inside, outside = (share > TINY for share in _counted(loss.hv, b))
        yield skip("nuclei do not count in this loss (see its weights)") if outside > inside else (
            fault("The truth, its negative, HV = 0 and HV dealt out anew all cost the same.",
                  value=0.0, threshold=BLIND, title="The loss does not depend on HV",
                  certainty=0.97, remedy=Remedy(
                      "Give HV a weight above 0 (lambda_hv), and compare every pixel before it is "
                      "averaged (square first, mean after)."), **common))  # fmt: skip
        return
    found = list(told(_wrong_minima(cost, offset, span), first=True, **common))
    yield from found or _lengths(loss, b, curve, span, common)


def _wrong_minima(cost: dict[str, float], offset: float, span: float) -> list[Claim]:
    """List answers that should cost more: where it is least, and what it does not see."""
    lowest, none, half = min(cost, key=lambda n: cost[n]), cost["HV = 0"], cost["half of the truth"]
    length = lowest in ("half of the truth", "twice the truth")
    unit = span if none <= LOWER * span else max(none, TINY * 10)
    seen = min(cost["the negated truth"] / 4, cost["the truth turned by 90 degrees"] / 2,
               cost["the truth dealt out anew"] / 2) / unit  # fmt: skip
    blind = seen < BLIND
    each = {n: c for n, c in cost.items() if "channel (" in n}
    least = min(each, key=lambda n: each[n])
    return [
        (cost[lowest] < -LOWER * span, 0.9 if length else 0.96, f"The loss is least at {lowest}",
         f"The loss of {lowest} is {-cost[lowest]:.4g} below that of the truth "
         f"({-cost[lowest] / span:.0%} of the span of wrong answers).", cost[lowest], 0.0,
         "Leave out what draws HV towards 0 (a penalty of its length, a mask that the prediction "
         "can empty), and look whether the truth came as whole numbers, or as 0."
         if lowest == "HV = 0" else "Check what is subtracted from what: order of channels (swap), "
         "sign (minus), scale and activation of prediction and truth must be the same in every "
         "term."),
        (none <= LOWER * span and half > 2 * LOWER * span, 0.93,  # else it sees directions alone
         "The loss is least where HV is 0, too", f"Of the span of wrong answers HV = 0 costs "
         f"{none / span:.1%} more than the truth, half of the truth {half / span:.0%}.", 0.0, LOWER,
         "Take the mask from the labels alone, and divide by its pixels: one made from the "
         "prediction is empty where that is 0."),
        (seen < DIM, 0.97 if blind else 0.45, "The HV loss is blind to directions" if blind else
         "The HV loss hardly sees directions", f"HV that points elsewhere costs {seen:.1%} of what "
         "a squared error would make of it.", seen, BLIND, "Give the squared error of both "
         "components (hv_mse) its weight, pixel by pixel before any mean; lengths alone buy no "
         "direction.", {"unit": "share"}),
        (cost["the truth with noise"] < BLIND * unit, 0.95, "Errors of pixels cancel out",
         "Noise around the truth costs next to nothing, wrong means do.", 0.0, BLIND, "Square the "
         "error of each pixel first, then take the mean over nuclei (order of mean and square)."),
        (offset < BLIND * unit, 0.95, "The loss does not see an offset of HV",
         f"{ADDED.capitalize()} costs hardly more than the truth.", 0.0, BLIND, "Slopes alone "
         "leave a constant open: add the squared error of both components (hv_mse)."),
        (each[least] < BLIND * max(each.values()), 0.95, "The loss does not see one channel of HV",
         f"{least[0].upper()}{least[1:]} costs hardly more than the truth.", 0.0, BLIND, "Compare "
         "both channels: HV is (batch, 2, H, W); look for an index [:, 0] or [:, 1] that picks "
         "one."),
    ]  # fmt: skip


def _lengths(
    loss: Loss, b: Batch, curve: list[float], span: float, common: dict[str, Any]
) -> Iterator[Verdict]:
    """Say whether the loss wants another length, or its gradient looks along the wrong axis."""
    best = min(zip(curve, (abs(k - 1) for k in KS), KS, strict=True))[2]
    ahead = [v for k, v in zip(KS, curve, strict=True) if k > 0]
    if max(ahead) - min(ahead) < LEVEL * span:
        yield warn("From k = 0.125 to 2 the loss of k times the truth hardly changes: HV may get "
                   "any length.", title="The loss does not see the length of HV", certainty=0.6,
                   value=best, threshold=1.0, unit="k", remedy=Remedy(
                       "Add a squared error of HV (hv_mse), which sees length and direction."),
                   **common)  # fmt: skip
    elif abs(best - 1) > OFF:
        yield from told([(
            True, 0.93 if best > 0 else 0.8, f"The loss is least at {best:g} times the truth",
            f"Of k times the truth the loss is least at k = {best:g}; it should be at 1.", best,
            1.0, "Bring length and scale of prediction and truth together before they are "
            "compared.")], unit="k", **common)  # fmt: skip
    for name, f in (loss.terms or {loss.name: loss.hv}).items():
        h, v = _axes(f, b)
        yield from told([(
            max(h, v) < AXIS, 0.75, "The gradient term looks along the wrong axis",
            f"{name} answers to changes of h along x {h:.2g} times as strongly as along y, to "
            f"those of v along y {v:.2g} times as strongly as along x (1 or more in health).",
            max(h, v), AXIS, "Derive h (channel 0) along x = columns and v (channel 1) along y = "
            "rows: swap the two kernels, or the channels.")], unit="ratio", **common)  # fmt: skip


def _axes(loss: HvLoss, b: Batch) -> tuple[float, float]:
    """Answer to ripples along the right axis over those along the wrong one, for h and v."""
    t, m = b.target, b.mask
    wave = 0.2 * torch.cos(2 * math.pi * torch.arange(t.shape[-1]) / 8)
    base, out = value(loss, t, t, m), []
    for channel in range(2):
        made = []
        for ripple in (wave[None], wave[: t.shape[-2], None]):
            hv = t.clone()
            hv[:, channel] += ripple * m
            made.append(value(loss, hv, t, m) - base)
        right, wrong = made if channel == 0 else made[::-1]
        out.append(right / wrong if abs(wrong) > TINY else math.inf)
    return out[0], out[1]


# --- weights ------------------------------------------------------------------------------

COUNTS = 0.6
"""Share of nucleus pixels that must count (all in health)."""
OUTSIDE = 0.05
"""Share of pixels far from nuclei that may."""
DILUTED = 0.75
"""Factor of the loss beside as much empty background, below which it is diluted (0.5: a mean over
all pixels)."""
GROWS = 1.4
"""Factor of the loss of twice as much, above which it is a sum."""
NP_SHARE = (0.02, 0.07)
"""Share of NP in NP and HV below which it is drowned: surely, and maybe (the weights that drowned
NP in the story: 0.065). The same of gradients at the outputs, where terms are not told:"""
NP_SLOPE = (0.0012, 0.0022)
TERM = 0.99
"""Share of one term of HV from which it drowns the others."""
TYPED = 0.05
"""Share of the gradient of types that may lie on the background."""


@check("loss.weights", "What counts in the loss, and how much", needs=("loss",),
       explains=("model.types", "model.score"))  # fmt: skip
def loss_weights(bench: Bench) -> Steps:
    """Judge which pixels count, by what it is divided, and the shares of the terms."""
    yield Progress(0, 2, "Pixels that count in the loss")
    loss, b = given(bench)
    found = list(told(_pixel_claims(loss.hv, b), first=True, unit="share"))
    yield Progress(1, 2, "Shares of the terms")
    if loss.full is not None:
        found += told(chain(_np_claims(loss, b), _share_claims(loss, b)), first=True, unit="share")
        found += told(_type_claims(loss, b), unit="share")
    yield from found or [ok(f"Nuclei count, background does not, and no term drowns another "
                            f"({b.source}).")]  # fmt: skip


def _counted(loss: HvLoss, b: Batch, by: float = 0.3) -> tuple[float, float]:
    """Share of nucleus pixels, and of those far from nuclei, with a gradient if HV is off."""
    moved = b.target + by * torch.randn(b.target.shape, generator=rng())
    slope = gradient(loss, moved, b.target, b.mask)[1]
    if slope is None:
        return 0.0, 0.0
    each = slope.abs().sum(1)
    some = each[each > TINY]  # of their median: the slope of an angle is endless near 0
    counts = each > 1e-3 * (float(some.median()) if len(some) else 1.0)
    far = F.max_pool2d(b.mask.float()[:, None], 7, 1, 3)[:, 0] == 0
    inside, outside = (counts[m].float().mean().nan_to_num() for m in (b.mask, far))
    return float(inside), float(outside)


def _pixel_claims(loss: HvLoss, b: Batch) -> Iterator[Claim]:
    """List pixels that do not count (or should not), then what it is divided by."""
    t, m = b.target, b.mask
    near = F.max_pool2d(m.float()[:, None], 7, 1, 3)
    hv = b.hv * near

    def above(p: Tensor, q: Tensor, k: Tensor) -> float:
        return value(loss, p, q, k) - value(loss, q, q, k)

    base = above(hv, t, m)
    inside, outside = _counted(loss, b)
    said = f"{inside:.0%} of the nucleus pixels and {outside:.0%} of those far from nuclei count."
    if not math.isfinite(base) or (abs(base) <= TINY and not outside):
        return
    if inside < COUNTS <= _counted(loss, b, 0.03)[0]:
        return  # see its gradient
    some, out = inside > 0.02, outside > OUTSIDE
    yield (inside < COUNTS and (out or some), 0.93 if some else 0.95,
           "The mask is that of other samples or pixels" if some and out else
           "A part of each nucleus does not count" if some else
           "The mask is the wrong way round: background counts, nuclei do not", said, inside,
           COUNTS, "Multiply each sample by its own mask of nuclei (all of their pixels, no "
           "background): look at broadcasting, axes, and whether it is inverted.")  # fmt: skip
    yield (out, 0.5, "Background counts in the HV loss", f"{said} HV is drawn to 0 there, and "
           "nuclei weigh but their share of pixels.", outside, OUTSIDE, "Multiply the error by the "
           "mask of nuclei before it is summed, unless you follow published code that has it "
           "so.")  # fmt: skip
    pad = torch.zeros_like
    wide = above(torch.cat((hv, pad(hv)), 3), torch.cat((t, pad(t)), 3), torch.cat((m, pad(m)), 2))
    factor = wide / base if abs(base) > TINY else 1.0
    yield (factor < DILUTED, 0.8, "The background dilutes the loss", "As much empty background "
           f"beside nuclei makes the loss {factor:.2g} times as large (1 in health): the mean runs "
           f"over all pixels, of which {float(m.float().mean()):.0%} are nucleus here.", factor,
           DILUTED, "Divide by the number of nucleus pixels (and channels): sum / mask.sum().clamp("
           "min=1). It is no pull towards 0, but lambda_hv weighs as much less.",
           {"unit": "factor"})  # fmt: skip
    twice = {"batch": 0, "crop": -1}
    grown = {n: above(*(torch.cat((x, x), d) for x in (hv, t, m))) / base if abs(base) > TINY else 1
             for n, d in twice.items()}  # fmt: skip
    worst = [n for n, v in grown.items() if not 1 / GROWS < v < GROWS]
    yield (worst, 0.85, f"The loss grows with the {' and the '.join(worst)}",
           f"The same pixels twice over make the loss {grown['batch']:.3g} (batch) and "
           f"{grown['crop']:.3g} (crop) times as large; both should be 1.",
           grown[(worst or ["batch"])[0]], GROWS, "Divide by the number of nucleus pixels of the "
           "whole batch, so that weights and learning rate keep their meaning.",
           {"unit": "factor"})  # fmt: skip


def _slope_at(loss: Loss, b: Batch, name: str, logits: Tensor) -> Tensor:
    """Size of the slope of the whole loss at each pixel of an output."""
    live = logits.clone().requires_grad_()
    total, _ = loss.full(replace(b, **{name: live}))  # type: ignore[misc, arg-type]
    slope = torch.autograd.grad(total, live, allow_unused=True)[0] if total.requires_grad else None
    return torch.zeros(b.mask.shape) if slope is None else slope.abs().sum(1)


def _parts(loss: Loss, b: Batch) -> tuple[dict[str, float], bool]:
    """Weighted terms as numbers; gradients at the outputs where no terms are told."""
    names = {"np": "logits", "hv": "hv", "nt": "nt_logits"}
    live = {n: getattr(b, n).clone().requires_grad_() for n in names.values()}
    total, terms = loss.full(replace(b, **live))  # type: ignore[misc]
    if any(name.startswith("hv") for name in terms):
        return {n: abs(float(v.detach())) for n, v in terms.items()}, True
    if not total.requires_grad:
        return dict.fromkeys(names, 0.0), False
    slopes = torch.autograd.grad(total, list(live.values()), allow_unused=True)
    return {head: norm(s) for head, s in zip(names, slopes, strict=True)}, False


def _share_claims(loss: Loss, b: Batch) -> Iterator[Claim]:
    """Hold NP against HV by planted maps too: of NP that is learned little loss is left."""
    np_share, hv_share, largest, here = 0.0, 0.0, ("", 1.0), {}
    terms = False
    for batch in (synthetic_batch(), b):
        parts, terms = _parts(loss, batch)
        hv = {n: v for n, v in parts.items() if n.startswith("hv")}
        of_hv = sum(hv.values())
        if not all(map(math.isfinite, parts.values())) or of_hv <= TINY:
            return
        np_share = max(np_share, parts.get("np", 0.0) / (parts.get("np", 0.0) + of_hv))
        hv_share = max(hv_share, of_hv / (parts.get("np", 0.0) + of_hv))
        name = max(hv, key=lambda n: hv[n])
        largest = min(largest, (name, hv[name] / of_hv), key=lambda pair: pair[1])
        here = {n: v / max(sum(parts.values()), TINY) for n, v in parts.items()}
    surely, maybe = NP_SHARE if terms else NP_SLOPE
    what = "loss" if terms else "gradient at the outputs"
    said = ", ".join(f"{n} {v:.1%}" for n, v in here.items()) + f" of the {what} ({b.source})"
    common = {"unit": "share", "numbers": {f"share of {n}": v for n, v in here.items()},
              "plot": Plot("bars", f"Share of the {what}", tuple(here),
                           (("share", tuple(here.values())),))}  # fmt: skip
    weights = ("Lower the weight of what drowns the rest (lambda_hv, lambda_gradient, "
               "lambda_magnitude), or raise lambda_np.")  # fmt: skip
    many = len([n for n in here if n.startswith("hv")]) > 1
    yield (np_share < maybe, scaled(np_share, 0, surely, 0.93, 0.8) if np_share < surely else 0.4,
           "HV drowns NP" if np_share else "NP has no weight in the loss",
           f"{said}. While it still learns, NP makes {np_share:.2%} of NP and HV; it should make "
           f"{maybe:.2%} or more.", np_share, surely, weights, common)  # fmt: skip
    yield (hv_share < NP_SHARE[1], 0.85 if hv_share < NP_SHARE[0] else 0.4, "NP drowns HV",
           f"{said}. HV makes at most {hv_share:.2%} of NP and HV (usual: more than half).",
           hv_share, NP_SHARE[0], "Raise the weight of HV (lambda_hv), or lower lambda_np.",
           common)  # fmt: skip
    yield (many and largest[1] > TERM, 0.72, f"{largest[0]} drowns the rest of HV",
           f"{said}. {largest[0]} makes {largest[1]:.1%} of HV.", largest[1], TERM, weights,
           common)  # fmt: skip


def _np_claims(loss: Loss, b: Batch) -> Iterator[Claim]:
    """Say whether NP is learned of nuclei and of background."""
    each = _slope_at(loss, b, "logits", torch.zeros_like(b.logits))
    counts = each > 1e-3 * each.max()
    inside, outside = (float(counts[m].float().mean()) for m in (b.mask, ~b.mask))
    where = "in nuclei" if inside > outside else "on the background"
    yield (norm(each) > TINY and min(inside, outside) < COUNTS, 0.94,
           f"NP is learned {where} alone", f"{inside:.0%} of the nucleus pixels and {outside:.0%} "
           "of the others count for NP.", min(inside, outside), COUNTS, "Take the loss of NP over "
           "all pixels, nuclei and background: leave its mask out.")  # fmt: skip


def _type_claims(loss: Loss, b: Batch) -> Iterator[Claim]:
    """Say whether types are learned over the background."""
    each = _slope_at(loss, b, "nt_logits", b.nt_logits)
    share = float(each[~b.mask].sum()) / max(float(each.sum()), TINY)
    yield (share > TYPED, 0.75 + 0.15 * share, "The loss of the types runs over the background",
           f"{share:.0%} of the gradient of the types lies outside of nuclei, which are "
           f"{float(b.mask.float().mean()):.0%} of the pixels.", share, TYPED, "Count types inside "
           "nuclei alone (nt_inside_only=True), else the plentiful background drowns "
           "them.")  # fmt: skip
