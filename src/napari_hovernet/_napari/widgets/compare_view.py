"""How the editors of the comparison are laid out; no behaviour."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QHBoxLayout, QLabel, QPushButton, QWidget
from superqt import QCollapsible

from ...core.measure.compare import OUTCOME_COLORS
from .base_rates import BaseRates, Verdict
from .correction_box import CorrectionBox
from .outcome_legend import OutcomeLegend
from .parts import named, note
from .score_table import ScoreTable
from .side_by_side_box import SideBySideBox
from .study_panel import StudyPanel
from .truth_picker import TruthPicker

if TYPE_CHECKING:
    import napari

TITLE = "Compare and correct"


class CompareView(StudyPanel):
    """Truth, scores, verdict, outcomes, corrections.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Given by napari (a proxy is fine).
    """

    def __init__(self, viewer: napari.viewer.Viewer, parent: QWidget | None = None) -> None:
        super().__init__(viewer, TITLE, parent)
        self.truth, self.table, self.rates = TruthPicker(), ScoreTable(), BaseRates()
        self.verdict, self.legend = Verdict(), OutcomeLegend(OUTCOME_COLORS)
        self.status = note(name="Status")
        self.where = note(name="Error looked at")
        self.color = _button(
            "Colour by outcome",
            "Give each nucleus the colour of its outcome and show lost ones in a layer of their "
            "own; press again for the former colours.",
        )
        self.color.setCheckable(True)
        self.back = _button("Previous error", "Fly to the error before. (P, or Shift+N)")
        self.on = _button("Next error", "Fly to the next error, worst first. (N)")
        self.copy = _button("Copy table", "Copy scores and base rates; paste into a spreadsheet.")
        self.save = _button(
            "Save ...", "Save scores, base rates and counts as CSV, or with every error as JSON."
        )
        self.sides, self.corrections = SideBySideBox(viewer), CorrectionBox(viewer)
        self._lay_out()

    def _lay_out(self) -> None:
        column = self.column
        column.addWidget(QLabel("<b>Against</b>"))
        column.addWidget(self.truth)
        column.addWidget(self.status)
        column.addWidget(QLabel("<b>Scores</b>"))
        column.addWidget(self.table)
        column.addWidget(self.verdict)
        column.addWidget(self.rates)
        column.addLayout(_row(self.copy, self.save))
        column.addWidget(QLabel("<b>Nuclei</b>"))
        column.addWidget(self.legend)
        column.addWidget(self.color)
        column.addLayout(_row(self.back, self.on))
        column.addWidget(self.where)
        fold = QCollapsible("Two checkpoints side by side")
        fold.addWidget(self.sides)
        column.addWidget(fold)
        column.addWidget(self.corrections)
        column.addStretch(1)


def _row(*widgets: QWidget) -> QHBoxLayout:
    row = QHBoxLayout()
    for widget in widgets:
        row.addWidget(widget)
    return row


def _button(text: str, tip: str) -> QPushButton:
    button = QPushButton(text)
    named(button, text, tip)
    return button
