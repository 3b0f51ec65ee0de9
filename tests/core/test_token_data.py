from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_hovernet.core.data.load import load_samples
from napari_hovernet.core.data.samples import SampleArrays
from napari_hovernet.core.data.stores import DiskArray, SizeError
from napari_hovernet.core.hv import HVConvention, hv_targets
from napari_hovernet.core.masks import label_parts
from napari_hovernet.core.measure.metrics import evaluate
from napari_hovernet.core.params import DataParams, TrainConfig, config_as_dict
from napari_hovernet.core.tokens import data as module
from napari_hovernet.core.training.crops import at_output_size
from napari_hovernet.core.types import ModelInfo
from napari_hovernet.errors import InputError

from ..refusals import refuses

N, EDGE = 3, 256


def labels_of(seed: int) -> np.ndarray:
    """Pairs of touching discs."""
    rng = np.random.default_rng(seed)
    rows, cols = np.mgrid[:EDGE, :EDGE]
    labels = np.zeros((EDGE, EDGE), np.int32)
    for k, (r, c) in enumerate((r, c) for r in (50, 128, 206) for c in (50, 128, 206)):
        radius = rng.uniform(11, 14)
        for side in (0, 1):
            place = np.hypot(rows - r, cols - (c + side * 1.6 * radius)) < radius
            labels[place & (labels == 0)] = 2 * k + 1 + side
    return labels


LABELS = np.stack([labels_of(i) for i in range(N)])


def write(folder: Path, ending: str = "targets", **arrays: Any) -> None:
    np.savez(folder / f"mine_{ending}.npz", **arrays)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tokens = np.random.default_rng(0).normal(size=(N, 261, 6)).astype(np.float16)
    write(tmp_path, "features", layer_24=tokens)
    return tmp_path


def targets(convention: HVConvention | None = None) -> dict[str, np.ndarray]:
    hv = np.stack([hv_targets(x, convention) for x in LABELS]).astype(np.float32)
    return {"np_targets": (LABELS > 0).astype(np.uint8), "hv_targets": hv}


def test_tokens_are_mapped_and_named_as_in_training(folder):
    data = module.find_token_data([folder], "mine")
    assert isinstance(data.tokens, DiskArray) and data.tokens.shape == (3, 261, 6)
    assert (len(data), data.name(2), data.has_truth) == (3, "mine_00002", False)
    assert module.truth_of(data, 0) is None and data.image(0) is None
    assert "there is no mine_targets.npz" in " ".join(data.notes)
    assert module.find_token_data([folder / "mine_features.npz"], "").family == "mine"
    assert module.find_token_data([folder], "MINE").family == "mine"


def test_instances_win_and_come_at_224_as_training_has_them(folder):
    write(folder, inst_maps=LABELS, **targets())
    truth = module.truth_of(module.find_token_data([folder], ""), 1)
    given = SampleArrays(features=np.zeros((261, 6), np.float32), labels=LABELS[1])
    wanted = at_output_size(given).labels
    np.testing.assert_array_equal(truth.labels, wanted)
    assert truth.how == "instances"
    assert truth.notes == ("true labels were brought from 256 x 256 to 224 x 224, nearest",)


@pytest.mark.parametrize("name", ["default", "vh_inward_radial"])
@pytest.mark.parametrize("int8", [False, True])
def test_without_instances_stored_hv_parts_touching_nuclei(name, int8, folder):
    arrays = targets(HVConvention.preset(name))
    if int8:
        arrays["hv_targets"] = np.rint(arrays["hv_targets"] * 127).astype(np.int8)
    write(folder, **arrays)
    truth = module.truth_of(module.find_token_data([folder], "mine"), 0)
    assert truth.how == "hv" and "cut from np_targets and hv_targets" in truth.notes[0]
    assert evaluate(module.nearest(LABELS[0]), truth.labels).aji > 0.9
    merged = label_parts(module.nearest(LABELS[0]) > 0)[0]
    assert truth.labels.max() == 2 * merged.max()


def test_without_instances_components_say_what_they_cannot_tell(folder):
    write(folder, np_targets=targets()["np_targets"])
    truth = module.truth_of(module.find_token_data([folder], "mine"), 0)
    assert (truth.how, truth.labels.max()) == ("components", 9)
    assert "touching nuclei count as one" in truth.notes[0]
    write(folder, np_targets=targets()["np_targets"], hv_targets=np.zeros((N, 2, EDGE, EDGE)))
    data = module.find_token_data([folder], "mine")
    assert module.truth_of(data, 0).how == "components"
    assert "hv_targets cannot be used" in " ".join(data.notes)
    refuses("no hv_targets that can be read", module.truth_of, data, 0, "hv")


def test_images_come_at_224(folder):
    images = np.full((N, EDGE, EDGE, 3), 90, np.uint8)
    images[1] = 30
    write(folder, "data_FIXED", images=images, inst_maps=LABELS, fold_ids=[1, 2, 3])
    data = module.find_token_data([folder], "mine")
    assert data.image(1).shape == (224, 224, 3) and data.image(1).max() == 30
    assert data.folds == ("1", "2", "3")


def test_what_was_looked_for_where_is_said(tmp_path, folder):
    empty, gone = tmp_path / "empty", tmp_path / "gone"
    empty.mkdir()
    text = refuses("other_features.npz", module.find_token_data, [empty, gone, folder], "other")
    for part in (f"{empty} (no features", f"{gone} (not there)", "has mine"):
        assert part in text
    np.savez(folder / "b_features.npz", features=np.zeros((1, 261, 2), np.float32))
    refuses("several families", module.find_token_data, [folder], "")
    write(folder, np_targets=targets()["np_targets"][:2])
    with pytest.raises(SizeError, match=r"Numbers of images differ .*np_targets 2"):
        module.find_token_data([folder], "mine")


@pytest.mark.parametrize(
    "features", [np.zeros((3, 261), np.float32), np.zeros((3, 261, 4), np.int8)]
)
def test_features_that_are_none(features, tmp_path):
    np.savez(tmp_path / "mine_features.npz", features=features)
    refuses("no tokens that can be used", module.find_token_data, [tmp_path], "mine")


TOKENS = np.random.default_rng(0).normal(size=(5, 261, 4)).astype(np.float32)


@pytest.mark.parametrize(
    ("batches", "match"),
    [
        ([TOKENS[:2]], "2 images instead of 5"),
        ([], "0 images instead of 5"),
        ([TOKENS[:4], TOKENS[4:, :200]], r"\(200, 4\), of others \(261, 4\)"),
        ([TOKENS * 1e6], "beyond 65504"),
        ([TOKENS * np.nan], "NaN"),
    ],
)
def test_what_is_wrong_leaves_the_old_file_and_nothing_else(batches, match, tmp_path):
    path = tmp_path / "x_features.npz"
    path.write_bytes(b"old")
    with pytest.raises(InputError, match=match), module.token_file(path, "features", 5) as file:
        for batch in batches:
            file.add(batch)
    assert (path.read_bytes(), [p.name for p in tmp_path.iterdir()]) == (b"old", [path.name])


N_SPLIT, EDGE_SPLIT = 10, 64


def write_split(folder: Path, **more: Any) -> Path:
    folder.mkdir(exist_ok=True)
    labels = np.zeros((N_SPLIT, EDGE_SPLIT, EDGE_SPLIT), np.int32)
    labels[:, 10:30, 10:30] = 1
    np.savez(folder / "skin_features.npz", features=np.zeros((N_SPLIT, 261, 4), np.float16))
    np.savez(folder / "skin_targets.npz", inst_maps=labels, **more)
    return folder


def info_of(folder: Path, **changes: Any) -> ModelInfo:
    data = DataParams((str(folder),), val_fraction=0.3)
    config = replace(TrainConfig(start="scratch:optimus", data=data, seed=5), **changes)
    return ModelInfo("optimus", training=config_as_dict(config))


def test_what_is_not_known_is_said(tmp_path):
    sides = module.membership(
        ModelInfo("optimus"), module.find_token_data([write_split(tmp_path)], "")
    )
    assert not any(sides.splits) and len(sides.chosen()) == N_SPLIT
    assert sides.called(sides.chosen()) == module.NOT_KNOWN
    refuses("not known which samples are for val", sides.chosen, "val")
    folder = write_split(tmp_path)
    sides = module.membership(
        info_of(folder, start="first.pth"), module.find_token_data([folder], "")
    )
    assert "started from first.pth, which may have seen" in " ".join(sides.notes)


def test_the_last_fold_validates(tmp_path):
    data = module.find_token_data([write_split(tmp_path, fold_ids=np.arange(N_SPLIT) % 3 + 1)], "")
    sides = module.membership(ModelInfo("optimus"), data)
    assert sides.chosen() == sides.chosen("val") == (2, 5, 8)
    assert sides.called(sides.chosen()) == "validation (fold 3)"
    assert sides.called(sides.chosen("train")) == "training (folds 1, 2)"
    assert sides.called(sides.chosen("all")) == "validation (fold 3) and training (folds 1, 2)"
    assert "does not say whether its training" in sides.notes[0]


def test_our_checkpoints_tell_by_seed_and_share(tmp_path):
    folder = write_split(tmp_path)
    info = info_of(folder)
    sides = module.membership(info, module.find_token_data([folder], ""))
    divided = load_samples(DataParams((str(folder),), val_fraction=0.3), needs="tokens", seed=5)
    wanted = {int(s.name[-5:]) for s in divided.val}
    assert set(sides.chosen("val")) == wanted and len(wanted) == 3
    assert sides.called(sides.chosen()) == "validation (seed 5)"
    other = module.membership(info_of(folder, seed=6), module.find_token_data([folder], ""))
    assert set(other.chosen("val")) != wanted
