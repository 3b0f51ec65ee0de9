"""A comparison as a table: CSV, JSON, or text for the clipboard."""

from __future__ import annotations

import csv
import json
import math
import os
from collections.abc import Mapping
from typing import Any

from ..comparison_types import Comparison, ErrorPlace
from ..types import Evaluation
from .atomic import atomic_path
from .json_file import METADATA_KEY

SCORE_COLUMNS = ("dice", "aji", "aji_plus", "dq", "sq", "pq", "n_true", "n_pred")
HV_COLUMNS = ("hv_mse", "hv_cosine", "hv_magnitude")
OUTCOME_COLUMNS = ("matched", "merged", "split", "missed", "spurious")
COLUMNS = ("row", *SCORE_COLUMNS, *HV_COLUMNS, *OUTCOME_COLUMNS)
"""Columns in the order they are written; a field is empty where a number is not defined."""
ALL_FOREGROUND = "Every pixel nucleus"
ZERO_HV = "HV of zeros"
TRUE_HV = "HV of the truth"

Row = dict[str, str | float | int]


def comparison_rows(comparison: Comparison) -> list[Row]:
    """Return one row per prediction or base rate; a row holds only what is defined for it.

    Examples
    --------
    >>> from napari_hovernet.core.compare import compare
    >>> [row["row"] for row in comparison_rows(compare([[1, 1]], [[1, 1]]))][-1]
    'Every pixel nucleus'
    """
    rows = [_scored(title, scores) for title, scores in comparison.rows()]
    rows.append({"row": ALL_FOREGROUND, "dice": comparison.all_foreground_dice})
    if comparison.hv is not None:
        hv = comparison.hv
        rows[0] |= {
            "hv_mse": hv.mse,
            "hv_cosine": hv.cosine,
            "hv_magnitude": hv.magnitude,
        }
        rows.append({"row": ZERO_HV, "hv_mse": hv.zero_mse, "hv_cosine": 0.0, "hv_magnitude": 0.0})
        rows.append({"row": TRUE_HV, "hv_mse": 0.0, "hv_magnitude": hv.true_magnitude})
    return rows


def comparison_text(comparison: Comparison) -> str:
    """Return the table as lines with tabs between fields: pastes into any spreadsheet."""
    lines = [
        COLUMNS,
        *([_field(row.get(c)) for c in COLUMNS] for row in comparison_rows(comparison)),
    ]
    return "\n".join("\t".join(line) for line in lines) + "\n"


def write_comparison_csv(path: str | os.PathLike[str], comparison: Comparison) -> None:
    """Write the table; see ``COLUMNS``.

    Raises
    ------
    OutputError
        If the file cannot be written; nothing is left of it.

    Examples
    --------
    >>> write_comparison_csv("scores.csv", comparison)  # doctest: +SKIP
    """
    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for row in comparison_rows(comparison):
            writer.writerow([_field(row.get(column)) for column in COLUMNS])


def write_comparison_json(
    path: str | os.PathLike[str],
    comparison: Comparison,
    metadata: Mapping[str, Any] | None = None,
) -> None:
    """Write scores, base rates, counts, errors with their places, and where all came from.

    Parameters
    ----------
    path : path
        Ends in .json by custom.
    comparison : Comparison
    metadata : mapping, optional
        JSON-able: run, image, truth; kept under ``napari_hovernet``.

    Raises
    ------
    OutputError
        If the file cannot be written; nothing is left of it.

    Examples
    --------
    >>> write_comparison_json("scores.json", comparison)  # doctest: +SKIP
    """
    found = comparison.places
    content = {
        **comparison.as_dict(),
        "errors": [] if found is None else [_place(place) for place in found.errors],
        METADATA_KEY: dict(metadata or {}),
    }
    with atomic_path(path) as temporary:
        text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
        temporary.write_text(text + "\n", encoding="utf-8")


def _scored(title: str, scores: Evaluation) -> Row:
    return {"row": title, **scores.as_dict(), **scores.outcomes.counts()}


def _place(place: ErrorPlace) -> dict[str, Any]:
    r0, r1, c0, c1 = place.box
    return {
        "kind": place.kind,
        "true_ids": list(place.true_ids),
        "pred_ids": list(place.pred_ids),
        "bbox": [[r0, c0], [r1, c1]],
        "centroid": list(place.centroid),
        "area": place.area,
    }


def _field(value: str | float | int | None) -> str:
    if isinstance(value, float):
        return f"{value:.6f}" if math.isfinite(value) else ""
    return "" if value is None else str(value)
