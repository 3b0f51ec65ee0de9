"""Files to diagnose: a model, data, a separation, an augmentation, a loss."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)
from superqt import QCollapsible

from ...core.params import CONVENTIONS, FAMILIES, FAULTS, PRESETS
from ..diagnosis_state import TUNER, FilesChoice
from .choices import ASK, Choices
from .model_picker import SUFFIXES, ModelPicker
from .parts import named, silent

NO_MODEL = "no model"
FEW_LETTERS = 5
"""Letters for which the model picker keeps room, so that the form is no wider than the panel."""
TITLE_PX = 104
"""Width of the titles of both parts of the form."""
MOST_IMAGES = 10_000
DATA_FILTER = "Data (*.csv *.npz *.npy *.png *.tif *.tiff *.jpg *.svs *.ndpi);;All files (*)"
DATA_TIP = (
    "A folder of images and label files, an index.csv, PanNuke folds, a family's .npz, or one "
    "file of images, maps or targets. It can be dropped here."
)
CLAIM_TIP = "What HV stored beside the data, or given as maps, claims to be; it is tested."
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
CLAIMS = (
    ("", "hover_net", "[H, V], outward, as the published HoVer-Net has it."),
    *((name, name, CLAIM_TIP) for name in CONVENTIONS if name not in ("auto", "hover_net")),
)


class ModelOrNone(ModelPicker):
    """The model picker, with "no model" on top."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.combo.setMinimumContentsLength(FEW_LETTERS)
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
        self.family = Choices(
            "Organ family", [(f, f or "none", _FAMILY_TIP) for f in ("", *FAMILIES)]
        )
        self.claim = Choices("HV is said to be", CLAIMS)
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
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(
            _form(("Model", self.model), ("Data", data), ("Separation", self.separation))
        )
        self.fold = QCollapsible("More to test")
        self.fold.addWidget(
            _form(
                ("Augmentation", self.augmentation),
                ("Loss", self.loss),
                ("Organ family", self.family),
                ("HV claims to be", self.claim),
                ("Images", self.images),
            )
        )
        column.addWidget(self.fold)

    def _connect(self) -> None:
        choices = (self.separation, self.augmentation, self.loss, self.family, self.claim)
        for editor in (self.model, *choices):
            editor.valueChanged.connect(self._edited)
        self.images.valueChanged.connect(self._edited)
        self.data.textChanged.connect(self._edited)
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
            convention=self.claim.value(),
            n_samples=self.images.value(),
        )

    def setValue(self, choice: FilesChoice) -> None:  # noqa: N802
        """Show choices without announcing them."""
        editors = (self.separation, self.augmentation, self.loss, self.family, self.claim)
        with silent(self.data, self.images, *editors):
            self.model.setValue(choice.model)
            self.data.setText(choice.data)
            self.separation.setValue(choice.separation)
            self.augmentation.setValue(choice.augmentation)
            self.loss.setValue(choice.loss)
            self.family.setValue(choice.family)
            self.claim.setValue(choice.convention)
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


def _form(*rows: tuple[str, Any]) -> QWidget:
    """Return fields below each other, their titles in a column of one width."""
    body = QWidget()
    form = QFormLayout(body)
    form.setContentsMargins(0, 0, 0, 0)
    form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
    for title, field in rows:
        label = QLabel(title)
        label.setMinimumWidth(TITLE_PX)
        form.addRow(label, field)
    return body
