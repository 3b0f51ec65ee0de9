"""Generated nuclei are what they are said to be: touching, of known number and coverage."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from napari_hovernet.core.diagnosis.separation_scenes import (
    GROUPS,
    beside,
    clusters,
    exact_maps,
    inside_out,
    rows_of_ellipses,
    scenes,
    singles,
    soft_maps,
)
from napari_hovernet.core.hv import hv_targets
from napari_hovernet.core.measure.metrics import evaluate
from napari_hovernet.core.params import SeparationParams
from napari_hovernet.core.separation import separate
from napari_hovernet.errors import InputError


@pytest.mark.parametrize("radius", [9, 12.5, 16])
def test_clusters_are_60_nuclei_of_which_components_make_an_aji_of_a_bit_over_a_quarter(radius):
    labels = clusters(radius)
    parts, n = ndimage.label(labels > 0)
    assert labels.max() == 60 == sum(GROUPS)
    assert n == len(GROUPS) == 18
    assert evaluate(labels, parts).aji == pytest.approx(60 / sum(k * k for k in GROUPS), abs=0.004)
    sizes = np.bincount(labels.ravel())[1:]
    assert sizes.min() > 0.8 * np.pi * radius**2


def test_rows_touch_and_singles_stand_alone():
    assert ndimage.label(rows_of_ellipses(9) > 0)[1] == 3
    assert rows_of_ellipses(9).max() == 18
    assert ndimage.label(singles(9) > 0)[1] == singles(9).max() == 12


def test_no_nucleus_is_cut_by_the_border():
    for labels in (clusters(9), rows_of_ellipses(9), singles(9)):
        rim = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
        assert not rim.any()


@pytest.mark.parametrize("radius", [9, 16])
@pytest.mark.parametrize("preset", ["local", "hover_net"])
def test_healthy_separations_cut_all_of_them(radius, preset):
    for made in scenes(radius):
        params = SeparationParams.preset(preset)
        assert evaluate(made.labels, separate(made.exact, params).labels).aji > 0.97
        assert evaluate(made.labels, separate(made.soft, params).labels).aji > 0.9


def test_exact_maps_are_the_targets_and_soft_ones_resemble_them():
    labels = clusters(9)
    exact, soft = exact_maps(labels), soft_maps(labels)
    np.testing.assert_array_equal(exact.hv, hv_targets(labels))
    assert set(np.unique(exact.np)) == {0, 1}
    inside = labels > 0
    product = (exact.hv * soft.hv).sum(0)[inside]
    norm = (exact.magnitude * soft.magnitude)[inside]
    assert 0.85 < (product[norm > 0] / norm[norm > 0]).mean() < 1
    np.testing.assert_array_equal(soft.hv, soft_maps(labels).hv)


def test_inside_out_keeps_directions_and_turns_lengths_round():
    exact = exact_maps(singles(9))
    turned = inside_out(exact)
    there = exact.magnitude > 0.05
    np.testing.assert_allclose((exact.magnitude + turned.magnitude)[there], 1.05, atol=0.06)
    cross = exact.hv[0] * turned.hv[1] - exact.hv[1] * turned.hv[0]
    assert np.abs(cross).max() < 1e-6
    assert (exact.hv * turned.hv).sum(0).min() >= 0


def test_beside_keeps_the_first_block_and_lengthens_the_second():
    first, second = clusters(9), singles(6)
    maps = beside(first, second, 9, 3.0)
    height, width = first.shape
    np.testing.assert_array_equal(maps.hv[:, :height, :width], hv_targets(first))
    assert maps.hv[:, :, width:].max() == pytest.approx(3.0)
    assert not maps.np[:, width : width + 18].any()


def test_nuclei_too_small_to_draw_are_refused():
    with pytest.raises(InputError, match="radius is 2"):
        clusters(2)
