"""Networks: the published ones to the last digit; sizes, halos, gradients, twins."""

import numpy as np
import pytest
import torch
from torch import nn

from napari_hovernet.core.networks import blocks
from napari_hovernet.core.networks.blocks import conv_bn, folded
from napari_hovernet.core.networks.compact import CompactUNet
from napari_hovernet.core.networks.hovernet import GEOMETRY, HoVerNet
from napari_hovernet.core.networks.lite import LiteUNet
from napari_hovernet.core.networks.optimus import OptimusDecoder
from napari_hovernet.core.networks.registry import build, names
from napari_hovernet.errors import InputError

from ...refusals import refuses

CASES = (("hovernet_fast_types6", "fast", 6), ("hovernet_original_notypes", "original", None))


@pytest.mark.parametrize(("name", "network", "arguments"), [
    *((f"network/{name}", HoVerNet, arguments) for name, *arguments in CASES),
    ("optimus/optimus_decoder", OptimusDecoder, ()),
])  # fmt: skip
def test_names_and_shapes_are_the_published(name, network, arguments, named):
    with torch.device("meta"):
        state = network(*arguments).state_dict()
    found = {k: [list(v.shape), str(v.dtype).removeprefix("torch.")] for k, v in state.items()}
    assert list(found.items()) == list(named(name).items())


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
    assert difference[geometry.halo :].max() < 1e-5 and difference[: geometry.halo].max() > 1e-3


@pytest.mark.parametrize(("mode", "edge", "legal"), [("fast", 250, 256), ("original", 272, 278)])
def test_an_illegal_edge_is_refused_with_the_next_legal(mode, edge, legal):
    with torch.device("meta"), pytest.raises(InputError, match=rf"{edge} px .* is {legal} "):
        HoVerNet(mode).eval()(torch.zeros(1, 3, edge, edge))


SMALL = (4, 4, 6, 8)
PLAIN = {"compact": (CompactUNet, (4, 6, 8)), "lite": (LiteUNet, SMALL)}


def trained(name: str) -> CompactUNet | LiteUNet:
    """Build a small network whose every weight carries something, statistics included."""
    torch.manual_seed(1)
    made, widths = PLAIN[name]
    network = made(widths, 3)
    for key, value in network.state_dict().items():
        if value.ndim == 4:
            torch.nn.init.normal_(value, std=value[0].numel() ** -0.5)
        elif key.endswith("running_var"):
            value.uniform_(0.2, 0.5)
    return network.eval()


@pytest.mark.parametrize("side", ["near", "far"])
@pytest.mark.parametrize("branch", ["np", "hv", "tp"])
@pytest.mark.parametrize("name", PLAIN)
def test_a_cut_changes_nothing_beyond_the_halo_of_a_plain_network(name, side, branch):
    network = trained(name)
    halo, divisor = network.geometry.halo, network.geometry.divisor
    image = torch.rand(1, 3, 16, 4 * halo) * 255
    cut = 3 * divisor
    with torch.inference_mode():
        whole = network(image)[branch]
        if side == "near":
            whole, part = whole[..., cut:], network(image[..., cut:])[branch]
        else:
            whole, part = whole[..., :-cut].flip(3), network(image[..., :-cut])[branch].flip(3)
    difference = (whole - part).abs().amax(dim=(0, 1, 2))
    assert difference[halo:].max() <= 1e-5 * whole.abs().max()
    assert difference[: halo // 2].max() > 1e-3 * whole.abs().max()


@pytest.mark.parametrize("network", [HoVerNet("fast", 3), LiteUNet(SMALL, 3)])
def test_training_mode_gives_every_weight_a_gradient(network):
    out = network.train()(torch.rand(2, 3, 96, 96) * 255)
    sum(branch.square().mean() for branch in out.values()).backward()
    assert [name for name, p in network.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize("shape", [(1, 260, 8), (1, 261, 9), (261, 8)])
def test_unfit_tokens_are_refused(shape):
    refuses("Tokens have shape", lambda: OptimusDecoder(8, 4)(torch.zeros(shape)))


@pytest.mark.parametrize("name", names())
def test_every_architecture_builds_from_its_own_config(name):
    with torch.device("meta"):
        network = build(name, {})
        again = build(name, network.config)
    assert again.config == network.config
    assert again.state_dict().keys() == network.state_dict().keys()
    legal = network.geometry.legal(network.geometry.reference_tile)
    assert legal == network.geometry.reference_tile


SMALL_FOLDED = {
    "compact": ({"widths": [4, 8, 8], "n_types": 3}, 32),
    "lite": ({"widths": [4, 6, 8, 8], "n_types": 3}, 32),
    "hovernet": ({"mode": "fast", "n_types": 3}, 96),
}


def lively(name: str) -> nn.Module:
    """A network whose normalisations all do something."""
    torch.manual_seed(0)
    network = build(name, SMALL_FOLDED[name][0]).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.2)
            module.running_mean.normal_(0, 0.2)
            module.running_var.uniform_(0.5, 2)
    return network


@pytest.mark.parametrize("fuses", [True, False], ids=["in one pass", "apart"])
@pytest.mark.parametrize("name", SMALL_FOLDED)
def test_it_gives_what_the_network_gives(name, fuses, monkeypatch) -> None:
    if not fuses:
        monkeypatch.setattr(blocks, "_fuses", lambda: False)
    network, edge = lively(name), SMALL_FOLDED[name][1]
    x = torch.rand(1, 3, edge, edge) * 255
    before = {key: value.clone() for key, value in network.state_dict().items()}
    with torch.inference_mode():
        twin, plain = folded(network), network(x)
        first, again = twin(x), twin(x)
    for key, value in plain.items():
        scale = float(value.abs().max())
        assert torch.allclose(first[key], value, atol=1e-5 * max(scale, 1)), key
        assert torch.equal(first[key], again[key])
    assert network.state_dict().keys() == before.keys()
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


def test_a_network_in_training_runs_as_it_is_and_updates_its_statistics() -> None:
    network = lively("compact")
    assert folded(network.train()) is network
    network.eval().heads["np"][1].register_forward_hook(lambda *_: None)
    assert folded(network) is network
    conv, bn = nn.Conv2d(2, 3, 1, bias=False), nn.BatchNorm2d(3)
    conv_bn(torch.randn(4, 2, 5, 5), conv, bn)
    assert int(bn.num_batches_tracked) == 1 and not torch.equal(bn.running_mean, torch.zeros(3))


@pytest.mark.parametrize(
    ("network", "arguments"),
    [
        (HoVerNet, {"mode": "slow"}), (HoVerNet, {"n_types": 1}),
        (CompactUNet, {"widths": (4,)}), (CompactUNet, {"widths": (4, 0)}),
        (LiteUNet, {"widths": (4,)}), (LiteUNet, {"widths": (4, 4, 0, 4)}),
        (LiteUNet, {"n_types": 1}), (CompactUNet, {"n_types": 1}), (OptimusDecoder, {"n_types": 1}),
        (OptimusDecoder, {"embed_dim": 0}), (OptimusDecoder, {"token_prefix": -1}),
    ],
)  # fmt: skip
def test_wrong_arguments_are_refused(network, arguments):
    with torch.device("meta"), pytest.raises(InputError, match=next(iter(arguments))):
        network(**arguments)
    refuses("compact, hovernet, hovernet-monai, optimus, lite", build, "unet", {})
    refuses("depth", build, "compact", {"depth": 3})
