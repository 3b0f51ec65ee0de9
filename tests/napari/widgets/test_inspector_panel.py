"""The inspector on a ViewerModel, and its clicks and status bar in a real window."""

from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtWidgets import QMessageBox, QScrollArea

from napari_hovernet._napari.desk import desk_for
from napari_hovernet._napari.images import placement
from napari_hovernet._napari.session_for import forget
from napari_hovernet._napari.stage_layers import AUTO_MARK
from napari_hovernet._napari.view import camera_of
from napari_hovernet._napari.widgets.inspector_panel import NO_PIXEL, InspectorPanel
from napari_hovernet.app.session import ImageChoice, Run
from napari_hovernet.core.measure.magnitude import MagnitudeBands

WAIT_MS = 60_000


def add_run(viewer, make_result, number=1):
    image = next((x for x in viewer.layers if x.name == "slide"), None)
    if image is None:
        image = viewer.add_image(np.zeros((64, 80, 3), np.uint8), rgb=True, name="slide")
    place = placement(image, (0, 0))
    run = Run(number, f"compact {number}", ImageChoice(id(image), "slide"), make_result(), place)
    desk_for(viewer).work.session.finish(run)
    return run


@pytest.fixture
def viewer(jobs, qapp):
    viewer = ViewerModel()
    viewer.mouse_over_canvas = True
    yield viewer
    forget(viewer)


@pytest.fixture
def panel(viewer, qtbot):
    panel = InspectorPanel(viewer)
    qtbot.addWidget(panel)
    panel.resize(380, 800)
    panel.show()
    return panel


def test_a_run_is_judged_and_the_bounds_can_be_moved(viewer, panel, make_result, qtbot):
    assert panel.light.word.text() == "Nothing to look at yet."
    assert not panel.nucleus.isEnabled()
    add_run(viewer, make_result)
    assert panel.light.word.text() == "Looking ..."
    qtbot.waitUntil(lambda: panel.light.word.text() == "weak", timeout=WAIT_MS)
    assert panel.light.cells["inside", "mean"].text() == "0.424"
    panel.bands.boxes["healthy"].setValue(0.41)
    assert panel.plot.bounds["healthy"].value() == 0.41
    qtbot.waitUntil(lambda: panel.light.word.text().startswith("healthy"), timeout=WAIT_MS)
    assert panel.study.bands == MagnitudeBands(healthy=0.41)


def test_the_cursor_is_read_out(viewer, panel, make_result):
    assert panel.readout.text() == NO_PIXEL
    add_run(viewer, make_result)
    viewer.cursor.position = (31, 25)
    assert panel.readout.text().endswith("nucleus 2")
    viewer.cursor.position = (-9, 25)
    assert panel.readout.text() == NO_PIXEL


def test_keys_and_spin_box_lead_to_a_nucleus(viewer, panel, make_result, qtbot):
    add_run(viewer, make_result)
    panel.nucleus.after.click()
    assert panel.nucleus.value() == panel.study.nucleus == 1
    assert not panel.nucleus_plot.canvas.isHidden()
    panel.nucleus.box.setValue(2)
    assert panel.nucleus_plot.summary.text().startswith("Nucleus 2: 120 px")
    panel.nucleus.box.setValue(99)
    assert panel.nucleus_plot.summary.text() == "There is no nucleus 99; ids start at 1."
    assert panel.nucleus_plot.canvas.isHidden()


def test_stages_and_limits_are_layers_and_their_names(viewer, panel, make_result, qtbot):
    add_run(viewer, make_result)
    qtbot.waitUntil(lambda: panel.desk.work.layers.settled, timeout=WAIT_MS)
    for box in panel.stages.boxes.values():
        box.click()
    names = {x.name for x in viewer.layers}
    assert {f"compact 1 · {x}" for x in ("HV arrows", "energy", "markers", "mask")} <= names
    panel.stages.auto.click()
    assert panel.stages.auto.isChecked()
    assert sum(x.name.endswith(AUTO_MARK) for x in viewer.layers) == 5
    viewer.layers.remove(viewer.layers["compact 1 · mask"])
    assert not panel.stages.boxes["mask"].isChecked()
    panel.desk.work.session.remove_run(1)
    assert not any(box.isChecked() for box in panel.stages.boxes.values())
    assert not panel.stages.auto.isChecked() and not panel.stages.isEnabled()


def test_a_stage_without_a_run_is_told(panel, monkeypatch):
    told = []
    monkeypatch.setattr(QMessageBox, "open", lambda box: told.append(box.text()))
    panel.stages.boxes["energy"].click()
    panel._stage_toggled("energy", True)
    assert told and "There is no run to look into" in told[-1]
    assert not panel.stages.boxes["energy"].isChecked()


def test_hidden_it_sleeps_and_shown_again_it_knows(viewer, panel, make_result, qtbot):
    panel.hide()
    assert not panel.inspecting.running and not viewer.mouse_drag_callbacks[1:]
    add_run(viewer, make_result)
    qtbot.waitUntil(lambda: panel.study.findings is not None, timeout=WAIT_MS)
    assert panel.light.word.text() == "Nothing to look at yet."
    viewer.cursor.position = (31, 25)
    assert panel.readout.text() == NO_PIXEL
    panel.show()
    assert panel.light.word.text() == "weak"
    assert panel.inspecting.running


def test_deleted_it_listens_no_more(viewer, make_result, qapp):
    panel = InspectorPanel(viewer)
    panel.show()
    inspecting = panel.inspecting
    assert inspecting.running
    qapp.processEvents()
    panel.deleteLater()
    qapp.sendPostedEvents(None, 52)  # QEvent.DeferredDelete
    assert not inspecting.running
    add_run(viewer, make_result)
    viewer.cursor.position = (31, 25)
    desk_for(viewer).study.look_at(1)


def test_nothing_is_cut_off_at_its_width(viewer, panel, make_result):
    add_run(viewer, make_result)
    panel.nucleus.after.click()
    scroll = panel.findChild(QScrollArea)
    body = scroll.widget()
    assert body.minimumSizeHint().width() <= scroll.viewport().width()


def test_two_viewers_keep_to_themselves(viewer, panel, make_result, jobs, qtbot):
    other = ViewerModel()
    second = InspectorPanel(other)
    qtbot.addWidget(second)
    second.show()
    add_run(viewer, make_result)
    panel.nucleus.after.click()
    assert panel.study.nucleus == 1
    assert second.study.run is None and second.study.nucleus == 0
    forget(other)


def test_click_hover_and_status_bar_in_a_window(make_napari_viewer, make_result, jobs, qtbot):
    viewer = make_napari_viewer(show=True)
    panel = InspectorPanel(viewer)
    viewer.window.add_dock_widget(panel, name="HV inspector", area="right")
    add_run(viewer, make_result)
    desk = desk_for(viewer)
    qtbot.waitUntil(lambda: desk.work.layers.settled, timeout=WAIT_MS)
    desk.fly_to((0, 64, 0, 80))
    viewer.mouse_over_canvas = True
    canvas = viewer.window._qt_viewer.canvas
    send = canvas._scene_canvas.events

    def spot(row, col):
        """Screen position of a pixel: the camera maps the world linearly onto the canvas."""
        camera, size = camera_of(viewer), np.array(canvas.size)
        y, x = (np.array([row, col]) - camera.center[-2:]) * camera.zoom + size / 2
        return round(x), round(y)

    def click(row, col):
        mouse = {"pos": spot(row, col), "button": 1, "modifiers": ()}
        send.mouse_press(**mouse)
        send.mouse_release(**mouse)

    send.mouse_move(pos=spot(35, 26), modifiers=())
    assert panel.readout.text().endswith("nucleus 2")
    viewer.update_status_from_cursor()  # what napari's thread asks for, which tests do without
    bar = viewer.window._qt_window.statusBar()
    assert bar._coordinates.text().endswith(panel.readout.text())
    click(35, 26)
    assert panel.study.nucleus == 2
    layer = desk.instances_layer()
    viewer.layers.selection.active = layer
    layer.mode = "pick"
    click(10, 10)
    assert panel.study.nucleus == 2
    layer.mode = "pan_zoom"
    click(10, 10)
    assert panel.study.nucleus == 1
