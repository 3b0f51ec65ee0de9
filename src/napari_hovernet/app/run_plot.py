"""Charts of a training run as one picture."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from ..core.io.atomic import atomic_path
from ..errors import InputError
from .run_charts import Chart, Line, charts_of, tick_text, ticks
from .run_svg import Frame, Scale
from .run_view import RunView

COLUMNS = 3
FINE = 2
"""Everything is drawn so much larger and then reduced, which smooths the lines."""
FRAME = Frame(width=480, height=270, left=54, right=18, top=58, bottom=34)
FONT, SMALL = 13, 11
"""Heights of the letters in pixels."""
PAGE, INK, QUIET, RULE = "#ffffff", "#1d1a26", "#655f75", "#e3dfec"
COLOURS = {
    "main": "#6a45c9", "train": "#8f8a9e", "base": "#b4552d", "best": "#20745a",
    "np": "#2f6fb3", "hv": "#6a45c9", "nt": "#b08800", "hv_mse": "#6a45c9",
    "hv_gradient": "#c2559a", "hv_magnitude": "#d9722e",
}  # fmt: skip
"""Colours by role; those of the report's light theme."""
DASH = (6.0, 4.0)
ENDING = ".png"


def save_plot(view: RunView, path: str | os.PathLike[str]) -> Path:
    """Write the curves of a run as PNG.

    Raises
    ------
    InputError
        If the name does not end in .png.
    OutputError
        If it cannot be written.
    """
    target = Path(path)
    if target.suffix.lower() != ENDING:
        raise InputError(f"{target} does not end in {ENDING}: the curves are written as PNG.")
    picture = Image.fromarray(plot_of(view))
    with atomic_path(target) as temporary:
        picture.save(temporary, format="PNG", optimize=True)
    return target


def plot_of(view: RunView) -> npt.NDArray[np.uint8]:
    """Draw the curves of a run.

    Returns
    -------
    uint8 (H, W, 3)
        RGB; with no curve yet it says so.

    Examples
    --------
    >>> plot_of(RunView(name="a")).shape[2]
    3
    """
    charts = charts_of(view)
    columns = min(COLUMNS, max(len(charts), 1))
    rows = max(-(-len(charts) // columns), 1)
    size = (columns * FRAME.width, rows * FRAME.height + FRAME.bottom)
    canvas = Image.new("RGB", (size[0] * FINE, size[1] * FINE), PAGE)
    pen = _Pen(ImageDraw.Draw(canvas), (0.0, 0.0))
    said = view.state if charts else f"{view.state}: nothing to draw yet"
    pen.text((16, 12), f"{view.name}  ({said})", INK, FONT + 2)
    for i, chart in enumerate(charts):
        corner = (i % columns * FRAME.width, i // columns * FRAME.height + FRAME.bottom)
        _draw(_Pen(pen.draw, corner), chart)
    return np.asarray(canvas.resize(size, Image.Resampling.BOX))


class _Pen:
    """Draws at places of one chart."""

    def __init__(self, draw: ImageDraw.ImageDraw, corner: tuple[float, float]) -> None:
        self.draw = draw
        self._corner = corner

    def _at(self, place: tuple[float, float]) -> tuple[float, float]:
        return ((place[0] + self._corner[0]) * FINE, (place[1] + self._corner[1]) * FINE)

    def text(
        self, place: tuple[float, float], text: str, colour: str, size: int, anchor: str = "la"
    ) -> float:
        """Write a text; returns its width."""
        font = _font(size)
        self.draw.text(self._at(place), text, fill=colour, font=font, anchor=anchor)
        return float(self.draw.textlength(text, font=font)) / FINE

    def line(
        self, places: Sequence[tuple[float, float]], colour: str, width: float, dashed: bool = False
    ) -> None:
        """Draw a line through places."""
        pieces = _dashes(places) if dashed else [places]
        for piece in pieces:
            points = [self._at(place) for place in piece]
            self.draw.line(points, fill=colour, width=round(width * FINE), joint="curve")

    def dot(self, place: tuple[float, float], colour: str) -> None:
        """Draw a dot."""
        self.draw.circle(self._at(place), 2.5 * FINE, fill=colour)


def _font(size: int) -> Any:
    try:
        return ImageFont.load_default(size * FINE)
    except TypeError:  # pragma: no cover - Pillow 10.0
        return ImageFont.load_default()


def _draw(pen: _Pen, chart: Chart) -> None:
    scale = Scale(FRAME.plot, chart.x_range(), chart.y_range())
    left, _, right, bottom = scale.box
    pen.text((left, 8), chart.title, INK, FONT)
    place = float(left)
    for line in chart.lines:
        pen.line([(place, 37), (place + 14, 37)], COLOURS[line.role], 2, line.dashed)
        place += 30 + pen.text((place + 18, 30), line.name, QUIET, SMALL)
    for value in ticks(*scale.y):
        y = scale.at_y(value)
        pen.line([(left, y), (right, y)], RULE, 1)
        pen.text((left - 6, y), tick_text(value), QUIET, SMALL, "rm")
    for value in (v for v in ticks(*scale.x, 6) if v == int(v)):
        pen.text((scale.at_x(value), bottom + 6), tick_text(value), QUIET, SMALL, "ma")
    for value, text in chart.levels:
        y = scale.at_y(value)
        pen.line([(left, y), (right, y)], QUIET, 1, True)
        pen.text((right - 2, y - 2), text, QUIET, SMALL, "rd")
    for line in chart.lines:
        _curve(pen, scale, line)


def _curve(pen: _Pen, scale: Scale, line: Line) -> None:
    for xs, ys in line.parts():
        places = [(scale.at_x(float(x)), scale.at_y(float(y))) for x, y in zip(xs, ys, strict=True)]
        if len(places) == 1:
            pen.dot(places[0], COLOURS[line.role])
        else:
            pen.line(places, COLOURS[line.role], 2, line.dashed)


def _dashes(places: Sequence[tuple[float, float]]) -> list[list[tuple[float, float]]]:
    """Cut a line into dashes."""
    points = np.asarray(places, np.float64)
    along = np.r_[0.0, np.cumsum(np.hypot(*np.diff(points, axis=0).T))]
    on, off = DASH
    dashes = []
    for begin in np.arange(0.0, along[-1], on + off):
        end = min(begin + on, along[-1])
        inner = along[(along > begin) & (along < end)]
        at = np.r_[begin, inner, end]
        cut = np.stack([np.interp(at, along, points[:, i]) for i in (0, 1)], axis=1)
        dashes.append([(float(x), float(y)) for x, y in cut])
    return dashes
