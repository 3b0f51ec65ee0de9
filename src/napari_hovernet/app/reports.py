"""A training run as one HTML page that needs nothing else, and its curves as a picture."""

from __future__ import annotations

import io
import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.inference.tiles import Box
from ..core.io.files import write_whole
from ..core.measure.compare import OUTCOME_COLORS
from ..core.measure.magnitude import MagnitudeBands
from ..core.measure.metrics import evaluate
from ..core.params import config_as_dict
from ..core.training.files import RunFolder
from ..errors import InputError, UserError
from .curves import PLOTS, Floats, Line, PlotKind, kept_arrays, points
from .figures import (
    CELL,
    COLUMNS,
    INK,
    MAGNITUDE_LIMITS,
    QUIET,
    STYLE,
    PictureParams,
    magnitude_colours,
    magnitude_picture,
    outcome_picture,
    png_bytes,
    worst_window,
)
from .pages import place, png, render, rgb
from .training import command_line
from .watch import EpochRow, RunView, RunWatch

if TYPE_CHECKING:
    from matplotlib.axes import Axes

EPOCHS = (0, 5)
"""Epochs that are shown beside the last one."""
EDGE = 320
"""Edge of the part that is shown, pixels of the image."""


@dataclass(frozen=True)
class Shot:
    """Two small pictures of one epoch, as PNG."""

    epoch: int
    outcomes: bytes
    magnitude: bytes
    n_true: int  # Nuclei of the whole pinned image
    n_pred: int
    n_matched: int
    aji: float  # Of the pinned image


def shots_of(view: RunView, folder: RunFolder) -> tuple[Shot, ...]:
    """Make the pictures of the epochs 0, 5 and the last, as far as they were kept.

    All show the part of the image where most went wrong in the first of them.
    """
    pinned = kept_arrays(folder.pinned, "image", "truth")
    if pinned is None or pinned[0].shape[:2] != pinned[1].shape or pinned[0].ndim != 3:
        return ()
    image, truth = pinned[0].astype(np.uint8), pinned[1].astype(np.int32)
    kept = {file.epoch: file.path for file in view.previews}
    shots: list[Shot] = []
    window: Box | None = None
    for epoch in sorted({*EPOCHS, max(kept, default=0)} & set(kept)):
        hv, labels = kept_arrays(kept[epoch], "hv", "labels") or (truth, truth)
        if labels.shape != truth.shape or hv.shape != (2, *truth.shape):
            continue
        labels = labels.astype(np.int32)
        found = evaluate(truth, labels)
        window = window or worst_window(truth, labels, found.outcomes, EDGE)
        part, params = window.slices(), PictureParams(window=EDGE)
        true, own = (np.ascontiguousarray(plane[part]) for plane in (truth, labels))
        magnitude = np.hypot(*hv.astype(np.float32))[part]
        shots.append(Shot(
            epoch,
            png_bytes(outcome_picture(image[part], (true, own), found.outcomes, params)),
            png_bytes(magnitude_picture(magnitude, true, params)),
            len(found.outcomes.true_ids), len(found.outcomes.pred_ids),
            found.outcomes.counts()["matched"], float(found.aji),
        ))  # fmt: skip
    return tuple(shots)


HEADLINE = (
    ("aji", "AJI", "cc_aji", "connected components", "oracle_aji", "oracle"),
    ("dice", "Dice", "all_foreground_dice", "all foreground", "", ""),
    ("magnitude", "HV magnitude inside nuclei", "", "", "true_magnitude", "truth"),
    ("cosine", "HV direction (cosine)", "", "", "", ""),
)
"""Scores with a scale of their own: key, title, and what stands beside them."""


def write_report(folder: RunFolder) -> Path:
    """Write the report of a run as it stands now, and return where it is."""
    page = render_run(RunWatch(folder).catch_up(), folder)
    write_whole(folder.report, page)
    return folder.report


def render_run(view: RunView, folder: RunFolder) -> str:
    """Return the report."""
    config, problem, best = None, "", view.best
    try:
        config = folder.read_config()
    except UserError as error:
        problem = str(error)
    before = next((row for row in view.rows if row.epoch == 0), None)
    notes = view.start.get("notes")
    context = {
        "run": view,
        "start": view.start,
        "config": config,
        "how": json.dumps(config_as_dict(config), indent=2) if config else "",
        "command": command_line(config) if config else "",
        "problem": problem,
        "notes": [str(note) for note in notes] if isinstance(notes, list) else [],
        "best": best,
        "headline": [_scale(best, before, entry) for entry in HEADLINE] if best else [],
        "charts": [
            (found[0], png(svg_of(*found).encode(), "svg+xml")) for found in charts_of(view).items()
        ],
        "rows": view.rows,
        "has_instances": any("aji" in row.val for row in view.rows),
        "shots": [
            {**vars(s), "outcomes": png(s.outcomes), "magnitude": png(s.magnitude)}
            for s in shots_of(view, folder)
        ],
        "outcomes": [(name, rgb(colour)) for name, colour in OUTCOME_COLORS.items()],
        "colours": [rgb(colour) for colour in magnitude_colours()],
        "limits": MAGNITUDE_LIMITS,
        "bands": _BANDS,
        "files": [path.name for path in (folder.best, folder.last) if path.exists()]
        + [f"checkpoints/{file.path.name}" for file in view.checkpoints if file.kind == "epoch"],
    }
    return render("run.html", **context)


def _scale(best: EpochRow, before: EpochRow | None, entry: tuple[str, ...]) -> dict[str, Any]:
    """Return a score of the best epoch and what stands beside it, as places in percent of 0..1."""
    key, title, base, base_name, top, top_name = entry
    value = best.score(key)
    earlier = before.score(key) if before is not None and before is not best else math.nan
    return {
        "title": title,
        "value": value,
        "at": _place(value),
        "before": earlier,
        "before_at": _place(earlier),
        "base": best.score(base) if base else math.nan,
        "base_at": _place(best.score(base)) if base else None,
        "base_name": base_name,
        "best": best.score(top) if top else math.nan,
        "best_at": _place(best.score(top)) if top else None,
        "best_name": top_name,
    }


def _place(value: float) -> float | None:
    return None if math.isnan(value) else place(value)


# --- curves ----------------------------------------------------------------------------

ENDINGS, DPI, POINTS = (".png", ".svg"), 100, 240
"""Of files of curves; pixels per inch; points of a curve, at most."""
_BANDS = MagnitudeBands()
LEVELS = {
    "HV magnitude inside nuclei": (
        (_BANDS.collapsed, "investigate"), (_BANDS.weak, "go on"), (_BANDS.healthy, "healthy")
    ),
    "Direction of HV": ((0.0, "nothing learnt"),),
}  # fmt: skip
"""Values with a meaning, and which, by the title of the plot."""
Curves = list[tuple[Line, Floats, Floats]]
"""Lines with their points: epochs and values."""


def charts_of(view: RunView) -> dict[PlotKind, Curves]:
    """Return the plots of a page that have anything to show, and what."""
    made: dict[PlotKind, Curves] = {}
    for kind in PLOTS if view.epochs.columns or view.steps.columns else ():
        curves = [(line, *points(view, line, POINTS)) for line in kind.lines]
        parts = kind.lines[0].column.startswith(("steps.share_", "heads."))
        shown = [c for c in curves if len(c[2]) and (c[2].any() or not parts)]  # that take part
        if shown and kind.on_page:
            made[kind] = shown
    return made


def svg_of(kind: PlotKind, curves: Curves) -> str:
    """Draw a plot as an SVG that stands by itself."""
    return _drawn({kind: curves}, "svg", 1).decode("utf-8")


def save_plot(view: RunView, path: str | os.PathLike[str]) -> Path:
    """Write the curves of a run as PNG or SVG."""
    target = Path(path)
    if target.suffix.lower() not in ENDINGS:
        raise InputError(
            f"{target} does not end in {' or '.join(ENDINGS)}: the curves are written so."
        )
    charts = charts_of(view)
    state = view.state if charts else f"{view.state}: nothing to draw yet"
    write_whole(
        target, _drawn(charts, target.suffix.lower()[1:], COLUMNS, f"{view.name}  ({state})")
    )
    return target


def _drawn(charts: Mapping[PlotKind, Curves], form: str, columns: int, title: str = "") -> bytes:
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
        for at, (kind, curves) in enumerate(charts.items(), 1):
            _draw_chart(figure.add_subplot(rows, columns, at), kind, curves, titled=bool(title))
        figure.savefig(out, format=form, metadata={"Date": None} if form == "svg" else {})
    return out.getvalue()


def _draw_chart(axes: Axes, kind: PlotKind, curves: Curves, *, titled: bool) -> None:
    from matplotlib.ticker import MaxNLocator  # noqa: PLC0415

    if titled:
        axes.set_title(kind.title, loc="left", pad=16)
    for line, x, y in curves:
        alone = np.isfinite(y).sum() == 1
        axes.plot(x, y, "--" if line.base else "-", color=[c / 255 for c in line.color],
                  label=line.title, marker="o" if alone else "", markersize=4)  # fmt: skip
    for value, text in LEVELS.get(kind.title, ()):
        axes.axhline(value, color=QUIET, linewidth=0.8, linestyle=":")
        axes.annotate(text, (1, value), (-2, 2), xycoords=("axes fraction", "data"),
                      textcoords="offset points", ha="right", fontsize=7)  # fmt: skip
    if kind.log:
        axes.set_yscale("log", nonpositive="mask")
    else:
        (low, high), (bottom, top) = axes.get_ylim(), kind.limits or axes.get_ylim()
        axes.set_ylim(min(low, bottom), max(high, top))
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.set_xlabel("epoch", loc="right")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=6, fontsize=7,
                borderaxespad=0, handlelength=1.4, columnspacing=1.2)  # fmt: skip
