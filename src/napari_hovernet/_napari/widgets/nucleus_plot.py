"""One nucleus: HV as arrows over its crop, h across and v down, its own histogram."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QVBoxLayout, QWidget

from .parts import named, note, set_note
from .plot_style import (
    FILL_ALPHA,
    GOOD_COLOR,
    INSIDE_COLOR,
    OUTSIDE_COLOR,
    PlotColors,
    paint,
    still,
)

if TYPE_CHECKING:
    from ...core.measure.magnitude import MagnitudeBands, NucleusView, Profile

HEIGHT_PX = 560
ROW_SHARES = (5, 3, 3)
"""Heights of crop, profiles and histogram in parts."""
HV_RANGE = (-1.25, 1.25)
"""Fixed limits of the profiles; HV is nominally within -1 and 1."""
ARROW_COLOR, OUTLINE_COLOR = (255, 235, 50), (255, 255, 255)
SHADE_ALPHA = 50
"""Opacity 0..255 of the nucleus' part of a profile."""
BYTE_LEVELS, NP_LEVELS = (0, 255), (0.0, 1.0)
TIP = (
    "Top: HV as arrows over the image (or NP, if the image is gone); white is the outline. "
    "Middle: h along the row and v along the column through the centre, the nucleus shaded "
    "green, others orange; right HV climbs from -1 to 1 inside and falls at once where the "
    "next nucleus begins. "
    "Bottom: the magnitude of its pixels, with the target band."
)


class NucleusPlot(QWidget):
    """Plots of a :class:`NucleusView`; hidden while there is none."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.summary = note("", "Nucleus in words")
        self.canvas = pg.GraphicsLayoutWidget()
        self.canvas.setFixedHeight(HEIGHT_PX)
        named(self.canvas, "Plots of one nucleus", TIP)
        self.crop = self._plot(0, 0, 2)
        self.across, self.down = self._plot(1, 0), self._plot(1, 1)
        self.lengths = self._plot(2, 0, 2)
        for row, share in enumerate(ROW_SHARES):
            self.canvas.ci.layout.setRowStretchFactor(row, share)
        self._fill_crop()
        self._h, self._v = _curve(self.across), _curve(self.down)
        self._fill_lengths()
        self._label()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.summary)
        column.addWidget(self.canvas)
        self.setValue(None)

    def _plot(self, row: int, col: int, span: int = 1) -> Any:
        plot = self.canvas.addPlot(row=row, col=col, colspan=span)
        still(plot)
        return plot

    def _fill_crop(self) -> None:
        view = self.crop.getViewBox()
        view.setAspectLocked(True)
        view.invertY(True)
        self._image = pg.ImageItem(axisOrder="row-major")
        self._arrows = pg.PlotDataItem(connect="pairs", pen=pg.mkPen(ARROW_COLOR, width=1.4))
        self._outline = pg.PlotDataItem(pen=pg.mkPen(OUTLINE_COLOR, width=1.5))
        for item in (self._image, self._outline, self._arrows):
            self.crop.addItem(item)

    def _fill_lengths(self) -> None:
        self._target = pg.LinearRegionItem(movable=False, brush=(*GOOD_COLOR, FILL_ALPHA))
        for line in self._target.lines:
            line.setPen(pg.mkPen(None))
        self._bars = pg.PlotDataItem(
            [0, 1],
            [0],
            stepMode="center",
            fillLevel=0,
            pen=pg.mkPen(INSIDE_COLOR, width=1.5),
            brush=(*INSIDE_COLOR, FILL_ALPHA),
        )
        self.lengths.addItem(self._target)
        self.lengths.addItem(self._bars)

    def _label(self) -> None:
        for plot, bottom, left in (
            (self.crop, "column (px)", "row (px)"),
            (self.across, "column (px)", "h"),
            (self.down, "row (px)", "v"),
            (self.lengths, "HV magnitude (no unit)", "pixels"),
        ):
            plot.setLabel("bottom", bottom)
            plot.setLabel("left", left)
        self.across.setTitle("h across", size="9pt")
        self.down.setTitle("v down", size="9pt")

    def set_colors(self, colors: PlotColors) -> None:
        """Fit the theme."""
        self.canvas.setBackground(colors.background)
        for plot in (self.crop, self.across, self.down, self.lengths):
            paint(plot, colors)

    def set_bands(self, bands: MagnitudeBands) -> None:
        """Mark the target band."""
        self._target.setRegion((bands.target_low, bands.target_high))

    def setValue(  # noqa: N802
        self, view: NucleusView | None, picture: np.ndarray | None = None, trouble: str = ""
    ) -> None:
        """Show a nucleus over ``picture`` (h, w, 3) uint8, or over NP; None hides the plots."""
        self.canvas.setVisible(view is not None)
        set_note(self.summary, trouble if view is None else words(view))
        if view is None:
            return
        self._show_crop(view, picture)
        for plot, curve, profile in (
            (self.across, self._h, view.across),
            (self.down, self._v, view.down),
        ):
            _show_profile(plot, curve, profile, view.id)
        self._bars.setData(view.edges, view.counts)
        self.lengths.setXRange(0, float(view.edges[-1]), padding=0)
        self.lengths.setYRange(0, max(int(view.counts.max()), 1), padding=0.05)

    def _show_crop(self, view: NucleusView, picture: np.ndarray | None) -> None:
        from ...core.measure.magnitude import arrow_lines  # noqa: PLC0415 - on first use

        box = view.box
        if picture is None:
            self._image.setImage(view.np, levels=NP_LEVELS)
        else:
            self._image.setImage(picture, levels=BYTE_LEVELS)
        self._image.setRect(box.c0 - 0.5, box.r0 - 0.5, box.c1 - box.c0, box.r1 - box.r0)
        lines = arrow_lines(view.arrows)
        self._arrows.setData(lines[:, 0], lines[:, 1])
        self._outline.setData(view.outline[:, 0], view.outline[:, 1])
        self.crop.setRange(
            xRange=(box.c0 - 0.5, box.c1 - 0.5), yRange=(box.r0 - 0.5, box.r1 - 0.5), padding=0
        )


class _Curve:
    """A profile's line, its zero line, and shades where the nucleus is."""

    def __init__(self, plot: Any) -> None:
        self.line = pg.PlotDataItem(pen=pg.mkPen(INSIDE_COLOR, width=2))
        self.zero = pg.InfiniteLine(pos=0, angle=0, pen=pg.mkPen(128, 128, 128, 160))
        self.zero.pen.setStyle(Qt.PenStyle.DotLine)
        self.own, self.others = _shade(GOOD_COLOR), _shade(OUTSIDE_COLOR)
        for item in (self.own, self.others, self.zero, self.line):
            plot.addItem(item)


def _shade(color: tuple[int, int, int]) -> pg.PlotDataItem:
    return pg.PlotDataItem(
        [0, 1],
        [HV_RANGE[0]],
        stepMode="center",
        pen=pg.mkPen(None),
        fillLevel=HV_RANGE[0],
        brush=(*color, SHADE_ALPHA),
    )


def _curve(plot: Any) -> _Curve:
    plot.setYRange(*HV_RANGE, padding=0)
    return _Curve(plot)


def _show_profile(plot: Any, curve: _Curve, profile: Profile, nucleus: int) -> None:
    position = profile.position
    curve.line.setData(position, profile.value)
    edges = np.append(position, position[-1] + 1) - 0.5
    own = profile.ids == nucleus
    curve.own.setData(edges, np.where(own, HV_RANGE[1], HV_RANGE[0]))
    curve.others.setData(edges, np.where((profile.ids > 0) & ~own, HV_RANGE[1], HV_RANGE[0]))
    plot.setXRange(float(edges[0]), float(edges[-1]), padding=0)


def words(view: NucleusView) -> str:
    """Describe a nucleus in one or two lines."""
    found = view.magnitude
    way = "-" if math.isnan(view.direction) else f"{view.direction:.2f}"
    touches = ", ".join(str(i) for i in view.neighbours) or "none"
    return (
        f"Nucleus {view.id}: {view.area:,} px, magnitude mean {found.mean:.2f}, median "
        f"{found.median:.2f}, 95 % {found.p95:.2f}, direction cosine {way}. "
        f"Touches: {touches}."
    )
