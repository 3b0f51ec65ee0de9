from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from napari_hovernet.core.hv import hv_targets
from napari_hovernet.core.io.tables import COMPARISON_COLUMNS as COLUMNS
from napari_hovernet.core.io.tables import (
    comparison_rows,
    comparison_text,
    write_comparison_csv,
    write_comparison_json,
)
from napari_hovernet.core.measure.compare import compare
from napari_hovernet.core.types import Maps
from napari_hovernet.errors import OutputError


def labels() -> np.ndarray:
    labels = np.zeros((40, 60), np.int32)
    labels[8:32, 6:30], labels[8:32, 30:54] = 4, 9
    return labels


@pytest.fixture
def comparison():
    maps = Maps(np=labels() > 0, hv=0.5 * hv_targets(labels()))
    return compare(labels(), labels() > 0, maps)


def test_the_csv_holds_every_row(tmp_path: Path, comparison) -> None:
    write_comparison_csv(tmp_path / "scores.csv", comparison)
    with open(tmp_path / "scores.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS
    assert [row["row"].split()[0] for row in rows] == [
        "Prediction", "Connected", "True", "Every", "HV", "HV",
    ]  # fmt: skip
    prediction, connected, oracle, full, zeros, truth = rows
    assert float(prediction["aji"]) == pytest.approx(0.5)
    assert prediction["merged"] == connected["merged"] == "2"
    assert (prediction["n_true"], prediction["n_pred"]) == ("2", "1")
    assert float(oracle["aji"]) > 0.97
    assert float(full["dice"]) == pytest.approx(comparison.all_foreground_dice, abs=1e-6)
    assert full["aji"] == full["hv_mse"] == connected["hv_mse"] == ""
    assert float(prediction["hv_mse"]) == pytest.approx(float(zeros["hv_mse"]) / 4, abs=1e-6)
    assert float(truth["hv_magnitude"]) == pytest.approx(
        2 * float(prediction["hv_magnitude"]), abs=1e-5
    )


def test_the_text_is_the_same_table(comparison) -> None:
    lines = [line.split("\t") for line in comparison_text(comparison).splitlines()]
    assert lines[0] == list(COLUMNS)
    assert {len(line) for line in lines} == {len(COLUMNS)}
    assert len(lines) == 1 + len(comparison_rows(comparison))


def test_the_json_holds_places_and_where_it_came_from(tmp_path: Path, comparison) -> None:
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


def test_what_is_not_defined_is_left_empty(tmp_path: Path) -> None:
    empty = np.zeros((4, 4), np.int32)
    comparison = compare(empty, empty, Maps(np=empty, hv=np.zeros((2, 4, 4))))
    write_comparison_json(tmp_path / "scores.json", comparison)
    assert json.loads((tmp_path / "scores.json").read_text())["hv"]["mse"] is None
    assert "nan" not in comparison_text(comparison)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path, comparison) -> None:
    with pytest.raises(OutputError, match="folder does not exist"):
        write_comparison_csv(tmp_path / "no" / "scores.csv", comparison)
    with pytest.raises(OutputError, match="folder does not exist"):
        write_comparison_json(tmp_path / "no" / "scores.json", comparison)
