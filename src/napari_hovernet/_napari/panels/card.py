"""What a model is, behind the (i): network, resolution, types, licence, origin."""

from __future__ import annotations

from qtpy.QtCore import QPoint, Qt
from qtpy.QtGui import QGuiApplication
from qtpy.QtWidgets import QFormLayout, QFrame, QLabel, QToolButton, QWidget

from ...app.session import ModelChoice
from ...core.types import ModelInfo
from ..kit import QUIET, column, note, plain, row, swatch, tool

WIDTH = 300
SHORT_HASH = 12
"""Characters of the SHA-256 shown; the button copies all 64."""
NAMES = {
    "compact": "Compact U-Net",
    "hovernet": "HoVer-Net",
    "optimus": "Optimus token decoder",
}


def card_lines(info: ModelInfo) -> tuple[tuple[str, str], ...]:
    """Return titles and texts; what is not known is said."""
    name = NAMES.get(info.architecture, info.architecture)
    origin = info.source or "not stated"
    if info.source == "compact":
        origin = "comes with napari-hovernet"
    elif info.file_kind:
        origin += f" ({info.file_kind} file)"
    return (
        ("Network", f"{name}, mode {info.mode}" if info.mode else name),
        ("Trained at", f"{info.mpp:g} µm per pixel" if info.mpp else "not known"),
        ("Weights", f"{info.parameters:,}"),
        ("Licence", info.licence or "not stated: ask who made it"),
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
