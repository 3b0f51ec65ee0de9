"""What the numbers of an image mean."""

from __future__ import annotations

import numpy as np
import pytest

from napari_hovernet.core.inference.images import Intensity, choose_intensity, refuse_nan
from napari_hovernet.errors import InputError


def chosen(values: list[float], dtype: str) -> Intensity:
    block = np.array(values, dtype)
    return choose_intensity(block.dtype, [block])


@pytest.mark.parametrize(
    ("values", "dtype", "white"),
    [
        ([0, 200], "uint8", 255),
        ([0, 200], "uint16", 255),
        ([0, 256], "uint16", 1023),
        ([0, 4095], "int32", 4095),
        ([0, 4096], "uint16", 16383),
        ([0, 65535], "uint32", 65535),
        ([0, 0.7], "float32", 1),
        ([0, 1.0005], "float64", 1),
        ([0, 1.5], "float32", 255),
        ([-0.1, 255.1], "float32", 255),
    ],
)
def test_white_is_the_least_depth_that_holds_the_values(
    values: list[float], dtype: str, white: float
) -> None:
    found = chosen(values, dtype)
    assert found.white == white
    assert bool(found.note) == (dtype != "uint8")


@pytest.mark.parametrize(
    ("values", "dtype", "says"),
    [
        ([-1, 5], "int16", "down to -1"),
        ([0, 70000], "int32", "8- or 16-bit first"),
        ([-2.1, 2.4], "float32", "as if normalised"),
        ([0, 4000], "float32", "scale it to 0..1 or 0..255"),
        ([0, np.nan], "float32", "1 of 2 values of the data are not finite"),
        ([0, 1], "bool", "a mask is not an image"),
        ([0, 1], "complex64", "give uint8, uint16 or float"),
    ],
)
def test_what_has_no_meaning_is_refused(values: list[float], dtype: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        chosen(values, dtype)


def test_the_range_is_that_of_all_blocks_together() -> None:
    blocks = [np.array([v], np.uint16) for v in (3, 900, 20)]
    assert choose_intensity(np.dtype("uint16"), blocks).white == 1023


@pytest.mark.parametrize("dtype", ["uint16", "float32", "float64", "int64"])
def test_values_are_scaled_rounded_and_clipped(dtype: str) -> None:
    values = np.array([0, 500, 1000, 2000], dtype)
    assert Intensity(white=1000).apply(values).tolist() == [0, 128, 255, 255]
    assert values.tolist() == [0, 500, 1000, 2000]


def test_8_bit_data_are_not_copied() -> None:
    block = np.arange(6, dtype=np.uint8)
    assert Intensity().apply(block) is block


def test_only_floats_are_looked_through_for_nan() -> None:
    refuse_nan(np.arange(3), "row 1")
    with pytest.raises(InputError, match="2 of 3 values of row 1"):
        refuse_nan(np.array([0.0, np.inf, np.nan]), "row 1")
