"""The heatmap of a sweep: one cell per combination, click to choose one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QVBoxLayout, QWidget

from ...core.separation.tuning import tunable
from .parts import note, set_note
from .plot_style import paint, still, theme_colors

if TYPE_CHECKING:
    from ...core.measure.sweep import Sweep, SweepAxis

HEIGHT = 230
MARGINS = (2, 2, 8, 6)
"""Pixels left, above, right of and below the plot; titles of axes are cut off without."""
COLORMAP = "viridis"
MOST_TICKS = 7
BEST_PEN = {"color": (230, 60, 60), "width": 3}
CHOSEN_PEN = {"color": (255, 255, 255), "width": 2, "style": Qt.PenStyle.DashLine}


class SweepPlot(QWidget):
    """Shows a :class:`Sweep`: AJI where there is a truth, else the number of nuclei."""

    cellChosen = Signal(int, int)  # noqa: N815 - row, column

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._sweep: Sweep | None = None
        self._text = theme_colors("dark").text
        self.plot = pg.PlotWidget()
        self.plot.setFixedHeight(HEIGHT)
        self.plot.setAccessibleName("Scores of the combinations")
        self.image = pg.ImageItem()
        self.image.setColorMap(pg.colormap.get(COLORMAP))
        self.best, self.chosen = _frame(BEST_PEN), _frame(CHOSEN_PEN)
        self.words = note(name="The chosen combination")
        for item in (self.image, self.best, self.chosen):
            self.plot.addItem(item)
        still(self.plot.getPlotItem())
        self.plot.getPlotItem().layout.setContentsMargins(*MARGINS)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.plot)
        column.addWidget(self.words)
        self.plot.scene().sigMouseClicked.connect(self._clicked)

    def set_theme(self, name: str) -> None:
        """Take the colours of a napari theme."""
        colors = theme_colors(name)
        self._text = colors.text
        self.plot.setBackground(colors.background)
        paint(self.plot.getPlotItem(), colors)

    def setValue(self, sweep: Sweep | None) -> None:  # noqa: N802
        """Show a sweep; None = nothing."""
        self._sweep = sweep
        self.plot.setVisible(sweep is not None)
        self.chosen.hide()
        self.best.hide()
        set_note(self.words, "")
        if sweep is None:
            return
        scores = shown_scores(sweep)
        self.image.setImage(scores.T, autoLevels=False, levels=levels_of(scores))
        self._label(sweep)
        best = sweep.best
        if best is not None:
            _place(self.best, best)
            self.best.show()
            set_note(self.words, "Best: " + describe(sweep, *best))
        rows, columns = scores.shape
        self.plot.setRange(xRange=(0, columns), yRange=(0, rows), padding=0)

    def choose(self, row: int, column: int) -> None:
        """Choose a cell and say what it is."""
        if self._sweep is None:
            return
        _place(self.chosen, (row, column))
        self.chosen.show()
        set_note(self.words, describe(self._sweep, row, column))
        self.cellChosen.emit(row, column)

    def _clicked(self, event: Any) -> None:
        if self._sweep is None:
            return
        at = self.image.mapFromScene(event.scenePos())
        row, column = int(np.floor(at.y())), int(np.floor(at.x()))
        rows, columns = self._sweep.counts.shape
        if 0 <= row < rows and 0 <= column < columns:
            self.choose(row, column)

    def _label(self, sweep: Sweep) -> None:
        item = self.plot.getPlotItem()
        item.setTitle(key_of(sweep), size="9pt", color=self._text)
        item.getAxis("left").setTicks([ticks_of(sweep.rows)])
        item.setLabel("left", title_of(sweep.rows))
        if sweep.columns is None:
            item.getAxis("bottom").setTicks([[]])
            item.setLabel("bottom", "")
        else:
            item.getAxis("bottom").setTicks([ticks_of(sweep.columns)])
            item.setLabel("bottom", title_of(sweep.columns))


def shown_scores(sweep: Sweep) -> Any:
    """Scores that are drawn, float (rows, columns); NaN where a combination is not allowed."""
    if sweep.aji is not None:
        return sweep.aji
    return np.where(sweep.counts < 0, np.nan, sweep.counts.astype(float))


def levels_of(scores: Any) -> tuple[float, float]:
    """Least and largest score; a range of 1 if all are equal."""
    if np.isnan(scores).all():
        return (0.0, 1.0)
    low, high = float(np.nanmin(scores)), float(np.nanmax(scores))
    return (low, high if high > low else low + 1.0)


def key_of(sweep: Sweep) -> str:
    """Say in words what the colours mean: "AJI, dark 0.312 to bright 0.871"."""
    scores = shown_scores(sweep)
    if np.isnan(scores).all():
        return "none of these go together"
    low, high = np.nanmin(scores), np.nanmax(scores)
    if sweep.aji is not None:
        return f"AJI, dark {low:.3f} to bright {high:.3f}"
    return f"nuclei, dark {low:,.0f} to bright {high:,.0f}"


def ticks_of(axis: SweepAxis) -> list[tuple[float, str]]:
    """Positions and words of up to ``MOST_TICKS`` ticks."""
    step = -(-len(axis.values) // MOST_TICKS)
    return [(i + 0.5, f"{v:.3g}") for i, v in enumerate(axis.values) if i % step == 0]


def title_of(axis: SweepAxis) -> str:
    """Title of a parameter with its unit: "Smallest part (px)"."""
    known = tunable(axis.name)
    return f"{known.title} ({known.unit})" if known.unit else known.title


def describe(sweep: Sweep, row: int, column: int) -> str:
    """Say in words what a combination is and what came out."""
    parts = [f"{title_of(sweep.rows)} {sweep.rows.values[row]:g}"]
    if sweep.columns is not None:
        parts.append(f"{title_of(sweep.columns)} {sweep.columns.values[column]:g}")
    count = int(sweep.counts[row, column])
    if count < 0:
        return ", ".join(parts) + ": these do not go together."
    score = "" if sweep.aji is None else f"AJI {sweep.aji[row, column]:.3f}, "
    return ", ".join(parts) + f": {score}{count:,} nuclei."


def _frame(pen: dict[str, Any]) -> Any:
    frame = pg.PlotCurveItem(pen=pg.mkPen(**pen))
    frame.hide()
    return frame


def _place(frame: Any, cell: tuple[int, int]) -> None:
    row, column = cell
    x = np.array([0, 1, 1, 0, 0], float) + column
    frame.setData(x, np.array([0, 0, 1, 1, 0], float) + row)
