"""JSON results of hover_net."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_hovernet.core.io.geojson import rasterize
from napari_hovernet.core.io.hover_net import read_hovernet_json, write_hovernet_json
from napari_hovernet.core.types import Int32, Nuclei
from napari_hovernet.errors import InputError

SQUARE = [[1, 1], [3, 1], [3, 3], [1, 3]]


def test_round_trip(tmp_path: Path, labels: Int32, nuclei: Nuclei) -> None:
    write_hovernet_json(tmp_path / "n.json", nuclei)
    back = read_hovernet_json(tmp_path / "n.json")
    assert np.array_equal(rasterize(back, labels.shape), labels)
    assert np.array_equal(back.type, nuclei.type)
    assert back.type_names == nuclei.type_names
    assert back.ids == tuple(map(str, nuclei.label))
    assert np.allclose(back.measurements["Type probability"], nuclei.type_probability)


def test_the_file_has_the_members_of_hover_net(tmp_path: Path, nuclei: Nuclei) -> None:
    write_hovernet_json(tmp_path / "n.json", nuclei, offset=(100, 200), mpp=0.25)
    data = json.loads((tmp_path / "n.json").read_text())
    assert data["mag"] == 40
    first = data["nuc"]["1"]
    assert set(first) == {"bbox", "centroid", "contour", "type_prob", "type"}
    assert first["bbox"] == [[105, 205], [115, 212]]
    assert first["centroid"] == [208.0, 109.5]
    assert first["contour"][0] == [205, 105]
    assert data["nuc"]["2"]["type"] == 1


def test_without_types_and_mpp_there_are_nulls(tmp_path: Path, untyped: Nuclei) -> None:
    write_hovernet_json(tmp_path / "n.json", untyped)
    data = json.loads((tmp_path / "n.json").read_text())
    assert data["mag"] is None
    assert data["nuc"]["1"]["type"] is None
    back = read_hovernet_json(tmp_path / "n.json")
    assert not back.type.any()
    assert np.isnan(back.measurements["Type probability"]).all()


def test_no_nuclei_make_a_valid_file(tmp_path: Path, none: Nuclei) -> None:
    write_hovernet_json(tmp_path / "n.json", none)
    assert len(read_hovernet_json(tmp_path / "n.json")) == 0


def test_ids_with_gaps_and_fractional_contours_are_read(tmp_path: Path) -> None:
    file = tmp_path / "n.json"
    moved = [[x + 0.4, y] for x, y in SQUARE]
    file.write_text(
        json.dumps({"nuc": {"7": {"contour": SQUARE}, "3": {"contour": moved, "type": 2}}})
    )
    back = read_hovernet_json(file)
    assert back.ids == ("7", "3")
    assert back.type_names[2].name == "type 2"
    assert (rasterize(back) > 0).sum() == 9


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ([], "must be an object with 'nuc'"),
        ({"mag": 40}, "lacks 'nuc'"),
        ({"nuc": []}, "no object of nuclei"),
        ({"nuc": {"1": []}}, "Nucleus '1' must be an object with 'contour'"),
        ({"nuc": {"1": {}}}, "lacks 'contour'"),
        ({"nuc": {"-1": {"contour": SQUARE}}}, "whole numbers from 1"),
        ({"nuc": {"0": {"contour": SQUARE}}}, "whole numbers from 1"),
        ({"nuc": {"a": {"contour": SQUARE}}}, "whole numbers from 1"),
        ({"nuc": {"1": {"contour": []}}}, r"list of \[x, y\]"),
        ({"nuc": {"1": {"contour": [[SQUARE]]}}}, r"list of \[x, y\]"),
        ({"nuc": {"1": {"contour": [[1e12, 0]]}}}, "leaves the"),
        ({"nuc": {"1": {"contour": [[0, 0], [9000, 0]]}}}, "spans 9001"),
        ({"nuc": {"1": {"contour": SQUARE, "type": 1.5}}}, "type is 1.5"),
        ({"nuc": {"1": {"contour": SQUARE, "type": -1}}}, "type is -1"),
        ({"nuc": {"1": {"contour": SQUARE, "type": "a"}}}, "must be numbers"),
        ({"nuc": {"1": {"contour": SQUARE, "type": [1]}}}, "one number"),
        ({"nuc": {"1": {"contour": SQUARE, "type_prob": "x"}}}, "type_prob"),
    ],
)
def test_broken_files_are_refused_by_name(tmp_path: Path, data: Any, said: str) -> None:
    file = tmp_path / "given.json"
    file.write_text(json.dumps(data))
    with pytest.raises(InputError, match=said) as caught:
        read_hovernet_json(file)
    assert "given.json" in str(caught.value)
