"""Keys of the tour: bound for whoever wants them, never taken from others."""

from __future__ import annotations

import pytest
from napari.components import ViewerModel
from napari.utils.key_bindings import coerce_keybinding

from napari_hovernet._napari.error_keys import ErrorKeys


class Tour:
    """Remembers its steps."""

    def __init__(self) -> None:
        self.steps: list[int] = []

    def step(self, by):
        self.steps.append(by)


@pytest.fixture
def viewer():
    return ViewerModel()


def press(viewer, key):
    viewer.keymap[coerce_keybinding(key)](viewer)


def test_keys_step_on_and_back(viewer):
    tour = Tour()
    keys = ErrorKeys(viewer, tour)
    keys.acquire()
    for key in ("N", "P", "Shift-N"):
        press(viewer, key)
    assert tour.steps == [1, -1, -1]
    assert keys.bound == ("N", "P", "Shift-N")


def test_they_go_with_the_last_panel(viewer):
    tour = Tour()
    keys = ErrorKeys(viewer, tour)
    keys.acquire()
    keys.acquire()
    keys.release()
    press(viewer, "N")
    keys.release()
    assert viewer.keymap == {} and keys.bound == () and tour.steps == [1]
    keys.acquire()
    press(viewer, "P")
    assert tour.steps == [1, -1]


def test_a_key_of_others_is_left_alone(viewer):
    heard = []
    viewer.bind_key("P", heard.append)
    tour = Tour()
    keys = ErrorKeys(viewer, tour)
    keys.acquire()
    press(viewer, "P")
    assert heard == [viewer] and tour.steps == []
    assert keys.bound == ("N", "Shift-N")
    keys.release()
    assert list(viewer.keymap) == [coerce_keybinding("P")]


def test_a_key_bound_anew_by_others_is_not_taken_from_them(viewer):
    keys = ErrorKeys(viewer, Tour())
    keys.acquire()
    heard = []
    viewer.bind_key("N", heard.append, overwrite=True)
    keys.release()
    press(viewer, "N")
    assert heard == [viewer]


def test_a_tour_that_is_gone_breaks_nothing(viewer):
    tour = Tour()
    keys = ErrorKeys(viewer, tour)
    keys.acquire()
    del tour
    press(viewer, "N")
    keys.release()
    keys.release()
    assert viewer.keymap == {}
