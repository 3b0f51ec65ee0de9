from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_hovernet.core.networks.hovernet import GEOMETRY, HoVerNet
from napari_hovernet.errors import InputError

CASES = (("hovernet_fast_types6", "fast", 6), ("hovernet_original_notypes", "original", None))


@pytest.mark.parametrize(("name", "mode", "n_types"), CASES)
def test_names_and_shapes_are_the_published(name, mode, n_types, named):
    with torch.device("meta"):
        state = HoVerNet(mode, n_types).state_dict()
    found = {k: [list(v.shape), str(v.dtype).removeprefix("torch.")] for k, v in state.items()}
    wanted = named(f"network/{name}")
    assert found == wanted
    assert list(found) == list(wanted)


@pytest.mark.parametrize(("name", "mode", "n_types"), CASES)
def test_output_is_the_published(name, mode, n_types, shared, filled):
    golden = np.load(shared / "golden" / "network" / f"{name}.npz")
    network = filled(HoVerNet(mode, n_types))
    with torch.inference_mode():
        out = network(torch.from_numpy(golden["image"]).float())
    assert set(out) == set(golden) - {"image"}
    for branch, values in out.items():
        np.testing.assert_allclose(values.numpy(), golden[branch], rtol=0, atol=1e-5)


@pytest.mark.parametrize("mode", GEOMETRY)
def test_geometry_holds(mode):
    geometry = GEOMETRY[mode]
    with torch.device("meta"):
        network = HoVerNet(mode).eval()
        small = geometry.minimum
        out = network(torch.zeros(1, 3, small, small + geometry.divisor))
    edge = small - 2 * geometry.margin
    assert tuple(out["np"].shape) == (1, 2, edge, edge + geometry.divisor)
    assert geometry.legal(geometry.reference_tile) == geometry.reference_tile
    assert edge <= geometry.divisor, "a smaller tile would do"
    kept = geometry.reference_tile - 2 * (geometry.margin + geometry.halo)
    assert kept % geometry.divisor == 0, "cuts would leave the network's grid"


@pytest.mark.parametrize("mode", GEOMETRY)
def test_halo_covers_the_reach_of_the_encoder_padding(mode):
    """Follow the zero padding through the strides: kernels of ones, nothing but counts."""
    geometry = GEOMETRY[mode]
    low, high = _reach(mode)
    assert max(low, high) <= geometry.halo < max(low, high) + geometry.divisor


def _reach(mode):
    """Output pixels at the low and at the high end that the padding can touch."""
    stem = 3 if mode == "fast" else 0
    low, high = stem, stem
    for units, stride in ((3, 1), (4, 2), (6, 2), (3, 2)):
        if stride == 2:  # reads 2i, 2i + 1, 2i + 2, padded at the high end
            low, high = -(-low // 2), -(-(high + 1) // 2)
        padded = units - (stride == 2)
        low, high = low + padded, high + padded
    last = {"fast": 1, "original": 2}[mode]
    return low * 8 + last, high * 8 + last


def test_a_cut_changes_nothing_beyond_the_halo(filled):
    """A tile and a larger one agree inside; nearer to the cut they need not."""
    geometry = GEOMETRY["fast"]
    network = filled(HoVerNet("fast"))
    torch.manual_seed(0)
    wide = torch.rand(1, 3, 96, 416) * 255
    cut = 80  # a multiple of the grid
    with torch.inference_mode():
        whole, part = network(wide)["hv"], network(wide[..., cut:])["hv"]
    difference = (whole[..., cut:] - part).abs().amax(dim=(0, 1, 2))
    assert difference[geometry.halo :].max() < 1e-5
    assert difference[: geometry.halo].max() > 1e-3


def test_eval_equals_training_form_with_fixed_statistics(filled):
    """Folding the normalisation into the kernels changes rounding only."""
    network = filled(HoVerNet("fast"))
    stage = network.get_submodule("d1")
    torch.manual_seed(0)
    x = torch.randn(1, 256, 8, 8)
    folded = stage(x)
    unit = stage.units[0]
    plain = unit["conv1/bn"](unit["conv1"](x)).relu()
    plain = torch.nn.functional.pad(plain, (0, 1, 0, 1))
    plain = unit["conv3"](unit["conv2/bn"](unit["conv2"](plain)).relu())
    plain = plain + stage.shortcut(x)
    for unit in stage.units[1:]:
        y = unit["preact/bn"](plain).relu()
        y = unit["conv1/bn"](unit["conv1"](y)).relu()
        y = unit["conv2/bn"](unit["conv2"](y)).relu()
        plain = plain + unit["conv3"](y)
    torch.testing.assert_close(folded, stage.blk_bna(plain), rtol=1e-4, atol=1e-4)


def test_training_mode_gives_every_weight_a_gradient():
    network = HoVerNet("fast", 3).train()
    out = network(torch.rand(2, 3, 96, 96) * 255)
    sum(branch.square().mean() for branch in out.values()).backward()
    without = [name for name, p in network.named_parameters() if p.grad is None]
    assert without == []


@pytest.mark.parametrize(("mode", "edge", "legal"), [("fast", 250, 256), ("original", 272, 278)])
def test_an_illegal_edge_is_refused_with_the_next_legal(mode, edge, legal):
    with torch.device("meta"), pytest.raises(InputError, match=rf"{edge} px .* is {legal} "):
        HoVerNet(mode).eval()(torch.zeros(1, 3, edge, edge))


@pytest.mark.parametrize("arguments", [{"mode": "slow"}, {"n_types": 1}])
def test_wrong_arguments_are_refused(arguments):
    with torch.device("meta"), pytest.raises(InputError, match=str(*arguments.values())):
        HoVerNet(**arguments)
