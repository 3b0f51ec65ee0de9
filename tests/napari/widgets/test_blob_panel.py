"""The panel on a ViewerModel: what it shows, and what its buttons do."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.utils.key_bindings import coerce_keybinding
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog, QMessageBox

from napari_hovernet._napari.blob_layers import BLOBS
from napari_hovernet._napari.blob_view import NEXT_KEY
from napari_hovernet._napari.desk import desk_for
from napari_hovernet._napari.session_for import forget
from napari_hovernet._napari.widgets.blob_panel import LOOKING, NO_MAPS, BlobPanel

WAIT_MS = 60_000


@pytest.fixture
def viewer(jobs, qapp):
    viewer = ViewerModel()
    yield viewer
    forget(viewer)


@pytest.fixture
def panel(viewer, qtbot):
    panel = BlobPanel(viewer)
    qtbot.addWidget(panel)
    return panel


@pytest.fixture
def add(viewer, blob_run, qtbot):
    image = viewer.add_image(np.zeros((120, 160, 3), np.uint8), rgb=True, name="slide")
    desk = desk_for(viewer)

    def add(number=1, wait=True, **keywords):
        run = blob_run(image, number, **keywords)
        desk.work.session.finish(run)
        if wait:
            qtbot.waitUntil(lambda: not desk.busy and desk.work.layers.settled, timeout=WAIT_MS)
        return run

    return add


def test_without_a_run_it_is_quiet(panel):
    assert "No run yet" in panel.picker.remark.text()
    assert panel.summary.text() == "" and panel.table.rows.rowCount() == 0
    assert not (panel.on.isEnabled() or panel.back.isEnabled() or panel.save.isEnabled())


def test_a_run_is_summed_up(panel, add, qtbot):
    add(wait=False)
    assert panel.summary.text() == LOOKING
    qtbot.waitUntil(panel.save.isEnabled, timeout=WAIT_MS)
    assert panel.summary.text() == "7 components, 8 nuclei, 2 suspected blobs, largest 3 nuclei"
    assert "One nucleus is taken to have" in panel.remark.text()
    assert panel.table.rows.rowCount() == 7 and "2&nbsp;blob" in panel.legend.text()
    assert panel.details.text() == ""


def test_buttons_and_keys_go_from_suspect_to_suspect(panel, add, viewer, qtbot):
    add()
    panel.on.click()
    assert panel.table.value().worst == 9 and "looks like 3" in panel.details.text()
    assert panel.study.nucleus == 9
    panel.back.click()
    assert panel.table.value().worst == 7
    viewer.keymap[coerce_keybinding(NEXT_KEY)](viewer)
    assert panel.table.value().worst == 9


def test_a_line_chosen_is_flown_to_and_explained(panel, add, monkeypatch):
    add()
    boxes = []
    monkeypatch.setattr(panel.desk, "fly_to", boxes.append)
    panel.table.setCurrentIndex(panel.table.rows.index(1, 0))
    r0, c0, r1, c1 = panel.table.value().bbox
    assert boxes == [(r0, r1, c0, c1)] and "Nucleus 7" in panel.details.text()


def test_the_filter_and_sorting_keep_the_choice(panel, add):
    add()
    panel.on.click()
    panel.table.horizontalHeader().setSortIndicator(6, Qt.SortOrder.AscendingOrder)
    assert panel.table.value().worst == 9 and panel.table.currentIndex().row() == 6
    panel.only.setChecked(True)
    assert panel.table.rows.rowCount() == 2 and panel.table.value().worst == 9


def test_the_check_box_colours_and_follows(panel, add, viewer, qtbot):
    run = add()
    panel.color.click()
    layer = panel.desk.layers.find(run.id, BLOBS)
    assert layer is not None
    other = BlobPanel(viewer)
    qtbot.addWidget(other)
    assert other.color.isChecked()
    viewer.layers.remove(layer)
    assert not panel.color.isChecked() and not other.color.isChecked()


def test_the_table_is_saved_under_the_name_asked_for(panel, add, tmp_path, monkeypatch):
    add()
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(tmp_path / "found"), ""))
    panel.save.click()
    assert len((tmp_path / "found.csv").read_text("utf-8").splitlines()) == 8
    panel.write(str(tmp_path / "none" / "b.csv"))
    assert "does not exist" in panel.findChild(QMessageBox).text()
    panel.findChild(QMessageBox).close()
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: ("", ""))
    panel.save.click()
    assert [p.name for p in tmp_path.iterdir() if p.suffix == ".csv"] == ["found.csv"]


def test_another_run_is_another_table(panel, add, qtbot):
    add(1)
    panel.on.click()
    add(2, merged=range(12))
    assert panel.summary.text() == "7 components, 11 nuclei, no suspected blobs"
    assert not panel.on.isEnabled() and panel.details.text() == ""
    panel.picker.valueChanged.emit(1)
    assert panel.summary.text() == LOOKING and not panel.save.isEnabled()
    qtbot.waitUntil(panel.save.isEnabled, timeout=WAIT_MS)
    assert "2 suspected blobs" in panel.summary.text()


def test_a_run_without_maps_says_so(panel, add):
    run = add(wait=False)
    panel.study.choose_run(replace(run, id=5, result=replace(run.result, maps=None)))
    assert panel.summary.text() == NO_MAPS


def test_two_viewers_do_not_meet(panel, add, jobs, qtbot):
    other = ViewerModel()
    second = BlobPanel(other)
    qtbot.addWidget(second)
    add()
    panel.color.click()
    panel.on.click()
    assert second.table.rows.rowCount() == 0 and not second.color.isChecked()
    assert len(other.layers) == 0
    forget(other)


def test_a_closed_panel_lets_the_keys_go(viewer, add, qtbot):
    panel = BlobPanel(viewer)
    blobs = panel.blobs
    assert blobs.keys.bound == ("J", "K")
    panel.deleteLater()
    qtbot.waitUntil(lambda: blobs.keys.bound == (), timeout=WAIT_MS)
    add()
    assert blobs.report.n_suspected == 2
