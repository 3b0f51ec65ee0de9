"""Segment, look, tune, undo, save: in a real viewer, with a real mouse and a real network."""

import json

import numpy as np
import torch
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QDockWidget, QLabel, QWidget

from napari_hovernet._napari import contributions
from napari_hovernet.core.checkpoint import save_model
from napari_hovernet.core.networks.compact import CompactUNet
from napari_hovernet.core.types import Model, ModelInfo

from .conftest import LEFT, LONG_MS


def done(dock, qtbot):
    qtbot.wait(10)
    qtbot.waitUntil(lambda: not dock.work.busy, timeout=LONG_MS)


def names(viewer, *, visible=False):
    return [x.name for x in viewer.layers if x.visible or not visible]


def drag(slider, to):
    """Drag the handle of a slider with the mouse to a share of its length."""
    option_x = round(slider.width() * (slider.value() - slider.minimum())
                     / (slider.maximum() - slider.minimum()))  # fmt: skip
    y = slider.height() // 2
    start = min(max(option_x, 6), slider.width() - 6)
    QTest.mousePress(slider, LEFT, pos=QPoint(start, y))
    for at in np.linspace(start, slider.width() * to, 5):
        QTest.mouseMove(slider, QPoint(int(at), y), delay=5)
    QTest.mouseRelease(slider, LEFT, pos=QPoint(int(slider.width() * to), y))


def test_from_an_image_to_saved_nuclei(viewer, dock, qtbot, tmp_path):
    camera = tuple(viewer.scene.camera.center), viewer.scene.camera.zoom
    work = dock.work
    qtbot.mouseClick(dock.run, LEFT)
    assert not dock.run.isEnabled() and dock.cancel.isEnabled()
    done(dock, qtbot)
    assert work.session.status.error == ""
    assert names(viewer, visible=True) == ["tissue", "lite-typed 1 · nuclei"]
    assert viewer.layers.selection.active.name == "tissue"
    assert (tuple(viewer.scene.camera.center), viewer.scene.camera.zoom) == camera
    n = len(work.study.findings.nuclei)
    assert n > 20 and dock.verdict.text().startswith(f"{n} nuclei")
    assert "no blobs" in dock.verdict.text() and dock.next.isVisible()

    canvas = viewer.window._qt_viewer.canvas.native
    canvas.setFocus()
    for key, name in (("2", "NP"), ("3", "HV"), ("4", "magnitude")):
        qtbot.keyClick(canvas, key)
        done(dock, qtbot)
        assert names(viewer, visible=True) == [
            "tissue", f"lite-typed 1 · {name}", "lite-typed 1 · nuclei"]  # fmt: skip
        assert dock.view.buttons[work.session.view].isChecked()
    qtbot.mouseClick(dock.view.buttons["blobs"], LEFT)
    done(dock, qtbot)
    assert names(viewer, visible=True) == ["tissue", "lite-typed 1 · nuclei"]
    assert "0 in blobs" in dock.legend.toolTip()

    sliders = dock.pages[0].live.rows
    before = work.layers.drawn().copy()
    drag(sliders["min_area"].slider, 0.9)
    done(dock, qtbot)
    fewer = len(work.study.findings.nuclei)
    assert fewer < n and dock.verdict.text().startswith(f"{fewer} nuclei")
    kept = work.layers.drawn() > 0
    assert np.array_equal(work.layers.drawn()[kept], before[kept])
    out = tmp_path / "n.geojson"
    dock.pages[0].save_to(str(out))
    qtbot.waitUntil(lambda: "Saved" in dock.message.text(), timeout=LONG_MS)
    assert len(json.loads(out.read_text())["features"]) == fewer

    qtbot.mouseClick(dock.pages[0].live.undo, LEFT)
    done(dock, qtbot)
    assert np.array_equal(work.layers.drawn(), before)
    while work.can_undo:
        qtbot.mouseClick(dock.pages[0].live.undo, LEFT)
        done(dock, qtbot)
    assert names(viewer) == ["tissue", "tissue, true nuclei"] or not work.session.runs
    assert len(viewer.layers) <= 6


def test_old_commands_open_the_one_dock_and_state_survives_closing_it(viewer, dock, qtbot):
    tabs = dock.tabs
    for name, title in (("check", "Check"), ("train", "Train"), ("why", "Why?")):
        getattr(contributions, f"open_{name}")(viewer)
        assert tabs.tabText(tabs.currentIndex()) == title
    work = dock.work
    dock.look("hv")
    work.session.set_options(type(work.session.options)(device="cpu", region="view"))
    dock.open_tab("why")
    gone = []
    dock.destroyed.connect(lambda: gone.append(True))
    viewer.window.remove_dock_widget(dock.parentWidget())
    qtbot.waitUntil(lambda: bool(gone), timeout=LONG_MS)  # by Qt, not left to the garbage collector
    _, again = viewer.window.add_plugin_dock_widget("napari-hovernet", "HoVer-Net")
    assert again.work is work and again.view.value() == "hv"
    assert (again.tabs.currentIndex(), again.pages[0].where.region.value()) == (3, "view")


def test_the_dock_is_narrow_and_its_first_screen_short(viewer, dock, qtbot):
    assert dock.width() <= 340
    for page in dock.pages:
        assert page.minimumSizeHint().width() <= 316
    texts = [w.text() for w in dock.findChildren(QLabel) if w.isVisible()]
    texts += [b.text() for b in dock.findChildren(QWidget)
              if hasattr(b, "text") and not isinstance(b, QLabel) and b.isVisible()]  # fmt: skip
    combos = (dock.image, dock.model, dock.pages[0].where.region)
    texts += [c.currentText() for c in combos] + [dock.tabs.tabText(i) for i in range(4)]
    words = [w for text in texts for w in str(text).split() if any(c.isalpha() for c in w)]
    assert len(words) <= 40, words
    for button in dock.view.buttons.values():
        room = button.width() - 4
        assert button.fontMetrics().horizontalAdvance(button.text().replace("&&", "&")) <= room


def test_in_a_narrow_window_the_image_has_most_of_it(viewer, dock, qtbot):
    window = viewer.window._qt_window
    docks = [window.findChild(QDockWidget, name) for name in ("layer list", "layer controls")]
    left = Qt.DockWidgetArea.LeftDockWidgetArea

    def share():
        return viewer.window._qt_viewer.canvas.native.width() / window.width()

    qtbot.waitUntil(lambda: share() >= 0.6, timeout=LONG_MS)
    assert all(window.dockWidgetArea(dock) != left for dock in docks)
    assert "tabs below" in dock.message.text()

    dock._fill_menu()  # as a click on "More" does
    entry = next(a for a in dock.menu.actions() if "as tabs" in a.text())
    entry.trigger()
    assert all(window.dockWidgetArea(dock) == left for dock in docks) and dock.message.text() == ""
    dock._fill_menu()
    next(a for a in dock.menu.actions() if "as tabs" in a.text()).trigger()
    qtbot.waitUntil(lambda: share() >= 0.6, timeout=LONG_MS)

    dock.parent().close()  # what was moved goes back with the dock
    qtbot.waitUntil(
        lambda: all(window.dockWidgetArea(dock) == left for dock in docks), timeout=LONG_MS
    )
    assert all(dock.isVisible() for dock in docks)


def test_a_bad_checkpoint_is_told_and_the_viewer_lives(dock, qtbot, tmp_path):
    bad = tmp_path / "bad.tar"
    bad.write_bytes(b"PK\x03\x04" + b"\0" * 40)
    dock.work.choose_model(str(bad))
    qtbot.waitUntil(lambda: not dock.work.session.model.reading, timeout=LONG_MS)
    assert "bad.tar" in dock.verdict.text() and dock.verdict.tone == "bad"
    assert not dock.run.isEnabled()
    torch.manual_seed(0)
    network = CompactUNet((4, 8)).eval()
    good = tmp_path / "good model.safetensors"
    info = ModelInfo("compact", mpp=0.25, config=network.config)
    save_model(Model(network, info, torch.device("cpu")), good)
    dock.work.choose_model(str(good))
    qtbot.waitUntil(lambda: dock.work.session.model.info is not None, timeout=LONG_MS)
    qtbot.mouseClick(dock.info, LEFT)
    assert dock.run.isEnabled() and "good model" in dock.model.currentText()
