from __future__ import annotations

import io

import pytest
import torch

from napari_hovernet.core.networks.lite import LiteUNet
from napari_hovernet.core.networks.registry import build
from napari_hovernet.errors import InputError

SMALL = (4, 4, 6, 8)


def trained(n_types: int | None = 3) -> LiteUNet:
    """Build a small network whose every weight carries something, statistics included."""
    torch.manual_seed(1)
    network = LiteUNet(SMALL, n_types)
    for name, value in network.state_dict().items():
        if value.ndim == 4:
            fan = value[0].numel()
            torch.nn.init.normal_(value, std=fan**-0.5)
        elif name.endswith("running_var"):
            value.uniform_(0.2, 0.5)
    return network.eval()


@pytest.mark.parametrize("n_types", [None, 2, 5])
def test_output_has_the_size_of_the_input(n_types):
    out = LiteUNet(SMALL, n_types).eval()(torch.zeros(2, 3, 16, 48))
    shapes = {name: tuple(branch.shape) for name, branch in out.items()}
    wanted = {"np": (2, 2, 16, 48), "hv": (2, 2, 16, 48)}
    assert shapes == (wanted if n_types is None else wanted | {"tp": (2, n_types, 16, 48)})


def test_default_is_small_enough_to_ship():
    with torch.device("meta"):
        network = LiteUNet(n_types=5)
    assert 500_000 <= sum(p.numel() for p in network.parameters()) <= 3_000_000


@pytest.mark.parametrize("side", ["near", "far"])
@pytest.mark.parametrize("branch", ["np", "hv", "tp"])
def test_a_cut_changes_nothing_beyond_the_halo(side, branch):
    network = trained()
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


def test_types_are_all_that_an_untyped_network_lacks():
    typed, untyped = LiteUNet(SMALL, 3).state_dict(), LiteUNet(SMALL).state_dict()
    assert {k for k in typed if k not in untyped} == {
        k for k in typed if k.startswith("outputs.tp")
    }
    assert not set(untyped) - set(typed)


def test_gradients_reach_every_weight():
    network = LiteUNet(SMALL, 3).train()
    sum(
        branch.square().mean() for branch in network(torch.rand(2, 3, 32, 32) * 255).values()
    ).backward()
    assert all(weight.grad is not None for weight in network.parameters())


def test_normalisation_is_folded_into_the_kernels_without_a_change():
    network = trained()
    image = torch.rand(1, 3, 32, 32) * 255
    with torch.inference_mode():
        folded = network(image)
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.momentum = 0.0
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.forward = lambda x, m=module: torch.nn.functional.batch_norm(
                    x, m.running_mean, m.running_var, m.weight, m.bias, False, 0.0, m.eps
                )
                module.training = True
        plain = network(image)
    for name, value in folded.items():
        torch.testing.assert_close(value, plain[name], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("arguments", [{"widths": (4,)}, {"widths": (4, 4, 0, 4)}, {"n_types": 1}])
def test_wrong_arguments_are_refused(arguments):
    with pytest.raises(InputError, match=next(iter(arguments))):
        LiteUNet(**arguments)


def test_config_rebuilds_the_network():
    first = LiteUNet(SMALL, 3)
    second = build("lite", first.config)
    assert [v.shape for v in first.state_dict().values()] == [
        v.shape for v in second.state_dict().values()
    ]
    file = io.BytesIO()
    torch.save(first.state_dict(), file)
    file.seek(0)
    second.load_state_dict(torch.load(file, weights_only=True))
