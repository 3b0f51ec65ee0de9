"""Choose a model: the built-in one, a recent checkpoint, or a file."""

from __future__ import annotations

import os
from collections.abc import Sequence

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QComboBox, QFileDialog, QHBoxLayout, QPushButton, QWidget

from .parts import named, silent

BUILT_IN = "compact"
SUFFIXES = (".safetensors", ".tar", ".pth", ".pt")
"""Endings of files that are taken for checkpoints when dropped; content decides later."""
FILE_FILTER = "Checkpoints (*.safetensors *.tar *.pth *.pt);;All files (*)"


class ModelPicker(QWidget):
    """Combo box of known models and a button to open another."""

    valueChanged = Signal(str)  # noqa: N815 - Qt's way of naming signals

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._value = BUILT_IN
        self._recent: tuple[str, ...] = ()
        self.combo = QComboBox()
        self.combo.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.combo.setMinimumContentsLength(12)
        named(self.combo, "Model", "The built-in model or a checkpoint used before.")
        self.button = QPushButton("Open file ...")
        named(
            self.button,
            "Open a checkpoint file",
            "Open a checkpoint (.safetensors, .tar, .pth). You can also drop one on this panel.",
        )
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.combo, 1)
        row.addWidget(self.button)
        self.combo.activated.connect(self._picked)
        self.button.clicked.connect(self._browse)
        self._fill()

    def value(self) -> str:
        """Return "compact" or a path."""
        return self._value

    def setValue(self, source: str) -> None:  # noqa: N802
        """Choose a model without announcing it."""
        self._value = source
        self._fill()

    def set_recent(self, paths: Sequence[str]) -> None:
        """Set the checkpoints used before, the latest first."""
        self._recent = tuple(paths)
        self._fill()

    def choose(self, source: str) -> None:
        """Choose a model and announce it; choosing it again reads it again."""
        self.setValue(source)
        self.valueChanged.emit(source)

    def _fill(self) -> None:
        sources = list(dict.fromkeys((BUILT_IN, self._value, *self._recent)))
        with silent(self.combo):
            self.combo.clear()
            for source in sources:
                self.combo.addItem(_title(source), source)
                tip = (
                    "Comes with the program, runs on any computer."
                    if (source == BUILT_IN)
                    else source
                )
                self.combo.setItemData(self.combo.count() - 1, tip, Qt.ItemDataRole.ToolTipRole)
            self.combo.setCurrentIndex(sources.index(self._value))

    def _picked(self, index: int) -> None:
        self.choose(self.combo.itemData(index))

    def _browse(self) -> None:
        start = os.path.dirname(self._value) or os.path.expanduser("~")
        path, _ = QFileDialog.getOpenFileName(self, "Open a checkpoint", start, FILE_FILTER)
        if path:
            self.choose(path)


def _title(source: str) -> str:
    if source == BUILT_IN:
        return "compact (built in)"
    folder, name = os.path.split(source)
    return f"{name}  ({os.path.basename(folder) or folder})"
