"""HV scores against sums written out by hand, and what they do not depend on."""

from __future__ import annotations

import math

import numpy as np
import pytest

from napari_hovernet.core.hv import hv_targets
from napari_hovernet.core.measure.compare import hv_scores
from napari_hovernet.errors import InputError


def disc(radius: int = 40) -> np.ndarray:
    y, x = np.mgrid[-radius - 3 : radius + 4, -radius - 3 : radius + 4]
    return (x**2 + y**2 <= radius**2).astype(np.int32)


def test_the_zero_map_of_a_disc_has_an_error_of_one_quarter() -> None:
    scores = hv_scores(np.zeros((2, *disc().shape)), disc())
    assert scores.zero_mse == pytest.approx(0.25, abs=0.005)
    assert scores.mse == scores.zero_mse
    assert scores.cosine == 0
    assert scores.magnitude == 0
    assert scores.true_magnitude == pytest.approx(2 / 3, abs=0.01)


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
    scores = hv_scores(hv, labels)
    expected = [np.mean(x) for x in (squares, zeros, cosines, lengths, true_lengths)]
    assert [*scores.as_dict().values()] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("scale", [0.02, 50.0])
def test_scale_changes_length_and_error_but_not_direction(scale: float) -> None:
    scores = hv_scores(scale * hv_targets(disc()), disc())
    assert scores.cosine == pytest.approx(1)
    assert scores.magnitude == pytest.approx(scale * scores.true_magnitude, rel=1e-5)
    assert scores.mse == pytest.approx((1 - scale) ** 2 * scores.zero_mse, rel=1e-5)


def test_the_wrong_sign_is_minus_one() -> None:
    assert hv_scores(-hv_targets(disc()), disc()).cosine == pytest.approx(-1)


def test_background_does_not_count() -> None:
    hv = hv_targets(disc())
    hv[:, disc() == 0] = 100
    assert hv_scores(hv, disc()).mse == 0


def test_a_nucleus_of_one_pixel_has_no_direction() -> None:
    scores = hv_scores(np.ones((2, 3, 3)), np.eye(3, dtype=int) * [0, 1, 0])
    assert math.isnan(scores.cosine)
    assert scores.mse == 1


@pytest.mark.parametrize("shape", [(4, 5), (0, 5)])
def test_without_nuclei_all_is_nan(shape: tuple[int, int]) -> None:
    scores = hv_scores(np.zeros((2, *shape)), np.zeros(shape, int))
    assert all(math.isnan(v) for v in scores.as_dict().values())


def test_another_size_is_refused() -> None:
    with pytest.raises(InputError, match=r"hv has shape \(2, 4, 5\).*of shape \(2, 4, 6\)"):
        hv_scores(np.zeros((2, 4, 5)), np.zeros((4, 6), int))
