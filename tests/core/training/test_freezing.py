from __future__ import annotations

import pytest
import torch

from napari_hovernet.core.networks.registry import Network, Parts, build
from napari_hovernet.core.params import OptimParams
from napari_hovernet.core.training.module import Freezer
from napari_hovernet.errors import InputError

NETWORKS = {
    "compact": {"widths": [4, 8], "n_types": 3},
    "lite": {"widths": [4, 4, 6, 8], "n_types": 3},
    "hovernet": {"mode": "fast", "n_types": 3},
    "optimus": {"embed_dim": 8, "bottleneck": 4, "n_types": 3},
}


def network_of(name: str) -> Network:
    if name == "hovernet":
        with torch.device("meta"):
            return build(name, NETWORKS[name])
    return build(name, NETWORKS[name])


def parts_of(network: Network) -> Parts:
    assert network.parts is not None
    return network.parts


def learning(network: Network) -> set[str]:
    return {name for name, weight in network.named_parameters() if weight.requires_grad}


def freezer(network: Network, freeze: str, **changes: object) -> Freezer:
    optim = OptimParams(freeze=freeze, epochs=10)
    return Freezer(network, optim, **{"typed": True, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize("name", NETWORKS)
def test_the_parts_of_every_network_are_there(name: str) -> None:
    network = network_of(name)
    modules = dict(network.named_modules())
    parts = parts_of(network)
    for module in (*parts.encoder, *parts.heads, *parts.types, parts.shared):
        assert module in modules


@pytest.mark.parametrize("name", NETWORKS)
def test_a_frozen_encoder_takes_no_gradient_and_keeps_its_statistics(name: str) -> None:
    network = network_of(name)
    everything = learning(network)
    freezer(network, "encoder").apply(1)
    kept = everything - learning(network)
    assert kept
    assert all(weight.split(".")[0] in parts_of(network).encoder for weight in kept)
    for path, module in network.named_modules():
        inside = path.split(".")[0] in parts_of(network).encoder
        assert module.training is not inside, path


@pytest.mark.parametrize("name", NETWORKS)
def test_all_but_heads_leaves_the_heads_alone_to_learn(name: str) -> None:
    network = network_of(name)
    freezer(network, "all but heads").apply(1)
    assert learning(network)
    assert all(weight.startswith(parts_of(network).heads) for weight in learning(network))


def test_two_phases_free_the_encoder_in_the_second_half() -> None:
    network = network_of("compact")
    both = freezer(network, "two phases")
    both.apply(5)
    assert "down.0.conv1.weight" not in learning(network)
    assert not network.get_submodule("down.0.bn1").training
    both.apply(6)
    assert "down.0.conv1.weight" in learning(network)
    assert network.get_submodule("down.0.bn1").training


def test_a_type_head_without_types_to_learn_from_stays() -> None:
    network = network_of("compact")
    freezer(network, "nothing", typed=False).apply(1)
    assert not any(weight.startswith("heads.tp") for weight in learning(network))
    assert any(weight.startswith("heads.hv") for weight in learning(network))


def test_a_network_of_unknown_parts_is_refused_unless_all_of_it_learns() -> None:
    network = network_of("compact")
    network.parts = None
    freezer(network, "nothing").apply(1)
    assert len(learning(network)) == len(list(network.parameters()))
    with pytest.raises(InputError, match=r"parts of a CompactUNet.*choose freeze 'nothing'"):
        freezer(network, "encoder")
