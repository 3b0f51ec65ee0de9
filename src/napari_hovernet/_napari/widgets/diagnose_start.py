"""The buttons that begin and stop a diagnosis, and how far it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QProgressBar, QPushButton, QVBoxLayout, QWidget

from .parts import named, note, set_note

if TYPE_CHECKING:
    from ...core.types import Progress

TIP = "Make every check that what is given allows, in the background."
BAR_PX = 10
STOPPING = "Stopping ..."


class DiagnoseStart(QWidget):
    """Diagnose, Cancel, a bar, and the name of the check that is being made."""

    startRequested = Signal()  # noqa: N815
    cancelRequested = Signal()  # noqa: N815

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.start, self.cancel = QPushButton("Diagnose"), QPushButton("Cancel")
        self.bar, self.words = QProgressBar(), note("", "Check under way")
        named(self.start, "Diagnose", TIP)
        named(self.cancel, "Cancel", "Stop; what was found so far stays.")
        named(self.bar, "Checks made", "Checks made, of all there are.")
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(BAR_PX)
        font = self.start.font()
        font.setBold(True)
        self.start.setFont(font)
        row = QHBoxLayout()
        row.addWidget(self.start, 2)
        row.addWidget(self.cancel, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(row)
        column.addWidget(self.bar)
        column.addWidget(self.words)
        self.start.clicked.connect(lambda _: self.startRequested.emit())
        self.cancel.clicked.connect(lambda _: self._stop())
        self.set_busy(False)

    def set_ready(self, problem: str) -> None:
        """Say why there is nothing to diagnose, "" = there is."""
        self.start.setEnabled(not problem)
        self.start.setToolTip(problem or TIP)

    def set_busy(self, busy: bool) -> None:
        """Show whether checks are being made."""
        self.cancel.setVisible(busy)
        self.bar.setVisible(busy)
        self.start.setText("Diagnose again" if busy else "Diagnose")
        if not busy:
            self.cancel.setEnabled(True)
            self.bar.setRange(0, 0)
            set_note(self.words, "")

    def set_progress(self, step: Progress | None) -> None:
        """Show how far it is; None = nothing is under way."""
        self.set_busy(step is not None)
        if step is None:
            return
        self.bar.setRange(0, step.total)
        self.bar.setValue(step.done)
        if self.cancel.isEnabled():
            count = f"{min(step.done + 1, step.total)} of {step.total}: " if step.total else ""
            set_note(self.words, f"{count}{step.message} ...")

    def _stop(self) -> None:
        self.cancel.setEnabled(False)
        set_note(self.words, STOPPING)
        self.cancelRequested.emit()
