from __future__ import annotations

import pytest

from napari_hovernet._napari.widgets.stage_boxes import ABSOLUTE, AUTO, StageBoxes


@pytest.fixture
def boxes(qtbot):
    boxes = StageBoxes()
    qtbot.addWidget(boxes)
    return boxes


@pytest.mark.parametrize("role", ["hv_arrows", "energy", "markers", "mask"])
def test_a_box_announces_its_stage(boxes, qtbot, role):
    for on in (True, False):
        with qtbot.waitSignal(boxes.stageToggled) as told:
            boxes.boxes[role].click()
        assert told.args == [role, on]


def test_automatic_limits_are_plain_to_see(boxes, qtbot):
    with qtbot.waitSignal(boxes.autoToggled) as told:
        boxes.auto.click()
    assert told.args == [True]
    boxes.setValue(lambda _role: False, auto=True)
    assert boxes.auto.text() == AUTO and boxes.auto.styleSheet()
    boxes.setValue(lambda _role: False, auto=False)
    assert boxes.auto.text() == ABSOLUTE and not boxes.auto.styleSheet()
    assert not boxes.auto.isChecked()


def test_set_from_outside_is_not_announced(boxes, qtbot):
    with qtbot.assertNotEmitted(boxes.stageToggled), qtbot.assertNotEmitted(boxes.autoToggled):
        boxes.setValue(lambda role: role == "mask", auto=True)
    assert [role for role, box in boxes.boxes.items() if box.isChecked()] == ["mask"]
