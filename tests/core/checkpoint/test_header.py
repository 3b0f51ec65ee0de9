import json
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_hovernet.core.checkpoint import header
from napari_hovernet.core.checkpoint.header import blank, fitted
from napari_hovernet.core.types import ModelInfo, TypeInfo
from napari_hovernet.errors import CheckpointError

from ...refusals import refuses

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


def test_header_says_who_wrote_it_and_what_is_none_is_refused():
    data = json.loads(header.dump(ModelInfo("compact", source="/home/me/a.tar", sha256="ab")))
    assert data["schema"] == header.SCHEMA and data["created_by"].startswith("napari-hovernet ")
    assert data["source_sha256"] == "ab"
    assert "/home/me" not in json.dumps(data), "folders of whoever wrote it stay private"
    refuses("should be an object", header.parse, "[]", "m", by=CheckpointError)
    with pytest.raises(CheckpointError, match=r"newer version .*update napari-hovernet"):
        header.parse(changed(schema=header.SCHEMA + 1), "m")
    said = refuses("mpp", lambda: header.parse(changed(mpp="x" * 10_000), "m"), by=CheckpointError)
    assert len(said) < 300


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        ({"architecture": 3}, "architecture 3"),
        ({"config": []}, "config"),
        ({"config": {"widths": [10**9]}}, "config widths"),
        ({"config": {"widths": [[4]]}}, "config widths"),
        ({"mpp": -1}, "mpp -1"),
        ({"mpp": "0.25"}, "mpp '0.25'"),
        ({"hv_convention": "sideways"}, "hv_convention 'sideways'"),
        ({"types": {}}, "types"),
        ({"types": [{"index": 1, "name": "a", "color": [0, 0, 0]}]}, "type 0"),
        ({"types": [{"index": 0, "name": "a", "color": [0, 0, 256]}]}, "type 0"),
        ({"history": [1]}, "history"),
        ({"origin": [{"file": 1}]}, "origin"),
        ({"schema": "1"}, "schema '1'"),
    ],
)
def test_a_wrong_value_is_named(fields, match):
    refuses(rf"^m has {match}", lambda: header.parse(changed(**fields), "m"), by=CheckpointError)


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "nothing"])
def test_broken_json_is_refused(text):
    refuses("not JSON", header.parse, text, "m", by=CheckpointError)


INFO_F = ModelInfo("compact", config={"widths": [4, 8], "n_types": None})


@pytest.fixture
def state(weights):
    return weights("compact", widths=[4, 8])


def fit(state):
    return fitted(blank(INFO_F, "m"), state, INFO_F, "m")


def test_half_and_double_precision_become_float32(state):
    half = {k: v.half() if v.is_floating_point() else v for k, v in state.items()}
    double = {k: v.double() if v.is_floating_point() else v for k, v in state.items()}
    for stored in (half, double):
        result = fit(stored)
        assert result["down.0.conv1.weight"].dtype == torch.float32
        assert torch.equal(result["down.0.conv1.weight"], state["down.0.conv1.weight"])


def test_missing_unexpected_and_misshapen_are_listed_together(state):
    del state["down.0.conv1.weight"]
    state["extra.weight"] = torch.zeros(1)
    state["up.0.bn1.bias"] = torch.zeros(99)
    said = refuses("looks like compact", fit, state, by=CheckpointError)
    assert "looks like compact (no types)" in said and "1 missing (down.0.conv1.weight)" in said
    assert "1 unexpected (extra.weight)" in said and "up.0.bn1.bias (99,) instead of (4,)" in said


@pytest.mark.parametrize("dtype", [torch.int32, torch.complex64])
def test_a_dtype_that_would_change_values_is_refused(dtype, state):
    state["up.0.bn1.bias"] = state["up.0.bn1.bias"].to(dtype)
    refuses(r"dtype that does not fit \(up\.0\.bn1\.bias", fit, state, by=CheckpointError)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_weight_that_is_not_finite_is_named(value, state):
    state["up.0.conv1.weight"][0, 0, 0, 0] = value
    refuses(r"NaN or infinite values \(up\.0\.conv1\.weight\)", fit, state, by=CheckpointError)


def test_weights_that_cannot_be_are_named(state, weights):
    state["up.0.bn1.running_var"][0] = -1
    refuses(r"negative variance \(up\.0\.bn1\.running_var\)", fit, state, by=CheckpointError)
    info = ModelInfo("hovernet", mode="fast", config={"mode": "fast", "n_types": None})
    state = weights("hovernet", **info.config)
    state["upsample2x.unpool_mat"][0, 0] = 0.5
    refuses("unpooling", lambda: fitted(blank(info, "m"), state, info, "m"), by=CheckpointError)
