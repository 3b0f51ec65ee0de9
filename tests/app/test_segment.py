"""From an image to nuclei: what a run makes, keeps and says; what the viewer asks for."""

import json
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
import torch

import napari_hovernet as nh
from napari_hovernet.app.jobs import drive
from napari_hovernet.app.segment import Region, SegmentParams, run_metadata, segment_steps
from napari_hovernet.core.networks.compact import CompactUNet
from napari_hovernet.core.params import InferenceParams, SeparationParams
from napari_hovernet.core.synthetic import tissue
from napari_hovernet.core.types import Model, ModelInfo, Progress, TypeInfo
from napari_hovernet.errors import JobFailed

EVERYTHING = SegmentParams(
    separation=SeparationParams(method="hover_net", np_threshold=0.0, energy_threshold=1.0)
)
"""Choices with which an untrained network finds nuclei, too."""


@pytest.fixture(scope="module")
def model() -> Model:
    torch.manual_seed(0)
    network = CompactUNet((4, 8), n_types=3).eval()
    types = {i: TypeInfo(name, (i, 2, 3)) for i, name in enumerate(("background", "a", "b"))}
    info = ModelInfo("compact", types=types, sha256="f00", config=network.config)
    return Model(network, info, torch.device("cpu"))


def picture(shape: tuple[int, ...] = (40, 56, 3)) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def test_a_result_holds_all_stages_that_fit_each_other(model: Model) -> None:
    steps: list[Progress] = []
    result = drive(segment_steps(model, picture(), EVERYTHING), steps.append)
    assert result.labels.shape == (40, 56) and result.labels is result.separation.labels
    assert result.n == result.separation.n > 0 and result.nuclei.type_names == model.info.types
    assert result.offset == (0, 0) and result.seconds > 0
    assert [step.message for step in steps[-2:]] == [
        "Separating nuclei ...",
        "Measuring nuclei ...",
    ]
    assert any(step.total and step.done == step.total for step in steps)
    result = drive(segment_steps(model, picture(), EVERYTHING))
    expected = result.maps.magnitude[result.labels > 0].mean()
    assert result.magnitude_inside == pytest.approx(expected, rel=1e-5)
    nothing = SegmentParams(separation=SeparationParams(np_threshold=1.0))
    result = drive(segment_steps(model, picture(), nothing))
    assert result.n == 0 and np.isnan(result.magnitude_inside)
    json.dumps(run_metadata(result), allow_nan=False)


def test_a_region_is_the_crop(model: Model) -> None:
    region = Region(row0=8, col0=16, row1=30, col1=200)
    image = picture()
    result = drive(segment_steps(model, image, replace(EVERYTHING, region=region)))
    crop = drive(segment_steps(model, image[8:30, 16:56], EVERYTHING))
    assert result.offset == (8, 16)
    assert result.params.region == Region(row0=8, col0=16, row1=30, col1=56)
    assert np.array_equal(result.labels, crop.labels)


@pytest.mark.parametrize(
    "where", ["core.inference.maps.predict_steps", "app.segment.separate", "app.segment.measure"]
)
def test_errors_of_torch_never_leave_as_runtime_errors(model, monkeypatch, where) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("CUDA error: device-side assert")

    monkeypatch.setattr(f"napari_hovernet.{where}", broken)
    steps = segment_steps(model, picture())
    with pytest.raises(JobFailed, match="device-side assert"):
        for _ in steps:
            pass


@pytest.mark.parametrize("method", ["local", "hover_net"])
def test_streamed_finds_the_same_nuclei(method: str) -> None:
    model, image = nh.load_model("lite-typed"), tissue((512, 512), seed=3).image
    cut = SeparationParams.preset(method)
    one, other = (
        drive(segment_steps(model, image, SegmentParams(InferenceParams(streamed=how), cut)))
        for how in ("off", "on")
    )
    assert one.n > 100 and nh.evaluate(one.labels, other.labels).pq >= 0.999
    kinds = [np.append(0, run.nuclei.type)[run.labels] for run in (one, other)]
    assert np.mean(kinds[0] != kinds[1]) <= 0.001
