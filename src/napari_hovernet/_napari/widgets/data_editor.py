"""What to train on: sources, and how they are cut and split."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QDragEnterEvent, QDropEvent, QKeySequence, QShortcut
from qtpy.QtWidgets import QFileDialog, QGridLayout, QPushButton, QVBoxLayout, QWidget
from superqt import QCollapsible

from ...core.params import DataParams
from .param_form import ParamForm, rows_of
from .parts import named
from .source_table import SourceTable

FILE_FILTER = "Training data (*.csv *.npz *.npy *.mat *.png *.tif *.tiff);;All files (*)"
ROWS = rows_of(DataParams, "val_fraction", "crop", "max_val")
MORE_ROWS = rows_of(DataParams, "family", "hv_convention")


class DataEditor(QWidget):
    """A list of sources with its buttons, and a form."""

    valueChanged = Signal(object)  # noqa: N815 - DataParams
    layersRequested = Signal()  # noqa: N815
    """The user wants to train on layers of the viewer."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.table = SourceTable()
        self.folder = _button(
            "Add folder ...",
            "A folder of images with label files, PanNuke folds, or one that holds an index.csv.",
        )
        self.file = _button(
            "Add files ...", "An index.csv, family .npz, hover_net .npy or .mat, or single images."
        )
        self.layers = _button(
            "Open layers ...",
            "An Image layer and its Labels of this viewer; runs with brush corrections too.",
        )
        self.remove = _button(
            "Remove", "Take the chosen lines off the list; nothing is deleted. (Delete)"
        )
        self.form = ParamForm(ROWS, DataParams())
        self.more = ParamForm(MORE_ROWS, DataParams())
        self.setAcceptDrops(True)
        self._lay_out()
        self._connect()

    def _lay_out(self) -> None:
        buttons = QGridLayout()
        for at, button in enumerate((self.folder, self.file, self.layers, self.remove)):
            buttons.addWidget(button, at // 2, at % 2)
        fold = QCollapsible("More about the data")
        fold.addWidget(self.more)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.table)
        column.addLayout(buttons)
        column.addWidget(self.form)
        column.addWidget(fold)

    def _connect(self) -> None:
        self.folder.clicked.connect(lambda _: self._ask_folder())
        self.file.clicked.connect(lambda _: self._ask_files())
        self.layers.clicked.connect(lambda _: self.layersRequested.emit())
        self.remove.clicked.connect(lambda _: self.table.remove_chosen())
        self.table.valueChanged.connect(self._edited)
        self.form.valueChanged.connect(self._edited)
        self.more.valueChanged.connect(self._edited)
        delete = QShortcut(QKeySequence("Delete"), self.table)
        delete.setContext(Qt.ShortcutContext.WidgetShortcut)
        delete.activated.connect(self.table.remove_chosen)

    def value(self) -> DataParams:
        """Return the choices."""
        form, more = self.form.value(), self.more.value()
        made: DataParams = replace(
            form,
            sources=self.table.value(),
            family=more.family,
            hv_convention=more.hv_convention,
        )
        return made

    def setValue(self, data: DataParams) -> None:  # noqa: N802
        """Show choices without announcing them."""
        self.table.setValue(data.sources)
        self.form.setValue(data)
        self.more.setValue(data)

    def add_sources(self, paths: Sequence[str]) -> None:
        """Add files and folders."""
        self.table.add([os.path.abspath(p) for p in paths])

    @property
    def problem(self) -> str:
        """Why the choices cannot be used, "" if they can."""
        return self.form.problem or self.more.problem

    def _edited(self, _value: object = None) -> None:
        self.valueChanged.emit(self.value())

    def _ask_folder(self) -> None:
        path = QFileDialog.getExistingDirectory(self, "Folder of training data", self._start())
        if path:
            self.add_sources([path])

    def _ask_files(self) -> None:
        paths, _ = QFileDialog.getOpenFileNames(
            self, "Files of training data", self._start(), FILE_FILTER
        )
        self.add_sources(paths)

    def _start(self) -> str:
        """Begin where the last source lies."""
        known = self.table.value()
        return os.path.dirname(known[-1]) if known else os.path.expanduser("~")

    # ------------------------------------------------------------------ Qt events

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:  # noqa: N802
        """Take files and folders."""
        if dropped_paths(event):
            event.acceptProposedAction()
        else:
            event.ignore()

    def dropEvent(self, event: QDropEvent) -> None:  # noqa: N802
        """Add what was dropped."""
        self.add_sources(dropped_paths(event))
        event.acceptProposedAction()


def dropped_paths(event: QDragEnterEvent | QDropEvent) -> list[str]:
    """Return the local files and folders that are dropped."""
    data = event.mimeData()
    urls = data.urls() if data is not None and data.hasUrls() else []
    return [str(url.toLocalFile()) for url in urls if url.isLocalFile()]


def _button(text: str, tip: str) -> QPushButton:
    button = QPushButton(text)
    named(button, text.removesuffix(" ..."), tip)
    return button
