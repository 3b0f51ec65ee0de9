from __future__ import annotations

import pytest
import torch

from napari_hovernet.core.networks.registry import Network, build
from napari_hovernet.core.params import OptimParams
from napari_hovernet.core.training.module import Freezer, gradient_shares, shared_maps

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
    assert torch.equal(before, torch.get_rng_state())
    assert sum(shares.values()) == pytest.approx(1)
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
    assert ten["nt"] == 0
    assert ten["hv"] / ten["np"] == pytest.approx(10 * one["hv"] / one["np"])


def test_it_works_with_everything_before_the_heads_frozen() -> None:
    network = build("compact", {"widths": [4, 8], "n_types": 3})
    Freezer(network, OptimParams(freeze="all but heads"), typed=True).apply(1)
    with shared_maps(network) as caught:
        terms = terms_of(network, torch.rand(2, 3, 16, 16))
    assert all(share > 0 for share in gradient_shares(caught[0], terms, ONE).values())


def test_nothing_is_caught_of_a_network_whose_parts_are_not_known() -> None:
    network = build("compact", {"widths": [4, 8]})
    network.parts = None
    with shared_maps(network) as caught:
        network(torch.rand(1, 3, 16, 16))
    assert caught == []
