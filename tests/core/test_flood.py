"""Flooding against its definition and against scikit-image."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from skimage.segmentation import watershed as skimage_watershed

from napari_hovernet.core.separation import kernels as flood


def landscape(seed: int = 0, shape: tuple[int, int] = (60, 70)) -> np.ndarray:
    """Smooth noise in about -1..1."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal(shape), 3)
    return (noise / np.abs(noise).max()).astype(np.float32)


def ordered(parts: np.ndarray, energy: np.ndarray, order: np.ndarray) -> None:
    """List all pixels and sort them share by share, energies in -1..1."""
    ends = flood.list_pixels(parts, order)
    for start, stop in flood.shares(ends, flood.SHARE_PIXELS):
        flood.sort_parts(parts, energy, -1.0, 1.0, order[start:stop])


def basins(energy: np.ndarray, mask: np.ndarray, depth: float) -> np.ndarray:
    """Order and flood, as the separation does."""
    labels = ndimage.label(mask)[0].astype(np.int32)
    order = np.empty(int(mask.sum()), np.int32)
    ordered(labels.ravel(), energy.ravel(), order)
    labels[:] = 0
    flood.grow_basins(order, labels.shape[1], energy.ravel(), labels.ravel(), depth)
    return labels


def test_order_is_by_part_then_energy_then_place():
    parts = np.array([2, 1, 0, 2, 1, 1], np.int32)
    energy = np.array([0.5, 0.2, -1.0, -0.5, 0.1, 0.2], np.float32)
    order = np.empty(5, np.int32)
    ordered(parts, energy, order)
    assert order.tolist() == [4, 1, 5, 3, 0]


def test_order_of_more_than_is_sorted_at_once():
    rng = np.random.default_rng(0)
    size = 3 * flood.SHARE_PIXELS + 70_000
    parts = np.sort(rng.integers(0, 40, size)).astype(np.int32)
    energy = (rng.integers(-90, 90, size) / 100).astype(np.float32)
    order = np.empty(np.count_nonzero(parts), np.int32)
    ordered(parts, energy, order)
    expected = np.lexsort((np.arange(size), energy, parts))
    np.testing.assert_array_equal(order, expected[np.count_nonzero(parts == 0) :])


def test_shares_are_whole_parts():
    ends = np.array([0, 3, 5, 25, 26, 30])
    assert flood.shares(ends, 6) == [(0, 5), (5, 25), (25, 30)]
    assert flood.shares(ends, 100) == [(0, 30)]
    assert flood.shares(np.zeros(1, np.int64), 6) == []


def test_order_survives_energies_out_of_range():
    parts = np.ones(4, np.int32)
    energy = np.array([9.0, -9.0, 0.0, 5.0], np.float32)
    order = np.empty(4, np.int32)
    ordered(parts, energy, order)
    assert order.tolist() == [1, 2, 0, 3]


@pytest.mark.parametrize("depth", [0.0, 0.1, 0.4])
def test_basins_are_as_many_as_minima_of_that_depth(depth):
    energy = landscape()
    labels = basins(energy, np.ones_like(energy, bool), depth)
    deep = count_deep_minima(energy, depth)
    assert len(np.unique(labels)) == deep
    assert labels.min() > 0


def count_deep_minima(energy: np.ndarray, depth: float) -> int:
    """Minima whose lowest way to a deeper one climbs by ``depth`` at least."""
    lows = ndimage.minimum_filter(energy, footprint=np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]]))
    count = 0
    for at in np.argwhere(energy == lows):
        level = energy[tuple(at)]
        pool = ndimage.label(energy < level + depth)[0]
        here = pool == pool[tuple(at)] if depth else np.zeros_like(energy, bool)
        count += not (energy[here] < level).any()
    return count


def test_basins_never_leave_their_part():
    mask = np.ones((20, 30), bool)
    mask[:, 15] = False
    labels = basins(np.zeros((20, 30), np.float32), mask, 0.1)
    assert len(np.unique(labels[mask])) == 2
    assert not labels[~mask].any()
    assert len(np.unique(labels[:, :15])) == 1


def test_many_basins_make_the_table_grow():
    energy = np.zeros((100, 100), np.float32)
    energy[::2, ::2] = -1
    labels = basins(energy, np.ones_like(energy, bool), 0.5)
    assert len(np.unique(labels)) == 2500 > flood.FIRST_ROOM


@pytest.mark.parametrize("seed", range(3))
def test_watershed_equals_scikit_image(seed):
    energy = landscape(seed)
    mask = landscape(seed + 10) > -0.1
    markers = ndimage.label((energy < -0.3) & mask)[0].astype(np.int32)
    parts, n = ndimage.label(mask)
    parts = parts.astype(np.int32)
    found = flood.count_markers(parts.ravel(), markers.ravel(), n)
    labels = np.zeros_like(parts)
    flood.watershed(energy, parts, found, markers, labels)
    np.testing.assert_array_equal(labels, skimage_watershed(energy, markers, mask=mask))


def test_heap_gives_least_first_and_equals_in_turn():
    keys = np.random.default_rng(0).integers(0, 20, 200).astype(float)
    heap_key, heap_at = np.empty(200), np.zeros((200, 2), np.int64)
    size = 0
    for age, key in enumerate(keys):
        heap_at[size, 1] = age
        size = flood.push(heap_key, heap_at, size, key, age)
    came = []
    while size:
        came.append(int(heap_at[0, 0]))
        size = flood.pop(heap_key, heap_at, size)
    assert came == np.argsort(keys, kind="stable").tolist()


def test_numbering_is_by_first_pixel_and_drops():
    labels = np.array([0, 4, 2, 2, 4, 3], np.int32)
    n = flood.number_in_order(labels, np.array([True, True, False, True, True]))
    assert n == 2
    assert labels.tolist() == [0, 1, 0, 0, 1, 2]


def test_mean_per_id():
    ids, values = np.array([1, 1, 0, 3]), np.array([0.5, 1.0, 9.0, 2.0])
    assert flood.mean_per_id(ids, values, 3).tolist() == [0, 0.75, 0, 2]


def test_squeeze_of_a_linear_field():
    y, x = np.mgrid[:9, :9].astype(np.float32)
    total = np.zeros((9, 9), np.float32)
    inside = np.ones((9, 9), bool)
    flood.add_squeeze(0.3 * x, 0.1 * y, inside, 2.0, 0.0, total)
    np.testing.assert_allclose(total, -0.8, rtol=1e-5)
    total[:] = 0
    flood.add_squeeze(0.3 * x, 0.1 * y, inside, 2.0, 1.0, total)
    np.testing.assert_allclose(total, -0.4, rtol=1e-4)


def test_squeeze_does_not_depend_on_direction():
    y, x = np.mgrid[:9, :9].astype(np.float32)
    totals = np.zeros((2, 9, 9), np.float32)
    inside = np.ones((9, 9), bool)
    flood.add_squeeze(-x, np.zeros_like(x), inside, 1.0, 1.0, totals[0])
    slant = -(x + y) / 2
    flood.add_squeeze(slant, slant, inside, 1.0, 1.0, totals[1])
    np.testing.assert_allclose(totals[0], totals[1], atol=1e-5)
