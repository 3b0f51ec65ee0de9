"""Tokens: cached from images, decoded, scored and shown as stacks."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from napari_hovernet.app import tokens as module
from napari_hovernet.app.evaluate import evaluate_steps
from napari_hovernet.app.jobs import drive
from napari_hovernet.app.tokens import TokenChoice, TokenPredictor, find_pictures
from napari_hovernet.core.checkpoint import load_model, save_model
from napari_hovernet.core.hv import HVReading
from napari_hovernet.core.networks.optimus import OptimusDecoder
from napari_hovernet.core.separation.tuning import TuneParams
from napari_hovernet.core.tokens.backbone import Backbone, as_backbone, image_tokens
from napari_hovernet.core.tokens.data import Membership, find_token_data, membership, truth_of
from napari_hovernet.core.tokens.decode import TokenParams, predict_tokens_steps, principal_rgb
from napari_hovernet.core.types import Model, ModelInfo, numbered

from ..core.test_backbone import TinyViT
from ..refusals import refuses

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, write_token_family: Any) -> Path:
    """A family of two folds, and an untrained decoder beside it."""
    folder = tmp_path_factory.mktemp("skin")
    write_token_family(folder, "skin", n=4, dim=8, folds=2)
    torch.manual_seed(0)
    network = OptimusDecoder(8, 4, 5).eval()
    save_model(Model(network, ModelInfo("optimus"), CPU), folder / "d.pth")
    return folder


@pytest.fixture(scope="module")
def model(place: Path) -> Model:
    return load_model(place / "d.pth", "cpu")


def shown(place: Path, folder: Path | None = None, **more: Any) -> Any:
    """Run as the viewer does."""
    features = str((folder or place) / "skin_features.npz")
    request = module.TokenRequest(str(place / "d.pth"), features, device="cpu", **more)
    return drive(module.token_run_steps(request))


def scored(predictor: TokenPredictor, indices: tuple[int, ...]) -> Any:
    sides = membership(predictor.model.info, predictor.data)
    return drive(evaluate_steps(module.token_pairs(predictor.data, sides, indices), predictor))


def test_one_plane_per_sample_in_every_stack_with_the_means_of_the_evaluation(place, model):
    made, data = shown(place), find_token_data([place], "")
    assert made.pictures.names == ("skin_00001", "skin_00003"), "validation, where it is known"
    assert made.which == "validation (fold 2)"
    stacks = (made.pictures.images, made.maps.np, made.maps.hv, made.labels, made.pictures.truth)
    plane = (224, 224)
    wanted = [(2, *plane, 3), (2, *plane), (2, 2, *plane), (2, *plane), (2, *plane)]
    assert [x.shape for x in stacks] == wanted
    every = drive(predict_tokens_steps(model, data.tokens))
    np.testing.assert_allclose(made.maps.hv, every.hv[[1, 3]], atol=1e-5)
    assert made.labels[0].max() == len(np.unique(made.labels[0])) - 1
    rows = scored(TokenPredictor(model, data, (1, 3), TokenParams(batch=1)), (1, 3)).overall.means
    for name in ("aji", "cc_aji", "oracle_aji", "magnitude_inside", "hv_cosine", "true_magnitude"):
        ours = name.removeprefix("hv_").removesuffix("_inside")
        assert made.means[ours] == pytest.approx(rows[name].mean, abs=1e-4), name
    text = " ".join(made.summary)
    assert "misleading" in text and "validation (fold 2)" in text and "Tokens before" in text
    result = drive(module.sample_steps(made, 1))
    np.testing.assert_array_equal(result.labels, made.labels[1])
    np.testing.assert_array_equal(result.maps.hv, made.maps.hv[1])
    assert len(result.nuclei) == result.labels.max()
    refuses("no plane 2", lambda: drive(module.sample_steps(made, 2)))


def test_choices_reach_the_decoder(place):
    inward = TuneParams(hv=HVReading(sign="inward"))
    choice = TokenChoice(1, "train")
    other = shown(place, params=TokenParams("historical"), choice=choice, tuning=inward)
    assert (other.prefix, other.which) == (1, "training (fold 1)")
    assert len(other.maps) == 1 and "56 px" in " ".join(other.notes)
    np.testing.assert_array_equal(shown(place, tuning=inward).maps.hv, -shown(place).maps.hv)


def test_features_alone_give_maps_and_colours(place, tmp_path):
    (tmp_path / "skin_features.npz").write_bytes((place / "skin_features.npz").read_bytes())
    made = shown(place, tmp_path)
    assert made.pictures.truth is None and made.pictures.of_tokens
    assert made.pictures.images.std() > 10
    assert np.isnan(made.means["aji"]) and made.counts[0] == -1
    assert "no truth" in " ".join(made.summary) and "may have been trained on" in made.which


@pytest.mark.parametrize("background", [True, False])
def test_types_are_scored_as_the_decoder_numbers_them(place, background):
    """Types of the family's targets start at 0 where the decoder's do."""
    torch.manual_seed(2)
    network = OptimusDecoder(8, 4, 5 + (not background), types_background=background).eval()
    info = ModelInfo("optimus", types=numbered(5 + (not background)))
    data = find_token_data([place], "skin")
    predictor = TokenPredictor(Model(network, info, CPU), data, (1, 3))
    pairs = module.token_pairs(data, membership(info, data), (1, 3))
    found = drive(predictor.steps(pairs[0]))
    labels, stored = found.truth.labels, np.load(place / "skin_targets.npz")["nt_targets"][1]
    at = ((np.arange(224) + 0.5) * len(stored) / 224).astype(int)
    kinds = stored[at[:, None], at] + (not background)
    for nucleus in np.unique(labels[labels > 0]):
        assert found.truth.types[nucleus] == np.bincount(kinds[labels == nucleus]).argmax()
    assert set(found.types) == set(np.unique(found.labels[found.labels > 0]))
    tally = drive(evaluate_steps(pairs, predictor)).rows[0].tally.confusion
    true = np.bincount([found.truth.types[k] for k in np.unique(labels[labels > 0])])
    assert tally[: len(true)].sum(axis=1).tolist() == true.tolist()


def test_spoilt_tokens_and_a_spoilt_truth_stop_nothing_else(tmp_path, model):
    tokens = np.random.default_rng(0).normal(size=(3, 261, 8)).astype(np.float32)
    tokens[1] = np.nan
    labels = np.zeros((3, 64, 64), np.float32)
    labels[:, 5:30, 5:30] = 1
    np.savez(tmp_path / "x_features.npz", features=tokens)
    np.savez(tmp_path / "x_targets.npz", inst_maps=labels)
    for batch in (1, 3):
        data = find_token_data([tmp_path], "x")
        result = scored(TokenPredictor(model, data, (0, 1, 2), TokenParams(batch=batch)), (0, 1, 2))
        assert [bool(row.error) for row in result.rows] == [False, True, False]
        assert "sample 1: tokens hold NaN" in result.failed[0].error
    labels[1, 40, 40] = 0.5
    np.savez(tmp_path / "x_targets.npz", inst_maps=labels)
    made = drive(module.picture_steps(find_token_data([tmp_path], "x"), (0, 1)))
    assert made.truth[0].any() and made.truth_at(1) is None, "it is not an image without nuclei"
    assert "fractions" in " ".join(made.notes)


def test_samples_are_spread_or_drawn():
    choose = module.choose_samples
    sides = Membership(("train",) * 6 + ("val",) * 4, {"val": "v", "train": "t"})
    assert (choose(sides, TokenChoice()), choose(sides, TokenChoice(2))) == ((6, 7, 8, 9), (6, 8))
    assert choose(sides, TokenChoice(3, "all")) == (0, 3, 6)
    drawn = {choose(sides, TokenChoice(4, "all", seed)) for seed in range(5)}
    assert len(drawn) > 1 and all(len(set(x)) == 4 for x in drawn)
    assert choose(sides, TokenChoice(4, "all", 1)) in drawn
    refuses("0; give 1 or more", choose, sides, TokenChoice(0))


@pytest.fixture
def vit() -> Backbone:
    return as_backbone(TinyViT(), device="cpu")


def cached(path: Path, vit: Backbone, out: Path) -> Any:
    return drive(module.cache_steps(find_pictures(path), vit, out))


def picture(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (256, 256, 3), np.uint8)


def write_tiles(folder: Path, labelled: int) -> Path:
    folder.mkdir(exist_ok=True)
    for i in range(2):
        cv2.imwrite(str(folder / f"t{i}.png"), picture(i)[..., ::-1])
        if i < labelled:
            labels = np.zeros((256, 256), np.uint8)
            labels[40:80, 40:80] = i + 1
            cv2.imwrite(str(folder / f"t{i}_lab.png"), labels)
    return folder


@pytest.mark.parametrize("outlines", [False, True])
def test_a_folder_becomes_a_family_with_its_truth(vit, tmp_path, outlines):
    tiles, out = write_tiles(tmp_path / "tiles", 0 if outlines else 2), tmp_path / "out"
    out.mkdir()
    ring = [[40, 40], [80, 40], [80, 80], [40, 80], [40, 40]]
    geometry = {"type": "Polygon", "coordinates": [ring]}
    for i in range(2 if outlines else 0):
        feature = {"type": "Feature", "geometry": geometry, "properties": {}}
        (tiles / f"t{i}.geojson").write_text(json.dumps([feature]))
    made = cached(tiles, vit, out / "mine_features.npz")
    assert (made.shape, made.prefix, made.notes) == ((2, 261, 6), 5, ())
    data = find_token_data([out], "mine")
    np.testing.assert_allclose(data.tokens, image_tokens(vit, [picture(0), picture(1)]), atol=0.01)
    truth = truth_of(data, 1).labels
    assert data.image(0).shape == (224, 224, 3)
    assert truth[60, 60] and (truth > 0).sum() == 35 * 35


def test_labels_of_some_alone_are_left_out_and_it_is_said(vit, tmp_path):
    made = cached(write_tiles(tmp_path, 1), vit, tmp_path / "mine_features.npz")
    assert "only 1 of 2 images have labels" in made.notes[0]
    assert not find_token_data([tmp_path], "mine").has_truth


@pytest.mark.parametrize("ending", ["data_FIXED.npz", "images.npy"])
def test_arrays_of_images(ending, vit, tmp_path):
    images, path = np.stack([picture(i) for i in range(3)]), tmp_path / f"mine_{ending}"
    np.save(path, images) if ending.endswith("npy") else np.savez(path, images=images)
    made = cached(path, vit, tmp_path / "mine_features.npz")
    assert made.files == (tmp_path / "mine_features.npz",), "the images stay where they are"
    tokens = find_token_data([tmp_path], "mine").tokens
    np.testing.assert_allclose(tokens[2], image_tokens(vit, [picture(2)])[0], atol=0.01)


def test_a_cancel_leaves_nothing_and_what_holds_no_images_is_refused(vit, tmp_path):
    path = tmp_path / "x.npy"
    np.save(path, np.stack([picture(0)] * 9))
    steps = module.cache_steps(find_pictures(path), vit, tmp_path / "x_features.npz")
    next(steps)
    next(steps)
    steps.close()
    assert list(tmp_path.iterdir()) == [path]
    refuses(r"must be named FAMILY_features\.npz", cached, path, vit, tmp_path / "tokens.npz")
    np.save(path, np.zeros((3, 4)))
    np.savez(tmp_path / "y.npz", masks=np.zeros(3))
    refuses(r"shape \(3, 4\)", find_pictures, path)
    refuses("no array 'images', only masks", find_pictures, tmp_path / "y.npz")


@pytest.mark.parametrize("dim", [6, 700], ids=["few numbers", "more numbers than tokens"])
def test_colours_follow_the_largest_differences(dim):
    rng = np.random.default_rng(0)
    tokens = 0.01 * rng.standard_normal((2, 261, dim))
    tokens[0, 5:133] += rng.standard_normal(dim)  # upper half of the first sample
    colours = principal_rgb(tokens)
    assert colours.shape == (2, 224, 224, 3) and colours.dtype == np.uint8
    red = colours[..., 0].astype(int)
    upper, lower = red[0, :112], red[0, 112:]
    assert min(abs(upper.min() - lower.max()), abs(lower.min() - upper.max())) > 60
    assert red[1].max() - red[1].min() < 20, "colours mean the same in every sample"
    for nothing in (0.0, np.nan):
        assert (principal_rgb(np.full((1, 261, 4), nothing, np.float32)) == 128).all()
