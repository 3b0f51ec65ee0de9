from __future__ import annotations

import pytest
import torch

from napari_hovernet.core.checkpoint.header import blank, finite, fitted
from napari_hovernet.core.types import ModelInfo
from napari_hovernet.errors import CheckpointError

INFO = ModelInfo("compact", config={"widths": [4, 8], "n_types": None})


@pytest.fixture
def state(weights):
    return weights("compact", widths=[4, 8])


def fit(state):
    return fitted(blank(INFO, "m"), state, INFO, "m")


def test_half_and_double_precision_become_float32(state):
    half = {k: v.half() if v.is_floating_point() else v for k, v in state.items()}
    double = {k: v.double() if v.is_floating_point() else v for k, v in state.items()}
    for stored in (half, double):
        result = fit(stored)
        assert result["down.0.conv1.weight"].dtype == torch.float32
        assert torch.equal(result["down.0.conv1.weight"], state["down.0.conv1.weight"])


def test_nothing_is_shared_with_the_file(state):
    result = fit(state)
    result["down.0.conv1.weight"].zero_()
    assert state["down.0.bn1.weight"].data_ptr() != result["down.0.bn1.weight"].data_ptr()


def test_missing_unexpected_and_misshapen_are_listed_together(state):
    del state["down.0.conv1.weight"]
    state["extra.weight"] = torch.zeros(1)
    state["up.0.bn1.bias"] = torch.zeros(99)
    with pytest.raises(CheckpointError) as caught:
        fit(state)
    said = str(caught.value)
    assert "looks like compact (no types)" in said
    assert "1 missing (down.0.conv1.weight)" in said
    assert "1 unexpected (extra.weight)" in said
    assert "up.0.bn1.bias (99,) instead of (4,)" in said


def test_a_long_list_shows_ten_and_counts_the_rest(state):
    state |= {f"extra.{i}": torch.zeros(1) for i in range(25)}
    with pytest.raises(CheckpointError, match=r"25 unexpected .*extra\.9 and 15 more\)"):
        fit(state)


@pytest.mark.parametrize("dtype", [torch.int32, torch.complex64])
def test_a_dtype_that_would_change_values_is_refused(dtype, state):
    state["up.0.bn1.bias"] = state["up.0.bn1.bias"].to(dtype)
    with pytest.raises(CheckpointError, match=r"dtype that does not fit \(up\.0\.bn1\.bias"):
        fit(state)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_weight_that_is_not_finite_is_named(value, state):
    state["up.0.conv1.weight"][0, 0, 0, 0] = value
    with pytest.raises(CheckpointError, match=r"NaN or infinite values \(up\.0\.conv1\.weight\)"):
        fit(state)


def test_a_double_too_large_for_float32_is_named(state):
    state["up.0.bn1.bias"] = torch.full((4,), 1e300, dtype=torch.float64)
    with pytest.raises(CheckpointError, match="NaN or infinite"):
        fit(state)


def test_a_negative_variance_is_named(state):
    state["up.0.bn1.running_var"][0] = -1
    with pytest.raises(CheckpointError, match=r"negative variance \(up\.0\.bn1\.running_var\)"):
        fit(state)


def test_an_unpooling_that_is_not_plain_is_refused(weights):
    info = ModelInfo("hovernet", mode="fast", config={"mode": "fast", "n_types": None})
    state = weights("hovernet", **info.config)
    state["upsample2x.unpool_mat"][0, 0] = 0.5
    with pytest.raises(CheckpointError, match="unpooling"):
        fitted(blank(info, "m"), state, info, "m")


@pytest.mark.parametrize(
    ("architecture", "config"),
    [
        ("compact", {"widths": ["a", "b"]}),
        ("compact", {"widths": 3}),
        ("compact", {"depth": 3}),
        ("hovernet", {"mode": "slow"}),
        ("unet", {}),
        ("optimus", {"embed_dim": None}),
    ],
)
def test_a_network_that_cannot_be_built_is_refused(architecture, config):
    with pytest.raises(CheckpointError, match="cannot be built"):
        blank(ModelInfo(architecture, config=config), "m")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_finite_sees_one_bad_value(dtype):
    tensor = torch.full((300, 300), 6e4, dtype=dtype)
    assert finite(tensor), "a large sum is no bad value"
    tensor[7, 7] = float("nan")
    assert not finite(tensor)
