"""Types: each score equal to one written again from the papers, by plain loops."""

import itertools
import math

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment
from scipy.spatial import distance

import napari_hovernet as nh
from napari_hovernet.core.measure import typed
from napari_hovernet.core.measure.metrics import tally_types
from napari_hovernet.core.measure.typed import pairs_within, pooled, r2
from napari_hovernet.core.types import TypeScores
from napari_hovernet.errors import InputError

Image = tuple[np.ndarray, np.ndarray, dict[int, int], dict[int, int]]
"""True and predicted labels, types of true and of predicted nuclei by id."""


def disc(labels: np.ndarray, ident: int, centre: np.ndarray, radius: float) -> None:
    rows, columns = np.ogrid[: labels.shape[0], : labels.shape[1]]
    labels[(rows - centre[0]) ** 2 + (columns - centre[1]) ** 2 <= radius**2] = ident


def scene(seed: int, n: int = 14, untyped: float = 0.0, n_types: int = 3) -> Image:
    """Nuclei, and predictions of them that are moved, resized, missed, invented, mistaken."""
    rng = np.random.default_rng(seed)
    true, pred = np.zeros((90, 110), np.int32), np.zeros((90, 110), np.int32)
    true_types: dict[int, int] = {}
    pred_types: dict[int, int] = {}
    for i in range(1, n + 1):
        centre, radius = rng.uniform((4, 4), (86, 106)), rng.uniform(3, 8)
        disc(true, 3 * i, centre, radius)
        true_types[3 * i] = 0 if rng.random() < untyped else int(rng.integers(1, n_types + 1))
        if rng.random() < 0.8:
            disc(pred, 2 * i, centre + rng.normal(0, 2, 2), radius * rng.uniform(0.8, 1.3))
            right = rng.random() < 0.6
            pred_types[2 * i] = true_types[3 * i] if right else int(rng.integers(0, n_types + 1))
    for i in range(n + 1, n + 4):
        disc(pred, 2 * i, rng.uniform((4, 4), (86, 106)), 4)
        pred_types[2 * i] = int(rng.integers(1, n_types + 1))
    return true, pred, true_types, pred_types


def centres(labels: np.ndarray) -> dict[int, np.ndarray]:
    ids = [int(i) for i in np.unique(labels) if i]
    return {i: np.argwhere(labels == i).mean(axis=0)[::-1] for i in ids}


def paired(image: Image, radius: float) -> tuple[list[tuple[int, int]], list[int], list[int]]:
    """Pairs of ids, then who is left alone: Hungarian over all, near ones kept (hover_net)."""
    true, pred = centres(image[0]), centres(image[1])
    cost = distance.cdist([*true.values()], [*pred.values()])
    pairs = [
        ([*true][r], [*pred][c])
        for r, c in zip(*linear_sum_assignment(cost), strict=True)
        if cost[r, c] <= radius
    ]
    left = [i for i in true if i not in [p[0] for p in pairs]]
    return pairs, left, [i for i in pred if i not in [p[1] for p in pairs]]


def hover_net_scores(images: list[Image], kind: int, radius: float) -> tuple[float, float, float]:
    """F1 of detection, accuracy of types, F1 of a type, as its compute_stats defines them."""
    tp_d = fp_d = fn_d = right = wrong = tp = fp = fn = fp_k = fn_k = 0
    for image in images:
        pairs, missed, spurious = paired(image, radius)
        tp_d, fp_d, fn_d = tp_d + len(pairs), fp_d + len(spurious), fn_d + len(missed)
        for t, p in ((image[2][a], image[3][b]) for a, b in pairs):
            if t == 0:  # not exhaustively annotated: left out
                continue
            right, wrong = right + (t == p), wrong + (t != p)
            tp += t == kind and p == kind
            fp += t != kind and p == kind
            fn += t == kind and p != kind
        fp_k += sum(image[3][i] == kind for i in spurious)
        fn_k += sum(image[2][i] == kind for i in missed)
    f1 = 2 * tp / (2 * tp + 2 * fp + 2 * fn + fp_k + fn_k)
    return 2 * tp_d / (2 * tp_d + fp_d + fn_d), right / (right + wrong), f1


def conic_counts(true: np.ndarray, pred: np.ndarray) -> tuple[int, int, int, float]:
    """Pairs of IoU above 0.5, spurious, missed, sum of IoU, by looking at every pair of masks."""
    found = []
    trues, preds = ([i for i in np.unique(x) if i] for x in (true, pred))
    for t, p in itertools.product(trues, preds):
        both = ((true == t) & (pred == p)).sum()
        iou = both / ((true == t) | (pred == p)).sum()
        found += [iou] if iou > 0.5 else []
    return len(found), len(preds) - len(found), len(trues) - len(found), sum(found)


def only(labels: np.ndarray, types: dict[int, int], kind: int) -> np.ndarray:
    return np.where(np.isin(labels, [i for i, t in types.items() if t == kind]), labels, 0)


def conic_pq(images: list[Image], kind: int) -> float:
    each = [conic_counts(only(a, ta, kind), only(b, tb, kind)) for a, b, ta, tb in images]
    tp, fp, fn, iou = np.sum(each, axis=0)
    return tp / (tp + 0.5 * fp + 0.5 * fn + 1e-6) * iou / (tp + 1e-6)


def scores_of(images: list[Image], mpp: float | None = None) -> TypeScores:
    return pooled([tally_types(a, b, (ta, tb), mpp=mpp) for a, b, ta, tb in images])


@pytest.mark.parametrize("untyped", [0.0, 0.3])
@pytest.mark.parametrize("mpp", [None, 0.25, 1.0])
def test_detection_and_f1_of_types_are_those_of_hover_net(untyped: float, mpp: float | None):
    images = [scene(seed, untyped=untyped) for seed in range(6)]
    found = scores_of(images, mpp)
    for kind in (1, 2, 3):
        wanted = hover_net_scores(images, kind, 12 * 0.25 / (mpp or 0.25))
        got = found.f1, found.type_accuracy, found.types[kind].f1
        assert got == pytest.approx(wanted)
    assert found.type_f1 == pytest.approx(np.mean([row.f1 for row in found.types.values()]))


def test_precision_and_recall_are_over_all_images_and_confusion_counts_each_once():
    images = [scene(seed) for seed in range(4)]
    both = [paired(image, 12) for image in images]
    n, missed, spurious = (sum(len(b[k]) for b in both) for k in range(3))
    found = scores_of(images)
    assert found.precision == pytest.approx(n / (n + spurious))
    assert found.recall == pytest.approx(n / (n + missed))
    of_each = [len(b[0]) / (len(b[0]) + len(b[1])) for b in both]
    assert (found.means["recall"], found.n_images) == (pytest.approx(np.mean(of_each)), 4)
    images = [scene(seed, untyped=0.2) for seed in range(3)]
    table = scores_of(images).confusion
    wanted = np.zeros((5, 5), int)
    for image in images:
        pairs, missed, spurious = paired(image, 12)
        for a, b in pairs:
            wanted[image[2][a], image[3][b]] += 1
        for i in missed:
            wanted[image[2][i], 4] += 1
        for i in spurious:
            wanted[4, image[3][i]] += 1
    np.testing.assert_array_equal(table, wanted)
    assert table[:-1].sum() == sum(len(image[2]) for image in images)


def test_pq_of_types_is_that_of_conic_mpq_that_of_pannuke_and_bpq_pools_all():
    images = [scene(seed) for seed in range(10, 16)]
    found = scores_of(images)
    wanted = [conic_pq(images, kind) for kind in (1, 2, 3)]
    assert [found.types[k].pq for k in (1, 2, 3)] == pytest.approx(wanted, abs=1e-5)
    assert found.mpq_plus == pytest.approx(np.mean(wanted), abs=1e-5)
    each = []
    for image in images:
        there = [k for k in (1, 2, 3) if k in image[2].values()]
        each.append(np.mean([conic_pq([image], k) for k in there]))
    assert found.mpq == pytest.approx(np.mean(each), abs=1e-5)
    images = [scene(seed) for seed in range(20, 24)]
    tp, fp, fn, iou = np.sum([conic_counts(a, b) for a, b, _, _ in images], axis=0)
    found = scores_of(images)
    assert found.bpq == pytest.approx(iou / (tp + (fp + fn) / 2))
    means = [nh.evaluate(a, b).pq for a, b, _, _ in images]
    assert found.means["bpq"] == pytest.approx(np.mean(means))


def test_r2_of_counts_is_that_of_a_least_squares_textbook():
    images = [scene(seed, n=4 + seed) for seed in range(8)]
    found = scores_of(images)
    for kind, row in found.types.items():
        true = [sum(t == kind for t in image[2].values()) for image in images]
        pred = [sum(t == kind for t in image[3].values()) for image in images]
        residual = sum((t - p) ** 2 for t, p in zip(true, pred, strict=True))
        spread = sum((t - np.mean(true)) ** 2 for t in true)
        assert row.r2 == pytest.approx(1 - residual / spread)
        assert (row.n_true, row.n_pred) == (sum(true), sum(pred))
    assert r2([1, 2, 3], [1, 2, 3]) == 1
    assert math.isnan(r2([2, 2], [1, 3]))  # there is nothing to explain
    assert math.isnan(scores_of(images[:1]).types[1].r2)


def offset_by_hand(true: np.ndarray, pred: np.ndarray) -> float:
    """Mean over the rim of a prediction of how far it lies outside its true nucleus, px."""
    inside, outside = np.argwhere(np.pad(true, 2)), np.argwhere(~np.pad(true, 2))
    found, padded = [], np.pad(pred, 2)
    for r, c in np.argwhere(padded):
        if all(padded[r + a, c + b] for a, b in ((0, 1), (1, 0), (0, -1), (-1, 0))):
            continue
        apart = np.hypot(*(outside - (r, c)).T).min(), np.hypot(*(inside - (r, c)).T).min()
        found.append(1 - apart[0] if apart[0] else apart[1])
    return float(np.mean(found))


def test_area_bias_and_offset_of_outlines_are_signed_means_over_pairs():
    true, pred, *_ = scene(31)
    ratios, offsets = [], []
    for t, p in itertools.product(np.unique(true)[1:], np.unique(pred)[1:]):
        a, b = true == t, pred == p
        if (a & b).sum() / (a | b).sum() > 0.5:
            ratios.append((b.sum() - a.sum()) / a.sum())
            offsets.append(offset_by_hand(a, b))
    found = pooled([tally_types(true, pred)])
    assert found.area_bias == pytest.approx(np.mean(ratios))
    assert found.boundary_offset == pytest.approx(np.mean(offsets))


def test_far_points_are_left_out_where_there_are_too_many(monkeypatch: pytest.MonkeyPatch):
    rng = np.random.default_rng(5)
    true = rng.uniform(0, 4000, (300, 2))  # so sparse that nobody has two near ones
    pred = true[:200] + rng.normal(0, 3, (200, 2))
    whole = pairs_within(true, pred, 12)
    monkeypatch.setattr(typed, "DENSE", 10)
    assert {*zip(*pairs_within(true, pred, 12), strict=True)} == {*zip(*whole, strict=True)}


@pytest.mark.parametrize("form", ["by id", "in order", "map", "map with background"])
def test_types_may_be_given_by_id_in_order_or_as_a_map(form: str):
    true, pred, true_types, pred_types = scene(3)

    def given(labels: np.ndarray, types: dict[int, int]) -> object:
        if form == "by id":
            return types
        ids = [int(i) for i in np.unique(labels) if i]
        if form == "in order":
            return [types[i] for i in ids]
        lookup = np.zeros(labels.max() + 1, int)
        lookup[ids] = [types[i] for i in ids]
        plane = lookup[labels]
        if form == "map with background":
            plane[::7] = 0
        return plane

    wanted = nh.evaluate(true, pred, types=pred_types, true_types=true_types).typed
    found = nh.evaluate(
        true, pred, types=given(pred, pred_types), true_types=given(true, true_types)
    ).typed
    np.testing.assert_array_equal(found.confusion, wanted.confusion)


def test_ids_with_gaps_nobody_and_nothing():
    true = np.array([[10**12, 10**12, 0, 7]])
    found = nh.evaluate(true, true, types={10**12: 2, 7: 1}, true_types={10**12: 2, 7: 3}).typed
    assert (found.confusion[2, 2], found.confusion[3, 1]) == (1, 1)
    found = nh.evaluate([[1, 2]], [[1, 2]], types=[1, 1], true_types=[-1, 1]).typed
    assert (found.types[1].f1, found.types[1].n_true) == (1, 1)
    empty, some = np.zeros((9, 9), int), np.eye(9, dtype=int)
    for true, pred in ((empty, empty), (some, empty), (empty, some)):
        found = nh.evaluate(true, pred, types={1: 1}, true_types={1: 1}).typed
        assert math.isnan(found.boundary_offset)
        assert found.f1 == 0 or math.isnan(found.f1)
    assert pooled([]).n_images == 0


def test_what_is_ignored_is_neither_missed_nor_spurious():
    true, pred = np.zeros((30, 60), int), np.zeros((30, 60), int)
    true[5:15, 5:15] = pred[5:15, 5:15] = 1
    true[5:15, 30:40] = 2  # missed, in the region
    pred[18:28, 40:50] = 7  # spurious, mostly in the region
    true[18:28, 5:15], pred[18:28, 5:15] = 4, 4
    ignore = np.zeros((30, 60), bool)
    ignore[:, 28:46] = True
    ignore[20:22] = True  # cuts nucleus 4
    types = {"types": {1: 1, 4: 2, 7: 2}, "true_types": {1: 1, 2: 2, 4: 2}}
    found = nh.evaluate(true, pred, ignore=ignore, **types)
    assert (found.n_true, found.n_pred, found.pq, found.aji, found.dice) == (2, 2, 1, 1, 1)
    assert found.typed.f1 == found.typed.type_accuracy == 1
    plain = nh.evaluate(true, pred, **types)
    assert (plain.n_true, plain.n_pred) == (3, 3) and plain.aji < 1
    assert nh.evaluate(true, pred, ignore=np.zeros_like(ignore), **types).aji == plain.aji


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"types": [1]}, r"types has shape \(1,\); give one type for each of the 2 nuclei"),
        ({"true_types": [[1.5]]}, "true_types has dtype float64; types are whole numbers"),
        ({"types": {1: 1}, "ignore": np.zeros((3, 3))}, "region to be ignored has shape"),
    ],
)
def test_unfit_types_are_refused(given: dict[str, object], says: str):
    with pytest.raises(InputError, match=says):
        nh.evaluate([[1, 2]], [[1, 2]], **given)  # type: ignore[arg-type]
