"""Epsilon and background: the known figures come out, and a broken loss is found out."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from napari_hovernet.core import losses as loss_terms
from napari_hovernet.core.loss_checks.claims import (
    check_background,
    check_epsilon,
    masked_before,
    slope,
)

Tensor = torch.Tensor


def test_epsilon_under_the_root_has_a_slope_of_zero_at_zero() -> None:
    measured = check_epsilon().measured
    assert measured["slope at 0, 1e-8 under the root, float32"] == 0
    assert measured["slope at 0, 1e-6 under the root, float32"] == 0
    assert math.isnan(measured["slope at 0, 1e-6 outside the root, float32"])
    assert math.isnan(measured["slope at 0, 1e-8 under the root, float16"])
    assert measured["slope at 0, 1e-6 under the root, float16"] == 0


def test_a_larger_epsilon_damps_the_slope_near_zero_sevenfold() -> None:
    assert slope(1e-4, 1e-8) / slope(1e-4, 1e-6) == pytest.approx(7.1, abs=0.05)
    for at, epsilon in ((1e-4, 1e-8), (1e-4, 1e-6), (0.5, 1e-6)):
        assert slope(at, epsilon) == pytest.approx(at / (at**2 + epsilon) ** 0.5, rel=1e-5)


def test_the_check_of_epsilon_passes_and_says_what_float16_does() -> None:
    check = check_epsilon()
    assert check.passed
    assert "slope nan" in check.why
    assert "7.1 times" in check.why


@pytest.mark.parametrize(
    "broken",
    [
        lambda hv, epsilon=1e-6: hv.float().square().sum(1).sqrt() + epsilon,
        lambda hv, epsilon=1e-8: (hv.square().sum(1) + 1e-8).sqrt(),
    ],
    ids=["outside the root", "in float16"],
)
def test_the_check_of_epsilon_finds_a_broken_length(
    broken: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loss_terms, "length", broken)
    assert not check_epsilon().passed


def test_the_background_did_not_dilute() -> None:
    check = check_background()
    assert check.passed
    m = check.measured
    assert m["lengths masked first, 1e-8 (before)"] == pytest.approx(0.60840, abs=5e-6)
    assert m["error masked, 1e-6 (after)"] == pytest.approx(0.60836, abs=5e-6)
    assert m["mean over all pixels, 1e-6"] == pytest.approx(0.0606, abs=5e-5)
    coverage = m["share of the image that is nucleus"]
    assert m["pull in nuclei, mean over all pixels over after"] == pytest.approx(coverage, rel=1e-4)
    assert m["pull in the background, after"] == 0
    assert "0.60840 before, 0.60836 after" in check.why


def test_masking_before_and_after_are_equal_for_random_maps() -> None:
    rng = torch.Generator().manual_seed(1)
    hv, truth = (torch.randn(2, 2, 9, 9, generator=rng).double() for _ in range(2))
    mask = (torch.rand(2, 9, 9, generator=rng) < 0.3).double()
    got = masked_before(hv, truth, mask, 1e-6)
    torch.testing.assert_close(got, loss_terms.hv_magnitude(hv, truth, mask, 1e-6))
    everywhere = masked_before(hv, truth, mask, 1e-6, over_all=True)
    torch.testing.assert_close(everywhere, got * mask.mean())


def over_all_pixels(hv: Tensor, truth: Tensor, mask: Tensor, epsilon: float = 1e-6) -> Tensor:
    return masked_before(hv, truth, mask.float(), epsilon, over_all=True)


def unmasked(hv: Tensor, truth: Tensor, mask: Tensor, epsilon: float = 1e-6) -> Tensor:
    error = (loss_terms.length(hv, epsilon) - loss_terms.length(truth, epsilon)).square()
    return error.sum() / mask.sum()


@pytest.mark.parametrize("broken", [over_all_pixels, unmasked])
def test_the_check_of_the_background_finds_a_diluted_loss(
    broken: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loss_terms, "hv_magnitude", broken)
    assert not check_background().passed
