"""Correlations over shifts, turns and other images peak where they should."""

import numpy as np
import pytest

from napari_hovernet.core.data.samples import TURNS, Turn, turn_plane
from napari_hovernet.core.diagnosis.data_likeness import band
from napari_hovernet.core.diagnosis.data_register import (
    cross_scores,
    middle,
    offsets,
    pair_of,
    strip_score,
    turn_scores,
    unit,
    window_of,
)

from .planted_data import made

AREAS = [a > 0 for a in made(4)["labels"]]


def pair(plane, inside, nuclei=30):
    return pair_of(0, "a", band(plane.astype(np.float32)), inside, nuclei)


@pytest.mark.parametrize("shift", [(0, 0), (0, 56), (-7, 3), (100, -100)])
def test_the_best_offset_moves_labels_back(shift):
    pairs = [pair(a, np.roll(a, shift, (0, 1))) for a in AREAS]
    found = offsets([window_of(p) for p in pairs])
    assert found.at == tuple(-x for x in shift)
    assert found.best == pytest.approx(1, abs=0.05)
    assert found.agreeing == 1
    assert (found.own > 0.9) == (shift == (0, 0))


def test_what_was_rolled_is_told_from_what_was_moved():
    shift = (0, 56)
    rolled = [np.roll(a, shift, (0, 1)) for a in AREAS]
    moved = [a.copy() for a in rolled]
    for area in moved:
        area[:, :56] = False
    back = (0, -56)
    assert strip_score([pair(a, b) for a, b in zip(AREAS, rolled, strict=True)], back) > 0.9
    assert strip_score([pair(a, b) for a, b in zip(AREAS, moved, strict=True)], back) < 0.2


@pytest.mark.parametrize("turn", TURNS)
def test_the_best_turn_brings_labels_back(turn):
    scores = turn_scores(pair(turn_plane(AREAS[0], turn), AREAS[0]))
    assert max(scores, key=lambda t: scores[t]) == turn
    assert scores[turn] == pytest.approx(1, abs=0.03)


def test_a_turn_to_another_size_counts_nothing():
    area = AREAS[0][:100]
    scores = turn_scores(pair(area, area))
    assert scores[Turn(False, 1)] == 0
    assert window_of(pair(area, area.T)).size
    assert np.isnan(window_of(pair(area, area.T))).all()


def test_other_images_of_other_sizes_are_compared_in_their_corner():
    planes = [unit(band(a.astype(np.float32))) for a in AREAS]
    planes[2] = unit(band(AREAS[2][:200, :128].astype(np.float32)))
    scores = cross_scores(band(AREAS[2].astype(np.float32)), planes)
    assert scores.argmax() == 2
    assert scores[2] > 0.9


def test_the_middle_of_large_images_is_taken_and_chance_is_bounded_by_room():
    assert middle(np.zeros((1000, 20), np.float32), 640).shape == (640, 20)
    assert pair(AREAS[0][:64, :64], AREAS[0][:64, :64], 5000).nuclei == 40
    assert offsets([]) is None
