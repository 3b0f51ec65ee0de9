"""What can be asked of a training run, and of its result."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtGui import QGuiApplication
from qtpy.QtWidgets import QGridLayout, QMessageBox, QPushButton, QWidget

from .parts import named

if TYPE_CHECKING:
    from ...app.runs import RunInfo

COLUMNS = 3
DELETE = "Delete the run {} with all its models and files?"
ASKS = {
    "start": ("Start", "Start the run; it waits while another one trains."),
    "pause": ("Pause", "Stay between two steps; memory and turn are kept."),
    "resume": (
        "Resume",
        "Go on: a paused run where it is, one that ended early from its last checkpoint.",
    ),
    "stop": ("Stop", "Finish the step, write a checkpoint and end; it can be resumed."),
    "kill": (
        "Kill",
        "End the process at once. What came after the last checkpoint is lost; it can be resumed.",
    ),
    "remove": ("Remove ...", "Delete the run with all its models and files."),
}
"""Title and tip of each action of a run."""
STATES = {
    "start": ("new",),
    "pause": ("running",),
    "resume": ("paused", "stopped", "failed", "killed"),
    "stop": ("queued", "starting", "running", "paused"),
    "kill": ("queued", "starting", "running", "paused"),
    "remove": ("new", "stopped", "done", "failed", "killed", "broken"),
}
"""In which state an action makes sense."""
RESULTS = {
    "best": (
        "Load best",
        "Choose the model that scored best in validation in the panel 'Segment nuclei'.",
    ),
    "last": (
        "Load last",
        "Choose the model of the last finished epoch in the panel 'Segment nuclei'.",
    ),
    "compare": (
        "Before / after",
        "Run the model it started from and the best one on the chosen image, side by side.",
    ),
    "folder": ("Open folder", "Show the run's files."),
    "report": ("Open report", "Curves and pictures as a page for the browser."),
    "command": ("Copy command", "Copy the command line that repeats this run."),
}
"""Title and tip of what can be done with a result."""


class RunButtons(QWidget):
    """Two blocks of buttons; each announces its name."""

    asked = Signal(str)
    resultAsked = Signal(str)  # noqa: N815

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.asks = {name: _button(*words) for name, words in ASKS.items()}
        self.results = {name: _button(*words) for name, words in RESULTS.items()}
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        for at, button in enumerate([*self.asks.values(), *self.results.values()]):
            grid.addWidget(button, at // COLUMNS, at % COLUMNS)
        for name, button in self.asks.items():
            button.clicked.connect(lambda _=False, name=name: self.asked.emit(name))
        for name, button in self.results.items():
            button.clicked.connect(lambda _=False, name=name: self.resultAsked.emit(name))
        self.setValue(None)

    def setValue(self, run: RunInfo | None) -> None:  # noqa: N802
        """Enable what makes sense for a run; None = no run."""
        for name, button in self.asks.items():
            button.setEnabled(run is not None and run.state in STATES[name])
        there = {
            "best": run is not None and run.folder.best.is_file(),
            "last": run is not None and run.folder.last.is_file(),
            "report": run is not None and run.folder.report.is_file(),
            "folder": run is not None,
            "command": run is not None and run.config is not None,
        }
        there["compare"] = there["best"]
        for name, button in self.results.items():
            button.setEnabled(there[name])


def _button(text: str, tip: str) -> QPushButton:
    button = QPushButton(text)
    named(button, text.removesuffix(" ..."), tip)
    return button


def copy(text: str) -> None:
    """Put a text on the clipboard."""
    clipboard = QGuiApplication.clipboard()
    if clipboard is not None:
        clipboard.setText(text)


def sure_to_delete(parent: QWidget, name: str) -> bool:
    """Ask whether a run is to be deleted."""
    answer = QMessageBox.question(parent, "Fine-tune", DELETE.format(name))
    return answer == QMessageBox.StandardButton.Yes
