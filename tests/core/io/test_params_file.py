"""Tuned parameters make the round trip through a file; files from strangers are judged."""

from __future__ import annotations

import json
import os
import stat
from dataclasses import fields, replace

import numpy as np
import pytest

from napari_hovernet.core.hv import HVReading
from napari_hovernet.core.io.files import FORMAT, VERSION, params_as_dict, read_params, write_params
from napari_hovernet.core.params import METHODS, PRESETS, SeparationParams
from napari_hovernet.core.separation.tuning import TUNABLES, TuneParams, with_value
from napari_hovernet.errors import InputError, OutputError


def random_params(rng: np.random.Generator) -> TuneParams:
    separation = replace(
        SeparationParams.preset(str(rng.choice(PRESETS))),
        method=str(rng.choice(METHODS)),
        merge_touching=bool(rng.integers(2)),
        band_rows=int(rng.integers(1, 5000)),
    )
    order, sign = rng.choice(["hv", "vh"]), rng.choice(["outward", "inward"])
    params = TuneParams(separation, HVReading(str(order), str(sign)))
    for known in TUNABLES:
        value = known.low + float(rng.random()) * (known.high - known.low)
        params = with_value(params, known.name, value if known.decimals else known.snap(value))
    scales = tuple(float(s) for s in rng.uniform(0.01, 64, rng.integers(1, 5)))
    return replace(params, separation=replace(params.separation, scales=scales))


@pytest.fixture
def write(tmp_path):
    """Write a file as a stranger might; returns its path."""

    def write(text):
        path = tmp_path / "strange.json"
        text = text if isinstance(text, str | bytes) else json.dumps(text)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def about(**more):
    return {"format": FORMAT, "version": VERSION, **more}


def test_any_params_come_back_exactly(tmp_path):
    rng, path = np.random.default_rng(0), tmp_path / "p.json"
    for _ in range(50):
        params = random_params(rng)
        write_params(path, params)
        assert read_params(path) == params


def test_the_file_is_plain_json_with_every_field(tmp_path):
    write_params(tmp_path / "p.json", TuneParams())
    found = json.loads((tmp_path / "p.json").read_text("utf-8"))
    assert (found["format"], found["version"]) == (FORMAT, VERSION)
    assert set(found["separation"]) == {f.name for f in fields(SeparationParams)}
    assert set(found["hv"]) == {f.name for f in fields(HVReading)}
    assert json.loads(json.dumps(params_as_dict(TuneParams()))) == params_as_dict(TuneParams())


def test_kinds_come_back_as_they_were(write):
    found = read_params(write(about(separation={"min_area": 30.0, "depth": 1, "scales": [2, 3]})))
    p = found.separation
    assert (p.min_area, p.depth, p.scales) == (30, 1.0, (2.0, 3.0))
    assert [type(v) for v in (p.min_area, p.depth, p.scales[0])] == [int, float, float]


def test_what_is_missing_takes_its_default(write):
    assert read_params(write(about())) == TuneParams()
    assert read_params(write(about(hv={"order": "vh"}))).hv == HVReading(order="vh")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "is not valid JSON"),
        ("{", "is not valid JSON"),
        (b"\xff\xfe\x00\x01", "is not valid JSON"),
        (b"\x89PNG\r\n\x1a\n", "is not valid JSON"),
        ("[" * 100_000, "nested too deeply"),
        ("null", "holds no separation parameters"),
        ("[1, 2]", "holds no separation parameters"),
        ("{}", "holds no separation parameters"),
        ({"format": "something else", "version": VERSION}, "holds no separation parameters"),
        ({"type": "FeatureCollection", "features": []}, "holds no separation parameters"),
        ({"format": FORMAT}, "of version None"),
        ({"format": FORMAT, "version": 2}, "of version 2; this program reads version 1: update"),
        ({"format": FORMAT, "version": "1"}, "of version '1'"),
        (about(separation=[1]), r"separation: \[1\] is no set of named values"),
        (about(separation=None), "separation: None is no set"),
        (about(hv="vh"), "hv: 'vh' is no set"),
        (about(separation={"dept": 0.2}), "separation: dept is not known; it may need a newer"),
        (about(hv={"scale": 1, "angle": 3, "a": 1}), "hv: a, angle is not known"),
        (about(separation={"__class__": 1}), "__class__ is not known"),
    ],
)
def test_what_is_no_such_file_is_refused_by_name(write, text, why):
    path = write(text)
    with pytest.raises(InputError, match=why) as caught:
        read_params(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("depth", "0.2"),
        ("depth", None),
        ("depth", True),
        ("depth", [0.2]),
        ("depth", {"a": 1}),
        ("min_area", True),
        ("min_area", 20.5),
        ("min_area", "20"),
        ("min_area", 10**400),
        ("min_area", 2e9),
        ("merge_touching", 1),
        ("merge_touching", "yes"),
        ("method", 3),
        ("method", None),
        ("scales", 2.0),
        ("scales", "12"),
        ("scales", ["1"]),
        ("scales", [True]),
        ("scales", [[1.0]]),
        ("scales", {"0": 1}),
    ],
)
def test_values_of_the_wrong_kind_are_named(write, field, value):
    with pytest.raises(InputError, match=rf"separation, {field} is .*; give something like "):
        read_params(write(about(separation={field: value})))


@pytest.mark.parametrize(
    ("field", "value", "why"),
    [
        ("method", "watershed", "choose one of local"),
        ("np_threshold", 1.5, "give a number in 0..1"),
        ("depth", -1, "0 or more"),
        ("scales", [], "give one or more sigmas"),
        ("scales", [0.0], "above 0, up to 64"),
        ("scales", [1e8], "above 0, up to 64"),
        ("sobel_size", 20, "give an odd number in 3..31"),
        ("magnitude_low", 2.0, "give 0 < low <= high"),
        ("opening_size", 999_999_999, "opening_size is 999999999; give up to 255 pixels"),
        ("blur_size", 257, "give up to 255 pixels"),
        ("peak_distance", 1_000_000, "give up to 255 pixels"),
        ("magnitude_window", 5001, "give up to 4095 pixels"),
        ("band_rows", 0, "give 1 or more"),
    ],
)
def test_values_out_of_range_are_named(write, field, value, why):
    path = write(about(separation={field: value}))
    with pytest.raises(InputError, match=why) as caught:
        read_params(path)
    assert str(path) in str(caught.value) and field in str(caught.value)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "1" + "0" * 5000])
def test_numbers_that_are_none_are_refused(write, number):
    text = json.dumps(about(hv={"scale": 7})).replace("7", number)
    with pytest.raises(InputError):
        read_params(write(text))


@pytest.mark.parametrize("value", [True, "2", 0.001, 51, None])
def test_an_unfit_reading_of_hv_is_named(write, value):
    with pytest.raises(InputError, match=r"hv.*scale"):
        read_params(write(about(hv={"scale": value})))


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match=r"Cannot read .*none\.json"):
        read_params(tmp_path / "none.json")
    with pytest.raises(InputError, match="Cannot read"):
        read_params(tmp_path)


def test_writing_replaces_and_leaves_nothing_beside(tmp_path):
    path = tmp_path / "p.json"
    for depth in (0.1, 0.2):
        write_params(path, TuneParams(SeparationParams(depth=depth)))
    assert read_params(path).separation.depth == 0.2
    assert [p.name for p in tmp_path.iterdir()] == ["p.json"]


def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "p.json"
    write_params(path, TuneParams(SeparationParams(depth=0.1)))

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OutputError, match="the disk is full"):
        write_params(path, TuneParams())
    assert read_params(path).separation.depth == 0.1
    assert [p.name for p in tmp_path.iterdir()] == ["p.json"]


@pytest.mark.skipif(os.name == "nt", reason="folders have no such permissions")
def test_a_folder_that_may_not_be_written_leaves_the_old_file(tmp_path):
    path = tmp_path / "p.json"
    write_params(path, TuneParams(SeparationParams(depth=0.1)))
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        if os.access(tmp_path, os.W_OK):
            pytest.skip("this user may write everywhere")
        with pytest.raises(OutputError, match="no permission"):
            write_params(path, TuneParams())
    finally:
        tmp_path.chmod(stat.S_IRWXU)
    assert read_params(path).separation.depth == 0.1


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(OutputError, match="the folder does not exist"):
        write_params(tmp_path / "none" / "p.json", TuneParams())
