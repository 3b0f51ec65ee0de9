import numpy as np
import pytest
from skimage.measure import label

from napari_hovernet.core.measure.changes import (
    KINDS,
    MATCHED,
    MERGED,
    ONLY_A,
    ONLY_B,
    RESHAPED,
    SPLIT,
    LabelChanges,
    TidyParams,
    label_changes,
    label_difference,
    tidy_labels,
)
from napari_hovernet.core.synthetic import tissue

from ..refusals import refuses


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


def test_each_kind_is_told_and_the_other_way_round_the_sides_change_places(pair):
    there, back = label_difference(*pair), label_difference(*pair[::-1])
    turned = {MERGED: SPLIT, SPLIT: MERGED, ONLY_A: ONLY_B, ONLY_B: ONLY_A}
    wanted = np.vectorize(lambda k: turned.get(k, k))(there.kinds)
    assert (back.kinds == wanted).all()
    assert (there.split, there.merged, back.split, back.merged) == (1, 2, 1, 2)
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


def test_counts_add_up_and_a_renumbering_is_no_change():
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
    labels = tissue(shape=(128, 128), seed=1).labels
    other = np.where(labels > 0, 10_000_000 + labels, 0)
    found = label_difference(labels, other)
    assert set(np.unique(found.kinds)) == {0, MATCHED} and found.matched == found.n_a == found.n_b


def test_nothing_changed_and_other_sizes():
    labels = np.zeros((4, 5), np.int32)
    labels[1:3, 1:3] = 1
    empty = np.zeros_like(labels)
    assert (label_difference(labels, empty).kinds == labels * ONLY_A).all()
    assert label_difference(empty, labels).only_b == 1
    assert not label_difference(empty, empty).kinds.any()
    assert label_difference(empty[:0], empty[:0]).kinds.shape == (0, 5)
    labels = np.arange(12, dtype=np.int32).reshape(3, 4)
    assert not label_changes(labels, labels.copy()).any
    assert label_changes(labels, labels.copy()) == LabelChanges()
    assert label_changes(np.zeros((0, 5), np.int32), np.zeros((0, 5), np.int32)) == LabelChanges()
    refuses("same image and region", label_difference, np.zeros((2, 3), int), np.zeros((3, 2), int))
    refuses("float64", label_difference, np.zeros((2, 3)), np.zeros((2, 3)))
    assert set(KINDS) == {MATCHED, ONLY_A, ONLY_B, RESHAPED, MERGED, SPLIT}


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


@pytest.fixture
def drawn():
    """Id 4 in two parts, id 9 whole, id 70 a slip of one pixel."""
    labels = np.zeros((30, 40), np.int32)
    labels[2:12, 2:12] = labels[20:28, 2:10] = 4
    labels[2:12, 12:22] = 9
    labels[25, 30] = 70
    return labels


def test_tidied_ids_are_consecutive_and_what_looks_odd_is_said(drawn):
    before = drawn.copy()
    made = tidy_labels(drawn)
    assert made.n == 3 and made.labels.dtype == np.int32
    for old, new in ((4, 1), (9, 2), (70, 3), (0, 0)):
        assert ((made.labels == new) == (drawn == old)).all()
    assert (drawn == before).all()
    notes = tidy_labels(drawn).notes
    assert "1 id lies in several parts (id 4): kept as one nucleus" in notes[0]
    assert "1 nucleus has fewer than 10 pixels (id 70)" in notes[1]
    assert tidy_labels(np.where(drawn == 9, 9, 0)).notes == ()


def test_each_part_may_get_an_id_of_its_own(drawn):
    made = tidy_labels(drawn, TidyParams(own_id_per_part=True))
    assert made.n == 4 and "each part was given an id" in made.notes[0]
    wanted = label(drawn, connectivity=1)
    pairs = np.unique(np.stack((wanted.ravel(), made.labels.ravel())), axis=1)
    assert pairs.shape[1] == 5  # one to one, background included
    assert set(np.unique(made.labels[drawn == 4])) == {1, 2}  # parts keep together
    made = tidy_labels(np.zeros((4, 5), np.uint8))
    assert made.n == 0 and "no nuclei" in made.notes[0]
    refuses("float64", tidy_labels, np.zeros((4, 5)))
