"""Histogram of the HV magnitude inside and outside nuclei, with the bounds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel, QSizePolicy, QVBoxLayout, QWidget

from .parts import named
from .plot_style import (
    BAD_COLOR,
    BAND_ALPHA,
    FAIR_COLOR,
    FILL_ALPHA,
    GOOD_COLOR,
    INSIDE_COLOR,
    OUTSIDE_COLOR,
    PlotColors,
    paint,
    still,
)

if TYPE_CHECKING:
    from ...core.measure.magnitude import MagnitudeBands, MagnitudeReport

HEIGHT_PX = 190
HEADROOM = 1.15
"""Top of the plot in units of the highest bar."""
SPIKE = 2.0
"""Outside often has a spike at 0; it may be this much higher than the highest bar inside."""
BOUNDS = (("collapsed", BAD_COLOR), ("weak", FAIR_COLOR), ("healthy", GOOD_COLOR))
TIP = (
    "Share of pixels per bin, inside and outside nuclei. Dashed: the bounds. Shaded green: "
    "where exact maps have their mean. Solid line: the mean inside. A spike of the outside "
    "at 0 is cut off."
)


class MagnitudePlot(QWidget):
    """Two histograms, three bounds, the target band and the mean."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.key = QLabel()  # pyqtgraph's own legend lies on the curves
        self.key.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.plot = pg.PlotWidget()
        self.plot.setFixedHeight(HEIGHT_PX)
        named(self.plot, "Histogram of the HV magnitude", TIP)
        item = self.plot.getPlotItem()
        still(item)
        item.setLabel("bottom", "HV magnitude (no unit)")
        item.setLabel("left", "share of pixels (%)")
        self.target = pg.LinearRegionItem(movable=False, brush=(*GOOD_COLOR, BAND_ALPHA))
        for line in self.target.lines:
            line.setPen(pg.mkPen(None))
        item.addItem(self.target)
        self.inside = self._bars(INSIDE_COLOR)
        self.outside = self._bars(OUTSIDE_COLOR)
        self.mean = pg.InfiniteLine(pen=pg.mkPen(INSIDE_COLOR, width=2))
        item.addItem(self.mean)
        self.bounds = {field: self._bound(color) for field, color in BOUNDS}
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        column.addWidget(self.key)
        column.addWidget(self.plot)
        self.setValue(None)

    def _bars(self, color: tuple[int, int, int]) -> pg.PlotDataItem:
        return self.plot.plot(
            [0, 1],
            [0],
            stepMode="center",
            fillLevel=0,
            pen=pg.mkPen(color, width=1.5),
            brush=(*color, FILL_ALPHA),
        )

    def _bound(self, color: tuple[int, int, int]) -> pg.InfiniteLine:
        line = pg.InfiniteLine(pen=pg.mkPen(color, width=1.5, style=Qt.PenStyle.DashLine))
        self.plot.addItem(line)
        return line

    def set_colors(self, colors: PlotColors) -> None:
        """Fit the theme."""
        self.plot.setBackground(colors.background)
        paint(self.plot.getPlotItem(), colors)

    def set_bands(self, bands: MagnitudeBands) -> None:
        """Draw the bounds."""
        for field, line in self.bounds.items():
            line.setValue(getattr(bands, field))
        self.target.setRegion((bands.target_low, bands.target_high))
        self.key.setText(key_text(bands))

    def setValue(self, report: MagnitudeReport | None) -> None:  # noqa: N802
        """Draw the histograms of a report, none if there is none."""
        if report is None:
            for curve in (self.inside, self.outside):
                curve.setData([0, 1], [0])
            self.mean.hide()
            return
        inside = _percent(report.counts_inside, report.inside.n)
        outside = _percent(report.counts_outside, report.outside.n)
        self.inside.setData(report.edges, inside)
        self.outside.setData(report.edges, outside)
        self.mean.setVisible(report.inside.n > 0)
        self.mean.setValue(report.inside.mean if report.inside.n else 0.0)
        self.set_bands(report.bands)
        self.plot.setXRange(0, float(report.edges[-1]), padding=0)
        self.plot.setYRange(0, HEADROOM * top_of(inside, outside), padding=0)


def top_of(inside: np.ndarray, outside: np.ndarray) -> float:
    """Return the height to show: a spike outside is cut off where it would hide the inside.

    Examples
    --------
    >>> top_of(np.array([1.0, 4.0]), np.array([90.0, 1.0]))
    8.0
    """
    high = float(inside.max(initial=0.0))
    other = float(outside.max(initial=0.0))
    return min(max(high, other), SPIKE * high) if high else (other or 1.0)


def key_text(bands: MagnitudeBands) -> str:
    """Return the key of the colours as rich text."""
    entries = (
        (INSIDE_COLOR, "inside"),
        (OUTSIDE_COLOR, "outside"),
        (GOOD_COLOR, f"exact maps {bands.target_low:g}-{bands.target_high:g}"),
    )
    square = "<span style='color:rgb{0}'>\u25a0</span>&nbsp;{1}"
    return " &nbsp; ".join(square.format(color, text) for color, text in entries)


def _percent(counts: np.ndarray, n: int) -> np.ndarray:
    return counts * (100.0 / n) if n else np.zeros(len(counts))
