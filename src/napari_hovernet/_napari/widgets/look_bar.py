"""Which map of a finding is looked at: one button per layer."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QButtonGroup, QHBoxLayout, QLabel, QPushButton, QWidget

from ..diagnosis_words import LAYER_NAMES, MAP_ROLES
from .parts import named


class LookBar(QWidget):
    """Buttons of the maps a finding names; hidden where there is no choice."""

    valueChanged = Signal(str)  # noqa: N815 - role of the map that is wanted

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._group = QButtonGroup(self)
        self.buttons: dict[str, QPushButton] = {}
        self._row = QHBoxLayout(self)
        self._row.setContentsMargins(0, 0, 0, 0)
        self._row.setSpacing(3)
        self._row.addWidget(QLabel("Look at"))
        self._row.addStretch(1)
        self._group.buttonClicked.connect(lambda button: self.valueChanged.emit(button.role))
        self.set_layers(())

    def value(self) -> str:
        """Return the role of the map that is looked at, "" where there is no choice."""
        return next((role for role, b in self.buttons.items() if b.isChecked()), "")

    def setValue(self, role: str) -> None:  # noqa: N802
        """Show a choice without announcing it."""
        if role in self.buttons:
            self.buttons[role].setChecked(True)

    def set_layers(self, layers: Sequence[str]) -> None:
        """Offer the maps among some layers; the first is chosen."""
        maps = tuple(role for role in layers if role in MAP_ROLES)
        self.setVisible(len(maps) > 1)
        if maps == tuple(self.buttons):
            return
        for button in self.buttons.values():
            self._group.removeButton(button)
            self._row.removeWidget(button)
            button.deleteLater()
        self.buttons = {role: self._button(role) for role in maps}
        for at, button in enumerate(self.buttons.values(), start=1):
            self._row.insertWidget(at, button)
            self._group.addButton(button)
        self.setValue(next(iter(maps), ""))

    @staticmethod
    def _button(role: str) -> QPushButton:
        button = RoleButton(role)
        name = LAYER_NAMES[role]
        button.setText(name)
        button.setCheckable(True)
        named(button, f"Look at {name}", f"Show {name} in the viewer, and hide the other maps.")
        return button


class RoleButton(QPushButton):
    """A button that knows its layer."""

    def __init__(self, role: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.role = role
