"""What the published post-processing does, and does not do well."""

from __future__ import annotations

import numpy as np

from napari_hovernet.core.hv import hv_targets
from napari_hovernet.core.params import SeparationParams
from napari_hovernet.core.separation.published import separate_hover_net
from napari_hovernet.core.types import Maps

PUBLISHED = SeparationParams.preset("hover_net")


def squares() -> np.ndarray:
    """A row of touching squares, 30 pixels wide."""
    labels = np.zeros((90, 150), np.int32)
    for i in range(4):
        labels[30:60, 15 + 30 * i : 45 + 30 * i] = i + 1
    return labels


def test_scale_of_hv_does_not_matter():
    labels = squares()
    hv = hv_targets(labels)
    results = [
        separate_hover_net(Maps(np=labels > 0, hv=hv * factor), PUBLISHED).labels
        for factor in (0.02, 1, 50)
    ]
    assert results[1].max() == 4
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[2], results[1])


def test_bands_do_not_change_the_result():
    labels = squares()
    maps = Maps(np=labels > 0, hv=hv_targets(labels))
    whole = separate_hover_net(maps, PUBLISHED)
    narrow = SeparationParams(
        method="hover_net", np_threshold=0.5, min_area=10, max_hole_area=0, band_rows=7
    )
    cut = separate_hover_net(maps, narrow)
    np.testing.assert_allclose(cut.energy, whole.energy, atol=1e-6)
    np.testing.assert_array_equal(cut.labels, whole.labels)


def test_the_rest_of_the_tile_matters():
    labels = squares()
    hv = hv_targets(labels)
    alone = separate_hover_net(Maps(np=labels > 0, hv=hv), PUBLISHED).n
    hv[:, :5, :40], hv[:, :5, 40:80] = 40, -40
    assert separate_hover_net(Maps(np=labels > 0, hv=hv), PUBLISHED).n != alone


def test_energy_is_a_distance_inside_the_mask():
    labels = squares()
    result = separate_hover_net(Maps(np=labels > 0, hv=hv_targets(labels)), PUBLISHED)
    assert result.energy.min() >= -1
    assert result.energy.max() <= 0
