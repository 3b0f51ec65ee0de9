"""Colours of the layer of differences, in words, with how many nuclei there are of each."""

from __future__ import annotations

from collections.abc import Mapping

from qtpy.QtWidgets import QGridLayout, QLabel, QWidget

from ...core.measure.changes import KINDS
from .parts import named, swatch_pixmap

EMPTY = "-"


class DifferenceLegend(QWidget):
    """One line per kind of difference.

    Parameters
    ----------
    colors : mapping
        RGB in 0..255 of each kind.
    """

    def __init__(
        self, colors: Mapping[int, tuple[int, int, int]], parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.counts: dict[int, QLabel] = {}
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setVerticalSpacing(2)
        grid.setColumnStretch(1, 1)
        for row, (kind, words) in enumerate(KINDS.items()):
            icon, text, count = QLabel(), QLabel(words), QLabel(EMPTY)
            icon.setPixmap(swatch_pixmap(colors[kind]))
            named(count, f"Nuclei {words}", f"Nuclei {words}.")
            for column, widget in enumerate((icon, text, count)):
                grid.addWidget(widget, row, column)
            self.counts[kind] = count

    def setValue(self, counts: Mapping[int, int] | None) -> None:  # noqa: N802
        """Show how many there are of each, None = not known yet."""
        for kind, label in self.counts.items():
            label.setText(EMPTY if counts is None else f"{counts[kind]:,}")
