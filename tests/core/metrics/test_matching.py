from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from napari_hovernet.core.measure import metrics as matching
from napari_hovernet.core.measure.metrics import best_partner, contingency, unique_partners
from napari_hovernet.errors import InputError


def random_labels(seed: int, n: int = 40, shape: tuple[int, int] = (60, 70)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, n, shape).astype(np.int32)


def dense_overlap(true: np.ndarray, pred: np.ndarray) -> np.ndarray:
    table = np.zeros((true.max() + 1, pred.max() + 1), np.int64)
    np.add.at(table, (true.ravel(), pred.ravel()), 1)
    return table


def test_table_counts_every_pair() -> None:
    true, pred = random_labels(0), random_labels(1)
    table = contingency(true, pred)
    dense = dense_overlap(true, pred)
    again = np.zeros_like(dense)
    again[table.true_ids[table.true], table.pred_ids[table.pred]] = table.overlap
    np.testing.assert_array_equal(again[1:, 1:], dense[1:, 1:])
    np.testing.assert_array_equal(table.true_area, dense[1:].sum(axis=1))
    np.testing.assert_array_equal(table.pred_area, dense[:, 1:].sum(axis=0))
    assert (table.overlap > 0).all()


def test_bands_do_not_change_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    true, pred = random_labels(2), random_labels(3)
    whole = contingency(true, pred)
    monkeypatch.setattr(matching, "BAND_PIXELS", 100)
    bands = contingency(true, pred)
    for name in ("true_ids", "true_area", "pred_area", "true", "pred", "overlap"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(bands, name))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int64, np.uint64])
def test_any_ids_of_any_width(dtype: type[np.integer]) -> None:
    top = min(np.iinfo(dtype).max, np.iinfo(np.int64).max)
    true = np.array([[0, 3, 3, top]], dtype=dtype)
    table = contingency(true, np.array([[9, 9, 0, 2]], dtype=np.int16))
    assert table.true_ids.tolist() == [3, top]
    assert table.pred_ids.tolist() == [2, 9]
    assert table.overlap.tolist() == [1, 1]
    assert table.union.tolist() == [3, 1]


def test_ids_may_be_bool_or_lists() -> None:
    assert contingency(np.eye(3, dtype=bool), [[1, 0, 0], [0, 0, 0], [0, 0, 2]]).n_pred == 2


@pytest.mark.parametrize("shape", [(0, 0), (0, 5), (5, 0), (3, 3)])
def test_empty_images_have_empty_tables(shape: tuple[int, int]) -> None:
    table = contingency(np.zeros(shape, int), np.zeros(shape, int))
    assert (table.n_true, table.n_pred, len(table.overlap)) == (0, 0, 0)
    assert not len(unique_partners(table))
    assert not len(best_partner(table)[0])


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
        with pytest.raises(InputError, match=word):
            contingency(true, pred)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("cells", [matching.DENSE_BLOCK, 4])
def test_unique_partners_reach_the_best_sum(
    seed: int, cells: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(matching, "DENSE_BLOCK", cells)
    grow = np.random.default_rng(seed).integers(1, 12, (8, 9))
    true = np.kron(grow, np.ones((4, 3), int))
    pred = np.roll(np.kron(np.roll(grow, 1, 0), np.ones((4, 3), int)), (1, seed), (0, 1))
    table = contingency(true, pred)
    pairs = unique_partners(table)
    assert len(set(table.true[pairs])) == len(set(table.pred[pairs])) == len(pairs)
    cost = np.zeros((table.n_true, table.n_pred))
    cost[table.true, table.pred] = table.pairing_weight
    best = cost[linear_sum_assignment(-cost)].sum()
    assert table.pairing_weight[pairs].sum() == pytest.approx(best, abs=1e-9)


def test_a_chain_of_a_thousand_is_solved_without_a_full_table(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(matching, "DENSE_BLOCK", 1000)
    true = np.repeat(np.arange(1, 1001), 3)[None]
    pred = np.concatenate(([1], np.repeat(np.arange(1, 1001), 3)[:-1]))[None]
    table = contingency(true, pred)
    np.testing.assert_array_equal(table.true[unique_partners(table)], np.arange(1000))


def test_best_partner_may_be_taken_by_several() -> None:
    table = contingency([[1, 1, 2, 2, 3]], [[5, 5, 5, 5, 0]])
    true, pairs = best_partner(table)
    assert true.tolist() == [0, 1]
    assert table.pred[pairs].tolist() == [0, 0]


def test_of_equal_pairs_the_larger_wins_as_published() -> None:
    # id 1 overlaps prediction 1 with 1/5 and prediction 2 with 2/10
    true = [[1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]]
    pred = [[1, 2, 2, 1, 1, 2, 2, 2, 2, 2, 2, 2]]
    table = contingency(true, pred)
    assert table.iou.tolist() == [0.2, 0.2]
    assert table.pred_ids[table.pred[best_partner(table)[1]]].tolist() == [2]
