"""Choose the image layer and the part of it to run on."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from ...app.session import ImageChoice
from .parts import named, note, set_note, silent

REGION_TITLES = {
    "layer": "Whole layer",
    "view": "What is in view",
    "shapes": "Drawn rectangle",
}


class ImagePicker(QWidget):
    """Combo box of image layers, and what the chosen one is."""

    valueChanged = Signal(object)  # noqa: N815 - the layer's key

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._keys: list[object] = []
        self.combo = QComboBox()
        self.combo.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        named(self.combo, "Image layer", "The image to segment; follows the selected layer.")
        self.description = note(name="Image description")
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        column.addWidget(self.combo)
        column.addWidget(self.description)
        self.combo.activated.connect(lambda i: self.valueChanged.emit(self._keys[i]))

    def value(self) -> object:
        """Return the key of the chosen layer, None if there is none."""
        index = self.combo.currentIndex()
        return self._keys[index] if 0 <= index < len(self._keys) else None

    def set_images(self, images: Sequence[tuple[object, str]]) -> None:
        """List layers as (key, name), topmost first."""
        self._keys = [key for key, _ in images]
        with silent(self.combo):
            self.combo.clear()
            self.combo.addItems([name for _, name in images])
        self.combo.setEnabled(bool(images))

    def setValue(self, image: ImageChoice | None) -> None:  # noqa: N802
        """Show a choice without announcing it."""
        if image is not None and image.key in self._keys:
            with silent(self.combo):
                self.combo.setCurrentIndex(self._keys.index(image.key))
        set_note(self.description, image.description if image else "No image layer is open.")


class RegionPicker(QWidget):
    """Combo box of regions and a button to draw one."""

    valueChanged = Signal(str)  # noqa: N815
    drawRequested = Signal()  # noqa: N815

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.combo = QComboBox()
        for key, title in REGION_TITLES.items():
            self.combo.addItem(title, key)
        named(
            self.combo,
            "Region",
            "Part of the image to segment. 'Drawn rectangle' takes the box around the shapes "
            "of the topmost Shapes layer (only the selected ones, if any).",
        )
        self.button = QPushButton("Draw")
        named(self.button, "Draw a rectangle", "Add a Shapes layer to draw the region in.")
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.combo, 1)
        row.addWidget(self.button)
        self.combo.activated.connect(lambda _: self.valueChanged.emit(self.value()))
        self.button.clicked.connect(lambda _: self.drawRequested.emit())

    def value(self) -> str:
        """Return "layer", "view" or "shapes"."""
        return str(self.combo.currentData())

    def setValue(self, region: str) -> None:  # noqa: N802
        """Choose a region without announcing it."""
        with silent(self.combo):
            self.combo.setCurrentIndex(self.combo.findData(region))
