"""Diagnose in a real viewer with real checks: a run cut wrongly, and files with a fault."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_hovernet._napari.images import placement
from napari_hovernet._napari.session_for import session_for
from napari_hovernet._napari.view import camera_of
from napari_hovernet.app.segment import SegmentParams, SegmentResult
from napari_hovernet.app.session import ImageChoice, Run
from napari_hovernet.core.hv import hv_targets
from napari_hovernet.core.measure.nuclei import measure
from napari_hovernet.core.params import SeparationParams
from napari_hovernet.core.separation import separate
from napari_hovernet.core.synthetic import planted_maps, tissue
from napari_hovernet.core.types import ModelInfo

pytestmark = pytest.mark.slow

LONG_MS = 300_000
"""Only a hang takes this long, even on a busy machine."""


@pytest.fixture(autouse=True)
def own_settings(monkeypatch, tmp_path):
    monkeypatch.setenv("NAPARI_HOVERNET_CONFIG", str(tmp_path / "config"))


@pytest.fixture
def panel_in(qtbot):
    """Open the panel in a viewer; returns it and a way to wait for it."""

    def make(viewer):
        panel = viewer.window.add_plugin_dock_widget("napari-hovernet", "Diagnose")[1]

        def wait():
            busy = panel.diagnosing
            qtbot.waitUntil(lambda: not busy.busy and not busy.view.busy, timeout=LONG_MS)

        return panel, wait

    return make


def merged_run(viewer):
    """Add a run over generated tissue whose touching nuclei were merged again."""
    made = tissue(shape=(192, 256), seed=5)
    image = viewer.add_image(made.image, rgb=True, name="tissue", scale=(0.25, 0.25))
    maps, params = planted_maps(made.labels), SeparationParams.preset("merging_relabel")
    cut = separate(maps, params)
    result = SegmentResult(
        labels=cut.labels,
        nuclei=measure(cut.labels, maps),
        info=ModelInfo("planted", source="/nowhere/planted.tar"),
        params=replace(SegmentParams(), separation=params),
        offset=(0, 0),
        mpp=0.25,
        seconds=0.1,
        maps=maps,
        separation=cut,
    )
    run = Run(1, "planted 1", ImageChoice(id(image), "tissue"), result, placement(image, (0, 0)))
    session_for(viewer).session.add_run(run, "planted")
    return run


def test_a_run_whose_nuclei_merge_again(make_napari_viewer, panel_in, qtbot):
    viewer = make_napari_viewer()
    run = merged_run(viewer)
    panel, wait = panel_in(viewer)
    qtbot.waitUntil(lambda: panel.desk.work.layers.settled, timeout=LONG_MS)
    assert "separation merging_relabel" in panel.setup.remark.text()
    panel.start.start.click()
    wait()
    first = panel.diagnosing.findings[0]
    assert first.id == "separation.relabel" and panel.list.value() == first.id

    # flown to the worst place, the nuclei on
    before = camera_of(viewer).center
    panel.list.itemClicked.emit(panel.list.topLevelItem(0), 0)
    r0, r1, c0, c1 = first.places[0].box
    assert camera_of(viewer).center != before
    middle = ((r0 + r1 - 1) / 8, (c0 + c1 - 1) / 8)  # 0.25 µm per pixel
    assert camera_of(viewer).center[-2:] == pytest.approx(middle, abs=0.5)
    assert viewer.layers["planted 1 · nuclei"].visible
    assert not viewer.layers["planted 1 · magnitude"].visible

    # the remedy mends it, and goes to the tuner, which cuts the nuclei apart
    panel.finding.remedy.apply.click()
    wait()
    (applied,) = panel.remedies.applied
    assert (applied.before, applied.after) == ("fault", "ok")
    panel.results.applied.undo.click()
    panel.finding.remedy.tuner.click()
    tuner = panel.desk.tuner
    qtbot.waitUntil(lambda: not tuner.busy and tuner.tuning.tuned is not None, timeout=LONG_MS)
    assert tuner.tuning.tuned.counts.instances > run.result.n


def test_files_whose_hv_channels_are_swapped(make_napari_viewer, panel_in, tmp_path, qtbot):
    made = [tissue(shape=(160, 192), seed=seed) for seed in (1, 2)]
    labels = np.stack([m.labels for m in made])
    np.savez(
        tmp_path / "targets.npz",
        images=np.stack([m.image for m in made]),
        labels=labels,
        hv=np.stack([hv_targets(plane)[::-1] for plane in labels]),
        np=(labels > 0).astype(np.uint8),
    )
    viewer = make_napari_viewer()
    panel, wait = panel_in(viewer)
    panel.setup.take([str(tmp_path / "targets.npz")])
    panel.start.start.click()
    wait()
    first = panel.diagnosing.findings[0]
    assert first.id == "data.hv_order" and first.remedy.action == "target_order"
    panel.list.itemClicked.emit(panel.list.topLevelItem(0), 0)
    wait()
    group = [x for x in viewer.layers if x.name.startswith("Diagnosis: ")]
    assert len(group) == len(viewer.layers) >= 4
    shown = {x.name.rpartition(" · ")[2] for x in group if x.visible}
    assert "image" in shown and any(name.startswith("stored HV") for name in shown)
    swapped = panel.view.layers.shown.arrays["target_hv_x"]
    panel.finding.remedy.apply.click()
    wait()
    assert panel.remedies.applied[0].after == "ok"
    mended = panel.view.layers.shown.arrays["target_hv_x"]
    assert not np.array_equal(mended, swapped)
    panel.results.applied.undo.click()
    wait()
    assert np.array_equal(panel.view.layers.shown.arrays["target_hv_x"], swapped)
