"""What is in view, and clicks, on a ViewerModel."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_hovernet._napari.desk import desk_for
from napari_hovernet._napari.images import placement
from napari_hovernet._napari.in_view import on_click, view_box
from napari_hovernet._napari.session_for import forget
from napari_hovernet._napari.view import camera_of, canvas_size
from napari_hovernet.app.session import ImageChoice, Run


@pytest.fixture
def viewer():
    return ViewerModel()


@pytest.fixture
def desk(viewer, jobs, qapp):
    yield desk_for(viewer)
    forget(viewer)


def add_run(desk, viewer, make_result, **look):
    image = viewer.add_image(np.zeros((200, 300, 3), np.uint8), rgb=True, **look)
    place = placement(image, viewer.dims.current_step)
    run = Run(1, "compact 1", ImageChoice(1, "x"), make_result(offset=(10, 20)), place, {})
    desk.work.session.finish(run)


def test_without_a_run_nothing_is_in_view(desk):
    assert view_box(desk) is None


@pytest.mark.parametrize(
    "look", [{}, {"scale": (0.25, 0.25), "translate": (5, -3)}, {"scale": (0.5, 0.25)}]
)
def test_the_box_is_what_the_canvas_shows(desk, viewer, make_result, look):
    add_run(desk, viewer, make_result, **look)
    centre, corner = desk.to_world(20, 30), desk.to_world(30, 50)
    camera, size = camera_of(viewer), canvas_size(viewer)
    camera.center = (*camera.center[:-2], *centre)
    camera.zoom = size[0] / (2 * (corner[0] - centre[0]))
    r0, r1, c0, c1 = view_box(desk)
    assert (r0, r1) == pytest.approx((10, 31), abs=1.01)
    pixel = (corner[1] - centre[1]) / 20
    half = size[1] / camera.zoom / pixel / 2
    assert (c0, c1) == pytest.approx((30 - half, 30 + half + 1), abs=1.01)


def test_a_turned_layer_gets_the_box_around_the_view(desk, viewer, make_result):
    add_run(desk, viewer, make_result, rotate=45)
    camera = camera_of(viewer)
    camera.center = (*camera.center[:-2], *desk.to_world(0, 0))
    camera.zoom = 10
    size = np.asarray(canvas_size(viewer)) / 10
    r0, r1, c0, c1 = view_box(desk)
    wide = size.sum() / 2**0.5
    assert (r1 - r0, c1 - c0) == pytest.approx((wide, wide), abs=2.01)


def test_3d_has_no_box(desk, viewer, make_result):
    add_run(desk, viewer, make_result)
    viewer.dims.ndisplay = 3
    assert view_box(desk) is None


def press(button=1, modifiers=(), pos=(50, 50), position=(7.0, 8.0)):
    return SimpleNamespace(
        type="mouse_press", button=button, modifiers=modifiers, pos=pos, position=position
    )


def play(viewer, event, *moves):
    """Send a press, moves and a release; return the positions clicked."""
    clicked = []
    steps = on_click(clicked.append)(viewer, event)
    for pos in (event.pos, *moves, None):
        try:
            next(steps)
        except StopIteration:
            break
        event.type = "mouse_move" if pos is not None else "mouse_release"
        event.pos = pos if pos is not None else event.pos
    else:
        event.type = "mouse_release"
        with pytest.raises(StopIteration):
            next(steps)
    return clicked


def test_a_click_tells_its_place(viewer):
    assert play(viewer, press()) == [(7.0, 8.0)]
    assert play(viewer, press(), (52, 49)) == [(7.0, 8.0)]


def test_a_drag_is_no_click(viewer):
    assert play(viewer, press(), (52, 49), (70, 49), (50, 50)) == []


def test_other_buttons_and_modifiers_are_left_to_others(viewer):
    assert play(viewer, press(button=2)) == []
    assert play(viewer, press(modifiers=("Alt",))) == []


@pytest.mark.parametrize("mode", ["paint", "erase", "fill", "pick", "polygon"])
def test_a_mode_that_paints_keeps_its_click(viewer, mode):
    layer = viewer.add_labels(np.zeros((9, 9), int))
    layer.mode = mode
    assert play(viewer, press()) == []
    layer.mode = "pan_zoom"
    assert play(viewer, press()) == [(7.0, 8.0)]
