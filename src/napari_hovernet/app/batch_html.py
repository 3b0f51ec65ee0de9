"""A batch evaluation as one HTML file that needs nothing else."""

from __future__ import annotations

import base64
import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined

from .. import __version__
from ..core.metrics.bootstrap import Interval
from ..core.outcome_colors import OUTCOME_COLORS
from ..core.params import FAULTS
from ..core.pictures import MAGNITUDE_LIMITS, NUCLEUS_LINE, magnitude_colours
from .batch_report import DataAbout
from .batch_types import ALL, OUTCOMES, SCORES, BatchResult, ImageRow, Pictures

TEMPLATE = "evaluation.html"
HEADLINE = ("aji", "pq", "dice")
"""Scores that get a scale of their own."""
HIDDEN = ("cc_aji", "cc_pq", "oracle_aji", "oracle_pq", "all_foreground_dice", "hv_zero_mse",
          "true_magnitude")  # fmt: skip
"""Scores that stand beside others, not in lines of their own."""
FEW = 10
"""Fewer images than this, and the report warns of its intervals."""
STOPS = 9
"""Colours of the scale bar."""
NOTHING, MINUS = "\N{EN DASH}", "\N{MINUS SIGN}"
HASH_SHOWN = 12
OUTCOME_WORDS = {
    "matched": "found, IoU above 0.5",
    "merged": "one prediction over several true nuclei",
    "split": "one true nucleus cut into several",
    "missed": "no prediction fits it (its true outline is drawn)",
    "spurious": "a prediction that fits no true nucleus",
}
BESIDE = {
    "aji": ("connected components", "oracle"),
    "pq": ("connected components", "oracle"),
    "dice": ("all foreground", ""),
    "hv_mse": ("zero map", ""),
    "magnitude_inside": ("", "truth"),
}
"""Short names of the rates beside a score: for nothing, and the best there can be."""


def render_html(result: BatchResult, about: DataAbout) -> str:
    """Return the report.

    Parameters
    ----------
    result : BatchResult
    about : DataAbout
        What the heading says of the data.

    Returns
    -------
    str
        HTML with its styles and pictures inside; it runs no script and loads nothing.

    Examples
    --------
    >>> render_html(result, DataAbout("data")).startswith("<!doctype html>")  # doctest: +SKIP
    True
    """
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True,
                              lstrip_blocks=True)  # fmt: skip
    environment.filters.update(number=_number, count=_count, rgb=_rgb, percent=_percent)
    source = files(__package__).joinpath("templates", TEMPLATE).read_text(encoding="utf-8")
    return environment.from_string(source).render(_context(result, about))


def _context(result: BatchResult, about: DataAbout) -> dict[str, Any]:
    rows = sorted((row for row in result.rows if not row.error), key=_badness)
    verdicts = Counter(row.verdict for row in rows if row.verdict)
    return {
        "about": about,
        "made": datetime.now().astimezone().strftime("%Y-%m-%d %H:%M"),
        "version": __version__,
        "result": result,
        "model": _model_line(result.predictor),
        "rows": rows,
        "failed": result.failed,
        "overall": result.overall,
        "sources": [group for group in result.groups if group.name != ALL],
        "few": result.overall.n < FEW,
        "headline": [_scale(result, key) for key in HEADLINE],
        "lines": [_line(result, key) for key in (s.key for s in SCORES) if key not in HIDDEN],
        "outcomes": _outcomes(result),
        "verdicts": [(word, verdicts[word]) for word in verdicts],
        "has_maps": any(row.verdict for row in rows),
        "cards": [(row, _shown(result.pictures[row.name])) for row in rows
                  if row.name in result.pictures],
        "colours": [_rgb(colour) for colour in magnitude_colours(STOPS)],
        "limits": MAGNITUDE_LIMITS,
        "nucleus_line": NUCLEUS_LINE,
        "how": json.dumps(dict(result.predictor), indent=2, default=str),
        "noted": [(row.name, row.notes) for row in result.rows if row.notes],
    }  # fmt: skip


def _badness(row: ImageRow) -> tuple[float, str]:
    return (row["aji"], row.name)


def _model_line(predictor: Mapping[str, Any]) -> str:
    """Say in a few words where the predictions come from."""
    model = predictor.get("model")
    if not model:
        return f"labels read from {predictor.get('predictions', 'files')}"
    name = " ".join(part for part in (model["architecture"], model["mode"]) if part)
    separation = predictor.get("separation", {})
    how = f"separation {separation.get('method', '')!r}"
    if separation.get("merge_touching"):
        how += ", touching nuclei merged again (faulty on purpose)"
    elif separation.get("method") in FAULTS:
        how += " (faulty on purpose)"
    return f"{name}, SHA-256 {model['sha256'][:HASH_SHOWN]}, {how}"


def _scale(result: BatchResult, key: str) -> dict[str, Any]:
    """Return a score, its interval and the rates beside it, as places in percent of 0..1."""
    line = _line(result, key)
    found: Interval = line["overall"]
    known = not math.isnan(found.low)
    return {
        **line,
        "at": _place(found.mean),
        "low": _place(found.low) if known else None,
        "width": _place(found.high) - _place(found.low) if known else None,
        "base_at": _place(line["base"].mean) if line["base"] else None,
        "best_at": _place(line["best"].mean) if line["best"] else None,
    }


def _place(value: float) -> float:
    return 0.0 if math.isnan(value) else round(100 * min(max(value, 0.0), 1.0), 2)


def _line(result: BatchResult, key: str) -> dict[str, Any]:
    """Return one line of the table of means."""
    score = next(score for score in SCORES if score.key == key)
    means, (base_name, best_name) = result.overall.means, BESIDE.get(key, ("", ""))
    return {
        "key": key,
        "title": score.title,
        "better": score.better,
        "meaning": score.meaning,
        "overall": means[key],
        "groups": [group.means[key] for group in result.groups if group.name != ALL],
        "base": means[score.base] if score.base else None,
        "best": means[score.best] if score.best else None,
        "base_name": base_name,
        "best_name": best_name,
    }


def _outcomes(result: BatchResult) -> list[dict[str, Any]]:
    """Return the outcomes with their numbers and their shares of the true nuclei."""
    counts = result.overall.counts
    total = max(counts["n_true"], 1)
    return [
        {
            "name": name,
            "n": counts[f"n_{name}"],
            "share": counts[f"n_{name}"] / total,
            "colour": _rgb(OUTCOME_COLORS[name]),
            "words": OUTCOME_WORDS[name],
        }
        for name in OUTCOMES
    ]


def _shown(pictures: Pictures) -> dict[str, str]:
    magnitude = "" if pictures.magnitude is None else _data(pictures.magnitude)
    return {"outcomes": _data(pictures.outcomes), "magnitude": magnitude, "place": pictures.place}


def _data(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")


def _number(value: float, digits: int = 3) -> str:
    return NOTHING if math.isnan(value) else f"{value:.{digits}f}".replace("-", MINUS)


def _count(value: float) -> str:
    return NOTHING if math.isnan(value) else f"{int(value):,}"


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def _rgb(colour: Sequence[int]) -> str:
    return f"rgb({', '.join(str(part) for part in colour)})"
