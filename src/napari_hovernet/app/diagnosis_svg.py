"""Plots of findings as SVG for a page that styles them; see templates/diagnosis.html."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from html import escape
from typing import Any

from ..core.diagnosis.report import FAULT, OK, Finding, Plot

TICKS = 4


@dataclass(frozen=True)
class Frame:
    """Size of a chart and its margins, in the units of the drawing."""

    width: int = 460
    height: int = 220
    left: int = 46  # Room for numbers around the curves
    right: int = 12  # Room for numbers around the curves
    top: int = 10  # Room for numbers around the curves
    bottom: int = 30  # Room for numbers around the curves

    @property
    def plot(self) -> tuple[int, int, int, int]:
        """Left, top, right and bottom of the curves' own room."""
        return self.left, self.top, self.width - self.right, self.height - self.bottom


@dataclass(frozen=True)
class Scale:
    """Turns epochs and values into places."""

    box: tuple[float, float, float, float]
    x: tuple[float, float]  # Values at the edges
    y: tuple[float, float]  # Values at the edges

    def at_x(self, value: float) -> float:
        """Return the place of an epoch from the left."""
        left, _, right, _ = self.box
        return left + (value - self.x[0]) / (self.x[1] - self.x[0]) * (right - left)

    def at_y(self, value: float) -> float:
        """Return the place of a value from the top."""
        _, top, _, bottom = self.box
        return bottom - (value - self.y[0]) / (self.y[1] - self.y[0]) * (bottom - top)


def ticks(low: float, high: float, n: int = TICKS) -> list[float]:
    """Return round numbers from ``low`` to ``high``, about ``n`` of them."""
    rough = (high - low) / max(n, 1)
    if not (math.isfinite(rough) and rough > 0):
        return [low]
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.75)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [float(f"{i * step:.12g}") for i in range(first, last + 1)]


def tick_text(value: float) -> str:
    """Write a tick."""
    return f"{value:.6g}"


FRAME = Frame(width=480, height=250, left=52, right=14, top=12, bottom=46)
GAUGE_WIDTH, GAUGE_HEIGHT = 300, 34
GAUGE_ROOM = 0.12
"""Share of the range that is left free at both ends of a gauge."""
GAP = 0.25
"""Share of a bar's place that stays free."""
SLANT = 40
"""Room for slanted names."""
MOST_NAMES = 12
"""Names below an axis; of more every second, third ... is shown."""
LONG_NAME = 20
"""Characters of a name below an axis."""
LETTER = 6.2
"""Width of a letter below an axis."""
ROW = 24
"""Height of a row of a matrix."""
DARK = 0.55
"""Share from which on a cell takes light letters."""
NAMES_WIDTH = 130
"""Room for the names of the rows of a matrix."""


def svg_of_plot(plot: Plot) -> str:
    """Draw a plot; without numbers to show it is empty.

    Returns
    -------
    str
        An ``<svg>`` without colours: shapes have the class ``s0``, ``s1`` ... of their series.

    Examples
    --------
    >>> svg_of_plot(Plot("bars", "a", ("x", "y"), (("n", (1.0, 2.0)),))).count('class="bar s0"')
    2
    """
    if plot.kind == "matrix":
        return _matrix(plot)
    values = [v for _, series in plot.series for v in series if math.isfinite(v)]
    if not values:
        return ""
    draw = {"bars": _bars, "histogram": _histogram, "lines": _lines}[plot.kind]
    frame = _frame_of(plot)
    if plot.kind == "bars":
        x = (0.0, float(max(len(plot.x), 1)))
    else:
        places = [float(v) for v in plot.x if math.isfinite(float(v))]
        x = (min(places), max(places)) if places else (0.0, 1.0)
    scale = Scale(frame.plot, _wider(x), _y_range(plot, values))
    parts = [*_axes(plot, scale, frame), *draw(plot, scale), *_threshold(plot, scale)]
    return _svg(plot.title, (frame.width, frame.height), parts)


def gauge(finding: Finding) -> str:
    """Draw the number that decided beside its bound, "" where there is no such pair.

    Examples
    --------
    >>> gauge(Finding("data.empty", "ok", "a", "b"))
    ''
    """
    value, bound = finding.value, finding.threshold
    if not (math.isfinite(value) and math.isfinite(bound)):
        return ""
    low, high = min(value, bound, 0.0), max(value, bound, 0.0)
    if finding.unit in ("share", "Dice") and high <= 1:
        high = 1.0
    if finding.unit == "cosine":
        low, high = min(low, -1.0), max(high, 1.0)
    room = GAUGE_ROOM * (high - low or 1.0)
    y, left, right = 16.0, 4.0, GAUGE_WIDTH - 4.0
    scale = Scale((left, 0, right, GAUGE_HEIGHT), (low - room, high + room), (0, 1))
    at, limit = scale.at_x(value), scale.at_x(bound)
    parts = [
        _strip("track", (left, right), y),
        *(_strip("bad", side, y) for side in _bad_side(finding, (left, limit, right))),
        f'<path class="level" d="M{limit:.1f} {y - 9}v18"/>',
        f'<circle class="value" cx="{at:.1f}" cy="{y}" r="6"/>',
        f'<text class="{_anchor(limit, right)}" x="{limit:.1f}" y="{GAUGE_HEIGHT}">'
        f"bound {bound:.3g}</text>",
    ]
    return _svg(f"{value:.3g}, bound {bound:.3g}", (GAUGE_WIDTH, GAUGE_HEIGHT + 4), parts)


def _bad_side(
    finding: Finding, places: tuple[float, float, float]
) -> tuple[tuple[float, float], ...]:
    """Return the side of the bound that is wrong, as far as the verdict tells."""
    left, limit, right = places
    if finding.verdict not in (FAULT, OK):
        return ()
    above = (finding.value >= finding.threshold) == (finding.verdict == FAULT)
    return ((limit, right),) if above else ((left, limit),)


def _strip(kind: str, sides: tuple[float, float], y: float) -> str:
    return (
        f'<rect class="{kind}" x="{sides[0]:.1f}" y="{y - 4}" '
        f'width="{sides[1] - sides[0]:.1f}" height="8" rx="4"/>'
    )


def _anchor(x: float, right: float) -> str:
    if x < 0.2 * right:
        return "start"
    return "end" if x > 0.8 * right else "middle"


def _svg(words: str, size: tuple[int, int], parts: Sequence[str]) -> str:
    head = (
        f'<svg viewBox="0 0 {size[0]} {size[1]}" role="img" '
        f'aria-label="{escape(words, quote=True)}">'
    )
    return "".join([head, *parts, "</svg>"])


def _wider(limits: tuple[float, float]) -> tuple[float, float]:
    low, high = limits
    return limits if high > low else (low - 0.5, high + 0.5)


def _y_range(plot: Plot, values: Sequence[float]) -> tuple[float, float]:
    must = [plot.line] if plot.line is not None and math.isfinite(plot.line) else []
    shown = [*values, *([] if plot.upright else must), *([0.0] if plot.kind != "lines" else [])]
    low, high = min(shown), max(shown)
    room = 0.06 * (high - low or 1.0)
    return _wider((low if low == 0 else low - room, high if high == 0 else high + room))


def _slanted(plot: Plot) -> bool:
    """Whether the names of bars are too long to stand side by side."""
    if plot.kind != "bars":
        return False
    shown = plot.x[:: _every(plot)]
    width = (FRAME.plot[2] - FRAME.plot[0]) / max(len(shown), 1)
    return max((len(_short(name)) for name in shown), default=0) * LETTER > width


def _every(plot: Plot) -> int:
    return math.ceil(len(plot.x) / MOST_NAMES) or 1


def _frame_of(plot: Plot) -> Frame:
    more = SLANT if _slanted(plot) else 0
    return replace(FRAME, height=FRAME.height + more, bottom=FRAME.bottom + more)


def _axes(plot: Plot, scale: Scale, frame: Frame) -> Iterator[str]:
    left, top, right, bottom = scale.box
    for value in ticks(*scale.y):
        y = scale.at_y(value)
        yield f'<path class="grid" d="M{left} {y:.1f}H{right}"/>'
        yield f'<text class="end" x="{left - 6}" y="{y + 4:.1f}">{tick_text(value)}</text>'
    yield f'<path class="axis" d="M{left} {top}V{bottom}H{right}"/>'
    if plot.kind == "bars":
        yield from _names(plot, scale)
    else:
        for value in ticks(*scale.x, 6):
            x = scale.at_x(value)
            yield f'<path class="grid" d="M{x:.1f} {bottom}v4"/>'
            yield f'<text class="middle" x="{x:.1f}" y="{bottom + 17}">{tick_text(value)}</text>'
    middle = (left + right) / 2
    yield f'<text class="middle" x="{middle}" y="{frame.height - 6}">{escape(plot.x_label)}</text>'
    if plot.y_label:
        place = f"translate(11 {(top + bottom) / 2}) rotate(-90)"
        yield f'<text class="middle" transform="{place}">{escape(plot.y_label)}</text>'


def _names(plot: Plot, scale: Scale) -> Iterator[str]:
    slanted = _slanted(plot)
    for i in range(0, len(plot.x), _every(plot)):
        x, y = scale.at_x(i + 0.5), scale.box[3] + 15
        text = escape(_short(plot.x[i]))
        if slanted:
            how = f"translate({x + 4:.1f} {y - 3}) rotate(-28)"
            yield f'<text class="end" transform="{how}">{text}</text>'
        else:
            yield f'<text class="middle" x="{x:.1f}" y="{y}">{text}</text>'


def _short(name: Any) -> str:
    text = tick_text(name) if isinstance(name, float) else str(name)
    return text if len(text) <= LONG_NAME else f"{text[: LONG_NAME - 1]}…"


def _bars(plot: Plot, scale: Scale) -> Iterator[str]:
    n, zero = len(plot.series), scale.at_y(0.0)
    for k, (name, values) in enumerate(plot.series):
        for i, value in enumerate(values):
            if not math.isfinite(value):
                continue
            left = scale.at_x(i + GAP / 2 + k * (1 - GAP) / n)
            right = scale.at_x(i + GAP / 2 + (k + 1) * (1 - GAP) / n)
            yield _bar(k, (left, right), (zero, scale.at_y(value)), f"{name} {value:.3g}")


def _histogram(plot: Plot, scale: Scale) -> Iterator[str]:
    zero = scale.at_y(0.0)
    for k, (name, values) in enumerate(plot.series):
        for i, value in enumerate(values):
            if math.isfinite(value) and i + 1 < len(plot.x):
                sides = (scale.at_x(float(plot.x[i])), scale.at_x(float(plot.x[i + 1])))
                yield _bar(k, sides, (zero, scale.at_y(value)), f"{name} {value:.3g}")


def _bar(k: int, sides: tuple[float, float], ends: tuple[float, float], words: str) -> str:
    top, height = min(ends), abs(ends[1] - ends[0])
    return (
        f'<rect class="bar s{k}" x="{sides[0]:.1f}" y="{top:.1f}" '
        f'width="{max(sides[1] - sides[0], 0.5):.1f}" height="{height:.1f}">'
        f"<title>{escape(words)}</title></rect>"
    )


def _lines(plot: Plot, scale: Scale) -> Iterator[str]:
    for k, (_, values) in enumerate(plot.series):
        known = [(scale.at_x(float(x)), scale.at_y(y))
                 for x, y in zip(plot.x, values, strict=False) if math.isfinite(y)]  # fmt: skip
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in known)
        yield f'<polyline class="line s{k}" points="{points}"/>'
        for x, y in known if len(known) <= MOST_NAMES else ():
            yield f'<circle class="bar s{k}" cx="{x:.1f}" cy="{y:.1f}" r="3"/>'


def _threshold(plot: Plot, scale: Scale) -> Iterator[str]:
    if plot.line is None or not math.isfinite(plot.line):
        return
    left, top, right, bottom = scale.box
    if plot.upright:
        x = min(max(scale.at_x(plot.line), left), right)
        yield f'<path class="level" d="M{x:.1f} {top}V{bottom}"/>'
    else:
        y = scale.at_y(plot.line)
        yield f'<path class="level" d="M{left} {y:.1f}H{right}"/>'


def _matrix(plot: Plot) -> str:
    """Draw rows of numbers, the longer the darker, those below 0 in another colour."""
    values = [abs(v) for _, row in plot.series for v in row if math.isfinite(v)]
    largest = max(values, default=0.0) or 1.0
    columns = max(len(plot.x), 1)
    width = (FRAME.width - NAMES_WIDTH) / columns
    parts = []
    for i, name in enumerate(plot.x):
        x = NAMES_WIDTH + (i + 0.5) * width
        parts.append(f'<text class="middle" x="{x:.1f}" y="14">{escape(_short(name))}</text>')
    for r, (name, row) in enumerate(plot.series):
        y = 22 + r * ROW
        text = escape(_short(name))
        parts.append(f'<text class="end" x="{NAMES_WIDTH - 8}" y="{y + 16}">{text}</text>')
        for i, value in enumerate(row):
            parts += _cell((NAMES_WIDTH + i * width, y), width, value, largest)
    height = 22 + len(plot.series) * ROW + (18 if plot.x_label else 4)
    if plot.x_label:
        parts.append(f'<text class="end" x="{FRAME.width - 4}" y="{height - 3}">'
                     f"{escape(plot.x_label)}</text>")  # fmt: skip
    return _svg(plot.title, (FRAME.width, height), parts)


def _cell(at: tuple[float, float], width: float, value: float, largest: float) -> list[str]:
    x, y = at
    known = math.isfinite(value)
    share = abs(value) / largest if known else 0.0
    sign = " below" if known and value < 0 else ""
    ink = " inverse" if share > DARK else ""
    digits = max(2 - math.floor(math.log10(largest)), 0)
    text = f"{round(value, digits) + 0.0:.3g}" if known else "-"
    return [
        f'<rect class="cell{sign}" x="{x + 1:.1f}" y="{y + 1}" width="{width - 2:.1f}" '
        f'height="{ROW - 2}" fill-opacity="{0.06 + 0.84 * share:.2f}"/>',
        f'<text class="middle{ink}" x="{x + width / 2:.1f}" y="{y + 16}">{text}</text>',
    ]
