from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from napari_hovernet.core.diagnosis.separation_masks import TURNS, MaskFit, mask_fit
from napari_hovernet.core.diagnosis.separation_scenes import clusters

LABELS = clusters(9)


def test_the_truth_lies_where_it_should():
    made = mask_fit(LABELS, LABELS)
    assert (made.iou, made.cover, made.words, made.elsewhere) == (1, 1, "", False)


@pytest.mark.parametrize("shift", [(5, -7), (-12, 0), (0, 56)])
def test_a_shift_is_measured(shift):
    made = mask_fit(LABELS, np.roll(LABELS, shift, (0, 1)))
    assert made.shift == shift
    assert made.words == f"moved by {shift[0]} rows and {shift[1]} columns"
    assert made.shifted == pytest.approx(1)


@pytest.mark.parametrize("turn", TURNS)
def test_a_turn_is_named(turn):
    made = mask_fit(LABELS, np.ascontiguousarray(LABELS[TURNS[turn]]))
    assert made.turned == 1
    assert made.elsewhere


def test_background_is_told():
    assert mask_fit(LABELS, (LABELS == 0).astype(np.int32)).words == "background"


def test_everything_is_not_taken_for_the_background():
    made = mask_fit(LABELS, np.ones_like(LABELS))
    assert (made.words, made.elsewhere) == ("everywhere", True)


def test_sizes_are_told_and_lie_where_they_should():
    small = LABELS * ndimage.binary_erosion(LABELS > 0, iterations=2)
    large = ndimage.grey_dilation(LABELS, 5)
    for labels, words in ((small, "too small"), (large, "too large")):
        made = mask_fit(LABELS, labels)
        assert made.words == words
        assert not made.elsewhere


def test_nothing_found_lies_nowhere():
    assert mask_fit(LABELS, np.zeros_like(LABELS)).words == ""
    assert MaskFit(1.0).words == ""
