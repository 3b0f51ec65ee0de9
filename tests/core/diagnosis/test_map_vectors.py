"""Readings of HV: each of the eight is told by cosine and by slope."""

from __future__ import annotations

import numpy as np
import pytest

from napari_hovernet.core.diagnosis.map_vectors import (
    NO_FIT,
    READINGS,
    Fit,
    Reading,
    cosine_matrix,
    pooled,
    slope_matrix,
)
from napari_hovernet.core.hv import hv_targets
from napari_hovernet.core.measure.compare import hv_scores
from napari_hovernet.core.synthetic import planted_maps, tissue


@pytest.fixture(scope="module")
def labels() -> np.ndarray:
    return tissue((128, 128), 3).labels


@pytest.mark.parametrize("reading", READINGS, ids=lambda r: r.words)
def test_every_reading_is_told_and_undone_by_its_matrix(
    labels: np.ndarray, reading: Reading
) -> None:
    target = hv_targets(labels)
    given = np.einsum("ji,jhw->ihw", reading.matrix, target).astype(np.float32)
    for fit in (cosine_matrix(given, target), slope_matrix(given, labels > 0, 0.45)):
        assert fit.best == reading
        assert fit.sure(0.9, 0.3)
    np.testing.assert_allclose(np.einsum("ij,jhw->ihw", reading.matrix, given), target, atol=1e-6)


def test_the_claimed_score_is_the_mean_cosine(labels: np.ndarray) -> None:
    hv = planted_maps(labels, 1).hv
    fit = cosine_matrix(hv, hv_targets(labels))
    assert fit.claimed == pytest.approx(hv_scores(hv, labels).cosine, abs=1e-5)


def test_what_has_no_direction_fits_no_reading(labels: np.ndarray) -> None:
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((2, *labels.shape)).astype(np.float32)
    assert not cosine_matrix(noise, hv_targets(labels)).sure(0.3, 0.1)
    assert cosine_matrix(0 * noise, hv_targets(labels)).score == 0
    assert slope_matrix(0 * noise, labels > 0, 0.45) is NO_FIT


def test_nothing_to_compare_with_is_no_fit() -> None:
    flat = np.zeros((2, 8, 8), np.float32)
    assert cosine_matrix(flat, flat) is NO_FIT
    assert pooled([NO_FIT, NO_FIT]) is NO_FIT
    assert not NO_FIT.sure(0.0, 0.0)


def test_fits_are_pooled_by_pixels() -> None:
    both = pooled([Fit(np.eye(2) / 2, 30, 2), Fit(-np.eye(2) / 2, 10, 1)])
    assert (both.n, both.parts, both.claimed) == (40, 3, pytest.approx(0.5))


def test_words_name_the_axis_that_is_negated() -> None:
    assert Reading("vh", 1, -1).one_negated == "y"
    assert Reading("vh", 1, -1).words == "[V, H], y negated"
    assert not Reading("hv", -1, -1).one_negated
