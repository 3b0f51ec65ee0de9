"""List of training runs with their state."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QBrush, QColor
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem, QWidget

from .parts import silent
from .plot_style import BAD_COLOR, FAIR_COLOR, GOOD_COLOR

if TYPE_CHECKING:
    from ...app.runs import RunInfo

HEADINGS = ("Run", "State", "Epoch", "AJI")
TIPS = (
    "Name of the run and of its folder.",
    "What it is doing.",
    "Finished epochs of those planned.",
    "AJI of the validation images after the last finished epoch.",
)
ROWS_SHOWN = 5
COLORS = {
    "running": GOOD_COLOR,
    "starting": GOOD_COLOR,
    "paused": FAIR_COLOR,
    "queued": FAIR_COLOR,
    "failed": BAD_COLOR,
    "killed": BAD_COLOR,
    "broken": BAD_COLOR,
}
"""Colours of states; others have that of the text."""


class RunsTable(QTableWidget):
    """One line per run, the latest first."""

    valueChanged = Signal(str)  # noqa: N815 - name of the chosen run

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(0, len(HEADINGS), parent)
        self._names: tuple[str, ...] = ()
        self.setHorizontalHeaderLabels(HEADINGS)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setAccessibleName("Training runs")
        rows, header = self.verticalHeader(), self.horizontalHeader()
        if rows is not None and header is not None:
            rows.hide()
            self.setFixedHeight((ROWS_SHOWN + 1) * rows.defaultSectionSize())
            header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
            header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        for column, tip in enumerate(TIPS):
            item = self.horizontalHeaderItem(column)
            if item is not None:
                item.setToolTip(tip)
        self.itemSelectionChanged.connect(self._selected)

    def value(self) -> str:
        """Return the name of the chosen run, "" for none."""
        row = self.currentRow()
        chosen = self.selectionModel() and self.selectedItems()
        return self._names[row] if chosen and 0 <= row < len(self._names) else ""

    def setValue(self, name: str) -> None:  # noqa: N802
        """Choose a run without announcing it."""
        with silent(self):
            if name in self._names:
                self.selectRow(self._names.index(name))
            else:
                self.clearSelection()

    def set_runs(self, runs: Sequence[RunInfo]) -> None:
        """Show runs; the chosen one stays chosen."""
        chosen = self.value()
        with silent(self):
            self._names = tuple(run.name for run in runs)
            self.setRowCount(len(runs))
            for row, run in enumerate(runs):
                self.set_run(row, run)
        self.setValue(chosen)

    def set_run(self, row: int, run: RunInfo) -> None:
        """Bring one line up to date."""
        for column, text in enumerate(cells(run)):
            item = self.item(row, column)
            if item is None:
                item = QTableWidgetItem()
                if column:
                    item.setTextAlignment(Qt.AlignmentFlag.AlignCenter)
                self.setItem(row, column, item)
            if item.text() != text:
                item.setText(text)
            item.setToolTip(run.message or str(run.folder.path))
        state = self.item(row, 1)
        if state is not None:
            color = COLORS.get(run.state)
            state.setForeground(QBrush() if color is None else QBrush(QColor(*color)))

    def update_run(self, run: RunInfo | None) -> None:
        """Bring the line of a run up to date, if it is there."""
        if run is not None and run.name in self._names:
            with silent(self):
                self.set_run(self._names.index(run.name), run)

    def _selected(self) -> None:
        name = self.value()
        if name:
            self.valueChanged.emit(name)


def cells(run: RunInfo) -> tuple[str, str, str, str]:
    """Return what the columns say of a run."""
    aji = run.score("aji")
    planned = f" of {run.n_epochs}" if run.n_epochs else ""
    return (
        run.name,
        run.state,
        f"{run.epoch}{planned}",
        "" if math.isnan(aji) else f"{aji:.3f}",
    )
