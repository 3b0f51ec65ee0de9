"""Bounds of the checks of maps."""

from __future__ import annotations

from dataclasses import fields

import pytest

from napari_hovernet.core.diagnosis.map_limits import MapLimits
from napari_hovernet.core.measure.magnitude import MagnitudeBands
from napari_hovernet.errors import InputError


def test_bounds_are_those_of_the_magnitude_bands_and_all_are_explained() -> None:
    limits, bands = MapLimits(), MagnitudeBands()
    assert (limits.collapsed, limits.weak) == (bands.collapsed, bands.weak)
    assert bands.target_low <= limits.usual_length <= bands.target_high
    text = MapLimits.__doc__ or ""
    assert [f.name for f in fields(MapLimits) if f.name not in text] == []


def test_warnings_come_before_faults() -> None:
    limits = MapLimits()
    assert limits.noise_warn < limits.noise
    assert limits.saturated_warn < limits.saturated
    assert limits.overshoot_warn < limits.overshoot
    assert limits.direction < limits.direction_warn
    assert limits.threshold_gain_warn < limits.threshold_gain


def test_a_bound_is_finite() -> None:
    with pytest.raises(InputError, match="noise is nan"):
        MapLimits(noise=float("nan"))
