"""What is done to a loss to see how it answers: gradients, other batches, other targets."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from .loss_batch import LossBatch
from .loss_limits import LossLimits
from .loss_reading import HvLoss

SEED = 0
WAVE = 8.0
"""Length in pixels of the ripples that probe along which axis a term looks."""
AMPLITUDE = 0.2
KS = tuple(round(-1 + 0.125 * k, 3) for k in range(25))
"""Multiples of the truth that are tried, -1 to 2."""
TINY = 1e-12


def value(loss: HvLoss, hv: Tensor, target: Tensor, mask: Tensor) -> float:
    """Return the loss as a number."""
    with torch.no_grad():
        return float(loss(hv, target, mask))


def gradient(loss: HvLoss, hv: Tensor, target: Tensor, mask: Tensor) -> tuple[float, Tensor | None]:
    """Return the loss and its gradient with respect to the prediction; None = there is none."""
    leaf = hv.detach().clone().requires_grad_()
    with torch.enable_grad():
        made = loss(leaf, target, mask)
    if not made.requires_grad:
        return float(made.detach()), None
    slope = torch.autograd.grad(made, leaf, allow_unused=True)[0]
    return float(made.detach()), slope


def norm(slope: Tensor | None) -> float:
    """Return the length of a gradient, 0 where there is none."""
    return 0.0 if slope is None else float(slope.double().norm())


def turned(target: Tensor) -> Tensor:
    """Turn the vectors (not the pixels) by a right angle."""
    return torch.stack((-target[:, 1], target[:, 0]), 1)


def swapped(target: Tensor) -> Tensor:
    """Swap the two channels."""
    return target.flip(1)


def shuffled(target: Tensor, mask: Tensor) -> Tensor:
    """Deal the vectors of nuclei out anew."""
    out = target.clone()
    vectors = target.permute(0, 2, 3, 1)[mask]
    order = torch.randperm(len(vectors), generator=_rng())
    out.permute(0, 2, 3, 1)[mask] = vectors[order]
    return out


def wrong_directions(loss: HvLoss, batch: LossBatch) -> dict[str, float]:
    """Loss of predictions of the right length and another direction, and of none at all."""
    t, m = batch.target, batch.mask
    asked = {
        "truth": t, "zero": 0 * t, "negated": -t, "turned": turned(t), "shuffled": shuffled(t, m),
    }  # fmt: skip
    return {name: value(loss, p, t, m) for name, p in asked.items()}


def curve(loss: HvLoss, batch: LossBatch) -> tuple[float, ...]:
    """Loss of k times the truth, for each of ``KS``."""
    return tuple(value(loss, k * batch.target, batch.target, batch.mask) for k in KS)


def near_and_far(mask: Tensor, margin: int) -> tuple[Tensor, Tensor]:
    """Mark pixels within nuclei and around them, and those far from any; bool (B, H, W)."""
    grown = F.max_pool2d(mask.float()[:, None], 2 * margin + 1, 1, margin)[:, 0] > 0
    return grown, ~grown


def noise(like: Tensor, where: Tensor, spread: float) -> Tensor:
    """Random changes of HV at some pixels."""
    drawn = torch.randn(like.shape, generator=_rng()) * spread
    return torch.where(where[:, None], drawn, 0.0)


def wider(batch: LossBatch, hv: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Put as much empty background beside a batch: hv, target, mask."""
    empty, dark = torch.zeros_like(hv), torch.zeros_like(batch.mask)
    return (
        torch.cat((hv, empty), 3),
        torch.cat((batch.target, empty), 3),
        torch.cat((batch.mask, dark), 2),
    )


def scalings(loss: HvLoss, batch: LossBatch) -> dict[str, float]:
    """Factors of the loss in batches that say the same twice: more images, larger ones."""
    hv, t, m = batch.hv, batch.target, batch.mask
    base = value(loss, hv, t, m) - value(loss, t, t, m)
    tried = {
        "batch": tuple(torch.cat((x, x), 0) for x in (hv, t, m)),
        "crop": tuple(torch.cat((x, x), -1) for x in (hv, t, m)),
    }
    made = {n: value(loss, p, q, k) - value(loss, q, q, k) for n, (p, q, k) in tried.items()}
    return {name: ratio(v, base) for name, v in made.items()}


def axis_answers(loss: HvLoss, batch: LossBatch) -> dict[str, float]:
    """Answer to ripples of h and v along x and along y: the loss above that of the truth."""
    t, m = batch.target, batch.mask
    height, width = t.shape[-2:]
    along = {
        "x": torch.cos(2 * math.pi * torch.arange(width) / WAVE).expand(height, width),
        "y": torch.cos(2 * math.pi * torch.arange(height) / WAVE)[:, None].expand(height, width),
    }
    base, out = value(loss, t, t, m), {}
    for channel, letter in enumerate("hv"):
        for axis, ripple in along.items():
            hv = t.clone()
            hv[:, channel] += AMPLITUDE * ripple * m
            out[f"{letter} along {axis}"] = value(loss, hv, t, m) - base
    return out


def lower_than_truth(loss: HvLoss, batch: LossBatch, limits: LossLimits) -> dict[str, float]:
    """Loss of predictions that should cost more than the truth, minus that of the truth."""
    t, m = batch.target, batch.mask
    tried: dict[str, Tensor] = {
        "HV = 0": 0 * t,
        "the negated truth": -t,
        "the truth with its channels swapped": swapped(t),
        "the negated truth with its channels swapped": -swapped(t),
        "the truth turned by 90 degrees": turned(t),
        "half of the truth": 0.5 * t,
        "twice the truth": 2 * t,
    }
    rng = _rng()
    for number in range(limits.steps):
        drawn = torch.randn(t.shape, generator=rng) * limits.step
        tried[f"random step {number + 1}"] = t + torch.where(m[:, None], drawn, 0.0)
    slope = gradient(loss, t, t, m)[1]
    if slope is not None and bool(torch.isfinite(slope).all()) and norm(slope) > TINY:
        unit = slope.float() / slope.float().abs().max()
        tried["a step against the gradient"] = t - limits.step * unit
    base = value(loss, t, t, m)
    return {name: value(loss, p, t, m) - base for name, p in tried.items()}


def ratio(a: float, b: float) -> float:
    """Return a / b, NaN where b is nothing."""
    return a / b if abs(b) > TINY else math.nan


def finite(numbers: Mapping[str, float]) -> bool:
    """Whether all are numbers."""
    return all(map(math.isfinite, numbers.values()))


def _rng() -> torch.Generator:
    return torch.Generator().manual_seed(SEED)
