"""Single convex parts of a mask."""

from __future__ import annotations

import cv2
import numpy as np

from napari_hovernet.core.diagnosis.map_limits import MapLimits
from napari_hovernet.core.diagnosis.map_shapes import convex_parts, convex_share, worst_boxes

LIMITS = MapLimits()


def discs(*centres: tuple[int, int], radius: int = 8) -> np.ndarray:
    mask = np.zeros((128, 128), np.uint8)
    for centre in centres:
        cv2.circle(mask, centre, radius, 1, -1)
    return mask > 0


def test_single_nuclei_are_taken_and_touching_ones_are_not() -> None:
    mask = discs((20, 20), (60, 60), (74, 60), (100, 20))
    labels, n = convex_parts(mask, LIMITS)
    assert n == 2
    assert not labels[60, 60]
    assert labels[20, 20] and labels[20, 100]


def test_those_cut_by_the_border_are_left_out_unless_asked_for() -> None:
    mask = discs((2, 60), (60, 60))
    assert convex_parts(mask, LIMITS)[1] == 1
    assert convex_parts(mask, LIMITS, at_border=True)[1] == 2


def test_specks_and_what_is_too_large_are_no_nuclei() -> None:
    assert convex_parts(discs((60, 60), radius=2), LIMITS)[1] == 0
    assert convex_parts(discs((64, 64), radius=50), LIMITS)[1] == 0


def test_a_mask_of_nuclei_is_told_from_its_complement() -> None:
    mask = discs(*((x, y) for x in range(16, 120, 24) for y in range(16, 120, 24)))
    assert convex_share(mask, LIMITS) == (1.0, 25)
    assert convex_share(~mask, LIMITS) == (0.0, 0)
    assert convex_share(np.zeros((9, 9), bool), LIMITS) == (0.0, 0)


def test_the_worst_nuclei_come_first() -> None:
    labels = np.zeros((20, 20), np.int32)
    labels[2:5, 2:6], labels[10:12, 10:12] = 1, 7
    values = np.where(labels == 7, -1.0, 0.5)
    assert worst_boxes(labels, values, 2) == [(-1.0, (10, 12, 10, 12)), (0.5, (2, 5, 2, 6))]
    assert worst_boxes(np.zeros((4, 4), np.int32), np.zeros((4, 4)), 3) == []
