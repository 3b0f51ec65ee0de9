from __future__ import annotations

import pytest
import torch
from torch import nn

from napari_hovernet.core.diagnosis.model_norms import (
    NormLayer,
    NormStates,
    adapted,
    batch_norm,
    norm_layers,
    norm_states,
)
from napari_hovernet.core.diagnosis.model_whatifs import Gain
from napari_hovernet.core.networks.hovernet import HoVerNet

FAR = [NormLayer("a", 2.0, 9.0), NormLayer("b", 2.0, 9.0), NormLayer("c", 0.1, 1.0)]
NEAR = [NormLayer(name, 0.1, 1.1) for name in "abc"]


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4)
    ).eval()


def gain(before: float, won: float, n: int = 4) -> Gain:
    return Gain("adapted", tuple(range(n)), "truth", (won,) * n, before, before + won, 0.9, won)


def test_adapted_statistics_are_those_of_the_data() -> None:
    given = network()
    x = torch.randn(4, 3, 20, 20) * 3 + 5
    other = adapted(given, [x])
    first = given[0](x)
    mean, var = first.mean((0, 2, 3)), first.var((0, 2, 3))
    assert torch.allclose(other[1].running_mean, mean, atol=1e-4)
    assert torch.allclose(other[1].running_var, var, rtol=1e-3)
    assert torch.equal(given[1].running_mean, torch.zeros(4)) and not other.training
    with torch.no_grad():
        assert torch.allclose(other(x).mean((0, 2, 3)), torch.zeros(4), atol=1e-3)


def test_the_distance_of_a_layer() -> None:
    given = network()
    other = adapted(given, [torch.randn(4, 3, 20, 20)])
    same = norm_layers(other, adapted(other, [torch.randn(4, 3, 20, 20)]))
    assert all(x.distance < 0.1 and x.ratio < 1.3 for x in same)
    with torch.no_grad():
        other[1].running_mean += 2 * other[1].running_var.sqrt()
    moved = norm_layers(other, adapted(other, [torch.randn(4, 3, 20, 20)]))
    assert moved[0].distance == pytest.approx(2, abs=0.2) and moved[1].distance < 1


@pytest.mark.slow
def test_norms_that_are_folded_into_kernels_are_measured_too() -> None:
    given = HoVerNet("fast").eval()
    found = norm_layers(given, adapted(given, [torch.rand(1, 3, 96, 96) * 255]))
    assert len(found) == sum(isinstance(m, nn.BatchNorm2d) for m in given.modules())


def test_what_can_be_told_without_data() -> None:
    assert norm_states(network()) == NormStates(2)
    assert norm_states(network().train()).training == ("1", "4")
    blind = nn.Sequential(nn.BatchNorm2d(2, track_running_stats=False))
    assert norm_states(blind).untracked == ("0",)
    spoiled = network()
    spoiled[4].running_var[1] = float("inf")
    assert norm_states(spoiled).broken == ("4",)
    spoiled[4].running_var[:] = -1.0
    assert norm_states(spoiled).broken == ("4",)


@pytest.mark.parametrize(
    ("states", "said"),
    [
        (NormStates(2, untracked=("a",)), "keeps no statistics"),
        (NormStates(2, training=("a",)), "training mode"),
        (NormStates(2, broken=("a",)), "impossible"),
    ],
)
def test_each_of_that_is_a_fault(states: NormStates, said: str) -> None:
    finding = batch_norm(states)
    assert finding.verdict == "fault" and said in finding.title and finding.remedy.text


def test_data_and_what_if_decide_together() -> None:
    assert batch_norm(NormStates(3), NEAR, gain(0.9, 0.0)).verdict == "ok"
    mended = batch_norm(NormStates(3), FAR, gain(0.4, 0.3))
    assert mended.verdict == "fault" and mended.certainty > 0.95
    assert batch_norm(NormStates(3), FAR, gain(0.9, -0.1)).verdict == "ok"
    assert batch_norm(NormStates(3), FAR, gain(0.3, 0.0)).verdict == "warn"
    assert batch_norm(NormStates(3), NEAR, gain(0.4, 0.3)).verdict == "ok"
    assert batch_norm(NormStates(3), FAR).verdict == "warn"
