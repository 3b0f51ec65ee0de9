"""A spin box for numbers like 1e-4: shown short, stepped by factors."""

from __future__ import annotations

import math

from qtpy.QtGui import QValidator
from qtpy.QtWidgets import QDoubleSpinBox, QWidget

DECIMALS = 15
STEPS = (1.0, 2.0, 5.0)
"""Leading digits that the arrows go through: 1e-4, 2e-4, 5e-4, 1e-3 ..."""
NEAR = 1e-6
"""Relative difference at which a number is taken for a step."""


class ScienceBox(QDoubleSpinBox):
    """Takes 0.0001 and 1e-4 alike."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setDecimals(DECIMALS)

    def textFromValue(self, value: float) -> str:  # noqa: N802
        """Write a number short."""
        return short(value)

    def valueFromText(self, text: str | None) -> float:  # noqa: N802
        """Read a number; what is none is taken for the one that stands."""
        try:
            return float(self._bare(text))
        except ValueError:
            return self.value()

    def validate(self, text: str | None, at: int) -> tuple[QValidator.State, str, int]:
        """Accept numbers within range; let unfinished ones ("1e-") be typed on."""
        try:
            value = float(self._bare(text))
        except ValueError:
            return QValidator.State.Intermediate, text or "", at
        inside = self.minimum() <= value <= self.maximum()
        state = QValidator.State.Acceptable if inside else QValidator.State.Intermediate
        return state, text or "", at

    def stepBy(self, steps: int) -> None:  # noqa: N802
        """Go to the next of 1, 2, 5 times a power of ten."""
        value = self.value()
        for _ in range(abs(steps)):
            value = stepped(value, up=steps > 0)
        self.setValue(value)

    def _bare(self, text: str | None) -> str:
        return (text or "").removesuffix(self.suffix()).strip()


def short(value: float) -> str:
    """Write a number short.

    Examples
    --------
    >>> short(0.0001), short(3e-06), short(0.25), short(0.0)
    ('1e-4', '3e-6', '0.25', '0')
    """
    text = f"{value:.6g}" if value == 0 or abs(value) >= 1e-2 else f"{value:.6e}"
    if "e" not in text:
        return text
    digits, power = text.split("e")
    digits = digits.rstrip("0").rstrip(".") if "." in digits else digits
    return f"{digits}e{int(power)}"


def stepped(value: float, *, up: bool) -> float:
    """Return the next step above or below; 0 stays 0 on the way down.

    Examples
    --------
    >>> stepped(1e-4, up=True), stepped(1e-4, up=False), stepped(3e-4, up=True)
    (0.0002, 5e-05, 0.0005)
    """
    if value <= 0:
        return 1e-6 if up else 0.0
    power = math.floor(math.log10(value) + NEAR)
    marks = [float(f"{d}e{power + e}") for e in (-1, 0, 1) for d in STEPS]
    if up:
        return min(m for m in marks if m > value * (1 + NEAR))
    return max(m for m in marks if m < value * (1 - NEAR))
