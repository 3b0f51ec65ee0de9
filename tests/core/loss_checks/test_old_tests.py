"""Tests 1, 3 and 5: the old ones fail as told, the corrected ones pass, and can fail."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from napari_hovernet.core import losses as loss_terms
from napari_hovernet.core.loss_checks import check_loss, old_tests
from napari_hovernet.core.loss_checks.old_tests import (
    check_gradient,
    check_ratio,
    check_weights,
    expected_ratio,
)
from napari_hovernet.core.losses import HoverLoss

Tensor = torch.Tensor
SEEDS = (0, 1, 7)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_ratio_of_random_maps_never_reaches_five(seed: int) -> None:
    check = check_ratio(seed)
    assert check.passed
    measured = check.measured
    for epsilon in ("1e-8", "1e-6"):
        assert measured[f"old test, epsilon {epsilon}"] == pytest.approx(1.9088, abs=0.01)
    assert measured["old test, weak prediction all zero"] < 2.5
    assert measured["corrected, 0.125 against 0.75 of the truth"] == pytest.approx(12.25, rel=1e-3)


def test_the_formula_is_that_of_rayleigh_lengths() -> None:
    assert expected_ratio(0.125) == pytest.approx(1.9088, abs=5e-5)
    assert expected_ratio(1) == pytest.approx(1)


def absolute(hv: Tensor, truth: Tensor, mask: Tensor, epsilon: float = 1e-6) -> Tensor:
    error = loss_terms.length(hv, epsilon) - loss_terms.length(truth, epsilon)
    return (error.abs() * mask).sum() / mask.sum()


def test_the_corrected_ratio_finds_a_loss_that_is_not_squared(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(loss_terms, "hv_magnitude", absolute)
    assert not check_ratio().passed


@pytest.mark.parametrize("seed", SEEDS)
def test_a_gradient_arrives_but_the_old_test_cannot_see_it(seed: int) -> None:
    check = check_gradient(seed)
    assert check.passed
    for epsilon in ("1e-8", "1e-6"):
        assert check.measured[f"old test: .grad of randn * 0.1, epsilon {epsilon}"] is None
        kept = check.measured[f"the same with retain_grad(), epsilon {epsilon}"]
        leaf = check.measured[f".grad of the randn it came from, epsilon {epsilon}"]
        assert kept is not None
        assert leaf == pytest.approx(0.1 * kept, rel=1e-5)


def dead(hv: Tensor, truth: Tensor, mask: Tensor, epsilon: float = 1e-6) -> Tensor:
    return 0 * hv.sum()


def not_a_number(hv: Tensor, truth: Tensor, mask: Tensor, epsilon: float = 1e-6) -> Tensor:
    return (hv * torch.nan).sum()


@pytest.mark.parametrize("broken", [dead, not_a_number])
def test_the_corrected_test_finds_a_gradient_that_does_not_arrive(
    broken: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loss_terms, "hv_magnitude", broken)
    assert not check_gradient().passed


@pytest.mark.parametrize("seed", SEEDS)
def test_the_old_weights_fit_before_and_break_after(seed: int) -> None:
    check = check_weights(seed)
    assert check.passed
    assert check.measured["old test: relative error before"] < 1e-6
    assert check.measured["old test: relative error after"] > 0.3


class Doubled(HoverLoss):
    """Weighs the magnitude twice."""

    def forward(self, *batch: Any, **more: Any) -> tuple[Tensor, dict[str, Tensor]]:
        total, terms = super().forward(*batch, **more)
        extra = self.params.lambda_magnitude * terms["hv_magnitude"]
        return total, {**terms, "hv": terms["hv"] + extra}


def test_the_corrected_test_of_the_weights_finds_wrong_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(old_tests, "HoverLoss", Doubled)
    assert not check_weights().passed


@pytest.mark.parametrize("seed", SEEDS)
def test_there_are_five_checks_and_all_pass(seed: int) -> None:
    checks = check_loss(seed)
    assert len({check.name for check in checks}) == 5
    assert all(check.passed for check in checks)
    assert all(check.claim and check.why and check.measured for check in checks)
