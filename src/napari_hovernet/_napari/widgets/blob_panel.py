"""The panel "Blob check": what each connected area became, suspects first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt
from qtpy.QtGui import QKeySequence, QShortcut
from qtpy.QtWidgets import QCheckBox, QFileDialog, QHBoxLayout, QPushButton, QWidget

from ...errors import UserError
from ..bind import bind
from ..blob_view import BACK_KEY, NEXT_KEY, BlobView, blob_view_for
from .blob_legend import BlobLegend
from .blob_table import BlobTable
from .parts import named, note, set_note, silent
from .study_panel import StudyPanel

if TYPE_CHECKING:
    import napari

    from ...core.measure.blobs import BlobReport

SAVE_FILTER = "Table (*.csv)"
LOOKING = "Looking for blobs ..."
NO_MAPS = "This run keeps no maps, so there is nothing to check."


class BlobPanel(StudyPanel):
    """A summary, the ranked table, and the way from suspect to suspect.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Given by napari (a proxy is fine).
    """

    def __init__(self, viewer: napari.viewer.Viewer, parent: QWidget | None = None) -> None:
        super().__init__(viewer, "Blob check", parent)
        self.blobs: BlobView = blob_view_for(viewer)
        self.summary = note("", "Summary")
        self.remark = note("", "How it was measured")
        self.legend = BlobLegend()
        self.color = QCheckBox("Colour in viewer")
        self.only = QCheckBox("Only suspects")
        self.table = BlobTable()
        self.details = note("", "Why it is suspected")
        self.back, self.on = QPushButton("Previous suspect"), QPushButton("Next suspect")
        self.save = QPushButton("Save CSV ...")
        self._lay_out()
        self._name_all()
        self._connect()
        self._hold_keys()
        self._show_report()

    def _lay_out(self) -> None:
        font = self.summary.font()
        font.setBold(True)
        self.summary.setFont(font)
        self.column.addWidget(self.summary)
        self.column.addWidget(self.legend)
        self.column.addLayout(_row(self.color, self.only))
        self.column.addWidget(self.table)
        self.column.addLayout(_row(self.back, self.on))
        self.column.addWidget(self.details)
        self.column.addWidget(self.remark)
        self.column.addLayout(_row(self.save, stretch=True))
        self.column.addStretch(1)

    def _name_all(self) -> None:
        named(self.color, "Colour in viewer", "A layer of the components: blob, separated, single.")
        named(self.only, "Only suspects", "List suspected blobs alone.")
        named(self.on, "Next suspect", f"Fly to the next suspected blob. ({NEXT_KEY})")
        named(self.back, "Previous suspect", f"Fly to the one before. ({BACK_KEY})")
        named(self.save, "Save CSV", "Write the whole table, in pixels and, if known, micrometres.")

    def _connect(self) -> None:
        blobs = self.blobs
        self.color.setChecked(blobs.colored)
        self.color.toggled.connect(blobs.set_colored)
        self.only.toggled.connect(self._filter)
        self.table.valueChanged.connect(blobs.go)
        self.on.clicked.connect(lambda _: blobs.step(1))
        self.back.clicked.connect(lambda _: blobs.step(-1))
        self.save.clicked.connect(lambda _: self.ask_and_save())
        self.table.horizontalHeader().sortIndicatorChanged.connect(self._show_current)
        bind(self, blobs.changed, self._show_report)
        bind(self, blobs.moved, self._show_current)
        bind(self, blobs.colored_changed, self._show_colored)
        bind(self, self.study.run_changed, self._show_report)

    def _hold_keys(self) -> None:
        for key, by in ((NEXT_KEY, 1), (BACK_KEY, -1)):
            shortcut = QShortcut(QKeySequence(key), self)
            shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
            shortcut.activated.connect(lambda step=by: self.blobs.step(step))
        keys = self.blobs.keys
        keys.acquire()

        def release(*_: object) -> None:  # a bound method would not run: this object dies too
            keys.release()

        self.destroyed.connect(release)

    # ------------------------------------------------------------------ actions

    def ask_and_save(self) -> None:
        """Ask for a file and write the table to it."""
        path, _ = QFileDialog.getSaveFileName(self, "Save the blob check", "blobs.csv", SAVE_FILTER)
        if path:
            self.write(path if path.lower().endswith(".csv") else f"{path}.csv")

    def write(self, path: str) -> None:
        """Write the table; what fails is told."""
        try:
            self.blobs.save(path)
        except UserError as error:
            self.tell(error)

    def _filter(self, only: bool) -> None:
        self.table.rows.set_suspects_only(only)
        self._show_current()

    # ------------------------------------------------------------------ showing

    def _show_report(self, *_: Any) -> None:
        report = self.blobs.report
        self.table.rows.set_report(report)
        for button in (self.on, self.back):
            button.setEnabled(report is not None and report.n_suspected > 0)
        self.save.setEnabled(report is not None)
        set_note(self.summary, self._headline(report))
        self.legend.setValue(report)
        remark = ""
        if report is not None:
            from ...core.measure.blobs import explain_report  # noqa: PLC0415 - on first use

            remark = explain_report(report)
        set_note(self.remark, remark)
        self._show_current()

    def _headline(self, report: BlobReport | None) -> str:
        run = self.study.run
        if report is not None:
            return report.summary
        if run is None:
            return ""
        return NO_MAPS if run.result.maps is None else LOOKING

    def _show_current(self, *_: Any) -> None:
        row = self.blobs.current
        self.table.setValue(row)
        text = ""
        if row is not None:
            from ...core.measure.blobs import explain  # noqa: PLC0415 - on first use

            text = explain(row, bands=self.study.bands)
        set_note(self.details, text)

    def _show_colored(self, colored: bool) -> None:
        with silent(self.color):
            self.color.setChecked(colored)


def _row(*widgets: QWidget, stretch: bool = False) -> QHBoxLayout:
    row = QHBoxLayout()
    for widget in widgets:
        row.addWidget(widget)
    if stretch:
        row.addStretch(1)
    return row
