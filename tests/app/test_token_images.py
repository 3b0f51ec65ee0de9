import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from napari_hovernet.app.jobs import drive
from napari_hovernet.app.tokens import (
    cache_steps,
    find_pictures,
)
from napari_hovernet.core.tokens.backbone import Backbone, as_backbone, image_tokens
from napari_hovernet.core.tokens.data import find_token_data, truth_of
from napari_hovernet.core.tokens.decode import principal_rgb
from napari_hovernet.errors import InputError


class TinyViT(nn.Module):
    num_prefix_tokens = 5

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.project = nn.Conv2d(3, 4, 14, 14)

    def forward_features(self, x: torch.Tensor) -> torch.Tensor:
        patches = self.project(x).flatten(2).transpose(1, 2)
        return torch.cat([x.new_zeros(len(x), 5, 4), patches], 1)


@pytest.fixture
def vit() -> Backbone:
    return as_backbone(TinyViT(), device="cpu")


def picture(seed: int, edge: int = 256) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (edge, edge, 3), np.uint8)


def write_tiles(folder: Path, labelled: int = 2) -> Path:
    for i in range(2):
        cv2.imwrite(str(folder / f"t{i}.png"), picture(i)[..., ::-1])
        if i < labelled:
            labels = np.zeros((256, 256), np.uint8)
            labels[40:80, 40:80] = i + 1
            cv2.imwrite(str(folder / f"t{i}_lab.png"), labels)
    return folder


def test_a_folder_becomes_a_family_with_its_truth(vit, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    tiles = tmp_path / "tiles"
    tiles.mkdir()
    made = drive(cache_steps(find_pictures(write_tiles(tiles)), vit, out / "mine_features.npz"))
    assert (made.shape, made.prefix, made.notes) == ((2, 261, 4), 5, ())
    data = find_token_data([out], "mine")
    np.testing.assert_allclose(data.tokens, image_tokens(vit, [picture(0), picture(1)]), atol=0.01)
    assert data.image(0).shape == (224, 224, 3)
    assert truth_of(data, 1).labels[60, 60] and (truth_of(data, 1).labels > 0).sum() == 35 * 35


def test_outlines_are_drawn_at_the_size_of_their_image(vit, tmp_path):
    folder = write_tiles(tmp_path, labelled=0)
    ring = [[40, 40], [80, 40], [80, 80], [40, 80], [40, 40]]
    feature = {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [ring]},
               "properties": {}}  # fmt: skip
    for i in range(2):
        (folder / f"t{i}.geojson").write_text(json.dumps([feature]))
    drive(cache_steps(find_pictures(folder), vit, tmp_path / "mine_features.npz"))
    truth = truth_of(find_token_data([tmp_path], "mine"), 1).labels
    assert truth[60, 60] == 1 and (truth > 0).sum() == 35 * 35


def test_labels_of_some_alone_are_left_out_and_it_is_said(vit, tmp_path):
    made = drive(cache_steps(find_pictures(write_tiles(tmp_path, 1)), vit,
                             tmp_path / "mine_features.npz"))  # fmt: skip
    assert "only 1 of 2 images have labels" in made.notes[0]
    assert not find_token_data([tmp_path], "mine").has_truth


@pytest.mark.parametrize("ending", ["data_FIXED.npz", "images.npy"])
def test_arrays_of_images(ending, vit, tmp_path):
    images = np.stack([picture(0), picture(1), picture(2)])
    path = tmp_path / f"mine_{ending}"
    np.save(path, images) if ending.endswith("npy") else np.savez(path, images=images)
    made = drive(cache_steps(find_pictures(path), vit, tmp_path / "mine_features.npz"))
    assert made.files == (tmp_path / "mine_features.npz",), "the images stay where they are"
    tokens = find_token_data([tmp_path], "mine").tokens
    np.testing.assert_allclose(tokens[2], image_tokens(vit, [picture(2)])[0], atol=0.01)


def test_a_cancel_leaves_nothing(vit, tmp_path):
    np.save(tmp_path / "x.npy", np.stack([picture(0)] * 9))
    steps = cache_steps(find_pictures(tmp_path / "x.npy"), vit, tmp_path / "x_features.npz")
    next(steps)
    next(steps)
    steps.close()
    assert [p.name for p in tmp_path.iterdir()] == ["x.npy"]


def test_names_and_arrays_that_hold_no_images_are_refused(vit, tmp_path):
    np.save(tmp_path / "x.npy", picture(0)[None])
    with pytest.raises(InputError, match=r"must be named FAMILY_features\.npz"):
        drive(cache_steps(find_pictures(tmp_path / "x.npy"), vit, tmp_path / "tokens.npz"))
    np.save(tmp_path / "x.npy", np.zeros((3, 4)))
    np.savez(tmp_path / "y.npz", masks=np.zeros(3))
    with pytest.raises(InputError, match=r"shape \(3, 4\)"):
        find_pictures(tmp_path / "x.npy")
    with pytest.raises(InputError, match="no array 'images', only masks"):
        find_pictures(tmp_path / "y.npz")


@pytest.mark.parametrize("dim", [6, 700], ids=["few numbers", "more numbers than tokens"])
def test_colours_follow_the_largest_differences(dim):
    rng = np.random.default_rng(0)
    tokens = 0.01 * rng.standard_normal((2, 261, dim))
    direction = rng.standard_normal(dim)
    tokens[0, 5:133] += direction  # upper half of the first sample
    picture = principal_rgb(tokens)
    assert picture.shape == (2, 224, 224, 3) and picture.dtype == np.uint8
    red = picture[..., 0].astype(int)
    upper, lower = red[0, :112], red[0, 112:]
    assert min(abs(upper.min() - lower.max()), abs(lower.min() - upper.max())) > 60
    assert red[1].max() - red[1].min() < 20, "colours mean the same in every sample"


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_tokens_that_tell_nothing_are_grey(value):
    assert (principal_rgb(np.full((1, 261, 4), value, np.float32)) == 128).all()
