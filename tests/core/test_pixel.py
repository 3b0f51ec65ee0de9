from __future__ import annotations

import math

import numpy as np
import pytest

from napari_hovernet.core.measure.magnitude import pixel_reading
from napari_hovernet.core.types import Maps
from napari_hovernet.errors import InputError

LABELS = np.array([[0, 3]], np.int32)


def maps_of(h: float, v: float) -> Maps:
    hv = np.zeros((2, 1, 2))
    hv[:, 0, 1] = h, v
    return Maps(np=np.array([[0.1, 0.9]]), hv=hv)


@pytest.mark.parametrize(
    ("h", "v", "degrees"),
    [(1, 0, 0), (1, 1, 45), (0, 1, 90), (-1, 0, 180), (0, -0.2, 270), (1, -1, 315)],
)
def test_direction_runs_clockwise_on_the_screen(h: float, v: float, degrees: float) -> None:
    reading = pixel_reading(maps_of(h, v), LABELS, 0, 1)
    assert reading.direction == pytest.approx(degrees)
    assert reading.magnitude == pytest.approx(math.hypot(h, v))
    assert (reading.nucleus, round(reading.np, 3)) == (3, 0.9)
    assert f"direction {degrees:.0f}°" in reading.text


def test_words_for_background_without_a_direction() -> None:
    text = pixel_reading(maps_of(0, 0), LABELS, 0, 0).text
    assert text == "NP 0.10  h +0.00  v +0.00  magnitude 0.00  direction -  background"


def test_a_direction_just_short_of_a_full_turn_reads_0() -> None:
    assert "direction 0°" in pixel_reading(maps_of(1, -1e-4), LABELS, 0, 1).text


@pytest.mark.parametrize("place", [(0, 2), (1, 0), (-1, 0), (0, -1)])
def test_outside_is_refused(place: tuple[int, int]) -> None:
    with pytest.raises(InputError, match=f"Row {place[0]}, column {place[1]} lies outside"):
        pixel_reading(maps_of(0, 0), LABELS, *place)


def test_labels_of_another_size_are_refused() -> None:
    with pytest.raises(InputError, match=r"\(1, 3\)"):
        pixel_reading(maps_of(0, 0), np.zeros((1, 3), np.int32), 0, 0)
