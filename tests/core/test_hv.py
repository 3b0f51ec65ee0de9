import numpy as np
import pytest

from napari_hovernet.core.hv import HVConvention, HVReading, convert, hv_targets, magnitude, read_hv
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


def test_huge_ids_views_and_single_pixels():
    labels = discs().astype(np.int64)
    np.testing.assert_array_equal(hv_targets(labels * 10**15), hv_targets(labels))
    wide = np.repeat(discs(), 2, axis=1)
    np.testing.assert_array_equal(hv_targets(wide[:, ::2]), hv_targets(discs()))
    assert hv_targets(np.ones((1, 1), int)).ravel().tolist() == [0, 0]
    hv = hv_targets(np.ones((3, 5), int))
    assert (hv[0, 1, 4], hv[1, 2, 2]) == (1, 1)


@pytest.mark.parametrize("shape", [(0, 0), (0, 5), (1, 1), (4, 3)])
def test_empty(shape):
    hv = hv_targets(np.zeros(shape, int))
    assert hv.shape == (2, *shape) and not hv.any()


def test_distance_peak_is_the_deepest_pixel_and_resized_a_reduced_map():
    labels = np.zeros((20, 30), int)
    labels[5:16, 2:13] = 1
    labels[9:12, 13:28] = 1
    hv = hv_targets(labels, HVConvention(centre="distance_peak"))
    centre = np.argwhere((magnitude(hv) == 0) & (labels > 0))
    assert centre.tolist() == [[10, 7]]
    hv = hv_targets(discs(), HVConvention.preset("vh_inward_resized"))
    plain = hv_targets(discs(), HVConvention(order="vh", sign="inward"))
    inside = discs() > 0
    assert 0.01 < np.abs(hv - plain)[:, inside].mean() < 0.15


def test_hover_net_leaves_small_nuclei_out_and_splits_ids():
    labels = np.zeros((30, 40), int)
    labels[1:12, 10:20] = 1
    labels[15:19, 10:15] = 2
    labels[18:28, 25:35] = 3
    hv = hv_targets(labels, HVConvention.preset("hover_net"))
    given = [bool(hv[:, labels == i].any()) for i in (1, 2, 3)]
    assert given == [False, False, True]
    labels = np.zeros((20, 40), int)
    labels[5:15, 5:15] = 1
    labels[5:15, 25:35] = 1
    hv = hv_targets(labels, HVConvention.preset("hover_net"))
    np.testing.assert_array_equal(hv[:, 5:15, 5:15], hv[:, 5:15, 25:35])


def test_convert_goes_there_and_back_or_refuses():
    hv = hv_targets(discs())
    target = HVConvention(order="vh", sign="inward")
    there = convert(hv, HVConvention(), target)
    np.testing.assert_array_equal(there, hv_targets(discs(), target))
    np.testing.assert_array_equal(convert(there, target, HVConvention()), hv)
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


def test_a_reading_copies_nothing_or_leaves_the_maps_alone():
    maps = Maps(np=LABELS > 0, hv=hv_targets(LABELS))
    assert read_hv(maps, HVReading()) is maps
    before = maps.hv.copy()
    np.testing.assert_allclose(
        read_hv(maps, HVReading(scale=3)).magnitude, 3 * maps.magnitude, rtol=1e-6
    )
    np.testing.assert_array_equal(maps.hv, before)
