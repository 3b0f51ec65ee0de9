"""A training run as one HTML page that needs nothing else."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from .. import __version__
from ..core.io.atomic import atomic_path
from ..core.magnitude_bands import MagnitudeBands
from ..core.outcome_colors import OUTCOME_COLORS
from ..core.pictures import MAGNITUDE_LIMITS, magnitude_colours
from ..core.training.params import TrainConfig, config_as_dict
from ..core.training.run_folder import RunFolder
from ..errors import UserError
from .run_charts import Chart, charts_of
from .run_pictures import Shot, shots_of
from .run_svg import svg_of
from .run_view import EpochRow, RunView
from .run_watch import RunWatch
from .train_options import command_line

TEMPLATE = "run.html"
STOPS = 9
"""Colours of the scale bar."""
NOTHING, MINUS = "\N{EN DASH}", "\N{MINUS SIGN}"
HOUR, MINUTE = 3600, 60
HEADLINE = (
    ("aji", "AJI", "cc_aji", "connected components", "oracle_aji", "oracle"),
    ("dice", "Dice", "all_foreground_dice", "all foreground", "", ""),
    ("magnitude", "HV magnitude inside nuclei", "", "", "true_magnitude", "truth"),
    ("cosine", "HV direction (cosine)", "", "", "", ""),
)
"""Scores with a scale of their own: key, title, and what stands beside them."""


def write_report(folder: RunFolder) -> Path:
    """Write the report of a run as it stands now, and return where it is.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    page = render_run(RunWatch(folder).catch_up(), folder)
    with atomic_path(folder.report) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return folder.report


def render_run(view: RunView, folder: RunFolder) -> str:
    """Return the report.

    Parameters
    ----------
    view : RunView
    folder : RunFolder
        Its configuration and previews are shown.

    Returns
    -------
    str
        HTML with its styles, curves and pictures inside; it runs no script and loads nothing.

    Examples
    --------
    >>> page = render_run(RunView(name="a"), RunFolder(Path("no such folder")))
    >>> page.startswith("<!doctype html>")
    True
    """
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True,
                              lstrip_blocks=True)  # fmt: skip
    environment.filters.update(number=_number, count=_count, duration=_duration)
    source = files(__package__).joinpath("templates", TEMPLATE).read_text(encoding="utf-8")
    return environment.from_string(source).render(_context(view, folder))


def _context(view: RunView, folder: RunFolder) -> dict[str, Any]:
    config, problem = _config(folder)
    best = view.best
    before = next((row for row in view.rows if row.epoch == 0), None)
    notes = view.start.get("notes")
    return {
        "run": view,
        "made": datetime.now().astimezone().strftime("%Y-%m-%d %H:%M"),
        "version": __version__,
        "start": view.start,
        "config": config,
        "how": json.dumps(config_as_dict(config), indent=2) if config else "",
        "command": command_line(config) if config else "",
        "problem": problem,
        "notes": [str(note) for note in notes] if isinstance(notes, list) else [],
        "best": best,
        "headline": [_scale(best, before, entry) for entry in HEADLINE] if best else [],
        "charts": [_drawn(chart) for chart in charts_of(view)],
        "rows": view.rows,
        "has_instances": any("aji" in row.val for row in view.rows),
        "shots": [_shown(shot) for shot in shots_of(view, folder.path)],
        "outcomes": [(name, _rgb(colour)) for name, colour in OUTCOME_COLORS.items()],
        "colours": [_rgb(colour) for colour in magnitude_colours(STOPS)],
        "limits": MAGNITUDE_LIMITS,
        "bands": MagnitudeBands(),
        "files": [path.name for path in (folder.best, folder.last) if path.exists()]
        + [f"checkpoints/{file.path.name}" for file in view.checkpoints if file.kind == "epoch"],
    }


def _config(folder: RunFolder) -> tuple[TrainConfig | None, str]:
    try:
        return folder.read_config(), ""
    except UserError as error:
        return None, str(error)


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
    return None if math.isnan(value) else round(100 * min(max(value, 0.0), 1.0), 2)


def _drawn(chart: Chart) -> dict[str, Any]:
    keys = [{"name": line.name, "role": line.role, "dashed": line.dashed} for line in chart.lines]
    # Made of numbers and escaped titles alone.
    svg = Markup(svg_of(chart))
    return {"title": chart.title, "note": chart.note, "keys": keys, "svg": svg}


def _shown(shot: Shot) -> Mapping[str, Any]:
    return {
        "epoch": shot.epoch,
        "outcomes": _data(shot.outcomes),
        "magnitude": _data(shot.magnitude),
        "n_true": shot.n_true,
        "n_pred": shot.n_pred,
        "n_matched": shot.n_matched,
        "aji": shot.aji,
    }


def _data(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")


def _number(value: Any, digits: int = 3) -> str:
    if not isinstance(value, int | float) or math.isnan(value):
        return NOTHING
    return f"{value:.{digits}f}".replace("-", MINUS)


def _count(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else NOTHING


def _duration(seconds: float) -> str:
    if math.isnan(seconds):
        return NOTHING
    if seconds < MINUTE:
        return f"{seconds:.1f} s"
    return f"{seconds / MINUTE:.0f} min" if seconds < HOUR else f"{seconds / HOUR:.1f} h"


def _rgb(colour: tuple[int, ...]) -> str:
    return f"rgb({', '.join(str(part) for part in colour)})"
