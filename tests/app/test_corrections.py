"""Labels corrected by hand, and pairs of images and labels to train on."""

import errno
import json
import os
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from napari_hovernet import __version__
from napari_hovernet.app.corrections import (
    PairAbout,
    PairOptions,
    clean_name,
    find_corrections,
    index_text,
    label_steps,
    pair_steps,
    read_rows,
    save_training_pair,
)
from napari_hovernet.app.jobs import JobCancelled, drive
from napari_hovernet.core.data.pairs import find_pairs
from napari_hovernet.core.inference.images import CropSource, as_source
from napari_hovernet.core.io.labels import read_label_tiff
from napari_hovernet.core.io.open import read_image
from napari_hovernet.errors import OutputError

from ..refusals import refuses


@pytest.fixture
def run():
    labels = np.zeros((20, 30), np.int32)
    labels[2:8, 2:8], labels[10:16, 10:16] = 1, 2
    result = SimpleNamespace(labels=labels, info=SimpleNamespace(sha256="ab" * 32))
    return SimpleNamespace(result=result, metadata={"image": "slide", "mpp": 0.25})


def test_a_record_of_what_was_done_and_on_what(run):
    drawn = run.result.labels.copy()
    drawn[drawn == 1] = 0
    drawn[10, 16] = 2
    drawn[1:3, 20:22] = 9
    moment = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=2)))
    record = find_corrections(run, drawn, moment)
    assert record.changes.any
    assert record.summary == "1 nucleus added, 1 removed, 1 reshaped (41 pixels)"
    known = json.loads(json.dumps(record.provenance()))
    assert known["image"] == "slide" and known["mpp"] == 0.25
    made = {"time_utc": "2026-01-02T01:04:05+00:00", "summary": record.summary}
    made |= {"changed_pixels": 41, "added": [9], "removed": [1], "reshaped": [2]}
    made |= {"program": "napari-hovernet", "version": __version__, "model_sha256": "ab" * 32}
    assert known["corrections"] == made


@pytest.mark.parametrize(("name", "written"), [("a.tiff", "a.tiff"), ("a", "a.tif")])
def test_labels_are_saved_with_how_they_came_about(run, tmp_path, name, written):
    drawn = run.result.labels.copy()
    drawn[0, 0] = 70_000
    path = drive(label_steps(tmp_path / name, drawn, find_corrections(run, drawn), 0.25))
    assert path == str(tmp_path / written)
    back = read_label_tiff(path)
    assert (back.labels == drawn).all() and back.metadata["corrections"]["added"] == [70_000]
    assert back.metadata["image"] == "slide"


def test_what_others_wrote_stays_in_its_place(tmp_path):
    path = tmp_path / "index.csv"
    path.write_text(
        '\ufeffname;organ;path;label\na;liver;a.png;a.tif\n"b;2";lung;b.png;b.tif\n', "utf-8"
    )
    columns, rows, delimiter = read_rows(path)
    assert columns == ("name", "organ", "path", "label") and delimiter == ";"
    text = index_text(columns, rows, {"name": "a", "path": "new.png", "split": "val"}, delimiter)
    assert text.splitlines() == [
        "name;organ;path;label;split",
        "a;liver;new.png;a.tif;val",
        '"b;2";lung;b.png;b.tif;',
    ]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"path,label\na,b\n", "'name'"),
        (b"name,path,label\na,b\n", "line 2"),
        (b"name,path,label\na,b,c\na,b,c,d\n", "line 3"),
        (b"\xff\xfe\x00name", "cannot be read"),
        (b'name,path,label\n"a,b,c\n', "CSV"),
    ],
)
def test_a_damaged_index_is_not_made_worse(tmp_path, content, words):
    path = tmp_path / "index.csv"
    path.write_bytes(content)
    said = refuses("repair", read_rows, path)
    assert words in said and "index.csv" in said


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


def test_more_pairs_are_added_and_one_of_that_name_needs_consent(tmp_path, image, labels):
    save_training_pair(tmp_path, "a", image, labels)
    save_training_pair(tmp_path, "b", image, labels)
    before = everything(tmp_path)
    refuses("'a' is there already", save_training_pair, tmp_path, "a", image, labels)
    assert everything(tmp_path) == before
    other = np.where(labels == 9, 0, labels)
    save_training_pair(tmp_path, "a", image, other, ABOUT, PairOptions(overwrite=True))
    pairs = find_pairs(tmp_path)
    assert [(p.name, p.split) for p in pairs] == [("a", "val"), ("b", "train")]
    assert read_label_tiff(pairs[0].labels).ids.tolist() == [1]
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


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


def test_a_cancel_leaves_nothing_and_what_does_not_fit_is_refused(tmp_path, image, labels):
    seen = []
    with pytest.raises(JobCancelled):
        drive(pair_steps(tmp_path, "a", image, labels), seen.append, lambda: len(seen) == 2)
    assert list(tmp_path.iterdir()) == []
    refuses(r"40 x 50 .* \(40, 49\)", save_training_pair, tmp_path, "a", image, labels[:, 1:])
    refuses("split", PairAbout, split="other")
    refuses("mpp", PairAbout, mpp=0)
    (tmp_path / "index.csv").write_text("hello\n")
    refuses("repair", save_training_pair, tmp_path, "a", image, labels)
    assert [p.name for p in tmp_path.iterdir()] == ["index.csv"]


@pytest.mark.parametrize("name", ["", "../a", "a/b", "con", "a:b", "x" * 120, ".hidden", "a b"])
def test_a_name_that_is_none_is_refused_with_a_better_one(tmp_path, image, labels, name):
    said = refuses("no name for files", save_training_pair, tmp_path, name, image, labels)
    assert clean_name(clean_name(name)) == clean_name(name) and clean_name(name) in said
    assert list(tmp_path.iterdir()) == []
