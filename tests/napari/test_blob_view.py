"""The blob check of a desk on a ViewerModel: colours, steps, following, saving."""

from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.utils.key_bindings import coerce_keybinding

from napari_hovernet._napari.blob_layers import BLOBS
from napari_hovernet._napari.blob_view import NEXT_KEY, blob_view_for
from napari_hovernet._napari.desk import desk_for
from napari_hovernet._napari.session_for import forget
from napari_hovernet._napari.view import camera_of
from napari_hovernet.errors import OutputError

WAIT_MS = 60_000


@pytest.fixture
def viewer(jobs, qapp):
    viewer = ViewerModel()
    yield viewer
    forget(viewer)


@pytest.fixture
def desk(viewer):
    return desk_for(viewer)


@pytest.fixture
def view(viewer):
    return blob_view_for(viewer)


@pytest.fixture
def add(desk, viewer, blob_run, qtbot):
    image = viewer.add_image(np.zeros((120, 160, 3), np.uint8), rgb=True, name="slide")

    def add(number=1, **keywords):
        run = blob_run(image, number, **keywords)
        desk.work.session.finish(run)
        settle(desk, qtbot)
        return run

    return add


def settle(desk, qtbot):
    qtbot.waitUntil(lambda: not desk.busy and desk.work.layers.settled, timeout=WAIT_MS)


def names(viewer):
    return [x.name for x in viewer.layers if "blob check" in x.name]


def test_it_is_one_per_viewer_and_knows_nothing_without_a_run(viewer, view):
    assert blob_view_for(viewer) is view
    assert view.report is None and view.current is None
    view.set_colored(True)
    view.step(1)
    view.save("never.csv")
    assert names(viewer) == [] and view.current is None


def test_colours_come_and_go(viewer, view, add, desk):
    run = add()
    assert view.report.summary == ("7 components, 8 nuclei, 2 suspected blobs, largest 3 nuclei")
    told = []
    view.colored_changed.connect(told.append)
    view.set_colored(True)
    layer = desk.layers.find(run.id, BLOBS)
    assert np.array_equal(layer.data, view.report.components)
    assert layer.features["status"].tolist() == [row.status for row in view.report.rows]
    view.set_colored(False)
    assert desk.layers.find(run.id, BLOBS) is None and told == [True, False]


def test_from_suspect_to_suspect_round_and_round(view, add, desk):
    add()
    seen = []
    view.moved.connect(lambda: seen.append(view.current.worst))
    for by in (1, 1, 1, -1, -1):
        view.step(by)
    assert seen == [9, 7, 9, 7, 9]
    assert desk.study.nucleus == 9
    r0, c0, r1, c1 = view.current.bbox
    centre = camera_of(desk.viewer).center[-2:]
    assert centre == pytest.approx(((r0 + r1 - 1) / 2, (c0 + c1 - 1) / 2), abs=1)


def test_back_from_nowhere_leads_to_the_last(view, add):
    add()
    view.step(-1)
    assert view.current.worst == 7


def test_a_key_of_the_viewer_leads_on(viewer, view, add):
    add()
    view.keys.acquire()
    viewer.keymap[coerce_keybinding(NEXT_KEY)](viewer)
    assert view.current.worst == 9


def test_a_correction_recolours_and_the_next_step_goes_on_from_there(view, add, desk, qtbot):
    run = add()
    view.set_colored(True)
    layer = desk.layers.find(run.id, BLOBS)
    layer.name, layer.visible = "mine", False
    view.step(1)
    labels = run.result.labels.copy()
    labels[105, :] = 0
    labels[98:113, 26:29] = labels[98:113, 41:44] = 0
    labels[98:105, 29:41] = np.where(labels[98:105, 29:41] > 0, 20, 0)
    labels[labels == 9] = 0
    desk.study.set_labels(labels, corrected=True)
    settle(desk, qtbot)
    assert view.report.n_suspected == 1
    assert desk.layers.find(run.id, BLOBS) is layer
    assert (layer.name, layer.visible) == ("mine", False)
    assert set(layer.features["status"]) >= {"blob", "separated", "single"}
    assert view.current is None
    view.step(1)
    assert view.current.worst == 7


def test_what_was_looked_at_stays_when_something_else_changes(view, add, desk, qtbot):
    run = add()
    view.step(1)
    before = view.current
    labels = run.result.labels.copy()
    labels[labels == 1] = 0
    desk.study.set_labels(labels, corrected=True)
    settle(desk, qtbot)
    assert view.current is not before and view.current.bbox == before.bbox


def test_another_run_takes_the_colours_over(viewer, view, add, desk):
    first = add(1)
    view.set_colored(True)
    view.step(1)
    second = add(2, merged=range(12))
    assert view.current is None and view.report.n_suspected == 0
    assert desk.layers.find(first.id, BLOBS) is None
    assert set(desk.layers.find(second.id, BLOBS).features["status"]) == {"single", "separated"}
    desk.work.session.undo()
    assert desk.run is first and desk.layers.find(second.id, BLOBS) is None
    assert view.colored


def test_a_deleted_layer_is_a_wish_and_a_removed_run_is_none(viewer, view, add, desk):
    run = add()
    view.set_colored(True)
    viewer.layers.remove(desk.layers.find(run.id, BLOBS))
    assert not view.colored
    view.set_colored(True)
    desk.work.session.remove_run(run.id)
    assert view.colored and names(viewer) == []


def test_the_table_is_saved_in_whole_image_coordinates(view, add, tmp_path):
    add(1, offset=(1000, 2000))
    view.save(str(tmp_path / "b.csv"))
    header, first, *_ = (tmp_path / "b.csv").read_text("utf-8").splitlines()
    line = dict(zip(header.split(","), first.split(","), strict=True))
    assert line["status"] == "blob" and float(line["centroid_y_px"]) == pytest.approx(1105, abs=1)
    assert float(line["centroid_x_um"]) == pytest.approx(2035 / 4, abs=1)
    with pytest.raises(OutputError):
        view.save(str(tmp_path / "none" / "b.csv"))
