"""The tab "Check": blobs, truth, errors, corrections."""

from __future__ import annotations

from qtpy.QtWidgets import QWidget

from ..kit import column, note
from ..workspace import Workspace


class CheckTab(QWidget):
    """Look into what was found."""

    title = "Check"

    def __init__(self, work: Workspace) -> None:
        super().__init__()
        self.work = work
        layout = column(self)
        layout.addWidget(note("Checks follow here."))
        layout.addStretch(1)

    def shown(self) -> None:
        """Take up what is on screen."""

    def left(self) -> None:
        """Take marks away."""
