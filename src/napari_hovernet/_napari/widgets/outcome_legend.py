"""What became of the nuclei: counts, colours, and which errors to go through."""

from __future__ import annotations

from collections.abc import Mapping

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QGridLayout, QLabel, QWidget

from ...core.measure.compare import ERROR_KINDS
from .parts import named, silent, swatch, swatch_pixmap

MEANINGS = {
    "matched": "True nuclei found, with an IoU above 0.5.",
    "merged": "True nuclei that share one predicted nucleus: a blob.",
    "split": "True nuclei cut into several predicted ones.",
    "missed": "True nuclei without a prediction that fits.",
    "spurious": "Predicted nuclei where there is no true one that fits.",
}
"""Kinds of outcomes and what they mean."""
EMPTY = "-"


class OutcomeLegend(QWidget):
    """One line per outcome; the boxes choose which errors to go through.

    Parameters
    ----------
    colors : mapping
        RGB in 0..255 of each outcome.
    """

    valueChanged = Signal(object)  # noqa: N815 - the kinds chosen, a frozenset

    def __init__(
        self, colors: Mapping[str, tuple[int, int, int]], parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.counts: dict[str, QLabel] = {}
        self.boxes: dict[str, QCheckBox] = {}
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setVerticalSpacing(2)
        grid.setColumnStretch(2, 1)
        for row, (kind, meaning) in enumerate(MEANINGS.items()):
            grid.addWidget(self._title(kind, colors[kind]), row, 0)
            self.counts[kind] = QLabel(EMPTY)
            named(self.counts[kind], f"Number {kind}", meaning)
            grid.addWidget(self.counts[kind], row, 1)
            text = QLabel(meaning)
            text.setWordWrap(True)
            text.setEnabled(False)
            grid.addWidget(text, row, 2)

    def value(self) -> frozenset[str]:
        """Return the kinds of errors chosen."""
        return frozenset(kind for kind, box in self.boxes.items() if box.isChecked())

    def setValue(self, kinds: frozenset[str]) -> None:  # noqa: N802
        """Choose kinds without announcing it."""
        for kind, box in self.boxes.items():
            with silent(box):
                box.setChecked(kind in kinds)

    def set_counts(self, counts: Mapping[str, int] | None) -> None:
        """Show how many there are of each, None = dashes."""
        for kind, label in self.counts.items():
            label.setText(EMPTY if counts is None else f"{counts[kind]:,}")

    def _title(self, kind: str, color: tuple[int, int, int]) -> QWidget:
        if kind not in ERROR_KINDS:
            title = QLabel(f"<b>{kind}</b>")
            title.setToolTip(MEANINGS[kind])
            holder = QWidget()
            line = QGridLayout(holder)
            line.setContentsMargins(0, 0, 0, 0)
            icon = QLabel()
            icon.setPixmap(swatch_pixmap(color))
            line.addWidget(icon, 0, 0)
            line.addWidget(title, 0, 1)
            return holder
        box = QCheckBox(kind)
        box.setIcon(swatch(color))
        box.setChecked(True)
        named(box, f"Go through {kind}", f"{MEANINGS[kind]} Checked: next and previous stop there.")
        box.toggled.connect(lambda _: self.valueChanged.emit(self.value()))
        self.boxes[kind] = box
        return box
