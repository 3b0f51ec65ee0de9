"""Numbers of two runs beside each other, and what B has more."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem, QWidget

from ...app.study import DeltaRow
from .parts import named

COLUMNS = ("A", "B", "B - A")
TIGHT = "QTableWidget::item { padding: 0px; } QHeaderView::section { padding: 2px; }"
"""Takes napari's padding back, so that a line fits into a narrow dock."""


class DeltaTable(QTableWidget):
    """One line per number; hidden while there is none."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(0, len(COLUMNS), parent)
        named(self, "Two runs", "Numbers of A and B; hover a line for its meaning.")
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setHorizontalHeaderLabels(list(COLUMNS))
        header = self.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        header.setMinimumSectionSize(0)
        self.setStyleSheet(TIGHT)
        self._rows: tuple[DeltaRow, ...] = ()
        self.setValue(())

    def value(self) -> tuple[DeltaRow, ...]:
        """Return the lines shown."""
        return self._rows

    def setValue(self, rows: Sequence[DeltaRow]) -> None:  # noqa: N802
        """Show lines."""
        self._rows = tuple(rows)
        self.setVisible(bool(self._rows))
        self.setRowCount(len(self._rows))
        self.setVerticalHeaderLabels([row.name for row in self._rows])
        for number, row in enumerate(self._rows):
            self.verticalHeaderItem(number).setToolTip(row.tip)
            for column, text in enumerate(row.texts()):
                item = QTableWidgetItem(text)
                item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
                item.setToolTip(row.tip)
                self.setItem(number, column, item)
        self._fit()

    def _fit(self) -> None:
        self.resizeRowsToContents()
        rows = sum(self.rowHeight(row) for row in range(self.rowCount()))
        height = rows + self.horizontalHeader().sizeHint().height() + 2 * self.frameWidth()
        self.setFixedHeight(height)
