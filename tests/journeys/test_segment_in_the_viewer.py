"""From an empty viewer to saved nuclei, through the manifest, with a real, untrained network."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from npe2 import PluginManager, PluginManifest

from napari_hovernet.core.checkpoint import save_model
from napari_hovernet.core.networks.compact import CompactUNet
from napari_hovernet.core.synthetic import tissue
from napari_hovernet.core.types import Model, ModelInfo

LONG_MS = 300_000
"""Only a hang takes this long; a loaded machine may need a good part of it."""


@pytest.fixture
def checkpoint(tmp_path):
    """A small network that was never trained, as a file."""
    torch.manual_seed(0)
    network = CompactUNet((4, 8)).eval()
    info = ModelInfo("compact", mpp=0.25, licence="BSD-3-Clause", config=network.config)
    path = tmp_path / "untrained.safetensors"
    save_model(Model(network, info, torch.device("cpu")), path)
    return path


@pytest.fixture(autouse=True)
def own_settings(monkeypatch, tmp_path):
    monkeypatch.setenv("NAPARI_HOVERNET_CONFIG", str(tmp_path / "config"))


def test_manifest_is_valid_and_every_command_is_there(root):
    manifest = PluginManifest.from_file(root / "napari.yaml")
    manifest.validate_imports()
    assert {c.id for c in manifest.contributions.commands or ()} >= {"napari-hovernet.segment"}
    menu = manifest.contributions.menus["napari/layers/segment"]
    assert menu[0].command == "napari-hovernet.segment"
    assert PluginManager.instance() is not None


def test_open_segment_undo_and_save(make_napari_viewer, checkpoint, tmp_path, qtbot):
    viewer = make_napari_viewer()
    made = tissue(shape=(96, 128), seed=2)
    viewer.add_image(made.image, rgb=True, name="tissue", scale=(0.25, 0.25))
    _, panel = viewer.window.add_plugin_dock_widget("napari-hovernet", "Segment nuclei")
    panel.model.choose(str(checkpoint))
    session, layers = panel.session, panel.work.layers
    qtbot.waitUntil(lambda: not session.model.reading, timeout=LONG_MS)
    assert session.model.info.parameters > 0, session.model.error
    panel.run()
    qtbot.waitUntil(lambda: not session.status.busy and layers.settled, timeout=LONG_MS)
    assert session.status.error == ""
    names = [layer.name.split(" · ")[-1] for layer in viewer.layers]
    assert names == ["tissue", "NP", "HV horizontal", "HV vertical", "magnitude", "nuclei"]
    np_layer = viewer.layers["untrained 1 · NP"]
    assert np_layer.data.shape == (96, 128) and 0 <= np_layer.data.min() <= np_layer.data.max() <= 1
    nuclei = viewer.layers["untrained 1 · nuclei"]
    assert len(nuclei.features) == len(np.unique(nuclei.data)) - (nuclei.data == 0).any()
    nuclei.save(str(tmp_path / "n.geojson"), plugin="napari-hovernet")
    saved = json.loads((tmp_path / "n.geojson").read_text())
    assert len(saved["features"]) == len(nuclei.features)
    session.undo()
    assert [layer.name for layer in viewer.layers] == ["tissue"]
    assert str(checkpoint) in session.settings.recent_models


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "empty"), (b"\x80\x04not a model", ""), (b"PK\x03\x04" + b"\0" * 40, "")],
    ids=["empty", "wrong kind", "truncated"],
)
def test_a_bad_checkpoint_is_told_and_the_viewer_lives(jobless_viewer, qtbot, content, words):
    viewer, panel, folder = jobless_viewer
    bad = folder / "bad.tar"
    bad.write_bytes(content)
    panel.model.choose(str(bad))
    qtbot.waitUntil(lambda: not panel.session.model.reading, timeout=LONG_MS)
    assert "bad.tar" in panel.card.message.text() and words in panel.card.message.text().lower()
    viewer.add_image(np.zeros((8, 8, 3), np.uint8), rgb=True)
    assert not panel.bar.run.isEnabled() and "choose another" in panel.bar.status.text()


@pytest.fixture
def jobless_viewer(make_napari_viewer, tmp_path):
    viewer = make_napari_viewer()
    _, panel = viewer.window.add_plugin_dock_widget("napari-hovernet", "Segment nuclei")
    return viewer, panel, tmp_path


def test_an_image_with_nan_or_five_channels_is_refused(jobless_viewer, checkpoint, qtbot):
    viewer, panel, _ = jobless_viewer
    panel.model.choose(str(checkpoint))
    qtbot.waitUntil(lambda: not panel.session.model.reading, timeout=LONG_MS)
    viewer.add_image(np.full((40, 40), np.nan, np.float32), contrast_limits=(0, 1), name="nan")
    panel.run()
    qtbot.waitUntil(lambda: not panel.session.status.busy, timeout=LONG_MS)
    assert panel.session.status.error and len(viewer.layers) == 1
