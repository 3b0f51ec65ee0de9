"""What each term makes of the loss, and of its gradient."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch

from .loss_batch import LossBatch, synthetic_batch
from .loss_limits import LossLimits
from .loss_probes import TINY, gradient, norm, value
from .loss_reading import LossUnderTest
from .report import FAULT, NOT_TESTED, OK, WARN, Finding, Plot, Remedy

SHARE, GRADIENT_SHARE = "loss.share", "loss.gradient_share"
TITLES = {SHARE: "Share of each term", GRADIENT_SHARE: "Share of the gradient"}
PERCENT = 100
BALANCE = Remedy(
    "Lower the weight of what drowns the rest (lambda_hv, lambda_gradient or lambda_magnitude), "
    "or raise lambda_np; look at the shares again."
)
NOT_FINITE = "Not tested: it is not finite (loss.finite)."


@dataclass(frozen=True)
class _Parts:
    """Weighted values (or norms of gradients): of NP, HV and NT, and of the terms of HV."""

    heads: Mapping[str, float]
    terms: Mapping[str, float]

    @property
    def np(self) -> float:
        """Share of NP in NP and HV; 1 where there is no HV."""
        hv = sum(v for n, v in self.heads.items() if n.startswith("hv"))
        return _fractions({"np": self.heads.get("np", 0.0), "hv": hv})["np"] if hv > TINY else 1.0

    @property
    def largest(self) -> tuple[str, float]:
        """The term that makes most of HV, and its share of it."""
        part = _fractions(self.terms)
        name = max(part, key=lambda n: part[n], default="")
        return name, part.get(name, 0.0)


@dataclass(frozen=True)
class _Bounds:
    """From where on NP is drowned, and one term of HV drowns the others: fault, warn."""

    np: tuple[float, float]
    term: tuple[float, float]


def shares(loss: LossUnderTest, batch: LossBatch, limits: LossLimits) -> Finding:
    """Judge the weighted share of each term.

    It is measured on the batch, and judged by what is better, that or planted maps: a model
    that has learned NP already has little NP loss left, whatever the weights.

    Examples
    --------
    >>> from .loss_reading import read_loss
    >>> from ..losses import HoverLoss
    >>> shares(read_loss(HoverLoss()), synthetic_batch(), LossLimits()).verdict
    'ok'
    """
    if loss.full is not None and not _values(loss, batch).heads:
        words = "Not tested: it returns one total and no terms; see the share of the gradient."
        return Finding(SHARE, NOT_TESTED, TITLES[SHARE], words)
    bounds = _Bounds(
        (limits.np_share_fault, limits.np_share_warn), (limits.term_fault, limits.term_warn)
    )
    return _judged(
        SHARE, _values(loss, batch), _values(loss, synthetic_batch(limits)), batch, bounds
    )


def gradient_shares(loss: LossUnderTest, batch: LossBatch, limits: LossLimits) -> Finding:
    """Judge the share each term and head has of the gradient at the network's outputs."""
    bounds = _Bounds(
        (limits.np_gradient_fault, limits.np_gradient_warn),
        (limits.term_gradient_fault, limits.term_gradient_warn),
    )
    reference = _gradients(loss, synthetic_batch(limits))
    return _judged(GRADIENT_SHARE, _gradients(loss, batch), reference, batch, bounds)


def _values(loss: LossUnderTest, batch: LossBatch) -> _Parts:
    given = (batch.hv, batch.target, batch.mask)
    if loss.full is None:
        return _Parts({}, {name: abs(value(f, *given)) for name, f in loss.parts.items()})
    live = {n: getattr(batch, n).clone().requires_grad_() for n in ("logits", "hv", "nt_logits")}
    _, parts = loss.full(replace(batch, **live))
    heads = {name: abs(float(part.detach())) for name, part in parts.items()}
    return _Parts(heads, {n: v for n, v in heads.items() if n.startswith("hv_") and v > 0})


def _gradients(loss: LossUnderTest, batch: LossBatch) -> _Parts:
    given = (batch.hv, batch.target, batch.mask)
    terms = {name: norm(gradient(f, *given)[1]) for name, f in loss.parts.items()}
    if loss.full is None:
        return _Parts({}, terms)
    names = {"np": "logits", "hv": "hv", "nt": "nt_logits"}
    live = {n: getattr(batch, n).clone().requires_grad_() for n in names.values()}
    total, _ = loss.full(replace(batch, **live))
    if not total.requires_grad:
        return _Parts(dict.fromkeys(names, 0.0), terms)
    slopes = torch.autograd.grad(total, list(live.values()), allow_unused=True)
    heads = {head: norm(slope) for head, slope in zip(names, slopes, strict=True)}
    return _Parts(heads, terms if loss.terms else {})


def _judged(
    which: str, here: _Parts, reference: _Parts, batch: LossBatch, bounds: _Bounds
) -> Finding:
    """Judge NP against HV, then the terms of HV among each other."""
    everything = [*here.heads.values(), *here.terms.values(), *reference.terms.values()]
    if not all(map(math.isfinite, everything)):
        return Finding(which, NOT_TESTED, TITLES[which], NOT_FINITE)
    np_share = max(here.np, reference.np)
    largest, share = min(here.largest, reference.largest, key=lambda pair: pair[1])
    what = "loss" if which == SHARE else "gradient at the outputs"
    words = f"{_said(here.heads or here.terms)} of the {what} ({batch.source})."
    verdict, certainty, title = OK, 0.0, TITLES[which]
    if np_share < bounds.np[1]:
        verdict, certainty = _below(np_share, bounds.np[0], which)
        title = "HV drowns NP" if np_share > 0 else "NP has no weight in the loss"
        words = (
            f"{words} With maps of a network still learning, NP makes {PERCENT * np_share:.2g} % "
            f"of NP and HV; it should make {PERCENT * bounds.np[1]:.2g} % or more."
        )
    elif len(here.terms) > 1 and share > bounds.term[1]:
        verdict, certainty = (FAULT, 0.72) if share > bounds.term[0] else (WARN, 0.35)
        title = f"{largest} drowns the other terms of HV"
        words = (
            f"{words} {largest} makes {PERCENT * share:.3g} % of HV; no term should make more "
            f"than {PERCENT * bounds.term[1]:.3g} %."
        )
    of_heads = bool(here.heads)
    return Finding(
        which, verdict, title, words, value=np_share if of_heads else share,
        threshold=bounds.np[0] if of_heads else bounds.term[0], unit="share",
        certainty=certainty, remedy=BALANCE if certainty else Remedy(""),
        numbers=_numbers(here, reference), plot=_bars(TITLES[which], here),
    )  # fmt: skip


def _below(share: float, fault: float, which: str) -> tuple[str, float]:
    if share < fault:
        return FAULT, 0.8 if which == SHARE else 0.74
    return WARN, 0.35 if which == SHARE else 0.25


def _fractions(values: Mapping[str, float]) -> dict[str, float]:
    total = sum(values.values())
    return {name: v / total if total > TINY else 0.0 for name, v in values.items()}


def _said(values: Mapping[str, float]) -> str:
    listed = [f"{name} {PERCENT * v:.3g} %" for name, v in _fractions(values).items()]
    return ", ".join(listed)


def _numbers(here: _Parts, reference: _Parts) -> dict[str, float]:
    made = {f"share of {n}": v for n, v in _fractions(here.heads).items()}
    made |= {f"share of {n} in HV": v for n, v in _fractions(here.terms).items()}
    made |= {f"weighted {n}": v for n, v in {**here.heads, **here.terms}.items()}
    if here.heads:
        made |= {"NP in NP and HV": here.np, "the same, planted maps": reference.np}
    return made


def _bars(title: str, here: _Parts) -> Plot:
    part = {**_fractions(here.heads), **_fractions(here.terms)}
    return Plot("bars", title, tuple(part), (("share", tuple(part.values())),), y_label="share")
