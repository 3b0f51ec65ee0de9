"""One number: title, slider, spin box with its unit, and a button back to the default."""

from __future__ import annotations

import math

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QDoubleSpinBox, QGridLayout, QLabel, QSlider, QToolButton, QWidget

from ...core.choices import Choice
from .parts import named, narrow, silent

LOG_STEPS = 400
"""Steps of a slider that goes by factors."""
TITLE_WIDTH = 118
SPIN_WIDTH = 64


class ParamSlider(QWidget):
    """Edits one number; slider, spin box and keyboard do the same.

    Parameters
    ----------
    tunable : Choice
        Range, step and words.
    """

    valueChanged = Signal(float)  # noqa: N815

    def __init__(self, tunable: Choice, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.tunable = tunable
        self._default = tunable.low
        self.title = QLabel(tunable.title)
        self.title.setFixedWidth(TITLE_WIDTH)
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.spin = QDoubleSpinBox()
        self.reset = QToolButton()
        self._prepare()
        row = QGridLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setHorizontalSpacing(4)
        for column, widget in enumerate((self.title, self.slider, self.spin, self.reset)):
            row.addWidget(widget, 0, column)
        row.setColumnStretch(1, 1)
        self.slider.valueChanged.connect(lambda at: self._edited(self._value_at(at)))
        self.spin.valueChanged.connect(self._edited)
        self.reset.clicked.connect(lambda _: self._edited(self._default))

    def value(self) -> float:
        """Return the number."""
        return self._value

    def setValue(self, value: float) -> None:  # noqa: N802
        """Show a number without announcing it; one beyond the slider's range stays as it is."""
        known = self.tunable
        self._value = float(value)
        with silent(self.slider, self.spin):
            self.spin.setRange(min(known.low, value), max(known.high, value))
            self.spin.setValue(value)
            self.slider.setValue(self._at(value))
        self.reset.setEnabled(not math.isclose(value, self._default, abs_tol=1e-9))

    def set_default(self, value: float) -> None:
        """Set where the reset button leads."""
        self._default = float(value)
        unit = f" {self.tunable.unit}" if self.tunable.unit else ""
        tip = f"Back to the default, {value:g}{unit}."
        named(self.reset, f"Reset {self.tunable.title}", tip)
        self.setValue(self._value)

    def _prepare(self) -> None:
        known = self.tunable
        self._value = float(known.low)
        self.slider.setRange(0, LOG_STEPS if known.factors else self._at(known.high))
        self.spin.setRange(known.low, known.high)
        self.spin.setDecimals(known.decimals)
        self.spin.setSingleStep(known.step)
        self.spin.setSuffix(f" {known.unit}" if known.unit else "")
        narrow(self.spin, SPIN_WIDTH)
        self.spin.setButtonSymbols(QDoubleSpinBox.ButtonSymbols.NoButtons)
        self.spin.setAlignment(Qt.AlignmentFlag.AlignRight)
        self.spin.setKeyboardTracking(False)
        if known.factors:
            self.spin.setStepType(QDoubleSpinBox.StepType.AdaptiveDecimalStepType)
        self.reset.setText("\u21ba")
        self.reset.setAutoRaise(True)
        unit = f", {known.unit}" if known.unit else ""
        tip = f"{known.help} {known.low:g} to {known.high:g}{unit}."
        self.title.setToolTip(tip)
        for widget in (self.slider, self.spin):
            named(widget, known.title, tip)

    def _at(self, value: float) -> int:
        known = self.tunable
        if known.factors:
            inside = min(max(value, known.low), known.high)
            return round(
                LOG_STEPS * math.log(inside / known.low) / math.log(known.high / known.low)
            )
        return round((min(max(value, known.low), known.high) - known.low) / known.step)

    def _value_at(self, at: int) -> float:
        known = self.tunable
        if known.factors:
            return known.low * (known.high / known.low) ** (at / LOG_STEPS)
        return known.low + at * known.step

    def _edited(self, value: float) -> None:
        known = self.tunable
        wanted = value if value == self._default else known.snap(value)
        if not math.isclose(wanted, self._value, abs_tol=1e-9):
            self.setValue(wanted)
            self.valueChanged.emit(self._value)
        else:  # a number between two steps was typed: show the one it stands for
            with silent(self.spin):
                self.spin.setValue(self._value)
