"""Centres and extents come back out of HV of every convention."""

import numpy as np
import pytest

from napari_hovernet.core.diagnosis.target_fit import fits_of
from napari_hovernet.core.hv import HVConvention, hv_targets

from .planted_data import made, real

LABELS = made(1)["labels"][0]


@pytest.mark.parametrize("scale", ["axis", "radial", "isotropic"])
@pytest.mark.parametrize("factor", [0.3, 1, 50])
def test_extents_are_those_of_the_scale(scale, factor):
    hv = hv_targets(LABELS, HVConvention(scale=scale)) * np.float32(factor)
    found = fits_of(0, "a", LABELS, hv)
    assert found.n > 10
    assert found.straight.min() > 0.999
    assert np.abs(found.centre - found.mass).max() < 0.02
    assert np.allclose(found.extent * factor, found.expected(scale), rtol=0.02, atol=0.1)


def test_the_published_centre_is_one_pixel_off(shared):
    labels = real(shared, "val", 1)["labels"][0]
    found = fits_of(0, "a", labels, hv_targets(labels, HVConvention.preset("hover_net")))
    assert np.allclose(found.centre, np.floor(found.mass + 0.5) - 1, atol=0.05)


def test_the_deepest_pixel_is_deep():
    hv = hv_targets(LABELS, HVConvention(centre="distance_peak"))
    assert fits_of(0, "a", LABELS, hv).depth.min() > 0.95


def test_a_blur_does_not_reach_the_inside():
    found = fits_of(0, "a", LABELS, hv_targets(LABELS, HVConvention(blur=1.0)))
    assert np.median(np.abs(found.centre - found.mass)) < 0.1
    ratio = found.extent / found.expected("axis")
    assert abs(np.median(ratio) - 1) < 0.05


def test_inward_and_noise_are_no_fit():
    rng = np.random.default_rng(0)
    for hv in (-hv_targets(LABELS), rng.normal(size=(2, 256, 256)).astype(np.float32)):
        assert np.median(fits_of(0, "a", LABELS, hv).straight) < 0.3


def test_nuclei_without_hv_are_counted():
    first = LABELS.max() == LABELS
    found = fits_of(0, "a", LABELS, hv_targets(np.where(first, 0, LABELS)))
    assert found.without == pytest.approx(1 / (len(np.unique(LABELS)) - 1))


def test_nothing_has_no_fits():
    found = fits_of(0, "a", np.zeros((9, 9), np.int32), np.zeros((2, 9, 9), np.float32))
    assert (found.n, found.without) == (0, 0.0)
