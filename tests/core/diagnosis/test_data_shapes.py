"""Shapes of instances, against shapes drawn on purpose."""

import cv2
import numpy as np
import pytest

from napari_hovernet.core.diagnosis.data_shapes import shapes_of
from napari_hovernet.core.hv import hv_targets


def discs(centres, radius=8, shape=(80, 120)):
    labels = np.zeros(shape, np.int32)
    for i, centre in enumerate(centres, 1):
        cv2.circle(labels, centre, radius, i, -1)
    return labels


def test_a_disc_is_convex_and_two_that_are_merged_are_a_lump():
    labels = discs([(20, 20), (50, 20), (80, 20), (20, 55), (50, 55), (65, 55)])
    merged = np.where(labels == 6, 5, labels)
    apart, lumped = shapes_of(0, "a", labels), shapes_of(0, "a", merged)
    assert apart.solidity.min() > 0.92
    assert not apart.lumps().any()
    assert lumped.lumps().tolist() == [False] * 4 + [True]
    assert (apart.components, apart.shared, apart.bordering) == (5, 1, 2)
    assert (lumped.components, lumped.shared, lumped.bordering) == (5, 0, 0)


def test_what_touches_at_a_corner_alone_touches_but_does_not_border():
    labels = np.zeros((20, 20), np.int32)
    labels[4:10, 4:10], labels[10:16, 10:16] = 1, 2
    found = shapes_of(0, "a", labels)
    assert (found.touching, found.bordering) == (2, 0)


def test_holes_and_pieces():
    labels = discs([(20, 20), (60, 20)])
    labels[18:22, 18:22] = 0
    labels[60:64, 100:104] = 2
    found = shapes_of(0, "a", labels)
    assert found.holed.tolist() == [True, False]
    assert found.parts.tolist() == [1, 2]


def test_those_at_the_border_are_not_judged():
    assert np.isnan(shapes_of(0, "a", discs([(0, 0), (40, 40)])).solidity).tolist() == [True, False]


def test_hv_of_instances_shows_that_labels_are_merged():
    labels = discs([(20, 20), (60, 40), (75, 40)])
    hv = hv_targets(labels)
    assert shapes_of(0, "a", labels, hv).split == 0
    assert shapes_of(0, "a", np.minimum(labels, 2), hv).split == pytest.approx(0.5)


def test_no_labels_have_no_shapes():
    found = shapes_of(0, "a", np.zeros((9, 9), np.int32))
    assert (found.n, found.components, found.lumps().size) == (0, 0, 0)


def test_sparse_ids_are_no_matter():
    labels = discs([(20, 20), (60, 20)])
    far = shapes_of(0, "a", labels * 10**6)
    assert far.area.tolist() == shapes_of(0, "a", labels).area.tolist()
