"""A sweep is a plain loop over separate and evaluate, with the cells that cannot be left out."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from napari_hovernet.core.hv import HVReading
from napari_hovernet.core.measure.metrics import evaluate
from napari_hovernet.core.measure.sweep import MOST_CELLS, Sweep, SweepAxis, sweep, sweep_steps
from napari_hovernet.core.params import SeparationParams
from napari_hovernet.core.separation import separate
from napari_hovernet.core.separation.tuning import TuneParams, with_value
from napari_hovernet.core.synthetic import planted_maps, tissue
from napari_hovernet.core.types import Maps
from napari_hovernet.errors import InputError


@pytest.fixture(scope="module")
def truth() -> np.ndarray:
    return tissue(shape=(100, 120), seed=4).labels


@pytest.fixture(scope="module")
def maps(truth) -> Maps:
    return planted_maps(truth)


def test_two_parameters_equal_a_plain_loop(maps, truth):
    rows = SweepAxis("np_threshold", (0.2, 0.5, 0.9))
    columns = SweepAxis("depth", (0.0, 0.15, 0.6, 1.0))
    found = sweep(maps, rows, columns, truth=truth)
    assert found.counts.shape == found.aji.shape == (3, 4)
    for i, threshold in enumerate(rows.values):
        for j, depth in enumerate(columns.values):
            labels = separate(maps, SeparationParams(np_threshold=threshold, depth=depth)).labels
            assert found.counts[i, j] == labels.max()
            assert found.aji[i, j] == pytest.approx(evaluate(truth, labels).aji, abs=1e-12)
    row, column = found.best
    assert found.aji[row, column] == found.aji.max() > 0.8
    best = found.params(row, column).separation
    assert (best.np_threshold, best.depth) == (rows.values[row], columns.values[column])


def test_one_parameter_without_truth_counts(maps):
    found = sweep(maps, SweepAxis("min_area", (0, 60, 500)))
    wanted = [separate(maps, SeparationParams(min_area=a)).n for a in (0, 60, 500)]
    assert found.counts.tolist() == [[n] for n in wanted]
    assert found.columns is None and found.aji is None and found.best is None
    assert found.params(1).separation.min_area == 60


def test_everything_else_stays_at_the_start(maps):
    start = TuneParams(SeparationParams.preset("hover_net"), HVReading(order="vh", scale=2.0))
    found = sweep(maps, SweepAxis("sobel_size", (5, 21)), start=start)
    assert found.start is start
    assert found.params(1).hv == start.hv
    assert found.params(0).separation == replace(start.separation, sobel_size=5)


def test_hv_scale_can_be_swept_and_hardly_matters(maps, truth):
    axis = SweepAxis.between("hv.scale", 0.02, 50, 5)
    assert axis.values == (0.02, 0.14, 1.0, 7.07, 50.0)
    found = sweep(maps, axis, truth=truth)
    assert np.ptp(found.aji) < 0.03


def test_combinations_that_cannot_be_are_left_out(maps, truth):
    rows = SweepAxis("np_threshold", (1.5, 0.5))  # the first is no probability
    found = sweep(maps, rows, SweepAxis("depth", (0.1, 0.2)), truth=truth)
    assert (found.counts[0] == -1).all() and (found.counts[1] > 0).all()
    assert np.isnan(found.aji[0]).all() and np.isfinite(found.aji[1]).all()
    assert found.best[0] == 1


def test_nothing_is_best_where_nothing_is_allowed(maps, truth):
    found = sweep(maps, SweepAxis("sobel_size", (4, math.nan)), truth=truth)
    assert found.counts.ravel().tolist() == [-1, -1] and found.best is None


def test_of_equals_the_first_is_best():
    axis = SweepAxis("depth", (0.1, 0.2, 0.3))
    scores = np.array([[np.nan], [0.5], [0.5]])
    assert Sweep(TuneParams(), axis, None, np.ones((3, 1), np.int64), scores).best == (1, 0)


def test_bounds_that_cross_take_each_other_along(maps):
    rows = SweepAxis("magnitude_low", (0.2, 1.0))
    found = sweep(maps, rows, SweepAxis("magnitude_high", (0.5, 1.5)))
    assert (found.counts >= 0).all()
    assert found.params(1, 0).separation.magnitude_low == 0.5
    both = with_value(with_value(TuneParams(), "magnitude_low", 1.0), "magnitude_high", 0.5)
    assert found.params(1, 0) == both


def test_an_empty_truth_or_prediction_scores_without_warnings(maps):
    axis = SweepAxis("np_threshold", (0.5, 1.0))  # at 1 nothing may be left
    found = sweep(maps, axis, truth=np.zeros(maps.shape, np.int32))
    for count, score in zip(found.counts[:, 0], found.aji[:, 0], strict=True):
        assert score == (1.0 if count == 0 else 0.0)


def test_a_step_is_told_before_every_combination(maps):
    axis = SweepAxis("depth", (0.1, 0.2, 0.3))
    told = [(s.done, s.total) for s in sweep_steps(maps, TuneParams(), axis)]
    assert told == [(0, 3), (1, 3), (2, 3), (3, 3)]


def test_too_many_combinations_are_refused_before_the_first():
    maps = Maps(np=np.zeros((4, 4)), hv=np.zeros((2, 4, 4)))
    many = SweepAxis("min_area", tuple(range(MOST_CELLS + 1)))
    with pytest.raises(InputError, match=f"{MOST_CELLS + 1} combinations are too many"):
        next(sweep_steps(maps, TuneParams(), many))
    assert sweep(maps, SweepAxis("min_area", tuple(range(MOST_CELLS)))).counts.size == MOST_CELLS


def test_one_parameter_twice_is_refused(maps):
    axis = SweepAxis("depth", (0.1,))
    with pytest.raises(InputError, match="Both parameters are depth"):
        sweep(maps, axis, SweepAxis("depth", (0.2,)))


@pytest.mark.parametrize("shape", [(100, 121), (100,), (1, 100, 120)])
def test_a_truth_of_another_size_is_refused(maps, shape):
    with pytest.raises(InputError, match="give true labels of the same size"):
        sweep(maps, SweepAxis("depth", (0.1,)), truth=np.zeros(shape, np.int32))


def test_an_axis_without_values_or_name_is_refused():
    with pytest.raises(InputError, match="No values of depth"):
        SweepAxis("depth", ())
    with pytest.raises(InputError, match="'method' cannot be tuned"):
        SweepAxis("method", (1,))


def test_values_are_spread_within_the_slider_and_each_is_tried_once():
    assert SweepAxis.between("depth", 0.1, 0.3, 3).values == (0.1, 0.2, 0.3)
    assert SweepAxis.between("sobel_size", 3, 7, 20).values == (3, 5, 7)
    assert SweepAxis.between("depth", 0.2, 0.2, 5).values == (0.2,)
    assert SweepAxis.between("depth", -1, 5, 3).values == (0.0, 0.5, 1.0)
    assert SweepAxis.between("hv.scale", 0, 2, 2).values == (0.02, 2.0)
    assert SweepAxis.between("depth", 0.1, 0.9, 1).values == (0.1,)


@pytest.mark.parametrize(
    ("low", "high", "count"),
    [(0.5, 0.1, 3), (0.1, 0.5, 0), (math.nan, 1, 3), (0, math.inf, 3), (-math.inf, 0, 2)],
)
def test_ranges_that_are_none_are_refused(low, high, count):
    with pytest.raises(InputError, match="give low <= high and 1 or more"):
        SweepAxis.between("depth", low, high, count)
