"""Charts as SVG for a page that styles them; see templates/run.html."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

from .run_charts import Chart, Line, tick_text, ticks


@dataclass(frozen=True)
class Frame:
    """Size of a chart and its margins, in the units of the drawing.

    Parameters
    ----------
    width, height : int
    left, right, top, bottom : int
        Room for numbers around the curves.
    """

    width: int = 460
    height: int = 220
    left: int = 46
    right: int = 12
    top: int = 10
    bottom: int = 30

    @property
    def plot(self) -> tuple[int, int, int, int]:
        """Left, top, right and bottom of the curves' own room."""
        return self.left, self.top, self.width - self.right, self.height - self.bottom


@dataclass(frozen=True)
class Scale:
    """Turns epochs and values into places.

    Parameters
    ----------
    box : (left, top, right, bottom)
    x, y : (float, float)
        Values at the edges.
    """

    box: tuple[float, float, float, float]
    x: tuple[float, float]
    y: tuple[float, float]

    def at_x(self, value: float) -> float:
        """Return the place of an epoch from the left."""
        left, _, right, _ = self.box
        return left + (value - self.x[0]) / (self.x[1] - self.x[0]) * (right - left)

    def at_y(self, value: float) -> float:
        """Return the place of a value from the top."""
        _, top, _, bottom = self.box
        return bottom - (value - self.y[0]) / (self.y[1] - self.y[0]) * (bottom - top)


def svg_of(chart: Chart, frame: Frame | None = None) -> str:
    """Draw a chart.

    Returns
    -------
    str
        An ``<svg>`` without colours: lines have the classes ``line`` and their role.

    Examples
    --------
    >>> import numpy as np
    >>> line = Line("AJI", "main", np.array([0.0, 1.0]), np.array([0.1, 0.6]))
    >>> svg_of(Chart("AJI", (line,))).count("<polyline")
    1
    """
    frame = frame or Frame()
    scale = Scale(frame.plot, chart.x_range(), chart.y_range())
    words = f"{chart.title}: {', '.join(line.name for line in chart.lines)}"
    parts = [
        f'<svg viewBox="0 0 {frame.width} {frame.height}" role="img" '
        f'aria-label="{escape(words, quote=True)}">',
        *_grid(scale, frame),
        *(_level(scale, value, text) for value, text in chart.levels),
        *(shape for line in chart.lines for shape in _curve(scale, line)),
        "</svg>",
    ]
    return "".join(parts)


def _grid(scale: Scale, frame: Frame) -> list[str]:
    left, top, right, bottom = scale.box
    parts = []
    for value in ticks(*scale.y):
        y = scale.at_y(value)
        parts.append(f'<path class="grid" d="M{left} {y:.1f}H{right}"/>')
        parts.append(f'<text x="{left - 6}" y="{y + 4:.1f}" class="end">{tick_text(value)}</text>')
    for value in (v for v in ticks(*scale.x, 6) if v == int(v)):
        x = scale.at_x(value)
        parts.append(f'<path class="grid" d="M{x:.1f} {bottom}v4"/>')
        parts.append(
            f'<text x="{x:.1f}" y="{bottom + 17}" class="middle">{tick_text(value)}</text>'
        )
    parts.append(f'<path class="axis" d="M{left} {top}V{bottom}H{right}"/>')
    parts.append(f'<text x="{right}" y="{frame.height - 2}" class="end">epoch</text>')
    return parts


def _level(scale: Scale, value: float, text: str) -> str:
    left, _, right, _ = scale.box
    y = scale.at_y(value)
    return (
        f'<path class="level" d="M{left} {y:.1f}H{right}"/>'
        f'<text x="{right - 2}" y="{y - 3:.1f}" class="end level">{escape(text)}</text>'
    )


def _curve(scale: Scale, line: Line) -> list[str]:
    shapes = []
    kind = f"line {line.role}" + (" dashed" if line.dashed else "")
    for xs, ys in line.parts():
        places = [(scale.at_x(float(x)), scale.at_y(float(y))) for x, y in zip(xs, ys, strict=True)]
        if len(places) == 1:
            shapes.append(f'<circle class="{kind}" cx="{places[0][0]:.1f}" '
                          f'cy="{places[0][1]:.1f}" r="2.5"/>')  # fmt: skip
        else:
            points = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
            shapes.append(f'<polyline class="{kind}" points="{points}"/>')
    return shapes
