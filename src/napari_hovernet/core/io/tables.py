"""Tables as CSV: the features of nuclei, the blob check, a comparison with true labels."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ...errors import InputError
from ..limits import check_file
from ..types import Nuclei
from .files import METADATA_KEY, atomic_path, write_json

if TYPE_CHECKING:
    from ..measure.blobs import BlobReport
    from ..measure.compare import Comparison

_PLACE = ("centroid_x_px", "centroid_y_px", "centroid_x_um", "centroid_y_um", "area_px", "area_um2")
_BOX = ("bbox_row0", "bbox_col0", "bbox_row1", "bbox_col1")
COLUMNS = (
    "label", *_PLACE, "type", "type_name", "type_probability",
    "magnitude_mean", "magnitude_p95", "np_mean", *_BOX,
)  # fmt: skip
BLOB_COLUMNS = (
    "rank", "status", "component", "n_instances", "expected_nuclei", "score", *_PLACE,
    "area_ratio", "solidity", "rim_magnitude", "worst_label", "worst_area_ratio",
    "worst_solidity", "worst_cores", "worst_seam", *_BOX,
)  # fmt: skip
SCORE_COLUMNS = ("dice", "aji", "aji_plus", "dq", "sq", "pq", "n_true", "n_pred")
HV_COLUMNS = ("hv_mse", "hv_cosine", "hv_magnitude")
OUTCOME_COLUMNS = ("matched", "merged", "split", "missed", "spurious")
COMPARISON_COLUMNS = ("row", *SCORE_COLUMNS, *HV_COLUMNS, *OUTCOME_COLUMNS)
"""Columns in the order they are written; a field is empty where a number is not known."""
TEXT_COLUMNS = ("type_name",)
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
"""A text that starts so would be run by a spreadsheet; it is written after an apostrophe."""

MAX_TABLE_BYTES = 2**31
"""Of a table that is read."""

Column = npt.NDArray[np.float64] | tuple[str, ...]
Row = dict[str, str | float | int]


def write_table(
    path: str | os.PathLike[str],
    nuclei: Nuclei,
    *,
    offset: tuple[int, int] = (0, 0),
    mpp: float | None = None,
) -> None:
    """Write one line per nucleus; see ``COLUMNS``."""
    _write(path, COLUMNS, _nuclei_rows(nuclei, offset, mpp))


def write_blob_table(
    path: str | os.PathLike[str],
    report: BlobReport,
    *,
    offset: tuple[int, int] = (0, 0),
    mpp: float | None = None,
) -> None:
    """Write one line per component, suspected blobs first; see ``BLOB_COLUMNS``."""
    _write(path, BLOB_COLUMNS, _blob_rows(report, offset, mpp))


def write_comparison_csv(path: str | os.PathLike[str], comparison: Comparison) -> None:
    """Write the table; see ``COMPARISON_COLUMNS``."""
    _write(path, *_comparison_fields(comparison))


def _write(
    path: str | os.PathLike[str], columns: Sequence[str], rows: Iterable[Sequence[object]]
) -> None:
    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows((columns, *rows))


def _nuclei_rows(
    nuclei: Nuclei, offset: tuple[int, int], mpp: float | None
) -> Iterator[list[object]]:
    row, col = offset
    for i in range(len(nuclei)):
        kind = int(nuclei.type[i])
        name = nuclei.type_names[kind].name if kind and kind in nuclei.type_names else ""
        yield [
            int(nuclei.label[i]),
            *_place(nuclei.centroid[i], int(nuclei.area[i]), offset, mpp),
            kind or "",
            f"'{name}" if name.startswith(FORMULA_STARTS) else name,
            _shown(nuclei.type_probability[i]) if kind else "",
            *map(_shown, (nuclei.magnitude_mean[i], nuclei.magnitude_p95[i], nuclei.np_mean[i])),
            *(nuclei.bbox[i] + (row, col, row, col)).tolist(),
        ]


def _blob_rows(
    report: BlobReport, offset: tuple[int, int], mpp: float | None
) -> Iterator[list[object]]:
    for rank, row in enumerate(report.rows, start=1):
        yield [
            rank,
            row.status,
            row.component,
            row.n_instances,
            row.expected,
            _shown(row.score),
            *_place(row.centroid, row.area, offset, mpp),
            *map(_shown, (row.area_ratio, row.solidity, row.rim_magnitude)),
            row.worst or "",
            *map(_shown, (row.worst_area_ratio, row.worst_solidity)),
            row.worst_cores if row.worst else "",
            _shown(row.worst_seam) if row.worst else "",
            *(value + more for value, more in zip(row.bbox, offset * 2, strict=True)),
        ]


def _place(
    centroid: Sequence[float], area: int, offset: tuple[int, int], mpp: float | None
) -> list[object]:
    """Return centroid and area in pixels and in micrometres."""
    scale = mpp if mpp else math.nan
    x, y = float(centroid[0]) + offset[1], float(centroid[1]) + offset[0]
    return [*map(_shown, (x, y, x * scale, y * scale)), area, _shown(area * scale * scale)]


def _shown(value: float) -> str:
    """Write a number to six digits, nothing for NaN."""
    return f"{value:.6g}" if abs(value) < 1000 else f"{value:.3f}" if math.isfinite(value) else ""


def read_table(path: str | os.PathLike[str]) -> dict[str, Column]:
    """Read a table of features by column: text for ``type_name``, else numbers with NaN."""
    file = Path(path)
    check_file(file, "a CSV table", MAX_TABLE_BYTES)
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
        marked = tuple(f"'{start}" for start in FORMULA_STARTS)
        return tuple(text[1:] if text.startswith(marked) else text for text in fields)
    try:
        return np.array([float(text) if text else math.nan for text in fields], np.float64)
    except ValueError as error:
        raise InputError(f"{file}, column {name}: {error}; give numbers.") from error


def comparison_rows(comparison: Comparison) -> list[Row]:
    """Return one row per prediction or base rate; a row holds only what is defined for it."""
    rows: list[Row] = [
        {"row": title, **scores.as_dict(), **scores.outcomes.counts()}
        for title, scores in comparison.rows()
    ]
    rows.append({"row": "Every pixel nucleus", "dice": comparison.all_foreground_dice})
    if (hv := comparison.hv) is not None:
        rows[0] |= {"hv_mse": hv.mse, "hv_cosine": hv.cosine, "hv_magnitude": hv.magnitude}
        rows += [
            {"row": "HV of zeros", "hv_mse": hv.zero_mse, "hv_cosine": 0.0, "hv_magnitude": 0.0},
            {"row": "HV of the truth", "hv_mse": 0.0, "hv_magnitude": hv.true_magnitude},
        ]
    return rows


def comparison_text(comparison: Comparison) -> str:
    """Return the table as lines with tabs between fields: pastes into any spreadsheet."""
    columns, rows = _comparison_fields(comparison)
    return "\n".join("\t".join(line) for line in (columns, *rows)) + "\n"


def _comparison_fields(comparison: Comparison) -> tuple[Sequence[str], list[list[str]]]:
    rows = [[_field(row.get(c)) for c in COMPARISON_COLUMNS] for row in comparison_rows(comparison)]
    return COMPARISON_COLUMNS, rows


def _field(value: str | float | int | None) -> str:
    if isinstance(value, float):
        return f"{value:.6f}" if math.isfinite(value) else ""
    return "" if value is None else str(value)


def write_comparison_json(
    path: str | os.PathLike[str],
    comparison: Comparison,
    metadata: Mapping[str, Any] | None = None,
) -> None:
    """Write scores, base rates, counts, errors with their places, and where all came from."""
    errors = [] if comparison.places is None else comparison.places.errors
    found = [
        {
            "kind": place.kind,
            "true_ids": list(place.true_ids),
            "pred_ids": list(place.pred_ids),
            "bbox": [[place.box[0], place.box[2]], [place.box[1], place.box[3]]],
            "centroid": list(place.centroid),
            "area": place.area,
        }
        for place in errors
    ]
    content = {**comparison.as_dict(), "errors": found, METADATA_KEY: dict(metadata or {})}
    write_json(path, content, ensure_ascii=False, allow_nan=False)
