"""Loss: NP cross entropy + Dice, HV error + gradient + magnitude + rest, types."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F

MAGNITUDE_EPSILON = 1e-6
DICE_SMOOTH = 1.0
TYPE_WEIGHTS = (0.4, 2.0, 1.2, 1.0, 1.0)
"""Background, miscellaneous (3 % of the nuclei), inflammatory, epithelial, spindle."""


@dataclass(frozen=True)
class LossWeights:
    """Weights of the terms."""

    ce: float = 1.0
    dice: float = 1.0
    hv: float = 2.0
    gradient: float = 1.0
    magnitude: float = 2.0
    outside: float = 0.5
    types: float = 0.5
    type_dice: float = 0.3


def loss_terms(
    out: dict[str, torch.Tensor], truth: Sequence[torch.Tensor]
) -> dict[str, torch.Tensor]:
    """Return the unweighted terms of NP, HV, types and weights as the crops give them.

    Pixels outside the image (weight 0) do not count.
    """
    np_true, hv_true, types, weight = truth
    logits, hv = out["np"].float(), out["hv"].float()
    real, target = (weight > 0).float(), np_true.float()
    ce = F.cross_entropy(logits, np_true, reduction="none")
    prob = logits.softmax(1)[:, 1]
    both, total = (prob * target * real).sum(), ((prob + target) * real).sum()
    inside, beyond = target * real, (1 - target) * real
    n = inside.sum().clamp(min=1.0)
    diff = _sobel(hv) - _sobel(hv_true)
    length = (hv.square().sum(1) + MAGNITUDE_EPSILON).sqrt()
    wanted = (hv_true.square().sum(1) + MAGNITUDE_EPSILON).sqrt()
    return {
        "ce": (ce * weight).sum() / weight.sum().clamp(min=1.0),
        "dice": 1 - (2 * both + DICE_SMOOTH) / (total + DICE_SMOOTH),
        "hv": ((hv - hv_true).square().sum(1) * inside).sum() / (2 * n),
        "gradient": (diff.square().sum(1) * inside).sum() / (2 * n),
        "magnitude": ((length - wanted).square() * inside).sum() / n,
        "outside": (hv.square().sum(1) * beyond).sum() / beyond.sum().clamp(min=1.0),
        **_type_terms(out["tp"].float(), types),
    }


def _type_terms(logits: torch.Tensor, types: torch.Tensor) -> dict[str, torch.Tensor]:
    known = types >= 0
    if not known.any():
        nothing = logits.sum() * 0.0
        return {"types": nothing, "type_dice": nothing}
    ce = F.cross_entropy(logits, types, logits.new_tensor(TYPE_WEIGHTS), ignore_index=-1)
    prob = (logits.softmax(1) * known[:, None])[:, 1:]
    truth = F.one_hot(types.clamp(min=0), logits.shape[1]).movedim(3, 1)[:, 1:] * known[:, None]
    axes = (0, 2, 3)
    both, total = (prob * truth).sum(axes), prob.sum(axes) + truth.sum(axes)
    # a type that no crop shows would ask for a probability of exactly zero
    there = truth.sum(axes) > 0
    dice = 1 - (2 * both + DICE_SMOOTH) / (total + DICE_SMOOTH)
    return {"types": ce, "type_dice": (dice * there).sum() / there.sum().clamp(min=1)}


def _sobel(hv: torch.Tensor) -> torch.Tensor:
    """Differentiate h along x and v along y, per pixel (3x3 Sobel over its gain)."""
    kx = hv.new_tensor([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]) / 4
    kernel = torch.stack([kx, kx.t()])[:, None]
    return F.conv2d(hv, kernel, padding=1, groups=2)


def weighted(terms: dict[str, torch.Tensor], weights: LossWeights) -> torch.Tensor:
    """Sum the terms with their weights."""
    parts = [getattr(weights, name) * value for name, value in terms.items()]
    return torch.stack(parts).sum()
