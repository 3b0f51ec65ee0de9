"""Tuning without the network: what matters, what does not, and counts of the stages."""

from __future__ import annotations

import numpy as np
import pytest

from napari_hovernet.core.hv import HVReading, hv_targets
from napari_hovernet.core.measure.metrics import evaluate
from napari_hovernet.core.params import SeparationParams
from napari_hovernet.core.separation.tuning import StageCounts, TuneParams, stage_counts, tune
from napari_hovernet.core.synthetic import planted_maps, tissue
from napari_hovernet.core.types import Maps


@pytest.fixture(scope="module")
def truth() -> np.ndarray:
    return tissue(shape=(160, 200), seed=3).labels


@pytest.fixture(scope="module")
def maps(truth) -> Maps:
    return planted_maps(truth)


@pytest.mark.parametrize("preset", ["local", "hover_net"])
@pytest.mark.parametrize("scale", [0.02, 50.0])
def test_the_length_of_hv_matters_little(maps, truth, preset, scale):
    separation = SeparationParams.preset(preset)
    plain = evaluate(truth, tune(maps, TuneParams(separation)).labels).aji
    scaled = tune(maps, TuneParams(separation, HVReading(scale=scale)))
    assert evaluate(truth, scaled.labels).aji == pytest.approx(plain, abs=0.03)


def test_the_order_of_hv_matters(maps, truth):
    right = evaluate(truth, tune(maps, TuneParams()).labels).aji
    swapped = evaluate(truth, tune(maps, TuneParams(hv=HVReading(order="vh"))).labels).aji
    inward = evaluate(truth, tune(maps, TuneParams(hv=HVReading(sign="inward"))).labels).aji
    assert right > 0.8
    assert max(swapped, inward) < right - 0.2


def test_stage_counts():
    labels = np.zeros((30, 60), np.int32)
    labels[5:20, 5:20], labels[5:20, 20:35], labels[5:20, 42:57] = 1, 2, 3
    found = tune(Maps(np=labels > 0, hv=hv_targets(labels)), TuneParams())
    assert stage_counts(found) == StageCounts(components=2, markers=3, instances=3)


def test_stage_counts_of_nothing():
    empty = Maps(np=np.zeros((8, 9)), hv=np.zeros((2, 8, 9)))
    assert stage_counts(tune(empty, TuneParams())) == StageCounts(0, 0, 0)
