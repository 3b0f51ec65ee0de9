"""Edit the bounds of the traffic light."""

from __future__ import annotations

from dataclasses import replace

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QDoubleSpinBox,
    QGridLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QWidget,
)

from ...core.measure.magnitude import MagnitudeBands
from ...errors import InputError
from .parts import ERROR_STYLE, named, note, set_note, silent
from .plot_style import BAD_COLOR, FAIR_COLOR, GOOD_COLOR

BOUNDS = (
    ("collapsed", "Collapsed below", "Below this mean the map is close to the zero map."),
    (
        "weak",
        "Go on from",
        "After a few epochs of training a mean below this is to be looked into.",
    ),
    ("healthy", "Healthy from", "A trained network should reach this mean."),
)
"""Field, title and what it means."""
COLORS = (BAD_COLOR, FAIR_COLOR, GOOD_COLOR)
"""As the lines in the histogram."""
STEP, DECIMALS, LARGEST = 0.01, 2, 2.0


class BandsEditor(QWidget):
    """Three spin boxes and a reset; bounds out of order are told, not announced."""

    valueChanged = Signal(object)  # noqa: N815 - MagnitudeBands

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._bands = MagnitudeBands()
        self.boxes: dict[str, QDoubleSpinBox] = {}
        self.remark = note("", "What is wrong with the bounds")
        self.remark.setStyleSheet(ERROR_STYLE)
        self.reset = QPushButton("Reset")
        named(self.reset, "Reset bounds", "Back to 0.10, 0.25 and 0.50.")
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        for at, (field, title, tip) in enumerate(BOUNDS):
            box = QDoubleSpinBox()
            box.setRange(0.0, LARGEST)
            box.setDecimals(DECIMALS)
            box.setSingleStep(STEP)
            box.setKeyboardTracking(False)
            named(box, title, f"{tip} Mean HV magnitude inside nuclei, no unit.")
            box.valueChanged.connect(self._edited)
            self.boxes[field] = box
            box.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
            label = QLabel(title)
            label.setStyleSheet(f"color: rgb{COLORS[at]}; font-size: 11px;")
            grid.addWidget(label, 0, at)
            grid.addWidget(box, 1, at)
            grid.setColumnStretch(at, 1)
        grid.addWidget(self.reset, 1, len(BOUNDS))
        grid.addWidget(self.remark, 2, 0, 1, len(BOUNDS) + 1)
        self.reset.clicked.connect(lambda _: self._reset())
        self.setValue(self._bands)

    def value(self) -> MagnitudeBands:
        """Return the last bounds that were in order."""
        return self._bands

    def setValue(self, bands: MagnitudeBands) -> None:  # noqa: N802
        """Show bounds without announcing them."""
        self._bands = bands
        with silent(*self.boxes.values()):
            for field, box in self.boxes.items():
                box.setValue(getattr(bands, field))
        set_note(self.remark, "")
        self.reset.setEnabled(bands != MagnitudeBands())

    def _edited(self, _value: float) -> None:
        bounds = {field: round(box.value(), DECIMALS) for field, box in self.boxes.items()}
        try:
            bands = replace(self._bands, **bounds)
        except InputError as error:
            set_note(self.remark, str(error))
            self.reset.setEnabled(True)
            return
        self.setValue(bands)
        self.valueChanged.emit(bands)

    def _reset(self) -> None:
        self.setValue(MagnitudeBands())
        self.valueChanged.emit(self._bands)
