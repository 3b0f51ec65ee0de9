"""Slopes tell order and sign of all eight ways to store two channels."""

from itertools import product

import numpy as np
import pytest

from napari_hovernet.core.diagnosis.report import FAULT, NOT_TESTED, OK
from napari_hovernet.core.diagnosis.setup import Setup
from napari_hovernet.core.diagnosis.target_slope import order, sign, slopes_of
from napari_hovernet.core.hv import HVConvention, hv_targets

from .planted_data import made

LABELS = made(2)["labels"]


def slopes(change, **convention):
    return slopes_of([(change(hv_targets(a, HVConvention(**convention))), a > 0) for a in LABELS])


@pytest.mark.parametrize(("swap", "x", "y"), [*product((False, True), (1, -1), (1, -1))])
def test_all_eight_are_told(swap, x, y):
    def change(hv):
        made = hv * np.array([x, y], np.float32)[:, None, None]
        return made[::-1] if swap else made

    found = slopes(change)
    assert found.is_swapped is swap
    assert [s > 0 for s in found.signs] == [x > 0, y > 0]
    assert order(found, Setup()).verdict == (FAULT if swap else OK)
    assert sign(found, Setup()).verdict == (OK if x == y == 1 else FAULT)
    assert sign(found, Setup()).remedy.action == ("target_sign" if x == y == -1 else "")


@pytest.mark.parametrize("factor", [0.01, 1, 127])
@pytest.mark.parametrize("how", [{"scale": "radial"}, {"blur": 2.0}, {"resize": 0.5}])
def test_length_scale_and_blur_do_not_matter(factor, how):
    found = slopes(lambda hv: hv * np.float32(factor), **how)
    assert found.sure()
    assert not found.is_swapped
    assert min(found.signs) > 0.4


def test_remedies_toggle_what_is_set():
    found = slopes(lambda hv: -hv[::-1])
    setup = Setup(target_order="vh", target_sign="inward")
    assert order(found, setup).remedy.value == "hv"
    assert sign(found, setup).remedy.value == "outward"


def test_noise_and_nothing_tell_nothing():
    rng = np.random.default_rng(0)
    noise = slopes(lambda hv: rng.normal(size=hv.shape).astype(np.float32))
    assert order(noise, Setup()).verdict == sign(noise, Setup()).verdict == NOT_TESTED
    assert slopes(np.zeros_like) is None
    assert order(None, Setup()).verdict == sign(None, Setup()).verdict == NOT_TESTED


def test_what_a_turn_brings_about_is_less_certain():
    found = slopes(lambda hv: hv * np.array([-1, 1], np.float32)[:, None, None])
    assert sign(found, Setup(), turned=True).certainty < sign(found, Setup()).certainty
