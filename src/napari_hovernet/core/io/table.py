"""The features of every nucleus as CSV."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ...errors import InputError
from ..types import Nuclei
from .atomic import atomic_path

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
    """Write one line per nucleus; see ``COLUMNS``.

    Parameters
    ----------
    path : path
        Ends in .csv by custom.
    nuclei : Nuclei
        What to write.
    offset : (int, int)
        Row and column of the nuclei's origin in the whole image, added to all positions.
    mpp : float, optional
        Micrometres per pixel; without it the columns in micrometres stay empty.

    Raises
    ------
    OutputError
        If the file cannot be written; nothing is left of it.

    Examples
    --------
    >>> write_table("nuclei.csv", result.nuclei, mpp=0.25)  # doctest: +SKIP
    """
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
    """Read a table of features by column: text for ``type_name``, else numbers with NaN.

    Raises
    ------
    InputError
        If it is no such CSV, a line is short, or a field is no number.

    Examples
    --------
    >>> read_table("nuclei.csv")["area_px"].mean()  # doctest: +SKIP
    """
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
