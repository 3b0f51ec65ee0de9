"""The rows of the blob check as CSV."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Iterator

from ..blob_types import BlobReport
from .atomic import atomic_path

COLUMNS = (
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
    """Write one line per component, suspected blobs first; see ``COLUMNS``.

    Parameters
    ----------
    path : path
        Ends in .csv by custom.
    report : BlobReport
        What to write.
    offset : (int, int)
        Row and column of the labels' origin in the whole image, added to all positions.
    mpp : float, optional
        Micrometres per pixel; without it the columns in micrometres stay empty.

    Raises
    ------
    OutputError
        If the file cannot be written; nothing is left of it.

    Examples
    --------
    >>> write_blob_table("blobs.csv", blob_report(maps, labels), mpp=0.25)  # doctest: +SKIP
    """
    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
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
            _shown(row.score),
            *map(_shown, (x, y, x * scale, y * scale)),
            row.area,
            *map(_shown, (row.area * scale * scale, row.area_ratio, row.solidity)),
            _shown(row.rim_magnitude),
            row.worst or "",
            *map(_shown, (row.worst_area_ratio, row.worst_solidity)),
            row.worst_cores if row.worst else "",
            _shown(row.worst_seam) if row.worst else "",
            *(value + more for value, more in zip(row.bbox, (row0, col0) * 2, strict=True)),
        ]


def _shown(value: float) -> str:
    """Write a number to six digits, nothing for NaN."""
    if not math.isfinite(value):
        return ""
    return f"{value:.6g}" if abs(value) < 1000 else f"{value:.3f}"
