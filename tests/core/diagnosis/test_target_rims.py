"""What a blur or a resize takes from the jumps between nuclei."""

import numpy as np
import pytest

from napari_hovernet.core.diagnosis.report import FAULT, NOT_TESTED, OK, WARN
from napari_hovernet.core.diagnosis.setup import Setup
from napari_hovernet.core.diagnosis.target_fit import fits_of
from napari_hovernet.core.diagnosis.target_rims import resized, rims_of
from napari_hovernet.core.diagnosis.target_scale import convention_of
from napari_hovernet.core.hv import HVConvention, hv_targets

from .planted_data import made

LABELS = made(3)["labels"]


def rims(labels=LABELS, setup=None, **convention):
    hv = [hv_targets(a, HVConvention(**convention)) for a in labels]
    found = convention_of([fits_of(0, "a", a, b) for a, b in zip(labels, hv, strict=True)])
    return [rims_of(0, "a", a, b, found, setup or Setup()) for a, b in zip(labels, hv, strict=True)]


@pytest.mark.parametrize(
    ("how", "verdict"),
    [
        ({}, OK),
        ({"scale": "radial"}, OK),
        ({"centre": "distance_peak", "scale": "isotropic"}, OK),
        ({"blur": 0.5}, WARN),
        ({"blur": 1.0}, FAULT),
        ({"resize": 224 / 256}, FAULT),
        ({"resize": 2.0}, FAULT),
    ],
)
def test_by_size(how, verdict):
    assert resized(rims(**how)).verdict == verdict


def test_more_blur_loses_more():
    losses = [resized(rims(blur=b)).value for b in (0.3, 0.5, 1.0, 2.0)]
    assert losses == sorted(losses)
    assert losses[0] < 0.2
    assert losses[-1] > 0.8


def test_where_nothing_touches_the_rim_tells():
    labels = [np.where(np.isin(a, (1, 5, 9)), a, 0) for a in LABELS]
    sharp, soft = resized(rims(labels)), resized(rims(labels, blur=2.0))
    assert "HV at the rims" in sharp.evidence
    assert (sharp.verdict, soft.verdict) == (OK, FAULT)


def test_the_weakest_jump_is_shown_inside_the_image():
    r0, r1, c0, c1 = rims(blur=1.0)[0].box
    assert 0 <= r0 < r1 <= 256
    assert 0 <= c0 < c1 <= 256


def test_nothing_to_compare():
    assert resized([]).verdict == NOT_TESTED
