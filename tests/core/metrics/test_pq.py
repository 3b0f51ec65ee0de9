from __future__ import annotations

import numpy as np
import pytest

from napari_hovernet.core.measure.metrics import contingency, panoptic_quality
from napari_hovernet.errors import InputError


def test_quality_of_one_match_one_miss_one_spurious() -> None:
    true = [[1, 1, 1, 1, 0, 2, 2, 0, 0]]
    pred = [[5, 5, 5, 0, 0, 0, 0, 0, 9]]
    quality = panoptic_quality(contingency(true, pred))
    assert quality.dq == pytest.approx(1 / 2)
    assert quality.sq == pytest.approx(3 / 4)
    assert quality.pq == pytest.approx(3 / 8)


def test_half_is_not_enough_and_the_threshold_can_rise() -> None:
    half = contingency([[1, 1]], [[1, 0]])
    assert panoptic_quality(half) == (0, 0, 0)
    three_quarters = contingency([[1, 1, 1, 1]], [[1, 1, 1, 0]])
    assert panoptic_quality(three_quarters).dq == 1
    assert panoptic_quality(three_quarters, match_iou=0.8).dq == 0


@pytest.mark.parametrize("match_iou", [0.49, 1.0, float("nan")])
def test_a_threshold_without_unique_matches_is_refused(match_iou: float) -> None:
    with pytest.raises(InputError, match=f"match_iou is {match_iou}"):
        panoptic_quality(contingency([[1]], [[1]]), match_iou)


@pytest.mark.parametrize(("true", "pred", "value"), [(0, 0, 1), (0, 1, 0), (1, 0, 0), (3, 9, 1)])
def test_empty_and_perfect_images(true: int, pred: int, value: float) -> None:
    table = contingency(np.full((4, 4), true), np.full((4, 4), pred))
    assert panoptic_quality(table) == (value, value, value)
