"""What can be tuned: everything is named, ranges are real, values make the round trip."""

from __future__ import annotations

import math
from dataclasses import fields, replace

import pytest

from napari_hovernet.core.hv import HVReading
from napari_hovernet.core.params import METHODS, PRESETS, SeparationParams
from napari_hovernet.core.separation.tuning import (
    TUNABLES,
    TuneParams,
    tunable,
    tunables_for,
    value_of,
    with_value,
)
from napari_hovernet.errors import InputError

NO_NUMBERS = {"method", "merge_touching"}
"""Fields with controls of their own."""
NEVER_MATTERS = {"band_rows"}
NAMES = [t.name for t in TUNABLES]


def test_every_field_can_be_tuned_or_is_a_named_exception():
    tuned = {name.split(".")[0] for name in NAMES if not name.startswith("hv.")}
    wanted = {f.name for f in fields(SeparationParams)}
    assert tuned == wanted - NO_NUMBERS - NEVER_MATTERS
    assert len(set(NAMES)) == len(NAMES)


def test_every_field_of_the_reading_has_a_control():
    assert {f.name for f in fields(HVReading)} == {"order", "sign", "scale"}
    assert "hv.scale" in NAMES


@pytest.mark.parametrize("known", TUNABLES, ids=NAMES)
def test_words_and_steps_are_complete(known):
    assert known.title and known.help.endswith(".")
    assert known.low < known.high and known.step > 0
    assert set(known.reads) <= set(METHODS) and known.reads
    assert round(known.step, known.decimals) == known.step, "a step that the spin box cannot show"


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_lie_on_the_sliders(preset):
    params = TuneParams(SeparationParams.preset(preset))
    for known in tunables_for(params.separation.method):
        value = value_of(params, known.name)
        assert known.snap(value) == pytest.approx(value), known.name


@pytest.mark.parametrize("known", TUNABLES, ids=NAMES)
def test_the_whole_range_is_allowed_and_comes_back(known):
    for share in (0.0, 0.013, 0.31, 0.5, 0.77, 1.0):
        value = known.snap(known.low + share * (known.high - known.low))
        assert known.low <= value <= known.high
        changed = with_value(TuneParams(), known.name, value)
        assert value_of(changed, known.name) == value
        again = with_value(changed, known.name, value_of(TuneParams(), known.name))
        if not known.name.startswith("magnitude_"):  # those may take their partner along
            assert again == TuneParams()


@pytest.mark.parametrize("name", [n for n in NAMES if not n.startswith("magnitude_")])
def test_one_number_changes_and_no_other(name):
    changed = with_value(TuneParams(), name, tunable(name).high)
    assert [n for n in NAMES if value_of(changed, n) != value_of(TuneParams(), n)] == [name]


def test_bounds_that_would_cross_take_each_other_along():
    both = replace(SeparationParams(), magnitude_low=0.5, magnitude_high=0.9)
    up = with_value(TuneParams(both), "magnitude_low", 1.2).separation
    assert (up.magnitude_low, up.magnitude_high) == (1.2, 1.2)
    down = with_value(TuneParams(both), "magnitude_high", 0.3).separation
    assert (down.magnitude_low, down.magnitude_high) == (0.3, 0.3)
    inside = with_value(TuneParams(both), "magnitude_low", 0.7).separation
    assert (inside.magnitude_low, inside.magnitude_high) == (0.7, 0.9)


def test_scales_of_any_number_have_a_finest_and_a_coarsest():
    one = TuneParams(SeparationParams(scales=(2.0,)))
    assert value_of(one, "scales.0") == value_of(one, "scales.1") == 2.0
    assert with_value(one, "scales.1", 5).separation.scales == (2.0, 5.0)
    three = TuneParams(SeparationParams(scales=(1.0, 2.0, 4.0)))
    assert (value_of(three, "scales.0"), value_of(three, "scales.1")) == (1.0, 4.0)


def test_snap():
    assert tunable("sobel_size").snap(20.2) == 21
    assert {tunable("sobel_size").snap(v) for v in range(40)} == set(range(3, 32, 2))
    assert all(tunable("magnitude_window").snap(v) % 2 == 1 for v in range(600))
    assert tunable("depth").snap(0.1234) == 0.12
    assert tunable("depth").snap(-3) == 0.0 and tunable("depth").snap(7) == 1.0
    assert isinstance(tunable("min_area").snap(3.4), int)


def test_whole_numbers_stay_whole():
    assert isinstance(with_value(TuneParams(), "min_area", 30.0).separation.min_area, int)
    assert isinstance(with_value(TuneParams(), "depth", 1).separation.depth, float)


@pytest.mark.parametrize("method", METHODS)
def test_a_method_lists_what_it_reads(method):
    names = [t.name for t in tunables_for(method)]
    assert {"np_threshold", "min_area", "hv.scale"} <= set(names)
    assert ("depth" in names) == (method == "local")
    assert ("sobel_size" in names) == (method == "hover_net")
    assert ("peak_distance" in names) == (method == "magnitude_peaks")


@pytest.mark.parametrize("name", ["", "method", "band_rows", "scales", "scales.2", "hv.order", "x"])
def test_what_cannot_be_tuned_is_named_with_what_can(name):
    for call in (tunable, lambda n: value_of(TuneParams(), n)):
        with pytest.raises(InputError, match="cannot be tuned; choose one of np_threshold"):
            call(name)
    with pytest.raises(InputError, match="cannot be tuned"):
        with_value(TuneParams(), name, 1)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", ["depth", "min_area", "hv.scale", "scales.0"])
def test_numbers_that_are_none_are_refused(name, value):
    with pytest.raises(InputError, match=f"{name} is {value}; give a finite number"):
        with_value(TuneParams(), name, value)


@pytest.mark.parametrize(
    ("name", "value"), [("np_threshold", 1.2), ("sobel_size", 20), ("hv.scale", 0.001)]
)
def test_values_out_of_range_are_refused(name, value):
    with pytest.raises(InputError, match="give"):
        with_value(TuneParams(), name, value)
