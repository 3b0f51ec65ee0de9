"""A combo box of named values."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QComboBox, QSizePolicy, QWidget

from .parts import named

ASK = "ask"
"""Value of the entry that asks for a path."""


class Choices(QComboBox):
    """A combo box of named values; one entry may ask for a path, which is then listed too."""

    valueChanged = Signal(str)  # noqa: N815

    def __init__(
        self,
        name: str,
        entries: Sequence[tuple[str, str, str]],
        ask: Callable[[QWidget], str] | None = None,
    ) -> None:
        super().__init__()
        self._ask, self._value = ask, ""
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        for value, title, tip in entries:
            self.addItem(title, value)
            self.setItemData(self.count() - 1, tip, Qt.ItemDataRole.ToolTipRole)
        named(self, name, entries[0][2])
        self.activated.connect(self._picked)

    def value(self) -> str:
        """Return the chosen value."""
        return self._value

    def setValue(self, value: str) -> None:  # noqa: N802
        """Choose without announcing it; a path that is new is listed."""
        at = self.findData(value)
        if at < 0:
            at = self.count() - 1
            self.insertItem(at, os.path.basename(value.rstrip("/\\")) or value, value)
            self.setItemData(at, value, Qt.ItemDataRole.ToolTipRole)
        self._value = value
        self.setCurrentIndex(at)
        self.setToolTip(str(self.itemData(at, Qt.ItemDataRole.ToolTipRole)))

    def _picked(self, index: int) -> None:
        value = str(self.itemData(index))
        if value == ASK:
            value = (self._ask(self) if self._ask else "") or self._value
        before, _ = self._value, self.setValue(value)
        if value != before:
            self.valueChanged.emit(value)
