"""Advanced choices: tiles, batch, precision, separation preset."""

from __future__ import annotations

from dataclasses import replace

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QFormLayout, QSpinBox, QWidget

from ...app.session import Options
from ...core.params import PRECISIONS, TILINGS
from .parts import named, silent

AUTO = 0
"""Value of a spin box that stands for "automatic"."""
LARGEST_TILE = 8192
TILE_STEP = 64
LARGEST_BATCH = 256
TILING_TITLES = {"large": "Large tiles (quick)", "reference": "hover_net's own tiles"}
PRECISION_TITLES = {
    "auto": "Automatic",
    "float32": "float32",
    "bfloat16": "bfloat16",
    "float16": "float16",
}
SEPARATION_TITLES = {
    "local": "local (default)",
    "hover_net": "hover_net (as published)",
}


class InferenceEditor(QWidget):
    """Edits the part of :class:`Options` that seldom needs a change."""

    valueChanged = Signal(object)  # noqa: N815 - Options

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._options = Options()
        self.separation = _combo(SEPARATION_TITLES)
        self.tiling = _combo({key: TILING_TITLES[key] for key in TILINGS})
        self.tile = _spin(LARGEST_TILE, TILE_STEP, " px")
        self.batch = _spin(LARGEST_BATCH, 1, " tiles")
        self.precision = _combo({key: PRECISION_TITLES[key] for key in PRECISIONS})
        self._name()
        form = QFormLayout(self)
        form.setContentsMargins(0, 4, 0, 0)
        for title, widget in (
            ("Separation", self.separation),
            ("Tiling", self.tiling),
            ("Tile size", self.tile),
            ("Batch", self.batch),
            ("Precision", self.precision),
        ):
            form.addRow(title, widget)
        for combo in (self.separation, self.tiling, self.precision):
            combo.activated.connect(self._edited)
        for spin in (self.tile, self.batch):
            spin.valueChanged.connect(self._edited)

    def value(self) -> Options:
        """Return the options last set, with what was edited here."""
        inference = replace(
            self._options.inference,
            tiling=self.tiling.currentData(),
            tile=self.tile.value() or None,
            batch=self.batch.value() or None,
            precision=self.precision.currentData(),
        )
        return replace(self._options, inference=inference, separation=self.separation.currentData())

    def setValue(self, options: Options) -> None:  # noqa: N802
        """Show options without announcing them."""
        self._options = options
        inference = options.inference
        editors = (self.separation, self.tiling, self.tile, self.batch, self.precision)
        with silent(*editors):
            self.separation.setCurrentIndex(self.separation.findData(options.separation))
            self.tiling.setCurrentIndex(self.tiling.findData(inference.tiling))
            self.tile.setValue(inference.tile or AUTO)
            self.batch.setValue(inference.batch or AUTO)
            self.precision.setCurrentIndex(self.precision.findData(inference.precision))
        self.tile.setEnabled(inference.tiling == "large")

    def _edited(self) -> None:
        self.valueChanged.emit(self.value())

    def _name(self) -> None:
        named(
            self.separation,
            "Separation preset",
            "How touching nuclei are taken apart. 'local' does not depend on what else is in "
            "the image; 'hover_net' repeats the published post-processing.",
        )
        named(
            self.tiling,
            "Tiling",
            "Large tiles give the same result away from the image border in fewer operations; "
            "hover_net's own (270 -> 80 px, 256 -> 164 px) repeat the published way exactly.",
        )
        named(
            self.tile,
            "Tile size in pixels",
            "Edge of a tile in pixels at the model's resolution, rounded up to a size the "
            "network can take. Automatic = from the device's memory.",
        )
        named(
            self.batch,
            "Batch in tiles",
            "Tiles per forward pass. Automatic = from the device's memory.",
        )
        named(
            self.precision,
            "Precision",
            "Arithmetic of the network. Automatic = bfloat16 on a GPU that has it, "
            "float32 elsewhere.",
        )


def _combo(titles: dict[str, str]) -> QComboBox:
    combo = QComboBox()
    for key, title in titles.items():
        combo.addItem(title, key)
    return combo


def _spin(largest: int, step: int, suffix: str) -> QSpinBox:
    spin = QSpinBox()
    spin.setRange(AUTO, largest)
    spin.setSingleStep(step)
    spin.setSuffix(suffix)
    spin.setSpecialValueText("Automatic")
    spin.setKeyboardTracking(False)
    return spin
