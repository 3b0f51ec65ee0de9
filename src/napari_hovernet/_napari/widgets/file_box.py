"""Choose one file: its name, and a button that opens a dialog."""

from __future__ import annotations

import os

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QLineEdit, QPushButton, QWidget

from .parts import named


class FileBox(QWidget):
    """A line that shows the file's name, and a button.

    Parameters
    ----------
    name : str
        For screen readers and the dialog's title.
    tip : str
    file_filter : str
        As Qt's file dialog takes it.
    """

    valueChanged = Signal(str)  # noqa: N815

    def __init__(
        self, name: str, tip: str, file_filter: str, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._value, self._filter, self._name, self._tip = "", file_filter, name, tip
        self.line = QLineEdit()
        self.line.setReadOnly(True)
        self.line.setPlaceholderText("none yet; a file can be dropped here")
        named(self.line, name, tip)
        self.button = QPushButton("File ...")
        named(self.button, f"Open: {name}", tip)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.line, 1)
        row.addWidget(self.button)
        self.button.clicked.connect(lambda _: self.browse())

    def value(self) -> str:
        """Return the path, "" for none."""
        return self._value

    def setValue(self, path: str) -> None:  # noqa: N802
        """Show a path without announcing it."""
        self._value = path
        self.line.setText(os.path.basename(path))
        self.line.setToolTip(path or self._tip)

    def choose(self, path: str) -> None:
        """Take a path and announce it."""
        self.setValue(path)
        self.valueChanged.emit(path)

    def browse(self) -> None:
        """Ask for a file."""
        start = os.path.dirname(self._value)
        path, _ = QFileDialog.getOpenFileName(self, self._name, start, self._filter)
        if path:
            self.choose(path)
