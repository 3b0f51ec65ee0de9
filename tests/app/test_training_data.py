from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from napari_hovernet.app import corrections as training_data
from napari_hovernet.app.corrections import (
    PairAbout,
    PairOptions,
    clean_name,
    pair_steps,
    save_training_pair,
)
from napari_hovernet.app.jobs import JobCancelled, drive
from napari_hovernet.core.data.pairs import find_pairs
from napari_hovernet.core.inference.images import CropSource, as_source
from napari_hovernet.core.io.labels import read_label_tiff
from napari_hovernet.core.io.open import read_image
from napari_hovernet.core.measure.changes import TidyParams
from napari_hovernet.errors import InputError, OutputError

ABOUT = PairAbout("slide 7", "val", 0.25, "CC0-1.0", True, {"corrections": {"added": [9]}})


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 255, (40, 50, 3)).astype(np.uint8)


@pytest.fixture
def labels():
    made = np.zeros((40, 50), np.int32)
    made[5:15, 5:15], made[5:15, 15:25], made[30:38, 5:15] = 4, 9, 4
    return made


def everything(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_pair_is_read_back_as_it_was(tmp_path, image, labels):
    saved = save_training_pair(tmp_path / "new" / "set", "liver_1", image, labels, ABOUT)
    (pair,) = find_pairs(tmp_path / "new" / "set")
    assert (pair.name, pair.source, pair.split, pair.mpp) == ("liver_1", "slide 7", "val", 0.25)
    assert (pair.image, pair.labels) == (saved.image, saved.labels)
    file = read_image(pair.image)
    assert (file.source.read(0, 40, 0, 50) == image).all()
    assert file.mpp == pytest.approx(0.25, rel=1e-3)
    back = read_label_tiff(pair.labels)
    assert back.ids.tolist() == [1, 2] and ((back.labels == 1) == (labels == 4)).all()
    assert back.metadata["corrections"] == {"added": [9]}
    assert saved.n_nuclei == 2 and "several parts (id 4)" in saved.notes[0]
    assert back.metadata["notes"] == list(saved.notes)
    line = saved.index.read_text().splitlines()[1]
    assert line == "liver_1,slide 7,val,images/liver_1.png,labels/liver_1.tif,0.25,CC0-1.0,2,yes"


def test_each_part_may_get_its_own_id(tmp_path, image, labels):
    options = PairOptions(tidy=TidyParams(own_id_per_part=True))
    assert save_training_pair(tmp_path, "a", image, labels, None, options).n_nuclei == 3


def test_more_pairs_are_added_and_one_of_that_name_needs_consent(tmp_path, image, labels):
    save_training_pair(tmp_path, "a", image, labels)
    save_training_pair(tmp_path, "b", image, labels)
    before = everything(tmp_path)
    with pytest.raises(InputError, match="'a' is there already"):
        save_training_pair(tmp_path, "a", image, labels)
    assert everything(tmp_path) == before
    other = np.where(labels == 9, 0, labels)
    save_training_pair(tmp_path, "a", image, other, ABOUT, PairOptions(overwrite=True))
    pairs = find_pairs(tmp_path)
    assert [(p.name, p.split) for p in pairs] == [("a", "val"), ("b", "train")]
    assert read_label_tiff(pairs[0].labels).ids.tolist() == [1]
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


def test_files_outside_the_index_are_not_overwritten_either(tmp_path, image, labels):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.png").write_bytes(b"mine")
    with pytest.raises(InputError, match=r"a\.png"):
        save_training_pair(tmp_path, "a", image, labels)
    assert (tmp_path / "images" / "a.png").read_bytes() == b"mine"


def test_the_image_is_what_the_network_saw(tmp_path):
    deep = np.random.default_rng(1).integers(0, 4095, (60, 70)).astype(np.uint16)
    region = CropSource(as_source(deep), 10, 50, 20, 70)
    saved = save_training_pair(tmp_path, "a", region, np.ones((40, 50), np.int32))
    pixels = read_image(saved.image).source.read(0, 40, 0, 50)
    assert pixels.shape == (40, 50, 3) and (pixels == region.read(0, 40, 0, 50)).all()


@pytest.mark.parametrize("number", [0, 1, 2], ids=["image", "labels", "index"])
@pytest.mark.parametrize("there", [False, True], ids=["new", "replacing"])
def test_a_full_disk_leaves_the_folder_as_it_was(
    tmp_path, image, labels, monkeypatch, number, there
):
    save_training_pair(tmp_path, "a" if there else "other", image, labels)
    before, moved, usual = everything(tmp_path), [], os.replace

    def replace(source, target):
        if ".tmp/" in str(source) and ".tmp/" not in str(target):
            moved.append(target)
            if len(moved) == number + 1:
                raise OSError(errno.ENOSPC, "No space left on device")
        usual(source, target)

    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(OutputError, match="disk is full"):
        save_training_pair(tmp_path, "a", image, labels * 2, ABOUT, PairOptions(overwrite=True))
    assert everything(tmp_path) == before


def test_a_first_pair_that_fails_leaves_no_folders(tmp_path, image, labels, monkeypatch):
    def fail(*_args, **_keywords):
        raise OSError(errno.EIO, "fault")

    monkeypatch.setattr(training_data.Image.Image, "save", fail)
    with pytest.raises(OutputError, match="disk reports a fault"):
        save_training_pair(tmp_path, "a", image, labels)
    assert list(tmp_path.iterdir()) == []


def test_a_cancel_before_the_end_leaves_nothing(tmp_path, image, labels):
    seen = []
    with pytest.raises(JobCancelled):
        drive(pair_steps(tmp_path, "a", image, labels), seen.append, lambda: len(seen) == 2)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["", "../a", "a/b", "con", "a:b", "x" * 120, ".hidden", "a b"])
def test_a_name_that_is_none_is_refused_with_a_better_one(tmp_path, image, labels, name):
    with pytest.raises(InputError, match="no name for files") as error:
        save_training_pair(tmp_path, name, image, labels)
    assert clean_name(clean_name(name)) == clean_name(name) and clean_name(name) in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_sizes_that_differ_and_bad_facts_are_refused(tmp_path, image, labels):
    with pytest.raises(InputError, match=r"40 x 50 .* \(40, 49\)"):
        save_training_pair(tmp_path, "a", image, labels[:, 1:])
    with pytest.raises(InputError, match="split"):
        PairAbout(split="other")
    with pytest.raises(InputError, match="mpp"):
        PairAbout(mpp=0)
    (tmp_path / "index.csv").write_text("hello\n")
    with pytest.raises(InputError, match="repair"):
        save_training_pair(tmp_path, "a", image, labels)
    assert [p.name for p in tmp_path.iterdir()] == ["index.csv"]


def test_a_folder_that_takes_no_files_is_told(tmp_path, image, labels):
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="folder"):
        save_training_pair(tmp_path / "file", "a", image, labels)


def test_no_nuclei_is_a_pair_too(tmp_path, image):
    saved = save_training_pair(tmp_path, "a", image, np.zeros((40, 50), np.int32))
    assert saved.n_nuclei == 0 and "no nuclei" in saved.notes[0]
    assert len(find_pairs(tmp_path)) == 1
