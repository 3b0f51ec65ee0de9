"""HV against the truth and what to hold it against, and the verdict in words."""

from __future__ import annotations

import math
from collections.abc import Sequence

from qtpy.QtWidgets import QFormLayout, QLabel, QVBoxLayout, QWidget

from ...core.measure.compare import Comparison, Remark
from .parts import ERROR_STYLE, named, note

LEVEL_STYLES = {"bad": ERROR_STYLE, "good": "color: #2ca25f;", "neutral": ""}
"""Style of a remark by its level; legible on dark and light."""
EMPTY = "-"
RATES = {
    "dice": (
        "All-foreground Dice",
        "Dice of calling every pixel nucleus. A Dice near it says nothing.",
    ),
    "mse": (
        "HV error (zero map)",
        "Mean squared error of HV over the true nuclei, and that of a map of zeros (0.25 for "
        "discs): what a network gets that learnt nothing. Lower is better.",
    ),
    "cosine": (
        "HV cosine",
        "Mean cosine between predicted and true HV, -1..1: 1 = right direction, about 0 = none "
        "learnt, -1 = wrong sign. This, not the magnitude, decides what can be separated.",
    ),
    "magnitude": (
        "HV magnitude (truth)",
        "Mean length of HV inside the true nuclei, and of the true HV. Scaling it changes no "
        "instance.",
    ),
}
"""Title and meaning of each line."""


class BaseRates(QWidget):
    """Four lines of numbers."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        form.setVerticalSpacing(2)
        self.fields: dict[str, QLabel] = {}
        for key, (title, tip) in RATES.items():
            field, label = QLabel(EMPTY), QLabel(title)
            named(field, title, tip)
            label.setToolTip(tip)
            self.fields[key] = field
            form.addRow(label, field)

    def setValue(self, comparison: Comparison | None) -> None:  # noqa: N802
        """Show a comparison, None = dashes."""
        for key, text in _texts(comparison).items():
            self.fields[key].setText(text)


class Verdict(QWidget):
    """Sentences, the most telling first."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(2)
        self._labels: list[QLabel] = []

    def texts(self) -> list[str]:
        """Return the sentences shown."""
        return [label.text() for label in self._labels if not label.isHidden()]

    def setValue(self, remarks: Sequence[Remark]) -> None:  # noqa: N802
        """Show sentences, in the colours of their levels."""
        while len(self._labels) < len(remarks):
            label = note(name="Verdict")
            self._labels.append(label)
            self._column.addWidget(label)
        for i, label in enumerate(self._labels):
            remark = remarks[i] if i < len(remarks) else Remark("neutral", "")
            label.setText(remark.text)
            label.setStyleSheet(LEVEL_STYLES[remark.level])
            label.setVisible(bool(remark.text))


def _texts(comparison: Comparison | None) -> dict[str, str]:
    if comparison is None:
        return dict.fromkeys(RATES, EMPTY)
    texts = {**dict.fromkeys(RATES, EMPTY), "dice": _shown(comparison.all_foreground_dice)}
    hv = comparison.hv
    if hv is not None:
        texts["mse"] = f"{_shown(hv.mse)} ({_shown(hv.zero_mse)})"
        texts["cosine"] = _shown(hv.cosine)
        texts["magnitude"] = f"{_shown(hv.magnitude)} ({_shown(hv.true_magnitude)})"
    return texts


def _shown(value: float) -> str:
    return EMPTY if math.isnan(value) else f"{value:.3f}"
