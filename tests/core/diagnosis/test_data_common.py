"""Small helpers of the data checks."""

import numpy as np
import pytest

from napari_hovernet.core.diagnosis.bench import Bench
from napari_hovernet.core.diagnosis.case import ArrayItems, Case
from napari_hovernet.core.diagnosis.data_common import (
    around,
    count_ids,
    kept,
    listed,
    nucleus_mask,
    percent,
    scaled,
    spread,
    whole,
)
from napari_hovernet.core.diagnosis.items import Item


def ended(steps):
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            return stop.value


def test_what_was_measured_is_measured_once():
    bench = Bench(Case(ArrayItems(labels=np.eye(8, dtype=int))))
    calls = []

    def measure(_):
        calls.append(1)
        yield
        return 7

    assert ended(kept(bench, "a.b", measure)) == ended(kept(bench, "a.b", measure)) == 7
    assert len(calls) == 1


def test_certainty_grows_with_the_effect_and_stays_in_its_band():
    values = [scaled(x, 0.2, 0.8, 0.5, 0.9) for x in (-1, 0.2, 0.5, 0.8, 9)]
    assert values == [0.5, 0.5, pytest.approx(0.7), 0.9, 0.9]
    assert scaled(float("nan"), 0, 1, 0.3, 0.9) == 0.3
    assert isinstance(scaled(np.float64(0.5), 0, 1, 0, 1), float)


def test_words():
    assert percent(float("nan")) == "unknown"
    assert percent(0) == "0 %"
    assert listed(["a"]) == "a"


def test_places_stay_inside_the_image():
    item = Item(3, "x", labels=np.zeros((50, 200), np.int32))
    assert whole(item).box == (0, 50, 0, 200)
    assert around(item, 49, 199, edge=40).box == (10, 50, 160, 200)
    assert around(item, 0, 0, edge=40).box == (0, 40, 0, 40)


def test_the_mask_comes_from_labels_then_np_then_hv():
    hv = np.zeros((2, 1, 2), np.float32)
    hv[1, 0, 1] = -0.5
    assert nucleus_mask(Item(0, "x")) is None
    assert nucleus_mask(Item(0, "x", target_hv=hv)).tolist() == [[False, True]]
    stored = np.array([[1, 0]], np.uint8)
    assert nucleus_mask(Item(0, "x", target_hv=hv, target_np=stored)).tolist() == [[True, False]]


def test_ids_are_counted_even_if_they_are_sparse():
    assert count_ids(np.array([[0, 10**9, 5]])) == 2
    assert count_ids(np.zeros((0, 3), int)) == 0


def test_spread_keeps_all_if_there_are_few():
    assert spread((4, 5), 9) == (4, 5)
    assert spread(()) == ()
