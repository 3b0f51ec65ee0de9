"""Files to diagnose: a model, data, a separation, an augmentation, a loss."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QSizePolicy,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from ...core.params import FAULTS, PRESETS
from ..diagnosis_state import TUNER, FilesChoice
from .data_editor import FAMILIES
from .model_picker import SUFFIXES, ModelPicker
from .parts import named, silent

NO_MODEL = "no model"
ASK = "ask"
"""Data of the entry that opens a dialog."""
MOST_IMAGES = 10_000
DATA_FILTER = "Data (*.csv *.npz *.npy *.png *.tif *.tiff *.jpg *.svs *.ndpi);;All files (*)"
DATA_TIP = (
    "A folder of images and label files, an index.csv, PanNuke folds, a family's .npz, or one "
    "file of images, maps or targets. It can be dropped here."
)
SEPARATIONS = (
    ("", "default (local)", "The separation this program uses unless told otherwise."),
    *((name, name, FAULTS.get(name, "A preset of the program.")) for name in PRESETS),
    (TUNER, "as in Tune separation", "The parameters that panel has now."),
    (ASK, "from a file ...", "Parameters saved by the panel Tune separation (.json)."),
)
AUGMENTATIONS = (
    ("", "not tested", "No check of flips and turns."),
    ("ours", "of this program", "Flips and turns as Fine-tune makes them."),
    ("story", "[H, V] rules on [V, H]", "The rules that made the story's blob, to see them fail."),
    ("none", "none", "Images are used as they are."),
)
LOSSES = (
    ("", "not tested", "No check of the loss."),
    ("default", "default", "The loss that Fine-tune begins with."),
    (ASK, "of a training run ...", "The loss of a run: choose its folder."),
)


class ModelOrNone(ModelPicker):
    """The model picker, with "no model" on top."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        named(self.combo, "Model", "The checkpoint under diagnosis, or none: data alone.")
        self.setValue("")

    def _fill(self) -> None:
        super()._fill()
        with silent(self.combo):
            at = self.combo.findData("")
            if at >= 0:
                self.combo.removeItem(at)
            self.combo.insertItem(0, NO_MODEL, "")
            self.combo.setCurrentIndex(max(self.combo.findData(self.value()), 0))


class Choices(QComboBox):
    """A combo box of named values; one entry may ask for a path, which is then listed too."""

    valueChanged = Signal(str)  # noqa: N815

    def __init__(
        self,
        name: str,
        entries: Sequence[tuple[str, str, str]],
        ask: Callable[[QWidget], str] | None = None,
    ) -> None:
        super().__init__()
        self._ask, self._value = ask, ""
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        for value, title, tip in entries:
            self.addItem(title, value)
            self.setItemData(self.count() - 1, tip, Qt.ItemDataRole.ToolTipRole)
        named(self, name, entries[0][2])
        self.activated.connect(self._picked)

    def value(self) -> str:
        """Return the chosen value."""
        return self._value

    def setValue(self, value: str) -> None:  # noqa: N802
        """Choose without announcing it; a path that is new is listed."""
        at = self.findData(value)
        if at < 0:
            at = self.count() - 1
            self.insertItem(at, os.path.basename(value.rstrip("/\\")) or value, value)
            self.setItemData(at, value, Qt.ItemDataRole.ToolTipRole)
        self._value = value
        self.setCurrentIndex(at)
        self.setToolTip(str(self.itemData(at, Qt.ItemDataRole.ToolTipRole)))

    def _picked(self, index: int) -> None:
        value = str(self.itemData(index))
        if value == ASK:
            value = (self._ask(self) if self._ask else "") or self._value
        before, _ = self._value, self.setValue(value)
        if value != before:
            self.valueChanged.emit(value)


class FilesEditor(QWidget):
    """Edits a :class:`FilesChoice`."""

    valueChanged = Signal(object)  # noqa: N815 - FilesChoice

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.model, self.data = ModelOrNone(), QLineEdit()
        self.folder, self.file = QPushButton("Folder ..."), QPushButton("File ...")
        self.separation = Choices("Separation", SEPARATIONS, _ask_parameters)
        self.augmentation = Choices("Augmentation", AUGMENTATIONS)
        self.loss = Choices("Loss", LOSSES, _ask_run)
        self.family = Choices("Organ family", [(f, f or "none", _FAMILY_TIP) for f in FAMILIES])
        self.images = QSpinBox()
        self._lay_out()
        self._connect()

    def _lay_out(self) -> None:
        named(self.data, "Data", DATA_TIP)
        self.data.setPlaceholderText("no data: choose, or drop a folder or file")
        self.data.setClearButtonEnabled(True)
        named(self.folder, "Choose a data folder", "Choose a folder of images and labels.")
        named(self.file, "Choose a data file", "Choose an index, an image, or a file of arrays.")
        self.images.setRange(1, MOST_IMAGES)
        self.images.setValue(FilesChoice.n_samples)
        tip = "Images that go through network and separation at most, evenly spread."
        named(self.images, "Images", tip)
        buttons = QHBoxLayout()
        buttons.addWidget(self.folder)
        buttons.addWidget(self.file)
        data = QVBoxLayout()
        data.setSpacing(2)
        data.addWidget(self.data)
        data.addLayout(buttons)
        form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        rows: tuple[tuple[str, Any], ...] = (
            ("Model", self.model),
            ("Data", data),
            ("Separation", self.separation),
            ("Augmentation", self.augmentation),
            ("Loss", self.loss),
            ("Organ family", self.family),
            ("Images", self.images),
        )
        for title, field in rows:
            label = QLabel(title)
            form.addRow(label, field)

    def _connect(self) -> None:
        for editor in (self.model, self.separation, self.augmentation, self.loss, self.family):
            editor.valueChanged.connect(self._edited)
        self.images.valueChanged.connect(self._edited)
        self.data.editingFinished.connect(self._edited)
        self.data.textChanged.connect(lambda text: text or self._edited())
        self.folder.clicked.connect(lambda _: self._browse(folder=True))
        self.file.clicked.connect(lambda _: self._browse(folder=False))

    def value(self) -> FilesChoice:
        """Return the choices."""
        return FilesChoice(
            model=self.model.value(),
            data=os.path.expanduser(self.data.text().strip()),
            separation=self.separation.value(),
            augmentation=self.augmentation.value(),
            loss=self.loss.value(),
            family=self.family.value(),
            n_samples=self.images.value(),
        )

    def setValue(self, choice: FilesChoice) -> None:  # noqa: N802
        """Show choices without announcing them."""
        editors = (self.separation, self.augmentation, self.loss, self.family)
        with silent(self.data, self.images, *editors):
            self.model.setValue(choice.model)
            self.data.setText(choice.data)
            self.separation.setValue(choice.separation)
            self.augmentation.setValue(choice.augmentation)
            self.loss.setValue(choice.loss)
            self.family.setValue(choice.family)
            self.images.setValue(choice.n_samples)

    def take(self, paths: Sequence[str]) -> bool:
        """Take dropped files: a checkpoint as the model, anything else as the data."""
        choice = self.value()
        for path in paths:
            is_model = path.lower().endswith(SUFFIXES) and not os.path.isdir(path)
            choice = replace(choice, **{"model" if is_model else "data": path})
        self.setValue(choice)
        self._edited()
        return bool(paths)

    def _browse(self, *, folder: bool) -> None:
        start = self.data.text() or os.path.expanduser("~")
        if folder:
            path = QFileDialog.getExistingDirectory(self, "Data to diagnose", start)
        else:
            path, _ = QFileDialog.getOpenFileName(self, "Data to diagnose", start, DATA_FILTER)
        if path:
            self.take([path])

    def _edited(self, _value: object = None) -> None:
        self.valueChanged.emit(self.value())


_FAMILY_TIP = "Whose stored features and targets to take, for a token decoder; none for images."


def _ask_parameters(parent: QWidget) -> str:
    path, _ = QFileDialog.getOpenFileName(parent, "Separation parameters", "", "JSON (*.json)")
    return str(path)


def _ask_run(parent: QWidget) -> str:
    return str(QFileDialog.getExistingDirectory(parent, "Folder of a training run", ""))
