"""Two claims about the magnitude loss: its epsilon, and the background around nuclei."""

from __future__ import annotations

import torch
from torch import Tensor

from .. import losses as loss_terms
from .check import EQUAL, NEW_EPSILON, OLD_EPSILON, LossCheck

NEAR = 1e-4
"""Length of HV at which a larger epsilon is felt."""
PRECISIONS = (torch.float32, torch.bfloat16, torch.float16)

IMAGE = 224
"""Edge in pixels of the example about the background."""
NUCLEUS_BOX = (slice(50, 100), slice(50, 150))
"""Its nucleus: a tenth of the image."""
SHORT, LONG = 0.02, 0.8
"""Length of its predicted and of its true HV."""


def check_epsilon() -> LossCheck:
    """Epsilon: where it stands, what the slope at zero is, what float16 makes of it."""
    half = torch.float16
    old_half, new_half = slope(0, OLD_EPSILON, half), slope(0, NEW_EPSILON, half)
    near_old, near_new = slope(NEAR, OLD_EPSILON), slope(NEAR, NEW_EPSILON)
    ours = {f"this loss: slope at 0, {_name(d)}": _slope_of_ours(d) for d in PRECISIONS}
    magnitude, mse = _pull_at_zero()
    measured: dict[str, float | int | None] = {
        "slope at 0, 1e-8 under the root, float32": slope(0, OLD_EPSILON),
        "slope at 0, 1e-6 under the root, float32": slope(0, NEW_EPSILON),
        "slope at 0, 1e-6 outside the root, float32": slope(0, NEW_EPSILON, inside=False),
        "slope at 0, 1e-8 under the root, float16": old_half,
        "slope at 0, 1e-6 under the root, float16": new_half,
        "slope at |HV| = 1e-4, 1e-8 under the root": near_old,
        "slope at |HV| = 1e-4, 1e-6 under the root": near_new,
        **ours,
        "this loss: pull of the magnitude term at HV = 0": magnitude,
        "this loss: pull of the squared error at HV = 0": mse,
    }
    return LossCheck(
        name="Epsilon under the root",
        passed=all(s == 0 for s in ours.values()) and magnitude == 0 and mse > 0,
        measured=measured,
        claim=(
            "Epsilon stood outside the root, so gradients were NaN or dead; under the root, "
            "and larger, it mends them."
        ),
        why=(
            "In the code it stood under the root already. There the slope at zero is 0 with either "
            "epsilon in float32; outside it is NaN. At exactly zero the magnitude pulls nowhere, "
            f"with any epsilon; the squared error does. In float16 1e-8 is rounded to 0 (slope "
            f"{old_half:g}), 1e-6 is not: that is what it is good for. It has a price: at "
            f"|HV| = 1e-4 the slope is {near_old / near_new:.1f} times smaller. Corrected: the "
            "slope of this loss at zero must be 0 in every precision, and the squared error must "
            "pull HV away from there."
        ),
    )


def slope(
    at: float, epsilon: float, dtype: torch.dtype = torch.float32, inside: bool = True
) -> float:
    """Slope of the length of HV along HV, computed in ``dtype`` throughout.

    Parameters
    ----------
    at : float
        Length of HV.
    epsilon : float
        Added under the root, or to the root if not ``inside``.

    Examples
    --------
    >>> slope(0.0, 1e-6), slope(0.0, 1e-6, inside=False)
    (0.0, nan)
    """
    hv = torch.tensor([at, 0.0], dtype=dtype, requires_grad=True)
    squared = hv.square().sum()
    length = (squared + epsilon).sqrt() if inside else squared.sqrt() + epsilon
    return _grad(length, hv)[0].item()


def _slope_of_ours(dtype: torch.dtype) -> float:
    hv = torch.zeros(1, 2, 1, 1, dtype=dtype, requires_grad=True)
    return _grad(loss_terms.length(hv).sum(), hv)[0, 0].item()


def _pull_at_zero() -> tuple[float, float]:
    """Length of the gradient that two terms have at HV = 0."""
    hv = torch.zeros(1, 2, 1, 1, requires_grad=True)
    truth, mask = torch.full((1, 2, 1, 1), LONG), torch.ones(1, 1, 1)
    magnitude = _grad(loss_terms.hv_magnitude(hv, truth, mask), hv)
    return magnitude.norm().item(), _grad(loss_terms.hv_mse(hv, truth, mask), hv).norm().item()


def check_background() -> LossCheck:
    """Background: mask the lengths first or the error later, it is the same."""
    mask = torch.zeros(1, IMAGE, IMAGE)
    mask[0, *NUCLEUS_BOX] = 1
    hv = _along_x(torch.full_like(mask, SHORT)).requires_grad_()
    truth = _along_x(LONG * mask)
    old = masked_before(hv, truth, mask, OLD_EPSILON)
    same = masked_before(hv, truth, mask, NEW_EPSILON)
    new = loss_terms.hv_magnitude(hv, truth, mask, NEW_EPSILON)
    everywhere = masked_before(hv, truth, mask, NEW_EPSILON, over_all=True)
    pull, diluted = _grad(new, hv), _grad(everywhere, hv)
    inside = mask[0] > 0
    factor = (diluted[0, 0][inside] / pull[0, 0][inside]).mean().item()
    wider = _in_more_background(hv, truth, mask)
    coverage = mask.mean().item()
    measured: dict[str, float | int | None] = {
        "lengths masked first, 1e-8 (before)": old.item(),
        "error masked, 1e-6 (after)": new.item(),
        "lengths masked first, 1e-6": same.item(),
        "mean over all pixels, 1e-6": everywhere.item(),
        "share of the image that is nucleus": coverage,
        "pull in nuclei, mean over all pixels over after": factor,
        "pull in the background, after": pull[0, :, ~inside].abs().max().item(),
        "after, in twice the background that says something else": wider,
    }
    equal = abs(same.item() - new.item()) <= EQUAL * new.item()
    return LossCheck(
        name="The background",
        passed=equal and abs(wider - new.item()) <= EQUAL * new.item(),
        measured=measured,
        claim="The background diluted the loss; masking the error before it is reduced mends it.",
        why=(
            "Where a mask is 0 or 1, masking the lengths and masking the error are the same: "
            f"{old.item():.5f} before, {new.item():.5f} after, and the difference is epsilon's. "
            f"Even a mean over all pixels ({everywhere.item():.4f}) would be the same loss times "
            f"{factor:.4f}, the share of nuclei: smaller, but no pull towards zero. Corrected: "
            "both forms must agree, and more background must not change the loss."
        ),
    )


def masked_before(
    hv: Tensor, truth: Tensor, mask: Tensor, epsilon: float, over_all: bool = False
) -> Tensor:
    """Error of lengths that are masked first: the loss as it was before the change.

    Parameters
    ----------
    hv, truth : float tensor (B, 2, H, W)
    mask : float tensor (B, H, W)
        0 or 1.
    epsilon : float
        Under the root.
    over_all : bool
        Divide by all pixels instead of those of nuclei.
    """
    error = mask * loss_terms.length(hv, epsilon) - mask * loss_terms.length(truth, epsilon)
    return error.square().sum() / (mask.numel() if over_all else mask.sum())


def _in_more_background(hv: Tensor, truth: Tensor, mask: Tensor) -> float:
    """Loss of the same nucleus beside as much background, where HV is as long as can be."""
    beside = torch.ones_like(truth)
    wide_hv, wide_truth = (
        torch.cat((maps, more), 3) for maps, more in ((hv.detach(), beside), (truth, 0 * beside))
    )
    wide_mask = torch.cat((mask, torch.zeros_like(mask)), 2)
    return loss_terms.hv_magnitude(wide_hv, wide_truth, wide_mask, NEW_EPSILON).item()


def _along_x(length: Tensor) -> Tensor:
    """Make HV of these lengths along x, (1, 2, H, W)."""
    return torch.stack((length, torch.zeros_like(length)), 1)


def _grad(value: Tensor, of: Tensor) -> Tensor:
    return torch.autograd.grad(value, of, retain_graph=True)[0]


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
