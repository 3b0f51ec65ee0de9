from __future__ import annotations

import numpy as np
import pytest

from napari_hovernet.core.measure.metrics import contingency, dice


def test_dice_counts_pixels_whatever_the_instance() -> None:
    true = np.array([[1, 1, 2, 2, 0, 0]])
    pred = np.array([[0, 4, 4, 4, 4, 0]])
    assert dice(contingency(true, pred)) == pytest.approx(2 * 3 / (4 + 4))


@pytest.mark.parametrize(("true", "pred", "score"), [(0, 0, 1.0), (0, 1, 0.0), (1, 0, 0.0)])
def test_dice_of_empty_images(true: int, pred: int, score: float) -> None:
    assert dice(contingency(np.full((4, 4), true), np.full((4, 4), pred))) == score


def test_dice_is_symmetric() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 3, (2, 30, 30))
    assert dice(contingency(a, b)) == dice(contingency(b, a))
