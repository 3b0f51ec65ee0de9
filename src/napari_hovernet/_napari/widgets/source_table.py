"""List of files and folders to train on."""

from __future__ import annotations

import os
from collections.abc import Sequence

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem, QWidget

HEADINGS = ("Source", "What it is")
ROWS_SHOWN = 4
KINDS = {
    ".csv": "index",
    ".npz": "family file",
    ".npy": "array",
    ".mat": "patches or labels",
}
"""What a file is taken for by its ending; content decides when it is read."""
GONE = "not there any more"


class SourceTable(QTableWidget):
    """Paths with what they are; Delete removes the chosen ones."""

    valueChanged = Signal(tuple)  # noqa: N815

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(0, len(HEADINGS), parent)
        self._paths: tuple[str, ...] = ()
        self.setHorizontalHeaderLabels(HEADINGS)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setTextElideMode(Qt.TextElideMode.ElideLeft)
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setAccessibleName("Training data")
        self.setToolTip("Files and folders to train on; the whole path shows over a line.")
        rows = self.verticalHeader()
        if rows is not None:
            rows.hide()
            self.setFixedHeight((ROWS_SHOWN + 1) * rows.defaultSectionSize())
        header = self.horizontalHeader()
        if header is not None:
            header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
            header.setSectionResizeMode(1, QHeaderView.ResizeMode.ResizeToContents)

    def value(self) -> tuple[str, ...]:
        """Return the paths, in the order in which they were added."""
        return self._paths

    def setValue(self, paths: Sequence[str]) -> None:  # noqa: N802
        """Show paths without announcing them."""
        self._paths = tuple(dict.fromkeys(str(p) for p in paths))
        self.setRowCount(len(self._paths))
        for row, path in enumerate(self._paths):
            for column, text in enumerate((short_path(path), kind_of(path))):
                item = QTableWidgetItem(text)
                item.setToolTip(path)
                self.setItem(row, column, item)

    def add(self, paths: Sequence[str]) -> None:
        """Add paths; those that are there already stay where they are."""
        self._set((*self._paths, *paths))

    def remove_chosen(self) -> None:
        """Take the chosen lines off the list; nothing is deleted from the disk."""
        chosen = {index.row() for index in self.selectedIndexes()}
        self._set(tuple(p for row, p in enumerate(self._paths) if row not in chosen))

    def _set(self, paths: Sequence[str]) -> None:
        before = self._paths
        self.setValue(paths)
        if self._paths != before:
            self.valueChanged.emit(self._paths)


def short_path(path: str) -> str:
    """Return the last two parts of a path.

    Examples
    --------
    >>> short_path("/data/skin/index.csv"), short_path("skin")
    ('skin/index.csv', 'skin')
    """
    parts = [p for p in path.replace("\\", "/").split("/") if p]
    return "/".join(parts[-2:])


def kind_of(path: str) -> str:
    """Say what a path is, by a glance."""
    if os.path.isdir(path):
        return "folder, index" if os.path.isfile(os.path.join(path, "index.csv")) else "folder"
    if not os.path.exists(path):
        return GONE
    return KINDS.get(os.path.splitext(path)[1].lower(), "file")
