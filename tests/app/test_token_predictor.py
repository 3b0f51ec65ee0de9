from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from napari_hovernet.app.evaluate import evaluate_steps
from napari_hovernet.app.jobs import drive
from napari_hovernet.app.tokens import TokenChoice, TokenPredictor, choose_samples, token_pairs
from napari_hovernet.core.networks.optimus import OptimusDecoder
from napari_hovernet.core.tokens.data import (
    Membership,
    TokenData,
    find_token_data,
    membership,
    truth_of,
)
from napari_hovernet.core.tokens.decode import TokenParams, predict_tokens_steps
from napari_hovernet.core.types import Model, ModelInfo, numbered
from napari_hovernet.errors import InputError


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, write_token_family: Any) -> Path:
    place = tmp_path_factory.mktemp("family")
    write_token_family(place, "skin", n=5, dim=8, folds=5)
    return place


@pytest.fixture
def data(folder: Path) -> TokenData:
    return find_token_data([folder], "skin")


@pytest.fixture(scope="module")
def model() -> Model:
    torch.manual_seed(2)
    return Model(OptimusDecoder(8, 4, 5).eval(), ModelInfo("optimus"), torch.device("cpu"))


def pairs_of(data: TokenData, model: Model, indices: tuple[int, ...]):
    return token_pairs(data, membership(model.info, data), indices)


def test_maps_are_those_of_the_decoder_whatever_the_batch(data, model):
    every = drive(predict_tokens_steps(model, data.tokens))
    predictor = TokenPredictor(model, data, (0, 2, 4), TokenParams(batch=2))
    for index, pair in zip((0, 2, 4), pairs_of(data, model, (0, 2, 4)), strict=True):
        found = drive(predictor.steps(pair))
        np.testing.assert_allclose(found.maps.hv, every.hv[index], atol=1e-5)
        np.testing.assert_array_equal(found.truth.labels, truth_of(data, index).labels)
        assert found.image.shape == (224, 224)


@pytest.mark.parametrize("background", [True, False])
def test_types_are_scored_as_the_decoder_numbers_them(folder, data, background):
    """Types of the family's targets start at 0 where the decoder's do."""
    torch.manual_seed(2)
    network = OptimusDecoder(8, 4, 5 + (not background), types_background=background).eval()
    info = ModelInfo("optimus", types=numbered(5 + (not background)))
    predictor = TokenPredictor(Model(network, info, torch.device("cpu")), data, (1, 3))
    pairs = pairs_of(data, predictor.model, (1, 3))
    found = drive(predictor.steps(pairs[0]))
    labels, stored = found.truth.labels, np.load(folder / "skin_targets.npz")["nt_targets"][1]
    at = ((np.arange(224) + 0.5) * len(stored) / 224).astype(int)
    kinds = stored[at[:, None], at] + (not background)
    for nucleus in np.unique(labels[labels > 0]):
        assert found.truth.types[nucleus] == np.bincount(kinds[labels == nucleus]).argmax()
    assert set(found.types) == set(np.unique(found.labels[found.labels > 0]))
    tally = drive(evaluate_steps(pairs, predictor)).rows[0].tally.confusion
    true = np.bincount([found.truth.types[k] for k in np.unique(labels[labels > 0])])
    assert tally[: len(true)].sum(axis=1).tolist() == true.tolist()


def test_a_spoilt_sample_is_a_row_with_its_error(tmp_path, model):
    tokens = np.random.default_rng(0).normal(size=(3, 261, 8)).astype(np.float32)
    tokens[1] = np.nan
    labels = np.zeros((3, 64, 64), np.int32)
    labels[:, 5:30, 5:30] = 1
    np.savez(tmp_path / "x_features.npz", features=tokens)
    np.savez(tmp_path / "x_targets.npz", inst_maps=labels)
    data = find_token_data([tmp_path], "x")
    for batch in (1, 3):
        predictor = TokenPredictor(model, data, (0, 1, 2), TokenParams(batch=batch))
        result = drive(evaluate_steps(pairs_of(data, model, (0, 1, 2)), predictor))
        assert [bool(row.error) for row in result.rows] == [False, True, False]
        assert "sample 1: tokens hold NaN" in result.failed[0].error


def test_samples_are_spread_or_drawn():
    sides = Membership(("train",) * 6 + ("val",) * 4, {"val": "v", "train": "t"})
    assert choose_samples(sides, TokenChoice()) == (6, 7, 8, 9)
    assert choose_samples(sides, TokenChoice(2)) == (6, 8)
    assert choose_samples(sides, TokenChoice(3, "all")) == (0, 3, 6)
    drawn = {choose_samples(sides, TokenChoice(4, "all", seed)) for seed in range(5)}
    assert len(drawn) > 1 and all(len(set(x)) == 4 for x in drawn)
    assert choose_samples(sides, TokenChoice(4, "all", 1)) in drawn
    with pytest.raises(InputError, match="0; give 1 or more"):
        choose_samples(sides, TokenChoice(0))
