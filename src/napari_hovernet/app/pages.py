"""What an evaluation leaves behind: CSV, JSON and an HTML page; and how pages are made."""

from __future__ import annotations

import base64
import csv
import io
import json
import math
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from .._version import __version__
from ..core.io.files import staged, write_whole
from ..core.io.tables import FORMULA_STARTS
from ..core.measure.compare import OUTCOME_COLORS
from ..core.params import FAULTS
from ..errors import OutputError
from .evaluate import (
    COUNTS,
    OUTCOMES,
    SCORES,
    BatchResult,
    ImageRow,
    MagnitudeResult,
)
from .figures import MAGNITUDE_LIMITS, NUCLEUS_LINE, magnitude_colours
from .watch import duration

STEM = "evaluation"
"""Name of the files without their endings."""
FORMATS = ("csv", "json", "html")
SCHEMA_VERSION = 1
"""Raised whenever a reader of the JSON would have to change."""
DIGITS = 6
"""Significant digits in CSV and JSON."""
TEXTS = ("name", "source", "split", "image", "labels")
LATER = (
    "detection_f1", "detection_precision", "detection_recall", "type_accuracy", "mpq", "area_bias",
    "boundary_offset",
)  # fmt: skip
"""Scores whose columns stand at the end, so that those before stay where users' scripts look."""
COLUMNS = (*TEXTS, *COUNTS, *(key for key in SCORES if key not in LATER), "verdict", "mpp",
           "scale", "seconds", "notes", "error", *LATER)  # fmt: skip
HEADLINE = ("aji", "pq", "dice")
"""Scores that get a scale of their own on the page."""
HASH_SHOWN = 12
MISLEADING = (
    "misleading: the largest value of the whole image lies outside of nuclei, and was 0.88 to "
    "0.99 in broken runs too"
)
NOTHING, MINUS = "\N{EN DASH}", "\N{MINUS SIGN}"


@dataclass(frozen=True)
class DataAbout:
    """What a report says of the data."""

    origin: str  # Folder or index
    unpaired: tuple[str, ...] = ()  # Images left out because they have no labels
    choices: Mapping[str, Any] | None = None


def report_paths(
    folder: str | os.PathLike[str], formats: Sequence[str] = FORMATS
) -> dict[str, Path]:
    """Name the file of each format."""
    return {name: Path(folder) / f"{STEM}.{name}" for name in formats}


def write_reports(
    result: BatchResult,
    folder: str | os.PathLike[str],
    about: DataAbout,
    formats: Sequence[str] = FORMATS,
) -> dict[str, Path]:
    """Write the reports, all or none; the folder is made, files of those names are replaced."""
    targets = report_paths(folder, formats)
    texts = {target.name: _text(name, result, about) for name, target in targets.items()}
    with staged(folder, list(texts)) as staging:
        for name, text in texts.items():
            write_whole(staging / name, text)
    return targets


def _text(name: str, result: BatchResult, about: DataAbout) -> str:
    if name == "csv":
        return as_csv(result.rows)
    if name == "json":
        return json.dumps(as_json(result, about), indent=2, allow_nan=False) + "\n"
    if name == "html":
        return render_html(result, about)
    raise OutputError(f"Unknown report {name!r}; choose from {', '.join(FORMATS)}.")


def as_csv(rows: Sequence[ImageRow]) -> str:
    """Return one line per image; see ``COLUMNS``. What is not defined stays empty."""
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, restval="", extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for row in rows:
        scale = math.nan if row.error else row.scale
        numbers = {"mpp": math.nan if row.mpp is None else row.mpp, "scale": scale, **row.values}
        texts = {name: getattr(row, name) for name in (*TEXTS, "verdict", "error")}
        texts["notes"] = "; ".join(row.notes)
        cells = {k: "" if math.isnan(v) else f"{v:.{DIGITS}g}" for k, v in numbers.items()}
        cells |= {k: f"'{t}" if t.startswith(FORMULA_STARTS) else t for k, t in texts.items()}
        writer.writerow(cells)
    return out.getvalue()


def as_json(result: BatchResult, about: DataAbout) -> dict[str, Any]:
    """Return everything but the pictures as plain values; None stands for "not defined"."""
    params = asdict(result.params)
    told = ("title", "better", "base", "best", "meaning")
    return {
        "schema": "napari-hovernet/evaluation",
        "schema_version": SCHEMA_VERSION,
        "program": "napari-hovernet",
        "version": __version__,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        **_plain({"seconds": result.seconds}),
        "data": {
            "origin": about.origin,
            "images": len(result.rows),
            "failed": len(result.failed),
            "unpaired": list(about.unpaired),
            **dict(about.choices or {}),
        },
        "predictor": dict(result.predictor),
        "params": {name: params[name] for name in ("bands", "blobs", "bootstrap")},
        "scores": {k: {name: getattr(s, name) for name in told} for k, s in SCORES.items()},
        "means": {
            group.name: {
                "images": group.n,
                "failed": group.n_failed,
                "scores": {key: _plain(asdict(found)) for key, found in group.means.items()},
                "counts": dict(group.counts),
                "typed": _json(group.typed.as_dict()),
            }
            for group in result.groups
        },
        "rows": [_row(row) for row in result.rows],
    }


def _row(row: ImageRow) -> dict[str, Any]:
    about = {name: getattr(row, name) for name in TEXTS}
    if row.error:
        return {**about, "error": row.error}
    more = {"verdict": row.verdict, "mpp": row.mpp, "scale": row.scale, "notes": list(row.notes)}
    values = _plain({key: row[key] for key in (*SCORES, "seconds")})
    return {**about, **{key: int(row[key]) for key in COUNTS}, **values, **more, "error": ""}


def _plain(values: Mapping[str, float]) -> dict[str, float | None]:
    """Round to ``DIGITS`` for JSON; None stands for NaN."""
    return {
        key: None if math.isnan(v) else v if isinstance(v, int) else float(f"{v:.{DIGITS}g}")
        for key, v in values.items()
    }


def _json(value: Any) -> Any:
    """Return plain values with numbers rounded and None for NaN, however deep."""
    if isinstance(value, Mapping):
        return {key: _json(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_json(inner) for inner in value]
    return _plain({"": value})[""] if isinstance(value, float) else value


def render_html(result: BatchResult, about: DataAbout) -> str:
    """Return the report as a page."""
    rows = sorted((row for row in result.rows if not row.error), key=lambda r: (r["aji"], r.name))
    return render(
        "evaluation.html",
        about=about,
        result=result,
        model=_model_line(result.predictor),
        rows=rows,
        noted=[row for row in result.rows if row.notes],
        scores=SCORES,
        headline=HEADLINE,
        outcomes=[(name, OUTCOME_COLORS[name], words) for name, words in OUTCOMES.items()],
        verdicts=Counter(row.verdict for row in rows if row.verdict),
        colours=magnitude_colours(),
        limits=MAGNITUDE_LIMITS,
        nucleus_line=NUCLEUS_LINE,
        how=json.dumps(dict(result.predictor), indent=2, default=str),
    )


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


def magnitude_as_json(result: MagnitudeResult) -> dict[str, Any]:
    """Return the result as plain values; None stands for "not defined"."""
    return {
        "schema": "napari-hovernet/magnitude",
        "schema_version": 1,
        "predictor": dict(result.predictor),
        "whole_image_max": MISLEADING,
        "overall": {
            "images": result.mean.n,
            "failed": len(result.failed),
            "mean": _plain(asdict(result.mean)),
            "direction": _plain(asdict(result.direction)),
            "verdict": result.verdict,
            "verdicts": dict(result.verdicts),
        },
        "rows": [_magnitude_row(row) for row in result.rows],
    }


def _magnitude_row(row: ImageRow) -> dict[str, Any]:
    about = {"name": row.name, "image": row.image}
    report = row.report
    if report is None:
        return {**about, "error": row.error}
    return {
        **about,
        "measured_inside": row.inside,
        "inside": _plain(asdict(report.inside)),
        "outside": _plain(asdict(report.outside)),
        **_plain({"direction": report.direction, "whole_image_max": report.whole_image_max}),
        "verdict": report.verdict,
        "explanation": report.explanation,
        "notes": list(row.notes),
        "error": "",
    }


def render(template: str, **context: Any) -> str:
    """Fill a template of this package; every value is escaped."""
    pages = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True,
                        lstrip_blocks=True, loader=PackageLoader(__package__))  # fmt: skip
    pages.filters.update(number=number, count=count, rgb=rgb, place=place, png=png, took=took)
    made = datetime.now().astimezone().strftime("%Y-%m-%d %H:%M")
    return pages.get_template(template).render(made=made, version=__version__, **context)


def number(value: Any, digits: int = 3) -> str:
    """Return a number, a dash where there is none."""
    if not isinstance(value, int | float) or math.isnan(value):
        return NOTHING
    return f"{value:.{digits}f}".replace("-", MINUS)


def count(value: Any) -> str:
    """Return a whole number, a dash where there is none."""
    if not isinstance(value, int | float) or not math.isfinite(value):
        return NOTHING
    return f"{int(value):,}"


def took(seconds: float) -> str:
    """Return a time, a dash where there is none."""
    return duration(seconds) or NOTHING


def rgb(colour: Sequence[int]) -> str:
    """Return a colour for a style."""
    return f"rgb({', '.join(str(part) for part in colour)})"


def place(value: float) -> float:
    """Return where a value of 0..1 is on a scale, in percent."""
    return 0.0 if math.isnan(value) else round(100 * min(max(value, 0.0), 1.0), 2)


def png(data: bytes, kind: str = "png") -> str:
    """Return a picture as an address."""
    return f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"
