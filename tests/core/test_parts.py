"""Parts of a mask, and the mask itself."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from napari_hovernet.core.masks import clean_mask, count_pixels, label_parts, replace_ids
from napari_hovernet.core.params import SeparationParams


def test_parts_are_4_connected_and_large_enough():
    mask = np.random.default_rng(0).random((50, 60)) > 0.5
    parts, n = label_parts(mask, 5)
    expected, m = ndimage.label(mask)
    large = np.bincount(expected.ravel())[1:] >= 5
    assert n == large.sum() == parts.max()
    assert ((parts > 0) == np.append(False, large)[expected]).all()
    assert m > n


def test_parts_of_nothing():
    assert label_parts(np.zeros((0, 4), bool))[1] == 0
    assert label_parts(np.zeros((3, 4), bool), 2)[1] == 0


def test_holes_up_to_the_limit_are_filled():
    probability = np.ones((30, 60), np.float32)
    probability[:2] = probability[-2:] = probability[:, :2] = probability[:, -2:] = 0
    probability[10:14, 10:15] = 0
    probability[10:17, 30:33] = 0
    mask = clean_mask(probability, SeparationParams(max_hole_area=20))
    assert mask[10:14, 10:15].all()
    assert not mask[10:17, 30:33].any()
    assert not mask[0].any()


def test_a_notch_at_the_border_is_no_hole():
    probability = np.ones((20, 20), np.float32)
    probability[0, 5:8] = 0
    assert not clean_mask(probability, SeparationParams())[0, 5:8].any()


def test_small_parts_are_dropped():
    probability = np.zeros((20, 20), np.float32)
    probability[2:6, 2:6] = 0.9
    assert not clean_mask(probability, SeparationParams(min_area=17)).any()
    assert clean_mask(probability, SeparationParams(min_area=16)).sum() == 16


def test_counting_and_replacing():
    ids = np.array([2, 0, 2, 1], np.int32)
    assert count_pixels(ids, 4).tolist() == [1, 1, 2, 0]
    replace_ids(ids, np.array([0, 5, 6]))
    assert ids.tolist() == [6, 0, 6, 5]
