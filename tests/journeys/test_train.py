"""Choose data, lambda 5, start, watch, stop, use: a real mouse, a real process, a tiny network."""

import json

import numpy as np
import pytest
import torch
from qtpy.QtCore import QPoint
from qtpy.QtWidgets import QFileDialog, QMessageBox

from napari_hovernet._napari.panels import closing
from napari_hovernet.app.corrections import PairAbout, save_training_pair
from napari_hovernet.app.session import config_file
from napari_hovernet.core.checkpoint import save_model
from napari_hovernet.core.networks.compact import CompactUNet
from napari_hovernet.core.params import DataParams
from napari_hovernet.core.synthetic import TissueParams, tissue
from napari_hovernet.core.types import Model, ModelInfo

from .conftest import LEFT, LONG_MS


@pytest.fixture
def data(tmp_path):
    """Four tiny images with their true nuclei, of two slides."""
    folder = tmp_path / "my data"
    for at in range(4):
        made = tissue((96, 96), at, TissueParams(mpp=0.5))
        save_training_pair(folder, f"image{at}", made.image, made.labels,
                           PairAbout(source=f"slide{at}", mpp=0.5))  # fmt: skip
    return folder


@pytest.fixture
def bench(viewer, qtbot, tmp_path):
    """An open image, the dock, and a small model chosen in it."""
    torch.manual_seed(0)
    network, path = CompactUNet((4, 8)).eval(), tmp_path / "small.safetensors"
    info = ModelInfo("compact", mpp=0.5, config=network.config)
    save_model(Model(network, info, torch.device("cpu")), path)
    viewer.add_image(tissue((128, 128), 9, TissueParams(mpp=0.5)).image, rgb=True, name="open")
    _, dock = viewer.window.add_plugin_dock_widget("napari-hovernet", "HoVer-Net")
    dock.work.choose_model(str(path))
    qtbot.waitUntil(lambda: dock.work.session.model.info is not None, timeout=LONG_MS)
    qtbot.wait(50)
    return dock


def pick(qtbot, combo, text):
    """Pick an entry of a combo box by the keyboard, as its pop-up is a window of its own."""
    combo.setFocus()
    at = next(i for i in range(combo.count()) if text in combo.itemText(i))
    combo.setCurrentIndex(at)
    combo.activated.emit(at)


def test_lambda_5_is_training_in_six_clicks_and_its_model_is_used(
    bench, qtbot, data, monkeypatch, tmp_path
):
    viewer, work = bench.work.viewer, bench.work
    camera = tuple(viewer.scene.camera.center), viewer.scene.camera.zoom
    active, image = viewer.layers.selection.active, work.session.image
    page = bench.pages[2]
    start_in_six_clicks(bench, qtbot, data, monkeypatch)
    stop_and_compare(bench, qtbot)
    qtbot.mouseClick(page.run.use, LEFT)
    qtbot.waitUntil(lambda: work.session.model.info is not None, timeout=LONG_MS)
    assert work.session.model.source == str(page.training.model())
    work._save_settings()
    assert json.loads(config_file().read_text())["model"].endswith("small.safetensors")
    assert (tuple(viewer.scene.camera.center), viewer.scene.camera.zoom) == camera
    assert viewer.layers.selection.active is active and work.session.image == image
    assert len(viewer.layers) == 1


def start_in_six_clicks(bench, qtbot, data, monkeypatch):
    page = bench.pages[2]
    bar, clicks = bench.tabs.tabBar(), 1  # the dock's own menu entry
    qtbot.mouseClick(bar, LEFT, pos=bar.tabRect(2).center())
    assert not page.setup.start.isEnabled()
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(data))
    qtbot.mouseClick(page.setup.folder, LEFT)
    qtbot.waitUntil(lambda: page.training.check is not None, timeout=LONG_MS)
    assert "3 to train, 1 to validate" in page.setup.counts.text()
    assert page.setup.start_from.currentText() == "small.safetensors"
    assert page.setup.weight.value().lambda_magnitude == 5.0
    clicks += 1 + 2  # the tab; the folder and the dialog's own button
    box = page.setup.epochs.boxes["epochs"]
    box.setValue(300)
    page.setup._edit_data(crop=64)
    qtbot.waitUntil(lambda: page.training.check is not None, timeout=LONG_MS)
    assert "About" in page.setup.time.text()
    qtbot.mouseClick(page.setup.start, LEFT)
    clicks += 1
    assert clicks <= 6


def stop_and_compare(bench, qtbot):
    page, viewer = bench.pages[2], bench.work.viewer
    training = page.training
    qtbot.waitUntil(lambda: training.outcome is not None, timeout=LONG_MS)
    info = training.info
    assert info.config.loss.lambda_magnitude == 5.0 and info.config.optim.epochs == 300
    assert page.run.isVisible() and not page.setup.isVisible()
    assert "epoch" in page.run.words.text() and len(page.run.plot.getPlotItem().items) >= 3
    assert "AJI" in [label.text.split()[0] for _, label in page.run.plot.legend.items]

    window = viewer.window._qt_window
    window.close()  # held back: the training runs
    question = window.findChild(closing.CloseQuestion)
    qtbot.waitUntil(lambda: question.box is not None and question.box.isVisible(), timeout=LONG_MS)
    qtbot.mouseClick(question.box.button(QMessageBox.StandardButton.Cancel), LEFT)
    assert window.isVisible() and question.box is None

    qtbot.mouseClick(page.run.stop, LEFT)
    qtbot.waitUntil(lambda: training.info.state == "stopped", timeout=LONG_MS)
    qtbot.waitUntil(page.run.pause.isEnabled, timeout=LONG_MS)
    assert page.run.pause.text() == "Resume"
    assert "AJI before" in page.run.words.text() and "better" in page.run.words.text()

    qtbot.mouseClick(page.run.compare, LEFT)
    beside = page.run._beside
    qtbot.waitUntil(lambda: "AJI on this image" in beside.words.text() or
                    "very same" in beside.words.text(), timeout=LONG_MS)  # fmt: skip
    assert beside.pictures.images[0].image.shape[2] == 3
    assert "before" in beside.pictures.captions[0].text
    pick(qtbot, beside.image, "open")
    qtbot.waitUntil(lambda: "Nucleus or not" in beside.words.text() or
                    "very same" in beside.words.text(), timeout=LONG_MS)  # fmt: skip
    beside.close()


def test_a_set_up_survives_the_dock_and_corrected_pairs_are_data(bench, qtbot, data, tmp_path):
    work, page = bench.work, bench.pages[2]
    work.go("train")
    assert not page.setup.pairs.isVisible()
    work.add_data_folder(str(data))
    qtbot.mouseClick(page.setup.pairs, LEFT)
    page.setup.epochs.boxes["epochs"].setValue(7)
    qtbot.mouseClick(page.setup.all, LEFT)
    dialog = page.setup._dialog
    dialog.name.setText("my run 1")
    dialog.name.editingFinished.emit()
    dialog.forms["loss"].boxes["lambda_hv"].setValue(3)
    assert dialog.preset.value() == "expert fix"
    dialog.close()
    viewer = work.viewer
    viewer.window.remove_dock_widget(bench.parentWidget())
    qtbot.wait(20)
    _, again = viewer.window.add_plugin_dock_widget("napari-hovernet", "HoVer-Net")
    config = again.pages[2].training.config
    assert (config.name, config.optim.epochs, config.loss.lambda_hv) == ("my run 1", 7, 3.0)
    assert config.data == DataParams(sources=(str(data),))
    assert again.pages[2].setup.epochs.boxes["epochs"].value() == 7
    shown = again.pages[2].setup
    qtbot.waitUntil(lambda: shown.training.check is not None, timeout=LONG_MS)
    cross = shown.lines.itemAt(0).widget().layout().itemAt(1).widget()
    qtbot.mouseClick(cross, LEFT)
    assert shown.training.config.data.sources == () and not shown.start.isEnabled()


def test_nothing_of_the_tab_is_cut_off(bench, qtbot, data):
    page, canvas = bench.pages[2], bench.work.viewer.window._qt_viewer.canvas.native.width()
    bench.work.go("train")
    page.setup.add(str(data))
    qtbot.waitUntil(lambda: page.training.check is not None, timeout=LONG_MS)
    for part in (page, page.setup, page.run):
        assert part.minimumSizeHint().width() <= 316
    assert bench.width() <= 340
    assert bench.work.viewer.window._qt_viewer.canvas.native.width() == canvas
    right = page.mapTo(bench, QPoint(page.width(), 0)).x()
    assert right <= bench.width() and np.isfinite(right)
