"""GeoJSON for QuPath."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_hovernet.core.io import geojson
from napari_hovernet.core.io.geojson import rasterize, read_geojson, signed_area, write_geojson
from napari_hovernet.core.types import Int32, Nuclei
from napari_hovernet.errors import InputError

RING = [[0, 0], [4, 0], [4, 3], [0, 3], [0, 0]]


def feature(**changes: Any) -> dict[str, Any]:
    base = {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [RING]},
        "properties": {},
    }
    return {**base, **changes}


def read(folder: Path, data: Any) -> geojson.Polygons:
    file = folder / "given.geojson"
    file.write_text(json.dumps(data))
    return read_geojson(file)


def test_round_trip_gives_labels_types_and_measurements_back(
    tmp_path: Path, labels: Int32, nuclei: Nuclei
) -> None:
    write_geojson(tmp_path / "n.geojson", nuclei, mpp=0.5)
    back = read_geojson(tmp_path / "n.geojson")
    assert np.array_equal(rasterize(back, labels.shape), labels)
    assert np.array_equal(back.type, nuclei.type)
    assert back.type_names == nuclei.type_names
    assert np.array_equal(back.measurements["Label"], nuclei.label)
    assert np.allclose(back.measurements["Area µm^2"], nuclei.area * 0.25)
    assert np.allclose(back.measurements["HV magnitude mean"], nuclei.magnitude_mean)


def test_a_file_is_what_qupath_reads(tmp_path: Path, nuclei: Nuclei) -> None:
    write_geojson(tmp_path / "n.geojson", nuclei, metadata={"version": "1"})
    data = json.loads((tmp_path / "n.geojson").read_text(encoding="utf-8"))
    assert data["type"] == "FeatureCollection"
    assert data["napari_hovernet"]["version"] == "1"
    assert len(data["features"]) == len(nuclei)
    assert len({uuid.UUID(f["id"]) for f in data["features"]}) == len(nuclei)
    for f, area in zip(data["features"], nuclei.area, strict=True):
        assert f["properties"]["objectType"] == "detection"
        rings = f["geometry"]["coordinates"]
        flat = rings if f["geometry"]["type"] == "Polygon" else [r for part in rings for r in part]
        assert all(ring[0] == ring[-1] for ring in flat)
        assert sum(abs(signed_area(np.array(ring[:-1], float))) for ring in flat) == area
        assert all(isinstance(v, float) for v in f["properties"]["measurements"].values())
    assert data["features"][1]["properties"]["classification"] == {
        "name": "neoplastic",
        "color": [255, 0, 0],
    }
    assert "classification" not in data["features"][0]["properties"]


def test_offset_moves_every_point(tmp_path: Path, labels: Int32, nuclei: Nuclei) -> None:
    write_geojson(tmp_path / "n.geojson", nuclei, offset=(7, 11))
    drawn = rasterize(read_geojson(tmp_path / "n.geojson"), (60, 80))
    assert np.array_equal(drawn[7:47, 11:71], labels)


def test_ids_depend_on_the_run_and_on_nothing_else(tmp_path: Path, nuclei: Nuclei) -> None:
    ids = []
    for name, run in (("a", "x"), ("b", "x"), ("c", "y")):
        write_geojson(tmp_path / name, nuclei, metadata={"id": run})
        ids.append(read_geojson(tmp_path / name).ids)
    assert ids[0] == ids[1]
    assert not set(ids[0]) & set(ids[2])


def test_unknown_numbers_are_left_out(tmp_path: Path, untyped: Nuclei) -> None:
    write_geojson(tmp_path / "n.geojson", untyped)
    back = read_geojson(tmp_path / "n.geojson")
    assert set(back.measurements) == {"Label", "Area px^2", "HV magnitude mean", "NP mean"}
    assert not back.type.any()


def test_no_nuclei_make_a_valid_file(tmp_path: Path, none: Nuclei) -> None:
    write_geojson(tmp_path / "n.geojson", none)
    assert len(read_geojson(tmp_path / "n.geojson")) == 0


def test_a_wrong_object_type_is_refused(tmp_path: Path, nuclei: Nuclei) -> None:
    with pytest.raises(InputError, match="'blob'; choose one of detection, cell"):
        write_geojson(tmp_path / "n.geojson", nuclei, object_type="blob")
    assert not list(tmp_path.iterdir())


def test_lists_single_features_holes_and_multipolygons_are_read(tmp_path: Path) -> None:
    hole = [[1, 1], [2, 1], [2, 2], [1, 2], [1, 1]]
    far = [[10, 0], [12, 0], [12, 2], [10, 2], [10, 0]]
    holed = feature(geometry={"type": "Polygon", "coordinates": [RING, hole]})
    several = feature(geometry={"type": "MultiPolygon", "coordinates": [[RING], [far]]})
    assert (rasterize(read(tmp_path, [holed])) == 1).sum() == 11
    assert (rasterize(read(tmp_path, several)) == 1).sum() == 16


def test_of_a_cell_the_nucleus_is_taken_and_points_are_left_out(tmp_path: Path) -> None:
    small = [[0, 0], [2, 0], [2, 2], [0, 2], [0, 0]]
    cell = feature(nucleusGeometry={"type": "Polygon", "coordinates": [small]})
    point = feature(geometry={"type": "Point", "coordinates": [1, 1]})
    nowhere = feature(geometry=None)
    back = read(tmp_path, {"type": "FeatureCollection", "features": [cell, point, nowhere]})
    assert rasterize(back).sum() == 4
    assert back.notes == ("2 features that are no areas were left out",)


def test_classes_of_other_programs_are_numbered_as_they_come(tmp_path: Path) -> None:
    kinds = [
        {"name": "Tumor", "colorRGB": -3670016},
        {"names": ["Immune", "Positive"], "color": [1, 2, 3]},
        {"name": "Tumor"},
    ]
    back = read(tmp_path, [feature(properties={"classification": kind}) for kind in kinds])
    assert back.type.tolist() == [1, 2, 1]
    assert [info.name for info in back.type_names.values()] == ["Tumor", "Immune: Positive"]
    assert back.type_names[1].color == (200, 0, 0)


def test_measurements_before_qupath_0_4_are_read(tmp_path: Path) -> None:
    old = feature(properties={"measurements": [{"name": "Area", "value": 3}]})
    back = read(tmp_path, [old, feature()])
    assert back.measurements["Area"][0] == 3
    assert np.isnan(back.measurements["Area"][1])


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("text", "must be an object with 'type'"),
        ({"type": "Topology"}, "a FeatureCollection is needed"),
        ({"type": "FeatureCollection"}, "lacks 'features'"),
        ({"type": "FeatureCollection", "features": {}}, "is no list"),
        ([{"type": "Feature"}], "Feature 1 lacks 'geometry'"),
        ([feature(geometry={"type": "Polygon"})], "lacks 'coordinates'"),
        ([feature(geometry={"type": "Polygon", "coordinates": RING})], r"list of \[x, y\]"),
        ([feature(geometry={"type": "Polygon", "coordinates": []})], "lists of rings"),
        ([feature(geometry={"type": "Polygon", "coordinates": {}})], "lists of rings"),
        ([feature(geometry={"type": "Polygon", "coordinates": [[[0, 0], [1]]]})], "unevenly"),
        ([feature(geometry={"type": "Polygon", "coordinates": [[[0, 0]]]})], "3 or more"),
        (
            [feature(geometry={"type": "Polygon", "coordinates": [[[0, 0], [1e9, 0], [0, 1]]]})],
            "coordinate 1e",
        ),
        ([feature(geometry={"type": "Point", "coordinates": [0, 0]})], "none of its features"),
        ([feature(properties={"measurements": [{"name": "a"}]})], "name and value"),
        ([feature(properties={"measurements": {"a": 10**400}})], "too large"),
    ],
)
def test_broken_files_are_refused_by_name(tmp_path: Path, data: Any, said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        read(tmp_path, data)
    assert "given.geojson" in str(caught.value)


def test_too_many_measurements_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(geojson, "MAX_MEASUREMENTS", 1)
    with pytest.raises(InputError, match="2 different measurements"):
        read(tmp_path, [feature(properties={"measurements": {"a": 1, "b": 2}})])


def test_damaged_types_of_ours_are_ignored(tmp_path: Path) -> None:
    data = {
        "type": "FeatureCollection",
        "features": [feature(properties={"classification": {"name": "a"}})],
        "napari_hovernet": {"types": {"one": 1}},
    }
    assert read(tmp_path, data).type.tolist() == [1]
