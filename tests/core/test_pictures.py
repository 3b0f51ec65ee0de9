"""Pictures of results: outlines by outcome, the worst part, fixed colours of the magnitude."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from napari_hovernet.app.figures import (
    DIVERGING,
    NUCLEUS_LINE,
    PictureParams,
    magnitude_colours,
    magnitude_picture,
    outcome_picture,
    outlined_picture,
    plane_picture,
    png_bytes,
    worst_window,
)
from napari_hovernet.core.measure.compare import OUTCOME_COLORS
from napari_hovernet.core.measure.metrics import evaluate
from napari_hovernet.core.types import Int32
from napari_hovernet.errors import InputError

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


def colours_in(picture: np.ndarray) -> set[tuple[int, ...]]:
    return {tuple(c) for c in np.unique(picture.reshape(-1, 3), axis=0).tolist()}


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


def test_pictures_are_enlarged_and_keep_the_aspect(pair: tuple[Int32, Int32]) -> None:
    outcomes = evaluate(*pair).outcomes
    tissue = np.zeros((*SHAPE, 3), np.uint8)
    large = outcome_picture(tissue, pair, outcomes, PictureParams(edge=160))
    assert large.shape == (120, 160, 3)
    assert set(OUTCOME_COLORS.values()) <= colours_in(large)
    small = outcome_picture(tissue, pair, outcomes, PictureParams(edge=20))
    assert small.shape == (15, 20, 3)


def test_the_worst_part_holds_the_errors(pair: tuple[Int32, Int32]) -> None:
    true, pred = pair
    good = pred.copy()
    good[true == 3], good[true == 4], good[5:15, 40:60], good[40:50, 60:70] = 8, 9, 1, 0
    window = worst_window(true, good, evaluate(true, good).outcomes, 20)
    assert window.r1 - window.r0 == window.c1 - window.c0 == 20
    assert (true[window.slices] == 6).sum() == 100
    whole = worst_window(true, good, evaluate(true, good).outcomes, 500)
    assert whole.slices == (slice(0, 60), slice(0, 80))


def test_without_errors_it_holds_nuclei_and_without_nuclei_anything(
    pair: tuple[Int32, Int32],
) -> None:
    true, none = pair[0], np.zeros(SHAPE, np.int32)
    window = worst_window(true, true, evaluate(true, true).outcomes, 12)
    assert (true[window.slices] > 0).sum() >= 120
    empty = worst_window(none, none, evaluate(none, none).outcomes, 12)
    assert empty.slices == (slice(0, 12), slice(0, 12))


def test_the_colours_of_the_magnitude_do_not_depend_on_the_image() -> None:
    low, mid = np.full((4, 4), 0.02, np.float32), np.full((4, 4), 0.5, np.float32)
    beside = mid.copy()
    beside[0, 0] = 1.4
    assert magnitude_picture(mid)[3, 3].tolist() == magnitude_picture(beside)[3, 3].tolist()
    assert magnitude_picture(low).mean() < 20 < magnitude_picture(mid).mean()
    bright = magnitude_picture(np.full((4, 4), 1.0, np.float32))
    assert magnitude_picture(beside)[0, 0].tolist() == bright[0, 0].tolist()
    assert bright[0, 0].tolist() == list(magnitude_colours(5)[-1])


def test_true_nuclei_are_outlined_over_the_magnitude(pair: tuple[Int32, Int32]) -> None:
    picture = magnitude_picture(np.zeros(SHAPE, np.float32), pair[0])
    assert picture.shape == (*SHAPE, 3)  # not enlarged
    assert tuple(picture[5, 10]) == NUCLEUS_LINE
    assert tuple(picture[10, 10]) != NUCLEUS_LINE
    assert magnitude_picture(np.zeros((600, 300), np.float32)).shape == (480, 240, 3)


def test_png_is_read_back_in_the_right_order_of_colours() -> None:
    picture = np.zeros((3, 4, 3), np.uint8)
    picture[..., 0] = 255
    decoded = cv2.imdecode(np.frombuffer(png_bytes(picture), np.uint8), cv2.IMREAD_COLOR)
    assert decoded[0, 0].tolist() == [0, 0, 255]  # blue, green, red


def test_what_does_not_fit_is_refused(pair: tuple[Int32, Int32]) -> None:
    with pytest.raises(InputError, match="parts of one size"):
        outcome_picture(np.zeros((9, 9, 3), np.uint8), pair, evaluate(*pair).outcomes)
    for name in ("window", "edge", "line"):
        with pytest.raises(InputError, match=f"{name} is 0"):
            PictureParams(**{name: 0})


def test_a_window_full_of_one_nucleus_is_drawn() -> None:
    full = np.ones((30, 30), np.int32)
    tissue = np.full((30, 30, 3), 100, np.uint8)
    picture = outcome_picture(tissue, (full, full), evaluate(full, full).outcomes)
    assert OUTCOME_COLORS["matched"] not in colours_in(picture)  # no rim is in view


def test_outlines_of_several_label_images_are_told_apart() -> None:
    true, found = np.zeros((64, 64), np.int32), np.zeros((64, 64), np.int32)
    true[8:24, 8:24], found[36:56, 36:56] = 1, 1
    grey = np.full((64, 64, 3), 200, np.uint8)
    shown = outlined_picture(
        grey, [(true, (255, 0, 0)), (found, (0, 255, 0))], PictureParams(edge=64)
    )
    assert shown[8, 15].tolist() == [255, 0, 0] and shown[36, 45].tolist() == [0, 255, 0]
    assert shown[16, 16].tolist() == shown[60, 2].tolist()


def test_a_plane_has_the_same_colours_everywhere() -> None:
    plane = np.array([[-3.0, -1.0, 0.0, 1.0, np.nan]])
    signed = plane_picture(plane, (-1, 1))[0]
    assert signed[0].tolist() == signed[1].tolist() == list(DIVERGING[0])
    assert signed[2].tolist() == signed[4].tolist() == list(DIVERGING[2])
    assert signed[3].tolist() == list(DIVERGING[-1])
    grey = plane_picture(np.array([[0.0, 1.0, 7.0]]), (0, 1))[0]
    assert grey.tolist() == [[0] * 3, [255] * 3, [255] * 3]
    large = plane_picture(np.zeros((600, 900)), (0, 1), params=PictureParams(edge=300))
    assert large.shape == (200, 300, 3)
