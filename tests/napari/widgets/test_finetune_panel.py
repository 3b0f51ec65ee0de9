from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtGui import QDesktopServices, QGuiApplication
from qtpy.QtWidgets import QMessageBox, QScrollArea

from napari_hovernet._napari import finetuning, preparing
from napari_hovernet._napari.session_for import forget
from napari_hovernet._napari.widgets import finetune_panel
from napari_hovernet._napari.widgets.finetune_panel import FinetunePanel
from napari_hovernet._napari.widgets.finetune_view import PANEL_WIDTH
from napari_hovernet._napari.widgets.layers_dialog import LayersDialog
from napari_hovernet.app.training import Checked
from napari_hovernet.core.types import Progress
from napari_hovernet.errors import UserError

WAIT_MS = 5000


@pytest.fixture
def viewer(jobs):
    viewer = ViewerModel()
    yield viewer
    forget(viewer)


@pytest.fixture
def own_store(store, monkeypatch):
    """Every panel of this test looks at the fake store."""
    monkeypatch.setattr(finetuning, "RunStore", lambda: store)
    return store


@pytest.fixture
def make_panel(viewer, own_store, qtbot):
    """Make panels and hold them: Python's garbage collector takes plots apart in any order."""
    made = []

    def make():
        made.append(FinetunePanel(viewer))
        qtbot.addWidget(made[-1])
        return made[-1]

    yield make
    made.clear()


@pytest.fixture
def panel(make_panel):
    return make_panel()


@pytest.fixture
def look(panel, qtbot):
    def look():
        tuning = panel.tuning
        tuning.refresh()
        qtbot.waitUntil(
            lambda: not (tuning._listing.busy or tuning._attaching.busy or tuning.pinned.busy),
            timeout=WAIT_MS,
        )

    return look


@pytest.fixture
def fine(monkeypatch):
    def steps(config):
        yield Progress(0, 0)
        return Checked(config.data, config.start, "in order", warnings=("few nuclei",))

    monkeypatch.setattr(preparing, "check_steps", steps)


def warnings_of(panel):
    return [box.text() for box in panel.findChildren(QMessageBox)]


def test_runs_of_the_store_are_listed_and_attached(panel, own_store, look):
    own_store.record("old")
    own_store.record("now", state="running")
    look()
    assert panel.table.rowCount() == 2 and panel.table.value() == "now"
    assert "epoch 3 of 5" in panel.run.words.text()
    assert panel.foot.start.text() == "Queue training"
    panel.table.setValue("old")
    panel.table.valueChanged.emit("old")
    look()
    assert "old: done" in panel.run.words.text()
    assert panel.run.plots[0]._items["steps.np"].getData()[0] is not None


def test_two_panels_of_a_viewer_show_the_same_run(panel, make_panel, own_store, look):
    own_store.record("a", state="running")
    look()
    again = make_panel()
    assert again.tuning is panel.tuning
    assert again.table.value() == "a" and again.run.words.text() == panel.run.words.text()


def test_set_up_check_and_start(panel, own_store, fine, qtbot, tmp_path):
    panel.setup.data.add_sources([str(tmp_path)])
    panel.foot.check.click()
    assert not panel.foot.check.isEnabled()
    qtbot.waitUntil(lambda: panel.foot.summary.text() == "in order", timeout=WAIT_MS)
    assert panel.foot.warnings.text() == "few nuclei" and panel.foot.check.isEnabled()
    panel.setup.optim.boxes["epochs"].setValue(3)  # no other data: the check stands
    assert panel.foot.summary.text() == "in order"
    panel.foot.start.click()
    qtbot.waitUntil(lambda: panel.tuning.chosen == "run", timeout=WAIT_MS)
    assert own_store.find("run").read_config().optim.epochs == 3
    assert panel.tabs.currentIndex() == 1 and panel.run.epochs.pin.isChecked()
    panel.setup.data.add_sources([str(tmp_path / "more")])
    assert panel.foot.summary.text() == ""


def test_a_start_without_data_or_with_a_bad_name_is_told(panel, own_store):
    panel.foot.start.click()
    assert "nothing to train on" in warnings_of(panel)[0]
    panel.setup.name.setText("a/b")
    panel.setup.name.editingFinished.emit()
    panel.foot.start.click()
    assert "letters, digits" in warnings_of(panel)[1]
    assert panel.tabs.currentIndex() == 0 and own_store.list() == ()


def test_a_pause_reaches_the_run(panel, own_store, look, qtbot):
    own_store.record("a", state="running")
    look()
    panel.run.buttons.asks["pause"].click()
    qtbot.waitUntil(lambda: ("pause", "a") in own_store.asked, timeout=WAIT_MS)
    qtbot.waitUntil(lambda: "pauses" in panel.message.text(), timeout=WAIT_MS)


@pytest.mark.parametrize("yes", [True, False])
def test_removing_asks(panel, own_store, look, qtbot, monkeypatch, yes):
    own_store.record("a")
    look()
    monkeypatch.setattr(finetune_panel, "sure_to_delete", lambda *_: yes)
    panel.run.buttons.asks["remove"].click()
    if yes:
        qtbot.waitUntil(lambda: panel.table.rowCount() == 0, timeout=WAIT_MS)
    look()
    assert len(own_store.list()) == (0 if yes else 1)


def test_results(panel, own_store, look, monkeypatch):
    recorder = own_store.record("a")
    recorder.folder.best.write_bytes(b"x")
    recorder.folder.report.write_text("page")
    look()
    opened = []
    monkeypatch.setattr(QDesktopServices, "openUrl", lambda url: opened.append(url.toLocalFile()))
    buttons = panel.run.buttons.results
    for name in ("folder", "report", "best", "command"):
        buttons[name].click()
    assert opened == [str(recorder.folder.path), str(recorder.folder.report)]
    assert panel.work.session.model.source == str(recorder.folder.best)
    assert QGuiApplication.clipboard().text().startswith("napari-hovernet train --data")
    buttons["compare"].click()
    assert "Open an image first" in warnings_of(panel)[0]


def test_the_slider_scrolls_back(panel, viewer, own_store, look):
    own_store.record("a", upto=3)
    look()
    slider = panel.run.epochs
    slider.pin.click()
    look()
    assert slider.value() == 3 and "a 3 · NP" in viewer.layers
    slider.slider.setValue(0)
    look()
    assert "a 0 · NP" in viewer.layers and "a 3 · NP" not in viewer.layers
    slider.pin.click()
    assert len(viewer.layers) == 0


def test_open_layers_are_offered(panel, viewer, qtbot):
    viewer.add_image(np.zeros((64, 80, 3), np.uint8), rgb=True, name="slide")
    labels = np.zeros((64, 80), np.int32)
    labels[5:15, 5:15] = 3
    viewer.add_labels(labels, name="drawn")
    panel.setup.data.layers.click()
    dialog = panel.findChild(LayersDialog)
    assert dialog.list.item(0).text() == "slide  +  drawn"
    dialog.chosen.emit([0], "train")
    qtbot.waitUntil(lambda: len(panel.setup.value().data.sources) == 1, timeout=WAIT_MS)
    assert "slide_drawn: 1 nuclei." in panel.foot.message.text()
    dialog.close()


def test_a_model_that_cannot_be_read_is_told_on_its_card(panel, qtbot, monkeypatch):
    def steps(_source):
        yield Progress(0, 0)
        raise UserError("no checkpoint")

    monkeypatch.setattr(preparing.workspace, "describe_steps", steps)
    panel.setup.start.choose("/nowhere/a.tar")
    qtbot.waitUntil(lambda: panel.setup.card.message.text() == "no checkpoint", timeout=WAIT_MS)
    panel.setup.start.choose("scratch:compact")
    assert "random" in panel.setup.card.message.text()


def test_broken_runs_are_listed_and_do_no_harm(panel, own_store, look):
    recorder = own_store.record("a")
    recorder.folder.config_file.write_text("{")
    recorder.folder.events.write_bytes(b'{"v": 1, "t": 0, "event": "step", "terms": 7}\nrubbish\n')
    look()
    assert panel.table.item(0, 1).text() == "broken"
    assert "config.json" in panel.run.trouble.text()
    assert panel.run.buttons.asks["remove"].isEnabled()


def test_nothing_is_wider_than_the_panel(panel, own_store, look):
    own_store.record("a", state="failed", message="word " * 60)
    look()
    for area in panel.findChildren(QScrollArea):
        assert area.widget().minimumSizeHint().width() <= PANEL_WIDTH


def test_both_themes(panel, viewer):
    viewer.theme = "light"
    light = panel.run.plots[0].plot.backgroundBrush().color().lightness()
    viewer.theme = "dark"
    assert light > panel.run.plots[0].plot.backgroundBrush().color().lightness()


def test_a_closed_panel_is_not_told_any_more(viewer, own_store, qtbot):
    panel = FinetunePanel(viewer)
    tuning = panel.tuning
    with qtbot.waitSignal(panel.destroyed, timeout=WAIT_MS):
        panel.deleteLater()
    own_store.record("a")
    tuning.refresh()
    qtbot.waitUntil(lambda: tuning.view is not None, timeout=WAIT_MS)


def test_in_a_window_a_live_run_draws_and_leaves_it_free(
    make_napari_viewer, jobs, own_store, qtbot
):
    recorder = own_store.record("a", upto=1, epochs=8, state="running")
    viewer = make_napari_viewer(show=True)
    _, panel = viewer.window.add_plugin_dock_widget("napari-hovernet", "Fine-tune")
    panel.show_runs()
    qtbot.waitUntil(lambda: "epoch 1 of 8" in panel.run.words.text(), timeout=WAIT_MS)
    panel.run.epochs.pin.click()
    qtbot.waitUntil(lambda: len(viewer.layers) == 7, timeout=WAIT_MS)
    for epoch in range(2, 5):
        recorder.epoch(epoch)
        name = f"a {epoch} · instances"
        qtbot.waitUntil(lambda name=name: name in viewer.layers, timeout=WAIT_MS)
    assert "epoch 4 of 8" in panel.run.words.text()
    recorder.end("done")
    qtbot.waitUntil(lambda: panel.table.item(0, 1).text() == "done", timeout=WAIT_MS)
    for area in panel.findChildren(QScrollArea):
        if area.isVisible():
            assert area.widget().width() <= area.viewport().width()
    forget(viewer)
