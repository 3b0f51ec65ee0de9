"""The base of the panels, on a ViewerModel: it follows the desk and dies quietly."""

from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtWidgets import QLabel, QMessageBox

from napari_hovernet._napari.desk import desk_for
from napari_hovernet._napari.images import placement
from napari_hovernet._napari.session_for import forget
from napari_hovernet._napari.widgets.study_panel import PANEL_WIDTH, StudyPanel
from napari_hovernet.app.session import ImageChoice, Run
from napari_hovernet.errors import InputError


@pytest.fixture
def viewer(jobs, qapp):
    viewer = ViewerModel()
    yield viewer
    forget(viewer)


@pytest.fixture
def panel(viewer, qtbot):
    panel = StudyPanel(viewer, "HV inspector")
    qtbot.addWidget(panel)
    return panel


@pytest.fixture
def add(viewer, make_result):
    image = viewer.add_image(np.zeros((64, 80, 3), np.uint8), rgb=True, name="slide")

    def add(number):
        place = placement(image, (0, 0))
        run = Run(number, f"compact {number}", ImageChoice(1, "slide"), make_result(), place, {})
        desk_for(viewer).work.session.finish(run)
        return run

    return add


def test_it_opens_without_a_run_and_says_so(panel):
    assert panel.picker.value() == 0 and "No run yet" in panel.picker.remark.text()
    assert panel.accessibleName() == "HV inspector" and panel.minimumWidth() == PANEL_WIDTH


def test_it_follows_runs_the_selection_and_undo(panel, viewer, add, qtbot):
    add(1)
    add(2)
    assert panel.picker.value() == 2 and panel.study.run.id == 2
    qtbot.wait(20)  # layers rest; only then a selection is the user's
    viewer.layers.selection.active = viewer.layers["compact 1 · nuclei"]
    assert panel.picker.value() == 1
    panel.desk.work.session.remove_run(1)
    assert panel.picker.value() == 2 and panel.picker.combo.count() == 1


def test_choosing_a_run_in_one_panel_changes_the_other(panel, viewer, add, qtbot):
    other = StudyPanel(viewer, "Blob check")
    qtbot.addWidget(other)
    add(1)
    add(2)
    panel.picker.valueChanged.emit(1)
    assert panel.study is other.study and other.picker.value() == 1


def test_a_panel_opened_late_shows_the_run_that_is_there(viewer, add, qtbot):
    add(5)
    late = StudyPanel(viewer, "late")
    qtbot.addWidget(late)
    assert late.picker.value() == 5


def test_a_closed_panel_is_not_called_any_more(viewer, add, qtbot):
    gone, stays = StudyPanel(viewer, "gone"), StudyPanel(viewer, "stays")
    qtbot.addWidget(stays)
    gone.deleteLater()
    qtbot.waitUntil(lambda: _deleted(gone), timeout=60_000)
    add(1)
    assert stays.picker.value() == 1


def _deleted(widget):
    try:
        widget.objectName()
    except RuntimeError:
        return True
    return False


def test_what_is_added_scrolls_under_the_picker(panel, qtbot):
    label = QLabel("x\n" * 200)
    panel.column.addWidget(label)
    panel.resize(PANEL_WIDTH, 300)
    panel.show()
    qtbot.waitExposed(panel)
    assert label.height() > 300 == panel.height()
    assert panel.column.itemAt(0).widget() is panel.picker


def test_an_error_is_told_once_and_does_not_block(panel, qtbot):
    panel.tell(InputError("a.png is not there; check the path."))
    box = panel.findChild(QMessageBox)
    assert box.text() == "a.png is not there; check the path."
    assert box.windowTitle() in ("", "HV inspector")
    box.close()


def test_strokes_count_whichever_panel_is_open(panel, viewer, add, qtbot):
    add(1)
    layer = panel.desk.instances_layer()
    layer.paint((50, 60), 9)
    qtbot.waitUntil(lambda: panel.study.instances.corrected, timeout=60_000)
    assert panel.study.labels[50, 60] == 9
