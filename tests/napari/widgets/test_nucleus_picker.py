from __future__ import annotations

import pytest

from napari_hovernet._napari.widgets.nucleus_picker import NucleusPicker


@pytest.fixture
def picker(qtbot):
    picker = NucleusPicker()
    qtbot.addWidget(picker)
    return picker


def test_an_id_typed_in_is_announced_and_one_set_is_not(picker, qtbot):
    with qtbot.assertNotEmitted(picker.valueChanged):
        picker.setValue(2**31 - 1)
    assert picker.value() == 2**31 - 1
    with qtbot.waitSignal(picker.valueChanged) as told:
        picker.box.setValue(7)
    assert told.args == [7]


def test_buttons_ask_for_a_step(picker, qtbot):
    for button, by in ((picker.before, -1), (picker.after, 1)):
        with qtbot.waitSignal(picker.stepRequested) as told:
            button.click()
        assert told.args == [by]


def test_zero_reads_none(picker):
    picker.setValue(0)
    assert picker.box.text() == "none"
