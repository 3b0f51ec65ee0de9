from __future__ import annotations

import pytest
import torch
from torch import nn

from napari_hovernet.core.checkpoint import load_model
from napari_hovernet.core.diagnosis.model_weights import (
    fresh_norm,
    fresh_weights,
    layer_states,
    untrained,
)
from napari_hovernet.core.networks.compact import CompactUNet
from napari_hovernet.core.networks.optimus import OptimusDecoder


def trained(network: nn.Module) -> nn.Module:
    """Move every weight a little, as one step of training does."""
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean += 0.1
                module.num_batches_tracked += 1
    return network


def test_the_built_in_model_is_trained() -> None:
    states = layer_states(load_model("compact", device="cpu").network)
    assert states.of_norms == 20 and states.of_weights > 20
    assert untrained(states).verdict == "ok"


@pytest.mark.parametrize(
    "network", [CompactUNet((8, 16)), OptimusDecoder(embed_dim=32)], ids=["compact", "optimus"]
)
def test_a_network_that_never_was(network: nn.Module) -> None:
    finding = untrained(layer_states(network))
    assert finding.verdict == "fault" and finding.title == "The network was never trained"


def test_one_step_of_training_is_seen() -> None:
    torch.manual_seed(0)
    assert untrained(layer_states(trained(CompactUNet((8, 16))))).verdict == "ok"


def test_a_part_that_was_not_loaded_is_named() -> None:
    torch.manual_seed(0)
    network = trained(OptimusDecoder(embed_dim=32))
    fresh = OptimusDecoder(embed_dim=32)
    network.up3.load_state_dict(fresh.up3.state_dict())
    finding = untrained(layer_states(network))
    assert finding.verdict == "fault" and finding.certainty > 0.95
    assert finding.title == "Layers were never trained: up3.conv"
    assert "2 of 12 batch norms" in finding.evidence and "strict=True" in finding.remedy.text


def test_weights_that_are_all_the_same() -> None:
    torch.manual_seed(0)
    network = trained(CompactUNet((8, 16)))
    with torch.no_grad():
        network.heads["hv"][3].weight.zero_()
    finding = untrained(layer_states(network))
    assert finding.verdict == "fault" and "heads.hv" in finding.title


def test_norms_of_any_kind() -> None:
    assert not fresh_norm(trained(nn.Sequential(nn.BatchNorm2d(3)))[0])
    assert layer_states(nn.Sequential(nn.BatchNorm2d(3, track_running_stats=False))).of_norms == 0
    assert fresh_norm(nn.BatchNorm2d(3, affine=False))


def test_a_converted_checkpoint_that_counts_no_batches_is_trained() -> None:
    norm = nn.BatchNorm2d(3)
    norm.running_mean += 0.5
    assert int(norm.num_batches_tracked) == 0 and not fresh_norm(norm)


def test_the_default_distribution_and_another() -> None:
    torch.manual_seed(0)
    assert fresh_weights(nn.Conv2d(16, 32, 3).weight.detach())
    assert not fresh_weights(torch.randn(32, 16, 3, 3) * 0.05)
