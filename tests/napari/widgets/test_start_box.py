from __future__ import annotations

import pytest

from napari_hovernet._napari.widgets.layers_dialog import NONE, LayersDialog
from napari_hovernet._napari.widgets.start_box import CHECKING, QUEUE, START, StartBox
from napari_hovernet.app.training import Checked
from napari_hovernet.core.params import DataParams


@pytest.fixture
def box(qtbot):
    box = StartBox()
    qtbot.addWidget(box)
    return box


def test_what_a_check_found(box):
    box.setValue(None, checking=True)
    assert box.summary.text() == CHECKING and not box.check.isEnabled()
    found = Checked(DataParams(), "", "fine", (), ("odd",), ("in order",))
    box.setValue(found)
    box.set_estimate("2 h")
    texts = [x.text() for x in (box.summary, box.warnings, box.findings, box.estimate)]
    assert texts == ["fine", "odd", "in order", "2 h"]
    assert box.start.isEnabled() and box.problems.isHidden()


def test_refused_data_cannot_be_started_with(box, qtbot):
    box.setValue(Checked(DataParams(), problems=("all empty",), refused=True))
    assert not box.start.isEnabled() and "all empty" in box.problems.text()
    box.setValue(None)
    assert box.start.isEnabled() and box.scroll.isHidden()


def test_a_second_run_waits(box):
    assert box.start.text() == START
    box.set_queue(True)
    assert (box.start.text(), box.start.accessibleName()) == (QUEUE, QUEUE)


def test_layers_to_tick(qtbot):
    dialog = LayersDialog(["a  +  b", "c  +  d"], [False, True])
    qtbot.addWidget(dialog)
    assert dialog.value() == [1]
    dialog.list.item(1).setCheckState(dialog.list.item(0).checkState())
    ok = dialog.buttons.button(dialog.buttons.StandardButton.Ok)
    assert dialog.value() == [] and not ok.isEnabled()
    dialog.list.item(0).setCheckState(2 and dialog.list.item(0).checkState().Checked)
    dialog.split.setCurrentIndex(1)
    with qtbot.waitSignal(dialog.chosen) as told:
        dialog.accept()
    assert told.args == [[0], "val"]


def test_no_layers_to_tick(qtbot):
    dialog = LayersDialog([], [])
    qtbot.addWidget(dialog)
    assert dialog.remark.text() == NONE
