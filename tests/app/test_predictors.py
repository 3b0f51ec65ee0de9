"""Predictions from a model and from a folder."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
import torch

from napari_hovernet.app.evaluate import FolderPredictor, ModelPredictor
from napari_hovernet.app.jobs import drive
from napari_hovernet.app.segment import SegmentParams, segment_steps
from napari_hovernet.core.data.pairs import Pair
from napari_hovernet.core.hv import HVReading
from napari_hovernet.core.networks.compact import CompactUNet
from napari_hovernet.core.params import InferenceParams, SeparationParams
from napari_hovernet.core.separation.tuning import TuneParams
from napari_hovernet.core.types import Model, ModelInfo
from napari_hovernet.errors import InputError


@pytest.fixture(scope="module")
def model() -> Model:
    torch.manual_seed(1)
    info = ModelInfo("compact", sha256="f00", mpp=0.25)
    return Model(CompactUNet((4, 8)).eval(), info, torch.device("cpu"))


def test_the_model_gives_what_segment_gives(pairs: tuple[Pair, ...], model: Model) -> None:
    found = drive(ModelPredictor(model).steps(pairs[0]))
    plain = drive(segment_steps(model, found.image, SegmentParams()))
    np.testing.assert_array_equal(found.labels, plain.labels)
    assert found.maps is not None
    assert found.mask is not None
    assert plain.separation is not None
    np.testing.assert_array_equal(found.mask, plain.separation.mask)
    assert (found.mpp, found.scale) == (None, 1.0)


def test_hv_read_otherwise_changes_the_maps_and_what_is_cut(
    pairs: tuple[Pair, ...], model: Model
) -> None:
    tuning = TuneParams(SeparationParams(min_area=1), HVReading(order="vh", scale=2.0))
    plain = drive(ModelPredictor(model).steps(pairs[0]))
    found = drive(ModelPredictor(model, tuning=tuning).steps(pairs[0]))
    assert plain.maps is not None
    assert found.maps is not None
    np.testing.assert_allclose(found.maps.hv, 2 * plain.maps.hv[::-1], rtol=1e-6)
    assert found.separation.min_area == 1


def test_the_resolution_is_that_of_the_user_the_index_or_the_file(
    tmp_path: Path, pairs: tuple[Pair, ...], model: Model
) -> None:
    path = tmp_path / "r.tif"
    pixels = np.zeros((40, 40, 3), np.uint8)
    tifffile.imwrite(path, pixels, photometric="rgb", resolution=(2e4, 2e4), resolutionunit=3)
    pair = replace(pairs[0], image=path, mpp=1.0)
    said = InferenceParams(image_mpp=0.25)
    by_file = drive(ModelPredictor(model).steps(pair))
    by_index = drive(ModelPredictor(model, use_mpp=True).steps(pair))
    by_user = drive(ModelPredictor(model, said, use_mpp=True).steps(pair))
    assert [(p.mpp, p.scale) for p in (by_file, by_index, by_user)] == [
        (pytest.approx(0.5), pytest.approx(2.0)),
        (1.0, 4.0),
        (0.25, 1.0),
    ]
    without = drive(ModelPredictor(model, use_mpp=True).steps(replace(pair, mpp=None)))
    assert without.mpp == pytest.approx(0.5)
    assert by_file.separation.scales == (0.75, 1.5)  # in pixels of this image
    assert "mpp of the file" in ModelPredictor(model).describe()["resampling"]


def test_a_description_is_plain_and_names_the_model(model: Model) -> None:
    about = json.loads(json.dumps(ModelPredictor(model).describe()))
    assert about["model"]["sha256"] == "f00"
    assert about["separation"]["method"] == "local"
    assert about["hv_reading"]["sign"] == "outward"


def test_predictions_are_found_by_the_images_name_or_the_pairs(
    tmp_path: Path, pairs: tuple[Pair, ...]
) -> None:
    folder = tmp_path / "pred"
    folder.mkdir()
    np.save(folder / "x0.npy", np.eye(96, dtype=np.int32)[:64])
    np.save(folder / "named_labels.npy", np.zeros((64, 96), np.int32))
    predictor = FolderPredictor(folder)
    found = drive(predictor.steps(pairs[0]))
    assert found.labels.sum() == 64
    assert found.maps is None
    assert drive(predictor.steps(replace(pairs[1], name="lab/named"))).labels.sum() == 0
    with pytest.raises(InputError, match=r"no prediction for x2\.png; name it .* x2_labels\.tif"):
        drive(predictor.steps(pairs[2]))


def test_a_prediction_of_another_size_is_refused(tmp_path: Path, pairs: tuple[Pair, ...]) -> None:
    folder = tmp_path / "pred"
    folder.mkdir()
    cv2.imwrite(str(folder / "x0.png"), np.zeros((4, 5), np.uint8))
    with pytest.raises(InputError, match=r"x0\.png is 4 x 5 pixels, the image x0\.png 64 x 96"):
        drive(FolderPredictor(folder).steps(pairs[0]))


def test_neither_the_image_nor_its_truth_is_taken_for_a_prediction(
    pairs: tuple[Pair, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(pairs[0].image.parent)
    with pytest.raises(InputError, match="is the true label file"):
        drive(FolderPredictor(Path()).steps(pairs[0]))


def test_a_folder_without_predictions_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no file"):
        FolderPredictor(tmp_path / "empty")
    with pytest.raises(InputError, match="is not there"):
        FolderPredictor(tmp_path / "none")


def test_the_oracle_goes_through_the_chosen_separation(
    tmp_path: Path, pairs: tuple[Pair, ...]
) -> None:
    np.save(tmp_path / "x0.npy", np.zeros((64, 96), np.int32))
    merging = SeparationParams.preset("merging_relabel")
    found: Any = drive(FolderPredictor(tmp_path, merging).steps(replace(pairs[0], name="x0")))
    assert found.separation == merging
