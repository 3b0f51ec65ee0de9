"""One place per error, with the right ids and box, worst first."""

from __future__ import annotations

import numpy as np

from napari_hovernet.core.measure.compare import ERROR_KINDS, error_places
from napari_hovernet.core.measure.metrics import OutcomeParams, evaluate

#        matched  merged  merged  split       missed
TRUE = [[1, 1, 0, 2, 2, 0, 3, 3, 4, 4, 4, 4, 0, 5, 5, 5, 0, 0]]
PRED = [[7, 7, 0, 8, 8, 8, 8, 8, 9, 9, 6, 6, 0, 2, 0, 0, 0, 3]]


def places(true, pred, params=None):
    return error_places(true, pred, evaluate(true, pred, params).outcomes, params)


def test_each_kind_of_error_has_its_ids_and_box() -> None:
    found = {(p.kind, p.true_ids, p.pred_ids): p.box for p in places(TRUE, PRED).errors}
    assert found == {
        ("merged", (2, 3), (8,)): (0, 1, 3, 8),
        ("split", (4,), (6, 9)): (0, 1, 8, 12),
        ("missed", (5,), ()): (0, 1, 13, 16),
        ("spurious", (), (2,)): (0, 1, 13, 14),
        ("spurious", (), (3,)): (0, 1, 17, 18),
    }


def test_centroid_area_and_words() -> None:
    merged, split, missed, spurious = places(TRUE, PRED).errors[:4]
    assert (merged.centroid, merged.area) == ((5.0, 0.0), 4)
    assert merged.words == "2 true nuclei merged into one (id 8)"
    assert split.words == "True nucleus 4 split in 2 (6, 9)"
    assert missed.words == "True nucleus 5 missed"
    assert spurious.words == "Nucleus 2 is spurious: nothing true there"


def test_the_fit_of_each_prediction() -> None:
    found = places(TRUE, PRED)
    assert found.pred_ids.tolist() == [2, 3, 6, 7, 8, 9]
    assert found.pred_iou.round(3).tolist() == [0.333, 0, 0.5, 1, 0.4, 0.5]
    assert found.pred_partner.tolist() == [5, 0, 4, 1, 3, 4]


def test_a_matched_nucleus_that_swallowed_another_is_a_place() -> None:
    (place,) = places([[1, 1, 1, 1, 2]], [[7, 7, 7, 7, 7]]).errors
    assert (place.kind, place.true_ids, place.pred_ids) == ("merged", (1, 2), (7,))


def test_a_chip_beside_a_match_is_a_place() -> None:
    (place,) = places([[1, 1, 1, 1, 1]], [[7, 7, 7, 7, 8]]).errors
    assert (place.kind, place.true_ids, place.pred_ids) == ("split", (1,), (7, 8))


def test_places_add_up_to_the_counts_and_come_worst_first() -> None:
    rng = np.random.default_rng(5)
    true = np.kron(rng.integers(0, 40, (14, 14)), np.ones((5, 5), int))
    pred = np.kron(rng.integers(0, 12, (10, 10)), np.ones((7, 7), int))
    pred = np.where(rng.random(true.shape) < 0.3, true, pred)
    result = evaluate(true, pred)
    errors = places(true, pred).errors
    counts = result.outcomes.counts()
    merged = [i for p in errors if p.kind == "merged" for i in p.true_ids]
    kinds = [p.kind for p in errors]
    assert counts["missed"] > 3
    assert kinds.count("missed") == counts["missed"]
    assert kinds.count("spurious") == counts["spurious"]
    is_merged = result.outcomes.true_ids[result.outcomes.true == "merged"]
    assert set(is_merged.tolist()) <= set(merged)
    assert [ERROR_KINDS.index(k) for k in kinds] == sorted(ERROR_KINDS.index(k) for k in kinds)
    missed = [p.area for p in errors if p.kind == "missed"]
    assert missed == sorted(missed, reverse=True)


def test_boxes_hold_all_pixels_also_with_sparse_ids() -> None:
    rng = np.random.default_rng(2)
    true = np.kron(rng.integers(0, 9, (8, 8)), np.ones((4, 4), int))
    pred = np.kron(rng.integers(0, 9, (4, 8)), np.ones((8, 4), int))
    ids = np.append(0, 3 + 200_000_007 * np.arange(1, 9))
    found = places(ids[true], pred).errors
    assert found
    for place in found:
        rows, cols = np.nonzero(np.isin(ids[true], place.true_ids) | np.isin(pred, place.pred_ids))
        assert place.box == (rows.min(), rows.max() + 1, cols.min(), cols.max() + 1)
    plain = [(p.kind, p.pred_ids, p.box) for p in places(true, pred).errors]
    assert [(p.kind, p.pred_ids, p.box) for p in found] == plain


def test_inside_share_is_that_of_the_evaluation() -> None:
    true = [[1] * 10 + [2] * 10]
    pred = [[0] * 3 + [4] * 17]
    assert [p.kind for p in places(true, pred).errors] == ["merged"]
    strict = places(true, pred, OutcomeParams(inside_share=0.8))
    assert [p.kind for p in strict.errors] == ["missed"]


def test_a_perfect_or_empty_image_has_no_errors() -> None:
    assert places(TRUE, TRUE).errors == ()
    empty = places(np.zeros((3, 3), int), np.zeros((3, 3), int))
    assert empty.errors == ()
    assert len(empty.pred_iou) == 0
