"""Both presets through the public function: stages, odd input, real maps."""

from __future__ import annotations

import csv
import json

import cv2
import numpy as np
import pytest

from napari_hovernet.core.hv import hv_targets
from napari_hovernet.core.measure.metrics import evaluate
from napari_hovernet.core.params import SeparationParams
from napari_hovernet.core.separation import separate, warm_up
from napari_hovernet.core.types import Maps

WORKING = ("local", "hover_net")
"""Presets that are meant to be right."""


def golden(shared, kind):
    """Name, true labels, maps and the reference result of every file of one kind."""
    for path in sorted((shared / "golden" / kind).glob("*.npz")):
        with np.load(path) as data:
            probability = np.clip(data["np_prob"].astype(np.float32), 0, 1)
            maps = Maps(np=probability, hv=data["hv_pred"].astype(np.float32))
            yield path.stem, data["labels"].astype(np.int32), maps, data["separated"]


def different_pixels(a: np.ndarray, b: np.ndarray) -> int:
    """Pixels of ``b`` outside the best partner of their region of ``a``."""
    columns = int(b.max()) + 1
    pairs = a.ravel().astype(np.int64) * columns + b.ravel()
    table = np.bincount(pairs, minlength=(int(a.max()) + 1) * columns).reshape(-1, columns)
    return a.size - int(table.max(axis=1).sum())


@pytest.mark.parametrize("kind", ["maps", "predicted"])
def test_hover_net_equals_the_reference(shared, kind):
    params = SeparationParams.preset("hover_net")
    for name, _, maps, reference in golden(shared, kind):
        labels = separate(maps, params).labels
        assert labels.max() == reference.max(), name
        assert different_pixels(reference, labels) <= labels.size / 10_000, name


@pytest.mark.parametrize(("kind", "aji", "pq"), [("maps", 0.93, 0.93), ("predicted", 0.64, 0.625)])
def test_local_scores_better_than_hover_net(shared, kind, aji, pq):
    scores = [
        evaluate(labels, separate(maps).labels) for _, labels, maps, _ in golden(shared, kind)
    ]
    assert np.mean([s.aji for s in scores]) > aji
    assert np.mean([s.pq for s in scores]) > pq
    published = json.loads((shared / "golden" / kind / "metrics.json").read_text())
    assert np.mean([s.aji for s in scores]) > np.mean([s["aji"] for s in published.values()])


def test_local_finds_nearly_all_in_exact_maps(shared):
    scores = []
    with (shared / "data" / "index.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "val"]
    for row in rows:
        labels = cv2.imread(str(shared / "data" / row["label"]), cv2.IMREAD_UNCHANGED)
        labels = labels.astype(np.int32)
        maps = Maps(np=labels > 0, hv=hv_targets(labels))
        scores.append(evaluate(labels, separate(maps).labels).aji)
    assert len(scores) == 20
    assert np.mean(scores) >= 0.97


@pytest.mark.parametrize("method", WORKING)
@pytest.mark.parametrize("shape", [(0, 0), (0, 7), (1, 1), (1, 50), (50, 1), (3, 3), (40, 30)])
@pytest.mark.parametrize("fill", [0.0, 1.0])
def test_plain_maps_of_any_shape(method, shape, fill):
    maps = Maps(np=np.full(shape, fill), hv=np.zeros((2, *shape)))
    result = separate(maps, SeparationParams.preset(method))
    assert result.labels.shape == result.energy.shape == result.markers.shape == shape
    assert result.mask.dtype == bool
    assert result.labels.dtype == result.markers.dtype == np.int32
    assert result.energy.dtype == np.float32
    assert np.isfinite(result.energy).all()
    assert result.n <= 1
    if fill == 0:
        assert not result.labels.any()


@pytest.mark.parametrize("method", WORKING)
def test_touching_nuclei_stay_apart(method):
    labels = np.zeros((40, 70), np.int32)
    y, x = np.mgrid[:40, :70]
    labels[((y - 20) / 14) ** 2 + ((x - 22) / 13) ** 2 <= 1] = 1
    labels[(((y - 20) / 14) ** 2 + ((x - 47) / 13) ** 2 <= 1) & (labels == 0)] = 2
    found = separate(Maps(np=labels > 0, hv=hv_targets(labels)), SeparationParams.preset(method))
    assert found.n == 2
    assert found.mask[20, 34]
    assert evaluate(labels, found.labels).aji > 0.97


@pytest.mark.parametrize("method", WORKING)
def test_stages_agree(method):
    rng = np.random.default_rng(0)
    probability = cv2.GaussianBlur(rng.random((90, 110)).astype(np.float32), (0, 0), 3)
    probability = np.clip((probability - 0.5) * 8 + 0.5, 0, 1)
    hv = cv2.GaussianBlur(rng.standard_normal((90, 110, 2)).astype(np.float32), (0, 0), 3) * 5
    maps = Maps(np=probability, hv=np.moveaxis(hv, 2, 0))
    result = separate(maps, SeparationParams.preset(method))
    assert result.n > 1
    assert not result.labels[~result.mask].any()
    marked = result.markers > 0
    np.testing.assert_array_equal(result.labels[marked], result.markers[marked])
    assert set(np.unique(result.markers)) == set(range(result.n + 1))
    again = separate(maps, SeparationParams.preset(method))
    np.testing.assert_array_equal(result.labels, again.labels)


def test_warm_up_runs():
    warm_up()
