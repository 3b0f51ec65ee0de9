"""One explanation is chosen, and chance is not taken for one."""

import numpy as np
import pytest

from napari_hovernet.core.diagnosis import data_places as places
from napari_hovernet.core.diagnosis.data_likeness import band, likeness
from napari_hovernet.core.diagnosis.data_places import judge_place, place_steps
from napari_hovernet.core.diagnosis.data_register import pair_of

from .planted_data import made, real


def judged(planes, labels):
    pairs = [
        pair_of(i, f"i{i}", p, a > 0, len(np.unique(a)) - 1)
        for i, (p, a) in enumerate(zip(planes, labels, strict=True))
    ]
    steps = place_steps(pairs, "x")
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            return judge_place(stop.value)


GIVEN = made(6)
PLANES = [likeness(image).plane for image in GIVEN["images"]]
LABELS = GIVEN["labels"]


def test_health_fits():
    found = judged(PLANES, LABELS)
    assert found.kind == places.FITS
    assert found.odd == ()


@pytest.mark.parametrize("cols", [1, 2])
def test_a_shift_below_the_bound_is_none(cols):
    assert judged(PLANES, [np.roll(a, cols, 1) for a in LABELS]).kind == places.FITS


def test_two_of_six_that_are_moved_are_odd():
    labels = [np.roll(a, (9, 20), (0, 1)) if i < 2 else a for i, a in enumerate(LABELS)]
    found = judged(PLANES, labels)
    assert (found.kind, found.odd) == (places.FITS, (0, 1))


def test_two_that_are_exchanged_are_found():
    order = [1, 0, 2, 3, 4, 5]
    found = judged(PLANES, [LABELS[i] for i in order])
    assert (found.kind, found.order) == (places.ORDER, tuple(order))


def test_inverted_masks_are_not_taken_for_moved_ones():
    assert judged(PLANES, [(a == 0).astype(int) for a in LABELS]).kind == places.INVERTED


def test_noise_is_never_taken_for_a_shift_or_a_turn():
    rng = np.random.default_rng(0)
    kinds = set()
    for size in (64, 128, 256):
        planes = [band(rng.normal(size=(size, size)).astype(np.float32)) for _ in range(3)]
        kinds.add(judged(planes[:1], LABELS[:1] if size == 256 else [LABELS[0][:size, :size]]).kind)
        kinds.add(judged(planes, [a[:size, :size] for a in LABELS[:3]]).kind)
    assert kinds <= {places.UNTESTED, places.NOWHERE, places.FITS}


def test_labels_of_elsewhere_fit_nowhere(shared):
    given = real(shared, "train", 40)
    same = [i for i, a in enumerate(given["labels"]) if a.shape == (256, 320)]
    planes = [likeness(given["images"][i]).plane for i in same[:10]]
    assert judged(planes, [given["labels"][i] for i in same[10:20]]).kind == places.NOWHERE


def test_too_few_nuclei():
    assert judged(PLANES[:1], [(LABELS[0] == 1).astype(int)]).kind == places.UNTESTED
