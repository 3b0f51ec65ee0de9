"""The panel in a real viewer, with a stand-in for the network."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import QMimeData, QPoint, Qt, QUrl
from qtpy.QtGui import QDropEvent, QShortcut
from qtpy.QtWidgets import QMessageBox

from napari_hovernet._napari.session_for import bare_viewer, session_for
from napari_hovernet._napari.widgets.segment_panel import SegmentPanel, dropped_checkpoint

RGB = np.zeros((64, 80, 3), np.uint8)


@pytest.fixture
def opened(request, make_napari_viewer, jobs, qtbot):
    """A viewer with the panel opened as napari opens it; parameter "show" shows the window."""
    viewer = make_napari_viewer(show=getattr(request, "param", "") == "show")
    _, panel = viewer.window.add_plugin_dock_widget("napari-hovernet", "Segment nuclei")
    qtbot.waitUntil(lambda: not panel.session.model.reading, timeout=60000)
    return viewer, panel


def run(panel, qtbot):
    panel.run()
    settle(panel, qtbot)


def settle(panel, qtbot):
    qtbot.waitUntil(lambda: not panel.session.status.busy, timeout=60000)
    qtbot.waitUntil(lambda: panel.work.layers.settled, timeout=60000)


def test_from_no_image_to_layers_and_back(opened, jobs, qtbot):
    viewer, panel = opened
    assert not panel.bar.run.isEnabled() and "Open Sample" in panel.bar.status.text()
    viewer.add_image(RGB, rgb=True, name="slide", scale=(0.5, 0.5))
    assert panel.bar.run.isEnabled() and panel.mpp.value() == 0.5
    jobs.info = jobs.typed
    panel.model.choose("compact")
    qtbot.waitUntil(lambda: panel.session.model.info is jobs.typed, timeout=60000)
    run(panel, qtbot)
    nuclei = viewer.layers["compact 1 · nuclei"]
    np.testing.assert_allclose(nuclei.get_color(1), (1, 0, 0, 1))
    np.testing.assert_allclose(nuclei.get_color(2), (0, 1, 0, 1))
    assert list(nuclei.features["type_name"]) == ["neoplastic", "inflammatory"]
    assert panel.runs.list.count() == 1
    panel.runs.list.item(0).setCheckState(Qt.CheckState.Unchecked)
    assert not nuclei.visible
    panel.runs.list.item(0).setCheckState(Qt.CheckState.Checked)
    assert nuclei.visible and not viewer.layers["compact 1 · NP"].visible
    panel.runs.undo.click()
    assert [layer.name for layer in viewer.layers] == ["slide"]
    panel.runs.redo.click()
    settle(panel, qtbot)
    assert len(viewer.layers) == 6


def test_an_error_is_one_dialog_and_the_viewer_goes_on(opened, jobs, qtbot):
    viewer, panel = opened
    viewer.add_image(RGB, rgb=True)
    jobs.error = RuntimeError("shapes cannot be multiplied")
    run(panel, qtbot)
    boxes = panel.findChildren(QMessageBox)
    assert len(boxes) == 1 and "shapes cannot be multiplied" in boxes[0].text()
    boxes[0].close()
    jobs.error = None
    run(panel, qtbot)
    assert len(viewer.layers) == 6


def test_keys_run_cancel_and_undo(opened, jobs, qtbot):
    viewer, panel = opened
    viewer.add_image(RGB, rgb=True)
    jobs.tiles, jobs.pause_s = 500, 0.01
    keys = {s.key().toString(): s for s in panel.findChildren(QShortcut)}
    keys["Ctrl+Return"].activated.emit()
    assert panel.session.status.state == "running"
    keys["Esc"].activated.emit()
    assert panel.session.status.state == "cancelling"
    settle(panel, qtbot)
    jobs.tiles = 1
    run(panel, qtbot)
    keys["Ctrl+Z"].activated.emit()
    assert len(viewer.layers) == 1
    contexts = {shortcut.context() for shortcut in keys.values()}
    assert contexts == {Qt.ShortcutContext.WidgetWithChildrenShortcut}


@pytest.mark.parametrize("opened", ["show"], indirect=True)
def test_viewer_closed_while_running(opened, jobs, qtbot):
    viewer, panel = opened
    viewer.add_image(RGB, rgb=True)
    jobs.tiles, jobs.pause_s = 500, 0.01
    work = panel.work
    panel.run()
    qtbot.waitUntil(lambda: work.session.status.done >= 1, timeout=60000)
    viewer.close()
    qtbot.waitUntil(lambda: work.closed, timeout=60000)
    assert jobs.closed == 1 and work.runner.jobs == ()


def test_two_viewers_do_not_share(make_napari_viewer, jobs, opened):
    _, panel = opened
    other = make_napari_viewer()
    _, panel_2 = other.window.add_plugin_dock_widget("napari-hovernet", "Segment nuclei")
    other.add_image(RGB, rgb=True, name="other")
    assert panel_2.session is not panel.session and panel.session.image is None
    assert session_for(other) is panel_2.work
    assert panel_2.work.viewer is bare_viewer(other)


def test_the_panel_opened_again_finds_its_session(opened, qtbot):
    viewer, panel = opened
    viewer.add_image(RGB, rgb=True)
    run(panel, qtbot)
    session = panel.session
    viewer.window.remove_dock_widget(panel)
    panel.deleteLater()
    with qtbot.waitSignal(panel.destroyed, timeout=3000):
        pass
    again = SegmentPanel(viewer)
    qtbot.addWidget(again)
    assert again.session is session and again.runs.list.count() == 1
    session.undo()
    assert again.runs.list.count() == 0


def test_a_dropped_checkpoint_is_chosen_and_images_are_left_to_napari(opened, qtbot):
    _, panel = opened

    def drop(*paths):
        mime = QMimeData()
        mime.setUrls([QUrl.fromLocalFile(p) for p in paths])
        event = QDropEvent(
            QPoint(5, 5).toPointF(), Qt.DropAction.CopyAction, mime,
            Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier,
        )  # fmt: skip
        event.mime = mime
        return event

    assert dropped_checkpoint(drop("/m/a.png")) == ""
    assert dropped_checkpoint(drop("/m/a.tar", "/m/b.tar")) == ""
    panel.dropEvent(drop("/m/Fast.TAR"))
    qtbot.waitUntil(lambda: not panel.session.model.reading, timeout=60000)
    assert panel.session.model.source == "/m/Fast.TAR" == panel.model.value()
