"""What came out of each stage: as run, and as tuned now."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QGridLayout, QLabel, QWidget

from ...core.separation.tuning import StageCounts
from .parts import named

STAGES = (
    ("components", "Components", "Connected parts of the mask (4 neighbours)."),
    ("markers", "Markers", "Seeds that the watershed starts from."),
    ("instances", "Nuclei", "Instances in the end."),
)
UNKNOWN = "-"


class CountsTable(QWidget):
    """Three rows, two columns of numbers."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.was: dict[str, QLabel] = {}
        self.now: dict[str, QLabel] = {}
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 4, 0, 4)
        self.head = QLabel("now")
        for column, label in enumerate((QLabel("Stage"), QLabel("as run"), self.head)):
            grid.addWidget(label, 0, column)
        for row, (key, title, tip) in enumerate(STAGES, start=1):
            name = QLabel(title)
            name.setToolTip(tip)
            grid.addWidget(name, row, 0)
            for column, cells in ((1, self.was), (2, self.now)):
                cell = QLabel(UNKNOWN)
                named(cell, f"{title}, {'as run' if column == 1 else 'now'}", tip)
                cell.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
                cells[key] = cell
                grid.addWidget(cell, row, column)
        for column in range(3):
            grid.setColumnStretch(column, 1)

    def set_was(self, counts: StageCounts | None) -> None:
        """Show the counts of the run."""
        _fill(self.was, counts)

    def set_now(self, counts: StageCounts | None, where: str) -> None:
        """Show the counts of the present parameters, and where they were taken."""
        _fill(self.now, counts)
        self.head.setText(f"now, {where}" if counts is not None else "now")


def _fill(cells: dict[str, QLabel], counts: StageCounts | None) -> None:
    for key, cell in cells.items():
        cell.setText(UNKNOWN if counts is None else f"{getattr(counts, key):,}")
