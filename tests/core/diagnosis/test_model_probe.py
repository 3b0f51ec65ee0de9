from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from napari_hovernet.core.diagnosis.bench import Bench
from napari_hovernet.core.diagnosis.case import ArrayItems, Case
from napari_hovernet.core.diagnosis.model_probe import (
    Seen,
    layer_output,
    network_inputs,
    run_part,
    watched,
)
from napari_hovernet.core.diagnosis.predicting import Predictor
from napari_hovernet.core.networks.compact import CompactUNet
from napari_hovernet.core.networks.optimus import OptimusDecoder


def test_an_output_is_measured_channel_by_channel() -> None:
    x = torch.zeros(2, 3, 4, 4)
    x[0, 1, 0, 0], x[1, 2] = 5.0, -1.0
    found = layer_output("x", x)
    assert found.low.tolist() == [0, 0, -1] and found.high.tolist() == [0, 5, 0]
    assert not found.rectified and found.largest == 5 and found.dead == pytest.approx(1 / 3)
    assert found.finite and found.spread[0] == 0


def test_nan_is_told_and_does_not_spread() -> None:
    x = torch.ones(1, 2, 2, 2)
    x[0, 0, 0, 0] = float("nan")
    found = layer_output("x", x)
    assert not found.finite and found.largest == 1


def test_what_several_images_show_is_put_together() -> None:
    seen = Seen()
    a, b = torch.zeros(1, 2, 4, 4), torch.zeros(1, 2, 4, 4)
    a[0, 0], b[0, 1] = 1.0, 1.0
    seen.add("x", a)
    assert seen.layers["x"].dead == 0.5
    seen.add("x", b)
    assert seen.layers["x"].dead == 0
    seen.add("flat", torch.zeros(3))
    seen.add("none", None)
    assert list(seen.layers) == ["x"]


def test_layers_are_watched_in_the_order_of_work_and_let_go() -> None:
    network = CompactUNet((4, 8)).eval()
    with watched(network) as seen, torch.inference_mode():
        network(torch.zeros(1, 3, 16, 16))
    names = list(seen.layers)
    assert names[0] == "down.0.conv1" and names[-2:] == ["output np", "output hv"]
    assert not any(m._forward_hooks for m in network.modules())


def test_inputs_of_a_network_on_images() -> None:
    items = ArrayItems(image=np.full((3, 64, 64, 3), 7, np.uint8))
    bench = Bench(Case(items, predictor=Predictor.of(CompactUNet((4, 8)))))
    inputs = returned(network_inputs(bench, 2))
    assert len(inputs) == 2 and inputs[0].shape[:2] == (1, 3) and float(inputs[0].max()) == 7
    assert returned(network_inputs(bench, 2)) is inputs
    assert not any(m._forward_pre_hooks for m in bench.case.predictor.model.network.modules())


def test_inputs_of_a_token_decoder() -> None:
    items = ArrayItems(features=np.zeros((2, 261, 8), np.float16))
    bench = Bench(Case(items, predictor=Predictor.of(OptimusDecoder(embed_dim=8, bottleneck=4))))
    assert run_part(bench, 0)
    assert returned(network_inputs(bench, 2))[0].shape == (1, 261, 8)


def test_tokens_that_do_not_fit_are_told() -> None:
    items = ArrayItems(features=np.zeros((1, 100, 8), np.float32))
    bench = Bench(Case(items, predictor=Predictor.of(OptimusDecoder(embed_dim=8, bottleneck=4))))
    assert not run_part(bench, 0)
    assert returned(network_inputs(Bench(Case(items)), 1)) == []


def returned(steps: object) -> list:
    while True:
        try:
            next(steps)  # type: ignore[call-overload]
        except StopIteration as stop:
            return stop.value


def test_a_linear_layer_has_no_maps() -> None:
    with watched(nn.Linear(2, 2)) as seen:
        nn.Linear(2, 2)(torch.zeros(1, 2))
    assert not seen.layers
