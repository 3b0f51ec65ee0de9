"""Every kind of data a user may name gives its items, one at a time, as stored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from napari_hovernet.app.diagnose_items import find_items
from napari_hovernet.core.data import pairs
from napari_hovernet.core.diagnosis.bench import Bench
from napari_hovernet.core.diagnosis.case import Case
from napari_hovernet.errors import InputError

from .diagnosis_fakes import two_nuclei

SIZE = (48, 64)


def png(path: Path, values: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), values)


def pair(folder: Path, name: str, seed: int = 0) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (*SIZE, 3), np.uint8)
    png(folder / f"{name}.png", pixels)
    png(folder / f"{name}_lab.png", two_nuclei().astype(np.uint16))


def test_a_folder_of_pairs_is_read_lazily(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for i in range(3):
        pair(tmp_path, f"x{i}", i)
    png(tmp_path / "bare.png", np.zeros((*SIZE, 3), np.uint8))
    with monkeypatch.context() as patch:
        patch.setattr(pairs, "read_image", lambda *_: pytest.fail("an image was read"))
        found = find_items(tmp_path)
    assert found.items.names == ("bare", "x0", "x1", "x2")
    assert found.items.parts == {"image", "labels"}
    assert found.notes == ("1 of 4 images have no labels.",)
    item = found.items.read(1)
    np.testing.assert_array_equal(item.labels, two_nuclei())
    assert item.image.shape == (*SIZE, 3) and item.image.dtype == np.uint8
    assert found.items.read(0).labels is None


def test_of_an_index_a_split_is_taken_and_the_others_held_out(tmp_path: Path) -> None:
    lines = ["name,split,slide,path,label"]
    for i in range(4):
        pair(tmp_path / "im", f"x{i}", i)
        lines.append(f"x{i},{'val' if i > 2 else 'train'},s{i // 2},im/x{i}.png,im/x{i}_lab.png")
    (tmp_path / "index.csv").write_text("\n".join(lines) + "\n")
    found = find_items(tmp_path, split="val")
    assert found.items.names == ("x3",)
    assert found.held_out is not None and found.held_out.names == ("x0", "x1", "x2")
    assert (found.items.read(0).group, found.items.read(0).split) == ("s1", "val")
    assert found.held_out.read(2).group == "s1"
    assert len(find_items(tmp_path / "index.csv").items.names) == 4
    with pytest.raises(InputError, match="nothing of the split 'fold9'; it has train, val"):
        find_items(tmp_path, split="fold9")


def test_folders_of_splits(tmp_path: Path) -> None:
    for i, name in enumerate(("train", "train", "valid")):
        pair(tmp_path / name, f"x{i}", i)
    found = find_items(tmp_path, split="val")
    assert found.items.names == ("x2",)
    assert found.held_out is not None and found.held_out.names == ("x0", "x1")
    assert len(find_items(tmp_path).items.names) == 3


def test_of_a_large_image_a_part_with_nuclei_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pairs, "WHOLE", 100)
    monkeypatch.setattr(pairs, "REGION", 64)
    labels = np.zeros((200, 300), np.uint16)
    labels[150:170, 20:40] = 1
    png(tmp_path / "big.png", np.zeros((200, 300, 3), np.uint8))
    png(tmp_path / "big_lab.png", labels)
    item = find_items(tmp_path / "big.png").items.read(0)
    assert item.image.shape == (64, 64, 3)
    assert (item.labels > 0).sum() == 400
    assert item.name == "big (rows 127 to 191, columns 0 to 64)"


def family(folder: Path, name: str = "epidermal", **more: Any) -> None:
    n, labels = 4, np.stack([two_nuclei()] * 4)
    targets = {
        "np_targets": (labels > 0).astype(np.uint8),
        "hv_targets": np.full((n, 2, *SIZE), 127, np.int8),
        "nt_targets": (labels > 0).astype(np.int64),
        "inst_maps": labels,
    }
    np.savez(folder / f"{name}_features.npz", features=np.ones((n, 261, 8), np.float16))
    np.savez(folder / f"{name}_targets.npz", **{**targets, **more})
    images = np.zeros((n, *SIZE, 3), np.uint8)
    ids = {"fold_ids": np.array([0, 0, 1, 2]), "image_ids": np.array([5, 5, 6, 7])}
    np.savez(folder / f"{name}_data_FIXED.npz", images=images, **ids)


def test_a_family_comes_with_raw_targets_tokens_groups_and_splits(tmp_path: Path) -> None:
    family(tmp_path)
    family(tmp_path, "digestive")
    found = find_items(tmp_path, "Epidermal")
    assert found.kind == "targets" and found.n_types == 5
    assert len(found.items.names) == 4 and found.items.names[0] == "epidermal_00000"
    item = found.items.read(3)
    assert item.hv.dtype == np.int8 and item.hv.max() == 127
    assert item.features.dtype == np.float16 and item.features.shape == (261, 8)
    assert (item.group, item.split) == ("epidermal:7", "val")
    assert item.has == {"image", "labels", "np", "hv", "types", "features"}
    assert len(find_items(tmp_path).items.names) == 8
    one = find_items(tmp_path / "digestive_targets.npz", split="val")
    assert len(one.items.names) == 1 and one.held_out is not None
    with pytest.raises(InputError, match="no files of the family 'lung'"):
        find_items(tmp_path, "lung")
    pair(tmp_path / "pairs", "x")
    with pytest.raises(InputError, match="leave the family out"):
        find_items(tmp_path / "pairs", "lung")


def test_features_alone_and_targets_alone(tmp_path: Path) -> None:
    family(tmp_path)
    for ending in ("_targets.npz", "_data_FIXED.npz"):
        (tmp_path / f"epidermal{ending}").unlink()
    assert find_items(tmp_path).items.parts == {"features"}
    family(tmp_path)
    for ending in ("_features.npz", "_data_FIXED.npz"):
        (tmp_path / f"epidermal{ending}").unlink()
    assert find_items(tmp_path).items.parts == {"labels", "np", "hv", "types"}


def test_pannuke_folds(tmp_path: Path) -> None:
    for fold in (1, 2):
        place = tmp_path / f"fold{fold}"
        place.mkdir()
        masks = np.zeros((3, *SIZE, 6))
        masks[:, :9, :9, 0], masks[:, 20:30, 20:30, 3] = 7, 7
        masks[..., 5] = masks[..., :5].max(-1) == 0
        np.save(place / "images.npy", np.zeros((3, *SIZE, 3)))
        np.save(place / "masks.npy", masks)
        np.save(place / "types.npy", np.array(["Skin", "Colon", "Skin"]))
    found = find_items(tmp_path, "epidermal")
    assert found.items.names == ("fold1_0000", "fold1_0002", "fold2_0000", "fold2_0002")
    assert found.n_types == 6
    item = found.items.read(1)
    assert item.image.dtype == np.float64 and item.split == "train"
    assert sorted(np.unique(item.labels)) == [0, 7, 14] and item.types.max() == 4
    val = find_items(tmp_path, split="val")
    assert val.items.names == ("fold2_0000", "fold2_0001", "fold2_0002")


def test_patches_and_stacks_of_npy(tmp_path: Path) -> None:
    patch = np.zeros((*SIZE, 5), np.int32)
    patch[..., 3], patch[..., 4] = two_nuclei(), 2 * (two_nuclei() > 0)
    (tmp_path / "patches" / "train").mkdir(parents=True)
    for i in (1, 2):
        np.save(tmp_path / "patches" / "train" / f"a_{i}.npy", patch)
    found = find_items(tmp_path / "patches")
    assert found.items.parts == {"image", "labels", "types"}
    item = found.items.read(0)
    assert (item.group, item.split, item.labels.max(), item.types.max()) == ("a", "train", 2, 2)
    stacks = tmp_path / "stacks"
    stacks.mkdir()
    np.save(stacks / "images.npy", np.zeros((3, *SIZE, 3), np.uint8))
    np.save(stacks / "labels.npy", np.stack([two_nuclei()] * 3))
    for place in (stacks, stacks / "images.npy"):
        found = find_items(place)
        assert found.items.parts == {"image", "labels"} and len(found.items.names) == 3
    np.save(stacks / "other.npy", np.zeros(3))
    with pytest.raises(InputError, match="its name does not say what it is"):
        find_items(stacks / "other.npy")


def test_a_folder_of_maps(tmp_path: Path) -> None:
    for name in ("a", "b"):
        np.savez(tmp_path / f"{name}.npz", np_prob=np.zeros(SIZE), hv_pred=np.zeros((2, *SIZE)))
    found = find_items(tmp_path)
    assert (found.items.names, found.kind) == (("a", "b"), "maps")
    assert found.items.parts == {"np", "hv"}


def test_objects_among_arrays_are_a_problem_of_the_item_and_a_note(tmp_path: Path) -> None:
    file = tmp_path / "x.npz"
    ragged = np.empty(2, object)
    ragged[:] = [np.zeros((3, 3)), np.zeros((4, 4))]
    np.savez(file, images=np.zeros((2, *SIZE, 3), np.uint8), labels=ragged)
    found = find_items(file)
    assert "never opened" in found.notes[0]
    assert found.items.read(1).labels.shape == SIZE
    item = Bench(Case(found.items)).item(0)
    assert item is not None and item.image is not None and item.labels is None
    assert any(text.startswith("labels:") for text in item.problems)


def test_a_file_that_cannot_be_read_does_not_stop_the_others(tmp_path: Path) -> None:
    pair(tmp_path, "good")
    (tmp_path / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    bench = Bench(Case(find_items(tmp_path).items))
    assert bench.item(0) is None and "bad" in bench.failures[0]
    assert bench.item(1) is not None


def test_real_data(shared: Path) -> None:
    found = find_items(shared / "data", split="val")
    assert len(found.items.names) == 20
    assert found.held_out is not None and len(found.held_out.names) == 103
    assert found.items.read(0).labels.max() > 0
