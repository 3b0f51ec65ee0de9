"""The panel on a ViewerModel: sliders, counts, files, sweeps, and what its buttons do."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtCore import Qt
from qtpy.QtGui import QShortcut
from qtpy.QtWidgets import QApplication, QFileDialog, QMessageBox, QScrollArea

from napari_hovernet._napari.desk import desk_for
from napari_hovernet._napari.session_for import forget
from napari_hovernet._napari.tuner import ROLE, plane_view
from napari_hovernet._napari.widgets.counts_table import UNKNOWN
from napari_hovernet._napari.widgets.study_panel import PANEL_WIDTH
from napari_hovernet._napari.widgets.tune_editor import CHANGED
from napari_hovernet._napari.widgets.tuner_panel import NO_MAPS, TunerPanel
from napari_hovernet.app.study import TruthChoice
from napari_hovernet.core.hv import HVReading
from napari_hovernet.core.io.files import read_params, write_params
from napari_hovernet.core.measure.sweep import SweepAxis
from napari_hovernet.core.params import PRESETS, InferenceParams, SeparationParams
from napari_hovernet.core.separation.tuning import TuneParams, stage_counts, tune

WAIT_MS = 60_000
FINE = TuneParams(SeparationParams(depth=0.0, np_threshold=0.7))


@pytest.fixture
def viewer(jobs, qapp):
    viewer = ViewerModel()
    yield viewer
    forget(viewer)


@pytest.fixture
def panel(viewer, qtbot):
    panel = TunerPanel(viewer)
    qtbot.addWidget(panel)
    return panel


@pytest.fixture
def add(viewer, planted_run, qtbot):
    image = viewer.add_image(np.zeros((200, 260, 3), np.uint8), rgb=True, name="slide")
    desk = desk_for(viewer)

    def add(number=1, **keywords):
        run = planted_run(image, number, **keywords)
        desk.work.session.finish(run)
        qtbot.waitUntil(lambda: desk.work.layers.settled, timeout=WAIT_MS)
        return run

    return add


@pytest.fixture
def settle(panel, qtbot):
    def settle():
        qtbot.waitUntil(lambda: not panel.tuner.busy and not panel.desk.busy, timeout=WAIT_MS)

    return settle


def counts(cells):
    return [cells[key].text().replace(",", "") for key in ("components", "markers", "instances")]


def numbers(found):
    return [str(n) for n in (found.components, found.markers, found.instances)]


def move(panel, name, value):
    panel.editor.sliders[name].spin.setValue(value)


def warning(panel):
    """Text of the message box that is open; closes it."""
    box = panel.findChild(QMessageBox)
    text = box.text()
    box.close()
    return text


# ---------------------------------------------------------------------- runs


def test_without_a_run_it_is_quiet(panel):
    assert "No run yet" in panel.picker.remark.text()
    assert not any(w.isEnabled() for w in (panel.editor, panel.load, panel.keep, panel.sweep))
    assert not any(w.isEnabled() for w in (panel.undo, panel.redo, panel.reset, panel.discard))
    assert counts(panel.counts.was) == counts(panel.counts.now) == [UNKNOWN] * 3
    assert panel.message.isHidden()


def test_a_run_is_shown_as_it_was_cut(panel, add):
    run = add()
    assert panel.editor.isEnabled() and panel.keep.isEnabled() and panel.sweep.isEnabled()
    assert panel.editor.value() == TuneParams() and panel.editor.preset.currentData() == "local"
    assert counts(panel.counts.was) == numbers(stage_counts(run.result.separation))
    assert counts(panel.counts.now) == [UNKNOWN] * 3


def test_a_run_without_maps_says_so(panel, add):
    run = add()
    panel.study.choose_run(replace(run, id=5, result=replace(run.result, maps=None)))
    assert panel.message.text() == NO_MAPS and not panel.editor.isEnabled()
    panel.study.choose_run(run)
    assert panel.message.isHidden() and panel.editor.isEnabled()


def test_another_run_brings_its_own_parameters(panel, add, settle):
    add(1)
    move(panel, "depth", 0.4)
    settle()
    second = add(2, seed=5, used=SeparationParams(depth=0.22))
    assert panel.editor.value().separation.depth == 0.22
    assert counts(panel.counts.was) == numbers(stage_counts(second.result.separation))
    assert counts(panel.counts.now) == [UNKNOWN] * 3 and not panel.undo.isEnabled()
    panel.picker.valueChanged.emit(1)
    assert panel.editor.value().separation.depth == 0.4  # as it was left
    assert panel.undo.isEnabled()


# ---------------------------------------------------------------------- edits


def test_a_slider_shows_other_nuclei_and_their_counts(panel, add, settle):
    run = add()
    move(panel, "depth", 0.0)
    assert panel.editor.preset.currentData() == CHANGED
    settle()
    wanted = tune(run.result.maps, TuneParams(SeparationParams(depth=0.0)))
    layer = panel.desk.layers.find(run.id, ROLE)
    assert np.array_equal(plane_view(layer), wanted.labels)
    assert counts(panel.counts.now) == numbers(stage_counts(wanted))
    assert counts(panel.counts.now) != counts(panel.counts.was)
    assert panel.counts.head.text() == "now, whole run" and panel.discard.isEnabled()


def test_buttons_undo_redo_and_reset(panel, add, settle):
    add()
    move(panel, "depth", 0.3)
    move(panel, "oblique", 0.5)
    assert panel.undo.isEnabled() and panel.reset.isEnabled() and not panel.redo.isEnabled()
    panel.undo.click()
    separation = panel.editor.value().separation
    assert (separation.depth, separation.oblique) == (0.3, 0.25) and panel.redo.isEnabled()
    panel.undo.click()
    assert panel.editor.value() == TuneParams() and not panel.undo.isEnabled()
    assert panel.editor.preset.currentData() == "local" and not panel.reset.isEnabled()
    panel.redo.click()
    panel.redo.click()
    assert panel.editor.value().separation.oblique == 0.5 and not panel.redo.isEnabled()
    panel.reset.click()
    assert panel.editor.value() == TuneParams() and panel.undo.isEnabled()
    settle()


def test_keys_undo_and_redo(panel, add, settle):
    add()
    keys = {k.key().toString(): k for k in panel.findChildren(QShortcut)}
    assert set(keys) == {"Ctrl+Z", "Ctrl+Shift+Z"}
    assert {k.context() for k in keys.values()} == {Qt.ShortcutContext.WidgetWithChildrenShortcut}
    move(panel, "depth", 0.3)
    keys["Ctrl+Z"].activated.emit()
    assert panel.editor.value() == TuneParams()
    keys["Ctrl+Shift+Z"].activated.emit()
    assert panel.editor.value().separation.depth == 0.3
    settle()


def test_dragging_is_one_edit(panel, add, settle):
    add()
    for at in range(20, 60):
        panel.editor.sliders["depth"].slider.setValue(at)
    panel.undo.click()
    assert panel.editor.value() == TuneParams() and not panel.undo.isEnabled()
    settle()


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_is_taken_with_its_fault(panel, add, settle, preset):
    run = add()
    panel.editor.presetChosen.emit(preset)
    assert panel.editor.value() == TuneParams(SeparationParams.preset(preset))
    assert panel.editor.preset.currentData() == preset
    faulty = preset in ("magnitude_peaks", "merging_relabel")
    assert ("Faulty on purpose" in panel.editor.fault.text()) == faulty
    settle()
    if preset == "local":
        return
    wanted = tune(run.result.maps, TuneParams(SeparationParams.preset(preset)))
    assert np.array_equal(plane_view(panel.desk.layers.find(run.id, ROLE)), wanted.labels)
    assert not any(s.reset.isEnabled() for s in panel.editor.sliders.values() if not s.isHidden())


def test_merging_gives_one_nucleus_per_component(panel, add, settle):
    add()
    panel.editor.presetChosen.emit("merging_relabel")
    settle()
    components, markers, instances = (int(n) for n in counts(panel.counts.now))
    assert components == instances < markers


def test_presets_of_a_resized_run_have_its_pixels(panel, add, make_result):
    inference = InferenceParams(image_mpp=0.5)
    add(params=replace(make_result().params, inference=inference))
    panel.editor.presetChosen.emit("local")
    assert panel.editor.value().separation.scales == (0.75, 1.5)
    assert panel.editor.preset.currentData() == "local"
    move(panel, "scales.0", 3)
    panel.editor.sliders["scales.0"].reset.click()
    assert panel.editor.value().separation.scales == (0.75, 1.5)


def test_reset_of_one_parameter_leads_to_the_preset_of_its_method(panel, add, settle):
    add()
    panel.editor.presetChosen.emit("hover_net")
    move(panel, "np_threshold", 0.7)
    panel.editor.sliders["np_threshold"].reset.click()
    assert panel.editor.value().separation.np_threshold == 0.5
    panel.editor.presetChosen.emit("local")
    move(panel, "np_threshold", 0.7)
    panel.editor.sliders["np_threshold"].reset.click()
    assert panel.editor.value().separation.np_threshold == 0.45
    settle()


def test_discard_and_keep(panel, add, settle):
    run = add()
    move(panel, "depth", 0.0)
    settle()
    panel.discard.click()
    assert panel.desk.layers.find(run.id, ROLE) is None
    assert counts(panel.counts.now) == [UNKNOWN] * 3 and not panel.discard.isEnabled()
    panel.undo.click()
    settle()
    panel.keep.click()
    settle()
    assert [r.title for r in panel.desk.work.session.runs] == ["compact 1", "compact 1 tuned"]
    assert panel.editor.value().separation.depth == 0.0 and not panel.reset.isEnabled()
    assert counts(panel.counts.was)[2] == str(panel.desk.run.result.n)


# ---------------------------------------------------------------------- files


def choosing(monkeypatch, name, path):
    monkeypatch.setattr(QFileDialog, name, lambda *_: (str(path), ""))


def test_parameters_are_saved_and_loaded(panel, add, tmp_path, monkeypatch, settle):
    add()
    move(panel, "depth", 0.31)
    panel.editor.order.setCurrentIndex(1)
    panel.editor.order.activated.emit(1)
    choosing(monkeypatch, "getSaveFileName", tmp_path / "mine")
    panel.save.click()
    wanted = panel.editor.value()
    assert read_params(tmp_path / "mine.json") == wanted and wanted.hv.order == "vh"
    assert panel.message.text() == "Saved as mine.json."
    panel.reset.click()
    choosing(monkeypatch, "getOpenFileName", tmp_path / "mine.json")
    panel.load.click()
    assert panel.editor.value() == wanted and panel.message.text() == "Parameters of mine.json."
    panel.undo.click()
    assert panel.editor.value() == TuneParams()
    settle()


def test_closing_the_dialogs_changes_nothing(panel, add, tmp_path, monkeypatch):
    add()
    move(panel, "depth", 0.31)
    for name in ("getSaveFileName", "getOpenFileName"):
        choosing(monkeypatch, name, "")
    panel.save.click()
    panel.load.click()
    assert panel.editor.value().separation.depth == 0.31 and panel.message.isHidden()
    assert panel.findChild(QMessageBox) is None


OURS = {"format": "napari-hovernet separation", "version": 1}
BAD_FILES = [
    ("{", "not valid JSON"),
    ("{}", "holds no separation parameters"),
    (json.dumps({**OURS, "version": 9}), "of version 9"),
    (json.dumps({**OURS, "separation": {"depth": -3}}), "depth is -3"),
]


@pytest.mark.parametrize(("text", "why"), BAD_FILES)
def test_a_file_that_cannot_be_loaded_loses_nothing(panel, add, tmp_path, monkeypatch, text, why):
    add()
    move(panel, "depth", 0.31)
    path = tmp_path / "bad.json"
    path.write_text(text)
    choosing(monkeypatch, "getOpenFileName", path)
    panel.load.click()
    assert why in warning(panel)
    assert panel.editor.value().separation.depth == 0.31
    panel.undo.click()
    assert panel.editor.value() == TuneParams()


def test_a_place_that_cannot_be_written_is_told(panel, add, tmp_path, monkeypatch):
    add()
    choosing(monkeypatch, "getSaveFileName", tmp_path / "none" / "p.json")
    panel.save.click()
    assert "does not exist" in warning(panel) and panel.message.isHidden()


def test_values_beyond_the_sliders_are_loaded_as_they_are(panel, add, tmp_path, settle):
    add()
    params = TuneParams(SeparationParams(min_area=3000, depth=2.5, scales=(0.3, 1, 30)))
    write_params(tmp_path / "p.json", params)
    panel.load_from(str(tmp_path / "p.json"))
    assert panel.editor.value() == params
    assert panel.editor.sliders["min_area"].spin.value() == 3000
    panel.editor.sliders["oblique"].spin.setValue(0.5)  # leaves the others alone
    found = panel.editor.value().separation
    assert (found.min_area, found.depth, found.scales) == (3000, 2.5, (0.3, 1, 30))
    settle()


# ---------------------------------------------------------------------- sweeps


def set_axis(axis, name, low, high, count):
    axis.combo.setCurrentIndex(axis.combo.findData(name))
    axis.low.setValue(low)
    axis.high.setValue(high)
    axis.count.setValue(count)


def test_a_sweep_with_truth_leads_to_the_best(panel, add, settle):
    run = add()
    panel.study.choose_truth(TruthChoice("t", "t", run.result.labels))
    set_axis(panel.sweep.first, "np_threshold", 0.25, 0.65, 3)
    set_axis(panel.sweep.second, "depth", 0.0, 0.3, 3)
    panel.sweep.run.click()
    assert panel.sweep.remark.text() == "Tried on the whole run, AJI."
    assert panel.sweep.cancel.isEnabled() and not panel.sweep.run.isEnabled()
    settle()
    assert panel.sweep.run.isEnabled() and panel.sweep.bar.isHidden()
    panel.sweep.best.click()
    assert panel.editor.value() == TuneParams()  # what the truth was cut with
    assert "AJI 1.000" in panel.sweep.plot.words.text()


def test_a_sweep_without_truth_counts_and_the_choice_is_applied(panel, add, settle):
    run = add()
    set_axis(panel.sweep.first, "np_threshold", 0.3, 0.9, 2)
    panel.sweep.run.click()
    assert panel.sweep.remark.text() == "Tried on the whole run, nuclei counted."
    settle()
    assert not panel.sweep.best.isEnabled()
    panel.sweep.plot.choose(1, 0)
    panel.sweep.take.click()
    assert panel.editor.value().separation.np_threshold == 0.9
    settle()
    wanted = tune(run.result.maps, TuneParams(SeparationParams(np_threshold=0.9)))
    assert counts(panel.counts.now)[2] == str(wanted.n)
    panel.undo.click()
    assert panel.editor.value() == TuneParams()


def test_cancelling_a_sweep(panel, add, settle):
    add()
    set_axis(panel.sweep.first, "depth", 0, 1, 20)
    set_axis(panel.sweep.second, "oblique", 0, 1, 20)
    panel.sweep.run.click()
    panel.sweep.cancel.click()
    settle()
    assert panel.tuning.sweep is None and panel.sweep.run.isEnabled()
    assert panel.sweep.plot.plot.isHidden() and panel.sweep.bar.isHidden()


def test_a_sweep_that_cannot_be_is_told(panel, add, settle):
    add()
    set_axis(panel.sweep.first, "depth", 0.9, 0.1, 3)
    panel.sweep.run.click()
    assert "give low <= high" in warning(panel)
    set_axis(panel.sweep.first, "depth", 0, 1, 3)
    set_axis(panel.sweep.second, "depth", 0, 1, 3)
    panel.sweep.run.click()
    settle()
    assert "choose two different ones" in panel.message.text() and panel.sweep.run.isEnabled()


def test_the_method_decides_what_can_be_swept(panel, add, settle):
    add()
    panel.editor.presetChosen.emit("hover_net")
    assert panel.sweep.first.combo.findData("sobel_size") >= 0
    assert panel.sweep.first.combo.findData("depth") < 0
    settle()


# ---------------------------------------------------------------------- panels


def test_a_panel_opened_again_shows_what_is_on(panel, add, viewer, qtbot, settle):
    add()
    move(panel, "depth", 0.0)
    panel.tuner.sweep(SweepAxis("depth", (0.1, 0.2)), None)
    settle()
    again = TunerPanel(viewer)
    qtbot.addWidget(again)
    assert again.tuner is panel.tuner and again.editor.value() == panel.editor.value()
    assert counts(again.counts.now) == counts(panel.counts.now) != [UNKNOWN] * 3
    assert again.undo.isEnabled() and again.discard.isEnabled()
    assert not again.sweep.plot.plot.isHidden()


def test_a_closed_panel_is_not_told_any_more(viewer, add, qtbot):
    panel = TunerPanel(viewer)
    tuner = panel.tuner
    with qtbot.waitSignal(panel.destroyed, timeout=WAIT_MS):
        panel.deleteLater()
    add()
    tuner.tuning.edit(FINE)
    qtbot.waitUntil(lambda: not tuner.busy, timeout=WAIT_MS)
    assert tuner.tuning.tuned.params == FINE


def test_two_viewers_do_not_meet(panel, add, qtbot, settle):
    other = ViewerModel()
    second = TunerPanel(other)
    qtbot.addWidget(second)
    add()
    move(panel, "depth", 0.0)
    settle()
    assert second.editor.value() == TuneParams() and not second.editor.isEnabled()
    assert len(other.layers) == 0
    forget(other)


@pytest.mark.parametrize("preset", PRESETS)
def test_nothing_is_wider_than_the_panel(panel, add, preset, settle):
    add()
    panel.fold.expand(animate=False)
    panel.tuning.edit(TuneParams(SeparationParams.preset(preset), HVReading("vh", "inward")))
    settle()
    assert panel.column.parentWidget().minimumSizeHint().width() <= PANEL_WIDTH


def test_both_themes(panel, add, viewer):
    add()
    viewer.theme = "light"
    light = panel.sweep.plot.plot.backgroundBrush().color().lightness()
    viewer.theme = "dark"
    assert light > panel.sweep.plot.plot.backgroundBrush().color().lightness()


def test_in_a_window_it_fits_its_dock_paints_and_hears_keys(
    make_napari_viewer, jobs, planted_run, qtbot
):
    viewer = make_napari_viewer(show=True)
    image = viewer.add_image(np.zeros((200, 260, 3), np.uint8), rgb=True, name="slide")
    _, panel = viewer.window.add_plugin_dock_widget("napari-hovernet", "Tune separation")
    work = panel.desk.work
    work.session.finish(planted_run(image))
    qtbot.waitUntil(lambda: work.layers.settled and not panel.desk.busy, timeout=WAIT_MS)
    panel.fold.expand(animate=False)
    before = viewer.screenshot(flash=False)
    panel.editor.presetChosen.emit("merging_relabel")
    qtbot.waitUntil(lambda: not panel.tuner.busy, timeout=WAIT_MS)
    scroll = panel.findChild(QScrollArea)
    qtbot.waitUntil(lambda: scroll.widget().width() <= scroll.viewport().width(), timeout=WAIT_MS)
    assert (viewer.screenshot(flash=False) != before).any()
    QApplication.setActiveWindow(viewer.window._qt_window)
    slider = panel.editor.sliders["depth"].slider
    slider.setFocus()
    qtbot.keyClick(slider, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert panel.editor.preset.currentData() == "local"
    qtbot.keyClick(slider, Qt.Key.Key_Right)
    assert panel.editor.value().separation.depth == 0.16
    qtbot.waitUntil(lambda: not panel.tuner.busy, timeout=WAIT_MS)
    forget(viewer)
