"""Small pictures of a result, and the curves of a training run."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import numpy.typing as npt

from ..core.inference.images import as_source
from ..core.io.files import write_whole
from ..core.measure.compare import OUTCOME_COLORS
from ..core.measure.magnitude import MagnitudeBands
from ..core.params import LOSS_HEADS, LOSS_TERMS
from ..core.types import Bool, Float32, Int32, Outcomes, UInt8
from ..errors import InputError
from .watch import Float64, RunView, Series

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BRIGHT_LINE = (255, 242, 51)
"""Colour, RGB, of outlines at the image's own size."""
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


def outlined(image: Any, labels: Int32) -> UInt8:
    """Draw thin outlines of nuclei into a copy of an image, (H, W) or (H, W, 3 or 4)."""
    source = as_source(image)
    made: UInt8 = np.array(source.read(0, source.shape[0], 0, source.shape[1]))
    made[_rims(labels, labels.shape, 1)[0]] = BRIGHT_LINE
    return made


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
COLUMNS, CELL = 3, (4.8, 2.9)
"""Charts side by side, and inches of each."""
DPI = 100
INK, QUIET, RULE = "#1d1a26", "#655f75", "#e3dfec"
COLOURS = {"main": "#6a45c9", "train": "#8f8a9e", "base": "#b4552d", "best": "#20745a"}
"""Of the model, the training data, what comes for nothing, and what is the most."""
CYCLE = ("#2f6fb3", "#6a45c9", "#c2559a", "#d9722e", "#b08800", "#20745a", "#8f8a9e", "#b4552d")
"""Of terms and heads, by their place."""
TITLES = {"hv": "HV"} | {name: term.title for name, term in LOSS_TERMS.items()}
"""Names of terms and heads in legends."""
ENDINGS = (".png", ".svg")
STYLE: Any = {
    "svg.fonttype": "none", "svg.hashsalt": "napari-hovernet", "font.size": 8,
    "text.color": QUIET, "axes.labelcolor": QUIET, "axes.edgecolor": QUIET, "axes.titlesize": 9,
    "axes.titlecolor": INK, "axes.grid": True, "axes.grid.axis": "y", "grid.color": RULE,
    "xtick.color": QUIET, "ytick.color": QUIET, "axes.spines.top": False,
    "axes.spines.right": False, "lines.linewidth": 1.6, "legend.frameon": False,
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Line:
    """A curve over epochs; gaps where a value is not known."""

    name: str  # In the legend
    colour: str
    x: Float64
    y: Float64
    dashed: bool = False


@dataclass(frozen=True, eq=False)
class Chart:
    """Curves over epochs in one frame."""

    title: str
    lines: tuple[Line, ...]  # Those with anything to show
    levels: tuple[tuple[float, str], ...] = ()
    limits: tuple[float | None, float | None] = (None, None)  # That are always shown
    note: str = ""  # How to read it


Column = tuple[str, str, str]
"""Column of a series of the run (in ``epochs`` unless named), title, role; "--" = dashed."""


def _by_place(prefix: str, names: Iterable[str]) -> tuple[Column, ...]:
    return tuple((prefix + n, TITLES[n], CYCLE[i % len(CYCLE)]) for i, n in enumerate(names))


_BANDS = MagnitudeBands()
_CHARTS: tuple[tuple[str, tuple[Column, ...], dict[str, Any]], ...] = (
    ("Loss", (("steps.total", "training", "train"), ("loss", "validation", "main")), {}),
    (
        "HV magnitude inside nuclei",
        (("steps.magnitude", "training", "train"), ("magnitude", "validation", "main"),
         ("true_magnitude", "truth", "--best")),
        {"levels": ((_BANDS.collapsed, "investigate"), (_BANDS.weak, "go on"),
                    (_BANDS.healthy, "healthy")),
         "limits": (0.0, None),
         "note": "Below 0.10 after 5 epochs: investigate; above 0.25: go on; above 0.50 at the "
         "end."},
    ),
    (
        "HV direction",
        (("cosine", "cosine to the truth", "main"),),
        {"levels": ((0.0, "nothing learnt"),), "limits": (None, 1.0),
         "note": "1 = right, 0 = none learnt, -1 = wrong sign. Length alone is worth nothing."},
    ),
    (
        "HV error",
        (("hv_mse", "mean squared", "main"), ("hv_zero_mse", "a map of zeros", "--base")),
        {"limits": (0.0, None)},
    ),
    (
        "Nuclei that come apart",
        (("aji", "AJI", "main"), ("cc_aji", "connected components", "--base"),
         ("oracle_aji", "oracle", "--best"), ("pq", "PQ", "train")),
        {"limits": (0.0, 1.0),
         "note": "Connected components: nothing separated. Oracle: the true maps, separated in "
         "the same way."},
    ),
    (
        "Nuclei against background",
        (("dice", "Dice", "main"), ("all_foreground_dice", "all foreground", "--base")),
        {"limits": (0.0, 1.0)},
    ),
    ("Weighted shares of the loss", _by_place("steps.share_", LOSS_TERMS), {"limits": (0.0, 1.0)}),
    (
        "Shares of the gradient",
        _by_place("heads.", LOSS_HEADS),
        {"limits": (0.0, 1.0),
         "note": "What each head's weighted loss pulls at the shared part of the network."},
    ),
    ("Learning rate", (("steps.lr", "rate", "train"),), {"limits": (0.0, None)}),
)  # fmt: skip


def charts_of(view: RunView) -> tuple[Chart, ...]:
    """Return the charts of a run that have anything to show."""
    made = []
    for title, columns, more in _CHARTS:
        parts = columns[0][0].startswith(("steps.share_", "heads."))  # none that take no part
        lines = [_line(view, *column) for column in columns]
        known = [np.nan_to_num(x.y) if parts else np.isfinite(x.y) for x in lines]
        shown = tuple(line for line, values in zip(lines, known, strict=True) if values.any())
        if shown:
            made.append(Chart(title, shown, **more))
    return tuple(made)


def _line(view: RunView, column: str, title: str, role: str) -> Line:
    name, _, last = column.rpartition(".")
    role, dashed = role.removeprefix("--"), role.startswith("--")
    colour = COLOURS.get(role, role)
    if not name:
        return Line(title, colour, view.epochs["epoch"], view.epochs[last], dashed)
    series: Series = getattr(view, name)
    return Line(title, colour, *thinned(_in_epochs(view, series), series[last]), dashed)


def _in_epochs(view: RunView, series: Series) -> Float64:
    """Return steps in epochs: the first of 10 steps of the second epoch is 1.1."""
    steps = series["step"]
    return steps / view.steps_per_epoch if view.steps_per_epoch else series["epoch"]


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


def svg_of(chart: Chart) -> str:
    """Draw a chart as an SVG that stands by itself."""
    return _written([chart], "svg", 1).decode("utf-8")


def save_plot(view: RunView, path: str | os.PathLike[str]) -> Path:
    """Write the curves of a run as PNG or SVG."""
    target = Path(path)
    if target.suffix.lower() not in ENDINGS:
        raise InputError(
            f"{target} does not end in {' or '.join(ENDINGS)}: the curves are written so."
        )
    charts = charts_of(view)
    state = view.state if charts else f"{view.state}: nothing to draw yet"
    drawn = _written(charts, target.suffix.lower()[1:], COLUMNS, f"{view.name}  ({state})")
    write_whole(target, drawn)
    return target


def _written(charts: Sequence[Chart], form: str, columns: int, title: str = "") -> bytes:
    """Draw charts side by side; by matplotlib without its state, so in any thread."""
    from matplotlib import rc_context  # noqa: PLC0415 - takes half a second
    from matplotlib.figure import Figure  # noqa: PLC0415

    columns = min(columns, max(len(charts), 1))
    rows = max(-(-len(charts) // columns), 1)
    out = io.BytesIO()
    with rc_context(STYLE):
        figure = Figure((columns * CELL[0], rows * CELL[1]), dpi=DPI, layout="constrained")
        if title:
            figure.suptitle(title, x=0.01, ha="left", color=INK, fontsize=11)
        for place, chart in enumerate(charts, 1):
            _draw_chart(figure.add_subplot(rows, columns, place), chart, titled=bool(title))
        figure.savefig(out, format=form, metadata={"Date": None} if form == "svg" else {})
    return out.getvalue()


def _draw_chart(axes: Axes, chart: Chart, *, titled: bool) -> None:
    from matplotlib.ticker import MaxNLocator  # noqa: PLC0415

    if titled:
        axes.set_title(chart.title, loc="left", pad=16)
    for line in chart.lines:
        alone = np.isfinite(line.y).sum() == 1
        axes.plot(line.x, line.y, "--" if line.dashed else "-", color=line.colour,
                  label=line.name, marker="o" if alone else "", markersize=4)  # fmt: skip
    for value, text in chart.levels:
        axes.axhline(value, color=QUIET, linewidth=0.8, linestyle=":")
        axes.annotate(text, (1, value), (-2, 2), xycoords=("axes fraction", "data"),
                      textcoords="offset points", ha="right", fontsize=7)  # fmt: skip
    low, high = axes.get_ylim()
    bottom, top = chart.limits
    axes.set_ylim(
        low if bottom is None else min(low, bottom), high if top is None else max(high, top)
    )
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.set_xlabel("epoch", loc="right")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=6, fontsize=7,
                borderaxespad=0, handlelength=1.4, columnspacing=1.2)  # fmt: skip
