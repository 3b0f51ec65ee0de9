"""The features of every nucleus as CSV."""

from __future__ import annotations

import csv
import json
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ...errors import InputError
from ..types import Evaluation, Nuclei
from .files import METADATA_KEY, atomic_path

if TYPE_CHECKING:
    from ..measure.blobs import BlobReport
    from ..measure.compare import Comparison, ErrorPlace

COLUMNS = (
    "label",
    "centroid_x_px",
    "centroid_y_px",
    "centroid_x_um",
    "centroid_y_um",
    "area_px",
    "area_um2",
    "type",
    "type_name",
    "type_probability",
    "magnitude_mean",
    "magnitude_p95",
    "np_mean",
    "bbox_row0",
    "bbox_col0",
    "bbox_row1",
    "bbox_col1",
)
"""Columns in the order they are written; a field is empty where a number is not known."""
TEXT_COLUMNS = ("type_name",)
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
"""A text that starts so would be run by a spreadsheet; it is written after an apostrophe."""

Column = npt.NDArray[np.float64] | tuple[str, ...]


def write_table(
    path: str | os.PathLike[str],
    nuclei: Nuclei,
    *,
    offset: tuple[int, int] = (0, 0),
    mpp: float | None = None,
) -> None:
    """Write one line per nucleus; see ``COLUMNS``."""
    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(_rows(nuclei, offset, mpp))


def _rows(nuclei: Nuclei, offset: tuple[int, int], mpp: float | None) -> Iterator[list[object]]:
    scale = mpp if mpp else math.nan
    row, col = offset
    for i in range(len(nuclei)):
        x, y = float(nuclei.centroid[i, 0]) + col, float(nuclei.centroid[i, 1]) + row
        area, kind = int(nuclei.area[i]), int(nuclei.type[i])
        name = nuclei.type_names[kind].name if kind and kind in nuclei.type_names else ""
        yield [
            int(nuclei.label[i]),
            *map(_shown, (x, y, x * scale, y * scale)),
            area,
            _shown(area * scale * scale),
            kind or "",
            f"'{name}" if name.startswith(FORMULA_STARTS) else name,
            _shown(nuclei.type_probability[i]) if kind else "",
            *map(_shown, (nuclei.magnitude_mean[i], nuclei.magnitude_p95[i], nuclei.np_mean[i])),
            *(nuclei.bbox[i] + (row, col, row, col)).tolist(),
        ]


def _shown(value: float) -> str:
    """Write a number to six digits, nothing for NaN."""
    return f"{value:.6g}" if abs(value) < 1000 else f"{value:.3f}" if math.isfinite(value) else ""


def read_table(path: str | os.PathLike[str]) -> dict[str, Column]:
    """Read a table of features by column: text for ``type_name``, else numbers with NaN."""
    file = Path(path)
    try:
        with open(file, encoding="utf-8", newline="") as handle:
            header, *rows = list(csv.reader(handle)) or [[]]
    except OSError as error:
        raise InputError(f"Cannot read {file}: {error.strerror or error}.") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{file} is no CSV table: {error}.") from error
    if "label" not in header:
        raise InputError(f"{file} has no column 'label'; its first line is {','.join(header)!r}.")
    for number, row in enumerate(rows, start=2):
        if len(row) != len(header):
            raise InputError(f"{file}, line {number}: {len(row)} fields for {len(header)} columns.")
    return {name: _column(file, name, [row[k] for row in rows]) for k, name in enumerate(header)}


def _column(file: Path, name: str, fields: list[str]) -> Column:
    if name in TEXT_COLUMNS:
        return tuple(fields)
    try:
        return np.array([float(text) if text else math.nan for text in fields], np.float64)
    except ValueError as error:
        raise InputError(f"{file}, column {name}: {error}; give numbers.") from error


BLOB_COLUMNS = (
    "rank",
    "status",
    "component",
    "n_instances",
    "expected_nuclei",
    "score",
    "centroid_x_px",
    "centroid_y_px",
    "centroid_x_um",
    "centroid_y_um",
    "area_px",
    "area_um2",
    "area_ratio",
    "solidity",
    "rim_magnitude",
    "worst_label",
    "worst_area_ratio",
    "worst_solidity",
    "worst_cores",
    "worst_seam",
    "bbox_row0",
    "bbox_col0",
    "bbox_row1",
    "bbox_col1",
)
"""Columns in the order they are written; a field is empty where a number is not known."""


def write_blob_table(
    path: str | os.PathLike[str],
    report: BlobReport,
    *,
    offset: tuple[int, int] = (0, 0),
    mpp: float | None = None,
) -> None:
    """Write one line per component, suspected blobs first; see ``COLUMNS``."""
    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(BLOB_COLUMNS)
        writer.writerows(_lines(report, offset, mpp))


def _lines(
    report: BlobReport, offset: tuple[int, int], mpp: float | None
) -> Iterator[list[object]]:
    scale = mpp if mpp else math.nan
    row0, col0 = offset
    for rank, row in enumerate(report.rows, start=1):
        x, y = row.centroid[0] + col0, row.centroid[1] + row0
        yield [
            rank,
            row.status,
            row.component,
            row.n_instances,
            row.expected,
            _shown_blob_table(row.score),
            *map(_shown_blob_table, (x, y, x * scale, y * scale)),
            row.area,
            *map(_shown_blob_table, (row.area * scale * scale, row.area_ratio, row.solidity)),
            _shown_blob_table(row.rim_magnitude),
            row.worst or "",
            *map(_shown_blob_table, (row.worst_area_ratio, row.worst_solidity)),
            row.worst_cores if row.worst else "",
            _shown_blob_table(row.worst_seam) if row.worst else "",
            *(value + more for value, more in zip(row.bbox, (row0, col0) * 2, strict=True)),
        ]


def _shown_blob_table(value: float) -> str:
    """Write a number to six digits, nothing for NaN."""
    if not math.isfinite(value):
        return ""
    return f"{value:.6g}" if abs(value) < 1000 else f"{value:.3f}"


SCORE_COLUMNS = ("dice", "aji", "aji_plus", "dq", "sq", "pq", "n_true", "n_pred")
HV_COLUMNS = ("hv_mse", "hv_cosine", "hv_magnitude")
OUTCOME_COLUMNS = ("matched", "merged", "split", "missed", "spurious")
COMPARISON_COLUMNS = ("row", *SCORE_COLUMNS, *HV_COLUMNS, *OUTCOME_COLUMNS)
"""Columns in the order they are written; a field is empty where a number is not defined."""
ALL_FOREGROUND = "Every pixel nucleus"
ZERO_HV = "HV of zeros"
TRUE_HV = "HV of the truth"

Row = dict[str, str | float | int]


def comparison_rows(comparison: Comparison) -> list[Row]:
    """Return one row per prediction or base rate; a row holds only what is defined for it."""
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
        COMPARISON_COLUMNS,
        *([_field(row.get(c)) for c in COMPARISON_COLUMNS] for row in comparison_rows(comparison)),
    ]
    return "\n".join("\t".join(line) for line in lines) + "\n"


def write_comparison_csv(path: str | os.PathLike[str], comparison: Comparison) -> None:
    """Write the table; see ``COLUMNS``."""
    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COMPARISON_COLUMNS)
        for row in comparison_rows(comparison):
            writer.writerow([_field(row.get(column)) for column in COMPARISON_COLUMNS])


def write_comparison_json(
    path: str | os.PathLike[str],
    comparison: Comparison,
    metadata: Mapping[str, Any] | None = None,
) -> None:
    """Write scores, base rates, counts, errors with their places, and where all came from."""
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
