"""Panels of the plugin share one place in a window."""

from __future__ import annotations

import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDockWidget, QMainWindow, QWidget

from napari_hovernet._napari.docking import PANEL_MARK, dock_of, join_tabs

RIGHT = Qt.DockWidgetArea.RightDockWidgetArea
LEFT = Qt.DockWidgetArea.LeftDockWidgetArea


@pytest.fixture
def window(qtbot):
    made = QMainWindow()
    qtbot.addWidget(made)
    made.resize(600, 400)
    made.show()
    return made


def docked(window: QMainWindow, area: Qt.DockWidgetArea = RIGHT) -> QWidget:
    """Dock a panel inside another widget, as napari does."""
    dock, outer, panel = QDockWidget(window), QWidget(), QWidget()
    panel.setParent(outer)
    dock.setWidget(outer)
    window.addDockWidget(area, dock)
    dock.show()
    return panel


def test_a_second_panel_joins_the_first(window, qtbot):
    first, other, second = docked(window), docked(window), docked(window)
    join_tabs(first)
    qtbot.waitUntil(lambda: bool(first.property(PANEL_MARK)))
    join_tabs(second)
    qtbot.waitUntil(lambda: bool(window.tabifiedDockWidgets(dock_of(first))))
    assert window.tabifiedDockWidgets(dock_of(first)) == [dock_of(second)]
    assert window.tabifiedDockWidgets(dock_of(other)) == []


@pytest.mark.parametrize("away", ["floating", "other side"])
def test_a_panel_put_elsewhere_stays_there(window, qtbot, away):
    first = docked(window)
    second = docked(window, LEFT if away == "other side" else RIGHT)
    dock_of(second).setFloating(away == "floating")
    for panel in (first, second):
        join_tabs(panel)
    qtbot.wait(50)
    assert window.tabifiedDockWidgets(dock_of(first)) == []
    assert dock_of(second).isFloating() == (away == "floating")


def test_a_panel_without_a_dock_or_gone_is_let_be(qtbot):
    alone = QWidget()
    qtbot.addWidget(alone)
    assert dock_of(alone) is None
    join_tabs(alone)
    gone = QWidget()
    join_tabs(gone)
    gone.deleteLater()
    del gone
    qtbot.wait(50)
    assert alone.property(PANEL_MARK)
