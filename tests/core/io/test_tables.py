"""Tables as CSV: a line per nucleus, per component, per prediction."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_hovernet.core.hv import hv_targets
from napari_hovernet.core.io import tables
from napari_hovernet.core.measure.compare import compare
from napari_hovernet.core.types import Maps, TypeInfo

from ...refusals import refuses


def test_nuclei_come_back_with_offset_and_without_types(tmp_path, nuclei, untyped, none) -> None:
    tables.write_table(tmp_path / "n.csv", nuclei, mpp=0.25)
    back = tables.read_table(tmp_path / "n.csv")
    assert tuple(back) == tables.COLUMNS and np.array_equal(back["label"], nuclei.label)
    assert np.allclose(back["area_um2"], nuclei.area * 0.0625)
    assert np.allclose(back["centroid_x_um"], nuclei.centroid[:, 0] * 0.25)
    assert np.allclose(back["magnitude_p95"], nuclei.magnitude_p95)
    assert back["type_name"] == ("", "neoplastic", "inflammatory") * 2
    assert back["type_probability"][1] == 0.75
    tables.write_table(tmp_path / "n.csv", nuclei, offset=(1000, 20_000))
    back = tables.read_table(tmp_path / "n.csv")
    assert np.allclose(back["centroid_x_px"], nuclei.centroid[:, 0] + 20_000, atol=1e-3)
    assert np.array_equal(back["bbox_row1"], nuclei.bbox[:, 2] + 1000)
    tables.write_table(tmp_path / "n.csv", untyped)
    back = tables.read_table(tmp_path / "n.csv")
    for name in ("area_um2", "centroid_y_um", "type", "type_probability", "magnitude_p95"):
        assert np.isnan(back[name]).all(), name
    assert np.isfinite(back["magnitude_mean"]).all()
    tables.write_table(tmp_path / "n.csv", none)
    assert (tmp_path / "n.csv").read_text() == ",".join(tables.COLUMNS) + "\n"
    hostile = replace(nuclei, type_names={1: TypeInfo('=HYPERLINK("x")', (0, 0, 0))})
    tables.write_table(tmp_path / "n.csv", hostile)
    assert "'=HYPER" in (tmp_path / "n.csv").read_text()
    assert tables.read_table(tmp_path / "n.csv")["type_name"][1] == '=HYPERLINK("x")'


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
    assert "given.csv" in refuses(said, tables.read_table, tmp_path / "given.csv")


def test_the_json_holds_places_and_what_is_not_defined_stays_empty(tmp_path) -> None:
    labels = np.zeros((40, 60), np.int32)
    labels[8:32, 6:30], labels[8:32, 30:54] = 4, 9
    maps = Maps(np=labels > 0, hv=0.5 * hv_targets(labels))
    comparison = compare(labels, labels > 0, maps)
    tables.write_comparison_json(tmp_path / "scores.json", comparison, {"run": "compact 1"})
    content = json.loads((tmp_path / "scores.json").read_text())
    assert content["prediction"]["aji"] == pytest.approx(0.5)
    assert content["napari_hovernet"] == {"run": "compact 1"}
    (error,) = content["errors"]
    assert (error["kind"], error["true_ids"], error["pred_ids"]) == ("merged", [4, 9], [1])
    place = (error["bbox"], error["centroid"], error["area"])
    assert place == ([[8, 6], [32, 54]], [29.5, 19.5], 1152)
    empty = np.zeros((4, 4), np.int32)
    comparison = compare(empty, empty, Maps(np=empty, hv=np.zeros((2, 4, 4))))
    tables.write_comparison_json(tmp_path / "scores.json", comparison)
    assert json.loads((tmp_path / "scores.json").read_text())["hv"]["mse"] is None
    assert "nan" not in tables.comparison_text(comparison)
