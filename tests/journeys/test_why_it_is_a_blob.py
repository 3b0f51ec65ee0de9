"""The tutorial "See why it is a blob" in a real viewer, on planted maps: no network runs."""

from __future__ import annotations

import numpy as np
import pytest

from napari_hovernet._napari.correcting import correcting_for
from napari_hovernet._napari.images import METADATA_KEY, placement
from napari_hovernet._napari.session_for import session_for
from napari_hovernet.app.corrections import PairAbout, PairOptions
from napari_hovernet.app.segment import SegmentParams, SegmentResult
from napari_hovernet.app.session import ImageChoice, Run
from napari_hovernet.core.data.pairs import find_pairs
from napari_hovernet.core.measure.nuclei import measure
from napari_hovernet.core.params import SeparationParams
from napari_hovernet.core.separation import separate
from napari_hovernet.core.synthetic import planted_maps, tissue
from napari_hovernet.core.types import ModelInfo

LONG_MS = 20_000
"""Only a hang takes this long."""


@pytest.fixture(autouse=True)
def own_settings(monkeypatch, tmp_path):
    monkeypatch.setenv("NAPARI_HOVERNET_CONFIG", str(tmp_path / "config"))


@pytest.fixture
def story(make_napari_viewer):
    """A viewer with tissue, its truth, and a finished run over it."""
    viewer = make_napari_viewer()
    made = tissue(shape=(192, 256), seed=5)
    image = viewer.add_image(made.image, rgb=True, name="tissue", scale=(0.25, 0.25))
    viewer.add_labels(made.labels, name="truth", scale=(0.25, 0.25), visible=False)
    maps = planted_maps(made.labels)
    found = separate(maps)
    result = SegmentResult(
        labels=found.labels,
        nuclei=measure(found.labels, maps),
        info=ModelInfo("compact"),
        params=SegmentParams(),
        offset=(0, 0),
        mpp=0.25,
        seconds=0.1,
        maps=maps,
        separation=found,
    )
    run = Run(1, "planted 1", ImageChoice(id(image), "tissue"), result, placement(image, (0, 0)))
    session_for(viewer).session.add_run(run, "planted")
    return viewer


def opened(viewer, name):
    """Open a panel by its name in the menu."""
    return viewer.window.add_plugin_dock_widget("napari-hovernet", name)[1]


def test_from_a_blob_to_cells_to_training_data(story, qtbot, tmp_path):
    viewer = story
    tuner = opened(viewer, "Tune separation")
    desk, study = tuner.desk, tuner.study

    def wait(until=lambda: True):
        qtbot.waitUntil(lambda: not desk.busy and not desk.tuner.busy and until(), timeout=LONG_MS)

    # a faulty preset makes the blob; it is kept as a run of its own
    wait(lambda: study.findings is not None)
    whole = study.findings.blobs
    tuner.editor.presetChosen.emit("merging_relabel")
    wait(lambda: tuner.tuning.tuned is not None)
    counts = tuner.tuning.tuned.counts
    assert counts.instances == counts.components < whole.n_instances <= counts.markers
    assert "Faulty" in tuner.editor.fault.text()
    tuner.keep.click()
    wait(lambda: study.run.title == "planted 1 tuned" and study.findings is not None)
    assert study.run.result.cut_with == SeparationParams.preset("merging_relabel")

    # it is found without a truth, and HV is not to blame
    blobs = opened(viewer, "Check for blobs")
    assert study.findings.blobs.n_suspected > whole.n_suspected
    assert study.findings.blobs.summary in blobs.summary.text()
    inspector = opened(viewer, "Inspect HV")
    assert study.findings.magnitude.verdict == "healthy"
    inspector.inspecting.show_stage("hv_arrows", True)
    assert len(viewer.layers["planted 1 tuned · HV arrows"].data) > 100

    # the truth says that the separation is at fault: even the oracle is low
    compare = opened(viewer, "Compare and correct")
    compare.comparing.choose(("layer", id(viewer.layers["truth"])))
    wait(lambda: study.findings is not None and study.findings.comparison is not None)
    blob = study.findings.comparison
    assert blob.prediction.aji == pytest.approx(blob.connected_components.aji, abs=0.02)
    assert blob.oracle.aji < 0.9
    desk.choose_run(1)
    wait(lambda: study.findings is not None and study.findings.comparison is not None)
    assert study.findings.comparison.oracle.aji > 0.97
    assert study.findings.comparison.prediction.aji > blob.prediction.aji + 0.1

    # a nucleus is rubbed out by hand: everything follows, and the pair is training data
    layer = desk.instances_layer()
    before = study.findings.nuclei
    gone = int(before.label[0])
    layer.data_setitem(np.nonzero(layer.data == gone), 0)
    wait(lambda: study.findings is not None and len(study.findings.nuclei) == len(before) - 1)
    assert study.instances.corrected and (study.run.result.labels == gone).any()
    place = (str(tmp_path / "set"), "one")
    correcting_for(viewer).save_pair(place, PairAbout(), PairOptions())
    qtbot.waitUntil((tmp_path / "set" / "index.csv").exists, timeout=LONG_MS)
    (pair,) = find_pairs(tmp_path / "set")
    assert pair.name == "one"

    # everything of the kept run goes with it
    desk.work.session.remove_run(2)
    names = [x.name for x in viewer.layers if x.metadata.get(METADATA_KEY, {}).get("run") == 2]
    assert names == []
