"""Numbers of stored HV."""

import numpy as np
import pytest

from napari_hovernet.core.diagnosis.report import FAULT, NOT_TESTED, OK, WARN
from napari_hovernet.core.diagnosis.setup import Setup
from napari_hovernet.core.diagnosis.target_limits import LIMITS
from napari_hovernet.core.diagnosis.target_values import (
    divisor,
    is_broken,
    look_at_values,
    value_range,
)
from napari_hovernet.core.hv import hv_targets

from .planted_data import made

LABELS = made(1)["labels"][0]
HV = hv_targets(LABELS)


def look(stored, by=1.0):
    return look_at_values(0, "a", stored, LABELS > 0, by, LIMITS)


def looks(stored, by=1.0):
    return [look(stored, by)]


@pytest.mark.parametrize("by", [127.0, 128.0, 255.0, 100.0, 32767.0, 17.0])
def test_the_divisor_is_named(by):
    found = divisor(looks(HV * np.float32(by)), Setup(), False)
    assert found.verdict == FAULT
    assert found.remedy.value == pytest.approx(by, rel=0.02)
    assert divisor(looks(HV * np.float32(by), by), Setup(target_divisor=by), False).verdict == OK


def test_a_second_divisor_is_put_on_the_first():
    found = divisor(looks(HV * 1270, 10.0), Setup(target_divisor=10.0), False)
    assert found.remedy.value == pytest.approx(1270)


def test_pixels_are_a_matter_of_scale():
    assert divisor(looks(HV * 20), Setup(), True).verdict == OK


@pytest.mark.parametrize(
    ("stored", "words", "broken"),
    [
        (np.where(HV > 0.9, np.inf, HV), "NaN", False),
        (np.zeros_like(HV), "constant", True),
        ((HV + 1) / 2, "offset", True),
        (np.abs(HV), "sign", True),
        (np.where(HV > 0.9, HV * 1.5, HV), "leaves", False),
    ],
)
def test_values_that_are_wrong(stored, words, broken):
    found = value_range(looks(stored), False)
    assert found.verdict == FAULT
    assert words in found.title
    assert bool(is_broken(looks(stored))) is broken


def test_eight_bits_that_run_over_are_worth_a_look():
    stored = np.rint(HV * 128).astype(np.int32).astype(np.int8)
    assert value_range(looks(stored, 128.0), False).verdict == WARN
    stored = np.rint(HV * 127).astype(np.int8)
    assert value_range(looks(stored, 127.0), False).verdict == OK


def test_noise_in_the_background_is_no_offset():
    noise = np.random.default_rng(0).normal(0.2, 1, HV.shape)
    assert np.isnan(look(noise).outside)


@pytest.mark.parametrize("stored", [np.zeros((2, 0, 0)), np.zeros((3, 4, 4)), np.array("x")])
def test_what_is_no_hv_is_left_out(stored):
    assert look(stored) is None
    assert divisor([], Setup(), False).verdict == value_range([], False).verdict == NOT_TESTED
