"""The runs in the viewer: show, hide, remove a whole one; undo and redo."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QHBoxLayout,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from ...app.session import Run
from .parts import named

ROWS_SHOWN = 3
"""Rows of the list before it scrolls."""


class RunList(QWidget):
    """A list with a check box per run (its layers are shown) and three buttons."""

    visibleChanged = Signal(int, bool)  # noqa: N815
    removeRequested = Signal(int)  # noqa: N815
    undoRequested = Signal()  # noqa: N815
    redoRequested = Signal()  # noqa: N815

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.list = QListWidget()
        named(self.list, "Runs", "One line per run; the check box shows or hides its layers.")
        self.undo = _button("Undo", "Take the last run or removal back. (Ctrl+Z)")
        self.redo = _button("Redo", "Bring back what was undone. (Ctrl+Shift+Z)")
        self.remove = _button("Remove", "Remove the layers of the chosen run. (Delete)")
        row = QHBoxLayout()
        for button in (self.undo, self.redo, self.remove):
            row.addWidget(button)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.list)
        column.addLayout(row)
        height = self.list.fontMetrics().height() + 6
        self.list.setFixedHeight(height * ROWS_SHOWN + 6)
        self.list.itemChanged.connect(self._toggled)
        self.list.currentRowChanged.connect(self._enable)
        self.undo.clicked.connect(lambda _: self.undoRequested.emit())
        self.redo.clicked.connect(lambda _: self.redoRequested.emit())
        self.remove.clicked.connect(lambda _: self.remove_current())

    def set_runs(self, runs: Sequence[Run], visible: Callable[[int], bool]) -> None:
        """List runs, the latest first."""
        self.list.blockSignals(True)
        self.list.clear()
        for run in reversed(runs):
            item = QListWidgetItem(f"{run.title}   {len(run.result.nuclei):,} nuclei")
            item.setData(Qt.ItemDataRole.UserRole, run.id)
            item.setFlags(item.flags() | Qt.ItemFlag.ItemIsUserCheckable)
            item.setCheckState(_state(visible(run.id)))
            item.setToolTip(f"{run.image.name}, {run.result.seconds:.1f} s")
            self.list.addItem(item)
        if runs:
            self.list.setCurrentRow(0)
        self.list.blockSignals(False)
        self._enable()

    def set_history(self, *, can_undo: bool, can_redo: bool) -> None:
        """Enable undo and redo."""
        self.undo.setEnabled(can_undo)
        self.redo.setEnabled(can_redo)

    def remove_current(self) -> None:
        """Ask for the chosen run to be removed."""
        item = self.list.currentItem()
        if item is not None:
            self.removeRequested.emit(item.data(Qt.ItemDataRole.UserRole))

    def _toggled(self, item: QListWidgetItem) -> None:
        shown = item.checkState() == Qt.CheckState.Checked
        self.visibleChanged.emit(item.data(Qt.ItemDataRole.UserRole), shown)

    def _enable(self) -> None:
        self.remove.setEnabled(self.list.currentItem() is not None)


def _state(checked: bool) -> Qt.CheckState:
    return Qt.CheckState.Checked if checked else Qt.CheckState.Unchecked


def _button(text: str, tip: str) -> QPushButton:
    button = QPushButton(text)
    named(button, text, tip)
    return button
