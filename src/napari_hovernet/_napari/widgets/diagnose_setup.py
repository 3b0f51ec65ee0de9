"""What is diagnosed: the run in the viewer, or files."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QButtonGroup, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from ..diagnosis_state import FILES, RUN, FilesChoice
from .files_editor import FilesEditor
from .parts import named, note, set_note
from .run_picker import RunPicker

RUN_TIP = (
    "What is in front of you: the image, the maps and nuclei of a run, its model and separation, "
    "and the truth chosen in Compare and correct, if any."
)
FILES_TIP = "A model, a data set, a separation, an augmentation, a loss: whatever you have."
BUTTON_PX = 26


class DiagnoseSetup(QWidget):
    """Two buttons, and beneath them a run picker or the form of files.

    Parameters
    ----------
    picker : RunPicker
        Of the panel; shown for "This run".
    """

    valueChanged = Signal()  # noqa: N815

    def __init__(self, picker: RunPicker, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.picker, self.files = picker, FilesEditor()
        self.remark = note("", "What will be tested")
        self._buttons = {
            RUN: _choice("This run", RUN_TIP),
            FILES: _choice("Files", FILES_TIP),
        }
        self._group = QButtonGroup(self)
        row = QHBoxLayout()
        row.setSpacing(0)
        for button in self._buttons.values():
            self._group.addButton(button)
            row.addWidget(button)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(row)
        column.addWidget(self.picker)
        column.addWidget(self.files)
        column.addWidget(self.remark)
        self._group.buttonClicked.connect(lambda _: self._chosen())
        self.files.valueChanged.connect(self._edited)
        self.set_kind(RUN)

    # ------------------------------------------------------------------ value

    @property
    def kind(self) -> str:
        """What is diagnosed: "run" or "files"."""
        return next(kind for kind, button in self._buttons.items() if button.isChecked())

    def set_kind(self, kind: str) -> None:
        """Choose without announcing it."""
        self._buttons[kind].setChecked(True)
        self.picker.setVisible(kind == RUN)
        self.files.setVisible(kind == FILES)

    def value(self) -> FilesChoice:
        """Return the files chosen."""
        return self.files.value()

    def set_remark(self, text: str) -> None:
        """Say what will be tested, or what is missing."""
        set_note(self.remark, text)

    def take(self, paths: Sequence[str]) -> None:
        """Take files that were dropped; the form of files comes to the front."""
        if self.files.take(paths):
            self.set_kind(FILES)
            self.valueChanged.emit()

    # ------------------------------------------------------------------ inner

    def _chosen(self) -> None:
        self.set_kind(self.kind)
        self.valueChanged.emit()

    def _edited(self, _choice: FilesChoice) -> None:
        self.valueChanged.emit()


def _choice(text: str, tip: str) -> QPushButton:
    button = QPushButton(text)
    button.setCheckable(True)
    button.setMinimumHeight(BUTTON_PX)
    named(button, text, tip)
    return button
