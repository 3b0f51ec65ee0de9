"""Choose a nucleus by its id, or go to the one before or after."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QLabel, QPushButton, QSizePolicy, QSpinBox, QWidget

from .parts import named, silent

MAX_ID = 2**31 - 1


class NucleusPicker(QWidget):
    """A spin box between two buttons; 0 is no nucleus."""

    valueChanged = Signal(int)  # noqa: N815
    stepRequested = Signal(int)  # noqa: N815 - -1 or 1

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.box = QSpinBox()
        self.box.setRange(0, MAX_ID)
        self.box.setSpecialValueText("none")
        self.box.setKeyboardTracking(False)
        self.box.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        named(self.box, "Nucleus id", "Id of the nucleus looked at; a click on one sets it.")
        self.before, self.after = QPushButton("Prev"), QPushButton("Next")
        named(self.before, "Previous nucleus", "Go to the nucleus with the next lower id.")
        named(self.after, "Next nucleus", "Go to the nucleus with the next higher id.")
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(QLabel("Nucleus"))
        row.addWidget(self.box, 1)
        row.addWidget(self.before)
        row.addWidget(self.after)
        self.box.valueChanged.connect(self.valueChanged)
        self.before.clicked.connect(lambda _: self.stepRequested.emit(-1))
        self.after.clicked.connect(lambda _: self.stepRequested.emit(1))

    def value(self) -> int:
        """Return the id, 0 = none."""
        return int(self.box.value())

    def setValue(self, nucleus: int) -> None:  # noqa: N802
        """Show an id without announcing it."""
        with silent(self.box):
            self.box.setValue(nucleus)
