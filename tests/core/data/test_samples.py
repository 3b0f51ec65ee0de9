"""Samples: what fits together, what is refused, and that they travel to other processes."""

from __future__ import annotations

import pickle
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from napari_hovernet.core.data.samples import LoadedData, Sample, SampleArrays
from napari_hovernet.core.data.stores import SizeError
from napari_hovernet.errors import InputError

IMAGE, LABELS = np.zeros((6, 8, 3), np.uint8), np.eye(6, 8, dtype=np.int32)


def broken() -> SampleArrays:
    raise InputError("it is torn")


def gone(path: Path) -> SampleArrays:
    return SampleArrays(image=np.load(path), labels=LABELS)


def test_a_sample_holds_its_arrays() -> None:
    sample = Sample("a", image=IMAGE, labels=LABELS, types=LABELS * 2, mpp=0.25)
    assert (sample.group, sample.split, sample.shape, sample.stored) == ("a", "", (6, 8), False)
    assert sample.arrays.image is IMAGE
    assert sample.arrays.type_map is sample.arrays.types
    assert (
        sample.features
        is sample.arrays.np_target
        is sample.arrays.hv_target
        is sample.arrays.nt_target
        is None
    )


def test_a_reader_is_asked_each_time_and_survives_pickling() -> None:
    sample = Sample("a", "slide", reader=partial(SampleArrays, image=IMAGE, labels=LABELS))
    assert sample.stored
    again = pickle.loads(pickle.dumps(sample))
    assert (again.group, again.shape) == ("slide", (6, 8))
    assert (again.arrays.labels == LABELS).all()


def test_a_part_is_cut_from_every_plane() -> None:
    hv = np.arange(96, dtype=np.float32).reshape(2, 6, 8)
    sample = Sample("a", "g", image=IMAGE, np_target=LABELS, hv_target=hv)
    part = sample.part("b", "val", (1, 4, 2, 7))
    assert (part.name, part.group, part.split, part.shape) == ("b", "b", "val", (3, 5))
    assert (part.arrays.hv_target == hv[:, 1:4, 2:7]).all()
    assert part.arrays.image.shape == (3, 5, 3)
    assert sample.renamed("c").name == "c"
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
    with pytest.raises(InputError, match=f"odd one: .*{words}"):
        Sample("odd one", **arrays)


def test_sizes_that_differ_are_told_apart_from_other_errors() -> None:
    with pytest.raises(SizeError):
        Sample("a", image=IMAGE, labels=LABELS[:5])
    with pytest.raises(InputError, match="split is 'test'"):
        Sample("a", split="test", image=IMAGE, labels=LABELS)


def test_errors_of_a_reader_name_the_sample(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a: it is torn"):
        _ = Sample("a", reader=broken).arrays
    moved = Sample("b", reader=partial(gone, tmp_path / "x.npy"))
    with pytest.raises(InputError, match=r"b: cannot be read any more .*moved\?"):
        _ = moved.arrays.image


def test_loaded_data_lists_training_first() -> None:
    a, b = Sample("a", image=IMAGE, labels=LABELS), Sample("b", image=IMAGE, labels=LABELS)
    assert [s.name for s in LoadedData((b,), (a,)).all] == ["b", "a"]
