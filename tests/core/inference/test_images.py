"""Image data of any kind as 8-bit RGB, read by region and resized."""

import re
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from napari_hovernet.core.inference import images

from ...refusals import refuses

RGB = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)


def whole(image: Any) -> np.ndarray:
    source = images.as_source(image)
    return source.read(0, source.shape[0], 0, source.shape[1])


class Lazy:
    """An array that counts what is asked of it and refuses to be computed whole."""

    def __init__(self, data: np.ndarray) -> None:
        self.data, self.shape, self.dtype, self.ndim = data, data.shape, data.dtype, data.ndim
        self.pixels = 0

    def __getitem__(self, key: Any) -> np.ndarray:
        part = self.data[key]
        self.pixels += part.size
        return part

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        raise AssertionError("computed whole")


def test_8_bit_rgb_is_neither_copied_nor_noted_and_alpha_laid_on_white() -> None:
    source = images.as_source(RGB)
    assert source.shape == (30, 40) and not source.notes
    assert np.shares_memory(source.read(3, 9, 5, 7), RGB)
    np.testing.assert_array_equal(source.read(3, 9, 5, 7), RGB[3:9, 5:7])
    rgba = np.dstack([RGB, np.full(RGB.shape[:2], 255, np.uint8)])
    np.testing.assert_array_equal(whole(rgba), RGB)
    rgba[0, 0] = (10, 20, 30, 0)
    rgba[0, 1] = (0, 0, 0, 128)
    assert whole(rgba)[0, 0].tolist() == [255, 255, 255]
    assert whole(rgba)[0, 1].tolist() == [127, 127, 127]
    assert "alpha" in images.as_source(rgba).notes[0]


@pytest.mark.parametrize(
    "image, expected, note",
    [
        (RGB.astype(np.uint16) * 257, RGB, "16-bit"),
        (RGB.astype(np.uint16) * 16, None, "12-bit"),
        (RGB.astype(np.int64), RGB, "8-bit"),
        (RGB / 255, RGB, r"0\.\.1"),
        ((RGB / 255).astype(np.float16), None, r"0\.\.1"),
        (RGB.astype(np.float32), RGB, r"0\.\.255"),
        (RGB[..., 0], np.repeat(RGB[..., :1], 3, 2), "grey"),
        (RGB[..., :1], np.repeat(RGB[..., :1], 3, 2), "grey"),
        (np.moveaxis(RGB, 2, 0), RGB, "channels come first"),
        (RGB.tolist(), RGB, "8-bit"),
        (torch.from_numpy(RGB.copy()), RGB, "^$"),
        ([RGB[0, :, 0], RGB[1, :, 0]], None, "grey"),
    ],
)
def test_other_data_become_8_bit_rgb_and_say_how(image: Any, expected: Any, note: str) -> None:
    result = whole(image)
    assert result.dtype == np.uint8 and result.shape[2] == 3
    if len(result) == len(RGB):
        atol = expected is None
        np.testing.assert_allclose(result, RGB if expected is None else expected, atol=atol)
    assert any(re.search(note, n) for n in (images.as_source(image).notes or ("",)))


@pytest.mark.parametrize(
    "image, message",
    [
        (np.zeros((5, 6, 2)), "2 channels"),
        (np.zeros((2, 5, 6, 3), np.uint8), "4 axes"),
        (np.zeros(7), "1 axes"),
        (np.zeros((6, 0), np.uint8), "empty"),
        (np.zeros((5, 6), bool), "mask"),
        (np.zeros((5, 6), complex), "complex128"),
        (np.full((5, 6), np.nan), "30 of 30 values"),
        (np.full((5, 6), -3), "down to -3"),
        (np.full((5, 6), 70_000), "up to 70000"),
        (np.linspace(-2, 2, 30).reshape(5, 6), "normalised"),
        ([[1, 2], [3]], "no array"),
        ("image.png", "is a file name; open it first"),
        (None, "axes"),
    ],
)
def test_what_cannot_be_an_image_is_refused(image: Any, message: str) -> None:
    refuses(message, images.as_source, image)


@pytest.mark.parametrize("first", [False, True])
def test_lazy_data_are_read_by_region(first: bool) -> None:
    data = np.tile(RGB, (10, 10, 1))
    lazy = Lazy(np.moveaxis(data, 2, 0) if first else data)
    source = images.as_source(lazy)
    np.testing.assert_array_equal(source.read(50, 60, 70, 90), data[50:60, 70:90])
    assert lazy.pixels == 10 * 20 * 3


def test_large_lazy_data_are_sampled_and_multiscale_gives_its_finest_level() -> None:
    lazy = Lazy(np.broadcast_to(np.uint16(4000), (5000, 6000)))
    source = images.as_source(lazy)
    assert lazy.pixels <= 9 * 256**2
    assert "12-bit" in " ".join(source.notes) and source.read(0, 1, 0, 1)[0, 0, 0] == 249
    data = np.ones((5000, 6000), np.float32)
    data[1000, 1000] = np.nan
    source = images.as_source(Lazy(data))
    refuses("1 of 100 values of rows 995 to 1005", source.read, 995, 1005, 995, 1005)
    levels = [Lazy(np.tile(RGB, (s, s, 1)).astype(np.uint16) * 16) for s in (4, 2, 1)]
    source = images.as_source(levels)
    assert source.shape == (120, 160) and "12-bit" in source.notes[0]
    assert levels[0].pixels == 0 and levels[2].pixels == RGB.size
    dask = pytest.importorskip("dask.array")
    multiscale = pytest.importorskip("napari.layers._multiscale_data").MultiScaleData
    data = np.tile(RGB, (4, 4, 1))
    levels = multiscale([dask.from_array(data, chunks=50), dask.from_array(data[::2, ::2])])
    np.testing.assert_array_equal(images.as_source(levels).read(20, 90, 33, 35), data[20:90, 33:35])


def resized(image: np.ndarray, scale: float, method: str) -> np.ndarray:
    size = [images.scaled_length(n, scale) for n in image.shape[:2]]
    rows, cols = (
        images.taps(0, n, scale, length, method)
        for n, length in zip(size, image.shape, strict=False)
    )
    return images.resample(image, rows, cols, (0, 0))


@pytest.mark.parametrize(
    "method, flag, scale",
    [
        ("area", cv2.INTER_AREA, 0.5),
        ("linear", cv2.INTER_LINEAR, 2.0),
        ("linear", cv2.INTER_LINEAR, 1.6),
        ("nearest", cv2.INTER_NEAREST_EXACT, 2.0),
        ("nearest", cv2.INTER_NEAREST_EXACT, 1.6),
    ],
)
def test_resizing_agrees_with_opencv(method: str, flag: int, scale: float) -> None:
    image = RGB.astype(np.float32)
    expected = cv2.resize(image, (round(40 * scale), round(30 * scale)), interpolation=flag)
    np.testing.assert_allclose(resized(image, scale, method), expected, atol=1e-2)


def test_cubic_is_exact_for_a_ramp_inside() -> None:
    ramp = np.broadcast_to(np.arange(30.0)[:, None, None], (30, 8, 1))
    np.testing.assert_allclose(np.diff(resized(ramp, 2.0, "cubic")[8:-8, 4, 0]), 0.5, atol=1e-5)


@pytest.mark.parametrize("scale", [0.37, 0.5, 1.7])
def test_a_region_is_the_region_of_the_whole(scale: float) -> None:
    source = images.ResampledSource(images.as_source(RGB), scale)
    height, width = source.shape
    part = source.read(5, height - 3, 4, width - 2)
    np.testing.assert_array_equal(part, source.read(0, height, 0, width)[5:-3, 4:-2])
