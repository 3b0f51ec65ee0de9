from __future__ import annotations

import time

import numpy as np
import pytest

from napari_hovernet.core.measure.changes import LabelChanges, label_changes
from napari_hovernet.errors import InputError


def plainly(before, after):
    """The same by sets, id by id."""
    ids = set(np.unique(before)) | set(np.unique(after))
    added, removed, reshaped = [], [], []
    for i in sorted(int(i) for i in ids - {0}):
        a, b = before == i, after == i
        if not a.any():
            added.append(i)
        elif not b.any():
            removed.append(i)
        elif (a != b).any():
            reshaped.append(i)
    return LabelChanges(int((before != after).sum()), tuple(added), tuple(removed), tuple(reshaped))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("top", [6, 2**31 - 1])
def test_it_agrees_with_a_plain_account(seed, top):
    rng = np.random.default_rng(seed)
    names = np.concatenate(([0], rng.choice(np.arange(1, 12), 8, replace=False)))
    names = np.where(names == 11, top, names)
    before = names[rng.integers(0, 8, (30, 40))].astype(np.int32)
    after = before.copy()
    after[5:15, 5:20] = names[rng.integers(0, 9)]
    after[before == names[1]] = 0
    assert label_changes(before, after) == plainly(before, after)


def test_nothing_changed_and_nothing_there():
    labels = np.arange(12, dtype=np.int32).reshape(3, 4)
    assert not label_changes(labels, labels.copy()).any
    assert label_changes(labels, labels.copy()) == LabelChanges()
    assert label_changes(np.zeros((0, 5), np.int32), np.zeros((0, 5), np.int32)) == LabelChanges()


def test_other_whole_number_dtypes_are_fine():
    before, after = np.zeros((2, 2), np.uint16), np.array([[0, 300], [0, 0]], np.int64)
    assert label_changes(before, after).added == (300,)


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (np.zeros((2, 3), int), np.zeros((3, 2), int), "had shape (2, 3) and now have (3, 2)"),
        (np.zeros((2, 2)), np.zeros((2, 2)), "float64"),
        (np.zeros((2, 2), int), np.full((2, 2), -4), "-4"),
        (np.zeros(3, int), np.zeros(3, int), "(3,)"),
    ],
)
def test_what_is_no_label_image_is_refused(before, after, words):
    with pytest.raises(InputError) as error:
        label_changes(before, after)
    assert words in str(error.value)


def test_four_megapixels_take_no_time():
    before = np.repeat(np.repeat(np.arange(4000).reshape(50, 80), 40, 0), 25, 1).astype(np.int32)
    after = before.copy()
    after[100:140, 100:140] = 9999
    label_changes(before[:4, :4], after[:4, :4])
    times = []
    for _ in range(3):
        start = time.process_time()
        label_changes(before, after)
        times.append(time.process_time() - start)
    assert min(times) < 0.15  # 0.02 s on the machine it was written on
