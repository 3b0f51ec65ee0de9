"""What a model is, behind the (i), and by what names its types go."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from qtpy.QtCore import QPoint, Qt
from qtpy.QtGui import QGuiApplication
from qtpy.QtWidgets import QFileDialog, QFormLayout, QFrame, QLabel, QToolButton, QWidget

from ...app.session import ModelChoice
from ...core.types import ModelInfo
from ...core.weights import BUILT_IN
from ...errors import UserError
from ..jobs import bind
from ..kit import QUIET, button, column, note, plain, row, swatch, tool
from ..workspace import Workspace

TYPES_FILTER = "Types (*.json)"

WIDTH = 300
SHORT_HASH = 12
"""Characters of the SHA-256 shown; the button copies all 64."""
NAMES = {
    "compact": "Compact U-Net",
    "lite": "Lite U-Net",
    "hovernet": "HoVer-Net",
    "optimus": "Optimus token decoder",
}


def card_lines(info: ModelInfo) -> tuple[tuple[str, str], ...]:
    """Return titles and texts; what is not known is said."""
    name = NAMES.get(info.architecture, info.architecture)
    origin = info.source or "not stated"
    licence = info.licence or "not stated: ask who made it"
    if info.source in BUILT_IN:
        known = BUILT_IN[info.source]
        origin, licence = f"comes with napari-hovernet; {known.attribution}", known.terms
    elif info.file_kind:
        origin += f" ({info.file_kind} file)"
    return (
        ("Network", f"{name}, mode {info.mode}" if info.mode else name),
        ("Trained at", f"{info.mpp:g} µm per pixel" if info.mpp else "not known"),
        ("Weights", f"{info.parameters:,}"),
        ("Licence", licence),
        ("From", origin),
    )


class ModelCard(QFrame):
    """A pop-up that shows a model, or why its file cannot be used."""

    def __init__(self, model: ModelChoice, parent: QWidget) -> None:
        super().__init__(parent, Qt.WindowType.Popup)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setObjectName("napari_hovernet_card")
        self.setStyleSheet(f"#napari_hovernet_card {{ border: 1px solid {QUIET}; }}")
        self.setAccessibleName("Model card")
        self.setFixedWidth(WIDTH)
        layout = column(self)
        if model.info is None:
            layout.addWidget(note(model.error or "Reading the model file ..."))
            return
        form = QFormLayout()
        form.setContentsMargins(0, 0, 0, 0)
        form.setVerticalSpacing(3)
        for title, text in card_lines(model.info):
            form.addRow(_title(title), note(text))
        form.addRow(_title("Types"), _types(model.info))
        if model.info.sha256:
            form.addRow(_title("SHA-256"), row(_hash(model.info.sha256), _copy(model.info.sha256)))
        layout.addLayout(form)
        if model.info.notes:
            layout.addWidget(note("\n".join(model.info.notes)))

    def open_below(self, anchor: QWidget) -> None:
        """Show it under a widget, within the screen."""
        self.adjustSize()
        corner = anchor.mapToGlobal(QPoint(anchor.width(), anchor.height()))
        self.move(max(corner.x() - self.width(), 0), corner.y() + 2)
        self.show()


def _title(text: str) -> QLabel:
    label = plain(text)
    label.setAlignment(Qt.AlignmentFlag.AlignTop)
    label.setStyleSheet(f"color: {QUIET};")
    return label


def _types(info: ModelInfo) -> QWidget:
    shown = [t for i, t in sorted(info.types.items()) if i != 0]
    if not shown:
        return note("none: nuclei are found, not classified")
    box = QWidget()
    layout = column(box, 0)
    layout.setSpacing(1)
    for kind in shown:
        patch = QLabel()
        patch.setPixmap(swatch(kind.color))
        layout.addWidget(row(patch, plain(kind.name)))
    return box


def _hash(sha256: str) -> QLabel:
    label = plain(sha256[:SHORT_HASH] + " ...")
    label.setToolTip(sha256)
    return label


def _copy(sha256: str) -> QToolButton:
    def copy() -> None:
        clipboard = QGuiApplication.clipboard()
        if clipboard is not None:
            clipboard.setText(sha256)

    return tool("Copy", "Copy SHA-256", "Copy all 64 characters.", copy)


class TypesRow(QWidget):
    """By which file the types of the next run are named and taken together, if by any."""

    def __init__(self, work: Workspace) -> None:
        super().__init__()
        self.work, self.session = work, work.session
        self.name = button("As the model", "A file of names and colours of the types, and of "
                           "which of them to take together.", self._ask)  # fmt: skip
        self.drop = tool("✕", "Types of the model", "Take the model's own types again.",
                         lambda: self._set(""))  # fmt: skip
        column(self, 0).addWidget(row(self.name, self.drop, stretch=0))
        bind(self, self.session.options_changed, self._show)
        bind(self, self.session.model_changed, self._show)
        self._show()

    def _set(self, path: str) -> None:
        self.session.set_options(replace(self.session.options, types=path))

    def _ask(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Names and groups of types", "", TYPES_FILTER)
        if path:
            self.choose(path)

    def choose(self, path: str) -> None:
        """Name the types of the next run by a file, unless it cannot be used."""
        from ...core.io.files import read_type_scheme  # noqa: PLC0415 - on first use

        try:
            read_type_scheme(path)
        except UserError as error:
            self.work.say(str(error), "bad")
            return
        self._set(path)

    def _show(self, *_: Any) -> None:
        path, info = self.session.options.types, self.session.model.info
        self.name.setText(Path(path).name if path else "As the model")
        self.name.setEnabled(info is None or bool(info.types))
        self.drop.setVisible(bool(path))
