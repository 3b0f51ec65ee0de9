"""A form over a frozen dataclass: one box per field, described by a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QFormLayout,
    QLabel,
    QSizePolicy,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from ...core.choices import Choice, choices
from ...errors import InputError
from .parts import ERROR_STYLE, named, note, set_note, silent
from .science_box import ScienceBox

LARGEST = 1_000_000
"""Top of the boxes of numbers that have no bound of their own."""
TITLE_WIDTH = 142
"""Width of the titles in pixels, so that the boxes of several forms stand in one column."""


def rows_of(cls: type, *names: str) -> tuple[Choice, ...]:
    """List the choices of a parameters class, a tuple's numbers one by one: "scale.0"."""
    known, found = choices(cls), []
    for name in names or tuple(known):
        row = known[name]
        parts = enumerate(row.titles) if row.titles else ((None, row.title),)
        for at, title in parts:
            default = row.default if at is None else row.default[at]
            path = name if at is None else f"{name}.{at}"
            found.append(replace(row, name=path, title=title, default=default, titles=()))
    return tuple(found)


class ParamForm(QWidget):
    """Edits the fields of one frozen value; fields without a row stay as they are.

    A value that the dataclass refuses is told under the form and not announced.

    Parameters
    ----------
    rows : sequence of Choice
    value : dataclass instance
        To start with.
    """

    valueChanged = Signal(object)  # noqa: N815

    def __init__(self, rows: Sequence[Choice], value: Any, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._value = value
        self.rows = {row.name: row for row in rows}
        self.boxes: dict[str, Any] = {row.name: _box(row) for row in rows}
        self.remark = note("", "What is wrong with these values")
        self.remark.setStyleSheet(ERROR_STYLE)
        self.form = QFormLayout()
        self.form.setContentsMargins(0, 0, 0, 0)
        self.form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self.labels: dict[str, QLabel] = {}
        for row in rows:
            self._add(row)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(self.form)
        column.addWidget(self.remark)
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

    def _add(self, row: Choice) -> None:
        box = self.boxes[row.name]
        changed = {
            "switch": getattr(box, "toggled", None),
            "word": getattr(box, "activated", None),
        }.get(row.kind) or box.valueChanged
        changed.connect(lambda _=None, name=row.name: self._edited(name))
        if row.kind == "switch":
            self.form.addRow(box)
            return
        label = QLabel(row.title)
        label.setMinimumWidth(TITLE_WIDTH)
        label.setToolTip(row.help)
        self.labels[row.name] = label
        self.form.addRow(label, box)

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


def _box(row: Choice) -> QWidget:
    box: Any
    if row.kind == "switch":
        box = QCheckBox(row.title)
    elif row.kind == "word":
        box = QComboBox()
        box.addItems(row.options)
        box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    else:
        box = _number(row)
    numeric, (low, high) = row.kind in ("count", "number"), row.offered
    unit = f", {row.unit}" if row.unit else ""
    span = f" {low:g} to {high:g}{unit}." if numeric and high < LARGEST and not row.factors else ""
    named(box, row.title, row.help + span)
    if row.kind != "switch":
        box.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
    return box  # type: ignore[no-any-return]


def _number(row: Choice) -> Any:
    low, high = row.offered
    box: Any = QSpinBox() if row.whole else ScienceBox() if row.factors else QDoubleSpinBox()
    if row.none:  # one step below the least stands for None
        low -= row.step or 1
    if row.whole:
        box.setRange(int(low), int(high))
        box.setSingleStep(int(row.step or 1))
    else:
        box.setRange(low, high)
        if not row.factors:
            box.setDecimals(row.decimals)
            box.setSingleStep(row.step)
    box.setSuffix(f" {row.unit}" if row.unit else "")
    box.setSpecialValueText(row.none)
    box.setKeyboardTracking(False)
    return box


def _show(box: Any, row: Choice, value: Any) -> None:
    if row.kind == "switch":
        box.setChecked(bool(value))
    elif row.kind == "word":
        box.setCurrentText(str(value))
    elif value is None:
        box.setValue(box.minimum())
    else:
        box.setRange(min(box.minimum(), value), max(box.maximum(), value))
        box.setValue(value)


def _read(box: Any, row: Choice) -> Any:
    if row.kind == "switch":
        return box.isChecked()
    if row.kind == "word":
        return box.currentText()
    if row.none and box.value() == box.minimum():
        return None
    return box.value() if row.whole or row.factors else round(box.value(), row.decimals)
