"""The desk on a ViewerModel: which run is under the glass, findings, and where things are."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_hovernet._napari import desk as desk_module
from napari_hovernet._napari.desk import SMALLEST_BOX, desk_for
from napari_hovernet._napari.images import placement
from napari_hovernet._napari.session_for import forget
from napari_hovernet._napari.study_layers import Extra
from napari_hovernet._napari.view import camera_of, canvas_size
from napari_hovernet.app.session import ImageChoice, Run
from napari_hovernet.app.study import TruthChoice
from napari_hovernet.core.types import Progress
from napari_hovernet.errors import InputError

WAIT_MS = 60_000
TURNED = {
    "scale": (0.5, 0.25),
    "rotate": 30,
    "shear": [0.2],
    "translate": (7, -9),
    "affine": np.array([[1.0, 0.1, 3], [0, 1.2, -4], [0, 0, 1]]),
}


@pytest.fixture
def viewer():
    return ViewerModel()


@pytest.fixture
def desk(viewer, jobs, qapp):
    yield desk_for(viewer)
    forget(viewer)


@pytest.fixture
def add(desk, viewer, make_result):
    """Add a finished run over an image; returns the run."""

    def add(number=1, offset=(0, 0), **keywords):
        image = next((x for x in viewer.layers if x.name == "slide"), None)
        if image is None:
            shape = keywords.pop("shape", (200, 300, 3))
            image = viewer.add_image(np.zeros(shape, np.uint8), rgb=True, name="slide", **keywords)
        run = Run(
            number, f"compact {number}", ImageChoice(id(image), "slide"),
            make_result(offset=offset), placement(image, viewer.dims.current_step), {},
        )  # fmt: skip
        desk.work.session.finish(run)
        return run

    return add


def settle(desk, qtbot):
    qtbot.waitUntil(lambda: not desk.busy and desk.work.layers.settled, timeout=WAIT_MS)
    qtbot.wait(20)  # another turn of the event loop: layers rest


# ---------------------------------------------------------------------- the run under the glass


def test_a_new_run_comes_under_the_glass_and_is_found_out(desk, add, qtbot):
    assert desk.run is None and desk.instances_layer() is None and desk.drawn_labels() is None
    desk.refresh()
    run = add()
    assert desk.run is run and desk.busy
    settle(desk, qtbot)
    found = desk.study.findings
    assert found.nuclei.label.tolist() == [1, 2] and found.magnitude.inside.n == 220
    assert found.blobs.n_instances == 2
    second = add(2)
    assert desk.run is second and desk.study.findings is None


def test_a_run_undone_is_left_for_the_one_before_and_comes_back_with_redo(desk, add, qtbot):
    first, second = add(1), add(2)
    desk.work.undo()
    assert desk.run is first
    desk.work.redo()
    assert desk.run is second
    desk.work.session.remove_run(2)
    desk.work.session.remove_run(1)
    assert desk.run is None and desk.study.labels is None
    settle(desk, qtbot)
    assert desk.study.findings is None


def test_undo_while_findings_are_on_their_way_delivers_none(desk, add, viewer, qtbot):
    add()
    desk.refresh()
    desk.work.undo()
    settle(desk, qtbot)
    assert desk.study.findings is None and [x.name for x in viewer.layers] == ["slide"]


def test_selecting_a_layer_of_another_run_looks_into_that(desk, add, viewer, qtbot):
    first, second = add(1), add(2)
    settle(desk, qtbot)
    viewer.layers.selection.active = viewer.layers["compact 1 · NP"]
    assert desk.run is first
    viewer.layers.selection.active = viewer.layers["slide"]
    assert desk.run is first  # the image belongs to no run
    extra = desk.layers.show(second, Extra("x", "labels", "x", np.zeros((64, 80), np.int32)))
    qtbot.wait(20)
    viewer.layers.selection.active = extra
    assert desk.run is second
    desk.choose_run(99)
    assert desk.run is second
    desk.choose_run(1)
    assert desk.run is first


def test_extra_layers_go_with_their_run(desk, add, viewer, qtbot):
    first, second = add(1), add(2)
    settle(desk, qtbot)
    for run in (first, second):
        desk.layers.show(run, Extra("x", "labels", "x", np.zeros((64, 80), np.int32)))
    desk.work.session.remove_run(1)
    assert not any(x.name.startswith("compact 1") for x in viewer.layers)
    assert desk.layers.find(2, "x") is not None and desk.run is second


def test_two_viewers_do_not_mix(desk, add, make_result, qtbot):
    other_viewer = ViewerModel()
    other = desk_for(other_viewer)
    add()
    settle(desk, qtbot)
    assert other is not desk and desk_for(other_viewer) is other
    assert other.run is None and other.study.findings is None and len(other_viewer.layers) == 0
    forget(other_viewer)
    assert desk_for(desk.viewer) is desk


def test_after_the_viewer_is_closed_nothing_is_computed_any_more(desk, add, qtbot):
    add()
    forget(desk.viewer)
    qtbot.wait(2 * desk_module.REFRESH_MS)
    assert desk.study.findings is None and desk.runner.jobs == ()


# ---------------------------------------------------------------------- findings


def test_corrections_truth_and_bands_are_answered_with_new_findings(desk, add, qtbot):
    run = add()
    settle(desk, qtbot)
    labels = run.result.labels.copy()
    labels[50:60, 60:70] = 3
    desk.study.set_labels(labels, corrected=True)
    desk.study.choose_truth(TruthChoice("t", "t", run.result.labels))
    desk.study.set_bands(replace(desk.study.bands, healthy=0.9, target_low=0.95, target_high=0.96))
    settle(desk, qtbot)
    found = desk.study.findings
    assert found.nuclei.label.tolist() == [1, 2, 3]
    assert found.comparison.prediction.n_true == 2 and found.comparison.prediction.n_pred == 3
    assert found.magnitude.verdict == "weak"


def test_many_changes_at_once_are_answered_once(desk, add, monkeypatch, qtbot):
    run = add()
    settle(desk, qtbot)
    asked = []
    before = desk_module.finding_steps
    monkeypatch.setattr(desk_module, "finding_steps", lambda case: asked.append(1) or before(case))
    for _ in range(10):
        desk.study.set_labels(run.result.labels.copy(), corrected=True)
    settle(desk, qtbot)
    assert len(asked) == 1


def test_findings_of_older_labels_are_dropped(desk, add, monkeypatch, qtbot):
    run = add()
    settle(desk, qtbot)
    gate, started, before = threading.Event(), threading.Event(), desk_module.finding_steps

    def slow(case):
        yield Progress(0, 2)
        if case.labels.max() == 7:
            started.set()
            gate.wait(30)
        return (yield from before(case))

    monkeypatch.setattr(desk_module, "finding_steps", slow)
    old = np.where(run.result.labels > 0, 7, 0).astype(np.int32)
    desk.study.set_labels(old, corrected=True)
    desk.refresh()
    assert started.wait(30)
    desk.study.set_labels(np.where(old > 0, 5, 0).astype(np.int32), corrected=True)
    seen = []
    desk.study.findings_changed.connect(lambda f: seen.append(f.nuclei.label.tolist()))
    gate.set()
    settle(desk, qtbot)
    assert seen == [[5]]


def test_what_cannot_be_found_out_is_logged(desk, add, monkeypatch, caplog, qtbot):
    def failing(_case):
        yield Progress(0, 1)
        raise InputError("maps are odd")

    monkeypatch.setattr(desk_module, "finding_steps", failing)
    add()
    settle(desk, qtbot)
    assert desk.study.findings is None and "compact 1: maps are odd" in caplog.text
    monkeypatch.undo()
    desk.refresh()
    settle(desk, qtbot)
    assert desk.study.findings is not None


def test_a_run_without_maps_is_no_error(desk, viewer, add, make_result, qtbot):
    add()
    settle(desk, qtbot)
    run = desk.run
    bare = replace(run, id=2, title="bare 2", result=replace(run.result, maps=None))
    desk.study.choose_run(bare)
    settle(desk, qtbot)
    assert desk.study.findings is None


def test_a_layer_deleted_or_renamed_while_findings_come_costs_nothing(desk, add, viewer, qtbot):
    run = add()
    settle(desk, qtbot)
    layer = desk.instances_layer()
    assert desk.drawn_labels().shape == (64, 80)
    desk.study.set_labels(run.result.labels.copy(), corrected=True)
    desk.refresh()
    layer.name = "renamed"
    assert desk.instances_layer() is layer
    viewer.layers.remove(layer)
    settle(desk, qtbot)
    assert desk.study.findings is not None and desk.instances_layer() is None
    assert desk.drawn_labels() is None and desk.study.labels.max() == 2


def test_the_run_keeps_its_labels_when_the_layer_is_painted_on(desk, add, qtbot):
    run = add()
    desk.instances_layer().data[0, 0] = 9
    assert run.result.labels[0, 0] == 0 == desk.study.labels[0, 0]
    assert desk.drawn_labels()[0, 0] == 9


# ---------------------------------------------------------------------- where things are


@pytest.mark.parametrize("offset", [(0, 0), (10, 23)])
@pytest.mark.parametrize("look", [{}, TURNED], ids=["plain", "turned"])
def test_pixels_and_world_are_those_of_the_nuclei_layer(desk, add, qtbot, look, offset):
    add(offset=offset, **look)
    layer = desk.instances_layer()
    for pixel in ((0, 0), (12, 40), (63, 79)):
        world = desk.to_world(*pixel)
        np.testing.assert_allclose(world, layer.data_to_world(pixel), atol=1e-9)
        assert desk.to_pixel(world) == pixel
    assert desk.to_pixel(layer.data_to_world((11.6, 40.4))) == (12, 40)
    for outside in ((-1, 0), (0, -1), (64, 0), (0, 80)):
        assert desk.to_pixel(layer.data_to_world(outside)) is None


def test_a_pixel_of_a_stack_is_told_only_on_its_own_plane(desk, add, viewer, qtbot):
    viewer.add_image(
        np.zeros((5, 64, 80, 3), np.uint8), rgb=True, name="slide", scale=(2, 0.5, 0.5)
    )
    viewer.dims.set_current_step(0, 3)
    add()
    assert desk.to_world(4, 6) == (6.0, 2.0, 3.0)
    assert desk.to_pixel((6.0, 2.0, 3.0)) == (4, 6)
    assert desk.to_pixel((4.0, 2.0, 3.0)) is None  # another plane
    assert desk.to_pixel((2.0, 3.0)) is None  # too few numbers


def test_an_image_in_two_dimensions_beside_a_stack_reads_the_last_two(desk, add, viewer, qtbot):
    add(scale=(0.5, 0.5))
    viewer.add_image(np.zeros((5, 64, 80), np.uint8), name="stack")
    assert desk.to_pixel((3.0, 2.0, 3.0)) == (4, 6)


def test_without_a_run_there_is_no_place(desk):
    assert desk.to_pixel((1, 1)) is None
    desk.fly_to((0, 1, 0, 1))
    with pytest.raises(TypeError, match="no run"):
        desk.to_world(0, 0)


@pytest.mark.parametrize("look", [{}, {"scale": (0.25, 0.25), "translate": (50, 60)}])
@pytest.mark.parametrize("box", [(10, 60, 20, 70), (5, 15, 5, 15), (0, 180, 10, 250)])
def test_flying_centres_the_box_and_shows_all_of_it(desk, add, viewer, qtbot, look, box):
    add(offset=(3, 4), **look)
    desk.fly_to(box)
    layer = desk.instances_layer()
    middle = layer.data_to_world(((box[0] + box[1] - 1) / 2, (box[2] + box[3] - 1) / 2))
    np.testing.assert_allclose(camera_of(viewer).center[-2:], middle, atol=1e-6)
    pixel = layer.scale[-1] * camera_of(viewer).zoom  # screen pixels per image pixel
    height, width = canvas_size(viewer)
    tall, wide = max(box[1] - box[0], SMALLEST_BOX), max(box[3] - box[2], SMALLEST_BOX)
    shares = (tall * pixel / height, wide * pixel / width)
    assert max(shares) == pytest.approx(1 - desk_module.FLY_MARGIN)


def test_flying_within_a_turned_image_still_shows_the_box(desk, add, viewer, qtbot):
    add(scale=(0.5, 0.5), rotate=45)
    desk.fly_to((10, 110, 20, 220))
    layer = desk.instances_layer()
    corners = [layer.data_to_world(p) for p in ((10, 20), (10, 219), (109, 20), (109, 219))]
    away = np.abs(np.array(corners) - camera_of(viewer).center[-2:]) * camera_of(viewer).zoom
    height, width = canvas_size(viewer)
    assert away[:, 0].max() < height / 2 and away[:, 1].max() < width / 2


def test_flying_shows_the_plane_of_the_run(desk, add, viewer, qtbot):
    viewer.add_image(np.zeros((5, 64, 80, 3), np.uint8), rgb=True, name="slide", scale=(2, 1, 1))
    viewer.dims.set_current_step(0, 3)
    add()
    viewer.dims.set_current_step(0, 0)
    desk.fly_to((5, 15, 5, 15))
    assert viewer.dims.current_step[0] == 3
    np.testing.assert_allclose(camera_of(viewer).center[-2:], (9.5, 9.5))


def test_layers_that_come_and_go_do_not_change_the_run(desk, add, qtbot):
    """Napari selects what is added, and a neighbour of what is removed."""
    first, second = add(1), add(2)
    settle(desk, qtbot)
    layers, own = desk.viewer.layers, desk.layers.find(first.id, "instances")
    layers.selection.active = own
    assert desk.run is first
    desk.choose_run(second.id)
    layers.selection.active = None
    layers.remove(desk.viewer.add_labels(np.zeros((4, 4), int), metadata=own.metadata))
    layers.selection.active = own  # in the same turn: a program's doing
    assert desk.run is second
    qtbot.wait(20)
    layers.selection.active = None
    layers.selection.active = own
    assert desk.run is first
