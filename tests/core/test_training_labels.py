from __future__ import annotations

import numpy as np
import pytest
from skimage.measure import label

from napari_hovernet.core.measure.changes import TidyParams, tidy_labels
from napari_hovernet.errors import InputError


@pytest.fixture
def drawn():
    """Id 4 in two parts, id 9 whole, id 70 a slip of one pixel."""
    labels = np.zeros((30, 40), np.int32)
    labels[2:12, 2:12] = labels[20:28, 2:10] = 4
    labels[2:12, 12:22] = 9
    labels[25, 30] = 70
    return labels


def test_ids_become_consecutive_in_their_order_and_the_drawing_stays(drawn):
    before = drawn.copy()
    made = tidy_labels(drawn)
    assert made.n == 3 and made.labels.dtype == np.int32
    for old, new in ((4, 1), (9, 2), (70, 3), (0, 0)):
        assert ((made.labels == new) == (drawn == old)).all()
    assert (drawn == before).all()


def test_what_looks_odd_is_said_with_the_ids_as_drawn(drawn):
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


def test_many_ids_are_counted_not_listed():
    labels = np.zeros((4, 60), np.int32)
    labels[0, ::2] = np.arange(1, 31)
    (note,) = tidy_labels(labels).notes
    assert "30 nuclei have" in note and "ids 1, 2, 3, 4, 5, 6, 7, 8 and 22 more" in note


def test_huge_ids_are_no_problem(drawn):
    drawn[drawn == 9] = 2**31 - 1
    made = tidy_labels(drawn)
    assert made.n == 3 and made.labels.max() == 3
    assert made.labels[5, 15] == 3 and made.labels[25, 30] == 2


def test_no_nuclei_and_no_labels():
    made = tidy_labels(np.zeros((4, 5), np.uint8))
    assert made.n == 0 and "no nuclei" in made.notes[0]
    with pytest.raises(InputError, match="float64"):
        tidy_labels(np.zeros((4, 5)))
    with pytest.raises(InputError, match="-1"):
        TidyParams(small_area=-1)
