"""Scroll through the epochs of a pinned image."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QCheckBox, QHBoxLayout, QLabel, QSlider, QVBoxLayout, QWidget

from .parts import named, silent

TIP = "Which epoch is shown; 0 = before training. At the right end new epochs are followed."
PIN_TIP = (
    "Show the pinned validation image as layers: image, NP, HV, its magnitude, nuclei and true "
    "nuclei, brought up to date after each epoch."
)
NONE_YET = "none yet"


class EpochSlider(QWidget):
    """A check box and a slider over the epochs that were kept."""

    valueChanged = Signal(int)  # noqa: N815 - epoch
    pinned = Signal(bool)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._epochs: tuple[int, ...] = ()
        self.pin = QCheckBox("Pinned image in the viewer")
        named(self.pin, "Pinned image", PIN_TIP)
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setPageStep(1)
        named(self.slider, "Epoch", TIP)
        self.words = QLabel(NONE_YET)
        self.words.setMinimumWidth(92)
        row = QHBoxLayout()
        row.addWidget(self.slider, 1)
        row.addWidget(self.words)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.pin)
        column.addLayout(row)
        self.pin.toggled.connect(self._toggled)
        self.slider.valueChanged.connect(self._moved)
        self.set_epochs((), 0)

    def value(self) -> int:
        """Return the epoch, 0 if there is none."""
        at = self.slider.value()
        return self._epochs[at] if at < len(self._epochs) else 0

    def set_pinned(self, on: bool) -> None:
        """Set the check box without announcing it."""
        with silent(self.pin):
            self.pin.setChecked(on)
        self._show()

    def set_epochs(self, epochs: Sequence[int], epoch: int) -> None:
        """Show which epochs there are, and one of them, without announcing it."""
        self._epochs = tuple(epochs)
        with silent(self.slider):
            self.slider.setRange(0, max(len(self._epochs) - 1, 0))
            if epoch in self._epochs:
                self.slider.setValue(self._epochs.index(epoch))
        self._show()

    def _show(self) -> None:
        self.slider.setEnabled(self.pin.isChecked() and len(self._epochs) > 1)
        last = self._epochs[-1] if self._epochs else 0
        self.words.setText(f"epoch {self.value()} of {last}" if self._epochs else NONE_YET)

    def _toggled(self, on: bool) -> None:
        self._show()
        self.pinned.emit(on)

    def _moved(self, _at: int) -> None:
        self._show()
        self.valueChanged.emit(self.value())
