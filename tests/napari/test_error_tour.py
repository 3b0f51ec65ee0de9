"""From error to error, with a stand-in for the desk."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from napari_hovernet._napari.error_tour import ErrorTour
from napari_hovernet.app.study import Study
from napari_hovernet.core.measure.compare import compare

#        matched  merged  merged  split       missed
TRUE = [[1, 1, 0, 2, 2, 0, 3, 3, 4, 4, 4, 4, 0, 5, 5, 5, 0, 0]]
PRED = [[7, 7, 0, 8, 8, 8, 8, 8, 9, 9, 6, 6, 0, 2, 0, 0, 0, 3]]


class Desk:
    """Remembers where it flew."""

    def __init__(self) -> None:
        self.study = Study()
        self.boxes: list[tuple[int, int, int, int]] = []

    def fly_to(self, box):
        self.boxes.append(box)

    def find(self, pred=PRED, true=TRUE):
        comparison = compare(true, pred)
        self.study.take(SimpleNamespace(comparison=comparison), self.study.ticket)


@pytest.fixture
def desk():
    return Desk()


@pytest.fixture
def tour(desk):
    tour = ErrorTour(desk)
    desk.find()
    return tour


def test_it_flies_round_worst_first(tour, desk):
    assert tour.words == "5 places to look at."
    for _ in range(6):
        tour.step(1)
    assert desk.boxes[:3] == [(0, 1, 3, 8), (0, 1, 8, 12), (0, 1, 13, 16)]
    assert desk.boxes[5] == desk.boxes[0]
    assert tour.words == "1 of 5: 2 true nuclei merged into one (id 8)"
    assert desk.study.nucleus == 8
    tour.step(-1)
    assert tour.place.pred_ids == (3,) and desk.study.nucleus == 3


def test_back_from_the_start_is_the_last(tour, desk):
    tour.step(-1)
    assert tour.words.startswith("5 of 5")


def test_a_missed_nucleus_has_no_prediction_to_look_at(tour, desk):
    for _ in range(3):
        tour.step(1)
    assert tour.place.kind == "missed" and desk.study.nucleus == 0


def test_kinds_are_chosen(tour):
    tour.choose_kinds({"missed", "split"})
    assert [place.kind for place in tour.places] == ["split", "missed"]
    tour.step(1)
    tour.choose_kinds({"split", "merged"})
    assert tour.words.startswith("2 of 2: True nucleus 4 split")
    tour.choose_kinds(())
    assert tour.places == () and tour.words == "No errors of these kinds."
    tour.step(1)
    assert tour.place is None


def test_an_error_put_right_leads_to_the_one_after_it(tour, desk):
    tour.step(1)
    tour.step(1)
    assert tour.place.kind == "split"
    mended = np.where(np.array(PRED) == 6, 9, PRED)
    desk.find(mended)
    assert tour.place is None and tour.words == "4 places to look at."
    tour.step(1)
    assert tour.place.kind == "missed"


def test_the_error_looked_at_stays_when_others_change(tour, desk):
    tour.step(1)
    tour.step(1)
    desk.find(np.where(np.array(PRED) == 3, 0, PRED))
    assert tour.words.startswith("2 of 4: True nucleus 4 split")


def test_without_a_comparison_there_is_nothing_to_say(desk):
    tour = ErrorTour(desk)
    assert tour.words == "" and tour.places == ()
    tour.step(1)
    assert desk.boxes == []


def test_every_move_is_announced(tour):
    heard = []
    tour.moved.connect(lambda: heard.append(tour.words))
    tour.step(1)
    tour.choose_kinds({"missed"})
    assert heard == ["1 of 5: 2 true nuclei merged into one (id 8)", "1 place to look at."]
