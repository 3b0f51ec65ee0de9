from __future__ import annotations

import pytest

from napari_hovernet._napari.widgets.counts_table import UNKNOWN, CountsTable
from napari_hovernet.core.separation.tuning import StageCounts


@pytest.fixture
def table(qtbot):
    table = CountsTable()
    qtbot.addWidget(table)
    return table


def texts(cells):
    return [cells[key].text() for key in ("components", "markers", "instances")]


def test_nothing_is_known_at_first(table):
    assert texts(table.was) == texts(table.now) == [UNKNOWN] * 3 and table.head.text() == "now"


def test_counts_of_the_run_and_of_now(table):
    table.set_was(StageCounts(components=26, markers=60, instances=58))
    table.set_now(StageCounts(components=1234567, markers=0, instances=7), "in view")
    assert texts(table.was) == ["26", "60", "58"]
    assert texts(table.now) == ["1,234,567", "0", "7"]
    assert table.head.text() == "now, in view"


def test_counts_that_are_gone_are_not_shown_any_more(table):
    table.set_was(StageCounts(1, 2, 3))
    table.set_now(StageCounts(1, 2, 3), "whole run")
    table.set_now(None, "whole run")
    table.set_was(None)
    assert texts(table.was) == texts(table.now) == [UNKNOWN] * 3 and table.head.text() == "now"


def test_cells_have_names_for_screen_readers(table):
    assert table.was["markers"].accessibleName() == "Markers, as run"
    assert table.now["instances"].accessibleName() == "Nuclei, now"
    assert "watershed" in table.now["markers"].toolTip()
