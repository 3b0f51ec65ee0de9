"""One finding of a diagnosis: a sentence, a picture, a number, what to do; details in a fold."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QWidget

from ...app.diagnose_words import gain_words, number_words, place_words, sentence, what_to_do
from ..kit import RUN_STYLE, TONES, Fold, button, column, named, note, plain, row, set_note
from ..plots import BAD, INSIDE, OUTSIDE, Plot

if TYPE_CHECKING:
    from ...core.diagnosis.report import Finding
    from ...core.diagnosis.report import Plot as Figure

PLOT_PX = 150
COLOURS = (INSIDE, OUTSIDE, (0, 158, 115), (204, 121, 167), (140, 140, 150))
VERDICT_TONES = {"fault": "bad", "warn": "warn", "ok": "good"}
LONG_NAME = 12
"""Characters of a bar's name that fit under it."""


class FindingCard(QWidget):
    """Shows a finding; knows nothing of where it comes from."""

    fix_asked = Signal()
    undo_asked = Signal()
    place_asked = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self.finding: Finding | None = None
        self._place, self._n_places = -1, 0
        self.title = note(name="What is wrong")
        font = self.title.font()
        font.setBold(True)
        self.title.setFont(font)
        self.words = note(name="What it means")
        self.plot = Plot("Picture of the finding", PLOT_PX)
        self.number = note(name="The number that decided")
        self.todo = note(name="What to do")
        self.fix = button("Fix it", "", self.fix_asked.emit)
        self.fix.setStyleSheet(RUN_STYLE)
        self.undo = button("Undo", "Take the change back.", self.undo_asked.emit)
        self.show_place = button("Show me", "Fly to an example, the worst first.", self._next_place)
        self.details = plain("", wrap=True)
        self.details.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.fold = Fold("Details", self.details, "The evidence with its numbers, and examples.")
        layout = column(self, 0)
        for widget in (self.title, self.words, self.plot, self.number, self.todo,
                       row(self.fix, self.undo, self.show_place), self.fold):  # fmt: skip
            layout.addWidget(widget)
        self.setVisible(False)

    def setValue(  # noqa: N802
        self, finding: Finding | None, *, simple: bool, fixed: bool = False
    ) -> None:
        """Show a finding in plain words, or in those of who reads the code; None = nothing."""
        if finding is not self.finding:
            self._place = -1
        self.finding = finding
        self.setVisible(finding is not None)
        if finding is None:
            return
        tone = "good" if fixed else VERDICT_TONES.get(finding.verdict, "")
        self.title.setStyleSheet(f"color: {TONES[tone]};")
        set_note(self.title, f"✓ {finding.title}" if fixed else finding.title)
        words = sentence(finding, plain=simple)
        set_note(self.words, "" if words.rstrip(".") == finding.title.rstrip(".") else words)
        set_note(self.number, plain_number(finding) if simple else number_words(finding))
        set_note(self.todo, what_to_do(finding, plain=simple))
        self.details.setText(details_of(finding))

    def set_picture(self, image: Any, n_places: int) -> None:
        """Draw the figure of the finding, or else an image (H, W, 3) of an example."""
        self._n_places = n_places
        self.show_place.setVisible(n_places > 0)
        self._name_place()
        figure = None if self.finding is None else self.finding.plot
        self.plot.setVisible(figure is not None or image is not None)
        self.plot.clear_all()
        item = self.plot.getPlotItem()
        pictured = figure is None and image is not None
        for side in ("left", "bottom"):
            item.showAxis(side, not pictured)
        item.setAspectLocked(pictured)
        item.invertY(pictured)
        if figure is not None:
            draw(self.plot, figure)
        elif pictured:
            item.addItem(pg.ImageItem(image, axisOrder="row-major"))
            item.autoRange(padding=0)

    def set_actions(self, cannot: str, *, can_undo: bool) -> None:
        """Say why it cannot be fixed, "" if it can, and whether a change can be taken back."""
        there = self.finding is not None and bool(self.finding.remedy.action)
        self.fix.setVisible(there)
        self.fix.setEnabled(not cannot)
        named(self.fix, "Fix it", cannot or "Change the nuclei on screen; Undo takes it back.")
        self.undo.setEnabled(can_undo)

    def _next_place(self) -> None:
        if self._n_places:
            self._place = (self._place + 1) % self._n_places
            self._name_place()
            self.place_asked.emit(self._place)

    def _name_place(self) -> None:
        n = self._n_places
        at = f" ({self._place + 1} of {n})" if self._place >= 0 else f" ({n})" if n > 1 else ""
        self.show_place.setText(f"Show me{at}")


def plain_number(finding: Finding) -> str:
    """Say the number that decided, shares in percent, with its bound; "" without one.

    >>> from napari_hovernet.core.diagnosis.report import Finding
    >>> plain_number(Finding("data.x", "warn", "t", "e", 0.86, 0.5, "share of pixels"))
    '86 % of pixels (bound 50 %)'
    """
    if not finding.unit.startswith("share") or not math.isfinite(finding.value):
        return number_words(finding)
    bound = f" (bound {100 * finding.threshold:.3g} %)" if math.isfinite(finding.threshold) else ""
    return f"{100 * finding.value:.3g} %{finding.unit.removeprefix('share')}{bound}"


def details_of(finding: Finding) -> str:
    """Return everything there is to say, in the words of who reads the code."""
    lines = [finding.evidence, number_words(finding), what_to_do(finding), gain_words(finding)]
    sure = f", {finding.certainty:.0%} sure" if finding.certainty else ""
    lines += [f"Check {finding.id}{sure}."]
    lines += [place_words(place) for place in finding.places[:5]]
    return "\n".join(filter(None, lines))


# ---------------------------------------------------------------- the picture


def draw(plot: Plot, figure: Figure) -> None:
    """Draw the figure of a finding."""
    plot.set_labels(figure.x_label or figure.title, figure.y_label)
    axis = plot.getPlotItem().getAxis("bottom")
    axis.setTicks(None)
    if figure.kind == "bars":
        _bars(plot, figure)
    elif figure.kind == "matrix":
        _matrix(plot, figure)
    else:
        for (name, values), colour in zip(figure.series, COLOURS, strict=False):
            if figure.kind == "histogram":
                plot.bars(np.asarray(figure.x, float), np.asarray(values, float), colour, name)
            else:
                plot.curve(np.asarray(figure.x, float), np.asarray(values, float), colour, name)
    if figure.line is not None:
        plot.mark(figure.line, BAD, across=not figure.upright)
    plot.getPlotItem().autoRange()


def _bars(plot: Plot, figure: Figure) -> None:
    n = max(len(figure.series), 1)
    for at, (name, values) in enumerate(figure.series):
        places = np.arange(len(values)) + (at - (n - 1) / 2) * 0.8 / n
        item = pg.BarGraphItem(
            x=places, height=np.asarray(values, float), width=0.7 / n,
            brush=COLOURS[at % len(COLOURS)], pen=None, name=name if n > 1 else None,
        )  # fmt: skip
        plot.getPlotItem().addItem(item)
    _names(plot, figure.x)


def _matrix(plot: Plot, figure: Figure) -> None:
    values = np.asarray([row for _, row in figure.series], float)
    image = pg.ImageItem(values[::-1], axisOrder="row-major")
    image.setColorMap(pg.colormap.get("viridis"))
    image.setRect(-0.5, -0.5, values.shape[1], values.shape[0])
    plot.getPlotItem().addItem(image)
    _names(plot, figure.x)
    names: list[Any] = [(at, name) for at, (name, _) in enumerate(reversed(figure.series))]
    plot.getPlotItem().getAxis("left").setTicks([names])


def _names(plot: Plot, names: tuple[Any, ...]) -> None:
    short = [str(name) if len(str(name)) <= LONG_NAME else f"{str(name)[: LONG_NAME - 1]}…"
             for name in names]  # fmt: skip
    plot.getPlotItem().getAxis("bottom").setTicks([list(enumerate(short))])
