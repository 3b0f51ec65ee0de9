"""What is measured of NP, and how it has to be read."""

from __future__ import annotations

import numpy as np
import pytest

from napari_hovernet.core.diagnosis.map_np import (
    NPReading,
    NPTally,
    best_threshold,
    np_reading,
    parting,
    shape_vote,
    tally,
    votes,
)
from napari_hovernet.core.diagnosis.map_views import View
from napari_hovernet.core.measure.metrics import contingency, dice
from napari_hovernet.core.synthetic import planted_maps, tissue


@pytest.fixture(scope="module")
def view() -> View:
    made = tissue((256, 256), 0)
    maps = planted_maps(made.labels, 0)
    return View(0, "a", maps.np, maps.hv, made.labels)


def changed(view: View, prob: np.ndarray, *, truth: bool = True) -> NPTally:
    labels = view.labels if truth else None
    return tally([View(0, "a", prob.astype(np.float32), view.hv, labels)])


def test_dice_is_that_of_the_metrics(view: View) -> None:
    found = tally([view])
    for threshold in (0.2, 0.5, 0.9):
        mask = (view.prob >= threshold).astype(int)
        own = dice(contingency((view.labels > 0).astype(int), mask))
        assert found.dice(threshold) == pytest.approx(own, abs=2e-3)
        assert found.share(threshold) == pytest.approx(mask.mean(), abs=2e-3)


def test_flipping_is_what_1_minus_np_gives(view: View) -> None:
    one, other = tally([view]).flipped(), changed(view, 1 - view.prob)
    assert one.truth == pytest.approx(other.truth, abs=1e-6)
    assert one.dice(0.5) == pytest.approx(other.dice(0.5), abs=5e-3)
    assert (one.shape, one.parts) == (pytest.approx(other.shape, abs=0.02), other.parts)


def test_the_channel_is_told_by_truth_and_by_shapes(view: View) -> None:
    assert votes(tally([view])) == 1
    assert votes(changed(view, 1 - view.prob)) == -1
    assert votes(changed(view, view.prob, truth=False)) == 1
    assert votes(changed(view, 1 - view.prob, truth=False)) == -1
    assert np_reading(changed(view, 1 - view.prob)).inverted


def test_labels_the_other_way_round_do_not_make_np_background(view: View) -> None:
    upside = View(0, "a", view.prob, view.hv, (view.labels == 0).astype(np.int32))
    found = tally([upside])
    assert found.truth < -0.5
    assert shape_vote(found) == 1
    assert votes(found) == 1


def test_the_best_threshold_is_used_where_it_matters(view: View) -> None:
    found = changed(view, 0.3 * view.prob)
    assert best_threshold(found) == pytest.approx(0.15, abs=0.051)
    assert np_reading(found).threshold == best_threshold(found)
    assert np_reading(tally([view])).threshold == 0.5
    assert np_reading(tally([view]), 0.4).threshold == 0.4
    assert 0.08 < np_reading(changed(view, 0.3 * view.prob, truth=False)).threshold < 0.22


def test_what_has_one_value_has_no_parting(view: View) -> None:
    assert parting(changed(view, 0 * view.prob + 0.3)) == 0.0
    assert 0.2 < parting(tally([view])) < 0.8


def test_a_reading_makes_the_mask(view: View) -> None:
    reading = NPReading(inverted=True, threshold=0.5)
    np.testing.assert_array_equal(reading.mask(view), 1 - view.prob >= 0.5)
