import math

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

import napari_hovernet as nh
from napari_hovernet.core.measure import metrics
from napari_hovernet.core.measure import metrics as matching

from ..refusals import refuses


def random_labels(seed: int, n: int = 40, shape: tuple[int, int] = (60, 70)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, n, shape).astype(np.int32)


def test_neither_bands_nor_the_numbering_change_anything(monkeypatch) -> None:
    true, pred = random_labels(2), random_labels(3)
    whole = metrics.contingency(true, pred)
    monkeypatch.setattr(matching, "BAND_PIXELS", 100)
    bands = metrics.contingency(true, pred)
    for name in ("true_ids", "true_area", "pred_area", "true", "pred", "overlap"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(bands, name))
    rng = np.random.default_rng(0)
    true, pred = (np.kron(b, np.ones((4, 4), int)) for b in rng.integers(0, 20, (2, 9, 9)))
    ids = np.append(0, 5 + 7919 * rng.permutation(19))
    assert nh.evaluate(true, pred).as_dict() == nh.evaluate(ids[true], pred).as_dict()


@pytest.mark.parametrize(
    ("true", "pred", "words"),
    [
        (np.zeros((3, 4), int), np.zeros((4, 3), int), [r"\(3, 4\)", r"\(4, 3\)", "same size"]),
        (np.zeros((3, 4)), np.zeros((3, 4), int), ["true_labels", "float64", "separate"]),
        (np.zeros((3, 4), int), np.full((3, 4), -2), ["pred_labels", "-2"]),
        (np.zeros((3, 4, 1), int), np.zeros((3, 4), int), ["true_labels", r"\(3, 4, 1\)"]),
        (np.zeros((1, 1), int), np.full((1, 1), 2**64 - 1, np.uint64), [str(2**64 - 1)]),
    ],
)
def test_wrong_input_is_named(true: np.ndarray, pred: np.ndarray, words: list[str]) -> None:
    for word in words:
        refuses(word, metrics.contingency, true, pred)


@pytest.mark.parametrize("seed", range(5))
def test_unique_partners_reach_the_best_sum(seed: int) -> None:
    grow = np.random.default_rng(seed).integers(1, 12, (8, 9))
    true = np.kron(grow, np.ones((4, 3), int))
    pred = np.roll(np.kron(np.roll(grow, 1, 0), np.ones((4, 3), int)), (1, seed), (0, 1))
    table = metrics.contingency(true, pred)
    pairs = metrics.unique_partners(table)
    assert len(set(table.true[pairs])) == len(set(table.pred[pairs])) == len(pairs)
    cost = np.zeros((table.n_true, table.n_pred))
    cost[table.true, table.pred] = table.pairing_weight
    best = cost[linear_sum_assignment(-cost)].sum()
    assert table.pairing_weight[pairs].sum() == pytest.approx(best, abs=1e-9)


def test_partners_mergers_and_matches_are_counted_as_published() -> None:
    true = [[1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]]
    pred = [[1, 2, 2, 1, 1, 2, 2, 2, 2, 2, 2, 2]]
    table = metrics.contingency(true, pred)
    assert table.iou.tolist() == [0.2, 0.2]
    assert table.pred_ids[table.pred[metrics.best_partner(table)[1]]].tolist() == [2]
    table = metrics.contingency([[1, 1, 1, 2]], [[6, 6, 6, 6]])
    assert metrics.aji(table) == pytest.approx(4 / 8)
    assert metrics.aji_plus(table) == pytest.approx(3 / 5)
    table = metrics.contingency([[1, 1, 1, 1, 2]], [[8, 8, 8, 9, 8]])
    assert metrics.aji_plus(table) == pytest.approx(3 / (5 + 1 + 1))
    true = [[1, 1, 1, 1, 0, 2, 2, 0, 0]]
    pred = [[5, 5, 5, 0, 0, 0, 0, 0, 9]]
    quality = metrics.panoptic_quality(metrics.contingency(true, pred))
    assert (quality.dq, quality.sq) == (pytest.approx(1 / 2), pytest.approx(3 / 4))
    assert quality.pq == pytest.approx(3 / 8)
    half = metrics.contingency([[1, 1]], [[1, 0]])
    assert metrics.panoptic_quality(half) == (0, 0, 0)
    three_quarters = metrics.contingency([[1, 1, 1, 1]], [[1, 1, 1, 0]])
    assert metrics.panoptic_quality(three_quarters).dq == 1
    assert metrics.panoptic_quality(three_quarters, match_iou=0.8).dq == 0


def plain_aji(true: np.ndarray, pred: np.ndarray) -> float:
    """AJI straight from its definition, a mask per nucleus."""
    taken: set[int] = set()
    overlap = union = 0
    for t in np.unique(true[true > 0]):
        ids = np.unique(pred[(true == t) & (pred > 0)])
        if not len(ids):
            union += int((true == t).sum())
            continue
        both = [int(((true == t) & (pred == p)).sum()) for p in ids]
        either = [int(((true == t) | (pred == p)).sum()) for p in ids]
        best = int(np.argmax([b / (e + 1e-6) for b, e in zip(both, either, strict=True)]))
        overlap, union = overlap + both[best], union + either[best]
        taken.add(int(ids[best]))
    union += sum(int((pred == p).sum()) for p in np.unique(pred[pred > 0]) if p not in taken)
    return overlap / union


@pytest.mark.parametrize("seed", range(4))
def test_aji_equals_its_definition(seed: int) -> None:
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, 9, (2, 8, 8))
    true, pred = (np.kron(b, np.ones((3, 3), int)) for b in blocks)
    pred = np.roll(pred, (1, 1), (0, 1))
    assert metrics.aji(metrics.contingency(true, pred)) == pytest.approx(
        plain_aji(true, pred), abs=1e-12
    )


SCORES = ("dice", "aji", "aji_plus", "dq", "sq", "pq", "n_true", "n_pred")


def test_what_outranks_what_and_the_interval_equals_resampling_by_hand() -> None:
    swallowed = nh.evaluate([[1, 1, 1, 1, 2]], [[7, 7, 7, 7, 7]]).outcomes
    assert swallowed.true.tolist() == ["matched", "merged"]
    assert swallowed.pred.tolist() == ["matched"]
    chipped = nh.evaluate([[1, 1, 1, 1, 1]], [[7, 7, 7, 7, 8]]).outcomes
    assert (chipped.true.tolist(), chipped.pred.tolist()) == (["matched"], ["matched", "split"])
    crumbs = metrics.outcomes(metrics.contingency([[1] * 10], [[2, 0, 0, 0, 0, 0, 0, 0, 0, 3]]))
    assert (crumbs.true.tolist(), crumbs.pred.tolist()) == (["missed"], ["spurious", "spurious"])
    true = [[1] * 10 + [2] * 10]
    pred = [[0] * 3 + [4] * 7 + [4] * 10 + [4] * 0]
    table = metrics.contingency(true, pred)
    assert metrics.outcomes(table).true.tolist() == ["merged", "matched"]
    strict = metrics.outcomes(table, metrics.OutcomeParams(inside_share=0.8))
    assert strict.true.tolist() == ["missed", "matched"]
    values = np.array([0.1, 0.4, 0.5, 0.9])
    rng = np.random.default_rng(7)
    means = values[rng.integers(0, 4, (20000, 4))].mean(axis=1)
    interval = metrics.bootstrap_mean(values)
    assert interval.low == pytest.approx(np.quantile(means, 0.025), abs=0.02)
    assert interval.high == pytest.approx(np.quantile(means, 0.975), abs=0.02)
    assert metrics.bootstrap_mean([np.nan, 0.2, 0.6]) == metrics.bootstrap_mean([0.2, 0.6])
    nothing = metrics.bootstrap_mean([np.nan])
    assert nothing.n == 0 and math.isnan(nothing.mean)
    one = metrics.bootstrap_mean([0.4])
    assert (one.mean, one.n) == (0.4, 1)
    assert math.isnan(one.low) and math.isnan(one.high)
    refuses("infinite", metrics.bootstrap_mean, [1.0, np.inf])


@pytest.mark.parametrize(("true", "pred", "value"), [(0, 0, 1.0), (0, 1, 0.0), (1, 0, 0.0)])
def test_empty_images_have_defined_scores(true: int, pred: int, value: float) -> None:
    ev = nh.evaluate(np.full((4, 4), true), np.full((4, 4), pred))
    assert [getattr(ev, name) for name in SCORES[:6]] == [value] * 6
    assert (ev.n_true, ev.n_pred) == (true, pred)
