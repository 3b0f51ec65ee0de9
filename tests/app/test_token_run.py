from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from napari_hovernet.app.evaluate import evaluate_steps
from napari_hovernet.app.jobs import drive
from napari_hovernet.app.tokens import (
    TokenChoice,
    TokenPredictor,
    TokenRequest,
    picture_steps,
    sample_steps,
    token_pairs,
    token_run_steps,
)
from napari_hovernet.core.checkpoint import load_model, save_model
from napari_hovernet.core.hv import HVReading
from napari_hovernet.core.networks.optimus import OptimusDecoder
from napari_hovernet.core.separation.tuning import TuneParams
from napari_hovernet.core.tokens.data import find_token_data, membership
from napari_hovernet.core.tokens.decode import TokenParams, predict_tokens_steps
from napari_hovernet.core.types import Model, ModelInfo
from napari_hovernet.errors import InputError


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, write_token_family: Any) -> Path:
    folder = tmp_path_factory.mktemp("skin")
    write_token_family(folder, "skin", n=4, dim=8, folds=2)
    torch.manual_seed(0)
    network = OptimusDecoder(8, 4, 5).eval()
    save_model(Model(network, ModelInfo("optimus"), torch.device("cpu")), folder / "d.pth")
    return folder


def request(place: Path, **more: object) -> TokenRequest:
    return TokenRequest(
        str(place / "d.pth"), str(place / "skin_features.npz"), device="cpu", **more
    )


def test_one_plane_per_sample_in_every_stack(place):
    made = drive(token_run_steps(request(place)))
    assert made.pictures.names == ("skin_00001", "skin_00003"), "validation, where it is known"
    assert made.which == "validation (fold 2)"
    shapes = [x.shape for x in (made.pictures.images, made.maps.np, made.maps.hv, made.labels,
                                made.pictures.truth)]  # fmt: skip
    assert shapes == [(2, 224, 224, 3), (2, 224, 224), (2, 2, 224, 224), (2, 224, 224),
                      (2, 224, 224)]  # fmt: skip
    tokens = find_token_data([place], "").tokens
    wanted = drive(predict_tokens_steps(load_model(place / "d.pth", "cpu"), tokens))
    np.testing.assert_allclose(made.maps.hv, wanted.hv[[1, 3]], atol=1e-5)
    assert made.labels[0].max() == len(np.unique(made.labels[0])) - 1


def test_means_are_those_of_the_evaluation(place):
    made = drive(token_run_steps(request(place)))
    model, data = load_model(place / "d.pth", "cpu"), find_token_data([place], "")
    pairs = token_pairs(data, membership(model.info, data), (1, 3))
    rows = drive(evaluate_steps(pairs, TokenPredictor(model, data, (1, 3)))).overall.means
    for ours, theirs in (("aji", "aji"), ("cc_aji", "cc_aji"), ("oracle_aji", "oracle_aji"),
                         ("magnitude", "magnitude_inside"), ("cosine", "hv_cosine"),
                         ("true_magnitude", "true_magnitude")):  # fmt: skip
        assert made.means[ours] == pytest.approx(rows[theirs].mean, abs=1e-4), ours
    text = " ".join(made.summary)
    assert "misleading" in text and "validation (fold 2)" in text and "Tokens before" in text


def test_choices_reach_the_decoder(place):
    plain = drive(token_run_steps(request(place)))
    other = drive(
        token_run_steps(
            request(
                place,
                params=TokenParams("historical"),
                choice=TokenChoice(1, "train"),
                tuning=TuneParams(hv=HVReading(sign="inward")),
            )
        )
    )
    assert (other.prefix, other.which) == (1, "training (fold 1)")
    assert len(other.maps) == 1 and "56 px" in " ".join(other.notes)
    turned = drive(token_run_steps(request(place, tuning=TuneParams(hv=HVReading(sign="inward")))))
    np.testing.assert_array_equal(turned.maps.hv, -plain.maps.hv)


def test_features_alone_give_maps_and_colours(place, tmp_path):
    (tmp_path / "skin_features.npz").write_bytes((place / "skin_features.npz").read_bytes())
    made = drive(
        token_run_steps(
            TokenRequest(str(place / "d.pth"), str(tmp_path / "skin_features.npz"), device="cpu")
        )
    )
    assert made.pictures.truth is None and made.pictures.of_tokens
    assert made.pictures.images.std() > 10
    assert np.isnan(made.means["aji"]) and made.counts[0] == -1
    assert "no truth" in " ".join(made.summary)
    assert "may have been trained on" in made.which


def test_a_spoilt_truth_of_one_sample_stops_nothing(tmp_path):
    labels = np.zeros((2, 64, 64), np.float32)
    labels[:, 5:30, 5:30] = 1
    labels[1, 40, 40] = 0.5
    np.savez(tmp_path / "x_features.npz", features=np.zeros((2, 261, 4), np.float16))
    np.savez(tmp_path / "x_targets.npz", inst_maps=labels)
    made = drive(picture_steps(find_token_data([tmp_path], "x"), (0, 1)))
    assert made.truth[0].any() and made.truth_at(1) is None, "it is not an image without nuclei"
    assert "fractions" in " ".join(made.notes)


def test_a_sample_becomes_an_ordinary_result(place):
    made = drive(token_run_steps(request(place)))
    result = drive(sample_steps(made, 1))
    np.testing.assert_array_equal(result.labels, made.labels[1])
    np.testing.assert_array_equal(result.maps.hv, made.maps.hv[1])
    assert len(result.nuclei) == result.labels.max()
    with pytest.raises(InputError, match="no plane 2"):
        drive(sample_steps(made, 2))
