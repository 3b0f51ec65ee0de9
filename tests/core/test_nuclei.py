import cv2
import numpy as np
import pytest
from scipy import ndimage

from napari_hovernet.core.measure.nuclei import measure
from napari_hovernet.core.types import Maps
from napari_hovernet.errors import InputError


def ragged_labels(seed: int) -> np.ndarray:
    """Labels of every kind: holes, parts, single pixels, touching the border."""
    rng = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(rng.random((50, 60)), 2 * rng.random())
    return np.digitize(smooth, np.quantile(smooth, [0.3, 0.5, 0.7, 0.9])).astype(np.int32)


def random_maps(shape: tuple[int, int], n_types: int | None = 4, seed: int = 0) -> Maps:
    rng = np.random.default_rng(seed)
    types = None if n_types is None else rng.random((n_types, *shape), dtype=np.float32)
    return Maps(np=rng.random(shape), hv=rng.uniform(-1, 1, (2, *shape)), types=types)


@pytest.mark.parametrize("seed", range(6))
def test_contours_are_those_of_opencv(seed: int) -> None:
    labels = ragged_labels(seed)
    nuclei = measure(labels)
    for label, (r0, c0, r1, c1), contour in zip(
        nuclei.label, nuclei.bbox, nuclei.contours, strict=True
    ):
        crop = (labels[r0:r1, c0:c1] == label).astype(np.uint8)
        found, _ = cv2.findContours(crop, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        enclosed = [
            int(cv2.drawContours(np.zeros_like(crop), [c], -1, 1, cv2.FILLED).sum()) for c in found
        ]
        largest = [
            c.reshape(-1, 2) + np.array([c0, r0])
            for c, n in zip(found, enclosed, strict=True)
            if n == max(enclosed)
        ]
        assert any(np.array_equal(contour, c) for c in largest)


def test_numbers_of_each_nucleus_equal_plain_ones() -> None:
    labels = ragged_labels(1)
    nuclei = measure(labels)
    for i, label in enumerate(nuclei.label):
        rows, columns = np.nonzero(labels == label)
        assert nuclei.area[i] == len(rows)
        box = [rows.min(), columns.min(), rows.max() + 1, columns.max() + 1]
        assert nuclei.bbox[i].tolist() == box
        assert nuclei.centroid[i] == pytest.approx([columns.mean(), rows.mean()])
    labels = ragged_labels(2)
    maps = random_maps(labels.shape)
    votes = maps.types.argmax(axis=0)
    nuclei = measure(labels, maps)
    for i, label in enumerate(nuclei.label):
        inside = labels == label
        assert nuclei.magnitude_mean[i] == pytest.approx(maps.magnitude[inside].mean(), rel=1e-5)
        p95 = np.percentile(maps.magnitude[inside], 95)
        assert nuclei.magnitude_p95[i] == pytest.approx(p95, rel=1e-5)
        assert nuclei.np_mean[i] == pytest.approx(maps.np[inside].mean(), rel=1e-5)
        counts = np.bincount(votes[inside], minlength=4)
        assert nuclei.type[i] == 1 + np.argmax(counts[1:])
        assert nuclei.type_probability[i] == pytest.approx(counts[nuclei.type[i]] / inside.sum())


@pytest.mark.parametrize(
    ("votes", "kind", "probability"),
    [
        ([0, 0, 0, 2], 2, 0.25),  # background never wins over another type
        ([3, 3, 1, 1], 1, 0.5),  # of two equal ones the lower
        ([0, 0, 0, 0], 0, 1.0),  # nothing but background
        ([2, 2, 2, 2], 2, 1.0),
    ],
)
def test_type_is_the_most_frequent_but_background(votes, kind, probability) -> None:
    types = np.eye(4, dtype=np.float32)[votes].T[:, None]
    maps = Maps(np=np.ones((1, 4)), hv=np.zeros((2, 1, 4)), types=types)
    nuclei = measure(np.ones((1, 4), int), maps)
    assert (nuclei.type.tolist(), nuclei.type_probability.tolist()) == ([kind], [probability])


@pytest.mark.parametrize("shape", [(0, 0), (0, 7), (4, 4)])
def test_no_nuclei_give_no_rows(shape: tuple[int, int]) -> None:
    nuclei = measure(np.zeros(shape, int), random_maps(shape))
    assert (len(nuclei), nuclei.bbox.shape, nuclei.centroid.shape) == (0, (0, 4), (0, 2))
    assert (nuclei.contours, nuclei.magnitude_mean.shape) == ((), (0,))


def test_a_comb_is_whole_and_without_maps_the_columns_say_so() -> None:
    comb = np.zeros((41, 400), np.int32)
    comb[0] = 1
    comb[:, ::2] = 1
    (contour,) = measure(comb).contours
    found, _ = cv2.findContours(comb.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    np.testing.assert_array_equal(contour, found[0].reshape(-1, 2))
    labels = np.array([[1, 1, 0, 2]])
    bare = measure(labels)
    assert np.isnan(bare.magnitude_mean).all() and np.isnan(bare.np_mean).all()
    untyped = measure(labels, random_maps((1, 4), n_types=None))
    assert (untyped.type.tolist(), untyped.type_probability.tolist()) == ([0, 0], [0, 0])
    assert np.isfinite(untyped.magnitude_p95).all()
    nuclei = measure(np.array([[2_000_000_000, 0, 5], [0, 0, 70_000]], np.uint32))
    assert (nuclei.label.tolist(), nuclei.label.dtype) == ([5, 70_000, 2_000_000_000], np.int32)
    assert [c.tolist() for c in nuclei.contours] == [[[2, 0]], [[2, 1]], [[0, 0]]]


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (np.zeros((3, 3)), "float64"),
        (np.full((3, 3), -1), "-1"),
        (np.zeros((3, 3, 3), int), r"\(3, 3, 3\)"),
        (np.zeros((3, 4), int), r"labels has shape \(3, 4\) and the maps \(3, 3\)"),
        (np.full((3, 3), 2**31), str(2**31)),
    ],
)
def test_wrong_input_is_named(labels: np.ndarray, words: str) -> None:
    with pytest.raises(InputError, match=words):
        measure(labels, random_maps((3, 3)))
