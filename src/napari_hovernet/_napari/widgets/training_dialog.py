"""Where and as what corrected labels become training data."""

from __future__ import annotations

from dataclasses import dataclass

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from .parts import named, note, set_note

SPLITS = ("train", "val", "test")
WIDTH = 460
"""Width in pixels at which a folder can be read."""
FOLDER_TIP = (
    "The image goes to images/, the labels to labels/, and a line into index.csv; other pairs "
    "in the folder stay."
)
REPLACE = "Replace a pair of this name"
PARTS = "Give each part of a nucleus in parts an id of its own"


@dataclass(frozen=True)
class TrainingChoice:
    """What the dialog was filled in with."""

    folder: str = ""
    name: str = ""
    source: str = ""
    split: str = "train"
    licence: str = ""
    own_id_per_part: bool = False
    overwrite: bool = False


class TrainingDialog(QDialog):
    """Asks for folder, name and facts of a pair; knows neither session nor napari."""

    chosen = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Save as training data")
        self.setMinimumWidth(WIDTH)
        self.folder = _line("Folder", FOLDER_TIP)
        self.browse = QPushButton("Browse ...")
        named(self.browse, "Browse for a folder", "Choose or make the folder of the data set.")
        self.name = _line("Name", "Name of the pair, without ending; letters, digits, . - and _.")
        self.source = _line("Source", "Slide, patient or laboratory; scores are averaged by it.")
        self.split = QComboBox()
        self.split.addItems(SPLITS)
        named(self.split, "Split", "What the pair is for: train, val(idation) or test.")
        self.licence = _line("Licence", "Of the image, as CC0-1.0; it goes into the index.")
        self.parts = QCheckBox(PARTS)
        named(
            self.parts,
            PARTS,
            "For one id drawn on several nuclei. Off: an id in several parts stays one nucleus, "
            "and you are told.",
        )
        self.replace = QCheckBox(REPLACE)
        named(self.replace, REPLACE, "Off: a name that is there already is refused.")
        self.remark = note(name="What is missing")
        self._lay_out()
        self.browse.clicked.connect(lambda _: self._pick_folder())
        self.folder.textChanged.connect(self._enable)
        self.name.textChanged.connect(self._enable)
        self._enable()

    def value(self) -> TrainingChoice:
        """Return what was filled in."""
        return TrainingChoice(
            folder=self.folder.text().strip(),
            name=self.name.text().strip(),
            source=self.source.text().strip(),
            split=self.split.currentText(),
            licence=self.licence.text().strip(),
            own_id_per_part=self.parts.isChecked(),
            overwrite=self.replace.isChecked(),
        )

    def setValue(self, choice: TrainingChoice) -> None:  # noqa: N802
        """Fill in the form."""
        self.folder.setText(choice.folder)
        self.name.setText(choice.name)
        self.source.setText(choice.source)
        self.split.setCurrentText(choice.split)
        self.licence.setText(choice.licence)
        self.parts.setChecked(choice.own_id_per_part)
        self.replace.setChecked(choice.overwrite)

    def accept(self) -> None:
        """Close and announce the choice."""
        super().accept()
        self.chosen.emit(self.value())

    def _lay_out(self) -> None:
        row = QHBoxLayout()
        row.addWidget(self.folder, 1)
        row.addWidget(self.browse)
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Folder", row)
        for text, widget in (
            ("Name", self.name),
            ("Source", self.source),
            ("Split", self.split),
            ("Licence", self.licence),
        ):
            form.addRow(text, widget)
        self.buttons = QDialogButtonBox(
            QDialogButtonBox.StandardButton.Save | QDialogButtonBox.StandardButton.Cancel
        )
        self.buttons.accepted.connect(self.accept)
        self.buttons.rejected.connect(self.reject)
        column = QVBoxLayout(self)
        column.addLayout(form)
        for widget in (self.parts, self.replace, self.remark, self.buttons):
            column.addWidget(widget)

    def _pick_folder(self) -> None:
        found = QFileDialog.getExistingDirectory(self, "Folder of the data set", self.folder.text())
        if found:
            self.folder.setText(found)

    def _enable(self, _text: str = "") -> None:
        missing = [
            what
            for what, line in (("a folder", self.folder), ("a name", self.name))
            if not line.text().strip()
        ]
        save = self.buttons.button(QDialogButtonBox.StandardButton.Save)
        if save is not None:
            save.setEnabled(not missing)
        set_note(self.remark, f"Give {' and '.join(missing)}." if missing else "")


def _line(name: str, tip: str) -> QLineEdit:
    line = QLineEdit()
    named(line, name, tip)
    return line
