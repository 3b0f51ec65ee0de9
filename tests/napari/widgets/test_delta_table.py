from __future__ import annotations

import pytest

from napari_hovernet._napari.widgets.delta_table import DeltaTable
from napari_hovernet.app.study import DeltaRow

ROWS = (
    DeltaRow("Nuclei", "How many.", 1200, 1100),
    DeltaRow("Verdict", "In a word.", "healthy", "weak"),
    DeltaRow("AJI", "Score.", float("nan"), 0.5, 3),
)


@pytest.fixture
def table(qtbot):
    table = DeltaTable()
    qtbot.addWidget(table)
    return table


def test_lines_show_both_and_the_difference(table):
    table.setValue(ROWS)
    texts = [[table.item(r, c).text() for c in range(3)] for r in range(3)]
    assert texts == [
        ["1,200", "1,100", "-100"],
        ["healthy", "weak", "differs"],
        ["-", "0.500", "-"],
    ]
    assert [table.verticalHeaderItem(r).text() for r in range(3)] == ["Nuclei", "Verdict", "AJI"]
    assert table.item(0, 0).toolTip() == "How many." and table.value() == ROWS


def test_all_lines_fit_and_none_takes_no_room(table, qtbot):
    assert table.isHidden()
    table.setValue(ROWS)
    assert not table.isHidden()
    high = table.height()
    table.setValue(ROWS[:1])
    assert table.height() < high and table.rowCount() == 1
    table.setValue(())
    assert table.isHidden()
