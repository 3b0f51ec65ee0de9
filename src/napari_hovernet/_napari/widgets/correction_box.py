"""What was corrected by hand so far, one more nucleus, and saving all of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFileDialog, QGroupBox, QPushButton, QVBoxLayout, QWidget

from ...errors import UserError
from ..bind import bind
from ..correcting import correcting_for
from .parts import ERROR_STYLE, named, note, set_note
from .training_dialog import TrainingChoice, TrainingDialog

if TYPE_CHECKING:
    from collections.abc import Callable

    import napari

HOW = (
    "Paint on the layer 'nuclei' with napari's own tools: brush (2), fill (4), eraser (1), pick "
    "an id (5), undo (Ctrl+Z)."
)
NEW_TIP = (
    "Chooses an id that is free and the brush, so that the next stroke is a nucleus of its own. "
    "(Shift+M)"
)
LABELS_TIP = (
    "Save the labels as drawn now as TIFF, with the run, the model and what was changed. Open it "
    "in napari, or use it as truth."
)
PAIR_TIP = (
    "Save the region of the image and the labels as drawn now into a folder of training data, "
    "with a line in its index.csv."
)


class CorrectionBox(QGroupBox):
    """Shows and saves the corrections of the run under the glass.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Given by napari (a proxy is fine).
    """

    told = Signal(object)
    """A :class:`UserError` or text that the user has to see."""

    def __init__(self, viewer: napari.viewer.Viewer, parent: QWidget | None = None) -> None:
        super().__init__("Correct by hand", parent)
        self.correcting = correcting_for(viewer)
        self.choice = TrainingChoice()
        self.dialog: TrainingDialog | None = None
        self.summary = note(name="Corrections")
        self.problem = note(name="Why what is drawn cannot be taken in")
        self.problem.setStyleSheet(ERROR_STYLE)
        self.outcome = note(name="What was saved")
        self.new = _button("New nucleus", NEW_TIP)
        self.save_labels = _button("Save corrected labels ...", LABELS_TIP)
        self.save_pair = _button("Save as training data ...", PAIR_TIP)
        column = QVBoxLayout(self)
        for widget in (note(HOW, "How to correct"), self.summary, self.problem, self.new):
            column.addWidget(widget)
        for widget in (self.save_labels, self.save_pair, self.outcome):
            column.addWidget(widget)
        self.new.clicked.connect(lambda _: self._try(self.correcting.new_nucleus))
        self.save_labels.clicked.connect(lambda _: self._ask_for_file())
        self.save_pair.clicked.connect(lambda _: self._ask_for_pair())
        bind(self, self.correcting.changed, self._show)
        bind(self, self.correcting.saved, self._show_saved)
        bind(self, self.correcting.failed, self._show_failed)
        bind(self, self.correcting.desk.study.run_changed, self._show)
        self._show()

    def _show(self, *_: Any) -> None:
        run = self.correcting.desk.run
        for button in (self.new, self.save_labels, self.save_pair):
            button.setEnabled(run is not None)
        text = "" if run is None else f"{run.title}: {self.correcting.corrections.summary}"
        set_note(self.summary, text)
        set_note(self.problem, self.correcting.problem)

    def _show_saved(self, text: str) -> None:
        self._busy(False)
        set_note(self.outcome, text)

    def _show_failed(self, error: UserError) -> None:
        self._busy(False)
        set_note(self.outcome, "")
        self.told.emit(error)

    def _busy(self, busy: bool) -> None:
        if busy:
            set_note(self.outcome, "Saving ...")
        for button in (self.save_labels, self.save_pair):
            button.setEnabled(not busy and self.correcting.desk.run is not None)

    def _try(self, action: Callable[[], Any]) -> bool:
        """Do something; a reason not to is told, not raised."""
        try:
            action()
        except UserError as error:
            self.told.emit(error)
            return False
        return True

    # ------------------------------------------------------------------ saving

    def _ask_for_file(self) -> None:
        name = f"{self._name()}_corrected.tif"
        start = str(Path(self.choice.folder) / name) if self.choice.folder else name
        path, _ = QFileDialog.getSaveFileName(
            self, "Save corrected labels", start, "Label TIFF (*.tif *.tiff)"
        )
        if path and self._try(lambda: self.correcting.save_labels(path)):
            self._busy(True)

    def _ask_for_pair(self) -> None:
        run = self.correcting.desk.run
        if run is None:
            return
        self.dialog = dialog = TrainingDialog(self)
        source = self.choice.source or run.image.name
        dialog.setValue(replace(self.choice, name=self._name(), source=source, overwrite=False))
        dialog.chosen.connect(self._save_pair)
        dialog.finished.connect(dialog.deleteLater)
        dialog.open()

    def _save_pair(self, choice: TrainingChoice) -> None:
        from ...app.corrections import PairAbout, PairOptions  # noqa: PLC0415 - on first use
        from ...core.measure.changes import TidyParams  # noqa: PLC0415

        self.choice = choice
        about = PairAbout(source=choice.source, split=choice.split, licence=choice.licence)
        options = PairOptions(choice.overwrite, TidyParams(choice.own_id_per_part))
        place = (choice.folder, choice.name)
        if self._try(lambda: self.correcting.save_pair(place, about, options)):
            self._busy(True)

    def _name(self) -> str:
        """Return a name for files from the image and, of a region, where it starts."""
        from ...app.corrections import clean_name  # noqa: PLC0415 - on first use

        run = self.correcting.desk.run
        if run is None:
            return "image"
        row, col = run.result.offset
        region = run.result.params.region is not None
        return clean_name(f"{run.image.name}_r{row}_c{col}" if region else run.image.name)


def _button(text: str, tip: str) -> QPushButton:
    button = QPushButton(text)
    named(button, text, tip)
    return button
