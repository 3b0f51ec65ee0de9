"""Stand-ins for the network, so that viewer tests take no model and no time."""

import time
from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest

from napari_hovernet._napari import workspace as workspace_module
from napari_hovernet._napari.viewer import placement
from napari_hovernet.app import session as settings_file
from napari_hovernet.app.session import ImageChoice, Run
from napari_hovernet.core.hv import hv_targets
from napari_hovernet.core.measure.nuclei import measure
from napari_hovernet.core.params import InferenceParams
from napari_hovernet.core.separation import separate
from napari_hovernet.core.synthetic import TissueParams, planted_maps, tissue
from napari_hovernet.core.types import Maps, ModelInfo, Progress, Separation, TypeInfo

from .training_runs import FakeStore

TYPES = {
    0: TypeInfo("background", (0, 0, 0)),
    1: TypeInfo("neoplastic", (255, 0, 0)),
    2: TypeInfo("inflammatory", (0, 255, 0)),
}
UNTYPED = ModelInfo("compact", mpp=0.25, parameters=2_000_000, licence="BSD-3", sha256="ab" * 32)
TYPED = ModelInfo("hovernet", mode="fast", types=TYPES, mpp=0.25, parameters=37_000_000)


def fake_result(shape=(64, 80), info=UNTYPED, offset=(0, 0)):
    """Two square nuclei; with types, the first is type 1 and the second type 2."""
    from napari_hovernet.app.segment import SegmentParams, SegmentResult  # noqa: PLC0415 - torch

    labels = np.zeros(shape, np.int32)
    labels[5:15, 5:15] = 1
    labels[30:40, 20:32] = 2
    maps = Maps(np=(labels > 0).astype(np.float32), hv=np.full((2, *shape), 0.3, np.float32))
    separation = Separation(labels > 0, np.zeros(shape, np.float32), labels, labels)
    types = np.array([1, 2] if info.types else [0, 0], np.int32)
    nuclei = replace(measure(labels, maps), type=types, type_names=dict(info.types))
    params = SegmentParams(inference=InferenceParams(image_mpp=0.25))
    found = {"labels": labels, "nuclei": nuclei, "maps": maps, "separation": separation}
    return SegmentResult(info=info, params=params, offset=offset, mpp=0.25, seconds=1.5, **found)


class FakeJobs:
    """Replaces the steps a workspace runs; ``tiles``, ``pause_s``, ``error`` steer them."""

    typed, untyped = TYPED, UNTYPED

    def __init__(self) -> None:
        self.info = UNTYPED
        self.tiles = 2
        self.pause_s = 0.0
        self.error: Exception | None = None
        self.closed = 0
        self.requests = []

    def run(self, request, _shelf):
        self.requests.append(request)
        try:
            for tile in range(self.tiles):
                yield Progress(tile + 1, self.tiles, "Segmenting")
                time.sleep(self.pause_s)
                if self.error is not None:
                    raise self.error
            r0, _, c0, _ = request.box or (0, 64, 0, 80)
            return fake_result((64, 80), self.info, (r0, c0))
        finally:
            self.closed += 1

    def describe(self, _source):
        yield Progress(0, 0)
        return self.info

    def devices(self):
        yield Progress(0, 0)
        return ()

    def warm(self, _source, _device, _shelf):
        yield Progress(0, 0)


@pytest.fixture
def jobs(monkeypatch, tmp_path):
    """Fake jobs, and settings in a folder of their own."""
    monkeypatch.setenv(settings_file.CONFIG_ENV, str(tmp_path / "config"))
    fake = FakeJobs()
    monkeypatch.setattr(workspace_module, "run_steps", fake.run)
    monkeypatch.setattr(workspace_module, "describe_steps", fake.describe)
    monkeypatch.setattr(workspace_module, "device_steps", fake.devices)
    monkeypatch.setattr(workspace_module, "warm_steps", fake.warm)
    return fake


@pytest.fixture
def work(jobs, qtbot):
    """A workspace over a viewer without a window, with an image of 64 x 80 pixels."""
    from napari.components import ViewerModel  # noqa: PLC0415

    viewer = ViewerModel()
    viewer.add_image(np.zeros((64, 80, 3), np.uint8), rgb=True, name="slide", scale=(0.5, 0.5))
    made = workspace_module.Workspace(viewer)
    made.keep_alive = viewer  # it holds the viewer weakly
    made.session.describe_model(made.session.model.source, jobs.info)
    yield made
    made.close()


@pytest.fixture
def settle(qtbot):
    """Wait until a workspace has nothing under way any more."""

    def wait(work):
        qtbot.wait(5)
        qtbot.waitUntil(lambda: not work.busy, timeout=60_000)

    return wait


@pytest.fixture
def make_result():
    """Make a :class:`SegmentResult` of two nuclei, typed or not."""

    def make(typed=False, **keywords):
        return fake_result(info=TYPED if typed else UNTYPED, **keywords)

    return make


@pytest.fixture
def blob_run(make_result):
    """Make a run: 4 single nuclei, 2 apart in one component, blobs of 2 (id 7) and 3 (id 9)."""

    def make(image, number=1, merged=(0, 1, 2, 3, 4, 5, 6, 7, 7, 9, 9, 9), **keywords):
        truth = np.zeros((120, 160), np.int32)
        r, c = np.indices(truth.shape)
        places = [(15, 15 + 30 * i) for i in range(4)]
        places += [(45, 20), (45, 35), (75, 20), (75, 35), (105, 20), (105, 35), (105, 50)]
        for i, (row, col) in enumerate(places, start=1):
            truth[((r - row) ** 2 + (c - col) ** 2 <= 64) & (truth == 0)] = i
        labels = np.array(merged, np.int32)[truth]
        maps = Maps(np=(truth > 0).astype(np.float32), hv=hv_targets(truth))
        cut = Separation(truth > 0, np.zeros(truth.shape, np.float32), labels, labels)
        result = replace(make_result(**keywords), labels=labels, maps=maps, separation=cut)
        place = placement(image, (0, 0))
        return Run(number, f"compact {number}", ImageChoice(id(image), "slide"), result, place, {})

    return make


@lru_cache
def planted(shape, seed):
    """Maps of generated tissue and their separation; nobody changes them."""

    maps = planted_maps(tissue(shape, seed, TissueParams(mpp=0.5)).labels)
    return maps, separate(maps)


@pytest.fixture
def planted_run(make_result):
    """Make a run over generated tissue: maps as a good network has them, cut by default."""

    def make(image, number=1, *, shape=(200, 260), seed=2, step=(0, 0, 0), **changes):
        maps, cut = planted(shape, seed)
        nuclei = measure(cut.labels, maps)
        made = {"labels": cut.labels, "maps": maps, "separation": cut, "nuclei": nuclei}
        result = replace(make_result(), **{**made, **changes})
        place = placement(image, step)
        return Run(number, f"compact {number}", ImageChoice(id(image), "slide"), result, place, {})

    return make


@pytest.fixture
def store(tmp_path):
    """Store of training runs that starts no process."""
    return FakeStore(tmp_path / "runs")
