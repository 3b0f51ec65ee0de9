from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from napari_hovernet.app import segment as run_request
from napari_hovernet.app.jobs import drive
from napari_hovernet.app.segment import ModelShelf, RunRequest
from napari_hovernet.core.params import InferenceParams, SeparationParams
from napari_hovernet.core.types import Progress


@pytest.fixture
def loads(monkeypatch):
    """Every load_model call, with a stand-in for the loader."""
    calls = []
    fake = ModuleType("napari_hovernet.core.checkpoint")

    def load_model(source, device):
        calls.append((source, device))
        return SimpleNamespace(source=source, device=device)

    fake.load_model = load_model
    monkeypatch.setitem(sys.modules, fake.__name__, fake)
    return calls


def test_the_shelf_loads_once_and_again_when_file_or_device_changes(loads, tmp_path):
    path = tmp_path / "model.tar"
    path.write_bytes(b"one")
    shelf = ModelShelf()
    first = shelf.get(str(path), "cpu")
    assert shelf.get(str(path), "cpu") is first and len(loads) == 1
    shelf.get(str(path), "cuda:0")
    path.write_bytes(b"two, longer")
    shelf.get(str(path), "cuda:0")
    assert shelf.device == "cuda:0"
    assert [device for _, device in loads] == ["cpu", "cuda:0", "cuda:0"]


def test_a_cleared_shelf_lets_go(loads):
    shelf = ModelShelf()
    shelf.get("compact", "cpu")
    shelf.clear()
    shelf.get("compact", "cpu")
    assert len(loads) == 2


def test_a_box_becomes_a_region_and_the_steps_pass_through(loads, monkeypatch):
    from napari_hovernet.app import segment  # noqa: PLC0415 - torch

    seen = []

    def segment_steps(model, image, params):
        seen.append((model.source, image.shape, params))
        yield Progress(1, 1, "tile")
        return "result"

    monkeypatch.setattr(segment, "segment_steps", segment_steps)
    request = RunRequest(
        "compact",
        "cpu",
        np.zeros((9, 9)),
        InferenceParams(tile=64),
        SeparationParams(),
        box=(1, 5, 2, 8),
    )
    steps = []
    assert drive(run_request.run_steps(request, ModelShelf()), steps.append) == "result"
    ((source, shape, params),) = seen
    region = params.region
    assert (source, shape, params.inference.tile) == ("compact", (9, 9), 64)
    assert (region.row0, region.row1, region.col0, region.col1) == (1, 5, 2, 8)
    assert [s.message for s in steps] == ["Loading the model ...", "tile"]
