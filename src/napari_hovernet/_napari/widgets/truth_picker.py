"""Choose what a run is compared with: a Labels layer, another run, or a file."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QFileDialog, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from ...app.study import TruthChoice
from .parts import ERROR_STYLE, named, note, set_note, silent

FILE_FILTER = "Labels (*.png *.tif *.tiff *.npy *.mat *.json *.geojson);;All files (*)"
NOTHING = "Nothing"
NO_TRUTH = (
    "Choose true labels: a Labels layer, another run, or a file (PNG, TIFF, NPY, MAT, hover_net "
    "JSON, GeoJSON; a file can be dropped here)."
)
READING = "Reading the truth ..."


class TruthPicker(QWidget):
    """Combo box of sources, a button to open a file, and what there is to say of the choice."""

    valueChanged = Signal(object)  # noqa: N815 - the source's key, None = nothing
    fileChosen = Signal(str)  # noqa: N815

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._keys: list[Hashable] = [None]
        self.combo = QComboBox()
        self.combo.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        named(
            self.combo,
            "Truth",
            "True labels of the very image that was segmented, one id per nucleus. A layer is "
            "followed while it is edited.",
        )
        self.combo.addItem(NOTHING)
        self.button = QPushButton("File ...")
        named(self.button, "Open a label file", "PNG, TIFF, NPY, MAT, hover_net JSON or GeoJSON.")
        self.remark = note(NO_TRUTH, "Truth remark")
        row = QHBoxLayout()
        row.addWidget(self.combo, 1)
        row.addWidget(self.button)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        column.addLayout(row)
        column.addWidget(self.remark)
        self.combo.activated.connect(lambda i: self.valueChanged.emit(self._keys[i]))
        self.button.clicked.connect(lambda _: self.open_file())

    def value(self) -> Hashable:
        """Return the key of the source chosen, None for nothing."""
        index = self.combo.currentIndex()
        return self._keys[index] if 0 <= index < len(self._keys) else None

    def set_sources(
        self, sources: Sequence[tuple[Hashable, str]], chosen: TruthChoice | None
    ) -> None:
        """List sources as (key, name); one that is gone stays in the list while it is chosen."""
        listed = [(None, NOTHING), *sources]
        if chosen is not None and all(key != chosen.key for key, _ in listed):
            listed.append((chosen.key, chosen.name))
        self._keys = [key for key, _ in listed]
        with silent(self.combo):
            self.combo.clear()
            self.combo.addItems([name for _, name in listed])
        self.setValue(chosen)

    def setValue(self, chosen: TruthChoice | None) -> None:  # noqa: N802
        """Show a choice without announcing it."""
        key = None if chosen is None else chosen.key
        if key in self._keys:
            with silent(self.combo):
                self.combo.setCurrentIndex(self._keys.index(key))
        self.remark.setStyleSheet(ERROR_STYLE if chosen is not None and chosen.error else "")
        set_note(self.remark, remark_on(chosen))

    def open_file(self) -> None:
        """Ask for a label file."""
        path, _ = QFileDialog.getOpenFileName(self, "True labels", "", FILE_FILTER)
        if path:
            self.fileChosen.emit(path)


def remark_on(chosen: TruthChoice | None) -> str:
    """Say what there is to say of a choice: why it cannot be used, or what was assumed.

    Examples
    --------
    >>> remark_on(TruthChoice(("layer", 1), "mine"))
    'Reading the truth ...'
    """
    if chosen is None:
        return NO_TRUTH
    if chosen.error:
        return chosen.error
    return READING if chosen.labels is None else " ".join(chosen.notes)
