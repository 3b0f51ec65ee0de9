from __future__ import annotations

import numpy as np
import pytest

from napari_hovernet._napari.widgets.score_table import ScoreTable
from napari_hovernet.core.measure.compare import compare


@pytest.fixture
def table(qtbot):
    table = ScoreTable()
    qtbot.addWidget(table)
    return table


def texts(table, row):
    return [table.item(row, column).text() for column in range(table.columnCount())]


def labels():
    labels = np.zeros((40, 60), np.int32)
    labels[8:32, 6:30], labels[8:32, 30:54] = 4, 9
    return labels


def test_rows_and_columns_have_names_and_meanings(table):
    columns = [table.horizontalHeaderItem(i) for i in range(table.columnCount())]
    assert [c.text() for c in columns] == ["Dice", "AJI", "AJI+", "DQ", "SQ", "PQ", "Nuclei"]
    rows = [table.verticalHeaderItem(i) for i in range(table.rowCount())]
    assert [r.text() for r in rows] == ["Prediction", "Components", "Oracle"]
    assert all(len(item.toolTip()) > 20 for item in [*columns, *rows])


def test_scores_are_shown_and_taken_back(table):
    assert texts(table, 0) == ["-"] * 7 and table.value() is None
    comparison = compare(labels(), labels())
    table.setValue(comparison)
    assert texts(table, 0) == ["1.00"] * 6 + ["2"]
    assert texts(table, 1) == ["1.00", "0.50", "0.33", "0.00", "0.00", "0.00", "1"]
    assert float(texts(table, 2)[1]) > 0.97
    assert table.item(1, 1).toolTip() == "AJI 0.500000"
    assert table.item(1, 6).toolTip() == "1 nuclei, true 2"
    assert table.value() is comparison
    table.setValue(None)
    assert texts(table, 2) == ["-"] * 7


def test_all_rows_are_in_sight(table):
    assert table.height() >= sum(table.rowHeight(i) for i in range(3)) + table.rowHeight(0)
