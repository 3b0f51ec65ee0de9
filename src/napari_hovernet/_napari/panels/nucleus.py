"""One nucleus near: HV as arrows, profiles across it, its magnitudes. And two runs side by side."""

from __future__ import annotations

import html
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QDialog, QSizePolicy, QWidget

from ...app.check import area_words
from ...app.study import case_of, two_runs_steps, why_not
from ...core.types import Progress
from ..jobs import Handlers, Latest, bind
from ..kit import (
    Combo,
    Elided,
    button,
    column,
    grid_table,
    named,
    note,
    plain,
    row,
    swatch,
    take_away,
)
from ..layers import outlines
from ..plots import GOOD, INSIDE, OUTSIDE, theme_colours
from ..viewer import full_data

if TYPE_CHECKING:
    from ...app.jobs import Steps
    from ...app.session import Run
    from ...app.study import Case, TwoRuns
    from ...core.measure.magnitude import NucleusView, Profile
    from ...core.types import Int32
    from ..workspace import Workspace

HEIGHT = 216
"""Pixels of the four plots together."""
LIMITS = (-1.25, 1.25)
"""Limits of the profiles; HV is nominally within -1 and 1."""
ARROW, OUTLINE = (255, 235, 50), (255, 255, 255)
EXACT = (0.67, 0.69)
"""Mean magnitudes of exact maps of round nuclei."""
SHADE = 50
TIP = (
    "Left, top: HV as arrows, the outline white; they should fan out from one centre. Left, below: "
    "h along the row through the centre, right, below: v down its column; this nucleus shaded "
    "green, others orange. Right HV climbs from -1 to 1 inside and falls at once where the next "
    "nucleus begins. Right, top: magnitudes of its pixels, with those of exact maps in green."
)
KIND_COLOURS = {
    1: (150, 150, 150), 2: (86, 180, 233), 3: (240, 228, 66), 4: (0, 158, 115), 5: (213, 94, 0),
    6: (204, 121, 167),
}  # fmt: skip
"""Colours of differences between two runs, by the numbers of core.measure.changes.KINDS."""
EMPTY = "Click a nucleus, in the image or in the list."


class NucleusBox(QWidget):
    """Plots of one nucleus; empty while there is none."""

    def __init__(self) -> None:
        super().__init__()
        self.title = Elided(EMPTY)
        self.canvas = pg.GraphicsLayoutWidget()
        self.canvas.setFixedHeight(HEIGHT)
        self.canvas.setMinimumWidth(0)
        self.canvas.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.canvas.wheelEvent = lambda event: event.ignore()  # the tab scrolls
        self.canvas.ci.layout.setContentsMargins(0, 0, 0, 0)
        self.canvas.ci.layout.setSpacing(2)
        named(self.canvas, "Plots of one nucleus", TIP)
        self.plots = [self._plot(i // 2, i % 2) for i in range(4)]
        for at, share in enumerate((5, 4)):
            self.canvas.ci.layout.setRowStretchFactor(at, share)
        self.crop, self.lengths, self.across, self.down = self.plots
        view = self.crop.getViewBox()
        view.setAspectLocked(True)
        view.invertY(True)
        for side in ("left", "bottom"):
            self.crop.hideAxis(side)
        for plot, title in zip(self.plots[1:], ("magnitude", "h across", "v down"), strict=True):
            plot.setTitle(title, size="8pt")
        layout = column(self, 0)
        layout.setSpacing(2)
        layout.addWidget(self.title)
        layout.addWidget(self.canvas)
        self.view: NucleusView | None = None
        self._text: Any = None
        self._fill()
        self.setValue(None)

    def _plot(self, at: int, side: int) -> Any:
        plot = self.canvas.addPlot(row=at, col=side)
        plot.setMouseEnabled(False, False)
        plot.setMenuEnabled(False)
        plot.hideButtons()
        plot.getAxis("left").setWidth(26)
        plot.getAxis("bottom").setHeight(16)
        return plot

    def set_theme(self, name: str) -> None:
        """Take the colours of a theme of napari."""
        ground, text = theme_colours(name)
        self._text = text
        self.canvas.setBackground(ground)
        for plot in self.plots[1:]:
            plot.titleLabel.setText(plot.titleLabel.text, color=text)
            for side in ("left", "bottom"):
                plot.getAxis(side).setPen(pg.mkPen(text))
                plot.getAxis(side).setTextPen(pg.mkPen(text))

    def setValue(  # noqa: N802
        self, view: NucleusView | None, picture: Any = None, mpp: float | None = None,
        trouble: str = "",
    ) -> None:  # fmt: skip
        """Show a nucleus over ``picture`` (h, w, 3) uint8, or over NP; None hides the plots."""
        self.view = view
        self.canvas.setVisible(view is not None)
        if view is None:
            self.title.setText(trouble or EMPTY)
            return
        self.title.setText(nucleus_words(view, mpp))
        self._show_crop(view, picture)
        self._show_lengths(view)
        self._show_profile(self.across, view.across, view.id)
        self._show_profile(self.down, view.down, view.id)

    def _fill(self) -> None:
        """Make everything that is drawn, once: items that come and go are slow."""
        self._image = pg.ImageItem(axisOrder="row-major")
        self.crop.addItem(self._image)
        self._outline = self.crop.plot(pen=pg.mkPen(OUTLINE, width=1.5))
        self._arrows = self.crop.plot(connect="pairs", pen=pg.mkPen(ARROW, width=1.2))
        band = pg.LinearRegionItem(EXACT, movable=False, brush=(*GOOD, 2 * SHADE))
        for line in band.lines:
            line.setPen(pg.mkPen(None))
        self.lengths.addItem(band)
        self._bars = self.lengths.plot(
            [0, 1], [0], stepMode="center", fillLevel=0, brush=(*INSIDE, 2 * SHADE),
            pen=pg.mkPen(INSIDE),
        )  # fmt: skip
        self._profiles: dict[Any, tuple[Any, ...]] = {}
        for plot in (self.across, self.down):
            shades = [
                plot.plot([0, 1], [LIMITS[0]], stepMode="center", pen=pg.mkPen(None),
                          fillLevel=LIMITS[0], brush=(*color, SHADE))
                for color in (GOOD, OUTSIDE)
            ]  # fmt: skip
            dots = pg.mkPen(128, 128, 128, style=Qt.PenStyle.DotLine)
            plot.addItem(pg.InfiniteLine(0, 0, pen=dots))
            plot.setYRange(*LIMITS, padding=0)
            self._profiles[plot] = (*shades, plot.plot(pen=pg.mkPen(INSIDE, width=2)))

    def _show_crop(self, view: NucleusView, picture: Any) -> None:
        from ...core.measure.magnitude import arrow_lines  # noqa: PLC0415 - imports numba

        box = view.box
        shown, top = (view.np, 1.0) if picture is None else (picture, 255)
        self._image.setImage(shown, levels=(0, top))
        self._image.setRect(box.c0 - 0.5, box.r0 - 0.5, box.c1 - box.c0, box.r1 - box.r0)
        lines = arrow_lines(view.arrows)
        self._outline.setData(view.outline[:, 0], view.outline[:, 1])
        self._arrows.setData(lines[:, 0], lines[:, 1])
        self.crop.setRange(xRange=(box.c0 - 0.5, box.c1 - 0.5),
                           yRange=(box.r0 - 0.5, box.r1 - 0.5), padding=0)  # fmt: skip

    def _show_lengths(self, view: NucleusView) -> None:
        plot = self.lengths
        plot.setTitle(f"magnitude {view.magnitude.mean:.2f}", size="8pt", color=self._text)
        self._bars.setData(view.edges, view.counts)
        plot.setXRange(0, float(view.edges[-1]), padding=0)
        plot.setYRange(0, max(int(view.counts.max()), 1), padding=0.05)

    def _show_profile(self, plot: Any, profile: Profile, nucleus: int) -> None:
        own_shade, other_shade, curve = self._profiles[plot]
        edges = np.append(profile.position, profile.position[-1] + 1) - 0.5
        own = profile.ids == nucleus
        for item, shaded in ((own_shade, own), (other_shade, (profile.ids > 0) & ~own)):
            item.setData(edges, np.where(shaded, LIMITS[1], LIMITS[0]))
        curve.setData(profile.position, profile.value)
        plot.setXRange(float(edges[0]), float(edges[-1]), padding=0)


def nucleus_words(view: NucleusView, mpp: float | None) -> str:
    """Describe a nucleus in one line."""
    way = "-" if math.isnan(view.direction) else f"{view.direction:.2f}"
    return f"Nucleus {view.id} · {area_words(view.area, mpp)} · direction {way} of 1"


def look_steps(case: Case, nucleus: int, image: Any, offset: tuple[int, int]) -> Steps[Any]:
    """Look at one nucleus; returns its view and the image's crop, uint8 (h, w, 3) or None."""
    from ...core.inference.images import as_source  # noqa: PLC0415 - on first use
    from ...core.measure.magnitude import nucleus_view  # noqa: PLC0415 - imports numba

    yield Progress(0, 0)
    view = nucleus_view(case.maps, case.labels, nucleus)
    if image is None:
        return view, None
    (row, col), box = offset, view.box
    return view, as_source(image).read(box.r0 + row, box.r1 + row, box.c0 + col, box.c1 + col)


# ---------------------------------------------------------------- two runs side by side


def pictures_steps(
    two: TwoRuns, labels: tuple[Int32, Int32], image: Any, offset: tuple[int, int]
) -> Steps[Any]:
    """Paint two runs over the image, uint8 (H, W, 3) each: outlines by what differs."""
    from ...core.inference.images import as_source  # noqa: PLC0415 - on first use

    yield Progress(0, 0, "Painting ...")
    painted, (row0, col0), (height, width) = [], offset, labels[0].shape
    if image is not None:
        image = as_source(image).read(row0, row0 + height, col0, col0 + width)
    for ids in labels:
        picture = np.full((*ids.shape, 3), 40, np.uint8) if image is None else image.copy()
        rim = outlines(ids, 1, (slice(None), slice(None))) > 0
        palette = np.array([(255, 255, 255), *KIND_COLOURS.values()], np.uint8)
        picture[rim] = palette[two.difference.kinds[rim]]
        painted.append(picture)
    return tuple(painted)


class CompareWindow(QDialog):
    """Two runs beside each other, moved as one, in a window of their own."""

    def __init__(self, titles: tuple[str, str], theme: str, parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle("Two runs side by side")
        self.resize(940, 680)
        self.view = pg.GraphicsLayoutWidget()
        ground, text = theme_colours(theme)
        self.view.setBackground(ground)
        self.images: list[Any] = []
        first = None
        for at, title in enumerate(titles):
            plot = self.view.addPlot(row=0, col=at)
            plot.setTitle(f"{'AB'[at]}: {html.escape(title)}", color=text)
            plot.hideAxis("left")
            plot.hideAxis("bottom")
            plot.setMenuEnabled(False)
            plot.getViewBox().setAspectLocked(True)
            plot.getViewBox().invertY(True)
            if first is not None:
                plot.setXLink(first)
                plot.setYLink(first)
            first = first or plot
            item = pg.ImageItem(axisOrder="row-major")
            plot.addItem(item)
            self.images.append(item)
        self.table = grid_table("What differs in numbers", ("", "A", "B", "B - A"))
        self.remark = note("", "Remarks")
        self.key = row()
        self._layout = column(self)
        for widget in (self.view, self.key, self.table, self.remark):
            self._layout.addWidget(widget, int(widget is self.view))

    def setValue(self, two: TwoRuns, pictures: tuple[Any, Any], *, same: bool) -> None:  # noqa: N802
        """Show pictures of both and the table of their numbers; ``same``: not a pixel differs."""
        from ...core.measure.changes import KINDS  # noqa: PLC0415 - imports numba

        for item, picture in zip(self.images, pictures, strict=True):
            item.setImage(picture, levels=(0, 255))
        counts = two.difference.counts()
        self._size = pictures[0].shape[:2]
        chips = [_chip(KIND_COLOURS[k], f"{counts[k]:,} {KINDS[k]}") for k in KINDS]
        keys = QWidget()
        lines = column(keys, 0)
        for part in (chips[:3], chips[3:]):
            lines.addWidget(row(*part))
        self._layout.insertWidget(self._layout.indexOf(self.key), keys)
        take_away(self.key)
        self.key = keys
        self.table.fill([(r.name, *r.texts()) for r in two.rows()], [r.tip for r in two.rows()])
        alike = "Both runs have the same nuclei, pixel by pixel." if same else ""
        self.remark.setText(" ".join((alike, *two.errors)).strip())
        self.remark.setVisible(bool(self.remark.text()))

    def showEvent(self, event: Any) -> None:  # noqa: N802
        """Show all of the pictures, once there is room for them."""
        super().showEvent(event)
        height, width = self._size
        view = self.images[0].getViewBox()
        QTimer.singleShot(0, lambda: view.setRange(
            xRange=(0, width), yRange=(0, height), padding=0.01))  # fmt: skip


class CompareBox(QWidget):
    """Which other run of the same image to set beside the one on screen."""

    def __init__(self, work: Workspace) -> None:
        super().__init__()
        self.work, self.study = work, work.study
        self._comparing = Latest(work.runner, "Comparing runs", self)
        self.window: CompareWindow | None = None
        self.combo = Combo("Other run", "Another run of the same image and region.")
        self.open = button("Side by side", "Both runs in a window of their own.", self.compare)
        layout = column(self, 0)
        layout.addWidget(row(plain("Compare with"), self.combo, self.open, stretch=1))
        bind(self, work.session.runs_changed, self._show)
        bind(self, self.study.run_changed, self._show)
        self._show()

    def _show(self, _value: Any = None) -> None:
        run = self.study.run
        others = () if run is None else [r for r in self.work.session.runs if not why_not(run, r)]
        self.combo.fill([(r.id, r.title, r.title) for r in others])
        self.setVisible(bool(others))

    def compare(self) -> None:
        """Look into both in a worker thread, then open the window."""
        work, run, truth = self.work, self.study.run, self.study.truth
        other = next((r for r in work.session.runs if r.id == self.combo.value()), None)
        if run is None or other is None:
            return
        both, image = (other, run), pixels_of(work, run)
        labels = (work.live.labels_of(other), work.live.labels_of(run))

        def steps() -> Steps[Any]:
            true = None if truth is None else truth.labels
            cases = [case_of(r, ids, true) for r, ids in zip(both, labels, strict=True)]
            two = yield from two_runs_steps(*cases)
            pictures = yield from pictures_steps(two, labels, image, run.result.offset)
            return two, pictures, np.array_equal(*labels)

        def done(made: tuple[Any, Any, bool]) -> None:
            self.window = CompareWindow((other.title, run.title), str(work.viewer.theme), self)
            self.window.setValue(*made[:2], same=made[2])
            self.window.show()

        handlers = Handlers(done, lambda error: work.say(str(error), "bad"))
        self._comparing.request(steps, handlers)


def pixels_of(work: Workspace, run: Run) -> Any:
    """Return the plane that was segmented, (H, W) or (H, W, 3), None if the layer is gone."""
    layer = next((x for x in work.image_layers() if id(x) == run.image.key), None)
    return None if layer is None else full_data(layer)[tuple(run.placement.plane)]


def _chip(color: tuple[int, int, int], text: str) -> QWidget:
    patch = plain()
    patch.setPixmap(swatch(color))
    return row(patch, plain(text))
