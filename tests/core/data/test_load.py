"""Whatever the user names, together."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from napari_hovernet.core.data.items import source_of, split_of
from napari_hovernet.core.data.load import load_samples
from napari_hovernet.core.params import DataParams
from napari_hovernet.errors import InputError


def write(folder: Path, name: str) -> None:
    folder.mkdir(exist_ok=True)
    cv2.imwrite(str(folder / f"{name}.png"), np.full((20, 20, 3), 90, np.uint8))
    cv2.imwrite(str(folder / f"{name}_lab.png"), np.eye(20, dtype=np.uint8))


def test_several_places_are_one_data_set_with_names_of_their_own(tmp_path: Path) -> None:
    for folder in ("x", "y"):
        for name in "ab":
            write(tmp_path / folder, name)
    data = load_samples(DataParams(sources=(str(tmp_path / "x"), str(tmp_path / "y"))))
    assert sorted(s.name for s in data.all) == ["a", "a (2)", "b", "b (2)"]


def test_a_single_image_with_its_labels(tmp_path: Path) -> None:
    write(tmp_path, "a")
    with pytest.raises(InputError, match="only one image"):
        load_samples(DataParams(sources=(str(tmp_path / "a.png"),)))


def test_the_seed_divides(shared: Path) -> None:
    folder = DataParams(sources=(str(shared / "data" / "val"),), val_fraction=0.25)
    first, again, other = (load_samples(folder, seed=seed) for seed in (1, 1, 2))
    assert len(first.val) == 5
    names = [{s.name for s in data.val} for data in (first, again, other)]
    assert names[0] == names[1] != names[2]
    assert "by source image, seed 1" in first.split_words


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No training data is named"):
        load_samples(DataParams())
    with pytest.raises(InputError, match=r"gone is not there; was it moved\?"):
        load_samples(DataParams(sources=(str(tmp_path / "gone"),)))
    with pytest.raises(InputError, match="needs is 'sound'"):
        load_samples(DataParams(sources=("a",)), needs="sound")
    with pytest.raises(InputError, match="family is 'nails'"):
        load_samples(DataParams(sources=("a",), family="nails"))
    write(tmp_path, "a")
    with pytest.raises(InputError, match="holds no tokens, and this network takes tokens"):
        load_samples(DataParams(sources=(str(tmp_path),)), needs="tokens")
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n torn")
    with pytest.raises(InputError, match=r"can be used: .*a\.png"):
        load_samples(DataParams(sources=(str(tmp_path),)))


def test_names_of_splits_and_patches() -> None:
    assert [split_of(n) for n in ("Train", "valid", "", "Test", "other")] == [
        "train", "val", "", None, ""]  # fmt: skip
    assert [source_of(n) for n in ("a_12_003", "a_12", "_7", "a")] == ["a_12", "a", "_7", "a"]
