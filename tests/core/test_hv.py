from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from napari_hovernet.core.hv import (
    PRESETS,
    HVConvention,
    HVReading,
    compact_ids,
    convert,
    hv_targets,
    label_equal,
    magnitude,
    moments,
    read_hv,
)
from napari_hovernet.core.types import Maps
from napari_hovernet.errors import InputError


def discs() -> np.ndarray:
    """Two touching discs of odd and even diameter."""
    y, x = np.mgrid[:40, :60]
    labels = np.zeros((40, 60), np.int32)
    labels[(y - 20) ** 2 + (x - 18) ** 2 <= 100] = 1
    labels[((y - 19.5) ** 2 + (x - 36.5) ** 2 <= 64) & (labels == 0)] = 2
    return labels


def by_hand(labels: np.ndarray) -> np.ndarray:
    """The default convention, one nucleus at a time."""
    hv = np.zeros((2, *labels.shape))
    for i in np.unique(labels[labels > 0]):
        rows, cols = np.nonzero(labels == i)
        for channel, at in enumerate((cols, rows)):
            offset = at - at.mean()
            below, above = -offset.min(), offset.max()
            side = np.where(offset < 0, below, above)
            hv[channel, rows, cols] = np.divide(offset, side, out=np.zeros(len(at)), where=side > 0)
    return hv


@pytest.mark.parametrize("seed", range(3))
def test_equals_the_definition(seed):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 5, (13, 17))
    hv = hv_targets(labels)
    assert hv.dtype == np.float32
    np.testing.assert_allclose(hv, by_hand(labels), atol=1e-6)


def test_default_reaches_one_on_every_side():
    hv = hv_targets(discs())
    for nucleus in (1, 2):
        inside = discs() == nucleus
        assert hv[:, inside].min(axis=1).tolist() == [-1, -1]
        assert hv[:, inside].max(axis=1).tolist() == [1, 1]
    assert not hv[:, discs() == 0].any()


def test_right_and_down_are_positive():
    hv = hv_targets(np.ones((3, 5), int))
    assert hv[0, 1, 4] == 1
    assert hv[1, 2, 2] == 1


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int64, np.uint32])
def test_ids_and_dtype_do_not_matter(dtype):
    labels = discs()
    ids = np.array([0, 200, 7], dtype)
    np.testing.assert_array_equal(hv_targets(ids[labels]), hv_targets(labels))


def test_huge_ids_cost_no_huge_table():
    labels = discs().astype(np.int64)
    np.testing.assert_array_equal(hv_targets(labels * 10**15), hv_targets(labels))


def test_view_with_strides():
    wide = np.repeat(discs(), 2, axis=1)
    np.testing.assert_array_equal(hv_targets(wide[:, ::2]), hv_targets(discs()))


@pytest.mark.parametrize("shape", [(0, 0), (0, 5), (1, 1), (4, 3)])
def test_empty(shape):
    hv = hv_targets(np.zeros(shape, int))
    assert hv.shape == (2, *shape)
    assert not hv.any()


def test_one_pixel_is_its_own_centre():
    assert hv_targets(np.ones((1, 1), int)).ravel().tolist() == [0, 0]


@pytest.mark.parametrize("convention", PRESETS.values(), ids=PRESETS)
def test_presets_stay_in_range_and_are_repeatable(convention):
    hv = hv_targets(discs(), convention)
    assert hv.shape == (2, 40, 60)
    assert 0.5 < np.abs(hv).max() <= 1
    np.testing.assert_array_equal(hv, hv_targets(discs(), convention))


def test_radial_scale_bounds_the_magnitude():
    convention = HVConvention(scale="radial")
    assert magnitude(hv_targets(discs(), convention)).max() == pytest.approx(1)
    assert magnitude(hv_targets(discs())).max() > 1.05


def test_distance_peak_is_the_deepest_pixel():
    labels = np.zeros((20, 30), int)
    labels[5:16, 2:13] = 1
    labels[9:12, 13:28] = 1
    hv = hv_targets(labels, HVConvention(centre="distance_peak"))
    centre = np.argwhere((magnitude(hv) == 0) & (labels > 0))
    assert centre.tolist() == [[10, 7]]


def test_hover_net_gives_small_and_edge_nuclei_nothing():
    labels = np.zeros((30, 40), int)
    labels[1:12, 10:20] = 1
    labels[15:19, 10:15] = 2
    labels[18:28, 25:35] = 3
    hv = hv_targets(labels, HVConvention.preset("hover_net"))
    given = [bool(hv[:, labels == i].any()) for i in (1, 2, 3)]
    assert given == [False, False, True]


def test_hover_net_splits_the_parts_of_one_id():
    labels = np.zeros((20, 40), int)
    labels[5:15, 5:15] = 1
    labels[5:15, 25:35] = 1
    hv = hv_targets(labels, HVConvention.preset("hover_net"))
    np.testing.assert_array_equal(hv[:, 5:15, 5:15], hv[:, 5:15, 25:35])


def test_resized_reduces_the_map_of_a_larger_grid():
    hv = hv_targets(discs(), HVConvention.preset("vh_inward_resized"))
    plain = hv_targets(discs(), HVConvention(order="vh", sign="inward"))
    inside = discs() > 0
    assert 0.01 < np.abs(hv - plain)[:, inside].mean() < 0.15


def test_convert_changes_order_and_sign_and_back():
    hv = hv_targets(discs())
    target = HVConvention(order="vh", sign="inward")
    there = convert(hv, HVConvention(), target)
    np.testing.assert_array_equal(there, hv_targets(discs(), target))
    np.testing.assert_array_equal(convert(there, target, HVConvention()), hv)


def test_convert_never_writes_to_its_input():
    hv = hv_targets(discs())
    convert(hv, HVConvention(), HVConvention())[:] = 9
    assert hv.max() <= 1


def test_convert_refuses_what_cannot_be_undone():
    with pytest.raises(InputError, match="differ in scale, which"):
        convert(np.zeros((2, 3, 3)), HVConvention(), HVConvention(scale="radial"))


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.zeros((2, 3, 4), int), "shape"),
        (np.zeros((3, 4)), "float64"),
        (np.array([[-1, 2]]), "-1"),
    ],
)
def test_refuses_labels(labels, message):
    with pytest.raises(InputError, match=message):
        hv_targets(labels)


@pytest.mark.parametrize(
    "field",
    [
        {"order": "xy"},
        {"sign": "up"},
        {"centre": "?"},
        {"scale": "log"},
        {"blur": -1.0},
        {"min_area": -1},
        {"edge": -2},
        {"resize": 0.0},
        {"resize": float("nan")},
    ],
)
def test_refuses_conventions(field):
    with pytest.raises(InputError, match=next(iter(field))):
        HVConvention(**field)


def test_refuses_an_unknown_preset():
    with pytest.raises(InputError, match="hover_net"):
        HVConvention.preset("hovernet")


def test_refuses_one_channel():
    with pytest.raises(InputError, match="two channels"):
        magnitude(np.zeros((1, 4, 4)))


def test_compact_ids_keeps_the_partition():
    ids, largest = compact_ids(np.array([[10**9, 0], [5, 10**9]]))
    assert ids.tolist() == [[2, 0], [1, 2]]
    assert largest == 2


def test_equals_the_reference(shared):
    compared = 0
    for path in sorted((shared / "golden" / "maps").glob("*.npz")):
        with np.load(path) as data:
            labels, reference = data["labels"], data["hv_hover_net"]
        hv = hv_targets(labels, HVConvention.preset("hover_net"))
        assert np.abs(hv - reference).max() < 1e-6
        compared += 1
    assert compared == 6


LABELS = np.pad(np.array([[1, 1, 1, 2, 2], [1, 1, 1, 2, 2], [1, 1, 0, 2, 2]]), 2)


@pytest.mark.parametrize("order", ["hv", "vh"])
@pytest.mark.parametrize("sign", ["outward", "inward"])
def test_every_stored_form_is_read_back(order, sign):
    stored = hv_targets(LABELS, HVConvention(order=order, sign=sign))
    read = read_hv(Maps(np=LABELS > 0, hv=stored), HVReading(order=order, sign=sign))
    np.testing.assert_array_equal(read.hv, hv_targets(LABELS))


def test_a_plain_reading_copies_nothing():
    maps = Maps(np=LABELS > 0, hv=hv_targets(LABELS))
    assert read_hv(maps, HVReading()) is maps


def test_scale_makes_vectors_longer_and_leaves_the_maps_alone():
    maps = Maps(np=LABELS > 0, hv=hv_targets(LABELS))
    before = maps.hv.copy()
    np.testing.assert_allclose(
        read_hv(maps, HVReading(scale=3)).magnitude, 3 * maps.magnitude, rtol=1e-6
    )
    np.testing.assert_array_equal(maps.hv, before)


@pytest.mark.parametrize(
    "field",
    [
        {"order": "xy"},
        {"sign": "up"},
        {"scale": 0.0},
        {"scale": 51.0},
        {"scale": float("nan")},
        {"scale": float("inf")},
    ],
    ids=str,
)
def test_what_is_refused_is_named(field):
    with pytest.raises(InputError, match=next(iter(field))):
        HVReading(**field)


def test_moments_of_random_labels():
    ids = np.random.default_rng(0).integers(0, 6, (20, 23)).astype(np.int32)
    count, total, box = moments(ids, 6)
    assert count[0] == 0
    assert count[6] == 0
    for i in range(1, 6):
        rows, cols = np.nonzero(ids == i)
        assert count[i] == len(rows)
        assert total[i].tolist() == [rows.sum(), cols.sum()]
        assert box[i].tolist() == [rows.min(), cols.min(), rows.max(), cols.max()]


def test_parts_of_equal_id():
    ids = np.random.default_rng(1).integers(0, 3, (31, 29)).astype(np.int32)
    parts = np.zeros_like(ids)
    n = label_equal(ids, parts)
    expected = sum(ndimage.label(ids == i)[1] for i in (1, 2))
    assert n == expected == parts.max()
    assert len(np.unique(np.stack((ids, parts)).reshape(2, -1), axis=1).T) == n + 1
    assert ((parts > 0) == (ids > 0)).all()
