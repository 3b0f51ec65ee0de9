"""What samples of a features file become in the viewer, and the reader that opens one."""

from __future__ import annotations

import numpy as np
import pytest
from napari.layers import Image, Labels

from napari_hovernet._napari.images import METADATA_KEY, segmentable
from napari_hovernet._napari.preferences import Preferences
from napari_hovernet._napari.readers import get_reader, kind_of
from napari_hovernet._napari.token_layers import (
    features_of,
    picture_data,
    sample_of,
    samples_of,
    stack_layers,
)
from napari_hovernet.app.tokens import MOST_SHOWN, TokenPictures, TokenStacks
from napari_hovernet.core.separation.tuning import TuneParams
from napari_hovernet.core.tokens.backbone import TokenFamilyParams, write_token_family
from napari_hovernet.core.tokens.decode import TokenMaps
from napari_hovernet.core.types import ModelInfo


def pictures_of(tmp_path, truth=True, of_tokens=False):
    labels = np.zeros((2, 224, 224), np.int32)
    labels[:, 10:30, 10:30] = 1
    return TokenPictures("skin", tmp_path / "skin_features.npz", (3, 8), ("s3", "s8"),
                         np.zeros((2, 224, 224, 3), np.uint8), labels if truth else None,
                         of_tokens, ("odd",))  # fmt: skip


def stacks_of(pictures):
    hv = np.full((2, 2, 224, 224), 0.3, np.float32)
    hv[1] = 0
    maps = TokenMaps(np.ones((2, 224, 224), np.float32), hv, None, (3, 8))
    labels = np.ones((2, 224, 224), np.int32)
    means = dict.fromkeys(
        ("aji", "cc_aji", "oracle_aji", "magnitude", "true_magnitude", "cosine", "largest"), 0.5
    )
    return TokenStacks(pictures, maps, labels, ModelInfo("optimus"), 5, "training", means, (2, 2),
                       TuneParams(), ())  # fmt: skip


def test_each_map_is_a_stack_with_fixed_limits(tmp_path):
    stacks = stacks_of(pictures_of(tmp_path))
    layers = stack_layers(stacks, "skin tokens 1", Preferences(contour=3))
    assert [x.name for x in layers] == [
        f"skin tokens 1 · {name}"
        for name in ("images", "truth", "NP", "HV x", "HV y", "magnitude", "nuclei")
    ]
    images, truth, probability, x, y, magnitude, nuclei = layers
    assert all(layer.data.shape[:3] == (2, 224, 224) for layer in layers)
    assert x.contrast_limits == y.contrast_limits == [-1, 1]
    assert probability.contrast_limits == magnitude.contrast_limits == [0, 1]
    np.testing.assert_allclose(magnitude.data[0], np.hypot(0.3, 0.3), rtol=1e-5)
    assert not magnitude.data[1].any()
    assert (truth.contour, nuclei.contour, images.rgb) == (3, 3, True)
    assert [layer.visible for layer in layers] == [True, True, False, False, False, False, True]
    nuclei.data[:] = 0
    assert stacks.labels.all(), "painting never changes the result"


def test_layers_know_their_samples_and_only_images_can_be_segmented(tmp_path):
    layers = stack_layers(stacks_of(pictures_of(tmp_path)), "t", Preferences())
    assert {features_of(layer) for layer in layers} == {str(tmp_path / "skin_features.npz")}
    assert [sample_of(layers[3], plane) for plane in (0, 1, 2, -1)] == ["s3", "s8", "", ""]
    assert sample_of(None, 0) == "" and samples_of(Image(np.zeros((2, 2)))) == ()
    assert [segmentable(layer) for layer in layers] == [True, *[False] * 6]


def test_without_a_truth_and_images_it_says_what_is_shown(tmp_path):
    ((_, look, kind),) = picture_data(pictures_of(tmp_path, truth=False, of_tokens=True))
    assert (look["name"], kind) == ("skin · tokens as colours", "image")
    assert look["metadata"][METADATA_KEY]["notes"] == ["odd"]


@pytest.mark.parametrize("ending", ["features", "targets", "data_FIXED"])
def test_any_file_of_a_family_opens_its_samples(ending, tmp_path):
    write_token_family(tmp_path, "skin", TokenFamilyParams(n=2, dim=4))
    path = str(tmp_path / f"skin_{ending}.npz")
    reader = get_reader(path)
    (images, look, kind), (truth, _, labels_kind) = reader(path)
    assert (kind, labels_kind, look["name"]) == ("image", "labels", "skin · images")
    assert images.shape == (2, 224, 224, 3)
    assert truth.shape == (2, 224, 224) and truth.max() > 1
    layer = Image(images, **look)
    assert features_of(layer).endswith("skin_features.npz")
    assert isinstance(Labels(truth), Labels)


def test_features_alone_open_as_colours(tmp_path):
    tokens = np.random.default_rng(0).normal(size=(3, 261, 4)).astype(np.float16)
    np.savez(tmp_path / "x_features.npz", layer_24=tokens)
    path = str(tmp_path / "x_features.npz")
    ((images, look, _),) = get_reader(path)(path)
    assert look["name"] == "x · tokens as colours" and images.std() > 10


def test_of_many_samples_some_are_shown(tmp_path):
    n = MOST_SHOWN + 6
    np.savez(tmp_path / "x_features.npz", features=np.zeros((n, 256, 2), np.float16))
    path = str(tmp_path / "x_features.npz")
    ((images, look, _),) = get_reader(path)(path)
    assert len(images) == MOST_SHOWN and look["name"].startswith(f"x ({MOST_SHOWN} of {n})")


@pytest.mark.parametrize("name", ["any.npz", "x_targets.npz"])
def test_other_npz_files_are_left_to_others(name, tmp_path):
    np.savez(tmp_path / name, a=np.zeros(3))
    assert kind_of(tmp_path / name) == "" and get_reader(str(tmp_path / name)) is None
