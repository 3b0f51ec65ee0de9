"""Small pictures of a result: nuclei outlined by what became of them, and the HV magnitude."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from ..core.io.files import atomic_path
from ..core.measure.compare import OUTCOME_COLORS
from ..core.measure.magnitude import MagnitudeBands
from ..core.params import LOSS_TERMS
from ..core.types import Bool, Float32, Int32, Outcomes
from ..errors import InputError
from .run_series import Float64
from .run_view import HEADS, SHARES, RunView

UInt8 = npt.NDArray[np.uint8]

CASING = (20, 20, 28)
"""Colour, RGB, of the thin dark line that sets an outline off."""
NUCLEUS_LINE = (0, 200, 255)
"""Colour, RGB, of true nuclei over the magnitude."""
MAGNITUDE_LIMITS = (0.0, 1.0)
"""Magnitudes of the darkest and the brightest colour: the same in every picture."""
LEVELS = 48
"""Steps of the colours of a magnitude map; few steps make small files."""
COLOUR_STEP = 8
"""Step to which tissue colours are rounded: not seen in a small picture, and half the bytes."""
DIVERGING = ((33, 74, 160), (122, 169, 214), (247, 247, 247), (238, 142, 110), (172, 32, 47))
"""Colours, RGB, of HV from -1 over 0 to 1."""
COLOUR_MAP = cv2.COLORMAP_INFERNO


@dataclass(frozen=True)
class PictureParams:
    """Size and line of the pictures."""

    window: int = 320  # Longest edge, pixels of the image, of the part that is shown
    edge: int = 480  # Longest edge of the picture, pixels
    line: int = 2  # Width of the outlines, pixels of the picture

    def __post_init__(self) -> None:
        for name in ("window", "edge", "line"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}; give 1 or more pixels.")


USUAL = PictureParams()


@dataclass(frozen=True)
class Window:
    """Rows r0 to r1 and columns c0 to c1 of an image, half-open."""

    r0: int
    c0: int
    r1: int
    c1: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """The same for indexing."""
        return (slice(self.r0, self.r1), slice(self.c0, self.c1))


def worst_window(true_labels: Int32, pred_labels: Int32, outcomes: Outcomes, edge: int) -> Window:
    """Find the part of an image where most goes wrong.

    ``true_labels, pred_labels`` int32 (H, W).
    """
    height, width = true_labels.shape
    rows, cols = min(edge, height), min(edge, width)
    wrong = np.isin(true_labels, outcomes.true_ids[outcomes.true != "matched"])
    wrong |= np.isin(pred_labels, outcomes.pred_ids[outcomes.pred == "spurious"])
    if not wrong.any():
        wrong = (true_labels > 0) | (pred_labels > 0)
    filtered = cv2.boxFilter(wrong.astype(np.float32), cv2.CV_32F, (cols, rows), anchor=(0, 0),
                             normalize=False, borderType=cv2.BORDER_CONSTANT)  # fmt: skip
    inside = filtered[: height - rows + 1, : width - cols + 1]
    r0, c0 = np.unravel_index(int(inside.argmax()), inside.shape)
    return Window(int(r0), int(c0), int(r0) + rows, int(c0) + cols)


def outcome_picture(
    image: UInt8,
    labels: tuple[Int32, Int32],
    outcomes: Outcomes,
    params: PictureParams = USUAL,
) -> UInt8:
    """Outline predicted nuclei by outcome, and the true ones that were missed.

    ``image`` uint8 (H, W, 3); ``labels`` (int32 (H, W), int32 (H, W)).
    """
    true, pred = labels
    if image.shape[:2] != true.shape or image.shape[:2] != pred.shape:
        raise InputError(
            f"The image is {image.shape[:2]}, the labels {true.shape} and {pred.shape}; give "
            "parts of one size."
        )
    canvas = _tissue(image, params.edge)
    for outcome, colour in OUTCOME_COLORS.items():
        own, ids, found = pred, outcomes.pred_ids, outcomes.pred
        if outcome == "missed":
            own, ids, found = true, outcomes.true_ids, outcomes.true
        chosen = np.where(np.isin(own, ids[found == outcome]), own, 0)
        line = max(params.line - 1, 1) if outcome == "matched" else params.line
        _draw(canvas, chosen, colour, line)
    return canvas


def _tissue(image: UInt8, edge: int) -> UInt8:
    """Bring tissue to its size in the picture, its colours rounded."""
    resized = _resized(image, _size(image.shape[:2], edge), cv2.INTER_CUBIC)
    tissue: UInt8 = (resized // COLOUR_STEP) * COLOUR_STEP + COLOUR_STEP // 2
    return tissue


def _draw(canvas: UInt8, labels: Int32, colour: tuple[int, int, int], line: int) -> None:
    """Outline every nucleus along its inside, with a dark line around the outside."""
    rim, around = _rims(labels, canvas.shape[:2], line)
    canvas[around] = CASING
    canvas[rim] = colour


def _rims(labels: Int32, size: tuple[int, ...], line: int) -> tuple[Bool, Bool]:
    """Pixels of a picture along the inside of each nucleus, and along the outside of all."""
    _, numbers = np.unique(labels, return_inverse=True)
    numbers = numbers.reshape(labels.shape).astype(np.float32)
    ids = _resized(numbers + (0 if (labels == 0).any() else 1), size, cv2.INTER_NEAREST)
    padded = cv2.copyMakeBorder(ids, line, line, line, line, cv2.BORDER_REPLICATE)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * line + 1, 2 * line + 1))
    inner = (slice(line, -line), slice(line, -line))
    low, high = cv2.erode(padded, kernel)[inner], cv2.dilate(padded, kernel)[inner]
    inside = ids > 0
    thin = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    around = (cv2.dilate(inside.astype(np.uint8), thin) > 0) & ~inside
    return inside & ((low != ids) | (high != ids)), around


def magnitude_picture(
    magnitude: Float32, labels: Int32 | None = None, params: PictureParams = USUAL
) -> UInt8:
    """Colour the HV magnitude between fixed limits, 0 to 1; what lies above is 1.

    ``magnitude`` float32 (H, W); ``labels`` int32 (H, W).
    """
    picture = _colours(_stepped(_shares(magnitude, MAGNITUDE_LIMITS, params.edge)))
    if labels is not None:
        picture[_rims(labels, picture.shape[:2], 1)[0]] = NUCLEUS_LINE
    return picture


def _shares(values: npt.NDArray[Any], limits: tuple[float, float], edge: int) -> Float32:
    """Bring a plane to its size in the picture, as shares of the way between limits."""
    low, high = limits
    size = _size(values.shape, min(edge, max(values.shape)))
    shares: Float32 = (_resized(values, size, cv2.INTER_LINEAR) - low) / (high - low)
    return np.clip(shares, 0, 1)


def _stepped(shares: Float32) -> Float32:
    stepped: Float32 = np.floor(shares * (LEVELS - 1) + 0.5) / (LEVELS - 1)
    return stepped


def outlined_picture(
    image: UInt8,
    outlines: Sequence[tuple[Int32, tuple[int, int, int]]],
    params: PictureParams = USUAL,
) -> UInt8:
    """Draw the outlines of label images over tissue.

    ``image`` uint8 (H, W, 3); ``outlines`` sequence of (int32 (H, W), colour).
    """
    canvas = _tissue(image, params.edge)
    for k, (labels, colour) in enumerate(outlines):
        _draw(canvas, labels, colour, max(params.line - k, 1))
    return canvas


def plane_picture(
    plane: npt.NDArray[Any],
    limits: tuple[float, float],
    labels: Int32 | None = None,
    params: PictureParams = USUAL,
) -> UInt8:
    """Colour a plane: grey from 0 up, blue over white to red where the limits are below 0.

    ``plane`` number (H, W); ``labels`` int32 (H, W).
    """
    shares = _shares(np.nan_to_num(np.asarray(plane, np.float32)), limits, params.edge)
    signed = limits[0] < 0
    grey = np.rint(_stepped(shares) * 255).astype(np.uint8)
    picture = _diverging(shares) if signed else np.repeat(grey[..., None], 3, axis=2)
    if labels is not None:
        picture[_rims(labels, picture.shape[:2], 1)[0]] = CASING if signed else NUCLEUS_LINE
    return picture


def _diverging(share: npt.NDArray[np.floating]) -> UInt8:
    """Colour 0..1 from blue over nearly white to red."""
    stops = np.linspace(0, 1, len(DIVERGING))
    even = np.rint(share * 2 * LEVELS) / (2 * LEVELS)
    channels = [np.interp(even, stops, [c[k] for c in DIVERGING]) for k in range(3)]
    colours: UInt8 = np.rint(np.stack(channels, axis=-1)).astype(np.uint8)
    return colours


def magnitude_colours(n: int) -> list[tuple[int, int, int]]:
    """Return ``n`` colours, RGB, from the low to the high end of :func:`magnitude_picture`."""
    row = _colours(np.linspace(0, 1, n)[None])[0]
    return [(int(r), int(g), int(b)) for r, g, b in row]


def _colours(share: npt.NDArray[np.floating]) -> UInt8:
    grey = np.rint(share * 255).astype(np.uint8)
    return np.ascontiguousarray(cv2.applyColorMap(grey, COLOUR_MAP)[..., ::-1])


def png_bytes(picture: UInt8) -> bytes:
    """Encode an RGB picture as PNG."""
    done, data = cv2.imencode(
        ".png", np.ascontiguousarray(picture[..., ::-1]), [cv2.IMWRITE_PNG_COMPRESSION, 9]
    )
    if not done:
        raise InputError(f"A picture of shape {picture.shape} cannot be written as PNG.")
    return bytes(data)


def _size(shape: tuple[int, ...], edge: int) -> tuple[int, int]:
    height, width = (max(1, round(n * edge / max(shape))) for n in shape)
    return height, width


def _resized(values: Any, size: tuple[int, ...], how: int) -> Any:
    """Resize to (height, width); reduced pictures are averaged, so that nothing flickers."""
    if values.shape[:2] == size:
        return values.copy()
    if how != cv2.INTER_NEAREST and size[0] < values.shape[0]:
        how = cv2.INTER_AREA
    return cv2.resize(np.ascontiguousarray(values), size[::-1], interpolation=how)


POINTS = 240
"""Points of a curve at most: steps are averaged over equal parts of the run."""
PLAIN = {"hv": "HV"} | {name: term.title for name, term in LOSS_TERMS.items()}
"""Names of terms and heads in legends."""
TICKS = 4
ROOM = 0.06
"""Share of the range that is left free above and below the curves."""


@dataclass(frozen=True, eq=False)
class Line:
    """A curve."""

    name: str  # In the legend
    role: str  # What it stands for
    x: Float64  # Epochs, values
    y: Float64  # Epochs, values
    dashed: bool = False

    def parts(self) -> Iterator[tuple[Float64, Float64]]:
        """Yield the parts without gaps."""
        known = np.isfinite(self.x) & np.isfinite(self.y)
        edges = np.flatnonzero(np.diff(np.r_[False, known, False].astype(np.int8)))
        for begin, end in edges.reshape(-1, 2):
            yield self.x[begin:end], self.y[begin:end]


@dataclass(frozen=True, eq=False)
class Chart:
    """Curves over epochs in one frame."""

    title: str
    lines: tuple[Line, ...]  # Those with anything to show
    levels: tuple[tuple[float, str], ...] = ()
    limits: tuple[float | None, float | None] = (None, None)
    note: str = ""  # How to read it

    def x_range(self) -> tuple[float, float]:
        """Return the first and last epoch; never empty."""
        low, high = _range([line.x for line in self.lines])
        return (low, high) if high > low else (low, low + 1)

    def y_range(self) -> tuple[float, float]:
        """Return the values of the lower and upper edge; never empty."""
        low, high = _range([line.y for line in self.lines])
        must = [value for value in self.limits if value is not None]
        must += [value for value, _ in self.levels]
        low, high = min([low, *must]), max([high, *must])
        if high <= low:
            low, high = low - 0.5, high + 0.5
        room = ROOM * (high - low)
        bottom, top = self.limits
        return (
            low if bottom is not None and low >= bottom else low - room,
            high if top is not None and high <= top else high + room,
        )


def charts_of(view: RunView) -> tuple[Chart, ...]:
    """Return the charts of a run that have anything to show."""
    made = (*_learning(view), *_scores(view), *_inside(view))
    return tuple(chart for chart in made if chart.lines)


def _learning(view: RunView) -> Sequence[Chart]:
    bands = MagnitudeBands()
    return (
        Chart(
            "Loss",
            _known(_step(view, "total", "training", "train"),
                   _epoch(view, "loss", "validation", "main")),
        ),
        Chart(
            "HV magnitude inside nuclei",
            _known(_step(view, "magnitude", "training", "train"),
                   _epoch(view, "magnitude", "validation", "main"),
                   _epoch(view, "true_magnitude", "truth", "best", dashed=True)),
            ((bands.collapsed, "investigate"), (bands.weak, "go on"), (bands.healthy, "healthy")),
            (0.0, None),
            "Below 0.10 after 5 epochs: investigate; above 0.25: go on; above 0.50 at the end.",
        ),
        Chart(
            "HV direction",
            _known(_epoch(view, "cosine", "cosine to the truth", "main")),
            ((0.0, "nothing learnt"),),
            (None, 1.0),
            "1 = right, 0 = none learnt, -1 = wrong sign. Length alone is worth nothing.",
        ),
        Chart(
            "HV error",
            _known(_epoch(view, "hv_mse", "mean squared", "main"),
                   _epoch(view, "hv_zero_mse", "a map of zeros", "base", dashed=True)),
            limits=(0.0, None),
        ),
    )  # fmt: skip


def _scores(view: RunView) -> Sequence[Chart]:
    return (
        Chart(
            "Nuclei that come apart",
            _known(_epoch(view, "aji", "AJI", "main"),
                   _epoch(view, "cc_aji", "connected components", "base", dashed=True),
                   _epoch(view, "oracle_aji", "oracle", "best", dashed=True),
                   _epoch(view, "pq", "PQ", "train")),
            limits=(0.0, 1.0),
            note="Connected components: nothing separated. Oracle: the true maps, separated "
            "in the same way.",
        ),
        Chart(
            "Nuclei against background",
            _known(_epoch(view, "dice", "Dice", "main"),
                   _epoch(view, "all_foreground_dice", "all foreground", "base", dashed=True)),
            limits=(0.0, 1.0),
        ),
    )  # fmt: skip


def _inside(view: RunView) -> Sequence[Chart]:
    shares = [_step(view, f"share_{name}", PLAIN[name], name) for name in SHARES]
    heads = [Line(PLAIN[n], n, _head_epochs(view), view.heads[n]) for n in HEADS]
    return (
        Chart("Weighted shares of the loss", _taking_part(shares), limits=(0.0, 1.0)),
        Chart(
            "Shares of the gradient",
            _taking_part(heads),
            limits=(0.0, 1.0),
            note="What each head's weighted loss pulls at the shared part of the network.",
        ),
        Chart(
            "Learning rate", _known(_step(view, "lr", "rate", "train")), limits=(0.0, None)
        ),
    )  # fmt: skip


def _known(*lines: Line) -> tuple[Line, ...]:
    return tuple(line for line in lines if np.isfinite(line.y).any())


def _taking_part(lines: Sequence[Line]) -> tuple[Line, ...]:
    """Leave out terms that have no share at any time."""
    return tuple(line for line in _known(*lines) if np.nanmax(np.abs(line.y)) > 0)


def _epoch(view: RunView, name: str, title: str, role: str, *, dashed: bool = False) -> Line:
    return Line(title, role, view.epochs["epoch"], view.epochs[name], dashed)


def _step(view: RunView, name: str, title: str, role: str) -> Line:
    x, y = thinned(_epochs_of(view, view.steps["step"], view.steps["epoch"]), view.steps[name])
    return Line(title, role, x, y)


def _head_epochs(view: RunView) -> Float64:
    return _epochs_of(view, view.heads["step"], view.heads["epoch"])


def _epochs_of(view: RunView, steps: Float64, epochs: Float64) -> Float64:
    """Return steps in epochs: the first of 10 steps of the second epoch is 1.1."""
    return steps / view.steps_per_epoch if view.steps_per_epoch else epochs


def thinned(x: Float64, y: Float64, points: int = POINTS) -> tuple[Float64, Float64]:
    """Average neighbours so that no more than ``points`` remain; NaN are left out."""
    known = np.isfinite(x) & np.isfinite(y)
    n = len(x)
    if n <= points:
        return x, y
    part = (np.arange(n) * points // n)[known]
    count = np.bincount(part, minlength=points)
    keep = count > 0
    mean_x = np.bincount(part, x[known], points)[keep] / count[keep]
    mean_y = np.bincount(part, y[known], points)[keep] / count[keep]
    return mean_x, mean_y


def _range(arrays: Sequence[Float64]) -> tuple[float, float]:
    values = np.concatenate(arrays) if arrays else np.zeros(0)
    values = values[np.isfinite(values)]
    return (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)


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


def svg_of(chart: Chart, frame: Frame | None = None) -> str:
    """Draw a chart."""
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
    """Write the curves of a run as PNG."""
    target = Path(path)
    if target.suffix.lower() != ENDING:
        raise InputError(f"{target} does not end in {ENDING}: the curves are written as PNG.")
    picture = Image.fromarray(plot_of(view))
    with atomic_path(target) as temporary:
        picture.save(temporary, format="PNG", optimize=True)
    return target


def plot_of(view: RunView) -> npt.NDArray[np.uint8]:
    """Draw the curves of a run.

    Returns uint8 (H, W, 3).
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
        _draw_run_plot(_Pen(pen.draw, corner), chart)
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


def _draw_run_plot(pen: _Pen, chart: Chart) -> None:
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
        _curve_run_plot(pen, scale, line)


def _curve_run_plot(pen: _Pen, scale: Scale, line: Line) -> None:
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
