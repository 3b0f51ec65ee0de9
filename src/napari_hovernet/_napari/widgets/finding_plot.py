"""The small figure of a finding: bars, a histogram, lines or a matrix."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QVBoxLayout, QWidget

from ..diagnosis_words import number
from .parts import named, note, set_note
from .plot_style import (
    BAD_COLOR,
    FILL_ALPHA,
    INSIDE_COLOR,
    OUTSIDE_COLOR,
    PlotColors,
    paint,
    still,
)

if TYPE_CHECKING:
    from ...core.diagnosis.report import Plot

HEIGHT_PX, BAR_ROW_PX, FOOT_PX = 170, 24, 52
"""Height of a plot; of one bar; of the axis beneath."""
LOWEST_PX, HIGHEST_PX = 130, 420
"""Heights of a matrix at least, and of bars at most."""
MARGINS = (2, 4, 12, 2)
COLORS = (INSIDE_COLOR, OUTSIDE_COLOR, (0, 158, 115), (204, 121, 167), (140, 140, 150))
"""Of series; told apart by colour-blind eyes too."""
BAR_SHARE = 0.8
"""Of the room of a name that its bars take."""
LONGEST_NAME = 22
"""Characters of a name before it is cut."""
MOST_CELLS = 10
"""A matrix of at most this many rows and columns shows its numbers."""
PADDING = 0.04
SQUARE = "\u25a0"
SHADES = "viridis"


class FindingPlot(QWidget):
    """Draws a :class:`~napari_hovernet.core.diagnosis.report.Plot`; hidden without one."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._colors: PlotColors | None = None
        self._plot: Plot | None = None
        self.title, self.key = note("", "Title of the plot"), note("", "Key of the plot")
        self.widget = pg.PlotWidget()
        self.item = self.widget.getPlotItem()
        still(self.item)
        self.item.layout.setContentsMargins(*MARGINS)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        for widget in (self.title, self.key, self.widget):
            column.addWidget(widget)
        self.setValue(None)

    def set_colors(self, colors: PlotColors) -> None:
        """Fit the theme."""
        self._colors = colors
        self.widget.setBackground(colors.background)
        paint(self.item, colors)
        if self._plot is not None:
            self.setValue(self._plot)

    def setValue(self, plot: Plot | None) -> None:  # noqa: N802
        """Draw a plot, None = nothing."""
        self._plot = plot
        self.item.clear()
        self.setVisible(plot is not None)
        if plot is None:
            return
        flat = plot.kind == "bars"
        set_note(self.title, plot.title)
        set_note(self.key, key_text(plot))
        named(self.widget, plot.title, described(plot))
        self.item.setLabel("bottom", plot.y_label if flat else plot.x_label)
        self.item.setLabel("left", plot.x_label if flat else plot.y_label)
        for side in ("left", "bottom"):
            axis = self.item.getAxis(side)
            axis.enableAutoSIPrefix(False)
            axis.setTicks(None)
        self.item.invertY(plot.kind in ("bars", "matrix"))
        self.widget.setFixedHeight(height_of(plot))
        _DRAW[plot.kind](self, plot)

    # ------------------------------------------------------------------ kinds

    def _bars(self, plot: Plot) -> None:
        """Lying bars: names of any length fit on the left."""
        n = max(len(plot.series), 1)
        thick = BAR_SHARE / n
        every = [0.0] if plot.line is None else [0.0, plot.line]
        for index, (_, values) in enumerate(plot.series):
            shown = [v if math.isfinite(v) else 0.0 for v in values]
            places = np.arange(len(shown)) + (index - (n - 1) / 2) * thick
            color = COLORS[index % len(COLORS)]
            self.item.addItem(
                pg.BarGraphItem(x0=0, y=places, width=shown, height=thick, brush=color, pen=None)
            )
            every += shown
        names = [_short(str(x)) for x in plot.x]
        self.item.getAxis("left").setTicks([list(enumerate(names))])
        self._across(plot.line, upright=True)
        self.item.setYRange(-0.5, max(len(names), 1) - 0.5, padding=0)
        self.item.setXRange(*_span(every), padding=PADDING)

    def _histogram(self, plot: Plot) -> None:
        edges = np.asarray(plot.x, float)
        top = [0.0]
        for index, (_, values) in enumerate(plot.series):
            heights = np.nan_to_num(np.asarray(values, float))
            color = COLORS[index % len(COLORS)]
            self.item.addItem(
                pg.PlotDataItem(
                    edges,
                    heights,
                    stepMode="center",
                    fillLevel=0,
                    pen=pg.mkPen(color, width=1.5),
                    brush=(*color, FILL_ALPHA),
                )
            )
            top += heights.tolist()
        self._across(plot.line, upright=True)
        self.item.setXRange(float(edges[0]), float(edges[-1]), padding=0)
        self.item.setYRange(*_span(top), padding=PADDING)

    def _lines(self, plot: Plot) -> None:
        names = [x for x in plot.x if isinstance(x, str)]
        x = np.arange(len(plot.x)) if names else np.asarray(plot.x, float)
        every = [] if plot.line is None or plot.upright else [plot.line]
        for index, (_, values) in enumerate(plot.series):
            y = np.asarray(values, float)
            color = COLORS[index % len(COLORS)]
            self.item.addItem(
                pg.PlotDataItem(
                    x,
                    y,
                    connect="finite",
                    pen=pg.mkPen(color, width=2),
                    symbol="o",
                    symbolSize=5,
                    symbolBrush=color,
                    symbolPen=None,
                )
            )
            every += [v for v in y.tolist() if math.isfinite(v)]
        if names:
            ticks = [list(enumerate(_short(str(n)) for n in plot.x))]
            self.item.getAxis("bottom").setTicks(ticks)
        self._across(plot.line, upright=plot.upright)
        if len(x):
            self.item.setXRange(float(x.min()), float(x.max()), padding=PADDING)
        self.item.setYRange(*_span(every), padding=PADDING)

    def _matrix(self, plot: Plot) -> None:
        cells = np.asarray([values for _, values in plot.series], float)
        image = pg.ImageItem(np.nan_to_num(cells), axisOrder="row-major")
        image.setRect(-0.5, -0.5, cells.shape[1], cells.shape[0])
        image.setColorMap(pg.colormap.get(SHADES))
        self.item.addItem(image)
        self.item.getAxis("bottom").setTicks([list(enumerate(_short(str(x)) for x in plot.x))])
        rows = list(enumerate(_short(name) for name, _ in plot.series))
        self.item.getAxis("left").setTicks([rows])
        if max(cells.shape) <= MOST_CELLS:
            middle = float(np.nanmin(cells) + np.nanmax(cells)) / 2
            for (row, col), value in np.ndenumerate(cells):
                color = "w" if value < middle else "k"  # dark shades are the small numbers
                text = pg.TextItem(number(float(value)), color=color, anchor=(0.5, 0.5))
                text.setPos(col, row)
                self.item.addItem(text)
        self.item.setXRange(-0.5, cells.shape[1] - 0.5, padding=0)
        self.item.setYRange(-0.5, cells.shape[0] - 0.5, padding=0)

    def _across(self, value: float | None, *, upright: bool) -> None:
        if value is None or not math.isfinite(value):
            return
        pen = pg.mkPen(BAD_COLOR, width=2, style=Qt.PenStyle.DashLine)
        self.item.addItem(pg.InfiniteLine(value, angle=90 if upright else 0, pen=pen))


_DRAW = {
    "bars": FindingPlot._bars,
    "histogram": FindingPlot._histogram,
    "lines": FindingPlot._lines,
    "matrix": FindingPlot._matrix,
}


def height_of(plot: Plot) -> int:
    """Return the height in pixels that a plot needs."""
    if plot.kind == "bars":
        rows = len(plot.x) * max(len(plot.series) * BAR_SHARE, 1.0)
        return min(round(rows * BAR_ROW_PX) + FOOT_PX, HIGHEST_PX)
    if plot.kind == "matrix":
        return min(max(len(plot.series) * BAR_ROW_PX + FOOT_PX, LOWEST_PX), HIGHEST_PX)
    return HEIGHT_PX


def key_text(plot: Plot) -> str:
    """Return the colours of the series as rich text, "" where there is nothing to tell apart."""
    entries = []
    if plot.kind != "matrix" and len(plot.series) > 1:
        for index, (name, _) in enumerate(plot.series):
            color = COLORS[index % len(COLORS)]
            entries.append(f"<span style='color:rgb{color}'>{SQUARE}</span>&nbsp;{name}")
    if plot.line is not None and math.isfinite(plot.line) and plot.kind != "matrix":
        line = f"<span style='color:rgb{BAD_COLOR}'>- -</span>&nbsp;threshold&nbsp;"
        entries.append(line + number(plot.line))
    return " &nbsp; ".join(entries)


def described(plot: Plot) -> str:
    """Return a plot in words, for screen readers and the tooltip."""
    if plot.kind == "bars" and len(plot.series) == 1:
        pairs = zip(plot.x, plot.series[0][1], strict=False)
        return ", ".join(f"{name} {number(float(value))}" for name, value in pairs)
    axes = " over ".join(x for x in (plot.y_label, plot.x_label) if x)
    return f"{plot.title}. {axes}".strip()


def _span(values: Sequence[float]) -> tuple[float, float]:
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    return (low, high) if high > low else (low, low + 1.0)


def _short(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"
