"""What every journey begins with: a real viewer, and settings of its own."""

import sys

import pytest
from qtpy.QtCore import Qt

from napari_hovernet._napari import contributions

FORBIDDEN = {"torch._dynamo", "triton"}
"""Beside Mesa's libLLVM they end a viewer; other tests of this process may have brought them."""
LONG_MS = 300_000
"""Only a hang takes this long; a loaded machine may need a good part of it."""
LEFT = Qt.MouseButton.LeftButton


@pytest.fixture(autouse=True)
def nothing_loads_the_compiler_of_torch():
    """Compare what is loaded before and after."""
    before = FORBIDDEN & set(sys.modules)
    yield
    assert FORBIDDEN & set(sys.modules) == before


@pytest.fixture(autouse=True)
def own_settings(monkeypatch, tmp_path):
    monkeypatch.setenv("NAPARI_HOVERNET_CONFIG", str(tmp_path / "config"))
    monkeypatch.setenv("NAPARI_HOVERNET_RUNS", str(tmp_path / "runs"))
    monkeypatch.setattr(contributions, "TISSUE_EDGE_PX", 320)


@pytest.fixture
def viewer(make_napari_viewer, qtbot):
    viewer = make_napari_viewer(show=True)
    viewer.window._qt_window.resize(1366, 768)
    qtbot.wait(50)
    return viewer


@pytest.fixture
def dock(viewer, qtbot):
    """Open the generated tissue and the dock; returns the dock."""
    viewer.open_sample("napari-hovernet", "tissue")
    viewer.layers.selection.active = viewer.layers["tissue"]
    _, dock = viewer.window.add_plugin_dock_widget("napari-hovernet", "HoVer-Net")
    qtbot.waitUntil(lambda: not dock.work.session.model.reading, timeout=LONG_MS)
    qtbot.wait(50)
    return dock
