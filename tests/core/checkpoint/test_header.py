from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from napari_hovernet.core.checkpoint import header
from napari_hovernet.core.types import ModelInfo, TypeInfo
from napari_hovernet.errors import CheckpointError

INFO = ModelInfo(
    "compact",
    types={0: TypeInfo("background", (0, 0, 0)), 1: TypeInfo("a", (255, 0, 9))},
    mpp=0.5,
    config={"widths": [4, 8], "n_types": 2},
    history=({"loss": float("nan")}, {"loss": 0.5}),
    training={"path": Path("x"), "rate": np.float32(0.5), "sizes": (1, 2), "on": True},
)


def changed(**fields):
    return json.dumps(json.loads(header.dump(INFO)) | fields)


def test_what_is_written_is_read():
    back = header.parse(header.dump(INFO), "m")
    assert back.types == INFO.types
    assert back.mpp == 0.5
    assert back.config == INFO.config
    assert back.history == ({"loss": None}, {"loss": 0.5})
    assert back.training == {"path": "x", "rate": 0.5, "sizes": [1, 2], "on": True}


def test_header_says_who_wrote_it_and_from_what():
    data = json.loads(header.dump(ModelInfo("compact", source="/home/me/a.tar", sha256="ab")))
    assert data["schema"] == header.SCHEMA
    assert data["created_by"].startswith("napari-hovernet ")
    assert data["source_sha256"] == "ab"
    assert "/home/me" not in json.dumps(data), "folders of whoever wrote it stay private"


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        ({"architecture": 3}, "architecture 3"),
        ({"architecture": None}, "architecture None"),
        ({"config": []}, "config"),
        ({"config": {"widths": [10**9]}}, "config widths"),
        ({"config": {"widths": [1] * 99}}, "config widths"),
        ({"config": {"widths": {"a": 1}}}, "config widths"),
        ({"config": {"widths": [[4]]}}, "config widths"),
        ({"mpp": -1}, "mpp -1"),
        ({"mpp": True}, "mpp True"),
        ({"mpp": "0.25"}, "mpp '0.25'"),
        ({"mpp": float("nan")}, "mpp nan"),
        ({"hv_convention": "sideways"}, "hv_convention 'sideways'"),
        ({"types": {}}, "types"),
        ({"types": [{"index": 1, "name": "a", "color": [0, 0, 0]}]}, "type 0"),
        ({"types": [{"index": 0, "name": "a", "color": [0, 0, 256]}]}, "type 0"),
        ({"types": [{"index": 0, "name": 5, "color": [0, 0, 0]}]}, "type 0"),
        ({"types": [{"index": True, "name": "a", "color": [0, 0, 0]}]}, "type 0"),
        ({"history": [1]}, "history"),
        ({"notes": [1]}, "notes"),
        ({"origin": [{"file": 1}]}, "origin"),
        ({"training": []}, "training"),
        ({"schema": "1"}, "schema '1'"),
    ],
)
def test_a_wrong_value_is_named(fields, match):
    with pytest.raises(CheckpointError, match=rf"^m has {match}"):
        header.parse(changed(**fields), "m")


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "nothing"])
def test_broken_json_is_refused(text):
    with pytest.raises(CheckpointError, match="not JSON"):
        header.parse(text, "m")


def test_json_that_is_no_object_is_refused():
    with pytest.raises(CheckpointError, match="should be an object"):
        header.parse("[]", "m")


def test_a_newer_file_asks_for_an_update():
    with pytest.raises(CheckpointError, match=r"newer version .*update napari-hovernet"):
        header.parse(changed(schema=header.SCHEMA + 1), "m")


def test_a_long_value_is_cut_in_the_message():
    with pytest.raises(CheckpointError) as caught:
        header.parse(changed(mpp="x" * 10_000), "m")
    assert len(str(caught.value)) < 300
