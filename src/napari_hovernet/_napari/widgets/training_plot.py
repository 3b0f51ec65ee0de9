"""One live plot of a training run, chosen from a list."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QComboBox, QSizePolicy, QVBoxLayout, QWidget

from ..plots import (
    COLLAPSED,
    EARLY,
    GO_ON,
    HEALTHY,
    PLOTS,
    PlotKind,
    PlotLine,
    points,
    thinned,
)
from .parts import named, note, set_note, silent
from .plot_style import BAD_COLOR, FAIR_COLOR, GOOD_COLOR, PlotColors, paint, still

if TYPE_CHECKING:
    from ...app.watch import RunView

    Points = dict[PlotLine, tuple[Any, Any]]

HEIGHT_PX = 170
MARGINS = (2, 4, 10, 4)
PADDING = 0.03
HEADROOM = 1.2
PERCENT = 100.0
WIDTHS = {True: 1.0, False: 2.0}
"""Of quiet lines and others."""
MARK_SIZE = 5
FEW = 40
"""Lines of fewer points show the points themselves."""
BOUNDS = (
    (COLLAPSED, BAD_COLOR, f"{COLLAPSED:.2f} at epoch {EARLY}", 1),
    (GO_ON, FAIR_COLOR, f"{GO_ON:.2f} at epoch {EARLY}", 1),
    (HEALTHY, GOOD_COLOR, f"{HEALTHY:.2f} at the end", 0),
)
NOTHING = "Nothing yet."
SQUARE, DASHES = "\u25a0", "- -"


class TrainingPlot(QWidget):
    """A combo box of :data:`PLOTS` over the plot, with the latest numbers as its key.

    Parameters
    ----------
    chosen : int
        Index of the plot to begin with.
    """

    def __init__(self, chosen: int = 0, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._view: RunView | None = None
        self._drawn: RunView | None = None
        self._items: dict[str, Any] = {}
        self.combo = QComboBox()
        self.combo.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        for kind in PLOTS:
            self.combo.addItem(kind.title)
            self.combo.setItemData(self.combo.count() - 1, kind.help, Qt.ItemDataRole.ToolTipRole)
        self.key = note("", "Latest numbers")
        self.plot = pg.PlotWidget()
        self.plot.setFixedHeight(HEIGHT_PX)
        self.item = self.plot.getPlotItem()
        still(self.item)
        self.item.layout.setContentsMargins(*MARGINS)
        self.item.setLabel("bottom", "epoch")
        self.item.getAxis("left").enableAutoSIPrefix(False)
        self.bounds = [self._bound(*bound) for bound in BOUNDS]
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        for widget in (self.combo, self.key, self.plot):
            column.addWidget(widget)
        self.combo.activated.connect(self.choose)
        self.choose(chosen)

    @property
    def kind(self) -> PlotKind:
        """The plot that is shown."""
        return PLOTS[self.combo.currentIndex()]

    def choose(self, index: int) -> None:
        """Show another plot."""
        with silent(self.combo):
            self.combo.setCurrentIndex(index)
        kind = self.kind
        named(self.plot, kind.title, kind.help)
        named(self.combo, "Plot", kind.help)
        for curve in self._items.values():
            self.item.removeItem(curve)
        self._items = {line.column: self._curve(line) for line in kind.lines}
        self.item.setLabel("left", kind.axis)
        self.item.getAxis("left").setLogMode(kind.log)
        for bound in self.bounds:
            bound.setVisible(kind.bounds)
        self._draw()

    def set_colors(self, colors: PlotColors) -> None:
        """Fit the theme."""
        self.plot.setBackground(colors.background)
        paint(self.item, colors)

    def setValue(self, view: RunView | None) -> None:  # noqa: N802
        """Show a run; nothing happens where it is shown already. None = nothing."""
        if view is None or view is not self._view:
            self._view = view
            self._draw()

    def _draw(self) -> None:
        kind, view = self.kind, self._view
        shown: Points = {}
        for line in kind.lines:
            x, y = (np.zeros(0), np.zeros(0)) if view is None else points(view, line)
            if kind.log and not (y > 0).any():  # such as types that are not learnt
                x = y = np.zeros(0)
            shown[line] = thinned(x, y)
            x, y = drawn(shown[line], kind)
            dots = "o" if 0 < len(x) <= FEW and not line.quiet else None
            self._items[line.column].setData(x, y, connect="finite", symbol=dots)
        set_note(self.key, key_text(shown, kind))
        self._fit(kind, shown)

    def _fit(self, kind: PlotKind, shown: Points) -> None:
        planned = self._view.n_epochs if self._view else 0
        self.item.setXRange(0, max([planned, 1, *(x[-1] for x, _ in shown.values() if len(x))]))
        if kind.limits is not None:
            self.item.setYRange(*kind.limits, padding=PADDING)
            return
        values = [drawn(x_y, kind)[1] for x_y in shown.values()]
        every = np.concatenate([*values, [0.0, HEALTHY * HEADROOM] if kind.bounds else []])
        every = every[np.isfinite(every)]
        low, high = (every.min(), every.max()) if len(every) else (0.0, 1.0)
        if not kind.log:
            low = min(low, 0.0)
        self.item.setYRange(low, high if high > low else low + 1.0, padding=PADDING)

    def _curve(self, line: PlotLine) -> Any:
        style = Qt.PenStyle.DashLine if line.base else Qt.PenStyle.SolidLine
        curve = pg.PlotDataItem(
            pen=pg.mkPen(line.color, width=WIDTHS[line.quiet], style=style),
            symbolBrush=pg.mkBrush(line.color),
            symbolPen=None,
            symbolSize=MARK_SIZE,
        )
        self.item.addItem(curve)
        return curve

    def _bound(self, value: float, color: tuple[int, int, int], words: str, side: int) -> Any:
        line = pg.InfiniteLine(
            value,
            angle=0,
            pen=pg.mkPen(color, width=1, style=Qt.PenStyle.DotLine),
            label=words,
            labelOpts={"position": 0.98, "color": color, "anchors": [(1, side), (1, side)]},
        )
        self.item.addItem(line)
        return line


def drawn(x_y: tuple[Any, Any], kind: PlotKind) -> tuple[Any, Any]:
    """Return x and y of a line in the units of a plot's axis."""
    x, y = x_y
    if kind.log:
        return x, np.log10(np.where(y > 0, y, np.nan))
    return x, y * PERCENT if kind.percent else y


def key_text(shown: Points, kind: PlotKind) -> str:
    """Return the colours and latest numbers of a plot as rich text."""
    entries = []
    for line, (_, y) in shown.items():
        known = y[np.isfinite(y)]
        if len(known):
            number = f"{known[-1]:.0%}" if kind.percent else f"{known[-1]:.3g}"
            entries.append(
                f"<span style='color:rgb{line.color}'>{DASHES if line.base else SQUARE}</span>"
                f"&nbsp;{line.title.replace(' ', '&nbsp;')}&nbsp;<b>{number}</b>"
            )
    return " &nbsp; ".join(entries) or NOTHING
