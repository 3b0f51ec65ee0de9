"""Tests 1, 3 and 5 of the magnitude loss: as they were, and so that they can fail."""

from __future__ import annotations

import math
import warnings

import torch
from torch import Tensor

from .. import losses as loss_terms
from ..losses import HoverLoss
from ..params import LOSS_PRESETS
from .check import EQUAL, NEW_EPSILON, OLD_EPSILON, LossCheck

WEAK, STRONG = 0.1, 0.8
"""Spread of the two random predictions of test 1; the random truth has the second."""
RANDOM_EDGE = 1024
"""Edge in pixels of its maps."""
DEMANDED_RATIO = 5.0
"""What it asks for: loss of the weak prediction over that of the strong one."""
WEAK_SHARE, STRONG_SHARE = 0.125, 0.75
"""Corrected: predictions that are this share of the truth."""

SMALL_EDGE = 32
"""Edge in pixels of the maps of tests 3 and 5."""
OLD_GRADIENT_WEIGHT, OLD_MAGNITUDE_WEIGHT = 2.0, 1.0
"""Weights that test 5 has written into it."""
RATIO_EQUAL = 0.01
"""The same for a ratio that epsilon touches a little."""


def check_ratio(seed: int = 0) -> LossCheck:
    """Test 1: a weak prediction must cost more than a strong one."""
    rng = torch.Generator().manual_seed(seed)
    weak, strong, truth = (
        spread * torch.randn(1, 2, RANDOM_EDGE, RANDOM_EDGE, generator=rng)
        for spread in (WEAK, STRONG, STRONG)
    )
    before = _ratio(weak, strong, truth, OLD_EPSILON)
    after = _ratio(weak, strong, truth, NEW_EPSILON)
    of_zeros = _ratio(0 * truth, strong, truth, NEW_EPSILON)
    corrected = _ratio(WEAK_SHARE * truth, STRONG_SHARE * truth, truth, NEW_EPSILON)
    expected = ((1 - WEAK_SHARE) / (1 - STRONG_SHARE)) ** 2
    measured: dict[str, float | int | None] = {
        "old test, epsilon 1e-8": before,
        "old test, epsilon 1e-6": after,
        "old test, by formula": expected_ratio(WEAK / STRONG),
        "old test, weak prediction all zero": of_zeros,
        f"corrected, {WEAK_SHARE:g} against {STRONG_SHARE:g} of the truth": corrected,
        "corrected, by formula": expected,
    }
    near = abs(corrected - expected) <= RATIO_EQUAL * expected
    return LossCheck(
        name="Test 1: weak against strong",
        passed=near and corrected > DEMANDED_RATIO,
        measured=measured,
        claim=(
            f"The loss of a weak prediction is more than {DEMANDED_RATIO:g} times that of a strong "
            "one: 1.91 before the change, and enough after it."
        ),
        why=(
            "Both predictions are random maps that have nothing to do with the truth, so the "
            f"strong one is wrong as well: the ratio is {before:.3f} before and {after:.3f} after, "
            f"and a prediction of all zeros gets no more than {of_zeros:.2f}. It can never pass "
            "as written: no epsilon, mask or weight moves it. Corrected: prediction = k times "
            f"truth, where the loss is (1 - k)² times a constant: {corrected:.2f}."
        ),
    )


def expected_ratio(share: float) -> float:
    """Ratio that test 1 has on average: (2 + 2 k² - pi k) / (4 - pi) at k = weak / strong.

    The lengths of two-dimensional normal vectors of spread a are Rayleigh distributed, with
    mean a sqrt(pi / 2) and mean square 2 a².

    Examples
    --------
    >>> round(expected_ratio(0.125), 4)
    1.9088
    """
    return (2 + 2 * share**2 - math.pi * share) / (4 - math.pi)


def _ratio(weak: Tensor, strong: Tensor, truth: Tensor, epsilon: float) -> float:
    mask = torch.ones_like(truth[:, 0])
    cost, less = (loss_terms.hv_magnitude(x, truth, mask, epsilon) for x in (weak, strong))
    return (cost / less).item()


def check_gradient(seed: int = 0) -> LossCheck:
    """Test 3: a gradient arrives at the prediction."""
    measured: dict[str, float | int | None] = {}
    arrived = []
    for name, epsilon in (("1e-8", OLD_EPSILON), ("1e-6", NEW_EPSILON)):
        unkept, kept, leaf = _three_gradients(epsilon, seed)
        measured[f"old test: .grad of randn * 0.1, epsilon {name}"] = unkept
        measured[f"the same with retain_grad(), epsilon {name}"] = kept
        measured[f".grad of the randn it came from, epsilon {name}"] = leaf
        arrived += [kept, leaf]
    return LossCheck(
        name="Test 3: a gradient arrives",
        passed=all(norm is not None and math.isfinite(norm) and norm > 0 for norm in arrived),
        measured=measured,
        claim="No gradient reached the prediction before the change; one does after it.",
        why=(
            "The test makes its prediction by randn(requires_grad=True) * 0.1. The product is not "
            "a leaf of the graph, and PyTorch keeps no .grad for it: the test reads None with any "
            "loss, and can never pass. Corrected: with retain_grad(), or read where the numbers "
            "came from, the gradient must be finite and not zero. It is there with either epsilon."
        ),
    )


def _three_gradients(epsilon: float, seed: int) -> tuple[float | None, float | None, float | None]:
    """Norms of .grad of a product, of one that keeps it, and of its leaf."""
    rng = torch.Generator().manual_seed(seed)
    shape = (1, 2, SMALL_EDGE, SMALL_EDGE)
    truth, mask = torch.randn(shape, generator=rng), torch.ones(1, SMALL_EDGE, SMALL_EDGE)
    norms: list[float | None] = []
    leaf = torch.randn(shape, generator=rng, requires_grad=True)
    for keep in (False, True):
        hv = leaf * WEAK
        if keep:
            hv.retain_grad()
        leaf.grad = None
        loss_terms.hv_magnitude(hv, truth, mask, epsilon).backward()  # type: ignore[no-untyped-call]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PyTorch says what is wrong with asking this
            norms.append(None if hv.grad is None else hv.grad.norm().item())
    return norms[0], norms[1], None if leaf.grad is None else leaf.grad.norm().item()


def check_weights(seed: int = 0) -> LossCheck:
    """Test 5: HV is put together with the weights that were asked for."""
    before, after = LOSS_PRESETS["before the fix"], LOSS_PRESETS["expert fix"]
    terms = {name: _terms(HoverLoss.from_params(p), seed) for name, p in LOSS_PRESETS.items()}
    plain = terms["before the fix"]
    written = (
        plain["hv_mse"]
        + OLD_GRADIENT_WEIGHT * plain["hv_gradient"]
        + OLD_MAGNITUDE_WEIGHT * plain["hv_magnitude"]
    )
    errors = {}
    for name, params in LOSS_PRESETS.items():
        gradient = params.lambda_gradient * terms[name]["hv_gradient"]
        magnitude = params.lambda_magnitude * terms[name]["hv_magnitude"]
        asked = terms[name]["hv_mse"] + gradient + magnitude
        errors[name] = abs(terms[name]["hv"] / asked - 1)
    new = terms["expert fix"]["hv"]
    measured: dict[str, float | int | None] = {
        **{name: plain[name] for name in ("hv_mse", "hv_gradient", "hv_magnitude")},
        "HV as the old test has it": written,
        f"HV with {before.lambda_gradient:g} and {before.lambda_magnitude:g} (before)":
            plain["hv"],
        f"HV with {after.lambda_gradient:g} and {after.lambda_magnitude:g} (after)": new,
        "old test: relative error before": abs(plain["hv"] / written - 1),
        "old test: relative error after": abs(new / written - 1),
        "corrected: largest relative error of all presets": max(errors.values()),
    }  # fmt: skip
    return LossCheck(
        name="Test 5: the weights",
        passed=max(errors.values()) <= EQUAL,
        measured=measured,
        claim="The test of the weights stays green when the weights are changed.",
        why=(
            f"It has {OLD_GRADIENT_WEIGHT:g} for the gradient and {OLD_MAGNITUDE_WEIGHT:g} for the "
            f"magnitude written into it. The weights were the one thing that really changed, so it "
            f"must break: HV is {new:.3f} after the change, and the test still wants "
            f"{written:.3f}. Corrected: whatever weights the loss was built with, HV must be "
            "the sum of its terms with these."
        ),
    )


def _terms(loss: HoverLoss, seed: int) -> dict[str, float]:
    """Terms of a batch of random maps, the same for each loss."""
    rng = torch.Generator().manual_seed(seed)
    shape = (1, 2, SMALL_EDGE, SMALL_EDGE)
    logits, hv, truth = (torch.randn(shape, generator=rng) for _ in range(3))
    nuclei = torch.randint(0, 2, (1, SMALL_EDGE, SMALL_EDGE), generator=rng)
    _, terms = loss(logits, hv, None, nuclei, truth, None)
    return {name: value.item() for name, value in terms.items()}
