"""Loss of the default model: NP cross entropy + Dice, HV error + gradient + magnitude."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F

MAGNITUDE_EPSILON = 1e-6
DICE_SMOOTH = 1.0


@dataclass(frozen=True)
class LossWeights:
    """Weights of the terms."""

    ce: float = 1.0
    dice: float = 1.0
    hv: float = 2.0
    gradient: float = 1.0
    magnitude: float = 0.5


EARLY = LossWeights()
LATE = LossWeights(magnitude=1.5)
"""Predicted offsets were 10 % too short after 1,600 steps with 0.5."""
AGAIN = LossWeights(magnitude=4.0)
"""And still 6 % too short after 1,200 more with 1.5."""


def weights_at(step: int, late: int, again: int | None) -> LossWeights:
    """Return the weights of a step: early, from ``late`` on, from ``again`` on."""
    if again is not None and step >= again:
        return AGAIN
    return EARLY if step < late else LATE


def loss_terms(
    out: dict[str, torch.Tensor], np_true: torch.Tensor, hv_true: torch.Tensor, real: torch.Tensor
) -> dict[str, torch.Tensor]:
    """Return the unweighted terms; pixels outside the image (``real`` 0) do not count."""
    logits, hv = out["np"].float(), out["hv"].float()
    ce = F.cross_entropy(logits, np_true, reduction="none")
    prob, target = logits.softmax(1)[:, 1], np_true.float()
    both = (prob * target * real).sum()
    total = ((prob + target) * real).sum()
    inside = target * real
    n = inside.sum().clamp(min=1.0)
    diff = _sobel(hv) - _sobel(hv_true)
    length = (hv.square().sum(1) + MAGNITUDE_EPSILON).sqrt()
    wanted = (hv_true.square().sum(1) + MAGNITUDE_EPSILON).sqrt()
    return {
        "ce": (ce * real).sum() / real.sum().clamp(min=1.0),
        "dice": 1 - (2 * both + DICE_SMOOTH) / (total + DICE_SMOOTH),
        "hv": ((hv - hv_true).square().sum(1) * inside).sum() / (2 * n),
        "gradient": (diff.square().sum(1) * inside).sum() / (2 * n),
        "magnitude": ((length - wanted).square() * inside).sum() / n,
    }


def _sobel(hv: torch.Tensor) -> torch.Tensor:
    """Differentiate h along x and v along y, per pixel (3x3 Sobel over its gain)."""
    kx = hv.new_tensor([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]) / 4
    kernel = torch.stack([kx, kx.t()])[:, None]
    return F.conv2d(hv, kernel, padding=1, groups=2)


def weighted(terms: dict[str, torch.Tensor], weights: LossWeights) -> torch.Tensor:
    """Sum the terms with their weights."""
    total = torch.zeros((), device=terms["ce"].device)
    for name, value in terms.items():
        total = total + getattr(weights, name) * value
    return total
