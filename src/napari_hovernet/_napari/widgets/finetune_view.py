"""How the editors of the panel "Fine-tune" are laid out; no behaviour."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFrame, QScrollArea, QTabWidget, QVBoxLayout, QWidget

from .parts import note
from .run_view import RunViewBox
from .runs_table import RunsTable
from .setup_editor import SetupEditor
from .start_box import StartBox

PANEL_WIDTH = 380
"""Width in pixels at which nothing is cut off."""
SET_UP, RUNS = "Set up", "Runs"


class FinetuneView(QWidget):
    """Two tabs: what to train, and the runs."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName("Fine-tune")
        self.setMinimumWidth(PANEL_WIDTH)
        self.setup, self.foot = SetupEditor(), StartBox()
        self.table, self.run = RunsTable(), RunViewBox()
        self.message = note("", "What was done last")
        self.tabs = QTabWidget()
        self.tabs.setDocumentMode(True)
        self.tabs.addTab(self._set_up(), SET_UP)
        self.tabs.addTab(scrolling(self.table, self.message, self.run), RUNS)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.tabs)

    def show_runs(self) -> None:
        """Turn to the runs."""
        self.tabs.setCurrentIndex(1)

    def _set_up(self) -> QWidget:
        page = QWidget()
        column = QVBoxLayout(page)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(scrolling(self.setup), 1)
        column.addWidget(self.foot)
        return page


def scrolling(*widgets: QWidget) -> QScrollArea:
    """Put widgets below each other into an area that scrolls up and down."""
    body = QWidget()
    column = QVBoxLayout(body)
    column.setContentsMargins(8, 8, 8, 8)
    for widget in widgets:
        column.addWidget(widget)
    column.addStretch(1)
    area = QScrollArea()
    area.setWidgetResizable(True)
    area.setFrameShape(QFrame.Shape.NoFrame)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    area.setWidget(body)
    return area
