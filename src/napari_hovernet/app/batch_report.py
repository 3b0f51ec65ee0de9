"""Write a batch evaluation as CSV, JSON and HTML: all files or none."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import secrets
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .. import __version__
from ..core.io.atomic import (
    TEMPORARY_PREFIX,
    atomic_path,
    output_error,
    put_in_place,
    writable_folder,
)
from ..core.io.table import FORMULA_STARTS
from ..core.metrics.bootstrap import Interval
from ..errors import OutputError
from .batch_types import COUNTS, SCORES, BatchResult, Group, ImageRow

STEM = "evaluation"
"""Name of the files without their endings."""
FORMATS = ("csv", "json", "html")
SCHEMA = "napari-hovernet/evaluation"
SCHEMA_VERSION = 1
"""Raised whenever a reader of the JSON would have to change."""
DIGITS = 6
"""Significant digits in CSV and JSON."""
TEXTS = ("name", "source", "split", "image", "labels")
COLUMNS = (*TEXTS, *COUNTS, *(score.key for score in SCORES), "verdict", "mpp", "scale",
           "seconds", "notes", "error")  # fmt: skip


@dataclass(frozen=True)
class DataAbout:
    """What a report says of the data.

    Parameters
    ----------
    origin : str
        Folder or index.
    unpaired : tuple of str
        Images left out because they have no labels.
    choices : mapping
        How images were chosen (split, source, samples ...), JSON-able.
    """

    origin: str
    unpaired: tuple[str, ...] = ()
    choices: Mapping[str, Any] | None = None


def report_paths(
    folder: str | os.PathLike[str], formats: Sequence[str] = FORMATS
) -> dict[str, Path]:
    """Name the file of each format.

    Examples
    --------
    >>> report_paths("out", ["csv"])["csv"].name
    'evaluation.csv'
    """
    return {name: Path(folder) / f"{STEM}.{name}" for name in formats}


def write_reports(
    result: BatchResult,
    folder: str | os.PathLike[str],
    about: DataAbout,
    formats: Sequence[str] = FORMATS,
) -> dict[str, Path]:
    """Write the reports; the folder is made, files of those names are replaced.

    All are written to a hidden folder beside and then put in place, so an error or a
    cancel leaves none of them half.

    Parameters
    ----------
    result : BatchResult
    folder : path
    about : DataAbout
    formats : sequence of str
        Out of ``FORMATS``.

    Returns
    -------
    dict of str to Path

    Raises
    ------
    OutputError
        If a file cannot be written.

    Examples
    --------
    >>> write_reports(result, "out", DataAbout("data"))  # doctest: +SKIP
    """
    targets = report_paths(folder, formats)
    texts = {name: _text(name, result, about) for name in formats}
    place = writable_folder(folder)
    staging = place / f"{TEMPORARY_PREFIX}{secrets.token_hex(6)}.tmp"
    try:
        staging.mkdir()
        for name, target in targets.items():
            _write(staging / target.name, target, texts[name])
        put_in_place([(staging / target.name, target) for target in targets.values()], staging)
    except OSError as error:
        raise output_error(folder, error) from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return targets


def _text(name: str, result: BatchResult, about: DataAbout) -> str:
    if name == "csv":
        return as_csv(result.rows)
    if name == "json":
        return json.dumps(as_json(result, about), indent=2, allow_nan=False) + "\n"
    if name == "html":
        from .batch_html import render_html  # noqa: PLC0415 - jinja2 on first use

        return render_html(result, about)
    raise OutputError(f"Unknown report {name!r}; choose from {', '.join(FORMATS)}.")


def _write(staged: Path, target: Path, text: str) -> None:
    """Write one file; an error names where it should have gone."""
    try:
        with atomic_path(staged) as temporary:
            temporary.write_text(text, encoding="utf-8", newline="")
    except OutputError as error:
        if isinstance(error.__cause__, OSError):
            raise output_error(target, error.__cause__) from error
        raise


def as_csv(rows: Sequence[ImageRow]) -> str:
    """Return one line per image; see ``COLUMNS``. What is not defined stays empty.

    Examples
    --------
    >>> as_csv([]).startswith("name,source,split,image,labels,n_true")
    True
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        texts = {name: _harmless(getattr(row, name)) for name in (*TEXTS, "verdict", "error")}
        mpp = math.nan if row.mpp is None else row.mpp
        numbers = {"mpp": mpp, "scale": row.scale, **row.values}
        shown = {name: _shown(value) for name, value in numbers.items()}
        cells = {**shown, **texts, "notes": _harmless("; ".join(row.notes))}
        if row.error:
            cells["scale"] = ""
        writer.writerow([cells.get(name, "") for name in COLUMNS])
    return out.getvalue()


def _harmless(text: str) -> str:
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text


def _shown(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.{DIGITS}g}"


def as_json(result: BatchResult, about: DataAbout) -> dict[str, Any]:
    """Return everything but the pictures as plain values; None stands for "not defined".

    Examples
    --------
    >>> as_json(result, DataAbout("data"))["schema_version"]  # doctest: +SKIP
    1
    """
    params = asdict(result.params)
    return {
        "schema": SCHEMA,
        "schema_version": SCHEMA_VERSION,
        "program": "napari-hovernet",
        "version": __version__,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": _number(result.seconds),
        "data": {
            "origin": about.origin,
            "images": len(result.rows),
            "failed": len(result.failed),
            "unpaired": list(about.unpaired),
            **dict(about.choices or {}),
        },
        "predictor": dict(result.predictor),
        "params": {name: params[name] for name in ("bands", "blobs", "bootstrap")},
        "scores": {
            s.key: {"title": s.title, "better": s.better, "base": s.base, "best": s.best,
                    "meaning": s.meaning}
            for s in SCORES
        },
        "means": {group.name: _group(group) for group in result.groups},
        "rows": [_row(row) for row in result.rows],
    }  # fmt: skip


def _group(group: Group) -> dict[str, Any]:
    return {
        "images": group.n,
        "failed": group.n_failed,
        "scores": {key: _interval(found) for key, found in group.means.items()},
        "counts": dict(group.counts),
    }


def _interval(found: Interval) -> dict[str, float | int | None]:
    return {
        "mean": _number(found.mean),
        "low": _number(found.low),
        "high": _number(found.high),
        "n": found.n,
    }


def _row(row: ImageRow) -> dict[str, Any]:
    about = {name: getattr(row, name) for name in TEXTS}
    if row.error:
        return {**about, "error": row.error}
    values: dict[str, Any] = {
        key: _number(row[key]) for key in (*(s.key for s in SCORES), "seconds")
    }
    counts = {key: int(row[key]) for key in COUNTS}
    more = {"verdict": row.verdict, "mpp": row.mpp, "scale": row.scale, "notes": list(row.notes)}
    return {**about, **counts, **values, **more, "error": ""}


def _number(value: float) -> float | None:
    return None if math.isnan(value) else float(f"{value:.{DIGITS}g}")
