"""What a model is, before it runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from qtpy.QtCore import Qt
from qtpy.QtGui import QGuiApplication
from qtpy.QtWidgets import (
    QFormLayout,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from ...app.session import ModelChoice
from ...core.types import ModelInfo, TypeInfo
from .model_picker import BUILT_IN
from .parts import ERROR_STYLE, named, note, set_note, swatch_pixmap

SHORT_HASH = 12
"""Characters of the SHA-256 shown; the button copies all 64."""
LONGEST_NAME_OF_TWO = 10
"""Type names no longer than this stand two in a row; longer ones would be cut off."""
QUIET = "#808a99"
"""Colour of the card's titles: readable on napari's dark and light themes."""
NAMES = {
    "compact": "Compact U-Net",
    "hovernet": "HoVer-Net",
    "optimus": "Optimus token decoder",
}


@dataclass(frozen=True)
class CardLine:
    """One row of the card."""

    title: str
    text: str
    tip: str = ""


def card_lines(info: ModelInfo) -> tuple[CardLine, ...]:
    """Return the card's rows in words; nothing is left out silently.

    Examples
    --------
    >>> [line.text for line in card_lines(ModelInfo("hovernet", mode="fast"))][:2]
    ['HoVer-Net, mode fast', 'not known']
    """
    name = NAMES.get(info.architecture, info.architecture)
    mpp = f"{info.mpp:g} µm per pixel" if info.mpp else "not known"
    return (
        CardLine("Network", f"{name}, mode {info.mode}" if info.mode else name),
        CardLine("Trained at", mpp, "Micrometres per pixel of the training images."),
        CardLine("Parameters", f"{info.parameters:,}", "Number of weights."),
        CardLine("Licence", info.licence or "not stated: ask who made it"),
        CardLine("From", origin(info), info.source),
    )


def origin(info: ModelInfo) -> str:
    """Say where a model comes from and what kind of file it is.

    Examples
    --------
    >>> origin(ModelInfo("hovernet", source="/m/fast.tar", file_kind="hover_net"))
    '/m/fast.tar (hover_net file)'
    """
    if info.source == BUILT_IN:
        return "comes with napari-hovernet"
    kind = f" ({info.file_kind} file)" if info.file_kind else ""
    return (info.source or "not stated") + kind


class ModelCard(QFrame):
    """Shows a :class:`ModelChoice`; read only."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("napari_hovernet_card")
        self.setStyleSheet(
            f"#napari_hovernet_card {{ border: 1px solid {QUIET}; border-radius: 4px; }}"
        )
        self.setAccessibleName("Model card")
        self._sha = ""
        self.message = note(name="Model message")
        self.notes = note(name="Model notes")
        self._body = QWidget()
        self._form = QFormLayout(self._body)
        self._form.setContentsMargins(0, 0, 0, 0)
        self._form.setVerticalSpacing(2)
        self._form.setRowWrapPolicy(QFormLayout.RowWrapPolicy.DontWrapRows)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 6, 8, 6)
        for part in (self.message, self._body, self.notes):
            layout.addWidget(part)

    def setValue(self, model: ModelChoice) -> None:  # noqa: N802
        """Show a model, that it is being read, or why it cannot be used."""
        text = "Reading the model file ..." if model.reading else model.error
        set_note(self.message, text)
        self.message.setStyleSheet(ERROR_STYLE if model.error else "")
        self._clear()
        self._body.setVisible(model.info is not None)
        set_note(self.notes, "\n".join(model.info.notes) if model.info else "")
        if model.info is not None:
            self._show(model.info)

    def copy_hash(self) -> None:
        """Put the whole SHA-256 on the clipboard."""
        clipboard = QGuiApplication.clipboard()
        if clipboard is not None:
            clipboard.setText(self._sha)

    def _show(self, info: ModelInfo) -> None:
        lines = card_lines(info)
        for line in lines[:1]:
            self._row(line)
        self._form.addRow(_title("Types"), _types(info.types))
        for line in lines[1:]:
            self._row(line)
        self._sha = info.sha256
        if info.sha256:
            self._form.addRow(_title("SHA-256"), self._hash_row())

    def _row(self, line: CardLine) -> None:
        value = note(line.text)
        value.setToolTip(line.tip or line.text)
        self._form.addRow(_title(line.title), value)

    def _hash_row(self) -> QWidget:
        row = QWidget()
        layout = QHBoxLayout(row)
        layout.setContentsMargins(0, 0, 0, 0)
        short = note(self._sha[:SHORT_HASH] + " ...")
        short.setToolTip(self._sha)
        button = QToolButton()
        button.setText("Copy")
        named(button, "Copy SHA-256", "Copy all 64 characters.")
        button.clicked.connect(self.copy_hash)
        layout.addWidget(short, 1)
        layout.addWidget(button)
        return row

    def _clear(self) -> None:
        while self._form.rowCount():
            self._form.removeRow(0)


def _title(text: str) -> QLabel:
    label = QLabel(text)
    label.setAlignment(Qt.AlignmentFlag.AlignTop)
    label.setStyleSheet(f"color: {QUIET};")
    return label


def _types(types: Mapping[int, TypeInfo]) -> QWidget:
    """Return the types with their colours, background left out."""
    shown = [t for i, t in sorted(types.items()) if i != 0]
    if not shown:
        return note("none: nuclei are found, not classified")
    box = QWidget()
    grid = QGridLayout(box)
    grid.setContentsMargins(0, 0, 0, 0)
    grid.setVerticalSpacing(1)
    columns = 2 if max(len(t.name) for t in shown) <= LONGEST_NAME_OF_TWO else 1
    for position, kind in enumerate(shown):
        row, column = divmod(position, columns)
        grid.addWidget(_type(kind), row, column)
    return box


def _type(kind: TypeInfo) -> QWidget:
    cell = QWidget()
    layout = QHBoxLayout(cell)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(4)
    patch = QLabel()
    patch.setPixmap(swatch_pixmap(kind.color))
    layout.addWidget(patch)
    layout.addWidget(note(kind.name), 1)
    cell.setToolTip(f"{kind.name}: RGB {kind.color}")
    return cell
