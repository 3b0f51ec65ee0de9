"""Widgets that every tab is made of: quiet under the wheel, never wider than the dock."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from qtpy.QtCore import QEvent, QObject, QSize, Qt, Signal
from qtpy.QtGui import QColor, QFontMetrics, QIcon, QPixmap, QResizeEvent
from qtpy.QtWidgets import (
    QApplication,
    QComboBox,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QTableWidget,
    QTableWidgetItem,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

SWATCH_PX = 12
TONES = {"good": "#2f9350", "warn": "#b87808", "bad": "#e8503f", "": ""}
"""Colours of messages, readable on napari's dark and light themes."""
QUIET = "#808a99"
RUN_STYLE = (
    "QPushButton:enabled { background-color: #3f5fd0; color: white; font-weight: bold; }"
    "QPushButton:enabled:hover { background-color: #5573e0; }"
    "QPushButton:enabled:pressed { background-color: #2f4bb0; }"
)
"""The one button that matters stands out, on dark and light themes."""
SWITCH_STYLE = (
    "QToolButton { border: 1px solid rgba(128, 138, 153, 110); border-radius: 2px; padding: 2px; }"
    "QToolButton:hover { border-color: #5573e0; }"
    "QToolButton:checked { background-color: #3f5fd0; color: white; }"
)
CHECKPOINTS = (".safetensors", ".tar", ".pth", ".pt")
"""Endings of files that are taken for checkpoints; content decides later."""
CHECKPOINT_FILTER = f"Checkpoints ({' '.join('*' + end for end in CHECKPOINTS)});;All files (*)"
SMALL_STYLE = "QToolButton { border: 1px solid rgba(128, 138, 153, 110); border-radius: 2px; }"
"""A small button that can be seen as one."""


# ---------------------------------------------------------------- small pieces


def named(widget: QWidget, name: str, tip: str) -> None:
    """Give a widget its name for screen readers and its tooltip (with units)."""
    widget.setAccessibleName(name)
    widget.setToolTip(tip)
    widget.setAccessibleDescription(tip)


@contextmanager
def silent(*objects: QObject) -> Iterator[None]:
    """Keep objects from emitting while their value is set from outside."""
    before = [thing.blockSignals(True) for thing in objects]
    try:
        yield
    finally:
        for thing, blocked in zip(objects, before, strict=True):
            thing.blockSignals(blocked)


def button(text: str, tip: str, clicked: Callable[[], Any] | None = None) -> QPushButton:
    """Make a push button with a tooltip and a name for screen readers."""
    made = QPushButton(text)
    named(made, text.removesuffix(" ..."), tip)
    made.setSizePolicy(QSizePolicy.Policy.Minimum, QSizePolicy.Policy.Fixed)
    if clicked is not None:
        made.clicked.connect(lambda _=False: clicked())
    return made


def tool(text: str, name: str, tip: str, clicked: Callable[[], Any] | None = None) -> QToolButton:
    """Make a small button."""
    made = QToolButton()
    made.setText(text)
    made.setStyleSheet(SMALL_STYLE)
    named(made, name, tip)
    if clicked is not None:
        made.clicked.connect(lambda _=False: clicked())
    return made


def heading(text: str) -> QLabel:
    """Make a title."""
    made = plain(text)
    font = made.font()
    font.setBold(True)
    made.setFont(font)
    return made


def plain(text: str = "", *, wrap: bool = False) -> QLabel:
    """Make a label of plain text: names of files and layers are never read as HTML."""
    made = QLabel(text)
    made.setTextFormat(Qt.TextFormat.PlainText)
    made.setWordWrap(wrap)
    if wrap:
        made.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
    return made


def note(text: str = "", name: str = "") -> QLabel:
    """Make a label that wraps, its text selectable; hidden while empty (see :func:`set_note`)."""
    made = plain(text, wrap=True)
    made.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    made.setVisible(bool(text))
    made.setAccessibleName(name)
    return made


def set_note(label: QLabel, text: str) -> None:
    """Set a note's text; an empty one takes no room."""
    label.setText(text)
    label.setVisible(bool(text))


def row(*widgets: QWidget | int, stretch: int | None = None) -> QWidget:
    """Put widgets side by side, the one at ``stretch`` takes the room that is left."""
    made = QWidget()
    layout = QHBoxLayout(made)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(4)
    for at, widget in enumerate(widgets):
        layout.addWidget(widget, int(at == stretch))  # type: ignore[arg-type]
    if stretch is None:
        layout.addStretch(1)
    return made


_LEAVING: set[QWidget] = set()
"""Widgets that Qt is about to delete."""


def take_away(widget: QWidget) -> None:
    """Remove a widget; it is kept for Python until Qt has deleted it.

    After ``deleteLater`` alone, or a layout's ``removeWidget``, the garbage collector may empty
    the closures of its slots while signals still reach them, and to call one ends the program.
    """
    _LEAVING.add(widget)
    widget.destroyed.connect(lambda: _LEAVING.discard(widget))
    widget.hide()
    widget.deleteLater()


def swatch(color: tuple[int, int, int], size: int = SWATCH_PX) -> QPixmap:
    """Return a square of one RGB colour, 0..255; ``QIcon(swatch(c))`` is an icon."""
    pixmap = QPixmap(QSize(size, size))
    pixmap.fill(QColor(*color))
    return pixmap


def scrolling(body: QWidget) -> QScrollArea:
    """Put a widget into an area that scrolls down and never sideways."""
    area = QScrollArea()
    area.setWidgetResizable(True)
    area.setFrameShape(QFrame.Shape.NoFrame)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    area.setWidget(body)
    body.setMinimumWidth(0)
    return area


def column(parent: QWidget, margin: int = 8) -> QVBoxLayout:
    """Give a widget a layout from top to bottom."""
    layout = QVBoxLayout(parent)
    layout.setContentsMargins(margin, margin, margin, margin)
    layout.setSpacing(6)
    return layout


class _NoWheel(QObject):
    """Sends the wheel to what scrolls, unless the box under it has the focus."""

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802
        """Stop wheel events of boxes without focus."""
        wheel = event is not None and event.type() == QEvent.Type.Wheel
        if wheel and isinstance(watched, QWidget) and not watched.hasFocus():
            event.ignore()  # type: ignore[union-attr]
            return True
        return super().eventFilter(watched, event)


_FILTER: list[_NoWheel] = []


def no_wheel(*widgets: QWidget) -> None:
    """Keep the wheel from changing boxes that the user has not clicked into."""
    if not _FILTER:
        _FILTER.append(_NoWheel(QApplication.instance()))
    for widget in widgets:
        widget.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        widget.installEventFilter(_FILTER[0])


class Elided(QLabel):
    """One line that ends in dots where it does not fit; the tooltip has all of it."""

    def __init__(self, text: str = "", mode: Any = Qt.TextElideMode.ElideRight) -> None:
        super().__init__()
        self.setTextFormat(Qt.TextFormat.PlainText)
        self._full, self._mode = "", mode
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.setText(text)

    def text(self) -> str:
        """Return the whole text."""
        return self._full

    def setText(self, text: str | None) -> None:  # noqa: N802
        """Set the whole text."""
        self._full = text or ""
        self._fit()

    def resizeEvent(self, event: QResizeEvent | None) -> None:  # noqa: N802
        """Fit the text to the new width."""
        super().resizeEvent(event)
        self._fit()

    def minimumSizeHint(self) -> QSize:  # noqa: N802
        """Return the height of a line, any width."""
        return QSize(0, super().minimumSizeHint().height())

    def _fit(self) -> None:
        shown = QFontMetrics(self.font()).elidedText(self._full, self._mode, max(self.width(), 20))
        super().setText(shown)
        self.setToolTip(self._full if shown != self._full else "")


class Combo(QComboBox):
    """A combo box of named values, no wider than it must be; emits what the user picks."""

    picked = Signal(object)

    def __init__(self, name: str, tip: str, entries: Sequence[tuple[Any, str, str]] = ()) -> None:
        super().__init__()
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(4)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        named(self, name, tip)
        no_wheel(self)
        self.fill(entries)
        self.activated.connect(lambda at: self.picked.emit(self.itemData(at)))

    def fill(self, entries: Sequence[tuple[Any, str, str]]) -> None:
        """List (value, title, tip); the value chosen stays if it is still there."""
        before = self.value()
        with silent(self):
            self.clear()
            for value, title, tip in entries:
                self.addItem(title, value)
                self.setItemData(self.count() - 1, tip or title, Qt.ItemDataRole.ToolTipRole)
            self.setValue(before)

    def value(self) -> Any:
        """Return the value chosen."""
        return self.currentData()

    def setValue(self, value: Any) -> None:  # noqa: N802
        """Choose without announcing it; a value that is not there is not chosen."""
        at = next((i for i in range(self.count()) if self.itemData(i) == value), -1)
        if at >= 0:
            with silent(self):
                self.setCurrentIndex(at)


class Message(QLabel):
    """Two lines that are always there, so that nothing moves when there is something to say."""

    def __init__(self, name: str, lines: int = 2) -> None:
        super().__init__()
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setWordWrap(True)
        self.setAccessibleName(name)
        self.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.setAlignment(Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignLeft)
        self._lines, self._full, self.tone = lines, "", ""

    def text(self) -> str:
        """Return the whole text."""
        return self._full

    def say(self, text: str, tone: str = "") -> None:
        """Show a text in the colour of its tone; the tooltip has all of a long one."""
        self.tone, self._full = tone, text
        self._fit()
        self.setToolTip(text)
        self.setStyleSheet(f"color: {TONES[tone]};" if TONES.get(tone) else "")

    def resizeEvent(self, event: QResizeEvent | None) -> None:  # noqa: N802
        """Fit the text to the new width."""
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        metrics, width = self.fontMetrics(), max(self.width(), 40)
        wrap, text = Qt.TextFlag.TextWordWrap, self._full
        tall = metrics.boundingRect(0, 0, width, 10_000, wrap, text).height()
        if tall > (self._lines + 0.5) * metrics.lineSpacing():  # heights are rounded
            room = round(0.85 * self._lines * width)  # lines break early
            text = metrics.elidedText(text, Qt.TextElideMode.ElideRight, room)
        super().setText(text)

    def sizeHint(self) -> QSize:  # noqa: N802
        """Two lines of the font, whatever the text."""
        # lines are drawn up to 2 px taller than the rounded spacing says
        return QSize(100, self._lines * (self.fontMetrics().lineSpacing() + 2) + 8)

    def minimumSizeHint(self) -> QSize:  # noqa: N802
        """Return the same height, any width."""
        return QSize(0, self.sizeHint().height())

    def heightForWidth(self, _width: int) -> int:  # noqa: N802
        """Return the same height."""
        return self.sizeHint().height()


class Fold(QWidget):
    """A title that opens and closes what is under it."""

    toggled = Signal(bool)

    def __init__(self, title: str, body: QWidget, tip: str = "", *, opened: bool = False) -> None:
        super().__init__()
        self.body = body
        self.head = tool(title, title, tip or title)
        self.head.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.head.setStyleSheet("QToolButton { border: none; }")
        self.head.setCheckable(True)
        self.head.toggled.connect(self._set)
        layout = column(self, 0)
        layout.setSpacing(2)
        layout.addWidget(self.head)
        layout.addWidget(body)
        self.head.setChecked(opened)
        self._set(opened)

    def _set(self, opened: bool) -> None:
        arrow = Qt.ArrowType.DownArrow if opened else Qt.ArrowType.RightArrow
        self.head.setArrowType(arrow)
        self.body.setVisible(opened)
        self.toggled.emit(opened)


class Switch(QWidget):
    """Exclusive buttons in as many rows as their words need; one of them is pressed."""

    picked = Signal(str)

    def __init__(self, entries: Sequence[tuple[str, str, str]], columns: int = 4) -> None:
        super().__init__()
        self._columns, self._value = columns, entries[0][0]
        self.buttons: dict[str, QToolButton] = {}
        self.grid = QGridLayout(self)
        self.grid.setContentsMargins(0, 0, 0, 0)
        self.grid.setSpacing(2)
        for at, (value, title, tip) in enumerate(entries):
            made = tool(title, title, tip, lambda value=value: self._pick(value))
            made.setText(title.replace("&", "&&"))
            made.setCheckable(True)
            made.setStyleSheet(SWITCH_STYLE)
            made.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
            self.buttons[value] = made
            self.grid.addWidget(made, at // columns, at % columns)
        self.setValue(self._value)

    def add(self, widget: QWidget) -> None:
        """Add a widget after the last button."""
        at = self.grid.count()
        self.grid.addWidget(widget, at // self._columns, at % self._columns)

    def value(self) -> str:
        """Return which one is pressed."""
        return self._value

    def setValue(self, value: str) -> None:  # noqa: N802
        """Press one without announcing it."""
        self._value = value
        for name, made in self.buttons.items():
            made.setChecked(name == value)

    def _pick(self, value: str) -> None:
        self.setValue(value)
        self.picked.emit(value)


class Table(QTableWidget):
    """A few lines of text to be read; columns as wide as their words, the first takes the rest."""

    def fill(self, rows: Sequence[Sequence[str]], tips: Sequence[str] = ()) -> None:
        """Show rows of text, each with a tip, and take just the height for them."""
        self.setRowCount(len(rows))
        for at, cells in enumerate(rows):
            for side, text in enumerate(cells):
                item = QTableWidgetItem(text)
                item.setToolTip(tips[at] if tips else text)
                if side:
                    item.setTextAlignment(Qt.AlignmentFlag.AlignRight)
                self.setItem(at, side, item)
        height = self.horizontalHeader().sizeHint().height() + 4
        self.setFixedHeight(height + sum(self.rowHeight(i) for i in range(len(rows))))


def grid_table(name: str, titles: Sequence[str]) -> Table:
    """Make a table of text that is not edited."""
    made = Table(0, len(titles))
    made.setAccessibleName(name)
    made.setHorizontalHeaderLabels(list(titles))
    made.verticalHeader().hide()
    made.verticalHeader().setDefaultSectionSize(20)
    made.setEditTriggers(QTableWidget.EditTrigger.NoEditTriggers)
    made.setSelectionMode(QTableWidget.SelectionMode.NoSelection)
    made.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    made.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    made.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
    header = made.horizontalHeader()
    header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
    header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
    return made


def icon(color: tuple[int, int, int]) -> QIcon:
    """Return a square icon of one RGB colour."""
    return QIcon(swatch(color))


def dropped_file(event: Any, suffixes: tuple[str, ...]) -> str:
    """Return the path of the one file that is dropped, "" if it has none of the endings."""
    data = event.mimeData()
    urls = data.urls() if data is not None and data.hasUrls() else []
    path = str(urls[0].toLocalFile()) if len(urls) == 1 and urls[0].isLocalFile() else ""
    return path if path.lower().endswith(suffixes) else ""
