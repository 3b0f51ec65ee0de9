"""Reading HV otherwise: order, sign, scale."""

from __future__ import annotations

import numpy as np
import pytest

from napari_hovernet.core.hv import HVConvention, HVReading, hv_targets, read_hv
from napari_hovernet.core.types import Maps
from napari_hovernet.errors import InputError

LABELS = np.pad(np.array([[1, 1, 1, 2, 2], [1, 1, 1, 2, 2], [1, 1, 0, 2, 2]]), 2)


@pytest.mark.parametrize("order", ["hv", "vh"])
@pytest.mark.parametrize("sign", ["outward", "inward"])
def test_every_stored_form_is_read_back(order, sign):
    stored = hv_targets(LABELS, HVConvention(order=order, sign=sign))
    read = read_hv(Maps(np=LABELS > 0, hv=stored), HVReading(order=order, sign=sign))
    np.testing.assert_array_equal(read.hv, hv_targets(LABELS))


def test_a_plain_reading_copies_nothing():
    maps = Maps(np=LABELS > 0, hv=hv_targets(LABELS))
    assert read_hv(maps, HVReading()) is maps


def test_scale_makes_vectors_longer_and_leaves_the_maps_alone():
    maps = Maps(np=LABELS > 0, hv=hv_targets(LABELS))
    before = maps.hv.copy()
    np.testing.assert_allclose(
        read_hv(maps, HVReading(scale=3)).magnitude, 3 * maps.magnitude, rtol=1e-6
    )
    np.testing.assert_array_equal(maps.hv, before)


@pytest.mark.parametrize(
    "field",
    [
        {"order": "xy"},
        {"sign": "up"},
        {"scale": 0.0},
        {"scale": 51.0},
        {"scale": float("nan")},
        {"scale": float("inf")},
    ],
    ids=str,
)
def test_what_is_refused_is_named(field):
    with pytest.raises(InputError, match=next(iter(field))):
        HVReading(**field)
