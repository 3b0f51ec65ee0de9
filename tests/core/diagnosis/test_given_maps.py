"""Maps out of other programs are brought to probabilities and unit HV."""

from __future__ import annotations

import numpy as np
import pytest

from napari_hovernet.core.diagnosis.case import RawItem
from napari_hovernet.core.diagnosis.given_maps import given_maps, probability
from napari_hovernet.core.diagnosis.setup import Setup
from napari_hovernet.core.synthetic import planted_maps
from napari_hovernet.errors import InputError

LABELS = np.pad(np.ones((9, 9), np.int32), 6)
MAPS = planted_maps(LABELS, noise=0)


def test_probabilities_stay() -> None:
    assert np.array_equal(probability(MAPS.np), MAPS.np)


def test_logits_and_bytes_become_probabilities() -> None:
    clipped = np.clip(MAPS.np, 1e-4, 1 - 1e-4)
    logits = np.log(clipped / (1 - clipped))
    assert np.allclose(probability(logits), clipped, atol=1e-5)
    as_bytes = np.rint(MAPS.np * 255).astype(np.uint8)
    assert np.allclose(probability(as_bytes), MAPS.np, atol=1 / 255)


def test_whole_number_hv_is_divided() -> None:
    raw = RawItem("a", np=MAPS.np, hv=np.rint(MAPS.hv * 127).astype(np.int8))
    assert np.allclose(given_maps(raw, Setup()).hv, MAPS.hv, atol=1 / 127)


def test_the_setup_is_followed() -> None:
    raw = RawItem("a", np=1 - MAPS.np, hv=-MAPS.hv[::-1])
    setup = Setup(np_channel=0, hv_order="vh", hv_sign="inward")
    got = given_maps(raw, setup)
    assert np.allclose(got.np, MAPS.np, atol=1e-6)
    assert np.allclose(got.hv, MAPS.hv)
    rolled = given_maps(RawItem("a", np=MAPS.np, hv=MAPS.hv), Setup(maps_shift=(0, -2)))
    assert np.array_equal(rolled.np, np.roll(MAPS.np, -2, 1))


def test_maps_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InputError):
        given_maps(RawItem("a", np=MAPS.np, hv=np.zeros((3, 4, 4))), Setup())
    with pytest.raises(InputError):
        given_maps(RawItem("a", np=MAPS.np[:-1], hv=MAPS.hv), Setup())
