"""What is said of places, and remedies that build on those applied before."""

import numpy as np
import pytest

from napari_hovernet.core.data.samples import TURNS, Turn, turn_plane
from napari_hovernet.core.diagnosis.data_place_words import (
    flip_finding,
    pairing_finding,
    px_words,
    shift_finding,
    turn_words,
)
from napari_hovernet.core.diagnosis.data_places import ORDER, SHIFT, TURN, Placement, Where
from napari_hovernet.core.diagnosis.data_register import pair_of
from napari_hovernet.core.diagnosis.setup import Setup

from .planted_data import made

PAIRS = tuple(
    pair_of(i, f"i{i}", a.astype(np.float32), a > 0, 30) for i, a in enumerate(made(4)["labels"])
)
PLACED = Placement(PAIRS, None, dict.fromkeys(TURNS, 0.0), np.eye(4))


def test_a_shift_is_said_in_pixels_and_patches():
    found = shift_finding(Where(SHIFT, 0.8, 0.1, at=(0, -56)), PLACED)
    assert found.title.endswith("by 56 px to the right")
    assert "4 patches of 14 px" in found.evidence
    assert found.remedy.value == [0, -56]
    assert px_words(0, 0) == "nothing"


@pytest.mark.parametrize("before", TURNS)
def test_a_turn_is_applied_after_what_was_applied_before(before):
    turn = Turn(True, 1)
    setup = Setup(labels_turn=(before.flip, before.quarters))
    both = flip_finding(Where(TURN, 0.8, 0.1, turn=turn), PLACED, setup).remedy.value
    plane = np.arange(12).reshape(3, 4)
    wanted = turn_plane(turn_plane(plane, before), turn)
    assert np.array_equal(turn_plane(plane, Turn(*both)), wanted)


def test_images_that_are_all_one_further_are_so_beyond_the_sample():
    found = pairing_finding(Where(ORDER, 0.8, order=(1, 2, 3, 3)), PLACED, Setup(), 9)
    assert found.remedy.value == [1, 2, 3, 4, 5, 6, 7, 8, 0]


def test_an_order_is_applied_after_the_one_before():
    setup = Setup(image_order=(3, 2, 1, 0))
    found = pairing_finding(Where(ORDER, 0.8, order=(1, 0, 2, 3)), PLACED, setup, 4)
    assert found.remedy.value == [2, 3, 1, 0]
    assert found.plot.kind == "matrix"


def test_turns_have_names():
    assert len({turn_words(t) for t in TURNS}) == 8
    assert turn_words(Turn()) == "nothing"
