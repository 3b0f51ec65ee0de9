"""Two checkpoints on one image: which, beside each other, and what differs."""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QGroupBox,
    QHBoxLayout,
    QLabel,
    QMenu,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from ...errors import UserError
from ..bind import bind
from ..side_by_side import side_by_side_for
from ..side_layers import DIFFERENCE_COLORS
from .delta_table import DeltaTable
from .difference_legend import DifferenceLegend
from .model_picker import BUILT_IN, FILE_FILTER
from .parts import named, note, set_note, silent

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.viewer import Viewer

NO_A = "No run yet: open Plugins > Segment nuclei, choose an image and press Run."
NO_B = "There is no other run over the same image and region: run another checkpoint on it."
WHERE = "Left: A. Middle: B. Right: where they differ. Ctrl+R shows all of it again."
ENTER, LEAVE = "Side by side", "Leave"
ENTER_TIP = (
    "Show A, B and where they differ beside each other; the cameras move together. Other layers "
    "are hidden until you leave."
)
LEAVE_TIP = "Show the viewer as it was before."
OTHER_TIP = (
    "Run another model on the image and region of A, with the same parameters, and show both "
    "beside each other."
)


class SideBySideBox(QGroupBox):
    """Chooses run B for the run under the glass, and shows both.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Given by napari (a proxy is fine).
    """

    told = Signal(object)
    """A :class:`UserError` that the user has to see."""

    def __init__(self, viewer: Viewer, parent: QWidget | None = None) -> None:
        super().__init__("Two checkpoints side by side", parent)
        self.sides = side_by_side_for(viewer)
        self.first = QLabel()
        named(self.first, "Run A", "The run on top of the panel.")
        self.second = QComboBox()
        self.second.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        named(self.second, "Run B", "Another run over the same image and region.")
        self.other = QPushButton("Run another checkpoint")
        named(self.other, "Run another checkpoint", OTHER_TIP)
        self.menu = QMenu(self)
        self.other.setMenu(self.menu)
        self.toggle = QPushButton(ENTER)
        named(self.toggle, ENTER, ENTER_TIP)
        self.remark = note(name="Side by side remark")
        self.table = DeltaTable()
        self.legend = DifferenceLegend(DIFFERENCE_COLORS)
        self._lay_out()
        self.menu.aboutToShow.connect(self._fill_menu)
        self.toggle.clicked.connect(lambda _: self._toggle())
        bind(self, self.sides.changed, self._show)
        bind(self, self.sides.failed, self.told.emit)
        bind(self, self.sides.desk.work.session.runs_changed, self._show)
        self._fill_menu()
        self._show()

    def _lay_out(self) -> None:
        row = QHBoxLayout()
        row.addWidget(QLabel("B"))
        row.addWidget(self.second, 1)
        column = QVBoxLayout(self)
        column.addWidget(self.first)
        column.addLayout(row)
        buttons = QHBoxLayout()
        buttons.addWidget(self.toggle)
        buttons.addWidget(self.other)
        column.addLayout(buttons)
        for widget in (self.remark, self.table, self.legend):
            column.addWidget(widget)

    # ------------------------------------------------------------------ showing

    def _show(self, *_: Any) -> None:
        sides, a = self.sides, self.sides.desk.run
        shown = sides.pair
        a, partners = (shown[0], [shown[1]]) if shown else (a, sides.partners())
        self.first.setText("A" if a is None else f"A   {a.title}   {a.result.n:,} nuclei")
        self._fill_runs([(r.id, f"{r.title}   {r.result.n:,} nuclei") for r in partners])
        self.second.setEnabled(bool(partners) and not sides.on)
        self.toggle.setText(LEAVE if sides.on else ENTER)
        self.toggle.setToolTip(LEAVE_TIP if sides.on else ENTER_TIP)
        waiting = sides.waiting
        self.toggle.setEnabled(sides.on or bool(partners))
        self.other.setEnabled(a is not None and not sides.busy)
        missing = NO_A if a is None else "" if partners else NO_B
        errors = "\n".join(sides.two.errors) if sides.two else ""
        set_note(self.remark, waiting or missing or errors or (WHERE if sides.on else ""))
        self.table.setValue(sides.two.rows() if sides.two else ())
        self.legend.setVisible(sides.on)
        self.legend.setValue(sides.two.difference.counts() if sides.two else None)

    def _fill_runs(self, entries: list[tuple[int, str]]) -> None:
        before = self.second.currentData()
        with silent(self.second):
            self.second.clear()
            for number, text in entries:
                self.second.addItem(text, number)
            self.second.setCurrentIndex(max(self.second.findData(before), 0 if entries else -1))

    def _fill_menu(self) -> None:
        """List the built-in model, recent checkpoints and any other file."""
        self.menu.clear()
        recent = self.sides.desk.work.session.settings.recent_models
        for source in dict.fromkeys((BUILT_IN, *recent)):
            title = "compact (built in)" if source == BUILT_IN else PurePath(source).name
            action = self.menu.addAction(title)
            action.setToolTip(source)
            action.triggered.connect(lambda _=False, source=source: self._run(source))
        self.menu.addSeparator()
        self.menu.addAction("Open file ...").triggered.connect(lambda _=False: self._browse())

    # ------------------------------------------------------------------ doing

    def _toggle(self) -> None:
        if self.sides.on:
            self._try(self.sides.leave)
            return
        number = self.second.currentData()
        found = next((run for run in self.sides.partners() if run.id == number), None)
        if found is not None:
            self._try(lambda: self.sides.enter(found))

    def _browse(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Open a checkpoint", "", FILE_FILTER)
        if path:
            self._run(path)

    def _run(self, source: str) -> None:
        self._try(lambda: self.sides.run_other(source))

    def _try(self, action: Callable[[], Any]) -> None:
        """Do something; a reason not to is told, not raised."""
        try:
            action()
        except UserError as error:
            self.told.emit(error)
