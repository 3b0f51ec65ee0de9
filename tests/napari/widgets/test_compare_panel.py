"""The panel on viewers without and with a window."""

from __future__ import annotations

import json

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.utils.key_bindings import coerce_keybinding
from qtpy.QtCore import QMimeData, QPoint, Qt, QUrl
from qtpy.QtGui import QDropEvent, QGuiApplication
from qtpy.QtWidgets import QFileDialog, QMessageBox

from napari_hovernet._napari.images import placement
from napari_hovernet._napari.session_for import forget
from napari_hovernet._napari.view import camera_of
from napari_hovernet._napari.widgets.compare_panel import (
    ComparePanel,
    dropped_file,
    with_suffix,
)
from napari_hovernet.app.session import ImageChoice, Run
from napari_hovernet.core.measure.compare import VerdictParams

WAIT_MS = 60_000


def true_labels(shape=(64, 80)):
    """Nucleus 1 of the stand-in run is right, 2 holds two true ones, 9 was missed."""
    labels = np.zeros(shape, np.int32)
    labels[5:15, 5:15] = 4
    labels[30:40, 20:26], labels[30:40, 26:32], labels[50:60, 50:60] = 5, 6, 9
    return labels


def add_run(viewer, panel, result, number=1):
    if "slide" not in viewer.layers:
        viewer.add_image(np.zeros((64, 80, 3), np.uint8), rgb=True, name="slide")
    image = viewer.layers["slide"]
    place = placement(image, viewer.dims.current_step)
    choice = ImageChoice(id(image), "slide")
    run = Run(number, f"compact {number}", choice, result, place, {})
    panel.desk.work.session.finish(run)


def settle(panel, qtbot):
    def idle():
        busy = panel.comparing.busy or panel.desk.busy
        return not busy and panel.desk.work.layers.settled

    qtbot.waitUntil(idle, timeout=WAIT_MS)


@pytest.fixture
def viewer():
    viewer = ViewerModel()
    yield viewer
    forget(viewer)


@pytest.fixture
def panel(viewer, jobs, qtbot):
    panel = ComparePanel(viewer)
    qtbot.addWidget(panel)
    return panel


@pytest.fixture
def compared(viewer, panel, make_result, qtbot):
    """A panel that shows a run against true labels."""
    add_run(viewer, panel, make_result())
    viewer.add_labels(true_labels(), name="mine")
    pick(panel, "mine")
    settle(panel, qtbot)
    return panel


def pick(panel, name):
    index = panel.truth.combo.findText(name)
    panel.truth.combo.setCurrentIndex(index)
    panel.truth.combo.activated.emit(index)


def cells(panel, row=0):
    return [panel.table.item(row, column).text() for column in range(7)]


def test_without_a_run_it_says_what_to_do(panel):
    assert "Segment nuclei" in panel.picker.remark.text()
    assert "Choose true labels" in panel.truth.remark.text()
    assert cells(panel) == ["-"] * 7 and panel.verdict.texts() == []
    assert not any(b.isEnabled() for b in (panel.copy, panel.save, panel.color, panel.on))
    panel.copy_table()
    panel.write("nowhere.csv")


def test_scores_words_and_counts(compared):
    assert cells(compared)[6] == "2" and cells(compared)[1] == "0.50"
    assert compared.status.text() == "The truth holds 4 nuclei."
    assert compared.verdict.texts()[0].startswith("AJI 0.50 is no better than connected comp")
    assert compared.legend.counts["merged"].text() == "2"
    assert compared.legend.counts["missed"].text() == "1"
    assert compared.rates.fields["magnitude"].text().startswith("0.424 (")
    assert compared.where.text() == "2 places to look at."
    assert all(b.isEnabled() for b in (compared.copy, compared.save, compared.color, compared.on))


def test_the_bounds_of_the_words_are_given(viewer, compared, qtbot):
    other = ComparePanel(viewer, bounds=VerdictParams(aji_gain=0.0))
    qtbot.addWidget(other)
    assert any("The separation pays" in text for text in other.verdict.texts())
    assert not any("The separation pays" in text for text in compared.verdict.texts())


def test_a_truth_that_does_not_fit_is_told_and_nothing_is_lost(viewer, compared, qtbot):
    viewer.add_labels(true_labels((64, 81)), name="large")
    pick(compared, "large")
    settle(compared, qtbot)
    assert "64 x 81 pixels, the run 64 x 80" in compared.truth.remark.text()
    assert cells(compared) == ["-"] * 7 and not compared.save.isEnabled()
    pick(compared, "mine")
    settle(compared, qtbot)
    assert cells(compared)[6] == "2"
    pick(compared, "Nothing")
    settle(compared, qtbot)
    assert cells(compared) == ["-"] * 7 and compared.verdict.texts() == []


def test_empty_truth_and_odd_truth_are_told(viewer, compared, qtbot):
    layer = viewer.layers["mine"]
    layer.data = np.zeros((64, 80), np.int32)
    settle(compared, qtbot)
    assert "holds no nuclei" in compared.truth.remark.text()
    assert compared.verdict.texts() == ["There are no true nuclei here: no score says anything."]
    data = true_labels()
    data[55:60, 70:75] = 4
    layer.data = data
    settle(compared, qtbot)
    assert "Id 4 lies in 2 parts" in compared.truth.remark.text()
    assert "Id 4" not in compared.status.text()


def test_a_removed_layer_is_still_compared_with(viewer, compared, qtbot):
    viewer.layers.remove("mine")
    settle(compared, qtbot)
    assert compared.truth.combo.currentText() == "mine (removed)" and cells(compared)[6] == "2"


def test_copy_and_save(compared, tmp_path, monkeypatch):
    compared.copy.click()
    lines = QGuiApplication.clipboard().text().splitlines()
    assert lines[0].startswith("row\tdice\taji") and lines[1].startswith("Prediction\t")
    chosen = (str(tmp_path / "scores"), "All of it (*.json)")
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: chosen)
    compared.save.click()
    content = json.loads((tmp_path / "scores.json").read_text())
    assert content["napari_hovernet"]["truth"] == "mine" and len(content["errors"]) == 2
    compared.write(str(tmp_path / "scores.csv"))
    assert (tmp_path / "scores.csv").read_text().startswith("row,dice,aji")
    compared.write(str(tmp_path / "no" / "scores.csv"))
    (box,) = compared.findChildren(QMessageBox)
    assert "folder does not exist" in box.text()
    box.close()


def test_a_file_is_dropped(compared, tmp_path, qtbot):
    np.save(tmp_path / "truth.npy", np.where(true_labels() == 9, 0, true_labels()))
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(tmp_path / "truth.npy"))])
    event = QDropEvent(
        QPoint(5, 5).toPointF(), Qt.DropAction.CopyAction, mime, Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
    )  # fmt: skip
    compared.dropEvent(event)
    settle(compared, qtbot)
    assert compared.truth.combo.currentText() == "truth.npy"
    assert compared.legend.counts["missed"].text() == "0"
    mime.setUrls([QUrl("https://example.org/truth.png")])
    assert dropped_file(event) == ""


def test_the_ending_of_a_file_follows_the_filter():
    assert with_suffix("a", "Table (*.csv)") == "a.csv"
    assert with_suffix("a.json", "Table (*.csv)") == "a.json"
    assert with_suffix("a.b", "All of it (*.json)") == "a.b.json"


def test_from_opening_to_the_last_error_in_a_window(make_napari_viewer, make_result, jobs, qtbot):
    viewer = make_napari_viewer()
    panel = ComparePanel(viewer)
    viewer.window.add_dock_widget(panel, name="Compare")
    add_run(viewer, panel, make_result())
    viewer.add_labels(true_labels(), name="mine")
    pick(panel, "mine")
    settle(panel, qtbot)
    nuclei = panel.desk.instances_layer()
    former = nuclei.colormap
    panel.color.click()
    settle(panel, qtbot)
    assert nuclei.colormap is not former and "compact 1 · true nuclei not matched" in viewer.layers
    panel.on.click()
    assert panel.where.text() == "1 of 2: 2 true nuclei merged into one (id 2)"
    np.testing.assert_allclose(camera_of(viewer).center[-2:], (34.5, 25.5))
    viewer.keymap[coerce_keybinding("N")](viewer)
    assert panel.where.text() == "2 of 2: True nucleus 9 missed"
    np.testing.assert_allclose(camera_of(viewer).center[-2:], (54.5, 54.5))
    panel.legend.boxes["missed"].click()
    assert panel.where.text() == "1 place to look at."
    panel.color.click()
    settle(panel, qtbot)
    assert nuclei.colormap is former and "compact 1 · true nuclei not matched" not in viewer.layers
    panel.color.click()
    again = ComparePanel(viewer)
    qtbot.addWidget(again)
    assert again.color.isChecked() and not again.legend.boxes["missed"].isChecked()
    again.deleteLater()
    panel.close()
    viewer.window.remove_dock_widget(panel)
    panel.deleteLater()
    qtbot.waitUntil(lambda: coerce_keybinding("N") not in viewer.keymap, timeout=WAIT_MS)
    viewer.layers["mine"].fill((55, 55), 0)  # nobody shows it any more: nothing may break
    qtbot.waitUntil(
        lambda: not (viewer.layers["compact 1 · true nuclei not matched"].data == 9).any(),
        timeout=WAIT_MS,
    )


def test_two_viewers_do_not_mix(compared, jobs, make_result, qtbot):
    other = ViewerModel()
    second = ComparePanel(other)
    qtbot.addWidget(second)
    add_run(other, second, make_result())
    settle(second, qtbot)
    assert second.truth.combo.count() == 1 and cells(second) == ["-"] * 7
    other.add_labels(np.where(true_labels() == 9, 0, true_labels()), name="theirs")
    pick(second, "theirs")
    settle(second, qtbot)
    second.color.click()
    settle(second, qtbot)
    assert second.legend.counts["missed"].text() == "0"
    assert compared.legend.counts["missed"].text() == "1" and not compared.color.isChecked()
    assert compared.truth.combo.findText("theirs") == -1
    forget(other)
    assert cells(compared)[6] == "2"
