"""The panel "Diagnose": the most likely cause first, with its evidence and its remedy."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt, QTimer
from qtpy.QtGui import QDragEnterEvent, QDropEvent, QGuiApplication, QKeySequence, QShortcut
from qtpy.QtWidgets import QFileDialog, QWidget

from ...errors import UserError
from ..bind import bind
from ..diagnosing import Diagnosing, diagnosing_for
from ..diagnosis_ask import ready
from ..diagnosis_state import RUN
from ..diagnosis_view import BACK_KEY, NEXT_KEY
from .diagnose_results import DiagnoseResults
from .diagnose_setup import DiagnoseSetup
from .diagnose_start import DiagnoseStart
from .parts import set_note
from .plot_style import theme_colors
from .study_panel import StudyPanel

if TYPE_CHECKING:
    from collections.abc import Callable

    import napari

    from ...core.types import Progress

SAVE_FILTER = "Report (*.html);;Findings (*.json)"
BEGIN = "Press Diagnose. The checks run in the background; the first findings come at once."
PAUSE_MS = 150
"""Time between two times that the list is drawn anew while checks run."""
COPIED = "The command line is on the clipboard."


class DiagnosePanel(StudyPanel):
    """Choose, diagnose, look at findings one by one, apply remedies.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Given by napari (a proxy is fine).
    """

    def __init__(self, viewer: napari.viewer.Viewer, parent: QWidget | None = None) -> None:
        super().__init__(viewer, "Diagnose", parent)
        self.diagnosing: Diagnosing = diagnosing_for(viewer)
        self.view, self.remedies = self.diagnosing.view, self.diagnosing.remedies
        self.setup, self.start = DiagnoseSetup(self.picker), DiagnoseStart()
        self.results = DiagnoseResults()
        self.list, self.finding = self.results.list, self.results.finding
        for part in (self.setup, self.start, self.results):
            self.column.addWidget(part)
        self.column.addStretch(1)
        self.setAcceptDrops(True)
        self._waiting = False
        self.pause = QTimer(self, singleShot=True, interval=PAUSE_MS)
        self.pause.timeout.connect(self._after_pause)
        self._connect()
        self._hold_keys()
        self._show_setup()
        self._show_findings()
        self._show_theme()

    def _connect(self) -> None:
        view, results, remedy = self.view, self.results, self.finding.remedy
        self.setup.valueChanged.connect(self._show_setup)
        self.start.startRequested.connect(self.diagnose)
        self.start.cancelRequested.connect(self.diagnosing.cancel)
        self.list.valueChanged.connect(lambda found: view.choose(found, go=True))
        self.finding.placeChosen.connect(view.go)
        self.finding.stepped.connect(view.step)
        self.finding.layerChosen.connect(view.look_at)
        remedy.applyRequested.connect(self.remedies.apply)
        remedy.tunerRequested.connect(lambda: self._try(self.remedies.use_in_tuner))
        results.applied.undoRequested.connect(self.remedies.undo)
        results.save.clicked.connect(lambda _: self.ask_and_save())
        results.copy.clicked.connect(lambda _: self.copy_command())
        bind(self, self.diagnosing.changed, self._findings_changed)
        bind(self, self.diagnosing.chosen_changed, self._show_chosen)
        bind(self, self.diagnosing.progress, self._show_progress)
        bind(self, self.diagnosing.failed, self.tell)
        bind(self, self.diagnosing.told, self._tell_done)
        bind(self, self.study.run_changed, self._show_setup)
        bind(self, self.study.truth_changed, self._show_setup)
        session = self.desk.work.session
        bind(self, session.settings_changed, self._show_recent)
        self._show_recent()
        theme = getattr(self.desk.viewer.events, "theme", None)
        if theme is not None:
            bind(self, theme, self._show_theme)

    def _hold_keys(self) -> None:
        for key, by in ((NEXT_KEY, 1), (BACK_KEY, -1)):
            self._shortcut(key, lambda step=by: self.view.step(step))
        self._shortcut("Ctrl+Z", self.remedies.undo)
        keys = self.view.keys
        keys.acquire()

        def release(*_: object) -> None:  # a bound method would not run: this object dies too
            keys.release()

        self.destroyed.connect(release)

    def _shortcut(self, keys: str, action: Callable[[], Any]) -> None:
        """Bind keys while the results have the focus: "." is typed into paths above."""
        shortcut = QShortcut(QKeySequence(keys), self.results)
        shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        shortcut.activated.connect(action)

    # ------------------------------------------------------------------ actions

    def diagnose(self) -> None:
        """Start; a reason not to is told."""
        if self.setup.kind == RUN:
            self._try(self.diagnosing.diagnose_run)
        else:
            self._try(lambda: self.diagnosing.diagnose_files(self.setup.value()))

    def ask_and_save(self) -> None:
        """Ask for a file and write the report to it."""
        name = os.path.join(os.path.expanduser("~"), "diagnosis.html")
        path, chosen = QFileDialog.getSaveFileName(self, "Save the report", name, SAVE_FILTER)
        if path and not path.lower().endswith((".html", ".json")):
            path += ".json" if "json" in chosen else ".html"
        if path:
            self.diagnosing.save(path)

    def copy_command(self) -> None:
        """Put the command line that does the same on the clipboard."""
        clipboard = QGuiApplication.clipboard()
        if clipboard is not None:
            clipboard.setText(self.setup.value().command)
            self._tell_done(COPIED)

    def _try(self, action: Callable[[], Any]) -> None:
        try:
            action()
        except UserError as error:
            self.tell(error)

    # ------------------------------------------------------------------ showing

    def _show_setup(self, *_: Any) -> None:
        problem, words = ready(self.desk, self.setup.kind, self.setup.value())
        no_run = self.setup.kind == RUN and self.study.run is None  # the picker says that
        self.setup.set_remark("" if no_run else problem or words)
        self.start.set_ready(problem)
        self.results.copy.setVisible(self.setup.kind != RUN)

    def _show_recent(self, *_: Any) -> None:
        self.setup.files.model.set_recent(self.desk.work.session.settings.recent_models)

    def _findings_changed(self, *_: Any) -> None:
        """Show findings at once; those that follow within a moment are shown together."""
        if not self.diagnosing.busy:
            self.pause.stop()
        if self.pause.isActive():
            self._waiting = True
            return
        self._show_findings()
        self.pause.start()

    def _after_pause(self) -> None:
        if self._waiting:
            self._findings_changed()

    def _show_findings(self, *_: Any) -> None:
        self._waiting = False
        diagnosing = self.diagnosing
        begun = diagnosing.target is not None
        self.start.set_busy(diagnosing.busy)
        self.results.set_headline(diagnosing.headline if begun else BEGIN, bold=begun)
        self.results.set_findings(diagnosing.findings, done=diagnosing.diagnosis is not None)
        self.results.applied.setValue(self.remedies.applied)
        self._show_chosen()

    def _show_chosen(self, *_: Any) -> None:
        found = self.view.finding
        self.list.setValue("" if found is None else found.id)
        self.finding.setValue(
            found,
            ready=self.remedies.can_apply(found),
            tunable=self.remedies.tunable(found),
        )
        self.finding.places.setValue(self.view.at)
        if self.view.map:
            self.finding.look.setValue(self.view.map)

    def _show_progress(self, step: Progress | None) -> None:
        self.start.set_progress(step)

    def _tell_done(self, text: str) -> None:
        set_note(self.results.message, text)

    def _show_theme(self, *_: Any) -> None:
        self.finding.set_colors(theme_colors(str(self.desk.viewer.theme)))

    # ------------------------------------------------------------------ Qt events

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:  # noqa: N802
        """Accept local files and folders."""
        data = event.mimeData()
        if data is not None and any(url.isLocalFile() for url in data.urls()):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:  # noqa: N802
        """Take a checkpoint as the model, anything else as the data."""
        data = event.mimeData()
        urls = [] if data is None else data.urls()
        self.setup.take([url.toLocalFile() for url in urls if url.isLocalFile()])
        event.acceptProposedAction()
