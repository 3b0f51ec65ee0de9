"""The base rates beside a score, against golden scores and by hand."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from napari_hovernet.core.hv import hv_targets
from napari_hovernet.core.measure.compare import all_foreground_dice, check_truth, compare, verdict
from napari_hovernet.core.params import SeparationParams
from napari_hovernet.core.separation import separate
from napari_hovernet.core.types import Maps
from napari_hovernet.errors import InputError

SCORES = ("dice", "aji", "aji_plus", "dq", "sq", "pq", "n_true", "n_pred")
PLAIN = SeparationParams(np_threshold=0.5, min_area=0, max_hole_area=0)
"""Thresholds the mask as the golden connected components were."""


def touching() -> np.ndarray:
    labels = np.zeros((40, 60), np.int32)
    labels[8:32, 6:30], labels[8:32, 30:54] = 4, 9
    return labels


def true_maps(labels: np.ndarray) -> Maps:
    return Maps(np=labels > 0, hv=hv_targets(labels))


@pytest.mark.parametrize("kind", ["maps", "predicted"])
def test_scores_and_base_rates_equal_the_golden_ones(shared: Path, kind: str) -> None:
    folder = shared / "golden" / kind
    golden = json.loads((folder / "metrics.json").read_text())
    assert golden
    for name, scores in golden.items():
        data = np.load(folder / f"{name}.npz")
        probability = np.clip(data["np_prob"].astype(np.float32), 0, 1)
        maps = Maps(np=probability, hv=data["hv_pred"].astype(np.float32))
        result = compare(data["labels"], data["separated"], maps, PLAIN)
        got = result.prediction.as_dict()
        assert [got[s] for s in SCORES] == pytest.approx([scores[s] for s in SCORES], abs=1e-6)
        assert result.connected_components.aji == pytest.approx(scores["cc_aji"], abs=1e-6)
        assert result.hv is not None
        assert result.hv.cosine > 0.5
        assert result.hv.mse < result.hv.zero_mse


def test_the_oracle_is_high_on_real_labels(shared: Path) -> None:
    with (shared / "data" / "index.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "val"]
    scores = []
    for row in rows:
        labels = cv2.imread(str(shared / "data" / row["label"]), cv2.IMREAD_UNCHANGED)
        result = compare(labels, labels)
        assert result.prediction.aji == 1
        scores.append(result.oracle.aji)
    assert len(scores) == 20
    assert np.mean(scores) > 0.97


def test_rows_of_touching_nuclei() -> None:
    labels = touching()
    maps = true_maps(labels)
    result = compare(labels, separate(maps).labels, maps)
    rows = dict(result.rows())
    assert [title.split()[0] for title in rows] == ["Prediction", "Connected", "True"]
    prediction, connected, oracle = rows.values()
    assert prediction.aji > 0.97
    assert oracle.as_dict() == prediction.as_dict()
    assert connected.aji == pytest.approx(0.5)
    assert (connected.n_true, connected.n_pred) == (2, 1)
    assert connected.outcomes.counts()["merged"] == 2
    assert result.hv is not None
    assert (result.hv.mse, result.hv.cosine) == pytest.approx((0, 1))


def test_the_separation_of_the_oracle_is_the_one_given() -> None:
    blind = SeparationParams(depth=1e6)  # no pass is ever deep enough: all basins are joined
    result = compare(touching(), touching(), params=blind)
    assert result.prediction.aji == 1
    assert result.oracle.aji == pytest.approx(0.5)


def test_connected_components_of_the_mask_that_ran() -> None:
    """With maps: the thresholded mask, not what the separation left of it."""
    labels = touching()
    probability = np.where(labels > 0, 0.9, 0.0)
    probability[2:4, 2:4] = 0.9  # below min_area: not in the mask
    maps = Maps(np=probability, hv=hv_targets(labels))
    pred = np.where(labels == 4, 1, 0)
    assert compare(labels, pred, maps).connected_components.dice == 1
    assert compare(labels, pred).connected_components.dice == pytest.approx(2 / 3)


def test_all_foreground_dice_is_what_a_full_prediction_scores() -> None:
    labels = touching()
    full = compare(labels, np.ones_like(labels))
    assert full.prediction.dice == pytest.approx(full.all_foreground_dice)
    assert all_foreground_dice(np.zeros((3, 3))) == 0
    assert all_foreground_dice(np.zeros((0, 3))) == 0


def test_without_maps_there_are_no_hv_scores() -> None:
    assert compare(touching(), touching()).hv is None


def test_empty_prediction() -> None:
    labels = touching()
    maps = Maps(np=np.zeros(labels.shape), hv=np.zeros((2, *labels.shape)))
    result = compare(labels, np.zeros_like(labels), maps)
    assert [getattr(result.prediction, s) for s in SCORES[:6]] == [0] * 6
    assert result.connected_components.n_pred == 0
    assert result.oracle.aji > 0.97
    assert result.notes == ("The prediction holds no nuclei: every score is 0.",)


def test_empty_truth() -> None:
    result = compare(np.zeros((40, 60), np.uint16), touching(), true_maps(touching()))
    assert [getattr(result.prediction, s) for s in SCORES[:6]] == [0] * 6
    assert result.oracle.n_pred == 0
    assert result.all_foreground_dice == 0
    assert result.notes[0] == "The truth holds no nuclei."
    assert "every score is 0" in result.notes[1]
    assert json.loads(json.dumps(result.as_dict(), allow_nan=False))["hv"]["mse"] is None


def test_both_empty() -> None:
    result = compare(np.zeros((4, 6), int), np.zeros((4, 6), int))
    assert result.prediction.pq == 1
    assert "both empty" in result.notes[-1]


def test_as_dict_holds_the_table() -> None:
    labels = touching()
    table = compare(labels, labels, true_maps(labels)).as_dict()
    assert json.loads(json.dumps(table, allow_nan=False)) == table
    assert table["prediction"]["n_true"] == 2
    assert table["connected_components"]["n_pred"] == 1
    assert table["outcomes"] == {"matched": 2, "merged": 0, "split": 0, "missed": 0, "spurious": 0}


def test_notes_on_the_truth_are_kept() -> None:
    truth = check_truth(touching().astype(np.float32), (40, 60))
    assert compare(truth, touching()).notes == truth.notes
    assert compare(touching().astype(np.float32), touching()).notes == truth.notes


def test_sizes_that_differ_are_refused() -> None:
    labels = touching()
    with pytest.raises(InputError, match="40 x 59 pixels, the run 40 x 60"):
        compare(labels[:, 1:], labels)
    with pytest.raises(InputError, match="40 x 60 pixels, the prediction 40 x 59"):
        compare(check_truth(labels, labels.shape), labels[:, 1:])
    with pytest.raises(InputError, match="the maps"):
        compare(labels, labels, true_maps(labels[:, 1:]))
    with pytest.raises(InputError, match="one \\(H, W\\) label image"):
        compare(labels, labels[None])


def test_the_merging_relabel_is_seen_for_what_it_is(shared: Path) -> None:
    """The historical fault: instances merged again score as connected components do."""
    params = SeparationParams.preset("merging_relabel")
    data = np.load(shared / "golden" / "maps" / "dsb18_13f2bec0a2.npz")
    probability = np.clip(data["np_prob"].astype(np.float32), 0, 1)
    maps = Maps(np=probability, hv=data["hv_pred"].astype(np.float32))
    result = compare(data["labels"], separate(maps, params).labels, maps, params)
    assert result.prediction.aji == pytest.approx(result.connected_components.aji, abs=1e-3)
    assert result.oracle.aji < 0.5
    texts = [remark.text for remark in verdict(result)]
    assert texts[0].startswith("The oracle is low")
    assert "the separation does nothing" in texts[1]
