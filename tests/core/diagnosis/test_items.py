"""Items are read as the setup says; what cannot be used is None and said."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_hovernet.core.diagnosis.case import MAPS, TARGETS, RawItem
from napari_hovernet.core.diagnosis.items import channel_first, item_of, moved, shifted
from napari_hovernet.core.diagnosis.setup import Setup
from napari_hovernet.core.hv import hv_targets

LABELS = np.pad(np.ones((5, 7), np.int32), ((2, 3), (4, 9)))


def read(raw: RawItem, setup: Setup | None = None, kind: str = TARGETS) -> Any:
    return item_of(raw, 0, setup or Setup(), kind)


def test_an_image_is_eight_bit_rgb() -> None:
    image = np.zeros((4, 4, 3), np.float32)
    image[..., 0] = 0.5
    assert read(RawItem("a", image=image)).image[0, 0].tolist() == [128, 0, 0]
    turned = read(RawItem("a", image=image), Setup(channel_order="bgr")).image
    assert turned[0, 0].tolist() == [0, 0, 128]
    tiny = (image > 0).astype(np.uint8)
    assert read(RawItem("a", image=tiny), Setup(input_factor=255.0)).image.max() == 255


def test_labels_are_turned_and_moved() -> None:
    plain = read(RawItem("a", labels=LABELS)).labels
    assert np.array_equal(plain, LABELS)
    flipped = read(RawItem("a", labels=LABELS), Setup(labels_turn=(True, 0))).labels
    assert np.array_equal(flipped, LABELS[:, ::-1])
    down = read(RawItem("a", labels=LABELS), Setup(labels_shift=(1, 2))).labels
    assert np.array_equal(down[1:, 2:], LABELS[:-1, :-2])


def test_stored_hv_is_read_as_the_setup_says() -> None:
    hv = hv_targets(LABELS)
    stored = np.rint(-127 * hv[::-1]).astype(np.int8)
    setup = Setup(target_order="vh", target_sign="inward", target_divisor=127.0)
    got = read(RawItem("a", hv=stored, np=LABELS > 0), setup)
    assert np.abs(got.target_hv - hv).max() < 1 / 127
    assert got.target_np.sum() == (LABELS > 0).sum()
    last = read(RawItem("a", hv=np.moveaxis(stored, 0, -1)), setup).target_hv
    assert np.array_equal(last, got.target_hv)


def test_maps_are_no_targets() -> None:
    assert read(RawItem("a", hv=hv_targets(LABELS), np=LABELS > 0), kind=MAPS).target_hv is None


def test_what_cannot_be_used_is_said_and_the_rest_is_there() -> None:
    raw = RawItem("a", image=np.full((4, 4, 3), np.nan), labels=LABELS, hv=np.zeros((5, 4, 4)))
    got = read(raw)
    assert got.image is None
    assert got.target_hv is None
    assert got.labels is not None
    assert any(text.startswith("image") for text in got.problems)
    assert any(text.startswith("hv") for text in got.problems)


def test_hv_that_is_not_finite_becomes_zero_and_is_said() -> None:
    hv = hv_targets(LABELS)
    hv[0, 3, 6] = np.nan
    got = read(RawItem("a", hv=hv))
    assert np.isfinite(got.target_hv).all()
    assert any("NaN" in text for text in got.problems)


def test_helpers() -> None:
    assert channel_first(np.zeros((4, 5, 2))).shape == (2, 4, 5)
    assert shifted(np.arange(6).reshape(2, 3), (-1, 0)).tolist() == [[3, 4, 5], [0, 0, 0]]
    assert shifted(np.ones((2, 2)), (0, 5)).sum() == 0
    assert moved(np.arange(4).reshape(2, 2), (False, 1), (0, 0)).tolist() == [[1, 3], [0, 2]]
