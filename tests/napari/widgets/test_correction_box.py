from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtWidgets import QFileDialog

from napari_hovernet._napari.desk import desk_for
from napari_hovernet._napari.images import placement
from napari_hovernet._napari.session_for import forget
from napari_hovernet._napari.widgets.correction_box import CorrectionBox
from napari_hovernet.app.session import ImageChoice, Run
from napari_hovernet.core.data.pairs import find_pairs
from napari_hovernet.core.io.labels import read_label_tiff

WAIT_MS = 60_000


@pytest.fixture
def viewer(jobs, qapp):
    viewer = ViewerModel()
    yield viewer
    forget(viewer)


@pytest.fixture
def box(viewer, qtbot):
    box = CorrectionBox(viewer)
    qtbot.addWidget(box)
    return box


@pytest.fixture
def run(viewer, box, make_result):
    image = viewer.add_image(np.zeros((64, 80, 3), np.uint8), rgb=True, name="my slide")
    run = Run(1, "compact 1", ImageChoice(id(image), "my slide"), make_result(),
              placement(image, (0, 0)), {})  # fmt: skip
    box.correcting.desk.work.session.finish(run)
    return run


@pytest.fixture
def told(box):
    heard = []
    box.told.connect(lambda error: heard.append(str(error)))
    return heard


def draw(viewer, box, qtbot, label=9):
    layer = desk_for(viewer).instances_layer()
    layer.brush_size = 5
    layer.paint((50, 60), label)
    qtbot.waitUntil(lambda: not box.correcting.busy, timeout=WAIT_MS)


def test_without_a_run_nothing_can_be_done(box):
    assert not any(b.isEnabled() for b in (box.new, box.save_labels, box.save_pair))
    assert box.summary.isHidden()
    for widget in (box.new, box.save_labels, box.save_pair):
        assert widget.toolTip() and widget.accessibleName()


def test_it_says_what_was_changed_and_follows_undo(box, viewer, run, qtbot):
    assert box.summary.text() == "compact 1: Nothing changed."
    draw(viewer, box, qtbot)
    assert box.summary.text().startswith("compact 1: 1 nucleus added (")
    desk_for(viewer).instances_layer().undo()
    qtbot.waitUntil(lambda: not box.correcting.busy, timeout=WAIT_MS)
    assert box.summary.text() == "compact 1: Nothing changed."
    desk_for(viewer).work.undo()
    assert not box.new.isEnabled() and box.summary.isHidden()


def test_new_nucleus_takes_the_brush_or_says_why_not(box, viewer, run, told):
    box.new.click()
    layer = desk_for(viewer).instances_layer()
    assert (layer.mode, layer.selected_label) == ("paint", 3) and told == []
    viewer.layers.remove(layer)
    box.new.click()
    assert "was deleted" in told[0]


def test_labels_are_saved_and_it_says_where(box, viewer, run, monkeypatch, tmp_path, qtbot):
    asked = []

    def ask(_parent, _title, start, _kinds):
        asked.append(start)
        return str(tmp_path / "mine.tif"), ""

    monkeypatch.setattr(QFileDialog, "getSaveFileName", ask)
    draw(viewer, box, qtbot)
    box.save_labels.click()
    assert box.outcome.text() == "Saving ..." and not box.save_labels.isEnabled()
    qtbot.waitUntil(box.save_labels.isEnabled, timeout=WAIT_MS)
    assert asked == ["my_slide_corrected.tif"] and "mine.tif" in box.outcome.text()
    assert read_label_tiff(tmp_path / "mine.tif").ids.tolist() == [1, 2, 9]


@pytest.fixture
def answer(monkeypatch):
    """Answer the file dialog."""
    return lambda path: monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (path, ""))


def test_a_save_that_is_called_off_or_fails_is_no_accident(box, run, told, answer, tmp_path, qtbot):
    answer("")
    box.save_labels.click()
    assert box.outcome.text() == "" and box.save_labels.isEnabled()
    answer(str(tmp_path / "no" / "x.tif"))
    box.save_labels.click()
    qtbot.waitUntil(lambda: bool(told), timeout=WAIT_MS)
    assert "does not exist" in told[0] and box.save_labels.isEnabled()
    assert box.outcome.text() == ""


def test_training_data_are_saved_with_what_was_filled_in(box, viewer, run, tmp_path, told, qtbot):
    draw(viewer, box, qtbot)
    box.save_pair.click()
    dialog = box.dialog
    assert dialog.value().name == "my_slide" and dialog.value().source == "my slide"
    dialog.folder.setText(str(tmp_path / "set"))
    dialog.split.setCurrentText("val")
    dialog.accept()
    qtbot.waitUntil(box.save_pair.isEnabled, timeout=WAIT_MS)
    assert told == [] and box.outcome.text().startswith("Saved my_slide with 3 nuclei.")
    (pair,) = find_pairs(tmp_path / "set")
    assert (pair.name, pair.split, pair.source) == ("my_slide", "val", "my slide")
    box.save_pair.click()  # once more: the folder is remembered, the name is taken
    assert box.dialog.value().folder == str(tmp_path / "set")
    box.dialog.accept()
    qtbot.waitUntil(lambda: bool(told), timeout=WAIT_MS)
    assert "is there already" in told[0]
    box.save_pair.click()
    box.dialog.replace.setChecked(True)
    box.dialog.accept()
    qtbot.waitUntil(box.save_pair.isEnabled, timeout=WAIT_MS)
    assert len(told) == 1 and len(find_pairs(tmp_path / "set")) == 1


def test_a_box_closed_while_saving_is_no_error(viewer, run, monkeypatch, tmp_path, qtbot):
    gone = CorrectionBox(viewer)
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(tmp_path / "x.tif"), ""))
    gone.save_labels.click()
    gone.deleteLater()
    qtbot.waitUntil((tmp_path / "x.tif").exists, timeout=WAIT_MS)
    qtbot.waitUntil(lambda: not desk_for(viewer).runner.jobs, timeout=WAIT_MS)


def test_what_cannot_be_taken_in_is_shown(box, viewer, run, qtbot):
    desk_for(viewer).instances_layer().data = np.zeros((5, 6), np.int32)
    qtbot.waitUntil(lambda: not box.correcting.busy, timeout=WAIT_MS)
    assert "(5, 6)" in box.problem.text() and not box.problem.isHidden()
