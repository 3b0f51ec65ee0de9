"""Examples of a finding: choose one and the viewer flies there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QHBoxLayout, QListWidget, QPushButton, QVBoxLayout, QWidget

from ..diagnosis_words import place_words
from .parts import named, silent

if TYPE_CHECKING:
    from ...core.diagnosis.report import Place

MOST_ROWS = 5
"""Lines shown before the list scrolls."""
ROW_PX = 20
"""Height of a line before there is one."""
NEXT_KEY, BACK_KEY = ".", ","
"""Keys on to the next example and back."""


class PlaceList(QWidget):
    """A list of examples, the worst first, with buttons to go on and back."""

    valueChanged = Signal(int)  # noqa: N815 - which example the user has chosen
    stepped = Signal(int)
    """On (1) or back (-1)."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.list = QListWidget()
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.setTextElideMode(Qt.TextElideMode.ElideRight)
        tip = "Where it is seen, the worst first; rows and columns in pixels of the image."
        named(self.list, "Examples", tip)
        self.back, self.on = QPushButton("Previous"), QPushButton("Next")
        named(self.on, "Next example", f"Fly to the next example. ({NEXT_KEY})")
        named(self.back, "Previous example", f"Fly to the one before. ({BACK_KEY})")
        row = QHBoxLayout()
        row.addWidget(self.back)
        row.addWidget(self.on)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addWidget(self.list)
        column.addLayout(row)
        self.list.currentRowChanged.connect(self._announce)
        self.list.itemClicked.connect(lambda _: self._announce(self.value()))  # back to it
        self.on.clicked.connect(lambda _: self.stepped.emit(1))
        self.back.clicked.connect(lambda _: self.stepped.emit(-1))
        self.set_places(())

    def value(self) -> int:
        """Return which example is chosen, -1 if none."""
        return self.list.currentRow()

    def setValue(self, index: int) -> None:  # noqa: N802
        """Choose an example without announcing it."""
        with silent(self.list):
            self.list.setCurrentRow(index)

    def set_places(self, places: Sequence[Place]) -> None:
        """List other examples; hidden where there are none."""
        with silent(self.list):
            self.list.clear()
            for number, place in enumerate(places, start=1):
                self.list.addItem(place_words(place, number))
                self.list.item(number - 1).setToolTip(place_words(place, number))
        self.setVisible(bool(places))
        for button in (self.on, self.back):
            button.setVisible(len(places) > 1)
        high = self.list.sizeHintForRow(0) if places else ROW_PX
        rows = min(max(len(places), 1), MOST_ROWS)
        self.list.setFixedHeight(rows * high + 2 * self.list.frameWidth() + 4)

    def _announce(self, index: int) -> None:
        if index >= 0:
            self.valueChanged.emit(index)
