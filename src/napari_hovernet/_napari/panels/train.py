"""The tab "Train": fine-tune a model."""

from __future__ import annotations

from qtpy.QtWidgets import QWidget

from ..kit import column, note
from ..workspace import Workspace


class TrainTab(QWidget):
    """Train a model on own data."""

    title = "Train"

    def __init__(self, work: Workspace) -> None:
        super().__init__()
        self.work = work
        layout = column(self)
        layout.addWidget(note("Training follows here."))
        layout.addStretch(1)

    def shown(self) -> None:
        """Take up what is on screen."""

    def left(self) -> None:
        """Take marks away."""
