"""A traffic light for the length of HV, with its word, its numbers and its limits."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from qtpy.QtCore import QRectF, QSize, Qt
from qtpy.QtGui import QColor, QPainter, QPaintEvent
from qtpy.QtWidgets import QGridLayout, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from .parts import note, set_note
from .plot_style import BAD_COLOR, FAIR_COLOR, GOOD_COLOR

if TYPE_CHECKING:
    from ...core.measure.magnitude import MagnitudeReport, MagnitudeSummary

LAMP_PX, LAMP_GAP_PX = 18, 6
OFF_ALPHA = 45
"""Opacity 0..255 of a lamp that is off."""
LAMPS = {"collapsed": 0, "weak": 1, "healthy": 2}
COLORS = (BAD_COLOR, FAIR_COLOR, GOOD_COLOR)
ROWS = (("Pixels", "n"), ("Mean", "mean"), ("Median", "median"), ("95 %", "p95"))
WAITING = "Looking ..."
NOTHING = "Nothing to look at yet."


class Lamps(QWidget):
    """Three lamps, one of them lit, or none."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._lit = -1
        self.setFixedSize(self.sizeHint())

    def sizeHint(self) -> QSize:  # noqa: N802
        """Three lamps in a row."""
        return QSize(3 * LAMP_PX + 2 * LAMP_GAP_PX + 2, LAMP_PX + 2)

    def value(self) -> int:
        """Return which lamp is lit, 0 red, 1 amber, 2 green, -1 none."""
        return self._lit

    def setValue(self, lit: int) -> None:  # noqa: N802
        """Light one lamp."""
        self._lit = lit
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        """Draw the lamps."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        for index, color in enumerate(COLORS):
            alpha = 255 if index == self._lit else OFF_ALPHA
            painter.setBrush(QColor(*color, alpha))
            left = 1 + index * (LAMP_PX + LAMP_GAP_PX)
            painter.drawEllipse(QRectF(left, 1, LAMP_PX, LAMP_PX))
        painter.end()


class TrafficLight(QWidget):
    """Lamps, the word, a table inside | outside, and the explanation."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.lamps, self.word = Lamps(), QLabel(NOTHING)
        font = self.word.font()
        font.setBold(True)
        font.setPointSizeF(font.pointSizeF() * 1.3)
        self.word.setFont(font)
        self.word.setAccessibleName("Verdict on the HV magnitude")
        self.word.setWordWrap(True)
        self.cells: dict[tuple[str, str], QLabel] = {}
        self.explanation = note("", "What the magnitude says and what it does not")
        head = QHBoxLayout()
        head.addWidget(self.lamps)
        head.addWidget(self.word, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(head)
        column.addLayout(self._table())
        column.addWidget(self.explanation)
        self.setValue(None)

    def _table(self) -> QGridLayout:
        grid = QGridLayout()
        grid.setHorizontalSpacing(16)
        grid.setVerticalSpacing(1)
        for at, title in enumerate(("HV magnitude", "inside nuclei", "outside")):
            head = QLabel(title)
            head.setAlignment(_side(at))
            grid.addWidget(head, 0, at)
        for row, (title, key) in enumerate(ROWS, start=1):
            grid.addWidget(QLabel(title), row, 0)
            for at, part in ((1, "inside"), (2, "outside")):
                cell = QLabel()
                cell.setAlignment(_side(at))
                cell.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
                cell.setAccessibleName(f"{title} {part}")
                self.cells[part, key] = cell
                grid.addWidget(cell, row, at)
        grid.addWidget(QLabel("Direction (cosine)"), len(ROWS) + 1, 0)
        self.direction = QLabel()
        self.direction.setAlignment(_side(1))
        self.direction.setToolTip("Mean cosine of HV to the exact HV of these instances, -1 to 1.")
        grid.addWidget(self.direction, len(ROWS) + 1, 1)
        grid.setColumnStretch(0, 1)
        return grid

    def setValue(self, report: MagnitudeReport | None, waiting: bool = False) -> None:  # noqa: N802
        """Show a report; None while there is none."""
        if report is None:
            self.lamps.setValue(-1)
            self.word.setText(WAITING if waiting else NOTHING)
            set_note(self.explanation, "")
            for cell in (*self.cells.values(), self.direction):
                cell.setText("-")
            return
        self.lamps.setValue(lamp_of(report))
        self.word.setText(headline(report))
        set_note(self.explanation, report.explanation)
        for part, summary in (("inside", report.inside), ("outside", report.outside)):
            for _, key in ROWS:
                self.cells[part, key].setText(_number(summary, key))
        known = not math.isnan(report.direction)
        self.direction.setText(f"{report.direction:.2f}" if known else "-")


def lamp_of(report: MagnitudeReport) -> int:
    """Say which lamp is lit: that of the verdict, but no green for a wrong direction."""
    lit = LAMPS.get(report.verdict, -1)
    return min(lit, LAMPS["weak"]) if report.misdirected else lit


def headline(report: MagnitudeReport) -> str:
    """Return the verdict in few words."""
    if report.verdict == "healthy" and report.misdirected:
        return "healthy length, wrong direction"
    return report.verdict


def _number(summary: MagnitudeSummary, key: str) -> str:
    value = getattr(summary, key)
    if key == "n":
        return f"{value:,}"
    return "-" if math.isnan(value) else f"{value:.3f}"


def _side(column: int) -> Qt.AlignmentFlag:
    right = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
    return right if column else Qt.AlignmentFlag.AlignLeft
