from __future__ import annotations

import numpy as np
import pytest

from napari_hovernet.core.measure.changes import (
    KINDS,
    MATCHED,
    MERGED,
    ONLY_A,
    ONLY_B,
    RESHAPED,
    SPLIT,
    label_difference,
)
from napari_hovernet.core.synthetic import tissue
from napari_hovernet.errors import InputError


@pytest.fixture
def pair():
    """Every kind once, far from each other, with odd ids."""
    a, b = np.zeros((60, 120), np.int32), np.zeros((60, 120), np.int64)
    a[5:15, 5:15] = 7  # matched, one column to the right in B
    b[5:15, 6:16] = 3
    a[5:15, 30:50] = 9  # whole in A, split in B
    b[5:15, 30:40], b[5:15, 40:50] = 20, 21
    a[30:40, 5:15], a[30:40, 15:25] = 100, 2  # apart in A, merged in B
    b[30:40, 5:25] = 8
    a[30:40, 40:50] = 4  # only A
    b[30:40, 60:70] = 5  # only B
    a[5:25, 80:100], b[5:13, 80:92] = 50, 51  # in both, of another shape
    return a, b


def test_each_kind_is_told_from_the_others(pair):
    a, b = pair
    found = label_difference(a, b)
    assert found.kinds.dtype == np.int8 and (found.n_a, found.n_b) == (6, 6)
    wanted = np.zeros(a.shape, int)
    for kind, ids_a, ids_b in (
        (MATCHED, (7,), (3,)),
        (SPLIT, (9,), (20, 21)),
        (MERGED, (100, 2), (8,)),
        (ONLY_A, (4,), ()),
        (ONLY_B, (), (5,)),
        (RESHAPED, (50,), (51,)),
    ):
        wanted[np.isin(a, ids_a) | np.isin(b, ids_b)] = kind
    assert (found.kinds == wanted).all()
    assert found.counts() == {MATCHED: 1, ONLY_A: 1, ONLY_B: 1, RESHAPED: 1, MERGED: 2, SPLIT: 1}


def test_the_other_way_round_split_and_merged_and_the_sides_change_places(pair):
    there, back = label_difference(*pair), label_difference(*pair[::-1])
    turned = {MERGED: SPLIT, SPLIT: MERGED, ONLY_A: ONLY_B, ONLY_B: ONLY_A}
    wanted = np.vectorize(lambda k: turned.get(k, k))(there.kinds)
    assert (back.kinds == wanted).all()
    assert (there.split, there.merged, back.split, back.merged) == (1, 2, 1, 2)


def test_counts_add_up_on_tissue_cut_at_random():
    a = tissue(shape=(256, 256), seed=4).labels
    rng = np.random.default_rng(0)
    b = np.roll(a, 2, axis=1)
    ids = np.unique(b)[1:]
    b = np.where(np.isin(b, rng.choice(ids, len(ids) // 4)), 0, b)
    found = label_difference(a, b)
    assert found.n_a == len(np.unique(a)) - 1 and found.n_b == len(np.unique(b)) - 1
    parts = (found.matched, found.split, found.merged, found.reshaped, found.only_a)
    assert sum(parts) == found.n_a and found.only_a > 0 and found.matched > 0
    assert ((found.kinds > 0) == ((a > 0) | (b > 0))).all()


def test_a_segmentation_does_not_differ_from_itself_renumbered():
    labels = tissue(shape=(128, 128), seed=1).labels
    other = np.where(labels > 0, 10_000_000 + labels, 0)
    found = label_difference(labels, other)
    assert set(np.unique(found.kinds)) == {0, MATCHED} and found.matched == found.n_a == found.n_b


def test_nothing_on_one_side_or_both():
    labels = np.zeros((4, 5), np.int32)
    labels[1:3, 1:3] = 1
    empty = np.zeros_like(labels)
    assert (label_difference(labels, empty).kinds == labels * ONLY_A).all()
    assert label_difference(empty, labels).only_b == 1
    assert not label_difference(empty, empty).kinds.any()
    assert label_difference(empty[:0], empty[:0]).kinds.shape == (0, 5)


def test_other_sizes_and_other_things_are_refused():
    with pytest.raises(InputError, match="same image and region"):
        label_difference(np.zeros((2, 3), int), np.zeros((3, 2), int))
    with pytest.raises(InputError, match="float64"):
        label_difference(np.zeros((2, 3)), np.zeros((2, 3)))
    assert set(KINDS) == {MATCHED, ONLY_A, ONLY_B, RESHAPED, MERGED, SPLIT}
