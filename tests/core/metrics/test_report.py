from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import napari_hovernet as nh
from napari_hovernet.core.measure.metrics import OutcomeParams, contingency, outcomes
from napari_hovernet.errors import InputError

SCORES = ("dice", "aji", "aji_plus", "dq", "sq", "pq", "n_true", "n_pred")


@pytest.mark.parametrize("kind", ["maps", "predicted"])
def test_scores_equal_the_published_ones(shared: Path, kind: str) -> None:
    folder = shared / "golden" / kind
    golden = json.loads((folder / "metrics.json").read_text())
    assert golden
    for name, scores in golden.items():
        arrays = np.load(folder / f"{name}.npz")
        got = nh.evaluate(arrays["labels"], arrays["separated"]).as_dict()
        for score in SCORES:
            assert got[score] == pytest.approx(scores[score], abs=1e-6), (name, score)


def test_scores_do_not_depend_on_the_numbering() -> None:
    rng = np.random.default_rng(0)
    true, pred = (np.kron(b, np.ones((4, 4), int)) for b in rng.integers(0, 20, (2, 9, 9)))
    ids = np.append(0, 5 + 7919 * rng.permutation(19))
    assert nh.evaluate(true, pred).as_dict() == nh.evaluate(ids[true], pred).as_dict()


def test_each_outcome() -> None:
    #        matched  merged  merged  split     missed
    true = [[1, 1, 0, 2, 2, 0, 3, 3, 4, 4, 4, 4, 0, 5, 5, 5, 0, 0]]
    pred = [[7, 7, 0, 8, 8, 8, 8, 8, 9, 9, 6, 6, 0, 2, 0, 0, 0, 3]]
    result = nh.evaluate(true, pred).outcomes
    assert result.true_ids.tolist() == [1, 2, 3, 4, 5]
    assert result.true.tolist() == ["matched", "merged", "merged", "split", "missed"]
    by_id = dict(zip(result.pred_ids.tolist(), result.pred.tolist(), strict=True))
    assert by_id == {
        7: "matched",
        8: "merged",
        9: "split",
        6: "split",
        2: "spurious",
        3: "spurious",
    }
    assert result.partner.tolist() == [7, 8, 8, 6, 2]
    assert result.iou.tolist() == pytest.approx([1, 0.4, 0.4, 0.5, 1 / 3])
    assert result.counts() == {"matched": 1, "merged": 2, "split": 1, "missed": 1, "spurious": 2}


def test_a_match_outranks_merging_and_splitting() -> None:
    swallowed = nh.evaluate([[1, 1, 1, 1, 2]], [[7, 7, 7, 7, 7]]).outcomes
    assert swallowed.true.tolist() == ["matched", "merged"]
    assert swallowed.pred.tolist() == ["matched"]
    chipped = nh.evaluate([[1, 1, 1, 1, 1]], [[7, 7, 7, 7, 8]]).outcomes
    assert chipped.true.tolist() == ["matched"]
    assert chipped.pred.tolist() == ["matched", "split"]


def test_matched_nuclei_are_the_true_positives_of_dq() -> None:
    rng = np.random.default_rng(3)
    true = np.kron(rng.integers(0, 30, (12, 12)), np.ones((5, 5), int))
    pred = np.where(rng.random(true.shape) < 0.9, true, 0)
    ev = nh.evaluate(true, pred)
    matched = ev.outcomes.counts()["matched"]
    assert matched > 5
    assert ev.dq == pytest.approx(matched / (0.5 * (ev.n_true + ev.n_pred)))
    assert (ev.outcomes.pred == "matched").sum() == matched


def test_two_crumbs_do_not_split_a_nucleus() -> None:
    crumbs = outcomes(contingency([[1] * 10], [[2, 0, 0, 0, 0, 0, 0, 0, 0, 3]]))
    assert crumbs.true.tolist() == ["missed"]
    assert crumbs.pred.tolist() == ["spurious", "spurious"]


def test_inside_share_decides_what_is_merged() -> None:
    # 70 % of nucleus 1 lies in a prediction that holds all of nucleus 2
    true = [[1] * 10 + [2] * 10]
    pred = [[0] * 3 + [4] * 7 + [4] * 10 + [4] * 0]
    table = contingency(true, pred)
    assert outcomes(table).true.tolist() == ["merged", "matched"]
    strict = outcomes(table, OutcomeParams(inside_share=0.8))
    assert strict.true.tolist() == ["missed", "matched"]


@pytest.mark.parametrize("name", ["match_iou", "inside_share"])
@pytest.mark.parametrize("value", [0.4, 1.0, float("nan")])
def test_params_out_of_range_are_refused(name: str, value: float) -> None:
    with pytest.raises(InputError, match=f"{name} is {value}"):
        OutcomeParams(**{name: value})


@pytest.mark.parametrize(("true", "pred", "value"), [(0, 0, 1.0), (0, 1, 0.0), (1, 0, 0.0)])
def test_empty_images_have_defined_scores(true: int, pred: int, value: float) -> None:
    ev = nh.evaluate(np.full((4, 4), true), np.full((4, 4), pred))
    assert [getattr(ev, name) for name in SCORES[:6]] == [value] * 6
    assert (ev.n_true, ev.n_pred) == (true, pred)
