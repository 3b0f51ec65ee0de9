"""Batches from any step on."""

import numpy as np
import pytest
import torch

from napari_hovernet.core.data.samples import Sample
from napari_hovernet.core.networks.registry import Network, build
from napari_hovernet.core.params import AugmentParams, DataParams, OptimParams
from napari_hovernet.core.training.crops import CropDataset, Steps, Stream, loader
from napari_hovernet.core.training.module import Freezer, gradient_shares, shared_maps
from napari_hovernet.errors import InputError


def crops() -> CropDataset:
    rng = np.random.default_rng(0)
    labels = np.zeros((64, 64), np.int32)
    labels[10:30, 10:30], labels[35:60, 30:55] = 1, 2
    image = rng.integers(0, 255, (64, 64, 3), dtype=np.uint8)
    sample = Sample("a", image=image, labels=labels)
    return CropDataset([sample], DataParams(crop=32), AugmentParams(), seed=3, length=4)


def test_processes_share_a_step_and_a_loader_may_begin_in_the_middle():
    parts = [list(Steps(0, 3, batch=2, rank=rank, world=2)) for rank in (0, 1)]
    assert parts == [[[0, 1], [4, 5], [8, 9]], [[2, 3], [6, 7], [10, 11]]]
    whole = list(loader(Stream(crops(), 3), Steps(0, 6, 2), workers=0, pin=False))
    rest = list(loader(Stream(crops(), 3), Steps(4, 6, 2), workers=0, pin=False))
    assert len(whole) == 6 and len(rest) == 2
    for a, b in zip(whole[4:], rest, strict=True):
        for name in a:
            torch.testing.assert_close(a[name], b[name])


CASES = {
    "compact": ({"widths": [4, 8], "n_types": 3}, (2, 3, 16, 16)),
    "lite": ({"widths": [4, 4, 6, 8], "n_types": 3}, (2, 3, 16, 16)),
    "optimus": ({"embed_dim": 8, "bottleneck": 4, "n_types": 3}, (2, 261, 8)),
    "hovernet": ({"mode": "fast", "n_types": 3}, (2, 3, 96, 96)),
}
ONE = {"np": 1.0, "hv": 1.0, "nt": 1.0}


def terms_of(network: Network, x: torch.Tensor) -> dict[str, torch.Tensor]:
    raw = network(x)
    names = {"np": "np", "hv": "hv", "nt": "tp"}
    return {term: (raw[name] ** 2).mean() for term, name in names.items()}


@pytest.mark.parametrize(
    "name", ["compact", "lite", "optimus", pytest.param("hovernet", marks=pytest.mark.slow)]
)
def test_shares_add_up_and_leave_the_gradients_of_weights_alone(name: str) -> None:
    config, shape = CASES[name]
    torch.manual_seed(0)
    network = build(name, config).train()
    with shared_maps(network) as caught:
        terms = terms_of(network, torch.rand(shape))
    before = torch.get_rng_state()
    shares = gradient_shares(caught[0], terms, ONE)
    assert torch.equal(before, torch.get_rng_state()) and sum(shares.values()) == pytest.approx(1)
    assert all(share > 0 for share in shares.values())
    assert all(weight.grad is None for weight in network.parameters())
    (terms["np"] + terms["hv"] + terms["nt"]).backward()
    assert network.get_parameter(next(iter(dict(network.named_parameters())))).grad is not None


def test_a_heads_share_grows_with_its_weight_and_is_nothing_at_0() -> None:
    network = build("compact", {"widths": [4, 8], "n_types": 3}).train()
    with shared_maps(network) as caught:
        terms = terms_of(network, torch.rand(2, 3, 16, 16))
    one = gradient_shares(caught[0], terms, ONE)
    ten = gradient_shares(caught[0], terms, {**ONE, "hv": 10.0, "nt": 0.0})
    assert (ten["nt"], ten["hv"] / ten["np"]) == (0, pytest.approx(10 * one["hv"] / one["np"]))


def network_of(name: str) -> Network:
    with torch.device("meta" if name == "hovernet" else "cpu"):
        return build(name, CASES[name][0])


def learning(network: Network) -> set[str]:
    return {name for name, weight in network.named_parameters() if weight.requires_grad}


def freezer(network: Network, freeze: str, **changes: object) -> Freezer:
    optim = OptimParams(freeze=freeze, epochs=10)
    return Freezer(network, optim, **{"typed": True, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize("name", CASES)
def test_a_frozen_encoder_takes_no_gradient_and_keeps_its_statistics(name: str) -> None:
    network = network_of(name)
    everything = learning(network)
    freezer(network, "encoder").apply(1)
    kept = everything - learning(network)
    assert kept and all(weight.split(".")[0] in network.parts.encoder for weight in kept)
    for path, module in network.named_modules():
        inside = path.split(".")[0] in network.parts.encoder
        assert module.training is not inside, path


@pytest.mark.parametrize("name", CASES)
def test_all_but_heads_leaves_the_heads_alone_to_learn(name: str) -> None:
    network = network_of(name)
    freezer(network, "all but heads").apply(1)
    assert learning(network)
    assert all(weight.startswith(network.parts.heads) for weight in learning(network))


def test_two_phases_and_a_type_head_without_types() -> None:
    network = network_of("compact")
    both = freezer(network, "two phases")
    both.apply(5)
    assert "down.0.conv1.weight" not in learning(network)
    assert not network.get_submodule("down.0.bn1").training
    both.apply(6)
    assert "down.0.conv1.weight" in learning(network)
    assert network.get_submodule("down.0.bn1").training
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
