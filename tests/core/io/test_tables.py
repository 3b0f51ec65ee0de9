"""Tables as CSV: a line per nucleus, per component, per prediction."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_hovernet.core.hv import hv_targets
from napari_hovernet.core.io.tables import (
    BLOB_COLUMNS,
    COLUMNS,
    comparison_text,
    read_table,
    write_blob_table,
    write_comparison_json,
    write_table,
)
from napari_hovernet.core.measure.blobs import BlobReport, blob_report
from napari_hovernet.core.measure.compare import compare
from napari_hovernet.core.types import Maps, TypeInfo
from napari_hovernet.errors import InputError


def test_nuclei_come_back_with_offset_and_without_types(tmp_path, nuclei, untyped, none) -> None:
    write_table(tmp_path / "n.csv", nuclei, mpp=0.25)
    back = read_table(tmp_path / "n.csv")
    assert tuple(back) == COLUMNS
    assert np.array_equal(back["label"], nuclei.label)
    assert np.allclose(back["area_um2"], nuclei.area * 0.0625)
    assert np.allclose(back["centroid_x_um"], nuclei.centroid[:, 0] * 0.25)
    assert np.allclose(back["magnitude_p95"], nuclei.magnitude_p95)
    assert back["type_name"] == ("", "neoplastic", "inflammatory") * 2
    assert back["type_probability"][1] == 0.75
    write_table(tmp_path / "n.csv", nuclei, offset=(1000, 20_000))
    back = read_table(tmp_path / "n.csv")
    assert np.allclose(back["centroid_x_px"], nuclei.centroid[:, 0] + 20_000, atol=1e-3)
    assert np.array_equal(back["bbox_row1"], nuclei.bbox[:, 2] + 1000)
    write_table(tmp_path / "n.csv", untyped)
    back = read_table(tmp_path / "n.csv")
    for name in ("area_um2", "centroid_y_um", "type", "type_probability", "magnitude_p95"):
        assert np.isnan(back[name]).all(), name
    assert np.isfinite(back["magnitude_mean"]).all()
    write_table(tmp_path / "n.csv", none)
    assert (tmp_path / "n.csv").read_text() == ",".join(COLUMNS) + "\n"
    hostile = replace(nuclei, type_names={1: TypeInfo('=HYPERLINK("x")', (0, 0, 0))})
    write_table(tmp_path / "n.csv", hostile)
    assert "'=HYPER" in (tmp_path / "n.csv").read_text()
    assert read_table(tmp_path / "n.csv")["type_name"][1] == '=HYPERLINK("x")'


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no column 'label'"),
        (b"a,b\n1,2\n", "no column 'label'"),
        (b"label,area_px\n1\n", "line 2: 1 fields for 2 columns"),
        (b"label,area_px\n1,x\n", "column area_px"),
        (b"label\n\xff\xfe\n", "no CSV table"),
    ],
)
def test_broken_files_are_refused_by_name(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "given.csv").write_bytes(content)
    with pytest.raises(InputError, match=said) as caught:
        read_table(tmp_path / "given.csv")
    assert "given.csv" in str(caught.value)


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


def read_rows(path: Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_one_line_per_component_in_the_order_of_the_report(tmp_path, report) -> None:
    write_blob_table(tmp_path / "b.csv", report, mpp=0.5)
    lines = read_rows(tmp_path / "b.csv")
    assert tuple(lines[0]) == BLOB_COLUMNS
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
    write_blob_table(tmp_path / "b.csv", report)
    lines = read_rows(tmp_path / "b.csv")
    assert {x["area_um2"] + x["centroid_y_um"] for x in lines} == {""}
    empty = lines[-1]
    names = ("worst_label", "worst_area_ratio", "worst_solidity", "worst_cores", "worst_seam")
    assert [empty[name] for name in names] == [""] * 5
    write_blob_table(tmp_path / "b.csv", report, offset=(100, 2000))
    for line, row in zip(read_rows(tmp_path / "b.csv"), report.rows, strict=True):
        box = [int(line[f"bbox_{name}"]) for name in ("row0", "col0", "row1", "col1")]
        assert box == [row.bbox[0] + 100, row.bbox[1] + 2000, row.bbox[2] + 100, row.bbox[3] + 2000]
        assert float(line["centroid_y_px"]) == pytest.approx(row.centroid[1] + 100, rel=1e-5)
    write_blob_table(tmp_path / "b.csv", blob_report(None, np.zeros((4, 4), int)))
    assert (tmp_path / "b.csv").read_text(encoding="utf-8") == ",".join(BLOB_COLUMNS) + "\n"


def two_touching() -> np.ndarray:
    two_touching = np.zeros((40, 60), np.int32)
    two_touching[8:32, 6:30], two_touching[8:32, 30:54] = 4, 9
    return two_touching


@pytest.fixture
def comparison():
    maps = Maps(np=two_touching() > 0, hv=0.5 * hv_targets(two_touching()))
    return compare(two_touching(), two_touching() > 0, maps)


def test_the_json_holds_places_and_what_is_not_defined_stays_empty(tmp_path, comparison) -> None:
    write_comparison_json(tmp_path / "scores.json", comparison, {"run": "compact 1"})
    content = json.loads((tmp_path / "scores.json").read_text())
    assert content["prediction"]["aji"] == pytest.approx(0.5)
    assert content["napari_hovernet"] == {"run": "compact 1"}
    assert content["errors"] == [
        {
            "kind": "merged",
            "true_ids": [4, 9],
            "pred_ids": [1],
            "bbox": [[8, 6], [32, 54]],
            "centroid": [29.5, 19.5],
            "area": 1152,
        }
    ]
    empty = np.zeros((4, 4), np.int32)
    comparison = compare(empty, empty, Maps(np=empty, hv=np.zeros((2, 4, 4))))
    write_comparison_json(tmp_path / "scores.json", comparison)
    assert json.loads((tmp_path / "scores.json").read_text())["hv"]["mse"] is None
    assert "nan" not in comparison_text(comparison)
