import csv
import json
import math
from pathlib import Path

import cv2
import numpy as np
import pytest

from napari_hovernet.core.hv import hv_targets
from napari_hovernet.core.masks import label_parts
from napari_hovernet.core.measure import compare as module
from napari_hovernet.core.measure.metrics import evaluate
from napari_hovernet.core.params import SeparationParams
from napari_hovernet.core.separation import separate
from napari_hovernet.core.types import Maps
from napari_hovernet.errors import InputError

from ..refusals import refuses

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
        result = module.compare(data["labels"], data["separated"], maps, PLAIN)
        got = result.prediction.as_dict()
        assert [got[s] for s in SCORES] == pytest.approx([scores[s] for s in SCORES], abs=1e-6)
        assert result.connected_components.aji == pytest.approx(scores["cc_aji"], abs=1e-6)
        assert result.hv.cosine > 0.5 and result.hv.mse < result.hv.zero_mse


def test_the_oracle_is_high_on_real_labels_which_give_no_note(shared) -> None:
    with (shared / "data" / "index.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "val"]
    scores = []
    for row in rows:
        labels = cv2.imread(str(shared / "data" / row["label"]), cv2.IMREAD_UNCHANGED)
        result = module.compare(labels, labels)
        assert result.prediction.aji == 1
        scores.append(result.oracle.aji)
    assert len(scores) == 20 and np.mean(scores) > 0.97
    labels = np.load(shared / "golden" / "maps" / "monuseg_49-4488-01.npz")["labels"]
    truth = module.check_truth(labels, labels.shape)
    assert (truth.n, truth.notes) == (90, ())


def test_base_rates_are_what_they_say() -> None:
    blind = SeparationParams(depth=1e6)  # no pass is ever deep enough: all basins are joined
    result = module.compare(touching(), touching(), params=blind)
    assert (result.prediction.aji, result.oracle.aji) == (1, pytest.approx(0.5))
    labels = touching()
    probability = np.where(labels > 0, 0.9, 0.0)
    probability[2:4, 2:4] = 0.9  # below min_area: not in the mask
    maps = Maps(np=probability, hv=hv_targets(labels))
    pred = np.where(labels == 4, 1, 0)
    assert module.compare(labels, pred, maps).connected_components.dice == 1
    assert module.compare(labels, pred).connected_components.dice == pytest.approx(2 / 3)
    full = module.compare(labels, np.ones_like(labels))
    assert full.prediction.dice == pytest.approx(full.all_foreground_dice)
    assert module.all_foreground_dice(np.zeros((3, 3))) == 0
    assert module.all_foreground_dice(np.zeros((0, 3))) == 0


def test_empty_sides_are_scored_with_a_note() -> None:
    labels = touching()
    maps = Maps(np=np.zeros(labels.shape), hv=np.zeros((2, *labels.shape)))
    result = module.compare(labels, np.zeros_like(labels), maps)
    assert [getattr(result.prediction, s) for s in SCORES[:6]] == [0] * 6
    assert result.connected_components.n_pred == 0 and result.oracle.aji > 0.97
    assert result.notes == ("The prediction holds no nuclei: every score is 0.",)
    result = module.compare(np.zeros((40, 60), np.uint16), touching(), true_maps(touching()))
    assert [getattr(result.prediction, s) for s in SCORES[:6]] == [0] * 6
    assert (result.oracle.n_pred, result.all_foreground_dice) == (0, 0)
    assert result.notes[0] == "The truth holds no nuclei." and "every score is 0" in result.notes[1]
    assert json.loads(json.dumps(result.as_dict(), allow_nan=False))["hv"]["mse"] is None
    result = module.compare(np.zeros((4, 6), int), np.zeros((4, 6), int))
    assert result.prediction.pq == 1 and "both empty" in result.notes[-1]


def test_sizes_that_differ_are_refused() -> None:
    labels = touching()
    refuses("40 x 59 pixels, the run 40 x 60", module.compare, labels[:, 1:], labels)
    with pytest.raises(InputError, match="40 x 60 pixels, the run 40 x 59"):
        module.compare(module.check_truth(labels, labels.shape), labels[:, 1:])
    refuses("the maps", lambda: module.compare(labels, labels, true_maps(labels[:, 1:])))
    refuses("one \\(H, W\\) label image", module.compare, labels, labels[None])


def disc(radius: int = 40) -> np.ndarray:
    y, x = np.mgrid[-radius - 3 : radius + 4, -radius - 3 : radius + 4]
    return (x**2 + y**2 <= radius**2).astype(np.int32)


def test_hv_without_length_or_direction() -> None:
    scores = module.hv_scores(np.zeros((2, *disc().shape)), disc())
    assert (scores.zero_mse, scores.mse) == (pytest.approx(0.25, abs=0.005), scores.zero_mse)
    assert (scores.cosine, scores.magnitude) == (0, 0)
    assert scores.true_magnitude == pytest.approx(2 / 3, abs=0.01)
    scores = module.hv_scores(np.ones((2, 3, 3)), np.eye(3, dtype=int) * [0, 1, 0])
    assert math.isnan(scores.cosine) and scores.mse == 1
    with pytest.raises(InputError, match=r"hv has shape \(2, 4, 5\).*of shape \(2, 4, 6\)"):
        module.hv_scores(np.zeros((2, 4, 5)), np.zeros((4, 6), int))


def test_scores_equal_plain_loops() -> None:
    rng = np.random.default_rng(1)
    labels = np.kron(rng.integers(0, 5, (4, 5)), np.ones((6, 7), int))
    hv = rng.standard_normal((2, *labels.shape)).astype(np.float32)
    target = hv_targets(labels)
    squares, zeros, cosines, lengths, true_lengths = [], [], [], [], []
    for r, c in np.argwhere(labels > 0):
        p, t = hv[:, r, c].astype(float), target[:, r, c].astype(float)
        squares += [*((p - t) ** 2)]
        zeros += [*(t**2)]
        lengths.append(math.hypot(*p))
        true_lengths.append(math.hypot(*t))
        if true_lengths[-1] > 1e-6:
            cosines.append(p @ t / lengths[-1] / true_lengths[-1])
    scores = module.hv_scores(hv, labels)
    expected = [np.mean(x) for x in (squares, zeros, cosines, lengths, true_lengths)]
    assert [*scores.as_dict().values()] == pytest.approx(expected, rel=1e-6)


#        matched  merged  merged  split       missed
TRUE = [[1, 1, 0, 2, 2, 0, 3, 3, 4, 4, 4, 4, 0, 5, 5, 5, 0, 0]]
PRED = [[7, 7, 0, 8, 8, 8, 8, 8, 9, 9, 6, 6, 0, 2, 0, 0, 0, 3]]


def places(true, pred, params=None):
    return module.error_places(true, pred, evaluate(true, pred, params).outcomes, params)


def test_each_kind_of_error_has_its_ids_box_and_words() -> None:
    found = {(p.kind, p.true_ids, p.pred_ids): p.box for p in places(TRUE, PRED).errors}
    assert found == {
        ("merged", (2, 3), (8,)): (0, 1, 3, 8),
        ("split", (4,), (6, 9)): (0, 1, 8, 12),
        ("missed", (5,), ()): (0, 1, 13, 16),
        ("spurious", (), (2,)): (0, 1, 13, 14),
        ("spurious", (), (3,)): (0, 1, 17, 18),
    }
    merged, split, missed, spurious = places(TRUE, PRED).errors[:4]
    assert (merged.centroid, merged.area) == ((5.0, 0.0), 4)
    assert merged.words == "2 true nuclei merged into one (id 8)"
    assert split.words == "True nucleus 4 split in 2 (6, 9)"
    assert missed.words == "True nucleus 5 missed"
    assert spurious.words == "Nucleus 2 is spurious: nothing true there"
    found = places(TRUE, PRED)
    assert found.pred_ids.tolist() == [2, 3, 6, 7, 8, 9]
    assert found.pred_iou.round(3).tolist() == [0.333, 0, 0.5, 1, 0.4, 0.5]


def two_nuclei(dtype: type = np.int32) -> np.ndarray:
    labels = np.zeros((20, 30), dtype)
    labels[3:9, 3:9], labels[3:9, 9:15] = 1, 2
    return labels


def test_ids_are_read_as_they_are_or_with_a_note() -> None:
    labels = two_nuclei()
    truth = module.check_truth(labels, (20, 30))
    labels[:] = 9
    assert truth.labels.max() == 2
    truth = module.check_truth(two_nuclei(np.float32), (20, 30))
    np.testing.assert_array_equal(truth.labels, two_nuclei())
    assert truth.notes == ("The truth is float32, not whole numbers; it was read as such.",)
    mask = two_nuclei() > 0
    truth = module.check_truth(mask, (20, 30))
    assert (truth.n, truth.notes) == (1, ()) and truth.labels[4, 4] == 1
    labels = two_nuclei()
    labels[labels == 2] = 2**31 - 1
    truth = module.check_truth(labels, (20, 30))
    assert np.unique(truth.labels).tolist() == [0, 1, 2**31 - 1]
    assert (truth.n, truth.notes) == (2, ())
    labels = two_nuclei(np.uint64)
    labels[labels == 2] = 2**63 + 5
    truth = module.check_truth(labels, (20, 30))
    np.testing.assert_array_equal(truth.labels, two_nuclei())
    assert len(truth.notes) == 1
    assert "9223372036854775813" in truth.notes[0] and "renumbered" in truth.notes[0]
    assert module.check_truth(two_nuclei()[None, None], (20, 30)).n == 2


def test_truth_of_the_whole_image_is_cut_to_the_region() -> None:
    truth = module.check_truth(two_nuclei(), (8, 10), offset=(2, 6))
    np.testing.assert_array_equal(truth.labels, two_nuclei()[2:10, 6:16])
    assert truth.n == 2
    assert truth.notes == (
        "The truth covers the whole image (20 x 30); it was cut to the run's region "
        "(8 x 10 from row 2, column 6).",
    )


def test_pictures_regions_elsewhere_and_values_that_are_no_ids_are_refused() -> None:
    for shape in ((20, 30, 3), (20, 30, 4), (1, 20, 30, 3)):
        refuses("picture in colour", module.check_truth, np.zeros(shape, np.uint8), (20, 30))
    for offset in ((13, 0), (0, 21), (-1, 0)):
        words = f"row {offset[0]}, column {offset[1]}"
        refuses(words, module.check_truth, two_nuclei(), (8, 10), offset=offset)
    for value, words in ((np.nan, "1 values that are not"), (0.5, "fractions"), (-1, "down to -1")):
        labels = two_nuclei(np.float64)
        labels[0, 0] = value
        refuses(words, module.check_truth, labels, (20, 30))


@pytest.mark.parametrize("shape", [(4, 4), (0, 4), (0, 0)])
@pytest.mark.parametrize("dtype", [np.int32, np.float32])
def test_empty_truth_is_taken_with_a_note(shape: tuple[int, int], dtype: type) -> None:
    truth = module.check_truth(np.zeros(shape, dtype), shape)
    assert (truth.n, truth.notes[-1]) == (0, "The truth holds no nuclei.")


def test_ids_on_far_parts_are_named() -> None:
    labels = np.zeros((20, 200), np.int32)
    labels[2:8, 2:8] = labels[2:8, 120:124] = 7
    labels[12:18, 2:8] = 3
    truth = module.check_truth(labels, (20, 200))
    assert truth.n == 2
    assert truth.notes == (
        "Id 7 lies in 2 parts, 112 px apart; it was counted as one nucleus, as given.",
    )
    assert module.check_truth(labels, (20, 200), params=module.TruthParams(far_px=113)).notes == ()
    labels = np.kron(np.eye(2, dtype=int), np.ones((5, 5), int))
    assert module.check_truth(labels, (10, 10), params=module.TruthParams(far_px=1)).notes == ()
    labels = np.zeros((60, 300), np.int32)
    for k in range(5):
        rows, column = slice(10 * k, 10 * k + 4), 100 + 30 * k
        labels[rows, :4] = labels[rows, column : column + 4] = k + 1
    notes = module.check_truth(labels, labels.shape).notes
    assert [note.split()[1] for note in notes[:3]] == ["5", "4", "3"]
    assert notes[3] == "2 more ids lie in parts far from each other."


@pytest.mark.parametrize("n_ids", [1, 3])
def test_a_mask_or_map_of_types_is_called_one(n_ids: int) -> None:
    labels = np.zeros((60, 60), np.int32)
    for k in range(36):
        row, col = 10 * (k // 6), 10 * (k % 6)
        labels[row : row + 5, col : col + 5] = 1 + k % n_ids
    truth = module.check_truth(labels, (60, 60))
    assert (truth.n, len(truth.notes)) == (n_ids, 1)
    assert "looks like a mask" in truth.notes[0] and "36 separate parts" in truth.notes[0]


def touching_judged() -> np.ndarray:
    labels = np.zeros((80, 120), np.int32)
    labels[8:32, 6:30], labels[8:32, 30:54] = 4, 9
    labels[40:70, 60:100] = 2
    return labels


def apart() -> np.ndarray:
    return np.where(touching_judged() == 9, 0, touching_judged())


def remarks(labels, hv=None, params=None, pred=None):
    maps = Maps(np=labels > 0, hv=hv_targets(labels) if hv is None else hv)
    pred = separate(maps, params).labels if pred is None else pred
    found = module.verdict(module.compare(labels, pred, maps, params))
    assert all(remark.level in module.LEVELS for remark in found)
    return [remark.text for remark in found], [remark.level for remark in found]


def test_the_verdict_on_a_separation() -> None:
    texts, levels = remarks(touching_judged())
    assert levels == ["good"] and texts[0].startswith("The separation pays: AJI 1.00 against")
    texts, levels = remarks(touching_judged(), pred=label_parts(touching_judged() > 0)[0])
    assert levels[0] == "bad" and "is no better than connected components" in texts[0]
    rows = np.arange(80)[:, None] // 4 + 1
    texts, levels = remarks(touching_judged(), pred=np.where(touching_judged() > 0, rows, 0))
    assert levels[0] == "bad" and "the separation does harm" in texts[0]
    texts, levels = remarks(touching_judged(), params=SeparationParams(depth=1e6))
    assert levels[:2] == ["bad", "bad"] and texts[0].startswith("The oracle is low")
    assert "the separation does nothing" in texts[1]
    texts, levels = remarks(apart())
    assert levels == ["neutral"] and "Hardly any nuclei touch" in texts[0]


@pytest.mark.parametrize(
    ("factor", "words"),
    [
        (-1.0, "points the wrong way (cosine -1.00)"),
        (0.0, "HV has no direction (cosine 0.00)"),
        (0.02, "HV is no better than zero: error"),
        (0.3, "HV is short (magnitude"),
        (30.0, "only its scale is off"),
    ],
)
def test_hv_faults_are_named(factor: float, words: str) -> None:
    labels = touching_judged()
    texts, _ = remarks(labels, hv=factor * hv_targets(labels), pred=labels)
    assert any(words in text for text in texts), texts
