"""The ranked table of the blob check: thousands of rows, sorted and filtered at once."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QAbstractTableModel, QItemSelectionModel, QModelIndex, Qt, Signal
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableView, QWidget

from ..blob_layers import STATUS_COLORS
from .parts import named

if TYPE_CHECKING:
    from ...core.measure.blobs import BlobReport, BlobRow

COLUMNS = (
    ("status", "Status", "{}", "blob: holds a nucleus that looks like several; separated: several "
     "nuclei, none suspected; single: one; empty: of the mask, without a nucleus."),
    ("n_instances", "Nuclei", "{:,}", "Nuclei that the component became."),
    ("expected", "Likely", "{:,}", "Nuclei that it looks like, an estimate."),
    ("area_ratio", "Area", "{:.1f}", "Area of the component, in areas of one nucleus."),
    ("solidity", "Solidity", "{:.2f}", "Area over that of the convex hull, no unit: 1 = convex."),
    ("rim_magnitude", "Rim", "{:.2f}", "Mean HV magnitude along its inner boundary, no unit: near "
     "1 in a healthy map, near 0 in a collapsed one."),
    ("score", "Points", "{:.1f}", "Points of suspicion of its worst nucleus; 1 or more is "
     "suspected."),
)  # fmt: skip
"""Field of :class:`BlobRow`, header, format, what it means and its unit."""
EMPTY = "-"
HEADER_STYLE = "QHeaderView::section { padding: 2px 0px; }"
"""Seven titles fit side by side."""
ROWS_SHOWN = 12
"""Rows of the table before it scrolls."""


class BlobModel(QAbstractTableModel):
    """Rows of a report, as ranked or sorted by a column; suspects alone on demand."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._rows: tuple[BlobRow, ...] = ()
        self._order = np.zeros(0, np.int64)
        self._suspects_only = False
        self._sorted_by: tuple[int, bool] | None = None

    def set_report(self, report: BlobReport | None) -> None:
        """Show another report, None = nothing; sorting and filter stay."""
        self._rows = () if report is None else report.rows
        self._renew()

    def set_suspects_only(self, only: bool) -> None:
        """Show suspected blobs alone, or all components."""
        self._suspects_only = only
        self._renew()

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        """Sort by a column, equal rows by rank; column -1 = by rank."""
        falling = order == Qt.SortOrder.DescendingOrder
        self._sorted_by = None if column < 0 else (column, falling)
        self._renew()

    def row_at(self, at: int) -> BlobRow | None:
        """Return the component shown in a line."""
        return self._rows[self._order[at]] if 0 <= at < len(self._order) else None

    def line_of(self, row: BlobRow | None) -> int:
        """Return the line that shows a component, -1 if none does."""
        rank = next((i for i, x in enumerate(self._rows) if x is row), -1)
        found = np.flatnonzero(self._order == rank)
        return int(found[0]) if len(found) else -1

    def _renew(self) -> None:
        self.beginResetModel()
        shown = [i for i, r in enumerate(self._rows) if r.suspected or not self._suspects_only]
        self._order = np.array(shown, np.int64)
        if self._sorted_by is not None and shown:
            column, falling = self._sorted_by
            values = np.array([getattr(self._rows[i], COLUMNS[column][0]) for i in shown])
            _, place = np.unique(values, return_inverse=True)
            self._order = self._order[np.argsort(-place if falling else place, kind="stable")]
        self.endResetModel()

    # ------------------------------------------------------------------ what Qt asks

    def rowCount(self, parent: QModelIndex | None = None) -> int:  # noqa: N802
        """Lines shown."""
        return 0 if parent is not None and parent.isValid() else len(self._order)

    def columnCount(self, parent: QModelIndex | None = None) -> int:  # noqa: N802
        """Columns."""
        return 0 if parent is not None and parent.isValid() else len(COLUMNS)

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Text, icon and alignment of a field."""
        row = self.row_at(index.row())
        if row is None:
            return None
        name, _, pattern, _ = COLUMNS[index.column()]
        if role == Qt.ItemDataRole.DisplayRole:
            value = getattr(row, name)
            unknown = isinstance(value, float) and math.isnan(value)
            return EMPTY if unknown else pattern.format(value)
        if role == Qt.ItemDataRole.TextAlignmentRole and index.column():
            return Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        if role == Qt.ItemDataRole.DecorationRole and not index.column():
            return QColor(*STATUS_COLORS[row.status])
        return None

    def headerData(  # noqa: N802
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        """Titles, and what they mean."""
        if orientation == Qt.Orientation.Horizontal:
            if role == Qt.ItemDataRole.DisplayRole:
                return COLUMNS[section][1]
            if role == Qt.ItemDataRole.ToolTipRole:
                return COLUMNS[section][3]
        return None


class BlobTable(QTableView):
    """The table; the row with the cursor is the value."""

    valueChanged = Signal(object)  # noqa: N815 - BlobRow

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._following = False
        self.rows = BlobModel(self)
        self.setModel(self.rows)
        named(
            self, "Components", "Suspected blobs first. Click or use the arrow keys to fly there."
        )
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setTabKeyNavigation(False)
        self.verticalHeader().hide()
        line = self.fontMetrics().height() + 6
        self.verticalHeader().setDefaultSectionSize(line)
        self.setFixedHeight(line * ROWS_SHOWN + self.horizontalHeader().sizeHint().height() + 4)
        header = self.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.ResizeToContents)
        header.setMinimumSectionSize(0)
        header.setStyleSheet(HEADER_STYLE)
        header.setSortIndicatorClearable(True)
        self.setSortingEnabled(True)
        header.setSortIndicator(-1, Qt.SortOrder.DescendingOrder)
        self.selectionModel().currentRowChanged.connect(self._moved)
        self.clicked.connect(self._moved)

    def value(self) -> BlobRow | None:
        """Return the component in the chosen line."""
        return self.rows.row_at(self.currentIndex().row())

    def setValue(self, row: BlobRow | None) -> None:  # noqa: N802
        """Choose the line of a component, None = no line, without announcing it."""
        line = self.rows.line_of(row)
        if line == self.currentIndex().row():
            return
        flags = QItemSelectionModel.SelectionFlag.ClearAndSelect
        index = self.rows.index(line, 0)
        self._following = True
        self.selectionModel().setCurrentIndex(index, flags | QItemSelectionModel.SelectionFlag.Rows)
        self._following = False
        if line >= 0:
            self.scrollTo(index)

    def _moved(self, index: QModelIndex, _before: QModelIndex | None = None) -> None:
        row = self.rows.row_at(index.row())
        if row is not None and not self._following:
            self.valueChanged.emit(row)
