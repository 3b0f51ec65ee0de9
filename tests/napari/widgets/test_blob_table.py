from __future__ import annotations

import time
from dataclasses import replace
from types import SimpleNamespace

import pytest
from qtpy.QtCore import QModelIndex, Qt

from napari_hovernet._napari.widgets.blob_table import COLUMNS, EMPTY, BlobModel, BlobTable
from napari_hovernet.core.measure.blobs import BlobRow

NAN = float("nan")


def row(number, status="single", **keywords):
    base = BlobRow(
        number, (0, 0, 9, 9), (4.0, 4.0), 80, 1, 1, 1.0, 0.9, 0.8, number, 1.0, 0.9, 1, 0.0, 0.1,
        status,
    )  # fmt: skip
    return replace(base, **keywords)


ROWS = (
    row(5, "blob", expected=14, area_ratio=12.0, score=4.0, solidity=0.5),
    row(2, "blob", expected=2, score=1.5, rim_magnitude=NAN),
    row(1, "separated", n_instances=3, score=0.4),
    row(3, score=0.2),
    row(4, "empty", n_instances=0, score=0.0),
)
REPORT = SimpleNamespace(rows=ROWS)
TITLES = [title for _, title, _, _ in COLUMNS]


@pytest.fixture
def model(qapp):
    model = BlobModel()
    model.set_report(REPORT)
    return model


@pytest.fixture
def table(qtbot):
    table = BlobTable()
    qtbot.addWidget(table)
    table.rows.set_report(REPORT)
    return table


def text(model, line, title):
    return model.data(model.index(line, TITLES.index(title)))


def order(model):
    return [model.row_at(i).component for i in range(model.rowCount())]


def test_rows_stand_as_ranked_with_units_in_the_tips(model):
    assert (model.rowCount(), model.columnCount()) == (5, len(COLUMNS))
    assert order(model) == [5, 2, 1, 3, 4]
    assert text(model, 0, "Status") == "blob" and text(model, 0, "Likely") == "14"
    assert text(model, 0, "Area") == "12.0" and text(model, 1, "Rim") == EMPTY
    horizontal = Qt.Orientation.Horizontal
    tips = [model.headerData(i, horizontal, Qt.ItemDataRole.ToolTipRole) for i in range(7)]
    assert all(tips) and "areas of one nucleus" in tips[TITLES.index("Area")]
    assert model.rowCount(model.index(0, 0)) == 0 == model.columnCount(model.index(0, 0))


def test_sorting_keeps_rank_among_equals_and_can_be_undone(model):
    model.sort(TITLES.index("Likely"), Qt.SortOrder.AscendingOrder)
    assert order(model) == [1, 3, 4, 2, 5]
    model.sort(TITLES.index("Nuclei"), Qt.SortOrder.DescendingOrder)
    assert order(model) == [1, 5, 2, 3, 4]
    model.sort(TITLES.index("Rim"), Qt.SortOrder.AscendingOrder)
    assert order(model)[-1] == 2, "not known comes last"
    model.sort(-1)
    assert order(model) == [5, 2, 1, 3, 4]


def test_the_filter_holds_for_the_next_report_too(model):
    model.set_suspects_only(True)
    assert order(model) == [5, 2]
    model.set_report(None)
    assert order(model) == []
    model.set_report(REPORT)
    assert order(model) == [5, 2] and model.line_of(ROWS[2]) == -1
    model.set_suspects_only(False)
    assert model.line_of(ROWS[2]) == 2 and model.line_of(None) == -1


def test_the_colour_stands_beside_the_status(model):
    color = model.data(model.index(0, 0), Qt.ItemDataRole.DecorationRole)
    assert (color.red(), color.green(), color.blue()) == (230, 50, 20)
    assert model.data(model.index(0, 1), Qt.ItemDataRole.DecorationRole) is None
    assert model.data(QModelIndex()) is None


def test_clicks_and_arrow_keys_choose_a_component(table, qtbot):
    table.show()
    chosen = []
    table.valueChanged.connect(lambda r: chosen.append(r.component))
    point = table.visualRect(table.rows.index(1, 1)).center()
    qtbot.mouseClick(table.viewport(), Qt.MouseButton.LeftButton, pos=point)
    assert set(chosen) == {2}
    qtbot.keyClick(table, Qt.Key.Key_Down)
    assert chosen[-1] == 1 and table.value() is ROWS[2]
    n = len(chosen)
    qtbot.mouseClick(
        table.viewport(), Qt.MouseButton.LeftButton,
        pos=table.visualRect(table.rows.index(2, 1)).center(),
    )  # fmt: skip
    assert chosen[n:] == [1], "a click on the chosen line flies there again"


def test_a_value_set_from_outside_is_not_announced(table, qtbot):
    with qtbot.assertNotEmitted(table.valueChanged):
        table.setValue(ROWS[3])
        assert table.value() is ROWS[3]
        assert [i.row() for i in table.selectionModel().selectedRows()] == [3]
        table.setValue(None)
        assert table.value() is None and not table.selectionModel().hasSelection()


def test_a_header_sorts_and_a_third_click_ranks_again(table):
    header = table.horizontalHeader()
    header.setSortIndicator(TITLES.index("Solidity"), Qt.SortOrder.AscendingOrder)
    assert order(table.rows) == [5, 2, 1, 3, 4]
    header.setSortIndicator(TITLES.index("Points"), Qt.SortOrder.AscendingOrder)
    assert order(table.rows) == [4, 3, 1, 2, 5]
    header.setSortIndicator(-1, Qt.SortOrder.AscendingOrder)
    assert order(table.rows) == [5, 2, 1, 3, 4]


def test_20_000_rows_stay_quick(table):
    many = SimpleNamespace(rows=tuple(row(i, score=float(i % 97)) for i in range(20_000)))
    start = time.perf_counter()
    table.rows.set_report(many)
    table.rows.sort(TITLES.index("Points"), Qt.SortOrder.DescendingOrder)
    table.setValue(many.rows[-1])
    assert time.perf_counter() - start < 0.5
    assert table.value() is many.rows[-1]
