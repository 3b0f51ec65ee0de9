from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_hovernet.core.data.samples import SampleArrays
from napari_hovernet.core.data.stores import DiskArray, SizeError
from napari_hovernet.core.hv import HVConvention, hv_targets
from napari_hovernet.core.masks import label_parts
from napari_hovernet.core.measure.metrics import evaluate
from napari_hovernet.core.tokens.data import find_token_data, nearest, truth_of
from napari_hovernet.core.training.crops import at_output_size
from napari_hovernet.errors import InputError

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
    data = find_token_data([folder], "mine")
    assert isinstance(data.tokens, DiskArray) and data.tokens.shape == (3, 261, 6)
    assert (len(data), data.name(2), data.has_truth) == (3, "mine_00002", False)
    assert truth_of(data, 0) is None and data.image(0) is None
    assert "there is no mine_targets.npz" in " ".join(data.notes)


def test_features_file_itself_and_family_by_any_case(folder):
    assert find_token_data([folder / "mine_features.npz"], "").family == "mine"
    assert find_token_data([folder], "MINE").family == "mine"


def test_instances_win_and_come_at_224_as_training_has_them(folder):
    write(folder, inst_maps=LABELS, **targets())
    truth = truth_of(find_token_data([folder], ""), 1)
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
    truth = truth_of(find_token_data([folder], "mine"), 0)
    assert truth.how == "hv" and "cut from np_targets and hv_targets" in truth.notes[0]
    assert evaluate(nearest(LABELS[0]), truth.labels).aji > 0.9
    merged = label_parts(nearest(LABELS[0]) > 0)[0]
    assert truth.labels.max() == 2 * merged.max()


def test_components_say_what_they_cannot_tell(folder):
    write(folder, np_targets=targets()["np_targets"])
    truth = truth_of(find_token_data([folder], "mine"), 0)
    assert (truth.how, truth.labels.max()) == ("components", 9)
    assert "touching nuclei count as one" in truth.notes[0]


def test_hv_that_tells_nothing_leaves_components_and_a_note(folder):
    write(folder, np_targets=targets()["np_targets"], hv_targets=np.zeros((N, 2, EDGE, EDGE)))
    data = find_token_data([folder], "mine")
    assert truth_of(data, 0).how == "components"
    assert "hv_targets cannot be used" in " ".join(data.notes)
    with pytest.raises(InputError, match="no hv_targets that can be read"):
        truth_of(data, 0, "hv")


def test_images_come_at_224(folder):
    images = np.full((N, EDGE, EDGE, 3), 90, np.uint8)
    images[1] = 30
    write(folder, "data_FIXED", images=images, inst_maps=LABELS, fold_ids=[1, 2, 3])
    data = find_token_data([folder], "mine")
    assert data.image(1).shape == (224, 224, 3) and data.image(1).max() == 30
    assert data.folds == ("1", "2", "3")


def test_object_arrays_are_never_opened(folder):
    ragged = np.empty(N, object)
    ragged[:] = [LABELS[0]] * N
    write(folder, inst_maps=ragged, np_targets=targets()["np_targets"])
    data = find_token_data([folder], "mine")
    assert truth_of(data, 0).how == "components"
    assert "inst_maps holds Python objects" in " ".join(data.notes)
    np.savez(folder / "mine_features.npz", features=ragged)
    with pytest.raises(InputError, match="Python objects"):
        find_token_data([folder], "mine")


def test_numbers_of_samples_must_agree(folder):
    write(folder, np_targets=targets()["np_targets"][:2])
    with pytest.raises(SizeError, match=r"Numbers of images differ .*np_targets 2"):
        find_token_data([folder], "mine")


def test_what_was_looked_for_where_is_said(tmp_path, folder):
    empty, gone = tmp_path / "empty", tmp_path / "gone"
    empty.mkdir()
    with pytest.raises(InputError) as caught:
        find_token_data([empty, gone, folder], "other")
    text = str(caught.value)
    for part in ("other_features.npz", f"{empty} (no features", f"{gone} (not there)", "has mine"):
        assert part in text


def test_two_families_need_a_name(folder):
    np.savez(folder / "b_features.npz", features=np.zeros((1, 261, 2), np.float32))
    with pytest.raises(InputError, match="several families"):
        find_token_data([folder], "")


@pytest.mark.parametrize(
    "features", [np.zeros((3, 261), np.float32), np.zeros((3, 261, 4), np.int8)]
)
def test_features_that_are_none(features, tmp_path):
    np.savez(tmp_path / "mine_features.npz", features=features)
    with pytest.raises(InputError, match="no tokens that can be used"):
        find_token_data([tmp_path], "mine")


def test_an_unknown_truth_is_refused(folder):
    data = find_token_data([folder], "mine")
    with pytest.raises(InputError, match="choose one of auto"):
        truth_of(data, 0, "mine")
    with pytest.raises(InputError, match="no inst_maps"):
        truth_of(data, 0, "instances")


def test_odd_sizes_are_brought_to_the_maps(folder):
    small = LABELS[:, :100, :70]
    write(folder, inst_maps=small)
    assert truth_of(find_token_data([folder], "mine"), 0).labels.shape == (224, 224)
