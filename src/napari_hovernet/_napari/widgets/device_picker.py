"""Choose where the network runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QVBoxLayout, QWidget

from .parts import named, note, set_note, silent

if TYPE_CHECKING:
    from ...core.inference.devices import DeviceInfo

AUTO = "auto"


class DevicePicker(QWidget):
    """Combo box of devices, and why a GPU is not used."""

    valueChanged = Signal(str)  # noqa: N815

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.combo = QComboBox()
        named(
            self.combo, "Device", "Where the network runs. Automatic takes a GPU if there is one."
        )
        self.reason = note("Looking for devices ...", "Device remark")
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        column.addWidget(self.combo)
        column.addWidget(self.reason)
        self.combo.addItem("Automatic", AUTO)
        self.combo.activated.connect(lambda _: self.valueChanged.emit(self.value()))

    def value(self) -> str:
        """Return "auto" or a device name."""
        return str(self.combo.currentData())

    def setValue(self, device: str) -> None:  # noqa: N802
        """Choose a device without announcing it; one that is not there becomes "auto"."""
        index = self.combo.findData(device)
        with silent(self.combo):
            self.combo.setCurrentIndex(max(index, 0))

    def set_devices(self, devices: Sequence[DeviceInfo]) -> None:
        """List the devices that can be used, and say why others cannot."""
        chosen = self.value()
        usable = [d for d in devices if d.available]
        with silent(self.combo):
            self.combo.clear()
            self.combo.addItem(auto_title(usable), AUTO)
            for device in usable:
                self.combo.addItem(device.label, device.name)
        self.setValue(chosen)
        set_note(self.reason, device_remark(devices))


def auto_title(usable: Sequence[DeviceInfo]) -> str:
    """Say what automatic will take, by its name alone: "Automatic (NVIDIA H200)"."""
    best = best_device(usable)
    return "Automatic" if best is None else f"Automatic ({best.label.split(',')[0]})"


def best_device(usable: Sequence[DeviceInfo]) -> DeviceInfo | None:
    """Return a GPU if there is one, else the CPU."""
    gpus = [d for d in usable if d.name != "cpu"]
    return gpus[0] if gpus else (usable[0] if usable else None)


def device_remark(devices: Sequence[DeviceInfo]) -> str:
    """Say what the GPU is and what it has free, or why none is used."""
    gpus = [d for d in devices if d.available and d.name != "cpu"]
    if gpus:
        return "; ".join(d.label for d in gpus)
    reasons = [str(d.reason) for d in devices if not d.available and d.reason]
    return "No GPU is used: " + ("; ".join(dict.fromkeys(reasons)) or "none was found.")
