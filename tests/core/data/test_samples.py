"""Samples: what fits together, what is refused, and that they travel to other processes."""

import csv
import pickle
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest

from napari_hovernet.core.data.load import gather, load_samples
from napari_hovernet.core.data.samples import Sample, SampleArrays, measure, touching_count
from napari_hovernet.core.params import DataParams
from napari_hovernet.errors import InputError

from ...refusals import refuses
from .drawn import nuclei

IMAGE, LABELS = np.zeros((6, 8, 3), np.uint8), np.eye(6, 8, dtype=np.int32)


def broken() -> SampleArrays:
    raise InputError("it is torn")


def gone(path: Path) -> SampleArrays:
    return SampleArrays(image=np.load(path), labels=LABELS)


def test_a_reader_is_asked_each_time_and_its_errors_name_the_sample(tmp_path) -> None:
    sample = Sample("a", "slide", reader=partial(SampleArrays, image=IMAGE, labels=LABELS))
    assert sample.stored
    again = pickle.loads(pickle.dumps(sample))
    assert (again.group, again.shape) == ("slide", (6, 8)) and (again.arrays.labels == LABELS).all()
    refuses("a: it is torn", lambda: Sample("a", reader=broken).arrays)
    moved = Sample("b", reader=partial(gone, tmp_path / "x.npy"))
    refuses(r"b: cannot be read any more .*moved\?", lambda: moved.arrays.image)


def test_a_part_is_cut_from_every_plane() -> None:
    hv = np.arange(96, dtype=np.float32).reshape(2, 6, 8)
    sample = Sample("a", "g", image=IMAGE, np_target=LABELS, hv_target=hv)
    part = sample.part("b", "val", (1, 4, 2, 7))
    assert (part.name, part.group, part.split, part.shape) == ("b", "b", "val", (3, 5))
    assert (part.arrays.hv_target == hv[:, 1:4, 2:7]).all()
    assert (part.arrays.image.shape, sample.renamed("c").name) == ((3, 5, 3), "c")
    assert sample.renamed("c").arrays.image is IMAGE


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"labels": LABELS}, "neither an image nor tokens"),
        ({"image": IMAGE}, "neither labels nor NP and HV"),
        ({"image": IMAGE, "np_target": LABELS}, "neither labels nor NP and HV"),
        ({"image": IMAGE, "labels": LABELS[:5]}, "image 6 x 8, labels 5 x 8"),
        ({"image": IMAGE[..., 0], "labels": LABELS}, r"image has shape \(6, 8\)"),
        ({"image": IMAGE, "labels": IMAGE}, r"labels has shape \(6, 8, 3\)"),
        ({"image": IMAGE, "np_target": LABELS, "hv_target": IMAGE}, r"must be \(2, H, W\)"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(arrays: dict, words: str) -> None:
    refuses(f"odd one: .*{words}", Sample, "odd one", **arrays)


def image(labels: np.ndarray) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (*labels.shape, 3)).astype(np.uint8)


def test_counts_of_a_drawn_image() -> None:
    labels = np.zeros((12, 20), np.int32)
    labels[1:5, 1:5] = 3
    labels[1:5, 5:9] = 9  # touches 3
    labels[5:7, 9:11] = 4  # touches 9 over a corner
    labels[9:11, 1:3] = labels[9:11, 15:17] = 7  # one id in two parts
    types = (labels == 9) * 2
    found = measure(Sample("a", image=image(labels), labels=labels, types=types, mpp=0.5))
    assert (found.nuclei, found.touching, found.components, found.parts) == (4, 3, 3, 5)
    assert found.inside == 16 + 16 + 4 + 8 and found.coverage == pytest.approx(44 / 240)
    assert (found.highest_type, found.mpp, found.blank, found.has_labels) == (2, 0.5, False, True)
    assert found.untyped == pytest.approx(28 / 44)


def test_touching_agrees_with_a_look_at_every_pixel() -> None:
    labels = nuclei(5)
    touching = set()
    for r, c in zip(*np.nonzero(labels), strict=True):
        around = labels[max(r - 1, 0) : r + 2, max(c - 1, 0) : c + 2]
        if ((around > 0) & (around != labels[r, c])).any():
            touching.add(labels[r, c])
    assert touching and touching_count(labels) == len(touching)
    assert touching_count(np.ones((1, 1), np.int32)) == 0


def test_real_images_have_the_figures_of_their_index(shared: Path) -> None:
    """n_nuclei, fg and touch_frac were computed by others; see the index."""
    with (shared / "data" / "index.csv").open(newline="") as file:
        rows = {row["name"]: row for row in csv.DictReader(file)}
    data = load_samples(DataParams(sources=(str(shared / "data"),)))
    assert (len(data.train), len(data.val)) == (103, 20)
    for sample in data.val:
        found, row = measure(sample), rows[sample.name]
        assert found.nuclei == int(row["n_nuclei"])
        assert found.coverage == pytest.approx(float(row["fg"]), abs=1e-3)
        assert found.touching / found.nuclei == pytest.approx(float(row["touch_frac"]), abs=0.12)
        assert found.magnitude == pytest.approx(float(row["hv_mag"]), abs=0.03)


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


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    refuses("No training data is named", lambda: load_samples(DataParams()))
    with pytest.raises(InputError, match=r"gone is not there; was it moved\?"):
        load_samples(DataParams(sources=(str(tmp_path / "gone"),)))
    refuses("needs is 'sound'", lambda: load_samples(DataParams(sources=("a",)), needs="sound"))
    refuses("family is 'nails'", lambda: load_samples(DataParams(sources=("a",), family="nails")))
    write(tmp_path, "a")
    with pytest.raises(InputError, match="holds no tokens, and this network takes tokens"):
        load_samples(DataParams(sources=(str(tmp_path),)), needs="tokens")
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n torn")
    refuses(r"can be used: .*a\.png", lambda: load_samples(DataParams(sources=(str(tmp_path),))))


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


def test_patches_without_types_as_published_and_what_is_none(tmp_path) -> None:
    for split, name in (("train", "a_000"), ("train", "a_001"), ("valid", "b_000"), ("test", "c")):
        patch(tmp_path / split / "540x540_164x164" / f"{name}.npy", channels=4)
    data = load_samples(DataParams(sources=(str(tmp_path),)))
    assert [(s.name, s.group) for s in data.train] == [("a_000", "a"), ("a_001", "a")]
    assert [s.name for s in data.val] == ["b_000"] and data.train[0].arrays.types is None
    assert any("1 images of the test split are kept out" in note for note in data.notes)
    (tmp_path / "y").mkdir()
    np.save(tmp_path / "y" / "x.npy", np.zeros((4, 4)))
    refuses("no patch of hover_net", gather, [tmp_path / "y" / "x.npy"])
    refuses("holds no image", lambda: load_samples(DataParams(sources=(str(tmp_path / "y"),))))


@pytest.mark.parametrize(
    ("channel", "value", "words"),
    [(0, np.nan, "NaN"), (0, 300, "pixels of 0 to 300"), (3, 1.5, "fractions")],
)
def test_bad_values_name_the_patch(tmp_path: Path, channel: int, value: float, words: str) -> None:
    made = np.zeros((8, 8, 5))
    made[2, 2, channel] = value
    np.save(tmp_path / "odd.npy", made)
    (sample,) = gather([tmp_path]).samples
    refuses(f"odd.*{words}", lambda: sample.arrays)
