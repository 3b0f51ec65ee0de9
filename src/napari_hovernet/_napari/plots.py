"""One plot for all tabs: curves, bars, bands and marks that fit napari's theme."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyqtgraph as pg
from napari.utils.theme import available_themes, get_theme
from qtpy.QtWidgets import QSizePolicy

RGB = tuple[int, int, int]
INSIDE: RGB = (86, 160, 240)
OUTSIDE: RGB = (235, 150, 70)
"""Curves of pixels inside and outside nuclei; told apart by colour-blind eyes too."""
BAD, FAIR, GOOD = (214, 69, 65), (226, 165, 26), (58, 160, 90)
"""Collapsed, weak, healthy."""
FILL, BAND = 70, 60
"""Alpha of filled curves and of bands, 0..255."""


def theme_colours(name: str) -> tuple[RGB, RGB]:
    """Return the colours of ground and text in a theme of napari."""
    theme = get_theme(name if name in available_themes() else "dark")
    ground, text = (c.as_rgb_tuple(alpha=False) for c in (theme.background, theme.text))
    return (*map(int, ground),), (*map(int, text),)  # type: ignore[return-value]


class Plot(pg.PlotWidget):
    """A still plot: the panel scrolls over it, nothing zooms by accident."""

    def __init__(self, name: str, height: int = 150) -> None:
        super().__init__()
        self.setAccessibleName(name)
        self.setFixedHeight(height)
        self.setMinimumWidth(0)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        item = self.getPlotItem()
        item.setMouseEnabled(False, False)
        item.setMenuEnabled(False)
        item.hideButtons()
        self.legend = item.addLegend(offset=(-4, 4), labelTextSize="8pt")
        self.set_theme("dark")

    def wheelEvent(self, event: Any) -> None:  # noqa: N802
        """Leave the wheel to what scrolls."""
        event.ignore()

    def set_theme(self, name: str) -> None:
        """Take the colours of a theme of napari."""
        ground, text = theme_colours(name)
        self.setBackground(ground)
        pen = pg.mkPen(text)
        for side in ("left", "bottom"):
            axis = self.getPlotItem().getAxis(side)
            axis.setPen(pen)
            axis.setTextPen(pen)
        self.legend.setLabelTextColor(text)

    def set_labels(self, x: str, y: str) -> None:
        """Name the axes, with units."""
        self.getPlotItem().setLabels(bottom=x, left=y)

    def clear_all(self) -> None:
        """Take everything away."""
        self.getPlotItem().clear()
        self.legend.clear()

    def curve(
        self, x: Any, y: Any, color: RGB, title: str = "", *, dots: bool = False, dash: bool = False
    ) -> Any:
        """Draw a curve, with dots at its points or dashed."""
        more = {"symbol": "o", "symbolSize": 5, "symbolBrush": color, "symbolPen": None}
        style = pg.QtCore.Qt.PenStyle.DashLine if dash else pg.QtCore.Qt.PenStyle.SolidLine
        pen = pg.mkPen(color, width=2, style=style)
        return self.getPlotItem().plot(x, y, pen=pen, name=title or None, **(more if dots else {}))

    def bars(self, edges: Any, counts: Any, color: RGB, title: str = "") -> Any:
        """Draw a histogram: edges (n + 1,), counts (n,)."""
        return self.getPlotItem().plot(
            edges, counts, stepMode="center", fillLevel=0, brush=(*color, FILL),
            pen=pg.mkPen(color), name=title or None,
        )  # fmt: skip

    def bands(self, spans: Sequence[tuple[float, float, RGB]], *, across: bool = False) -> None:
        """Colour spans of the x axis (or the y axis, ``across``)."""
        way = "horizontal" if across else "vertical"
        for low, high, color in spans:
            region = pg.LinearRegionItem((low, high), way, brush=(*color, BAND), movable=False)
            region.setZValue(-10)
            for line in region.lines:
                line.setPen(pg.mkPen(None))
            self.getPlotItem().addItem(region)

    def mark(self, at: float, color: RGB, *, across: bool = False) -> None:
        """Draw a dashed line at a value."""
        pen = pg.mkPen(color, style=pg.QtCore.Qt.PenStyle.DashLine)
        self.getPlotItem().addItem(pg.InfiniteLine(at, angle=0 if across else 90, pen=pen))
