"""Pictures of results: outlines by outcome, the worst part, fixed colours of the magnitude."""

import cv2
import numpy as np
import pytest

from napari_hovernet.app.figures import (
    NUCLEUS_LINE,
    PictureParams,
    magnitude_colours,
    magnitude_picture,
    outcome_picture,
    png_bytes,
)
from napari_hovernet.core.measure.compare import OUTCOME_COLORS
from napari_hovernet.core.measure.metrics import evaluate
from napari_hovernet.core.types import Int32

SHAPE = (60, 80)


@pytest.fixture
def pair() -> tuple[Int32, Int32]:
    """One nucleus of each outcome: true and predicted labels."""
    true, pred = np.zeros(SHAPE, np.int32), np.zeros(SHAPE, np.int32)
    true[5:17, 5:17] = pred[5:17, 5:17] = 10  # matched
    true[25:35, 5:15], true[25:35, 15:25], pred[25:35, 5:25] = 3, 4, 7  # merged
    true[5:15, 40:60], pred[5:15, 40:50], pred[5:15, 50:60] = 900, 1, 2  # split
    true[40:50, 40:50] = 6  # missed
    pred[40:50, 60:70] = 5  # spurious
    return true, pred


def test_every_outcome_has_its_outline_at_its_place(pair: tuple[Int32, Int32]) -> None:
    outcomes = evaluate(*pair).outcomes
    assert set(outcomes.counts().values()) == {1, 2}
    tissue = np.full((*SHAPE, 3), 200, np.uint8)
    picture = outcome_picture(tissue, pair, outcomes, PictureParams(edge=80, line=1))
    assert picture.shape == (*SHAPE, 3)
    places = {"matched": (5, 10), "merged": (25, 15), "split": (5, 45), "missed": (40, 45),
              "spurious": (40, 65)}  # fmt: skip
    for outcome, place in places.items():
        assert tuple(picture[place]) == OUTCOME_COLORS[outcome], outcome
    assert tuple(picture[10, 49]) == OUTCOME_COLORS["split"]  # between its two parts
    assert picture[30, 15].tolist() == [204, 204, 204]  # merged: nothing between the true ones
    assert picture[10, 10].tolist() == [204, 204, 204]  # inside: tissue, rounded
    assert tissue.min() == 200


def test_the_colours_of_the_magnitude_do_not_depend_on_the_image(pair: tuple[Int32, Int32]) -> None:
    low, mid = np.full((4, 4), 0.02, np.float32), np.full((4, 4), 0.5, np.float32)
    beside = mid.copy()
    beside[0, 0] = 1.4
    assert magnitude_picture(mid)[3, 3].tolist() == magnitude_picture(beside)[3, 3].tolist()
    assert magnitude_picture(low).mean() < 20 < magnitude_picture(mid).mean()
    assert magnitude_picture(beside)[0, 0].tolist() == list(magnitude_colours(5)[-1])
    picture = magnitude_picture(np.zeros(SHAPE, np.float32), pair[0])
    assert picture.shape == (*SHAPE, 3)  # not enlarged
    assert tuple(picture[5, 10]) == NUCLEUS_LINE and tuple(picture[10, 10]) != NUCLEUS_LINE
    assert magnitude_picture(np.zeros((600, 300), np.float32)).shape == (480, 240, 3)


def test_png_is_read_back_in_the_right_order_of_colours() -> None:
    picture = np.zeros((3, 4, 3), np.uint8)
    picture[..., 0] = 255
    decoded = cv2.imdecode(np.frombuffer(png_bytes(picture), np.uint8), cv2.IMREAD_COLOR)
    assert decoded[0, 0].tolist() == [0, 0, 255]  # blue, green, red
