"""Small pieces that several editors share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from qtpy.QtCore import QObject, QSize, Qt
from qtpy.QtGui import QColor, QIcon, QPixmap
from qtpy.QtWidgets import QLabel, QSizePolicy, QWidget

ERROR_STYLE = "color: #e8503f;"
"""Style of a message about something that failed."""
SWATCH_PX = 12
"""Edge of a type's colour swatch."""


def note(text: str = "", name: str = "") -> QLabel:
    """Return a small label that wraps, its text selectable; hidden while empty."""
    label = QLabel(text)
    label.setWordWrap(True)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
    label.setVisible(bool(text))
    if name:
        label.setAccessibleName(name)
    return label


def set_note(label: QLabel, text: str) -> None:
    """Set a note's text; an empty one takes no room."""
    label.setText(text)
    label.setVisible(bool(text))


def named(widget: QWidget, name: str, tip: str) -> None:
    """Give a widget its name for screen readers and its tooltip (with units)."""
    widget.setAccessibleName(name)
    widget.setToolTip(tip)
    widget.setAccessibleDescription(tip)


def swatch(color: tuple[int, int, int]) -> QIcon:
    """Return a square icon of one RGB colour, 0..255."""
    return QIcon(swatch_pixmap(color))


def swatch_pixmap(color: tuple[int, int, int]) -> QPixmap:
    """Return a square of one RGB colour, 0..255."""
    pixmap = QPixmap(QSize(SWATCH_PX, SWATCH_PX))
    pixmap.fill(QColor(*color))
    return pixmap


@contextmanager
def silent(*objects: QObject) -> Iterator[None]:
    """Keep objects from emitting while their value is set from outside."""
    before = [thing.blockSignals(True) for thing in objects]
    try:
        yield
    finally:
        for thing, blocked in zip(objects, before, strict=True):
            thing.blockSignals(blocked)


def narrow(widget: QWidget, width: int) -> None:
    """Give a widget a width in pixels that napari's style sheet does not widen again."""
    widget.setStyleSheet(f"min-width: {width}px; max-width: {width}px;")
