from __future__ import annotations

import math

import numpy as np
import pytest

from napari_hovernet.core.diagnosis.model_quality import (
    alignment,
    best_reading,
    best_shift,
    correlation,
    darkness,
    own_shapes,
    part_quality,
    products,
)
from napari_hovernet.core.hv import hv_targets
from napari_hovernet.core.synthetic import tissue
from napari_hovernet.core.types import Maps

TISSUE = tissue((160, 160), seed=3)
LABELS = TISSUE.labels
HV = hv_targets(LABELS)
TRUE = Maps(np=(LABELS > 0).astype(np.float32), hv=HV)


def readings() -> list[np.ndarray]:
    signs = [(a, b) for a in (1, -1) for b in (1, -1)]
    return [
        np.stack((a * hv[0], b * hv[1])).astype(np.float32)
        for hv in (HV, HV[::-1])
        for a, b in signs
    ]


def test_true_maps_agree_with_everything() -> None:
    found = part_quality(TRUE, TISSUE.image, LABELS)
    assert found.np == pytest.approx(1) and found.hv == pytest.approx(1, abs=0.01)
    assert found.confidence == 1 and found.own > 0.95 and found.dark > 0.6
    assert found.truth > 0.99 and found.n == pytest.approx(LABELS.max(), abs=4)


@pytest.mark.parametrize("index", range(8))
def test_order_and_sign_of_hv_do_not_matter(index: int) -> None:
    plain = part_quality(TRUE, TISSUE.image, LABELS)
    hv = readings()[index]
    found = part_quality(Maps(np=TRUE.np, hv=hv), TISSUE.image, LABELS)
    assert found.hv == pytest.approx(plain.hv, abs=0.01)
    assert found.own == pytest.approx(plain.own, abs=0.03)
    assert products(best_reading(hv, HV), HV).trace() == pytest.approx(1, abs=0.01)


def test_the_other_np_channel_and_moved_labels_do_not_matter() -> None:
    turned = part_quality(Maps(np=1 - TRUE.np, hv=HV), TISSUE.image, LABELS)
    assert turned.np == pytest.approx(1) and turned.confidence == 1
    moved = part_quality(TRUE, TISSUE.image, np.roll(LABELS, (9, -14), (0, 1)))
    assert moved.np == pytest.approx(1) and moved.hv > 0.95
    fixed = part_quality(TRUE, TISSUE.image, np.roll(LABELS, (9, -14), (0, 1)), anywhere=False)
    assert fixed.truth < 0.5


def test_directions_that_mean_nothing_do_not_fit() -> None:
    noise = np.random.default_rng(0).normal(size=HV.shape).astype(np.float32)
    assert alignment(noise, HV) < 0.1
    assert alignment(np.zeros_like(HV), HV) == 0
    assert alignment(0.01 * HV, HV) == pytest.approx(1, abs=0.01)


def test_nothing_found_is_no_agreement() -> None:
    blank = Maps(np=np.zeros((64, 64)), hv=np.zeros((2, 64, 64)))
    found = part_quality(blank, None, np.zeros((64, 64), np.int32))
    assert found.n == 0 and found.alone == 0 and found.diameter == 0
    assert math.isnan(found.truth) and math.isnan(found.dark)
    assert not own_shapes(blank.np, blank.hv).any()


def test_correlation_and_shift() -> None:
    plane = np.random.default_rng(1).normal(size=(32, 40))
    assert correlation(plane, 3 * plane + 1) == pytest.approx(1)
    assert correlation(plane, np.ones((32, 40))) == 0
    value, shift = best_shift(np.roll(plane, (-3, 7), (0, 1)), plane)
    assert value == pytest.approx(1) and shift == (-3, 7)
    assert best_shift(plane, np.ones((32, 40))) == (0.0, (0, 0))


def test_white_is_not_dark() -> None:
    image = np.full((2, 2, 3), 255, np.uint8)
    image[0] = 0
    assert darkness(image)[1].max() == pytest.approx(0) and darkness(image)[0].min() > 10
