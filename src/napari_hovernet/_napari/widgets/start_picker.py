"""Choose what a training starts from: a checkpoint, or an untrained network."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QWidget

from ...core.params import SCRATCH
from .model_picker import ModelPicker
from .parts import named, silent

UNTRAINED = {
    f"{SCRATCH}compact": "compact, untrained",
    f"{SCRATCH}hovernet": "HoVer-Net, untrained",
    f"{SCRATCH}optimus": "Optimus token decoder, untrained",
}
TIP = "Weights are random; it takes more data and time than to fine-tune."


class StartPicker(ModelPicker):
    """The model picker, with the untrained networks below."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        named(
            self.combo,
            "Start from",
            "The checkpoint whose weights the training starts with, or an untrained network.",
        )

    def _fill(self) -> None:
        super()._fill()
        chosen = self.value()
        with silent(self.combo):
            for source, title in UNTRAINED.items():
                at = self.combo.findData(source)
                if at < 0:
                    at = self.combo.count()
                    self.combo.addItem(title, source)
                self.combo.setItemText(at, title)
                self.combo.setItemData(at, TIP, Qt.ItemDataRole.ToolTipRole)
            self.combo.setCurrentIndex(self.combo.findData(chosen))
