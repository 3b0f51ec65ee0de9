"""Scores after an epoch, by the rules they are ranked and remarked by."""

from __future__ import annotations

import math

import numpy as np
import pytest

from napari_hovernet.core.hv import hv_targets
from napari_hovernet.core.measure.compare import hv_scores
from napari_hovernet.core.training.validation import hv_row, means, middle, remark, score_of

LABELS = np.zeros((40, 50), np.int32)
LABELS[5:20, 5:20], LABELS[20:35, 15:45] = 1, 2


@pytest.mark.parametrize(
    ("epoch", "magnitude", "word"),
    [
        (0, 0.9, ""), (4, 0.01, ""), (5, 0.26, "go on"), (5, 0.2, ""), (5, 0.09, "investigate"),
        (20, 0.51, "go on"), (20, 0.3, ""), (20, 0.05, "investigate"),
    ],
)  # fmt: skip
def test_remarks_follow_the_bounds(epoch, magnitude, word):
    assert remark(epoch, 20, magnitude) == word


def test_hv_is_scored_as_everywhere_else():
    target = hv_targets(LABELS)
    noise = np.random.default_rng(0).normal(0, 0.3, target.shape).astype(np.float32)
    row, known = hv_row(target + noise, target, LABELS > 0), hv_scores(target + noise, LABELS)
    assert row["pixels"] == (LABELS > 0).sum()
    for mine, theirs in (
        ("magnitude", known.magnitude),
        ("true_magnitude", known.true_magnitude),
        ("cosine", known.cosine),
        ("hv_mse", known.mse),
        ("hv_zero_mse", known.zero_mse),
    ):
        assert row[mine] == pytest.approx(theirs, rel=1e-5)


def test_without_nuclei_hv_has_no_score():
    row = hv_row(np.ones((2, 4, 4)), np.zeros((2, 4, 4)), np.zeros((4, 4), bool))
    assert row["pixels"] == 0 and math.isnan(row["cosine"])


def test_means_weigh_hv_by_pixels_and_scores_by_images():
    rows = [{"aji": 0.2, "magnitude": 0.1, "pixels": 30.0}, {"aji": 0.6, "magnitude": 0.5,
            "pixels": 10.0}, {"aji": math.nan, "magnitude": math.nan, "pixels": 0.0}]  # fmt: skip
    found = means(rows)
    assert found["aji"] == pytest.approx(0.4)
    assert found["magnitude"] == pytest.approx(0.2)


def test_models_are_ranked_by_what_there_is():
    assert score_of({"aji": 0.5, "pq": 0.4, "loss": 1.0}, {}) == pytest.approx(0.9)
    assert score_of({"loss": 1.5}, {"total": 9.0}) == -1.5
    assert score_of({}, {"total": 9.0}) == -9.0
    assert score_of({}, {}) == -math.inf


def test_the_preview_is_the_middle_of_a_large_image():
    rows, cols = middle((300, 5000))
    assert rows == slice(0, 300)
    assert cols.stop - cols.start < 5000 and cols.start == 5000 - cols.stop
