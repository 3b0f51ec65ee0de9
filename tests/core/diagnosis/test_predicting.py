"""A model, a network on tokens, or anybody's function: all give maps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from napari_hovernet.core.diagnosis.predicting import IMAGE, TOKENS, Predictor
from napari_hovernet.core.inference import predict
from napari_hovernet.core.networks.compact import CompactUNet
from napari_hovernet.core.networks.optimus import OptimusDecoder
from napari_hovernet.core.types import Model, ModelInfo
from napari_hovernet.errors import InputError, JobFailed

IMAGE_OF = np.arange(32 * 32 * 3, dtype=np.uint8).reshape(32, 32, 3)


def test_a_model_and_its_network_give_the_same() -> None:
    network = CompactUNet((4, 8)).eval()
    model = Model(network, ModelInfo("compact"), torch.device("cpu"))
    wanted = predict(model, IMAGE_OF)
    for given in (model, network):
        predictor = Predictor.of(given)
        assert predictor.reads == IMAGE
        assert np.array_equal(predictor.maps(IMAGE_OF).hv, wanted.hv)


def test_the_prefix_of_tokens_can_be_chosen_and_is_put_back() -> None:
    network = OptimusDecoder(embed_dim=8, bottleneck=4, n_types=None).eval()
    predictor = Predictor.of(Model(network, ModelInfo("optimus"), torch.device("cpu")))
    assert predictor.reads == TOKENS
    tokens = np.random.default_rng(0).standard_normal((261, 8)).astype(np.float16)
    shifted = np.concatenate((tokens[:1], tokens[5:], tokens[1:5]))
    right = predictor.maps(tokens)
    assert np.array_equal(predictor.maps(shifted, 1).np, right.np)
    assert network.token_prefix == 5


def test_a_function_may_return_maps_a_pair_or_a_dict() -> None:
    def pair(image: Any) -> Any:
        return image[..., 0] / 255, np.zeros((2, *image.shape[:2]))

    def named(image: Any) -> Any:
        return {"np": pair(image)[0], "hv": pair(image)[1]}

    assert np.array_equal(
        Predictor.of(pair).maps(IMAGE_OF).np, Predictor.of(named).maps(IMAGE_OF).np
    )


def test_failures_are_told_in_words() -> None:
    def broken(image: Any) -> Any:
        raise RuntimeError("no memory")

    with pytest.raises(JobFailed, match="no memory"):
        Predictor.of(broken).maps(IMAGE_OF)
    with pytest.raises(InputError, match="int"):
        Predictor.of(7)
