"""The copy that inference runs on: normalisation folded, weights shared, the network untouched."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from napari_hovernet.core.networks import blocks
from napari_hovernet.core.networks.blocks import folded
from napari_hovernet.core.networks.registry import build

SMALL = {
    "compact": ({"widths": [4, 8, 8], "n_types": 3}, 32),
    "lite": ({"widths": [4, 6, 8, 8], "n_types": 3}, 32),
    "hovernet": ({"mode": "fast", "n_types": 3}, 96),
}


def lively(name: str) -> nn.Module:
    """A network whose normalisations all do something."""
    torch.manual_seed(0)
    network = build(name, SMALL[name][0]).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.2)
            module.running_mean.normal_(0, 0.2)
            module.running_var.uniform_(0.5, 2)
    return network


@pytest.mark.parametrize("fuses", [True, False], ids=["in one pass", "apart"])
@pytest.mark.parametrize("name", SMALL)
def test_it_gives_what_the_network_gives(
    name: str, fuses: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not fuses:
        monkeypatch.setattr(blocks, "_fuses", lambda: False)
    network, edge = lively(name), SMALL[name][1]
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


def test_it_shares_the_weights() -> None:
    network = lively("compact")
    ours = {p.data_ptr() for p in network.parameters()}
    assert {p.data_ptr() for p in folded(network).parameters()} == ours


def test_a_network_in_training_or_listened_to_runs_as_it_is() -> None:
    network = lively("compact")
    assert folded(network.train()) is network
    network.eval().heads["np"][1].register_forward_hook(lambda *_: None)
    assert folded(network) is network
