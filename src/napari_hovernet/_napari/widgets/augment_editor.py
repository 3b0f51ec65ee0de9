"""Edit how crops are varied."""

from __future__ import annotations

from dataclasses import replace

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QVBoxLayout, QWidget
from superqt import QCollapsible

from ...core.params import AugmentParams
from .param_form import ParamForm, rows_of
from .parts import named, silent

ROWS = tuple(row for row in rows_of(AugmentParams) if row.name != "on")


class AugmentEditor(QWidget):
    """On or off, and a fold with every strength."""

    valueChanged = Signal(object)  # noqa: N815 - AugmentParams

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.on = QCheckBox("Augmentation")
        named(self.on, "Augmentation", "Vary the crops, so that the model sees more than there is.")
        self.form = ParamForm(ROWS, AugmentParams())
        self.fold = QCollapsible("Strength of the augmentation")
        self.fold.addWidget(self.form)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.on)
        column.addWidget(self.fold)
        self.on.toggled.connect(self._toggled)
        self.form.valueChanged.connect(self.valueChanged)
        self.setValue(AugmentParams())

    def value(self) -> AugmentParams:
        """Return the choices."""
        params: AugmentParams = self.form.value()
        return params

    def setValue(self, params: AugmentParams) -> None:  # noqa: N802
        """Show choices without announcing them."""
        self.form.setValue(params)
        with silent(self.on):
            self.on.setChecked(params.on)
        self.fold.setEnabled(params.on)

    @property
    def problem(self) -> str:
        """Why the choices cannot be used, "" if they can."""
        return self.form.problem

    def _toggled(self, on: bool) -> None:
        self.setValue(replace(self.value(), on=on))
        self.valueChanged.emit(self.value())
