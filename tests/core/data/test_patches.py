"""Patches of hover_net."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_hovernet.core.data.load import eight_bits, gather, load_samples
from napari_hovernet.core.params import DataParams
from napari_hovernet.errors import InputError


def patch(file: Path, channels: int = 5, edge: int = 32, dtype: type = np.int32) -> np.ndarray:
    file.parent.mkdir(parents=True, exist_ok=True)
    made = np.zeros((edge, edge, channels), dtype)
    made[..., :3] = np.random.default_rng(0).integers(0, 255, (edge, edge, 3))
    made[4:9, 4:9, 3], made[20:30, 5:9, 3] = 3, 7
    if channels == 5:
        made[..., 4] = np.where(made[..., 3] == 7, 2, made[..., 3] == 3)
    np.save(file, made)
    return made


@pytest.mark.parametrize("dtype", [np.int32, np.float64, np.uint16])
def test_patches_are_read_when_needed(tmp_path: Path, dtype: type) -> None:
    stored = patch(tmp_path / "train_1_000.npy", dtype=dtype)
    (sample,) = gather([tmp_path]).samples
    assert sample.stored
    assert (sample.name, sample.group, sample.shape) == ("train_1_000", "train_1", (32, 32))
    assert (sample.arrays.image == stored[..., :3]).all()
    assert (sample.arrays.labels == stored[..., 3]).all()
    assert (sample.arrays.types == stored[..., 4]).all()


def test_patches_without_types_and_folders_as_published(tmp_path: Path) -> None:
    for split, name in (("train", "a_000"), ("train", "a_001"), ("valid", "b_000"), ("test", "c")):
        patch(tmp_path / split / "540x540_164x164" / f"{name}.npy", channels=4)
    data = load_samples(DataParams(sources=(str(tmp_path),)))
    assert [(s.name, s.group) for s in data.train] == [("a_000", "a"), ("a_001", "a")]
    assert [s.name for s in data.val] == ["b_000"]
    assert data.train[0].arrays.types is None
    assert any("1 images of the test split are kept out" in note for note in data.notes)


def test_patches_of_one_image_stay_together(tmp_path: Path) -> None:
    for image in range(5):
        for i in range(4):
            patch(tmp_path / f"slide{image}_{i:03d}.npy")
    data = load_samples(DataParams(sources=(str(tmp_path),)))
    assert len(data.val) == 4
    assert len({s.group for s in data.val}) == 1


def test_what_is_no_patch_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((4, 4)))
    with pytest.raises(InputError, match="no patch of hover_net"):
        gather([tmp_path / "x.npy"])
    with pytest.raises(InputError, match="holds no image"):
        load_samples(DataParams(sources=(str(tmp_path),)))


@pytest.mark.parametrize(
    ("channel", "value", "words"),
    [
        (0, np.nan, "NaN"),
        (0, 300, "pixels of 0 to 300"),
        (3, 1.5, "fractions"),
    ],
)
def test_bad_values_name_the_patch(tmp_path: Path, channel: int, value: float, words: str) -> None:
    made = np.zeros((8, 8, 5))
    made[2, 2, channel] = value
    np.save(tmp_path / "odd.npy", made)
    (sample,) = gather([tmp_path]).samples
    with pytest.raises(InputError, match=f"odd.*{words}"):
        _ = sample.arrays


def test_data_moved_while_training_are_named(tmp_path: Path) -> None:
    patch(tmp_path / "a_000.npy")
    (sample,) = gather([tmp_path]).samples
    assert sample.arrays.image is not None
    (tmp_path / "a_000.npy").rename(tmp_path / "elsewhere.npy")
    with pytest.raises(InputError, match=r"a_000.*is not there; check the path"):
        _ = sample.arrays.image


def test_colours_as_bytes() -> None:
    assert eight_bits(np.array([0.0, 0.5, 1.0]), "a", 255.0).tolist() == [0, 128, 255]
    with pytest.raises(InputError, match="dtype"):
        eight_bits(np.array(["a"]), "a")
