"""Sums, boxes, radii and parts of labelled pixels."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from napari_hovernet.core.hv import farthest, label_equal, moments, write_offsets


def test_moments_of_random_labels():
    ids = np.random.default_rng(0).integers(0, 6, (20, 23)).astype(np.int32)
    count, total, box = moments(ids, 6)
    assert count[0] == 0
    assert count[6] == 0
    for i in range(1, 6):
        rows, cols = np.nonzero(ids == i)
        assert count[i] == len(rows)
        assert total[i].tolist() == [rows.sum(), cols.sum()]
        assert box[i].tolist() == [rows.min(), cols.min(), rows.max(), cols.max()]


def test_farthest_is_a_distance():
    ids = np.array([[1, 0, 0], [1, 1, 0]], np.int32)
    assert farthest(ids, np.array([[0.0, 0.0], [0.0, 1.0]])).tolist() == [0, np.sqrt(2)]


def test_offsets_use_the_side_they_are_on():
    ids = np.array([[1, 1, 1]], np.int32)
    hv = np.zeros((2, 1, 3), np.float32)
    write_offsets(ids, np.array([[0, 0], [0, 1.0]]), np.array([[0] * 4, [2, 3, 5, 7.0]]), hv)
    assert hv[0].tolist() == [[-2, 0, 3]]


def test_parts_of_equal_id():
    ids = np.random.default_rng(1).integers(0, 3, (31, 29)).astype(np.int32)
    parts = np.zeros_like(ids)
    n = label_equal(ids, parts)
    expected = sum(ndimage.label(ids == i)[1] for i in (1, 2))
    assert n == expected == parts.max()
    assert len(np.unique(np.stack((ids, parts)).reshape(2, -1), axis=1).T) == n + 1
    assert ((parts > 0) == (ids > 0)).all()
