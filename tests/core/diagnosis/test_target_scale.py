"""Scale, length and centre of stored HV."""

import numpy as np
import pytest

from napari_hovernet.core.diagnosis.items import Item
from napari_hovernet.core.diagnosis.report import FAULT, NOT_TESTED, OK, WARN
from napari_hovernet.core.diagnosis.setup import Setup
from napari_hovernet.core.diagnosis.target_fit import fits_of
from napari_hovernet.core.diagnosis.target_scale import (
    centre_places,
    convention_of,
    is_off_centre,
    origin,
    scale,
)
from napari_hovernet.core.hv import HVConvention, hv_targets

from .planted_data import made

LABELS = made(3)["labels"]


def told(change=lambda hv: hv, **convention):
    hv = [change(hv_targets(a, HVConvention(**convention))) for a in LABELS]
    return [fits_of(i, "a", a, b) for i, (a, b) in enumerate(zip(LABELS, hv, strict=True))]


@pytest.mark.parametrize("kind", ["axis", "radial", "isotropic"])
@pytest.mark.parametrize("blur", [0.0, 1.0])
@pytest.mark.parametrize("factor", [0.5, 1.0, 3.0])
def test_scale_is_told_whatever_the_length_and_the_blur(kind, blur, factor):
    found = convention_of(told(lambda hv: hv * np.float32(factor), scale=kind, blur=blur))
    assert found.scale == kind
    assert found.factor == pytest.approx(factor, rel=0.04)
    assert scale(found, Setup(), True).verdict == (OK if factor == 1 else FAULT)
    assert scale(found, Setup(), False).verdict == OK


def test_the_length_is_put_on_the_divisor_before():
    found = convention_of(told(lambda hv: hv * np.float32(0.25)))
    remedy = scale(found, Setup(target_divisor=127.0), True).remedy
    assert remedy.value == pytest.approx(127 / 4, rel=0.01)


@pytest.mark.parametrize("centre", ["mass", "hover_net", "distance_peak"])
def test_known_centres_are_named(centre):
    found = convention_of(told(centre=centre))
    assert found.centre == centre
    wanted = WARN if centre == "distance_peak" else OK
    assert origin(found, False, Setup()).verdict == wanted


@pytest.mark.parametrize(("cols", "off"), [(1, True), (2, True), (0, False)])
def test_hv_that_is_moved_by_a_pixel_is_off_centre(cols, off):
    found = convention_of(told(lambda hv: np.roll(hv, cols, 2)))
    assert is_off_centre(found) is off
    finding = origin(found, False, Setup())
    assert finding.verdict == (FAULT if off else OK)
    assert origin(found, True, Setup()).verdict == NOT_TESTED


def test_the_deepest_pixel_is_in_order_where_the_convention_has_it():
    found = convention_of(told(centre="distance_peak", scale="isotropic"))
    assert origin(found, False, Setup(target_sign="inward")).verdict == OK
    assert origin(found, False, Setup(target_order="vh")).verdict == WARN


def test_places_are_where_the_centre_is_farthest_off():
    fits = told(lambda hv: np.roll(hv, 2, 2))
    items = {i: Item(i, "a", labels=a) for i, a in enumerate(LABELS)}
    places = centre_places(fits, items, 2)
    assert len(places) == 2
    assert "2." in places[0].words or "1." in places[0].words


def test_too_few_nuclei_tell_nothing():
    assert convention_of([]) is None
    assert scale(None, Setup(), True).verdict == origin(None, False, Setup()).verdict == NOT_TESTED
