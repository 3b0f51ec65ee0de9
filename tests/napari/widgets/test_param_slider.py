"""Slider, spin box, keyboard and reset button move one number together."""

from __future__ import annotations

import pytest
from qtpy.QtCore import Qt

from napari_hovernet._napari.widgets.param_slider import ParamSlider
from napari_hovernet.core.separation.tuning import TUNABLES, TuneParams, tunable, value_of

NAMES = [known.name for known in TUNABLES]


@pytest.fixture
def make(qtbot):
    """Make the slider of a parameter at its default; what it says is in ``slider.said``."""

    def make(name):
        slider = ParamSlider(tunable(name))
        qtbot.addWidget(slider)
        slider.set_default(value_of(TuneParams(), name))
        slider.setValue(value_of(TuneParams(), name))
        slider.said = []
        slider.valueChanged.connect(slider.said.append)
        return slider

    return make


@pytest.mark.parametrize("name", NAMES)
def test_values_make_the_round_trip_in_silence(make, name):
    slider, known = make(name), tunable(name)
    for share in (0, 0.013, 0.5, 0.77, 1):
        value = known.snap(known.low + share * (known.high - known.low))
        slider.setValue(value)
        assert slider.value() == value
        assert slider.spin.value() == pytest.approx(value)
    assert slider.said == []


@pytest.mark.parametrize("name", NAMES)
def test_the_slider_reaches_both_ends_and_says_so(make, name):
    slider, known = make(name), tunable(name)
    slider.slider.setValue(slider.slider.maximum())
    assert slider.value() == known.high
    slider.slider.setValue(slider.slider.minimum())
    assert slider.value() == known.low
    assert slider.said == [known.high, known.low]


@pytest.mark.parametrize("name", NAMES)
def test_every_place_of_the_slider_is_a_step(make, name):
    slider, known = make(name), tunable(name)
    for at in range(slider.slider.maximum() + 1):
        slider.slider.setValue(at)
        value = slider.value()
        assert known.low <= value <= known.high and known.snap(value) == value
        assert slider.spin.value() == pytest.approx(value)


def test_the_spin_box_moves_the_slider(make):
    slider = make("depth")
    slider.spin.setValue(0.4)
    assert slider.value() == 0.4 and slider.slider.value() == 40 and slider.said == [0.4]


def test_a_number_is_taken_when_it_is_finished(make, qtbot):
    slider = make("depth")
    slider.spin.selectAll()
    qtbot.keyClicks(slider.spin, "0.37")
    assert slider.said == []  # 0, 0. and 0.3 were not meant
    qtbot.keyClick(slider.spin, Qt.Key.Key_Return)
    assert slider.said == [0.37]


@pytest.mark.parametrize(
    ("key", "wanted"),
    [
        (Qt.Key.Key_Right, 0.16),
        (Qt.Key.Key_Left, 0.14),
        (Qt.Key.Key_End, 1.0),
        (Qt.Key.Key_Home, 0.0),
    ],
)
def test_the_keyboard_moves_the_slider(make, qtbot, key, wanted):
    slider = make("depth")
    qtbot.keyClick(slider.slider, key)
    assert slider.said == [pytest.approx(wanted)]


def test_the_keyboard_moves_the_spin_box_by_steps(make, qtbot):
    slider = make("sobel_size")
    qtbot.keyClick(slider.spin, Qt.Key.Key_Up)
    qtbot.keyClick(slider.spin, Qt.Key.Key_Up)
    qtbot.keyClick(slider.spin, Qt.Key.Key_Down)
    assert slider.said == [23, 25, 23]


def test_a_number_between_two_steps_is_brought_to_one(make):
    slider = make("sobel_size")
    slider.setValue(19)
    slider.spin.setValue(24)
    assert slider.value() % 2 == 1 and slider.spin.value() == slider.value()
    slider.setValue(19)
    slider.said.clear()
    slider.spin.setValue(20)  # stands for 19: nothing changes, and 19 is shown
    assert slider.value() == slider.spin.value() == 19 and slider.said == []


def test_a_slider_that_goes_by_factors_has_its_middle_at_one(make):
    slider = make("hv.scale")
    assert slider.slider.value() == slider.slider.maximum() / 2
    slider.slider.setValue(slider.slider.maximum() * 3 // 4)
    assert slider.value() == pytest.approx(50**0.5, abs=0.01)


def test_keys_get_a_slider_that_goes_by_factors_out_of_its_low_end(make, qtbot):
    slider = make("hv.scale")
    slider.setValue(0.02)
    for _ in range(60):  # the first places all stand for 0.02
        qtbot.keyClick(slider.slider, Qt.Key.Key_Right)
    assert slider.value() > 0.02


def test_reset_leads_to_the_default_and_is_off_there(make, qtbot):
    slider = make("depth")
    assert not slider.reset.isEnabled()
    slider.spin.setValue(0.4)
    assert slider.reset.isEnabled()
    qtbot.mouseClick(slider.reset, Qt.MouseButton.LeftButton)
    assert slider.value() == 0.15 and slider.said == [0.4, 0.15]
    assert not slider.reset.isEnabled()


def test_a_default_between_steps_is_reached_exactly(make):
    slider = make("scales.0")
    slider.set_default(1.5 / 1.7)  # of a run at another resolution
    slider.reset.click()
    assert slider.value() == 1.5 / 1.7 and slider.said == [1.5 / 1.7]
    assert "0.882353 px" in slider.reset.toolTip()
    assert not slider.reset.isEnabled()


def test_a_value_beyond_the_slider_stays_as_it_is(make):
    slider = make("min_area")
    slider.setValue(5120)
    assert slider.value() == slider.spin.value() == 5120
    assert slider.slider.value() == slider.slider.maximum()
    assert slider.said == []
    slider.slider.setValue(30)
    assert slider.said == [30]
    assert slider.spin.maximum() == tunable("min_area").high


@pytest.mark.parametrize("name", NAMES)
def test_names_units_and_ranges_are_said(make, name):
    slider, known = make(name), tunable(name)
    for widget in (slider.slider, slider.spin):
        assert widget.accessibleName() == known.title
        assert known.help in widget.toolTip() and f"{known.high:g}" in widget.toolTip()
    assert slider.spin.suffix() == (f" {known.unit}" if known.unit else "")
    assert slider.reset.accessibleName() == f"Reset {known.title}"
