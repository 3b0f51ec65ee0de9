from __future__ import annotations

import pytest

from napari_hovernet._napari.widgets.bands_editor import BandsEditor
from napari_hovernet.core.measure.magnitude import MagnitudeBands


@pytest.fixture
def editor(qtbot):
    editor = BandsEditor()
    qtbot.addWidget(editor)
    return editor


def test_an_edit_is_announced(editor, qtbot):
    with qtbot.waitSignal(editor.valueChanged) as told:
        editor.boxes["healthy"].setValue(0.62)
    assert told.args == [MagnitudeBands(healthy=0.62)]
    assert editor.value().healthy == 0.62
    assert editor.reset.isEnabled()


def test_bounds_out_of_order_are_told_and_not_announced(editor, qtbot):
    with qtbot.assertNotEmitted(editor.valueChanged):
        editor.boxes["collapsed"].setValue(0.40)
    assert "collapsed 0.4, weak 0.25" in editor.remark.text()
    assert not editor.remark.isHidden()
    assert editor.value() == MagnitudeBands()
    with qtbot.waitSignal(editor.valueChanged) as told:
        editor.boxes["weak"].setValue(0.45)
    assert (told.args[0].collapsed, told.args[0].weak) == (0.40, 0.45)
    assert editor.remark.isHidden()


def test_reset(editor, qtbot):
    editor.setValue(MagnitudeBands(collapsed=0.01, direction=0.5))
    with qtbot.waitSignal(editor.valueChanged) as told:
        editor.reset.click()
    assert told.args == [MagnitudeBands()]
    assert editor.boxes["collapsed"].value() == 0.10
    assert not editor.reset.isEnabled()


def test_set_from_outside_is_not_announced(editor, qtbot):
    with qtbot.assertNotEmitted(editor.valueChanged):
        editor.setValue(MagnitudeBands(healthy=0.7))
    assert editor.boxes["healthy"].value() == 0.70


def test_fields_without_a_box_are_kept(editor):
    editor.setValue(MagnitudeBands(target_low=0.6))
    editor.boxes["weak"].setValue(0.3)
    assert editor.value() == MagnitudeBands(target_low=0.6, weak=0.3)
