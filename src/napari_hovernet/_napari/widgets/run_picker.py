"""Choose which run a panel looks into."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QVBoxLayout, QWidget

from ...app.session import Run
from .parts import named, note, set_note, silent

NO_RUN = "No run yet: open Plugins > HoVer-Net > Segment nuclei, choose an image and press Run."


class RunPicker(QWidget):
    """Combo box of the session's runs, the latest first."""

    valueChanged = Signal(int)  # noqa: N815 - the run's id

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.combo = QComboBox()
        self.combo.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        named(self.combo, "Run", "The run to look into; follows the selected layer.")
        self.remark = note(NO_RUN, "Run remark")
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        column.addWidget(self.combo)
        column.addWidget(self.remark)
        self.combo.activated.connect(lambda _: self.valueChanged.emit(self.value()))

    def value(self) -> int:
        """Return the id of the chosen run, 0 if there is none."""
        return int(self.combo.currentData() or 0)

    def set_runs(self, runs: Sequence[Run]) -> None:
        """List runs as "title, nuclei, image"; the choice stays if it can."""
        chosen = self.value()
        with silent(self.combo):
            self.combo.clear()
            for run in reversed(runs):
                title = f"{run.title}   {run.result.n:,} nuclei   {run.image.name}"
                self.combo.addItem(title, run.id)
        self.combo.setEnabled(bool(runs))
        set_note(self.remark, "" if runs else NO_RUN)
        self.setValue(chosen)

    def setValue(self, run_id: int) -> None:  # noqa: N802
        """Show a choice without announcing it."""
        index = self.combo.findData(run_id)
        if index >= 0:
            with silent(self.combo):
                self.combo.setCurrentIndex(index)
