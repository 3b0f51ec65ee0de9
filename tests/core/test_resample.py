from __future__ import annotations

import cv2
import numpy as np
import pytest

from napari_hovernet.core.inference.images import as_source
from napari_hovernet.core.inference.tiles import ResampledSource, resample, scaled_length, taps
from napari_hovernet.errors import InputError

IMAGE = np.random.default_rng(0).integers(0, 256, (61, 47, 3), np.uint8)


def resized(image: np.ndarray, scale: float, method: str) -> np.ndarray:
    size = [scaled_length(n, scale) for n in image.shape[:2]]
    rows, cols = (
        taps(0, n, scale, length, method) for n, length in zip(size, image.shape, strict=False)
    )
    return resample(image, rows, cols, (0, 0))


@pytest.mark.parametrize("scale", [0.5, 0.25])
def test_area_is_the_mean_of_what_a_pixel_covers(scale: float) -> None:
    image = IMAGE[:60, :44].astype(np.float32)
    expected = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    np.testing.assert_allclose(resized(image, scale, "area"), expected, atol=1e-3)


@pytest.mark.parametrize(
    "method, flag", [("linear", cv2.INTER_LINEAR), ("nearest", cv2.INTER_NEAREST_EXACT)]
)
@pytest.mark.parametrize("scale", [2.0, 1.6])
def test_enlarging_agrees_with_opencv(method: str, flag: int, scale: float) -> None:
    image = IMAGE[:60, :45].astype(np.float32)
    size = (round(45 * scale), round(60 * scale))
    expected = cv2.resize(image, size, interpolation=flag)
    np.testing.assert_allclose(resized(image, scale, method), expected, atol=1e-2)


@pytest.mark.parametrize("method", ["area", "linear", "cubic", "nearest"])
@pytest.mark.parametrize("scale", [0.37, 1.0, 2.3])
def test_a_constant_stays_constant(method: str, scale: float) -> None:
    np.testing.assert_allclose(resized(np.full((20, 30, 1), 7.0), scale, method), 7, rtol=1e-5)


def test_cubic_is_exact_for_a_ramp_inside() -> None:
    ramp = np.broadcast_to(np.arange(30.0)[:, None, None], (30, 8, 1))
    out = resized(ramp, 2.0, "cubic")[8:-8, 4, 0]
    np.testing.assert_allclose(np.diff(out), 0.5, atol=1e-5)


@pytest.mark.parametrize("scale", [0.37, 0.5, 1.7])
def test_a_region_is_the_region_of_the_whole(scale: float) -> None:
    source = ResampledSource(as_source(IMAGE), scale)
    height, width = source.shape
    whole = source.read(0, height, 0, width)
    part = source.read(5, height - 3, 4, width - 2)
    np.testing.assert_array_equal(part, whole[5:-3, 4:-2])


def test_a_pixel_survives_any_scale() -> None:
    source = ResampledSource(as_source(IMAGE[:1, :1]), 0.1)
    assert source.shape == (1, 1)
    assert source.read(0, 1, 0, 1).tolist() == IMAGE[:1, :1].tolist()


def test_an_unknown_method_is_refused() -> None:
    with pytest.raises(InputError, match="lanczos"):
        taps(0, 1, 1.0, 1, "lanczos")
