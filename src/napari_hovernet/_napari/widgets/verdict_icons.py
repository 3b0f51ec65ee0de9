"""Signs of the verdicts: each has a shape of its own, so that nobody needs the colour."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from qtpy.QtCore import QPointF, QRectF, Qt
from qtpy.QtGui import QColor, QIcon, QPainter, QPen, QPixmap, QPolygonF

from ..diagnosis_words import FAULT, NOT_TESTED, OK, WARN
from .plot_style import BAD_COLOR, FAIR_COLOR, GOOD_COLOR

GREY_COLOR = (128, 138, 153)
VERDICT_COLORS = {
    FAULT: BAD_COLOR,
    WARN: FAIR_COLOR,
    OK: GOOD_COLOR,
    NOT_TESTED: GREY_COLOR,
}
"""RGB, 0..255; readable on napari's dark and light themes."""
ICON_PX = 32
"""Edge of the drawing; Qt scales it down."""


@lru_cache(maxsize=len(VERDICT_COLORS))
def verdict_icon(verdict: str) -> QIcon:
    """Return the sign: octagon with a cross, triangle with "!", disc with a tick, empty ring."""
    icon = QIcon()
    for mode in (QIcon.Mode.Normal, QIcon.Mode.Selected):  # Qt would tint it in a chosen line
        icon.addPixmap(verdict_pixmap(verdict), mode)
    return icon


def verdict_pixmap(verdict: str, edge: int = ICON_PX) -> QPixmap:
    """Draw the sign of a verdict, ``edge`` pixels wide and high."""
    pixmap = QPixmap(edge, edge)
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.scale(edge / ICON_PX, edge / ICON_PX)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QColor(*VERDICT_COLORS.get(verdict, GREY_COLOR)))
    _SIGNS.get(verdict, _ring)(painter)
    painter.end()
    return pixmap


def _pen(color: QColor, width: float) -> QPen:
    return QPen(color, width, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap)


def _octagon(painter: QPainter) -> None:
    corners = ((10, 2), (22, 2), (30, 10), (30, 22), (22, 30), (10, 30), (2, 22), (2, 10))
    painter.drawPolygon(QPolygonF([QPointF(x, y) for x, y in corners]))
    painter.setPen(_pen(QColor("white"), 4))
    painter.drawLine(QPointF(11, 11), QPointF(21, 21))
    painter.drawLine(QPointF(21, 11), QPointF(11, 21))


def _triangle(painter: QPainter) -> None:
    painter.drawPolygon(QPolygonF([QPointF(16, 2), QPointF(31, 29), QPointF(1, 29)]))
    painter.setPen(_pen(QColor("black"), 4))
    painter.drawLine(QPointF(16, 12), QPointF(16, 19))
    painter.drawPoint(QPointF(16, 25))


def _disc(painter: QPainter) -> None:
    painter.drawEllipse(QRectF(2, 2, 28, 28))
    painter.setPen(_pen(QColor("white"), 4))
    painter.drawPolyline(QPolygonF([QPointF(9, 17), QPointF(14, 22), QPointF(23, 11)]))


def _ring(painter: QPainter) -> None:
    painter.setPen(_pen(painter.brush().color(), 3))
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.drawEllipse(QRectF(5, 5, 22, 22))


_SIGNS: dict[str, Callable[[QPainter], None]] = {
    FAULT: _octagon,
    WARN: _triangle,
    OK: _disc,
    NOT_TESTED: _ring,
}
