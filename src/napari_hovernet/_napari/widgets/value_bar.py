"""One number against its threshold, as a bar."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from qtpy.QtCore import QPointF, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QPainter, QPaintEvent, QPalette, QPen, QPolygonF
from qtpy.QtWidgets import QLabel, QSizePolicy, QVBoxLayout, QWidget

from ..diagnosis_words import SHARE, measured, number, with_unit
from .verdict_icons import VERDICT_COLORS

if TYPE_CHECKING:
    from ...core.diagnosis.report import Finding

BAR_PX, FOOT_PX, MARGIN_PX = 12, 16, 4
"""Height of the bar, of the scale beneath, and room at the ends, in pixels."""
HEADROOM = 1.2
"""The scale ends this much beyond the larger number."""
UNIT_ENDS = {
    SHARE: (0.0, 1.0),
    "AJI": (0.0, 1.0),
    "Dice": (0.0, 1.0),
    "cosine": (-1.0, 1.0),
    "correlation": (-1.0, 1.0),
}
"""Ends of the scale of units that have them."""
TRACK_ALPHA = 45
"""Opacity 0..255 of the empty part of the bar."""


class Bar(QWidget):
    """Draws the value from 0 on, and the threshold across."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._finding: Finding | None = None
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def sizeHint(self) -> QSize:  # noqa: N802
        """Bar and scale."""
        return QSize(200, BAR_PX + FOOT_PX)

    def setValue(self, finding: Finding | None) -> None:  # noqa: N802
        """Draw the number of a finding."""
        self._finding = finding
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        """Draw."""
        finding = self._finding
        if finding is None:
            return
        low, high = ends(finding.value, finding.threshold, finding.unit)
        width = self.width() - 2 * MARGIN_PX

        def at(x: float) -> float:
            return MARGIN_PX + width * min(max((x - low) / (high - low), 0.0), 1.0)

        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        text = self.palette().color(QPalette.ColorRole.WindowText)
        track = QColor(text)
        track.setAlpha(TRACK_ALPHA)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(track)
        painter.drawRoundedRect(QRectF(MARGIN_PX, 2, width, BAR_PX - 4), 3, 3)
        start, end = sorted((at(max(low, min(0.0, high))), at(finding.value)))
        painter.setBrush(QColor(*VERDICT_COLORS[finding.verdict]))
        painter.drawRoundedRect(QRectF(start, 2, max(end - start, 3), BAR_PX - 4), 3, 3)
        painter.setPen(QPen(text, 1))
        self._scale(painter, low, high)
        if math.isfinite(finding.threshold):
            self._threshold(painter, at(finding.threshold), text)
        painter.end()

    def _scale(self, painter: QPainter, low: float, high: float) -> None:
        unit = "" if self._finding is None else self._finding.unit
        foot = QRectF(MARGIN_PX, BAR_PX, self.width() - 2 * MARGIN_PX, FOOT_PX)
        font = painter.font()
        font.setPointSizeF(max(font.pointSizeF() * 0.85, 6.0))
        painter.setFont(font)
        for value, side in ((low, Qt.AlignmentFlag.AlignLeft), (high, Qt.AlignmentFlag.AlignRight)):
            words = with_unit(value, SHARE) if unit.startswith(SHARE) else number(value)
            painter.drawText(foot, side | Qt.AlignmentFlag.AlignVCenter, words)

    @staticmethod
    def _threshold(painter: QPainter, x: float, color: QColor) -> None:
        painter.setPen(QPen(color, 2))
        painter.drawLine(QPointF(x, 0), QPointF(x, BAR_PX))
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(color)
        tip = [QPointF(x, BAR_PX - 1), QPointF(x - 5, BAR_PX + 6), QPointF(x + 5, BAR_PX + 6)]
        painter.drawPolygon(QPolygonF(tip))


class ValueBar(QWidget):
    """The number in words, and the bar; hidden where there is no number."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.words, self.bar = QLabel(), Bar()
        self.words.setWordWrap(True)
        self.words.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.words.setAccessibleName("Measured against the threshold")
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        column.addWidget(self.words)
        column.addWidget(self.bar)
        self.setValue(None)

    def setValue(self, finding: Finding | None) -> None:  # noqa: N802
        """Show the number of a finding."""
        text = "" if finding is None else measured(finding)
        self.setVisible(bool(text))
        self.words.setText(text)
        self.bar.setValue(finding if text else None)
        if finding is not None and text:
            unit = f" Unit: {finding.unit}." if finding.unit else ""
            self.bar.setToolTip(
                "The number that decided; the line with the triangle is the threshold from where "
                f"on it is a fault.{unit}"
            )


def ends(value: float, threshold: float, unit: str) -> tuple[float, float]:
    """Return the ends of the scale that shows both numbers.

    Examples
    --------
    >>> ends(0.86, 0.5, "share"), ends(4.0, 1.0, "px"), ends(0.0, float("nan"), "")
    ((0.0, 1.0), (0.0, 4.8), (0.0, 1.0))
    """
    known = [x for x in (value, threshold) if math.isfinite(x)]
    low, high = UNIT_ENDS.get(SHARE if unit.startswith(SHARE) else unit, (0.0, 0.0))
    if any(not low <= x <= high for x in known) or low == high:
        low, high = HEADROOM * min([0.0, *known]), HEADROOM * max([0.0, *known])
    if low == high:
        high = low + 1.0
    return round(low, 12), round(high, 12)
