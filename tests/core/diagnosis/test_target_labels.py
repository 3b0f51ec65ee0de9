"""HV and NP against the labels they are stored with."""

import numpy as np
import pytest

from napari_hovernet.core.diagnosis.data_places import FITS, SHIFT, Where
from napari_hovernet.core.diagnosis.report import FAULT, NOT_TESTED, OK, WARN
from napari_hovernet.core.diagnosis.setup import Setup
from napari_hovernet.core.diagnosis.target_fit import fits_of
from napari_hovernet.core.diagnosis.target_labels import (
    Belonging,
    hv_labels,
    look_at_np,
    merged,
    stored_np,
)
from napari_hovernet.core.diagnosis.target_rims import rims_of
from napari_hovernet.core.diagnosis.target_slope import slopes_of
from napari_hovernet.core.hv import hv_targets

from .planted_data import components, made

LABELS = made(3)["labels"]


def belonging(make=hv_targets, where=None, off=""):
    hv = [make(a) for a in LABELS]
    pairs = list(zip(LABELS, hv, strict=True))
    return Belonging(
        where or Where(FITS, 1.0, 1.0),
        slopes_of([(b, a > 0) for a, b in pairs]),
        tuple(fits_of(0, "a", a, b) for a, b in pairs),
        tuple(rims_of(0, "a", a, b, None, Setup()) for a, b in pairs),
        off,
    )


def test_health():
    found = belonging()
    assert hv_labels(found).verdict == OK
    assert merged(found.rims, found.fits) == ""


def test_hv_of_components_goes_through_touching_nuclei():
    found = belonging(lambda a: hv_targets(components(a)))
    assert hv_labels(found).verdict == FAULT
    assert "components" in hv_labels(found).title


def test_hv_without_direction():
    rng = np.random.default_rng(0)
    found = belonging(lambda a: rng.normal(size=(2, *a.shape)).astype(np.float32))
    assert "no direction" in hv_labels(found).title


def test_where_labels_are_off_themselves_it_is_less_certain():
    where = Where(SHIFT, 0.9, 0.1, at=(0, 20))
    sure, unsure = (hv_labels(belonging(where=where, off=o)) for o in ("", "shift"))
    assert sure.verdict == unsure.verdict == FAULT
    assert sure.certainty > 0.9 > unsure.certainty
    assert "HV may be right" in unsure.evidence


def test_many_nuclei_without_hv_are_worth_a_look():
    found = belonging(lambda a: hv_targets(np.where(a % 2, a, 0)))
    assert hv_labels(found).verdict == WARN


def np_of(change, by_labels=True):
    looks = [look_at_np(i, "a", change(a > 0), a > 0) for i, a in enumerate(LABELS)]
    return stored_np(looks, by_labels, Setup())


@pytest.mark.parametrize(
    ("change", "verdict", "action"),
    [
        (lambda a: a, OK, ""),
        (np.logical_not, FAULT, "np_channel"),
        (lambda a: np.roll(a, 2, 0), WARN, ""),
        (lambda a: np.roll(a, 14, 0), FAULT, ""),
        (np.zeros_like, FAULT, ""),
    ],
)
def test_stored_np(change, verdict, action):
    found = np_of(change)
    assert (found.verdict, found.remedy.action) == (verdict, action)


def test_np_with_nothing_beside_it():
    assert stored_np([], True, Setup()).verdict == NOT_TESTED
