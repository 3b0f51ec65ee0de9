"""Judging how long HV is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from napari_hovernet.core.diagnosis.map_hv import HVTally
from napari_hovernet.core.diagnosis.map_length import (
    hv_collapsed,
    hv_noise,
    hv_outside,
    hv_saturated,
    hv_scale,
    hv_zero,
)
from napari_hovernet.core.diagnosis.map_lengths import Lengths
from napari_hovernet.core.diagnosis.map_vectors import NO_FIT, Fit

N = 20_000
RIGHT = Fit(np.eye(2) * 0.45, N, 20)
LOST = Fit(np.eye(2) * 0.01, N, 20)


def tally(fit: Fit = RIGHT, **changes: Any) -> HVTally:
    lengths = Lengths(
        n=N, n_outside=4 * N, length=0.65 * N, length_outside=0.6 * N, channel=np.zeros(2),
        low=-1.0, high=1.0, saturated=N // 50, noise=0.03, squares=0.5 * N, true_squares=0.5 * N,
        products=np.eye(2) * 0.22 * N, true_length=0.68 * N, n_channel=N // 2, parts=20,
    )  # fmt: skip
    return HVTally((replace(lengths, **changes),), fit, fit, fit)


def test_healthy_lengths_are_ok() -> None:
    judges = (hv_collapsed, hv_zero, hv_saturated, hv_scale, hv_noise, hv_outside)
    assert {judge(tally()).verdict for judge in judges} == {"ok"}
    assert {judge(HVTally(())).verdict for judge in judges} == {"not tested"}


def test_short_hv_that_points_right_is_a_warning_that_says_what_length_is_worth() -> None:
    finding = hv_collapsed(tally(length=0.02 * N))
    assert finding.verdict == "warn"
    assert "does not make a blob" in finding.evidence
    assert finding.remedy.action == "hv_scale"
    assert finding.remedy.value == pytest.approx(34, rel=0.01)
    assert hv_collapsed(tally(length=0.2 * N)).certainty < finding.certainty


def test_short_hv_without_direction_is_a_fault() -> None:
    assert hv_collapsed(tally(LOST, length=0.02 * N)).verdict == "fault"
    assert hv_collapsed(tally(LOST, length=0.0)).title == "HV is 0"
    assert hv_collapsed(tally(LOST, length=0.2 * N)).verdict == "ok"


def test_no_better_than_zero_is_a_fault_unless_the_reading_explains_it() -> None:
    worse = {"squares": 0.5 * N, "products": np.zeros((2, 2))}
    assert hv_zero(tally(LOST, **worse)).verdict == "fault"
    finding = hv_zero(tally(**worse))
    assert (finding.verdict, finding.value) == ("ok", pytest.approx(2.0))
    assert hv_zero(tally(true_squares=0.0)).verdict == "not tested"


@pytest.mark.parametrize(("share", "verdict"), [(0.1, "ok"), (0.3, "warn"), (0.8, "fault")])
def test_saturation(share: float, verdict: str) -> None:
    assert hv_saturated(tally(saturated=int(share * N))).verdict == verdict
    long = tally(saturated=int(share * N), high=90.0, length=60.0 * N)
    assert hv_saturated(long).verdict == "ok"


def test_saturated_hv_is_not_called_too_long() -> None:
    ends = tally(saturated=N, length=1.4 * N)
    assert hv_scale(ends).verdict == "ok"
    assert hv_saturated(ends).verdict == "fault"


@pytest.mark.parametrize(("factor", "verdict", "words", "value"), [
    (127.0, "fault", "never divided by 127", 1 / 127), (3.0, "fault", "times too long", 1 / 3),
    (1.5, "warn", "times too long", 1 / 1.5), (1 / 127, "fault", "once too often", 127.0),
    (1.1, "ok", "Scale", None),
])  # fmt: skip
def test_scale(factor: float, verdict: str, words: str, value: float | None) -> None:
    found = tally(length=0.68 * factor * N, low=-factor, high=factor, noise=0.0)
    finding = hv_scale(found)
    assert finding.verdict == verdict
    assert words in finding.title
    if value is not None:
        assert finding.remedy.value == pytest.approx(value, rel=1e-3)


def test_hv_that_is_not_centred() -> None:
    moved = {"channel": np.array([0.5, 0.5]) * N / 2, "low": 0.0}
    assert hv_scale(tally(**moved)).title == "HV is stored in 0..1"
    assert "sign is lost" in hv_scale(tally(LOST, **moved)).title
    assert hv_scale(tally(**{**moved, "low": -0.5})).title == "HV is not centred on 0"
    assert hv_scale(tally(**{**moved, "parts": 2})).verdict == "ok"


def test_whole_numbers_are_a_fault() -> None:
    assert hv_scale(tally(), whole=True).verdict == "fault"


@pytest.mark.parametrize(("noise", "verdict"), [(0.1, "ok"), (0.18, "warn"), (0.4, "fault")])
def test_noise_is_relative_to_length(noise: float, verdict: str) -> None:
    assert hv_noise(tally(noise=noise)).verdict == verdict
    assert hv_noise(tally(noise=noise, length=65.0 * N)).verdict == "ok"


def test_outside_is_information() -> None:
    finding = hv_outside(tally(NO_FIT, length_outside=9.0 * N))
    assert (finding.verdict, finding.value) == ("ok", pytest.approx(2.25))
