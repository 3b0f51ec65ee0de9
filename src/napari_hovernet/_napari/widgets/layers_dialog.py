"""Choose which open layers to train on."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QHBoxLayout,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QVBoxLayout,
    QWidget,
)

from .parts import named, note

SPLITS = {"train": "training", "val": "validation"}
WIDTH = 460
NONE = (
    "There are no layers to train on: open an image and its labels (a Labels layer of the same "
    "size), or segment an image and correct its nuclei with the brush."
)
HINT = "They are copied as they are now; what you draw later does not count."


class LayersDialog(QDialog):
    """A list of pairs to tick.

    Parameters
    ----------
    titles : sequence of str
    ticked : sequence of bool
        Which of them are ticked at first.
    """

    chosen = Signal(list, str)
    """Indices of the pairs, and their split."""

    def __init__(
        self, titles: Sequence[str], ticked: Sequence[bool], parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle("Train on open layers")
        self.setMinimumWidth(WIDTH)
        self.list = QListWidget()
        self.list.setAccessibleName("Pairs of an image and its labels")
        for title, on in zip(titles, ticked, strict=True):
            item = QListWidgetItem(title)
            item.setFlags(item.flags() | Qt.ItemFlag.ItemIsUserCheckable)
            item.setCheckState(Qt.CheckState.Checked if on else Qt.CheckState.Unchecked)
            self.list.addItem(item)
        self.split = QComboBox()
        for name, words in SPLITS.items():
            self.split.addItem(words, name)
        named(self.split, "Use them for", "Whether they are learnt from, or scored on.")
        self.remark = note(HINT if titles else NONE, "About the pairs")
        self.buttons = QDialogButtonBox(
            QDialogButtonBox.StandardButton.Ok | QDialogButtonBox.StandardButton.Cancel
        )
        row = QHBoxLayout()
        row.addWidget(QLabel("Use them for"))
        row.addWidget(self.split, 1)
        column = QVBoxLayout(self)
        column.addWidget(self.list)
        column.addLayout(row)
        column.addWidget(self.remark)
        column.addWidget(self.buttons)
        self.buttons.accepted.connect(self.accept)
        self.buttons.rejected.connect(self.reject)
        self.list.itemChanged.connect(self._enable)
        self._enable()

    def value(self) -> list[int]:
        """Return the indices of the pairs that are ticked."""
        items = ((at, self.list.item(at)) for at in range(self.list.count()))
        return [at for at, x in items if x and x.checkState() == Qt.CheckState.Checked]

    def accept(self) -> None:
        """Close and announce what was chosen."""
        super().accept()
        self.chosen.emit(self.value(), str(self.split.currentData()))

    def _enable(self, _item: object = None) -> None:
        ok = self.buttons.button(QDialogButtonBox.StandardButton.Ok)
        if ok is not None:
            ok.setEnabled(bool(self.value()))
