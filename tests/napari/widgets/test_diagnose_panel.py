"""The panel on a ViewerModel: from the choice to the report, with made-up findings."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtCore import QMimeData, QPointF, Qt, QUrl
from qtpy.QtGui import QDragEnterEvent, QDropEvent, QGuiApplication
from qtpy.QtWidgets import QApplication, QFileDialog, QMessageBox

from napari_hovernet._napari import diagnosing as module
from napari_hovernet._napari import remedies as remedies_module
from napari_hovernet._napari.desk import desk_for
from napari_hovernet._napari.diagnosis_state import Opened
from napari_hovernet._napari.session_for import forget
from napari_hovernet._napari.widgets.diagnose_panel import BEGIN, DiagnosePanel
from napari_hovernet._napari.widgets.study_panel import PANEL_WIDTH
from napari_hovernet.app.diagnose import Diagnosis
from napari_hovernet.core.diagnosis.bench import Bench
from napari_hovernet.core.diagnosis.case import ArrayItems, Case
from napari_hovernet.core.diagnosis.engine import Found
from napari_hovernet.core.diagnosis.params import DiagnosisParams
from napari_hovernet.core.diagnosis.ranking import rank
from napari_hovernet.core.diagnosis.report import OK, DiagnosisReport, Finding
from napari_hovernet.errors import InputError

WAIT_MS = 60_000
CASE = Case(ArrayItems(image=np.zeros((3, 60, 90, 3), np.uint8)))


def diagnosis(found):
    return Diagnosis(CASE, Bench(CASE), DiagnosisReport(tuple(found), 1, 3), DiagnosisParams())


@pytest.fixture
def viewer(jobs, qapp):
    viewer = ViewerModel()
    yield viewer
    forget(viewer)


@pytest.fixture
def panel(viewer, qtbot):
    panel = DiagnosePanel(viewer)
    qtbot.addWidget(panel)
    return panel


@pytest.fixture
def found(monkeypatch, findings):
    """Let the checks find what is made up, and the remedy mend it."""
    made = findings.made_up()

    def checks(*_):
        yield Opened(0, 0, "Looking", bench=Bench(CASE))
        yield Found(1, 9, "a check", findings=made[:1])
        return diagnosis(made)

    def again(_was, finding):
        yield Found(1, 1, "once more", findings=made)
        mended = Finding(finding.id, OK, "Instances", "AJI 0.97.", 0.97, 0.6, "AJI")
        rest = [replace(f, explained_by="") for f in made if f.id != finding.id]
        return diagnosis(rank([mended, *rest]))

    monkeypatch.setattr(module, "diagnose_run_steps", checks)
    monkeypatch.setattr(module, "diagnose_files_steps", checks)
    monkeypatch.setattr(remedies_module, "retest", again)
    return made


@pytest.fixture
def diagnosed(panel, found, qtbot):
    panel.setup.take(["/data"])
    panel.start.start.click()
    qtbot.waitUntil(lambda: not panel.diagnosing.busy, timeout=WAIT_MS)
    return panel


@pytest.fixture
def add(viewer, desk_of, planted_run, qtbot):
    image = viewer.add_image(np.zeros((200, 260, 3), np.uint8), rgb=True, name="slide")

    def add(number=1, **keywords):
        run = planted_run(image, number, **keywords)
        desk_of.work.session.finish(run)
        qtbot.waitUntil(lambda: not desk_of.busy and desk_of.work.layers.settled, timeout=WAIT_MS)
        return run

    return add


@pytest.fixture
def desk_of(viewer):
    return desk_for(viewer)


def test_at_first_it_says_what_to_do(panel):
    panel.show()
    assert panel.results.headline.text() == BEGIN
    assert "No run yet" in panel.picker.remark.text() and not panel.setup.remark.isVisible()
    assert not panel.start.start.isEnabled() and "no run" in panel.start.start.toolTip()
    assert not panel.list.isVisible() and not panel.finding.isVisible()
    panel.setup._buttons["files"].click()
    assert "Choose a model" in panel.setup.remark.text()


def test_a_run_can_be_diagnosed_at_once(panel, add, found, qtbot):
    add()
    assert panel.setup.remark.text().startswith("Tested: image, maps, ")
    assert "no truth: choose one in Compare" in panel.setup.remark.text()
    panel.start.start.click()
    assert panel.results.headline.text() == "Looking at compact 1 ..."
    qtbot.waitUntil(lambda: not panel.diagnosing.busy, timeout=WAIT_MS)
    assert panel.results.headline.text().startswith("Most likely cause: Touching nuclei")
    assert panel.finding.remedy.tuner.isVisibleTo(panel)


def test_the_first_cause_is_there_with_its_evidence(diagnosed, findings):
    assert diagnosed.list.value() == findings.CAUSE
    assert diagnosed.finding.value_id() == findings.CAUSE
    assert diagnosed.results.save.isEnabled() and diagnosed.finding.remedy.apply.isEnabled()
    assert not diagnosed.finding.remedy.tuner.isVisibleTo(diagnosed)
    assert diagnosed.finding.places.value() == -1  # nothing moves before the user says so


def test_a_line_chosen_is_looked_at_in_the_viewer(diagnosed, viewer, qtbot, findings):
    diagnosed.list.setCurrentItem(diagnosed.list.topLevelItem(1))
    assert diagnosed.finding.value_id() == findings.HINT and diagnosed.finding.places.value() == 0
    qtbot.waitUntil(lambda: not diagnosed.view.busy, timeout=WAIT_MS)
    assert [x.name for x in viewer.layers] == ["Diagnosis: image 0 · image"]
    diagnosed.finding.look.buttons["hv_y"].click()
    assert diagnosed.view.map == "hv_y" and diagnosed.finding.look.value() == "hv_y"


def test_examples_by_button_and_by_key(diagnosed, qtbot, findings):
    diagnosed.show()
    diagnosed.finding.places.on.click()
    assert diagnosed.view.at == 0 and diagnosed.finding.places.value() == 0
    diagnosed.finding.places.list.setCurrentRow(2)
    assert diagnosed.view.at == 2
    diagnosed.list.setFocus()
    QApplication.setActiveWindow(diagnosed)
    qtbot.waitUntil(diagnosed.list.hasFocus, timeout=WAIT_MS)
    qtbot.keyClick(diagnosed.list, Qt.Key.Key_Period)
    assert diagnosed.view.at == 0 and diagnosed.finding.places.value() == 0
    qtbot.keyClick(diagnosed.list, Qt.Key.Key_Comma)
    assert diagnosed.view.at == 2
    diagnosed.setup.files.data.setFocus()
    diagnosed.setup.files.data.clear()
    qtbot.keyClicks(diagnosed.setup.files.data, "a.b")
    assert diagnosed.setup.files.data.text() == "a.b" and diagnosed.view.at == 2
    qtbot.waitUntil(lambda: not diagnosed.view.busy, timeout=WAIT_MS)


def test_a_remedy_shows_before_and_after_and_can_be_undone(diagnosed, qtbot, findings):
    diagnosed.finding.remedy.apply.click()
    assert not diagnosed.finding.remedy.apply.isEnabled()
    qtbot.waitUntil(lambda: not diagnosed.diagnosing.busy, timeout=WAIT_MS)
    assert len(diagnosed.results.applied.lines) == 1
    assert diagnosed.finding.sign.accessibleName() == "in order"
    assert diagnosed.list.value() == findings.CAUSE
    assert diagnosed.list.topLevelItem(0).text(0) == "Too few nuclei"
    diagnosed.results.applied.undo.click()
    assert diagnosed.results.applied.lines == []
    assert diagnosed.finding.sign.accessibleName() == "fault"


def test_what_goes_wrong_is_told_in_one_message(panel, monkeypatch, qtbot):
    def broken(*_):
        yield Found(1, 9, "a check")
        raise InputError("/data has no images.")

    monkeypatch.setattr(module, "diagnose_files_steps", broken)
    panel.setup.take(["/data"])
    panel.start.start.click()
    qtbot.waitUntil(lambda: panel.findChild(QMessageBox) is not None, timeout=WAIT_MS)
    assert panel.findChild(QMessageBox).text() == "/data has no images."
    panel.findChild(QMessageBox).close()
    assert "nothing was tested" in panel.results.headline.text()
    assert panel.start.start.isEnabled() and not panel.start.cancel.isVisibleTo(panel)


def test_the_report_and_the_command_line(diagnosed, monkeypatch, tmp_path, qtbot):
    answers = [(str(tmp_path / "a"), "Findings (*.json)"), (str(tmp_path / "b"), ""), ("", "")]
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: answers.pop(0))
    for n in (1, 2, 2):
        diagnosed.results.save.click()
        qtbot.waitUntil(lambda: not diagnosed.diagnosing.saving, timeout=WAIT_MS)
        assert len([p for p in tmp_path.iterdir() if p.suffix in (".json", ".html")]) == n
    assert "b.html" in diagnosed.results.message.text()
    diagnosed.results.copy.click()
    assert QGuiApplication.clipboard().text() == "napari-hovernet diagnose --data /data"


def test_files_can_be_dropped(panel, qtbot):
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile("/m/best.pth"), QUrl.fromLocalFile("/data")])
    drag = QDragEnterEvent(
        QPointF(5, 5).toPoint(), Qt.DropAction.CopyAction, data, Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
    )  # fmt: skip
    panel.dragEnterEvent(drag)
    assert drag.isAccepted()
    drop = QDropEvent(
        QPointF(5, 5), Qt.DropAction.CopyAction, data, Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
    )  # fmt: skip
    panel.dropEvent(drop)
    value = panel.setup.value()
    assert (value.model, value.data, panel.setup.kind) == ("/m/best.pth", "/data", "files")


def test_a_second_panel_shows_the_same(diagnosed, viewer, qtbot):
    other = DiagnosePanel(viewer)
    qtbot.addWidget(other)
    assert other.finding.value_id() == diagnosed.finding.value_id() != ""
    assert other.list.value() == diagnosed.list.value()


def test_nothing_is_cut_off_at_the_usual_width(diagnosed, findings, qtbot):
    diagnosed.resize(PANEL_WIDTH, 900)
    diagnosed.show()
    for finding in (findings.CAUSE, findings.HINT):
        diagnosed.view.choose(finding)
        qtbot.wait(1)
        assert diagnosed.setup.parentWidget().minimumSizeHint().width() <= PANEL_WIDTH


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_plots_follow_the_theme(diagnosed, viewer, theme):
    viewer.theme = theme
    color = diagnosed.finding.plot.widget.backgroundBrush().color()
    assert (color.lightness() > 128) is (theme == "light")
