"""Lambda buys length, and length makes no blob; both checks can fail."""

from __future__ import annotations

from typing import Any

import pytest

from napari_hovernet.core import losses as loss_terms
from napari_hovernet.core.loss_checks import check_length, length
from napari_hovernet.core.loss_checks.length import check_direction, check_scale, discs


def test_lambda_buys_length_and_no_direction() -> None:
    check = check_direction(seed=3)
    assert check.passed
    bought = [
        check.measured[f"sign wrong in half, lambda {weight}: magnitude"] for weight in (0, 1, 5)
    ]
    assert bought[0] < 0.02
    assert 0.3 < bought[1] < bought[2]
    assert bought[2] > 0.5
    for weight in (0, 1, 5):
        assert check.measured[f"sign wrong in half, lambda {weight}: |cosine| to the truth"] < 0.1
    assert check.measured["right, lambda 0: cosine to the truth"] > 0.9
    assert check.measured["magnitude loss of the truth with the wrong sign"] == 0


def test_a_loss_that_sees_directions_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def sees(hv: Any, truth: Any, mask: Any, epsilon: float = 1e-6) -> Any:
        return loss_terms.hv_mse(hv, truth, mask)

    monkeypatch.setattr(loss_terms, "hv_magnitude", sees)
    monkeypatch.setattr(length, "STEPS", 40)
    assert not check_direction().passed


def test_length_makes_no_blob_but_labelling_anew_does() -> None:
    check = check_scale()
    assert check.passed
    assert check.measured["nuclei that were drawn"] == 12
    for scale in ("0.02", "1", "50"):
        assert check.measured[f"nuclei with HV x {scale}, local"] == 12
    assert check.measured["nuclei with HV x 1, labelled anew after the cut"] == 1


def test_a_separation_that_depends_on_length_would_be_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cut = length._cut

    def depends(labels: Any, scale: float, preset: str) -> Any:
        return cut(labels, scale, "merging_relabel" if scale < 1 else preset)

    monkeypatch.setattr(length, "_cut", depends)
    assert not check_scale().passed


def test_the_discs_touch() -> None:
    labels = discs()
    assert labels.max() == 12
    assert (labels[8, 1:-1] > 0).all()


def test_both_checks_are_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(length, "STEPS", 1)
    assert [check.name for check in check_length()] == [
        "lambda_magnitude buys length, not direction",
        "Length does not make the blob",
    ]
