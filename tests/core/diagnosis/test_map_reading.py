"""Judging which way HV points."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_hovernet.core.data.samples import TURNS
from napari_hovernet.core.diagnosis.map_hv import HVTally
from napari_hovernet.core.diagnosis.map_lengths import Lengths
from napari_hovernet.core.diagnosis.map_reading import (
    elsewhere,
    hv_direction,
    hv_order,
    hv_own_shape,
    hv_sign,
    told,
)
from napari_hovernet.core.diagnosis.map_vectors import NO_FIT, READINGS, Fit, Reading

LENGTHS = Lengths(
    n=20_000, n_outside=80_000, length=13_000.0, length_outside=1000.0, channel=np.zeros(2),
    low=-1.0, high=1.0, saturated=200, noise=0.02, squares=9000.0, n_channel=10_000, parts=20,
)  # fmt: skip


def fit(reading: Reading, score: float = 0.9, n: int = 20_000) -> Fit:
    return Fit(reading.matrix.T * (score / 2), n, 20)


def tally(reading: Reading = READINGS[0], score: float = 0.9) -> HVTally:
    one = fit(reading, score)
    return HVTally((LENGTHS,), one, one, fit(reading, score, 80_000))


def test_what_claims_right_is_ok() -> None:
    for judge in (hv_order, hv_sign, hv_direction, hv_own_shape):
        assert judge(tally()).verdict == "ok"


@pytest.mark.parametrize("reading", READINGS[1:], ids=lambda r: r.words)
def test_each_reading_is_told_as_order_or_sign(reading: Reading) -> None:
    found = tally(reading)
    assert told(found).reading == reading
    order, sign = hv_order(found), hv_sign(found)
    assert (order.verdict == "fault") == reading.swapped
    assert (sign.verdict == "fault") == (reading.inward or bool(reading.one_negated))
    assert hv_direction(found).verdict == "ok"
    if reading.swapped:
        assert (order.remedy.action, order.remedy.value) == ("hv_order", "vh")
        assert hv_order(found, "vh").remedy.value == "hv"
    if reading.inward:
        assert (sign.remedy.action, sign.remedy.value) == ("hv_sign", "inward")
    if reading.one_negated:
        assert sign.remedy.action == ""
        assert f"along {reading.one_negated}" in sign.title


def test_the_more_say_so_the_surer_it_is() -> None:
    found = tally(READINGS[4])
    by_all = hv_order(found).certainty
    by_two = hv_order(replace(found, truth=NO_FIT)).certainty
    by_slopes = hv_order(replace(found, truth=NO_FIT, convex=NO_FIT)).certainty
    assert by_all > by_two > by_slopes > 0.7


def test_swapped_is_told_from_not_learned() -> None:
    lost = tally(READINGS[4], 0.05)
    assert hv_order(lost).verdict == hv_sign(lost).verdict == "ok"
    assert "no reading" in hv_order(lost).evidence
    direction = hv_direction(lost)
    assert (direction.verdict, direction.remedy.action) == ("fault", "")
    assert hv_direction(tally(score=0.45)).verdict == "warn"


def test_hv_too_short_has_no_direction_to_judge() -> None:
    short = replace(tally(score=0.05), lengths=(replace(LENGTHS, length=20.0),))
    assert hv_direction(short).verdict == "ok"


def test_an_axis_that_was_not_learned_is_named() -> None:
    matrix = np.diag([0.5, 0.02])
    found = HVTally((LENGTHS,), Fit(matrix, 9000, 9), Fit(matrix, 9000, 9))
    assert hv_direction(found).title == "HV along y was not learned"
    both = np.array([[0.5, 0.0], [0.5, 0.0]])
    found = HVTally((LENGTHS,), Fit(both, 9000, 9), Fit(both, 9000, 9))
    assert hv_direction(found).title == "Both channels hold x"


def test_maps_turned_without_their_vectors_are_not_blamed_twice() -> None:
    found = replace(tally(Reading("hv", -1, 1)), turn=TURNS[4])
    assert hv_sign(found).verdict == "ok"
    assert "comes with the turn" in hv_sign(found).evidence
    assert hv_sign(replace(found, turn=TURNS[6])).verdict == "fault"


def test_hv_beside_np_is_own_shape_and_nothing_else() -> None:
    found = replace(tally(score=0.1), moved=(0, 10), moved_from=0.1, moved_to=0.9)
    assert elsewhere(found) == "HV lies 10 px to the right of NP"
    assert hv_own_shape(found).verdict == "fault"
    assert hv_direction(found).verdict == hv_order(found).verdict == "ok"
    turned = replace(tally(score=0.1), turned=(NO_FIT,) * 4 + (fit(READINGS[0]),) * 4)
    assert hv_own_shape(turned).title == "HV is mirrored left to right against NP"


def test_too_few_nuclei_are_not_tested() -> None:
    few = Fit(np.eye(2) / 2, 300, 2)
    found = HVTally((LENGTHS,), few, few, Fit(np.eye(2) / 2, 900))
    for judge in (hv_order, hv_sign, hv_direction, hv_own_shape):
        assert judge(found).verdict == "not tested"
        assert judge(HVTally(())).verdict == "not tested"
