"""Run, cancel, progress, and what came out."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QHBoxLayout,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from ...app.session import Status
from .parts import ERROR_STYLE, named, note, set_note

MINUTE_S = 60
HOUR_S = 3600
RUN_STYLE = (
    "QPushButton:enabled { background-color: #3f5fd0; color: white; font-weight: bold; }"
    "QPushButton:enabled:hover { background-color: #5573e0; }"
    "QPushButton:enabled:pressed { background-color: #2f4bb0; }"
)
"""The one button that matters stands out, on dark and light themes."""


class RunBar(QWidget):
    """Two buttons, a progress bar and a status line."""

    runRequested = Signal()  # noqa: N815
    cancelRequested = Signal()  # noqa: N815
    replaceChanged = Signal(bool)  # noqa: N815

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.run = QPushButton("Run")
        self.run.setObjectName("napari_hovernet_run")
        self.run.setStyleSheet(RUN_STYLE)
        self.cancel = QPushButton("Cancel")
        named(self.cancel, "Cancel", "Stop after the tile under way; nothing is added. (Esc)")
        self.replace = QCheckBox("Replace the previous run")
        named(
            self.replace,
            "Replace the previous run",
            "Remove the layers of the previous run when this one is done (undo brings them "
            "back). Off: every run gets layers of its own.",
        )
        self.bar = QProgressBar()
        self.bar.setAccessibleName("Progress in tiles")
        self.bar.setTextVisible(True)
        self.status = note(name="Status")
        self.notices = note(name="Notices of the run")
        buttons = QHBoxLayout()
        buttons.addWidget(self.run, 2)
        buttons.addWidget(self.cancel, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.replace)
        column.addLayout(buttons)
        for part in (self.bar, self.status, self.notices):
            column.addWidget(part)
        self.run.clicked.connect(lambda _: self.runRequested.emit())
        self.cancel.clicked.connect(lambda _: self.cancelRequested.emit())
        self.replace.toggled.connect(self.replaceChanged.emit)
        self.setValue(Status(), "")

    def setValue(self, status: Status, blocked: str) -> None:  # noqa: N802
        """Show a status, and why Run cannot be pressed ("" when it can)."""
        self.run.setEnabled(not blocked)
        named(self.run, "Run", blocked or "Segment the chosen image. (Ctrl+Return)")
        self.cancel.setEnabled(status.state == "running")
        self.bar.setVisible(status.busy)
        self.bar.setRange(0, max(status.total, 0))
        self.bar.setValue(status.done)
        self.bar.setFormat(progress_text(status))
        text = status.message if status.busy or status.message else blocked
        self.status.setStyleSheet(ERROR_STYLE if status.error else "")
        set_note(self.status, text)
        set_note(self.notices, "\n".join(f"• {n}" for n in dict.fromkeys(status.notices)))


def progress_text(status: Status) -> str:
    """Return "3 of 12 tiles, 8 s left"."""
    if status.total <= 0:
        return ""
    left = "" if status.eta is None else f", {duration(status.eta)} left"
    return f"{status.done} of {status.total}{left}"


def duration(seconds: float) -> str:
    """Return a time in two units at most.

    Examples
    --------
    >>> duration(7.6), duration(75), duration(7260)
    ('8 s', '1 min 15 s', '2 h 1 min')
    """
    whole = round(seconds)
    if whole < MINUTE_S:
        return f"{whole} s"
    if whole < HOUR_S:
        return f"{whole // MINUTE_S} min {whole % MINUTE_S} s"
    return f"{whole // HOUR_S} h {whole % HOUR_S // MINUTE_S} min"
