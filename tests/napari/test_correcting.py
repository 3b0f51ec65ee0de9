"""Brush corrections on a ViewerModel, drawn as napari's own tools draw."""

from __future__ import annotations

import gc

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtCore import QObject, Signal

from napari_hovernet._napari.correcting import (
    Correcting,
    correcting_for,
    next_free_id,
    snapshot,
)
from napari_hovernet._napari.desk import desk_for
from napari_hovernet._napari.images import placement
from napari_hovernet._napari.session_for import forget
from napari_hovernet.app.corrections import PairAbout, PairOptions
from napari_hovernet.app.session import ImageChoice, Run
from napari_hovernet.core.data.pairs import find_pairs
from napari_hovernet.core.io.labels import read_label_tiff
from napari_hovernet.core.io.open import read_image
from napari_hovernet.errors import UserError

WAIT_MS = 60_000
IMAGE = np.random.default_rng(3).integers(0, 255, (200, 300, 3)).astype(np.uint8)


@pytest.fixture
def viewer():
    return ViewerModel()


@pytest.fixture
def desk(viewer, jobs, qapp):
    yield desk_for(viewer)
    forget(viewer)


@pytest.fixture
def correcting(desk):
    return correcting_for(desk.viewer)


@pytest.fixture
def add(desk, viewer, make_result, qtbot):
    image = viewer.add_image(IMAGE, rgb=True, name="slide", scale=(0.5, 0.5))

    def add(number=1, offset=(10, 20), **keywords):
        run = Run(
            number, f"compact {number}", ImageChoice(id(image), "slide"),
            make_result(offset=offset, **keywords), placement(image, (0, 0)), {"image": "slide"},
        )  # fmt: skip
        desk.work.session.finish(run)
        settle(desk, qtbot)
        return run

    return add


def settle(desk, qtbot):
    def done():
        return not (desk.busy or correcting_for(desk.viewer).busy) and desk.work.layers.settled

    qtbot.waitUntil(done, timeout=WAIT_MS)


def stroke(layer, label, path, size=4):
    """Drag the brush along a path, as the mouse does."""
    layer.mode, layer.brush_size, layer.selected_label = "paint", size, label
    with layer.block_history():
        for point in path:
            layer.paint(point, label)


# ---------------------------------------------------------------------- taking in


def test_a_stroke_is_taken_in_once_it_is_over(desk, correcting, add, qtbot):
    run = add()
    layer, heard = desk.instances_layer(), []
    desk.study.labels_changed.connect(heard.append)
    with layer.block_history():  # as napari's brush does from press to release
        for col in range(50, 70, 4):
            layer.paint((50, col), 3)
            assert not correcting.busy  # nothing is copied or compared within a stroke
    assert correcting.busy and heard == []
    settle(desk, qtbot)
    assert len(heard) == 1 and desk.study.instances.corrected
    assert desk.study.labels[50, 60] == 3 and run.result.labels[50, 60] == 0
    assert not np.shares_memory(desk.study.labels, layer.data)
    assert desk.study.findings.nuclei.label.tolist() == [1, 2, 3]
    assert correcting.corrections.changes.added == (3,)
    assert layer.features["index"].tolist() == [1, 2, 3]
    assert desk.study.findings.blobs.n_instances == 3


def test_strokes_in_quick_succession_are_one_change(desk, correcting, add, qtbot):
    add()
    heard = []
    desk.study.labels_changed.connect(heard.append)
    for col in (50, 56, 62):
        stroke(desk.instances_layer(), 5, [(50, col)])
    settle(desk, qtbot)
    assert len(heard) == 1


def test_erase_fill_polygon_undo_and_redo_are_followed(desk, correcting, add, qtbot):
    run = add()
    layer = desk.instances_layer()
    layer.fill((10, 10), 0)
    settle(desk, qtbot)
    assert correcting.corrections.changes.removed == (1,)
    layer.paint_polygon([(50, 50), (50, 60), (60, 60)], 9)
    settle(desk, qtbot)
    assert correcting.corrections.changes.added == (9,)
    layer.undo()
    settle(desk, qtbot)
    assert correcting.corrections.changes.added == () and desk.study.instances.corrected
    layer.undo()
    settle(desk, qtbot)
    assert not desk.study.instances.corrected and desk.study.labels is run.result.labels
    assert correcting.corrections.summary == "Nothing changed."
    assert layer.features["index"].tolist() == [1, 2]
    layer.redo()
    settle(desk, qtbot)
    assert correcting.corrections.changes.removed == (1,)


def test_looks_alone_change_nothing(desk, correcting, add, qtbot):
    add()
    heard = []
    desk.study.labels_changed.connect(heard.append)
    layer = desk.instances_layer()
    layer.contour = 1
    layer.visible = False
    layer.visible = True
    layer.selected_label = 4
    settle(desk, qtbot)
    assert heard == []


def test_edits_by_a_script_are_taken_in_before_saving(desk, correcting, add, tmp_path, qtbot):
    add()
    desk.instances_layer().data[0, 0] = 8  # napari is not told
    with qtbot.waitSignal(heard_of(correcting), timeout=WAIT_MS):
        correcting.save_labels(str(tmp_path / "x.tif"))
    assert read_label_tiff(tmp_path / "x.tif").ids.tolist() == [1, 2, 8]


def test_data_of_another_size_or_kind_is_told_and_nothing_is_lost(desk, correcting, add, qtbot):
    add()
    layer = desk.instances_layer()
    stroke(layer, 3, [(50, 60)])
    settle(desk, qtbot)
    before, drawn = desk.study.labels, layer.data
    layer.data = np.zeros((5, 6), np.int32)
    settle(desk, qtbot)
    assert desk.study.labels is before and "(5, 6)" in correcting.problem
    with pytest.raises(UserError, match="former data"):
        correcting.save_labels("x.tif")
    layer.data = drawn.astype(np.int64) * 2**32
    settle(desk, qtbot)
    assert desk.study.labels is before and "labels lie in" in correcting.problem
    layer.data = drawn
    settle(desk, qtbot)
    assert correcting.problem == "" and correcting.corrections.changes.added == (3,)


def test_a_new_nucleus_gets_the_colour_of_its_type(desk, correcting, add, qtbot):
    run = add(typed=True)
    layer = desk.instances_layer()
    votes = np.zeros((3, *run.result.labels.shape), np.float32)
    votes[2] = 1.0
    object.__setattr__(run.result.maps, "types", votes)
    stroke(layer, 7, [(50, 60)])
    settle(desk, qtbot)
    assert layer.features["type_name"].tolist() == ["inflammatory"] * 3
    for label in (1, 2, 7):
        np.testing.assert_allclose(layer.get_color(label), (0, 1, 0, 1))


# ---------------------------------------------------------------------- runs


def test_corrections_survive_switching_runs_back_and_forth(desk, correcting, add, qtbot):
    first = add(1)
    stroke(desk.instances_layer(), 3, [(50, 60)])
    second = add(2)  # while the stroke waits to be taken in
    assert desk.run is second and not desk.study.instances.corrected
    assert correcting.corrections.summary == "Nothing changed."
    stroke(desk.instances_layer(), 7, [(20, 70)])
    settle(desk, qtbot)
    desk.choose_run(1)
    assert desk.study.labels[50, 60] == 3 and desk.study.instances.corrected
    assert correcting.corrections.changes.added == (3,)
    desk.choose_run(2)
    assert desk.study.labels[20, 70] == 7 and desk.study.labels[50, 60] == 0
    settle(desk, qtbot)
    assert desk.study.findings.nuclei.label.tolist() == [1, 2, 7]
    assert first.result.labels.max() == 2


def test_corrections_survive_undo_and_redo_of_their_run(desk, correcting, add, qtbot):
    add()
    stroke(desk.instances_layer(), 3, [(50, 60)])
    settle(desk, qtbot)
    desk.work.undo()
    assert desk.run is None and correcting.corrections.summary == "Nothing changed."
    desk.work.redo()
    assert desk.study.instances.corrected and correcting.corrections.changes.added == (3,)


def test_a_stroke_made_on_a_run_that_is_not_looked_at_is_found_later(desk, correcting, add, qtbot):
    add(1)
    layer = desk.instances_layer()
    add(2)
    stroke(layer, 3, [(50, 60)])
    desk.choose_run(1)
    assert desk.study.labels[50, 60] == 3


def test_a_deleted_layer_takes_no_corrections_along(desk, correcting, add, viewer, qtbot):
    add(1)
    stroke(desk.instances_layer(), 3, [(50, 60)])
    settle(desk, qtbot)
    viewer.layers.remove(desk.instances_layer())
    settle(desk, qtbot)
    assert desk.study.labels[50, 60] == 3
    add(2)
    desk.choose_run(1)
    assert desk.study.labels[50, 60] == 3 and desk.study.instances.corrected
    with pytest.raises(UserError, match="was deleted: Undo and Redo"):
        correcting.new_nucleus()


def test_a_layer_deleted_right_after_a_stroke_is_no_error(desk, correcting, add, viewer, qtbot):
    add()
    layer = desk.instances_layer()
    stroke(layer, 3, [(50, 60)])
    viewer.layers.remove(layer)
    settle(desk, qtbot)
    assert desk.study.labels is not None


def test_runs_that_cannot_come_back_are_let_go(desk, correcting, add, qtbot):
    add(1)
    stroke(desk.instances_layer(), 3, [(50, 60)])
    settle(desk, qtbot)
    assert list(correcting._kept) == [1]
    desk.work.undo()
    add(2)
    assert list(correcting._kept) == []


def test_two_viewers_do_not_mix(desk, correcting, add, make_result, qtbot):
    other_viewer = ViewerModel()
    other = correcting_for(other_viewer)
    add()
    stroke(desk.instances_layer(), 3, [(50, 60)])
    settle(desk, qtbot)
    assert other is not correcting and not other.corrections.any
    assert correcting_for(desk.viewer) is correcting
    forget(other_viewer)


def test_closing_the_viewer_within_the_pause_takes_nothing_in(desk, correcting, add, qtbot):
    add()
    stroke(desk.instances_layer(), 3, [(50, 60)])
    forget(desk.viewer)
    qtbot.waitUntil(lambda: not correcting.busy, timeout=WAIT_MS)
    assert not correcting.corrections.any


# ---------------------------------------------------------------------- drawing


def test_a_new_nucleus_has_a_free_id_and_the_brush(desk, correcting, add, viewer, qtbot):
    add()
    layer = desk.instances_layer()
    layer.fill((35, 25), 0)  # the last id is erased: it is not given again
    settle(desk, qtbot)
    layer.visible = False
    assert correcting.new_nucleus() == 3
    assert viewer.layers.selection.active is layer and layer.visible
    assert (layer.mode, layer.selected_label) == ("paint", 3)
    stroke(layer, 3, [(50, 60)])
    assert correcting.new_nucleus() == 4
    settle(desk, qtbot)
    assert correcting.corrections.summary.startswith("1 nucleus added, 1 removed")


def test_the_key_does_the_same_and_says_why_not(desk, correcting, viewer, add):
    action = next(f for k, f in viewer.keymap.items() if str(k) == "Shift+M")
    action(viewer)
    assert "segment an image first" in viewer.status
    add()
    action(viewer)
    assert desk.instances_layer().selected_label == 3 and "nucleus 3" in viewer.status


def test_a_pyramid_cannot_be_drawn_on_and_says_what_to_do(desk, correcting, add):
    labels = np.zeros((5000, 30), np.int32)
    add(1, offset=(0, 0), shape=labels.shape)
    with pytest.raises(UserError, match="as a region"):
        correcting.new_nucleus()


def test_free_ids():
    assert next_free_id(None) == 1 and next_free_id(np.zeros((0, 3), np.int32)) == 1
    assert next_free_id(np.array([[3]]), np.array([[8]])) == 9
    assert snapshot(np.ones((2, 3), np.uint8)).dtype == np.int32


# ---------------------------------------------------------------------- saving


class Relay(QObject):
    heard = Signal(object)


def heard_of(correcting):
    """A Qt signal that follows ``saved`` and ``failed``."""
    relay = Relay()
    for signal in (correcting.saved, correcting.failed):
        signal.connect(lambda value, relay=relay: relay.heard.emit(value))
    return relay.heard


def test_a_pair_of_the_very_region_is_saved(desk, correcting, add, tmp_path, qtbot):
    add()
    stroke(desk.instances_layer(), 9, [(50, 60)], size=6)
    with qtbot.waitSignal(heard_of(correcting), timeout=WAIT_MS) as heard:
        correcting.save_pair(
            (str(tmp_path), "slide_1"), PairAbout("me", "val", licence="CC0-1.0"), PairOptions()
        )
    assert heard.args[0] == "Saved slide_1 with 3 nuclei."
    (pair,) = find_pairs(tmp_path)
    assert (pair.source, pair.split, pair.mpp) == ("me", "val", 0.25)
    pixels = read_image(pair.image).source.read(0, 64, 0, 80)
    assert (pixels == IMAGE[10:74, 20:100]).all()
    back = read_label_tiff(pair.labels)
    assert back.ids.tolist() == [1, 2, 3] and back.labels[50, 60] == 3
    assert back.metadata["corrections"]["added"] == [9] and back.metadata["image"] == "slide"
    with qtbot.waitSignal(heard_of(correcting), timeout=WAIT_MS) as heard:
        correcting.save_pair((str(tmp_path), "slide_1"), PairAbout(), PairOptions())
    assert isinstance(heard.args[0], UserError) and "is there already" in str(heard.args[0])


def test_without_run_or_image_it_says_what_to_do(desk, correcting, add, viewer, qtbot):
    with pytest.raises(UserError, match="segment an image first"):
        correcting.save_labels("x.tif")
    add()
    viewer.layers.remove(viewer.layers["slide"])
    with pytest.raises(UserError, match="no longer among the layers"):
        correcting.save_pair(("x", "y"), PairAbout(), PairOptions())


def test_an_image_of_another_size_meanwhile_is_told(desk, correcting, add, viewer, tmp_path, qtbot):
    add()
    viewer.layers["slide"].data = IMAGE[:50, :50]
    with qtbot.waitSignal(heard_of(correcting), timeout=WAIT_MS) as heard:
        correcting.save_pair((str(tmp_path), "a"), PairAbout(), PairOptions())
    assert "reaches beyond the image" in str(heard.args[0]) and not any(tmp_path.iterdir())


def test_it_holds_no_desk_alive(jobs, qapp):
    viewer = ViewerModel()
    correcting = Correcting(desk_for(viewer))
    forget(viewer)
    del viewer
    gc.collect()
    with pytest.raises(TypeError, match="gone"):
        _ = correcting.desk
