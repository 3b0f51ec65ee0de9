"""Outlines of nuclei: drawn, written as GeoJSON and hover_net's JSON, and read."""

import json
import math
import zipfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy import ndimage as ndi

from napari_hovernet.core.io import FORMATS, geojson
from napari_hovernet.core.io import geojson as module
from napari_hovernet.core.io.hover_net import (
    MAX_CONTOUR_EDGE,
    read_hovernet_json,
    write_hovernet_json,
)
from napari_hovernet.core.io.open import read_labels
from napari_hovernet.core.io.rois import write_rois
from napari_hovernet.core.measure.nuclei import measure
from napari_hovernet.core.types import Int32, Nuclei, TypeInfo
from napari_hovernet.errors import InputError

from ...refusals import refuses


def signed_area(ring: np.ndarray) -> float:
    """Area in square pixels, positive for rings that run clockwise on the screen."""
    x, y = ring[:, 0], ring[:, 1]
    return float(0.5 * (x * np.roll(y, -1) - np.roll(x, -1) * y).sum())


SQUARE = np.array([[1, 1], [3, 1], [3, 3], [1, 3]], float)


@pytest.mark.parametrize("seed", range(20))
def test_outlines_give_any_mask_back_and_have_its_area(seed: int) -> None:
    rng = np.random.default_rng(seed)
    mask = rng.random((rng.integers(1, 14), rng.integers(1, 14))) < rng.random()
    rings = module.mask_outlines(mask)
    assert sum(signed_area(ring) for ring in rings) == mask.sum()
    if mask.any():
        assert np.array_equal(
            module.rasterize(module.Polygons((tuple(rings),)), mask.shape) > 0, mask
        )


def test_outlines_never_touch_themselves_and_absurd_sizes_are_refused(tmp_path) -> None:
    assert len(module.mask_outlines(np.array([[1, 0], [0, 1]], bool))) == 2
    filled = ndi.binary_fill_holes(np.random.default_rng(1).random((30, 30)) < 0.6)
    rings = module.mask_outlines(filled)
    assert len(rings) > 5
    for ring in rings:
        assert len(np.unique(ring, axis=0)) == len(ring)
    far = {"contour": [[0, 0], [MAX_CONTOUR_EDGE, 0], [0, 1]], "type": None}
    (tmp_path / "far.json").write_text(json.dumps({"nuc": {"1": far}}))
    refuses("Nucleus '1': its contour spans 4097", read_hovernet_json, tmp_path / "far.json")
    refuses("has shape", module.contour_outlines, np.zeros((0, 2), np.int32))
    refuses("too large", lambda: module.rasterize(module.Polygons(((SQUARE * 300_000,),))))


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
    return module.read_geojson(file)


def test_round_trip_gives_labels_types_and_measurements_back(tmp_path, labels, nuclei) -> None:
    module.write_geojson(tmp_path / "n.geojson", nuclei, mpp=0.5)
    back = module.read_geojson(tmp_path / "n.geojson")
    assert np.array_equal(module.rasterize(back, labels.shape), labels)
    assert np.array_equal(back.type, nuclei.type) and back.type_names == nuclei.type_names
    assert np.array_equal(back.measurements["Label"], nuclei.label)
    assert np.allclose(back.measurements["Area µm^2"], nuclei.area * 0.25)
    assert np.allclose(back.measurements["HV magnitude mean"], nuclei.magnitude_mean)


def test_ids_depend_on_the_run_alone_and_an_empty_result_keeps_its_size(tmp_path, nuclei, none):
    ids = []
    for name, run in (("a", "x"), ("b", "x"), ("c", "y")):
        module.write_geojson(tmp_path / name, nuclei, metadata={"id": run})
        ids.append(module.read_geojson(tmp_path / name).ids)
    assert ids[0] == ids[1] and not set(ids[0]) & set(ids[2])
    about = {"shape": [30, 40], "offset": [2, 3]}
    module.write_geojson(tmp_path / "a.geojson", none, metadata=about)
    write_hovernet_json(tmp_path / "a.json", none, metadata=about)
    assert module.read_geojson(tmp_path / "a.geojson").shape == (32, 43)
    assert read_hovernet_json(tmp_path / "a.json").shape == (32, 43)


def test_every_kind_of_feature_is_read(tmp_path) -> None:
    hole = [[1, 1], [2, 1], [2, 2], [1, 2], [1, 1]]
    far = [[10, 0], [12, 0], [12, 2], [10, 2], [10, 0]]
    holed = feature(geometry={"type": "Polygon", "coordinates": [RING, hole]})
    several = feature(geometry={"type": "MultiPolygon", "coordinates": [[RING], [far]]})
    assert (module.rasterize(read(tmp_path, [holed])) == 1).sum() == 11
    assert (module.rasterize(read(tmp_path, several)) == 1).sum() == 16
    small = [[0, 0], [2, 0], [2, 2], [0, 2], [0, 0]]
    cell = feature(nucleusGeometry={"type": "Polygon", "coordinates": [small]})
    point = feature(geometry={"type": "Point", "coordinates": [1, 1]})
    nowhere = feature(geometry=None)
    back = read(tmp_path, {"type": "FeatureCollection", "features": [cell, point, nowhere]})
    assert module.rasterize(back).sum() == 4
    assert back.notes == ("2 features that are no areas were left out",)


def test_classes_are_numbered_as_they_come(tmp_path) -> None:
    kinds = [
        {"name": "Tumor", "colorRGB": -3670016},
        {"names": ["Immune", "Positive"], "color": [1, 2, 3]},
        {"name": "Tumor"},
    ]
    back = read(tmp_path, [feature(properties={"classification": kind}) for kind in kinds])
    assert back.type.tolist() == [1, 2, 1]
    assert [info.name for info in back.type_names.values()] == ["Tumor", "Immune: Positive"]
    assert back.type_names[1].color == (200, 0, 0)
    data = {
        "type": "FeatureCollection",
        "features": [feature(properties={"classification": {"name": "a"}})],
        "napari_hovernet": {"types": {"one": 1}},
    }
    assert read(tmp_path, data).type.tolist() == [1]


def test_measurements_of_any_qupath_are_read(tmp_path) -> None:
    old = feature(properties={"measurements": [{"name": "Area", "value": 3}]})
    back = read(tmp_path, [old, feature()])
    assert back.measurements["Area"][0] == 3 and np.isnan(back.measurements["Area"][1])
    # QuPath writes NaN where it could not measure.
    text = json.dumps(feature(properties={"measurements": {"Solidity": math.nan, "Area": 3.0}}))
    (tmp_path / "q.geojson").write_text(text)
    back = module.read_geojson(tmp_path / "q.geojson").measurements
    assert np.isnan(back["Solidity"][0]) and back["Area"][0] == 3
    broken = [[1, math.nan], *RING[1:]]
    with pytest.raises(InputError, match="ring"):
        read(tmp_path, [feature(geometry={"type": "Polygon", "coordinates": [broken]})])


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("text", "must be an object with 'type'"),
        ({"type": "Topology"}, "a FeatureCollection is needed"),
        ({"type": "FeatureCollection"}, "lacks 'features'"),
        ([{"type": "Feature"}], "Feature 1 lacks 'geometry'"),
        ([feature(geometry={"type": "Polygon"})], "lacks 'coordinates'"),
        ([feature(geometry={"type": "Polygon", "coordinates": RING})], r"list of \[x, y\]"),
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
def test_broken_geojson_is_refused_by_name(tmp_path: Path, data: Any, said: str) -> None:
    assert "given.geojson" in refuses(said, read, tmp_path, data)


CONTOUR = [[1, 1], [3, 1], [3, 3], [1, 3]]


def test_hover_net_s_json_there_and_back(tmp_path: Path, labels: Int32, nuclei: Nuclei) -> None:
    write_hovernet_json(tmp_path / "n.json", nuclei)
    back = read_hovernet_json(tmp_path / "n.json")
    assert np.array_equal(module.rasterize(back, labels.shape), labels)
    assert np.array_equal(back.type, nuclei.type)
    assert back.type_names == nuclei.type_names and back.ids == tuple(map(str, nuclei.label))
    assert np.allclose(back.measurements["Type probability"], nuclei.type_probability)


def test_ids_with_gaps_and_fractional_contours_are_read(tmp_path: Path) -> None:
    file = tmp_path / "n.json"
    moved = [[x + 0.4, y] for x, y in CONTOUR]
    file.write_text(
        json.dumps({"nuc": {"7": {"contour": CONTOUR}, "3": {"contour": moved, "type": 2}}})
    )
    back = read_hovernet_json(file)
    assert (back.ids, back.type_names[2].name) == (("7", "3"), "type 2")
    assert (module.rasterize(back) > 0).sum() == 9


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ([], "must be an object with 'nuc'"),
        ({"nuc": []}, "no object of nuclei"),
        ({"nuc": {"1": []}}, "Nucleus '1' must be an object with 'contour'"),
        ({"nuc": {"1": {}}}, "lacks 'contour'"),
        ({"nuc": {"0": {"contour": CONTOUR}}}, "whole numbers from 1"),
        ({"nuc": {"1": {"contour": []}}}, r"list of \[x, y\]"),
        ({"nuc": {"1": {"contour": [[1e12, 0]]}}}, "leaves the"),
        ({"nuc": {"1": {"contour": [[0, 0], [9000, 0]]}}}, "spans 9001"),
        ({"nuc": {"1": {"contour": CONTOUR, "type": 1.5}}}, "type is 1.5"),
        ({"nuc": {"1": {"contour": CONTOUR, "type": "a"}}}, "must be numbers"),
        ({"nuc": {"1": {"contour": CONTOUR, "type": [1]}}}, "one number"),
        ({"nuc": {"1": {"contour": CONTOUR, "type_prob": "x"}}}, "type_prob"),
    ],
)
def test_broken_json_of_hover_net_is_refused_by_name(tmp_path: Path, data: Any, said: str) -> None:
    file = tmp_path / "given.json"
    file.write_text(json.dumps(data))
    assert "given.json" in refuses(said, read_hovernet_json, file)


def ring_in_two_parts() -> Int32:
    """A ring of 91 pixels with a hole of 9, and one id in two parts of 16."""
    labels = np.zeros((30, 40), np.int32)
    labels[2:12, 2:12] = 1
    labels[5:8, 5:8] = 0
    labels[16:20, 2:6] = 2
    labels[20:24, 6:10] = 2  # touches by a corner
    labels[16:20, 20:36] = 3
    labels[17:19, 22:24], labels[17:19, 28:30] = 0, 0
    labels[18, 29] = 4
    labels[26:29, 20:23] = 3
    return labels


def test_odd_nuclei_and_names_are_exported_or_said(tmp_path) -> None:
    labels = np.zeros((4, MAX_CONTOUR_EDGE + 9), np.int32)
    labels[1:3, 2:-2] = 1
    nuclei = measure(labels)
    module.write_geojson(tmp_path / "n.geojson", nuclei)
    np.testing.assert_array_equal(read_labels(tmp_path / "n.geojson", labels.shape).labels, labels)
    write_hovernet_json(tmp_path / "n.json", nuclei)
    write_hovernet_json(tmp_path / "n.json", measure(ring_in_two_parts()))
    said = json.loads((tmp_path / "n.json").read_text())["napari_hovernet"]["not_held"]
    assert said.startswith("holes and second parts of 2 nuclei (ids 1, 3)")
    labels = np.ones((3, 3), np.int32)
    nuclei = replace(measure(labels), type=np.ones(1, np.int32),
                     type_names={1: TypeInfo("a\ud800", (1, 2, 3))})  # fmt: skip
    module.write_geojson(tmp_path / "a.geojson", nuclei, labels=labels)
    found = json.loads((tmp_path / "a.geojson").read_text("utf-8"))["features"][0]
    assert found["properties"]["classification"]["name"] == "a\ud800"


def test_regions_of_one_name_in_two_folders_are_two(tmp_path: Path) -> None:
    nuclei = measure(np.kron([[1, 2]], np.ones((4, 4), int)).astype(np.int32))
    write_rois(tmp_path / "n.zip", nuclei)
    with zipfile.ZipFile(tmp_path / "n.zip") as archive:
        regions = [archive.read(name) for name in archive.namelist()]
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as archive:
        for folder, region in zip("ab", regions, strict=True):
            archive.writestr(f"{folder}/1.roi", region)
    assert len(read_labels(tmp_path / "two.zip", (8, 8)).ids) == 2


@pytest.mark.parametrize("name", ["geojson", "imagej-roi"])
def test_holes_and_second_parts_are_kept(tmp_path: Path, name: str) -> None:
    labels = ring_in_two_parts()
    result = SimpleNamespace(labels=labels, nuclei=measure(labels), offset=(0, 0), mpp=None)
    path = tmp_path / f"n{FORMATS[name].ending}"
    FORMATS[name].write(path, result, {})
    np.testing.assert_array_equal(read_labels(path, labels.shape).labels, labels)


def square(at: int, edge: int) -> list[list[list[int]]]:
    end = at + edge
    return [[[at, at], [end, at], [end, end], [at, end], [at, at]]]


PLACES = [(0, 30), (2, 5), (10, 5)]


@pytest.mark.parametrize("key", ["objectType", "object_type"])
@pytest.mark.parametrize(
    ("kinds", "ids", "said"),
    [
        (["annotation", "detection", "detection"], [1, 2], "1 annotations were left out"),
        (["annotation", "cell", "cell"], [1, 2], "1 annotations were left out"),
        (["annotation", "annotation", "annotation"], [1, 2, 3], ""),
        ([None, None, None], [1, 2, 3], ""),
    ],
)
def test_annotations_are_left_out_beside_detections_and_small_ones_lie_above(
    tmp_path: Path, kinds: list[str | None], ids: list[int], said: str, key: str
) -> None:
    """The annotation round all of them comes last, and must not cover them."""
    found = []
    for kind, place in zip(kinds, PLACES, strict=True):
        geometry = {"type": "Polygon", "coordinates": square(*place)}
        found.append(feature(geometry=geometry, properties={key: kind} if kind else {}))
    (tmp_path / "a.geojson").write_text(json.dumps(found[1:] + found[:1]))
    made = read_labels(tmp_path / "a.geojson", (32, 32))
    assert (made.ids.tolist(), (made.labels == 1).sum()) == (ids, 25)
    assert said in " ".join(made.notes)
