"""Numbers, sliders and forms over choices that are declared once (core/choices.py)."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from qtpy.QtCore import QLocale, Qt, Signal
from qtpy.QtGui import QValidator
from qtpy.QtWidgets import (
    QAbstractSpinBox,
    QCheckBox,
    QDoubleSpinBox,
    QFormLayout,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QSizePolicy,
    QSlider,
    QWidget,
)

from ..core.choices import Choice, choices
from ..errors import InputError
from .kit import (
    QUIET,
    TONES,
    Combo,
    Elided,
    column,
    named,
    no_wheel,
    note,
    plain,
    set_note,
    silent,
    tool,
)

LARGEST = 1_000_000
"""Top of the boxes of numbers that have no bound of their own."""
LOG_STEPS = 400
"""Steps of a slider that goes by factors."""
STEPS = (1.0, 2.0, 5.0)
"""Leading digits that the arrows of a box go through: 1e-4, 2e-4, 5e-4, 1e-3 ..."""
NEAR = 1e-6
TITLE_WIDTH = 110
"""Pixels for the titles of sliders, so that these stand in one column."""
_GROUPED = re.compile(r"^\d{1,3}([.,' ]\d{3})+$")


def read_number(text: str) -> float:
    """Read a number as it is written in C or with a decimal comma; ValueError if it is none.

    >>> read_number("0.5"), read_number("0,5"), read_number("1,000"), read_number("1e-4")
    (0.5, 0.5, 1.0, 0.0001)
    """
    return float(text.strip().replace("\u2212", "-").replace(",", "."))


def short(value: float) -> str:
    """Write a number short: 1e-4, 0.25, 20."""
    text = f"{value:.6g}" if value == 0 or abs(value) >= 1e-2 else f"{value:.6e}"
    if "e" not in text:
        return text
    digits, power = text.split("e")
    digits = digits.rstrip("0").rstrip(".") if "." in digits else digits
    return f"{digits}e{int(power)}"


def stepped(value: float, *, up: bool) -> float:
    """Return the next of 1, 2, 5 times a power of ten above or below."""
    if value <= 0:
        return 1e-6 if up else 0.0
    power = math.floor(math.log10(value) + NEAR)
    marks = [float(f"{d}e{power + e}") for e in (-1, 0, 1) for d in STEPS]
    if up:
        return min(m for m in marks if m > value * (1 + NEAR))
    return max(m for m in marks if m < value * (1 - NEAR))


class Number(QDoubleSpinBox):
    """A box for numbers that reads "0.5", "0,5" and "1e-4" on every machine."""

    def __init__(self, about: Choice) -> None:
        super().__init__()
        self.about = about
        low, high = about.offered
        self.setLocale(QLocale.c())
        self.setDecimals(0 if about.whole else 15 if about.factors else about.decimals or 4)
        self.setRange(low - (about.step or 1) if about.none else low, high)
        self.setSingleStep(about.step or 1)
        self.setSuffix(f" {about.unit}" if about.unit else "")
        self.setSpecialValueText(about.none)
        self.setKeyboardTracking(False)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        no_wheel(self)

    def textFromValue(self, value: float) -> str:  # noqa: N802
        """Write a number in C locale."""
        return short(value) if self.about.factors else f"{value:.{self.decimals()}f}"

    def valueFromText(self, text: str | None) -> float:  # noqa: N802
        """Read a number; what is none is taken for the one that stands."""
        try:
            return self._read(text)
        except ValueError:
            return self.value()

    def validate(self, text: str | None, at: int) -> tuple[QValidator.State, str, int]:
        """Accept numbers within range; let unfinished ones ("1e-") be typed on."""
        try:
            inside = self.minimum() <= self._read(text) <= self.maximum()
        except ValueError:
            inside = bool(self.specialValueText()) and text == self.specialValueText()
        state = QValidator.State.Acceptable if inside else QValidator.State.Intermediate
        return state, text or "", at

    def stepBy(self, steps: int) -> None:  # noqa: N802
        """Go by steps, or by factors."""
        if not self.about.factors:
            super().stepBy(steps)
            return
        value = self.value()
        for _ in range(abs(steps)):
            value = stepped(value, up=steps > 0)
        self.setValue(value)

    def _read(self, text: str | None) -> float:
        bare = (text or "").removesuffix(self.suffix()).removesuffix(self.suffix().strip()).strip()
        if self.about.whole and _GROUPED.match(bare):
            bare = re.sub(r"[.,' ]", "", bare)
        return read_number(bare)


class SliderRow(QWidget):
    """One number: title, slider, box, and a button back to the default; all do the same."""

    valueChanged = Signal(float)  # noqa: N815

    def __init__(self, about: Choice, title: str = "", ends: tuple[str, str] | None = None) -> None:
        super().__init__()
        self.about = about
        self._value = self._default = float(about.default or about.offered[0])
        self.title = Elided(title or about.title)
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.box = Number(replace(about, unit=""))
        self.box.setButtonSymbols(QAbstractSpinBox.ButtonSymbols.NoButtons)
        self.box.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self.box.setStyleSheet("min-width: 44px; max-width: 44px;")  # napari's would widen it
        self.box.setAlignment(Qt.AlignmentFlag.AlignRight)
        self.reset = tool("↺", f"Reset {self.title.text()}", "", self._to_default)
        self.reset.setStyleSheet("QToolButton { border: none; }")
        low, high = about.offered
        self.slider.setRange(0, LOG_STEPS if about.factors else self._at(high))
        no_wheel(self.slider)
        unit = f" {about.unit}" if about.unit else ""
        tip = f"{about.help} {low:g} to {high:g}{unit}."
        for widget in (self.slider, self.box):
            named(widget, self.title.text(), tip)
        self.title.setToolTip(tip)
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(4)
        grid.setVerticalSpacing(0)
        for at, widget in enumerate((self.title, self.slider, self.box, self.reset)):
            grid.addWidget(widget, 0, at)
        grid.setColumnMinimumWidth(0, TITLE_WIDTH)
        grid.setColumnStretch(1, 1)
        if ends:
            self._name_ends(grid, ends)
        self.slider.valueChanged.connect(lambda at: self._edited(self._value_at(at)))
        self.box.valueChanged.connect(self._edited)
        self.set_default(self._default)

    def value(self) -> float:
        """Return the number."""
        return self._value

    def setValue(self, value: float) -> None:  # noqa: N802
        """Show a number without announcing it; one beyond the slider's range stays as it is."""
        low, high = self.about.offered
        self._value = float(value)
        with silent(self.slider, self.box):
            self.box.setRange(min(low, value), max(high, value))
            self.box.setValue(value)
            self.slider.setValue(self._at(value))
        self.reset.setEnabled(not math.isclose(value, self._default, abs_tol=1e-9))

    def set_default(self, value: float) -> None:
        """Set where the reset button leads."""
        self._default = float(value)
        unit = f" {self.about.unit}" if self.about.unit else ""
        self.reset.setToolTip(f"Back to {value:g}{unit}.")
        self.setValue(self._value)

    def _name_ends(self, grid: QGridLayout, ends: tuple[str, str]) -> None:
        left, right = plain(ends[0]), plain(ends[1])
        for label in (left, right):
            label.setStyleSheet(f"color: {QUIET};")
        line = QHBoxLayout()
        line.addWidget(left)
        line.addStretch(1)
        line.addWidget(right)
        grid.addLayout(line, 1, 1)

    def _at(self, value: float) -> int:
        low, high = self.about.offered
        inside = min(max(value, low), high)
        if self.about.factors:
            return round(LOG_STEPS * math.log(inside / low) / math.log(high / low))
        return round((inside - low) / (self.about.step or 1))

    def _value_at(self, at: int) -> float:
        low, high = self.about.offered
        if self.about.factors:
            return float(low * (high / low) ** (at / LOG_STEPS))
        return low + at * (self.about.step or 1)

    def _to_default(self) -> None:
        self._edited(self._default)

    def _edited(self, value: float) -> None:
        wanted = value if value == self._default else self.about.snap(value)
        if not math.isclose(wanted, self._value, abs_tol=1e-9):
            self.setValue(wanted)
            self.valueChanged.emit(self._value)
        else:  # a number between two steps was typed: show the one it stands for
            with silent(self.box):
                self.box.setValue(self._value)


# ---------------------------------------------------------------- forms over declared choices


def rows_of(cls: type, *names: str) -> tuple[Choice, ...]:
    """List the choices of a parameters class, a tuple's numbers one by one: "scale.0"."""
    known, found = choices(cls), []
    for name in names or tuple(known):
        about = known[name]
        parts = enumerate(about.titles) if about.titles else ((None, about.title),)
        for at, title in parts:
            default = about.default if at is None else about.default[at]
            path = name if at is None else f"{name}.{at}"
            found.append(replace(about, name=path, title=title, default=default, titles=()))
    return tuple(found)


class Form(QWidget):
    """Edits fields of one frozen value; fields without a row stay as they are.

    A value that the dataclass refuses is told under the form and not announced.
    """

    valueChanged = Signal(object)  # noqa: N815

    def __init__(
        self,
        rows: Sequence[Choice],
        value: Any,
        words: Mapping[str, Mapping[str, str]] | None = None,
    ) -> None:
        super().__init__()
        self._value, self._words = value, words or {}
        self.rows = {about.name: about for about in rows}
        self.boxes: dict[str, Any] = {about.name: self._box(about) for about in rows}
        self.labels: dict[str, QLabel] = {}
        self.remark = note("", "What is wrong with these values")
        self.remark.setStyleSheet(f"color: {TONES['bad']};")
        self.form = QFormLayout()
        self.form.setContentsMargins(0, 0, 0, 0)
        self.form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        for about in rows:
            self._add(about)
        layout = column(self, 0)
        layout.addLayout(self.form)
        layout.addWidget(self.remark)
        self.setValue(value)

    def value(self) -> Any:
        """Return the last value that was in order."""
        return self._value

    def setValue(self, value: Any) -> None:  # noqa: N802
        """Show a value without announcing it."""
        self._value = value
        for name, box in self.boxes.items():
            with silent(box):
                _show(box, self.rows[name], _get(value, name))
        set_note(self.remark, "")

    @property
    def problem(self) -> str:
        """Why what is filled in cannot be used, "" if it can."""
        return self.remark.text()

    def _box(self, about: Choice) -> QWidget:
        box: Any
        if about.kind == "switch":
            box = QCheckBox(about.title)
        elif about.kind == "word":
            words = self._words.get(about.name, {})
            entries = [(word, words.get(word, word), "") for word in about.options]
            box = Combo(about.title, about.help, entries)
        elif about.kind == "text":
            box = QLineEdit()
        else:
            box = Number(about)
        (low, high), numeric = about.offered, about.kind in ("count", "number")
        unit = f", {about.unit}" if about.unit else ""
        span = f" {low:g} to {high:g}{unit}." if numeric and high < LARGEST else ""
        named(box, about.title, about.help + span)
        return box  # type: ignore[no-any-return]

    def _add(self, about: Choice) -> None:
        box = self.boxes[about.name]
        signals = {"switch": "toggled", "word": "picked", "text": "editingFinished"}
        changed = getattr(box, signals.get(about.kind, "valueChanged"))
        changed.connect(lambda _=None, name=about.name: self._edited(name))
        if about.kind == "switch":
            self.form.addRow(box)
            return
        self.labels[about.name] = plain(about.title)
        self.labels[about.name].setToolTip(about.help)
        self.form.addRow(self.labels[about.name], box)

    def _edited(self, name: str) -> None:
        """Take every box that was changed: one wrong value may be made right by another."""
        changes: dict[str, Any] = {}
        for each, box in self.boxes.items():
            shown = _read(box, self.rows[each])
            if each == name or (self.problem and shown != _get(self._value, each)):
                _put(changes, self._value, each, shown)
        try:
            value = replace(self._value, **changes)
        except InputError as error:
            set_note(self.remark, str(error))
            return
        self._value = value
        set_note(self.remark, "")
        self.valueChanged.emit(value)


def _get(value: Any, name: str) -> Any:
    field, _, at = name.partition(".")
    found = getattr(value, field)
    return found[int(at)] if at else found


def _put(changes: dict[str, Any], value: Any, name: str, entry: Any) -> None:
    field, _, at = name.partition(".")
    if not at:
        changes[field] = entry
        return
    entries = list(changes.get(field, getattr(value, field)))
    entries[int(at)] = entry
    changes[field] = tuple(entries)


def _show(box: Any, about: Choice, value: Any) -> None:
    if about.kind == "switch":
        box.setChecked(bool(value))
    elif about.kind == "word":
        box.setValue(value)
    elif about.kind == "text":
        box.setText(value)
    elif value is None:
        box.setValue(box.minimum())
    else:
        box.setRange(min(box.minimum(), value), max(box.maximum(), value))
        box.setValue(value)


def _read(box: Any, about: Choice) -> Any:
    if about.kind == "switch":
        return box.isChecked()
    if about.kind == "word":
        return box.value()
    if about.kind == "text":
        return box.text().strip()
    if about.none and box.value() == box.minimum():
        return None
    return round(box.value()) if about.whole else box.value()
