"""Our separation: local, banded, steady under weak, strong, noisy and resized maps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_hovernet.core.hv import hv_targets
from napari_hovernet.core.params import SeparationParams
from napari_hovernet.core.separation.local import separate_local, squeeze_energy
from napari_hovernet.core.types import Maps

LOCAL = SeparationParams()


def crowd(height: int = 160, width: int = 200, step: int = 20) -> np.ndarray:
    """Touching ellipses on a grid, every other one turned."""
    y, x = np.mgrid[:height, :width]
    labels = np.zeros((height, width), np.int32)
    for i, cy in enumerate(range(step, height - step // 2, step)):
        for j, cx in enumerate(range(step, width - step // 2, step)):
            a, b = (0.62, 0.5) if (i + j) % 2 else (0.5, 0.62)
            inside = ((y - cy) / (a * step)) ** 2 + ((x - cx) / (b * step)) ** 2 <= 1
            labels[inside & (labels == 0)] = labels.max() + 1
    return labels


def exact(labels: np.ndarray, factor: float = 1.0) -> Maps:
    """Maps without a fault, HV times ``factor``."""
    return Maps(np=labels > 0, hv=hv_targets(labels) * np.float32(factor))


@pytest.mark.parametrize("step", [12, 20, 40, 60])
def test_sizes_from_half_to_triple(step):
    labels = crowd(step * 6, step * 7, step)
    assert separate_local(exact(labels), LOCAL).n == labels.max()


@pytest.mark.parametrize("factor", [0.02, 0.3, 3, 50])
def test_weak_and_overshooting_hv(factor):
    labels = crowd()
    found = separate_local(exact(labels, factor), LOCAL)
    assert found.n == labels.max()


def test_noise_is_borne():
    labels = crowd()
    maps = exact(labels)
    noise = np.random.default_rng(0).standard_normal(maps.hv.shape).astype(np.float32)
    found = separate_local(Maps(np=maps.np, hv=maps.hv + 0.2 * noise), LOCAL)
    assert found.n == labels.max()


def test_no_hv_no_cut():
    labels = crowd()
    found = separate_local(Maps(np=labels > 0, hv=np.zeros((2, *labels.shape))), LOCAL)
    assert found.n == 1


def test_bands_do_not_change_the_result():
    maps = exact(crowd())
    whole, cut = separate_local(maps, LOCAL), separate_local(maps, replace(LOCAL, band_rows=13))
    np.testing.assert_allclose(cut.energy, whole.energy, atol=1e-5)
    np.testing.assert_array_equal(cut.labels, whole.labels)


def test_hv_of_the_background_draws_nothing():
    labels = crowd()
    maps = exact(labels)
    hv = maps.hv.copy()
    outside = np.broadcast_to(labels == 0, hv.shape)
    hv[outside] = np.random.default_rng(0).standard_normal(int(outside.sum()))
    found = separate_local(Maps(np=maps.np, hv=hv), LOCAL)
    np.testing.assert_array_equal(found.labels, separate_local(maps, LOCAL).labels)


def test_a_hole_in_a_nucleus_is_filled_and_a_gap_between_nuclei_is_not():
    labels = np.zeros((60, 60), np.int32)
    labels[10:30, 10:30], labels[10:30, 30:50] = 1, 2
    labels[30:50, 10:30], labels[30:50, 30:50] = 3, 4
    hv = hv_targets(labels)
    probability = (labels > 0).astype(np.float32)
    probability[18:21, 17:20] = 0.1
    probability[27:33, 27:33] = 0.1
    found = separate_local(Maps(np=probability, hv=hv), LOCAL)
    assert found.n == 4
    assert found.mask[18:21, 17:20].all()
    assert len(np.unique(found.labels[10:25, 10:25])) == 1
    assert not found.mask[27:33, 27:33].any()
    assert not found.labels[27:33, 27:33].any()


def test_unsure_instances_are_dropped():
    labels = np.zeros((40, 60), np.int32)
    labels[5:20, 5:20], labels[5:20, 30:45] = 1, 2
    probability = np.where(labels == 1, 0.9, np.where(labels == 2, 0.5, 0))
    found = separate_local(Maps(np=probability, hv=hv_targets(labels)), LOCAL)
    assert found.n == 1
    assert found.labels[10, 10] == 1
    assert not found.markers[10, 35]


def test_energy_is_low_in_nuclei_and_high_between():
    labels = np.zeros((30, 50), np.int32)
    labels[5:25, 5:25], labels[5:25, 25:45] = 1, 2
    energy = squeeze_energy(exact(labels), labels > 0, LOCAL)
    assert energy[15, 15] < -0.1
    assert energy[15, 25] > 0.3
    assert not energy[labels == 0].any()


def test_a_crop_gives_what_the_whole_gives(shared):
    """Away from the cut by the reach of the filters, on real maps."""
    reach = LOCAL.magnitude_window // 2 + 12
    checked = 0
    for path in sorted((shared / "golden" / "predicted").glob("monuseg*.npz")):
        with np.load(path) as data:
            probability = np.clip(data["np_prob"].astype(np.float32), 0, 1)
            hv = data["hv_pred"].astype(np.float32)
        whole = separate_local(Maps(np=probability, hv=hv), LOCAL)
        at = np.s_[101:590, 75:600]
        part = separate_local(Maps(np=probability[at], hv=hv[(slice(None), *at)]), LOCAL)
        inner = np.s_[reach:-reach, reach:-reach]
        np.testing.assert_allclose(part.energy[inner], whole.energy[at][inner], atol=1e-5)
        mine, theirs = part.labels[inner].ravel(), whole.labels[at][inner].ravel()
        columns = whole.n + 1
        pairs = np.unique(mine.astype(np.int64) * columns + theirs)
        mine, theirs = pairs // columns, pairs % columns
        assert len(np.unique(mine)) == len(np.unique(theirs)) == len(pairs), path.stem
        assert pairs[0] == 0
        checked += len(pairs) - 1
    assert checked > 100
