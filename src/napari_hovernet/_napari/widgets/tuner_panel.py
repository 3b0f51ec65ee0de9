"""The panel "Tune separation": sliders over cached maps, live nuclei, sweeps."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt
from qtpy.QtGui import QKeySequence, QShortcut
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QPushButton, QWidget
from superqt import QCollapsible

from ...core.params import PRESETS
from ...core.types import Progress
from ...errors import InputError, UserError
from ..bind import bind
from ..tuner import Tuner, tuner_for
from .counts_table import CountsTable
from .parts import named, note, set_note
from .study_panel import StudyPanel
from .sweep_box import SweepBox
from .tune_editor import CHANGED, TuneEditor

if TYPE_CHECKING:
    import napari

    from ...app.tuning import Tuned
    from ...core.separation.tuning import StageCounts, TuneParams

FILE_FILTER = "Separation parameters (*.json)"
NO_MAPS = "This run kept no maps, so it cannot be tuned: run the model again."


class TunerPanel(StudyPanel):
    """Move a slider, see other nuclei; the network does not run again.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Given by napari (a proxy is fine).
    """

    def __init__(self, viewer: napari.viewer.Viewer, parent: QWidget | None = None) -> None:
        super().__init__(viewer, "Tune separation", parent)
        self.tuner: Tuner = tuner_for(self.desk)
        self.tuning = self.tuner.tuning
        self.editor, self.counts, self.sweep = TuneEditor(), CountsTable(), SweepBox()
        self.message = note(name="Message")
        self.undo = _button("Undo", "Take the last edit back. (Ctrl+Z)")
        self.redo = _button("Redo", "Make the edit again. (Ctrl+Shift+Z)")
        self.reset = _button("Reset", "Back to what the run was cut with.")
        self.load = _button("Load ...", "Read parameters from a file.")
        self.save = _button("Save ...", "Write parameters to a file (JSON); the command line "
                            "takes it with --params.")  # fmt: skip
        self.keep = _button("Keep as a run", "Make a run of its own of the tuned nuclei, to "
                            "compare, correct and save.")  # fmt: skip
        self.discard = _button("Discard", "Remove the tuned nuclei; show the run's own again.")
        self._lay_out()
        self._connect()
        self._show_run()

    # ------------------------------------------------------------------ layout and wiring

    def _lay_out(self) -> None:
        column = self.column
        column.addWidget(self.editor)
        column.addWidget(self.counts)
        column.addWidget(self.message)
        for buttons in (
            (self.undo, self.redo, self.reset),
            (self.load, self.save),
            (self.keep, self.discard),
        ):
            row = QHBoxLayout()
            for button in buttons:
                row.addWidget(button)
            column.addLayout(row)
        self.fold = QCollapsible("Sweep one or two parameters")
        self.fold.addWidget(self.sweep)
        column.addWidget(self.fold)
        column.addStretch(1)

    def _connect(self) -> None:
        tuning, tuner = self.tuning, self.tuner
        self.editor.valueChanged.connect(tuning.edit)
        self.editor.presetChosen.connect(tuning.choose_preset)
        self.undo.clicked.connect(lambda _: tuning.undo())
        self.redo.clicked.connect(lambda _: tuning.redo())
        self.reset.clicked.connect(lambda _: tuning.reset())
        self.discard.clicked.connect(lambda _: tuner.discard())
        self.keep.clicked.connect(lambda _: self._try(tuner.keep))
        self.load.clicked.connect(lambda _: self._load())
        self.save.clicked.connect(lambda _: self._save())
        self.sweep.sweepRequested.connect(self._sweep)
        self.sweep.cancelRequested.connect(tuner.cancel_sweep)
        self.sweep.applyRequested.connect(self._apply)
        self.sweep.failed.connect(self.tell)
        bind(self, tuning.params_changed, self._show_params)
        bind(self, tuning.tuned_changed, self._show_tuned)
        bind(self, tuning.sweep_changed, self.sweep.setValue)
        bind(self, self.study.run_changed, self._show_run)
        bind(self, tuner.message, self._show_message)
        bind(self, tuner.progress, self._show_progress)
        theme = getattr(self.desk.viewer.events, "theme", None)
        if theme is not None:
            bind(self, theme, self._show_theme)
        for keys, action in (("Ctrl+Z", tuning.undo), ("Ctrl+Shift+Z", tuning.redo)):
            shortcut = QShortcut(QKeySequence(keys), self)
            shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
            shortcut.activated.connect(lambda act=action: act())

    # ------------------------------------------------------------------ actions

    def _try(self, action: Any) -> None:
        try:
            action()
        except UserError as error:
            self.tell(error)

    def _sweep(self, rows: Any, columns: Any) -> None:
        try:
            words = self.tuner.sweep(rows, columns)
        except UserError as error:
            self.tell(error)
            return
        self.sweep.setValue(None)
        self.sweep.tell(f"Tried on {words}.")
        self._show_progress(Progress(0, 0))

    def _apply(self, row: int, column: int) -> None:
        sweep = self.tuning.sweep
        if sweep is not None:
            self._try(lambda: self.tuning.edit(sweep.params(row, column)))

    def _load(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Load parameters", "", FILE_FILTER)
        if path:
            self._try(lambda: self.load_from(path))

    def _save(self) -> None:
        path, _ = QFileDialog.getSaveFileName(self, "Save parameters", "", FILE_FILTER)
        if path:
            self._try(lambda: self.save_to(path))

    def load_from(self, path: str) -> None:
        """Take parameters from a file; they are in pixels of whatever they were saved for."""
        from ...core.io.files import read_params  # noqa: PLC0415 - on first use

        self.tuning.edit(read_params(path))
        self._show_message(f"Parameters of {Path(path).name}.")

    def save_to(self, path: str) -> None:
        """Write the present parameters to a file; the ending is added where there is none."""
        from ...core.io.files import write_params  # noqa: PLC0415 - on first use

        target = Path(path)
        if not target.suffix:
            target = target.with_suffix(".json")
            if target.exists():  # the dialog has not asked about this name
                raise InputError(f"{target.name} is there already: choose it to replace it.")
        write_params(target, self.tuning.params)
        self._show_message(f"Saved as {target.name}.")

    # ------------------------------------------------------------------ showing

    def _show_run(self, *_: Any) -> None:
        run = self.study.run
        usable = self.tuner.run is not None
        for widget in (self.editor, self.load, self.keep, self.sweep):
            widget.setEnabled(usable)
        self._show_message(NO_MAPS if run is not None and not usable else "")
        self.counts.set_was(_counts_of(run))
        self._show_params(self.tuning.params)
        self._show_tuned(self.tuning.tuned)
        self.sweep.setValue(self.tuning.sweep)
        self._show_theme()

    def _show_params(self, params: TuneParams) -> None:
        presets = {self.tuning.preset(name): name for name in PRESETS}
        self.editor.setValue(params, presets.get(params.separation, CHANGED))
        method = params.separation.method
        merging = method == "local" and params.separation.merge_touching
        self.editor.set_defaults(self.tuning.defaults("merging_relabel" if merging else method))
        self.sweep.set_method(method)
        self.undo.setEnabled(self.tuning.can_undo)
        self.redo.setEnabled(self.tuning.can_redo)
        self.reset.setEnabled(params != self.tuning.start)

    def _show_tuned(self, tuned: Tuned | None) -> None:
        where = "whole run" if tuned is None or tuned.box is None else "in view"
        self.counts.set_now(None if tuned is None else tuned.counts, where)
        self.discard.setEnabled(tuned is not None)

    def _show_message(self, text: str) -> None:
        set_note(self.message, text)

    def _show_progress(self, step: Progress | None) -> None:
        self.sweep.set_progress(step)

    def _show_theme(self, *_: Any) -> None:
        self.sweep.plot.set_theme(str(self.desk.viewer.theme))


def _counts_of(run: Any) -> StageCounts | None:
    separation = None if run is None else run.result.separation
    if separation is None:
        return None
    from ...core.separation.tuning import stage_counts  # noqa: PLC0415 - on first use

    return stage_counts(separation)


def _button(text: str, tip: str) -> QPushButton:
    button = QPushButton(text)
    named(button, text.removesuffix(" ..."), tip)
    return button
