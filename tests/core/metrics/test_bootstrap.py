from __future__ import annotations

import math

import numpy as np
import pytest

from napari_hovernet.core.measure.metrics import BootstrapParams, bootstrap_mean
from napari_hovernet.errors import InputError


def test_the_interval_of_many_values_is_that_of_the_normal_law() -> None:
    values = np.random.default_rng(0).normal(0.6, 0.1, 400)
    interval = bootstrap_mean(values)
    half = 1.96 * values.std() / 20
    assert interval.mean == pytest.approx(values.mean())
    assert interval.low == pytest.approx(values.mean() - half, abs=0.0008)
    assert interval.high == pytest.approx(values.mean() + half, abs=0.0008)
    assert interval.n == 400


def test_the_interval_equals_resampling_by_hand() -> None:
    values = np.array([0.1, 0.4, 0.5, 0.9])
    rng = np.random.default_rng(7)
    means = values[rng.integers(0, 4, (20000, 4))].mean(axis=1)
    interval = bootstrap_mean(values)
    assert interval.low == pytest.approx(np.quantile(means, 0.025), abs=0.02)
    assert interval.high == pytest.approx(np.quantile(means, 0.975), abs=0.02)


def test_the_same_seed_gives_the_same_interval() -> None:
    values = np.random.default_rng(0).random(9)
    assert bootstrap_mean(values) == bootstrap_mean(values)
    assert bootstrap_mean(values) != bootstrap_mean(values, BootstrapParams(seed=1))


def test_confidence_widens_the_interval() -> None:
    values = np.random.default_rng(0).random(30)
    wide = bootstrap_mean(values, BootstrapParams(confidence=0.99))
    narrow = bootstrap_mean(values, BootstrapParams(confidence=0.5))
    assert wide.low < narrow.low < narrow.high < wide.high


def test_nan_is_left_out() -> None:
    assert bootstrap_mean([np.nan, 0.2, 0.6]) == bootstrap_mean([0.2, 0.6])


def test_no_value_and_one_value() -> None:
    nothing = bootstrap_mean([np.nan])
    assert nothing.n == 0
    assert math.isnan(nothing.mean)
    one = bootstrap_mean([0.4])
    assert (one.mean, one.n) == (0.4, 1)
    assert math.isnan(one.low)
    assert math.isnan(one.high)


def test_equal_values_have_no_width() -> None:
    interval = bootstrap_mean([0.5] * 5)
    assert (interval.low, interval.high) == (0.5, 0.5)


def test_infinity_is_refused() -> None:
    with pytest.raises(InputError, match="infinite"):
        bootstrap_mean([1.0, np.inf])


@pytest.mark.parametrize(
    ("name", "value"), [("confidence", 1.0), ("resamples", 0), ("seed", -1), ("confidence", 0)]
)
def test_params_out_of_range_are_refused(name: str, value: float) -> None:
    with pytest.raises(InputError, match=f"{name} is {value}"):
        BootstrapParams(**{name: value})
