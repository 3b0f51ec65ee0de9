"""What the inspector does, on a ViewerModel."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_hovernet._napari.desk import desk_for
from napari_hovernet._napari.images import placement
from napari_hovernet._napari.in_view import view_box
from napari_hovernet._napari.inspecting import Inspecting
from napari_hovernet._napari.session_for import forget
from napari_hovernet._napari.stage_layers import ARROWS, AUTO_MARK, LOOKED_AT, STAGES
from napari_hovernet._napari.view import camera_of
from napari_hovernet.app.session import ImageChoice, Run
from napari_hovernet.errors import InputError

WAIT_MS = 10_000


@pytest.fixture
def viewer():
    return ViewerModel()


@pytest.fixture
def desk(viewer, jobs, qapp):
    yield desk_for(viewer)
    forget(viewer)


@pytest.fixture
def add(desk, viewer, make_result):
    def add(number=1):
        image = next((x for x in viewer.layers if x.name == "slide"), None)
        if image is None:
            pixels = np.arange(200 * 300 * 3, dtype=np.uint8).reshape(200, 300, 3)
            image = viewer.add_image(pixels, rgb=True, name="slide")
        result = make_result(offset=(10, 20))
        choice = ImageChoice(id(image), "slide")
        place = placement(image, viewer.dims.current_step)
        run = Run(number, f"compact {number}", choice, result, place, {})
        desk.work.session.finish(run)
        return run

    return add


@pytest.fixture
def inspecting(desk, add):
    add()
    inspecting = Inspecting(desk)
    inspecting.start()
    yield inspecting
    inspecting.stop()


def emitters(viewer):
    camera = camera_of(viewer).events
    layers = viewer.layers.events
    return (
        viewer.cursor.events.position, viewer.events.status, camera.center, camera.zoom,
        viewer.dims.events.ndisplay, layers.inserted, layers.removed,
    )  # fmt: skip


def listeners(desk):
    viewer, study = desk.viewer, desk.study
    signals = (study.nucleus_changed, study.labels_changed, study.run_changed)
    return (
        *(len(e.callbacks) for e in emitters(viewer)),
        *(len(s) for s in signals),
        len(viewer.mouse_drag_callbacks),
    )


def test_asleep_it_listens_to_nothing(desk, add):
    add()
    before = listeners(desk)
    inspecting = Inspecting(desk)
    assert listeners(desk) == before
    inspecting.start()
    inspecting.start()
    awake = [a - b for a, b in zip(listeners(desk), before, strict=True)]
    assert awake == [1] * len(before)
    inspecting.stop()
    inspecting.stop()
    assert listeners(desk) == before


def test_a_click_looks_at_the_nucleus_under_it(desk, inspecting):
    seen = []
    inspecting.view_changed.connect(seen.append)
    inspecting._clicked(desk.to_world(35, 25))
    assert desk.study.nucleus == 2
    assert seen[-1].id == 2 and seen[-1].area == 120
    inspecting._clicked(desk.to_world(0, 0))  # background: the nucleus stays in sight
    inspecting._clicked((-50.0, -50.0))
    assert desk.study.nucleus == 2


def test_steps_go_round_and_fly_there(desk, viewer, inspecting):
    camera_of(viewer).zoom = 50
    camera_of(viewer).center = (0, 190, 290)
    for by, wanted in ((1, 1), (1, 2), (1, 1), (-1, 2), (-1, 1)):
        inspecting.step(by)
        assert desk.study.nucleus == wanted
        box, seen = inspecting.view.box, view_box(desk)
        assert seen[0] <= box.r0 and box.r1 <= seen[1]
        assert seen[2] <= box.c0 and box.c1 <= seen[3]


def test_a_nucleus_in_view_leaves_the_camera_alone(desk, viewer, inspecting):
    desk.fly_to((0, 64, 0, 80))
    zoom = camera_of(viewer).zoom
    desk.study.look_at(1)
    inspecting.fly()
    assert camera_of(viewer).zoom == zoom


def test_ids_follow_corrections(desk, inspecting):
    labels = desk.study.labels.copy()
    labels[60:63, 60:63] = 9
    labels[labels == 1] = 0
    desk.study.set_labels(labels, corrected=True)
    assert inspecting.ids().tolist() == [2, 9]
    inspecting.step(-1)
    assert desk.study.nucleus == 9


def test_a_nucleus_painted_away_is_told(desk, inspecting):
    desk.study.look_at(1)
    labels = desk.study.labels.copy()
    labels[labels == 1] = 0
    desk.study.set_labels(labels, corrected=True)
    assert inspecting.view is None
    assert inspecting.trouble == "There is no nucleus 1; ids start at 1."
    assert desk.layers.find(1, LOOKED_AT) is None


def test_the_frame_comes_and_goes_with_the_panel(desk, inspecting):
    desk.study.look_at(1)
    assert desk.layers.find(1, LOOKED_AT) is not None
    inspecting.stop()
    assert desk.layers.find(1, LOOKED_AT) is None
    inspecting.start()
    assert desk.layers.find(1, LOOKED_AT) is not None
    desk.study.look_at(0)
    assert desk.layers.find(1, LOOKED_AT) is None


def test_the_picture_is_the_image_behind_the_crop(desk, viewer, inspecting):
    desk.study.look_at(2)
    r0, r1, c0, c1 = inspecting.view.box
    image = next(x for x in viewer.layers if x.name == "slide")
    np.testing.assert_array_equal(
        inspecting.picture(), image.data[10 + r0 : 10 + r1, 20 + c0 : 20 + c1]
    )
    viewer.layers.remove(image)
    assert inspecting.picture() is None


@pytest.mark.parametrize("role", STAGES)
def test_stages_come_and_go(desk, inspecting, role):
    told = []
    inspecting.stages_changed.connect(lambda: told.append(1))
    assert not inspecting.shown(role)
    inspecting.show_stage(role, True)
    assert inspecting.shown(role) and told
    desk.viewer.layers.remove(desk.layers.find(1, role))  # by the user's hand
    assert not inspecting.shown(role)
    inspecting.show_stage(role, False)


def test_arrows_follow_the_view_once_it_rests(desk, viewer, inspecting, qtbot):
    desk.fly_to((0, 64, 0, 80))
    inspecting.show_stage(ARROWS, True)
    layer = desk.layers.find(1, ARROWS)
    assert len(layer.data) > 40
    camera_of(viewer).zoom = 100
    camera_of(viewer).center = (0, *desk.to_world(34, 25))
    before = len(layer.data)
    qtbot.waitUntil(lambda: len(layer.data) != before, timeout=WAIT_MS)
    r0, r1, c0, c1 = view_box(desk)
    rows, cols = layer.data[:, 0].T
    assert (rows >= r0).all() and (rows < r1).all() and (cols >= c0).all() and (cols < c1).all()


def test_hidden_arrows_are_left_alone(desk, viewer, inspecting):
    inspecting.show_stage(ARROWS, True)
    layer = desk.layers.find(1, ARROWS)
    layer.visible = False
    before = layer.data
    camera_of(viewer).zoom = 100
    inspecting._thin_arrows()
    assert layer.data is before or np.array_equal(layer.data, before)


def test_a_layer_that_comes_while_limits_are_automatic_is_stretched_too(desk, inspecting, qtbot):
    qtbot.waitUntil(lambda: desk.work.layers.settled, timeout=WAIT_MS)
    inspecting.set_auto_limits(True)
    assert inspecting.auto_limits
    inspecting.show_stage("energy", True)
    assert desk.layers.find(1, "energy").name.endswith(AUTO_MARK)
    inspecting.set_auto_limits(False)
    assert not inspecting.auto_limits
    assert tuple(desk.layers.find(1, "energy").contrast_limits) == (-1, 1)


def test_another_run_has_boxes_and_limits_of_its_own(desk, inspecting, add):
    inspecting.show_stage("energy", True)
    inspecting.set_auto_limits(True)
    desk.study.look_at(1)
    add(2)
    assert desk.study.run.id == 2
    assert not inspecting.shown("energy") and not inspecting.auto_limits
    assert inspecting.view is None
    assert desk.layers.find(1, LOOKED_AT) is None


def test_without_a_run_there_are_plain_words(desk, viewer):
    inspecting = Inspecting(desk)
    inspecting.start()
    inspecting.step(1)
    inspecting.fly()
    assert inspecting.picture() is None and len(inspecting.ids()) == 0
    inspecting.set_auto_limits(True)
    with pytest.raises(InputError, match="press Run"):
        inspecting.show_stage("energy", True)
    inspecting.stop()


def test_a_run_without_maps_says_so(desk, add):
    run = add()
    bare = replace(run, result=replace(run.result, maps=None, separation=None))
    desk.study.choose_run(bare)
    inspecting = Inspecting(desk)
    inspecting.start()
    desk.study.look_at(1)
    assert inspecting.view is None
    with pytest.raises(InputError, match="compact 1 kept neither maps nor stages"):
        inspecting.show_stage("mask", True)
    inspecting.stop()


def test_a_run_that_goes_takes_everything_along(desk, viewer, inspecting):
    for role in STAGES:
        inspecting.show_stage(role, True)
    desk.study.look_at(1)
    desk.work.session.remove_run(1)
    assert inspecting.view is None
    assert [x.name for x in viewer.layers] == ["slide"]
