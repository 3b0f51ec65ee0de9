"""Colours of the blob check, and how many components have each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel, QSizePolicy, QWidget

from ..blob_layers import STATUS_COLORS
from .parts import named

if TYPE_CHECKING:
    from ...core.measure.blobs import BlobReport

SQUARE = "■"


class BlobLegend(QLabel):
    """A coloured square and a count per status; a status that is not met is left out."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        named(self, "Legend", "Components by status: blob, separated, single, empty.")
        self.setTextFormat(Qt.TextFormat.RichText)
        self.setWordWrap(True)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
        self.setValue(None)

    def setValue(self, report: BlobReport | None) -> None:  # noqa: N802
        """Show the counts of a report, None = nothing."""
        counts = dict.fromkeys(STATUS_COLORS, 0)
        for row in () if report is None else report.rows:
            counts[row.status] += 1
        items = [_item(status, n) for status, n in counts.items() if n]
        self.setText(" &nbsp; ".join(items))
        self.setVisible(bool(items))


def _item(status: str, number: int) -> str:
    red, green, blue = STATUS_COLORS[status]
    color = f"rgb({red}, {green}, {blue})"
    return f'<span style="color: {color}">{SQUARE}</span>&nbsp;{number:,}&nbsp;{status}'
