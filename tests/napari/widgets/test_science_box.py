from __future__ import annotations

import pytest
from qtpy.QtCore import Qt
from qtpy.QtGui import QValidator

from napari_hovernet._napari.widgets.science_box import ScienceBox, short, stepped


@pytest.fixture
def box(qtbot):
    box = ScienceBox()
    box.setRange(0.0, 10.0)
    qtbot.addWidget(box)
    return box


def test_both_spellings_can_be_typed(box, qtbot):
    for text, value in (("0.0003", 3e-4), ("2e-5", 2e-5), ("1E-3", 1e-3)):
        box.selectAll()
        qtbot.keyClicks(box, text)
        qtbot.keyClick(box, Qt.Key.Key_Return)
        assert box.value() == pytest.approx(value)


def test_what_is_no_number_changes_nothing(box):
    box.setValue(1e-4)
    assert box.valueFromText("1e-") == 1e-4
    assert box.validate("1e-", 3)[0] == QValidator.State.Intermediate
    assert box.validate("99", 2)[0] == QValidator.State.Intermediate
    assert box.validate("1e-9", 4)[0] == QValidator.State.Acceptable


def test_arrows_go_through_powers_of_ten(box):
    box.setValue(1e-4)
    seen = []
    for _ in range(4):
        box.stepBy(1)
        seen.append(box.text())
    assert seen == ["2e-4", "5e-4", "1e-3", "2e-3"]
    box.stepBy(-4)
    assert box.text() == "1e-4"


@pytest.mark.parametrize("value", [1e-12, 1e-6, 2.5e-4, 0.01, 0.25, 1.0, 123.0])
def test_a_number_reads_as_what_it_is(value):
    assert float(short(value)) == value
    assert stepped(value, up=False) < value < stepped(value, up=True)
