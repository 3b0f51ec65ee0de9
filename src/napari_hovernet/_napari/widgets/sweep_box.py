"""Set up a sweep of one or two parameters, run it, take the best."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QComboBox,
    QDoubleSpinBox,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from ...core.measure.sweep import Sweep, SweepAxis
from ...core.separation.tuning import tunable, tunables_for
from ...core.types import Progress
from .parts import named, narrow, note, set_note, silent
from .sweep_plot import SweepPlot

MOST_STEPS = 20
SPIN_WIDTH = 40
"""Width in pixels of a number, so that three stand in a row."""
FIRST_STEPS = 7
NONE = ""
"""Name of the second parameter when there is none."""


class AxisEditor(QWidget):
    """Choose a parameter, from where to where, and in how many steps."""

    def __init__(self, name: str, *, optional: bool, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._optional = optional
        self.combo, self.low, self.high = QComboBox(), QDoubleSpinBox(), QDoubleSpinBox()
        self.count = QSpinBox()
        self.count.setRange(2, MOST_STEPS)
        self.count.setValue(FIRST_STEPS)
        named(self.combo, f"{name} parameter", "What is varied.")
        named(self.low, f"{name} parameter, from", "Least value tried.")
        named(self.high, f"{name} parameter, to", "Largest value tried.")
        named(self.count, f"{name} parameter, steps", "How many values are tried.")
        numbers = QHBoxLayout()
        for word, spin in (("from", self.low), ("to", self.high), ("steps", self.count)):
            spin.setButtonSymbols(QSpinBox.ButtonSymbols.NoButtons)
            narrow(spin, SPIN_WIDTH)
            numbers.addWidget(QLabel(word))
            numbers.addWidget(spin)
        numbers.addStretch(1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 4)
        column.setSpacing(2)
        column.addWidget(self.combo)
        column.addLayout(numbers)
        self.combo.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.combo.currentIndexChanged.connect(self._chosen)

    def set_method(self, method: str, wanted: str) -> None:
        """List the parameters that a method reads; ``wanted`` is chosen if nothing was."""
        before = self.combo.currentData()
        known = tunables_for(method)
        names = [t.name for t in known]
        if [self.combo.itemData(i) for i in range(self.combo.count())][self._optional :] == names:
            return
        with silent(self.combo):
            self.combo.clear()
            if self._optional:
                self.combo.addItem("no second parameter", NONE)
            for found in known:
                self.combo.addItem(found.title, found.name)
            choice = before if before in names else wanted
            self.combo.setCurrentIndex(max(self.combo.findData(choice), 0))
        self._chosen()

    def value(self) -> SweepAxis | None:
        """Return the axis; None where no second parameter is chosen.

        Raises
        ------
        InputError
            If it runs backwards.
        """
        name = self.combo.currentData()
        if not name:
            return None
        return SweepAxis.between(name, self.low.value(), self.high.value(), self.count.value())

    def _chosen(self) -> None:
        name = self.combo.currentData()
        for spin in (self.low, self.high, self.count):
            spin.setEnabled(bool(name))
        if name:
            known = tunable(name)
            for spin, value in ((self.low, known.low), (self.high, known.high)):
                spin.setRange(known.low, known.high)
                spin.setDecimals(known.decimals)
                spin.setSingleStep(known.step)
                spin.setValue(value)


class SweepBox(QWidget):
    """Two axes, run and cancel, a heatmap, and the best or the chosen combination to take."""

    sweepRequested = Signal(object, object)  # noqa: N815 - SweepAxis, SweepAxis or None
    cancelRequested = Signal()  # noqa: N815
    applyRequested = Signal(int, int)  # noqa: N815 - row, column
    failed = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._sweep: Sweep | None = None
        self._cell: tuple[int, int] | None = None
        self.first = AxisEditor("First", optional=False)
        self.second = AxisEditor("Second", optional=True)
        self.run, self.cancel = QPushButton("Sweep"), QPushButton("Cancel")
        self.best, self.take = QPushButton("Apply best"), QPushButton("Apply chosen")
        self.bar, self.remark, self.plot = QProgressBar(), note(name="Sweep remark"), SweepPlot()
        self.bar.setFormat("%v of %m combinations")
        self._name()
        self._lay_out()
        self.run.clicked.connect(self._run)
        self.cancel.clicked.connect(lambda _: self.cancelRequested.emit())
        self.best.clicked.connect(lambda _: self._apply(self._sweep and self._sweep.best))
        self.take.clicked.connect(lambda _: self._apply(self._cell))
        self.plot.cellChosen.connect(self._chosen)
        self.setValue(None)
        self.set_progress(None)

    def set_method(self, method: str) -> None:
        """Offer the parameters of a method."""
        self.first.set_method(method, "np_threshold")
        self.second.set_method(method, NONE)

    def setValue(self, sweep: Sweep | None) -> None:  # noqa: N802
        """Show the result of a sweep; None = nothing."""
        self._sweep, self._cell = sweep, None
        self.plot.setValue(sweep)
        self.best.setEnabled(sweep is not None and sweep.best is not None)
        self.take.setEnabled(False)

    def set_progress(self, step: Progress | None) -> None:
        """Show how far a sweep is; None = none is under way."""
        self.bar.setVisible(step is not None)
        self.cancel.setEnabled(step is not None)
        self.run.setEnabled(step is None)
        if step is not None:
            self.bar.setRange(0, step.total)
            self.bar.setValue(step.done)

    def tell(self, text: str) -> None:
        """Show one line below the buttons."""
        set_note(self.remark, text)

    def _run(self) -> None:
        from ...errors import UserError  # noqa: PLC0415 - keeps the top short

        try:
            rows, columns = self.first.value(), self.second.value()
        except UserError as error:
            self.failed.emit(str(error))
            return
        self.sweepRequested.emit(rows, columns)

    def _chosen(self, row: int, column: int) -> None:
        self._cell = (row, column)
        allowed = self._sweep is not None and bool(self._sweep.counts[row, column] >= 0)
        self.take.setEnabled(allowed)

    def _apply(self, cell: tuple[int, int] | None) -> None:
        if cell is not None:
            self.applyRequested.emit(*cell)

    def _lay_out(self) -> None:
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 4, 0, 0)
        column.addWidget(self.first)
        column.addWidget(self.second)
        for pair in ((self.run, self.cancel), (self.best, self.take)):
            row = QHBoxLayout()
            for button in pair:
                row.addWidget(button)
            if self.run in pair:
                column.addLayout(row)
                for part in (self.bar, self.remark, self.plot):
                    column.addWidget(part)
            else:
                column.addLayout(row)

    def _name(self) -> None:
        named(self.run, "Sweep", "Try all combinations. With a truth chosen in Compare the score "
              "is the AJI, otherwise nuclei are counted.")  # fmt: skip
        named(self.cancel, "Cancel the sweep", "Stop; what was tried so far is dropped.")
        named(self.best, "Apply best", "Take the combination of the highest AJI (framed in red).")
        named(self.take, "Apply chosen", "Take the combination that was clicked in the heatmap.")
