"""Rows of the blob check as CSV."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from napari_hovernet.core.io.tables import BLOB_COLUMNS as COLUMNS
from napari_hovernet.core.io.tables import write_blob_table
from napari_hovernet.core.measure.blobs import BlobReport, blob_report
from napari_hovernet.core.types import Maps
from napari_hovernet.errors import OutputError


@pytest.fixture
def report() -> BlobReport:
    """Two lone squares and one bar of three, labelled as one."""
    labels = np.zeros((30, 60), np.int32)
    labels[2:12, 2:12], labels[2:12, 20:30] = 7, 9
    labels[20:25, 10:20] = labels[15:30, 20:24] = labels[15:30, 6:10] = 3
    mask = labels > 0
    mask[28:, 50:] = True
    maps = Maps(np=mask.astype(np.float32), hv=np.full((2, 30, 60), 0.3))
    return blob_report(maps, labels, mask=mask)


def read(path: Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_one_line_per_component_in_the_order_of_the_report(
    tmp_path: Path, report: BlobReport
) -> None:
    write_blob_table(tmp_path / "b.csv", report, mpp=0.5)
    lines = read(tmp_path / "b.csv")
    assert tuple(lines[0]) == COLUMNS
    assert [x["rank"] for x in lines] == ["1", "2", "3", "4"]
    assert [x["status"] for x in lines] == ["blob", "single", "single", "empty"]
    for line, row in zip(lines, report.rows, strict=True):
        assert int(line["area_px"]) == row.area
        assert float(line["area_um2"]) == row.area / 4
        assert float(line["centroid_x_um"]) == pytest.approx(row.centroid[0] / 2, rel=1e-5)
        assert float(line["rim_magnitude"]) == pytest.approx(np.hypot(0.3, 0.3), rel=1e-5)
        assert int(line["expected_nuclei"]) == row.expected
        assert float(line["score"]) == pytest.approx(row.score, rel=1e-5)
    assert lines[0]["worst_label"] == "3"


def test_what_is_not_known_stays_empty(tmp_path: Path, report: BlobReport) -> None:
    write_blob_table(tmp_path / "b.csv", report)
    lines = read(tmp_path / "b.csv")
    assert {x["area_um2"] + x["centroid_y_um"] for x in lines} == {""}
    empty = lines[-1]
    names = ("worst_label", "worst_area_ratio", "worst_solidity", "worst_cores", "worst_seam")
    assert [empty[name] for name in names] == [""] * 5


def test_the_offset_moves_boxes_and_centroids(tmp_path: Path, report: BlobReport) -> None:
    write_blob_table(tmp_path / "b.csv", report, offset=(100, 2000))
    for line, row in zip(read(tmp_path / "b.csv"), report.rows, strict=True):
        box = [int(line[f"bbox_{name}"]) for name in ("row0", "col0", "row1", "col1")]
        assert box == [row.bbox[0] + 100, row.bbox[1] + 2000, row.bbox[2] + 100, row.bbox[3] + 2000]
        assert float(line["centroid_y_px"]) == pytest.approx(row.centroid[1] + 100, rel=1e-5)


def test_nothing_gives_a_header(tmp_path: Path) -> None:
    write_blob_table(tmp_path / "b.csv", blob_report(None, np.zeros((4, 4), int)))
    assert (tmp_path / "b.csv").read_text(encoding="utf-8") == ",".join(COLUMNS) + "\n"


def test_a_folder_that_is_not_there_is_named(tmp_path: Path, report: BlobReport) -> None:
    with pytest.raises(OutputError, match="does not exist"):
        write_blob_table(tmp_path / "none" / "b.csv", report)
