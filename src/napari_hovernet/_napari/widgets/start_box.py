"""The foot of the set-up: data check, what it found, and the start."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QScrollArea, QVBoxLayout, QWidget

from .parts import ERROR_STYLE, named, note, set_note
from .plot_style import FAIR_COLOR

if TYPE_CHECKING:
    from ...app.training import Checked

START, QUEUE = "Start training", "Queue training"
START_TIP = "Train in a process of its own; the viewer stays free, and may be closed."
QUEUE_TIP = "Another run trains: this one waits for its turn."
CHECK_TIP = (
    "Read the data and look for what would spoil the training: empty or odd labels, coverage, "
    "touching nuclei, HV statistics, images in both training and validation."
)
CHECKING = "Checking the data ..."
FINDINGS_PX = 110
"""Height of the findings; longer ones scroll."""


class StartBox(QWidget):
    """Two buttons and what there is to say before a start."""

    checkRequested = Signal()  # noqa: N815
    startRequested = Signal()  # noqa: N815

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.check = QPushButton("Check data")
        named(self.check, "Check data", CHECK_TIP)
        self.start = QPushButton(START)
        named(self.start, START, START_TIP)
        self.problems = note("", "What is wrong with the data")
        self.problems.setStyleSheet(ERROR_STYLE)
        self.summary = note("", "What was found in the data, in one line")
        self.warnings = note("", "What is odd in the data")
        self.warnings.setStyleSheet(f"color: rgb{FAIR_COLOR};")
        self.findings = note("", "What was found in the data")
        self.estimate = note("", "Estimate of time and memory")
        self.message = note("", "What was done")
        self.scroll = QScrollArea()
        self.scroll.setWidgetResizable(True)
        self.scroll.setFrameShape(QScrollArea.Shape.NoFrame)
        self.scroll.setFixedHeight(FINDINGS_PX)
        inner = QWidget()
        lines = QVBoxLayout(inner)
        lines.setContentsMargins(0, 0, 0, 0)
        for label in (
            self.summary,
            self.problems,
            self.warnings,
            self.findings,
        ):
            lines.addWidget(label)
        lines.addStretch(1)
        self.scroll.setWidget(inner)
        row = QHBoxLayout()
        row.addWidget(self.check)
        row.addWidget(self.start, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 4, 8, 8)
        for widget in (self.scroll, self.estimate, self.message):
            column.addWidget(widget)
        column.addLayout(row)
        self.check.clicked.connect(lambda _: self.checkRequested.emit())
        self.start.clicked.connect(lambda _: self.startRequested.emit())
        self.setValue(None)

    def setValue(self, checked: Checked | None, *, checking: bool = False) -> None:  # noqa: N802
        """Show what was found; None = not looked yet, or it is under way."""
        for label, lines in (
            (self.problems, () if checked is None else checked.problems),
            (self.warnings, () if checked is None else checked.warnings),
            (self.findings, () if checked is None else checked.findings),
        ):
            set_note(label, "\n".join(lines))
        set_note(self.summary, CHECKING if checking else checked.summary if checked else "")
        self.scroll.setVisible(checking or checked is not None)
        self.check.setEnabled(not checking)
        self.start.setEnabled(checked is None or not checked.refused)

    def set_queue(self, waiting: bool) -> None:
        """Say whether a new run starts at once or waits."""
        self.start.setText(QUEUE if waiting else START)
        named(self.start, QUEUE if waiting else START, QUEUE_TIP if waiting else START_TIP)

    def set_estimate(self, text: str) -> None:
        """Show what the training will take."""
        set_note(self.estimate, text)

    def tell(self, text: str) -> None:
        """Show one line of what was done."""
        set_note(self.message, text)
