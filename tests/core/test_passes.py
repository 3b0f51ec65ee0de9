from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_hovernet.core.hv import HVConvention
from napari_hovernet.core.inference import lane as passes
from napari_hovernet.core.inference import predict
from napari_hovernet.core.inference.images import as_source
from napari_hovernet.core.inference.lane import Lane, Timings, fill
from napari_hovernet.core.inference.tiles import Box, plan
from napari_hovernet.core.networks.registry import Geometry, Network, build
from napari_hovernet.core.params import InferenceParams
from napari_hovernet.core.types import Model, ModelInfo
from napari_hovernet.errors import JobFailed

CPU = torch.device("cpu")
IMAGE = np.random.default_rng(0).integers(0, 256, (97, 130, 3), np.uint8)


def network() -> Network:
    torch.manual_seed(0)
    return build("compact", {"widths": [4, 6, 8], "n_types": 3}).eval()


def test_a_queue_as_on_a_gpu_gives_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Buffers used again and two batches on the way, without a GPU."""
    m = Model(network(), ModelInfo("compact"), CPU)
    params = InferenceParams(tile=62, batch=3)
    expected = predict(m, IMAGE, params)
    made: list[torch.Tensor] = []
    empty = torch.empty

    def unpinned(shape: tuple[int, ...], dtype: torch.dtype, pin_memory: bool) -> torch.Tensor:
        assert pin_memory
        made.append(empty(shape, dtype=dtype))
        return made[-1]

    monkeypatch.setattr(passes.devices, "pins_memory", lambda device: True)
    monkeypatch.setattr(passes.torch, "empty", unpinned)
    maps = predict(m, IMAGE, params)
    monkeypatch.undo()
    np.testing.assert_array_equal(maps.np, expected.np)
    np.testing.assert_array_equal(maps.hv, expected.hv)
    batches = -(-len(plan(IMAGE.shape[:2], m.network.geometry, 62)) // 3)
    assert batches > 6 and len(made) <= 2 * (passes.AHEAD + 2)


@pytest.mark.parametrize("box", [(0, 9, 0, 7), (-4, 5, -3, 9), (90, 120, 100, 170)])
def test_fill_reflects_beyond_the_image(box: tuple[int, int, int, int]) -> None:
    area = Box(*box)
    slot = np.zeros((*area.shape, 3), np.uint8)
    fill(slot, as_source(IMAGE), area)
    padded = np.pad(IMAGE, ((60, 60), (60, 60), (0, 0)), mode="reflect")
    np.testing.assert_array_equal(slot, padded[area.slices((-60, -60))])


def test_a_network_without_the_branches_is_named() -> None:
    class Other(Network):
        geometry = Geometry(1, 0, 0, 0, 64, 1)

        def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"np": x[:, :2]}

    lane = Lane(Other().eval(), CPU, "float32", HVConvention(), Timings())
    with pytest.raises(JobFailed, match="not hv; it is no HoVer-Net"):
        lane.send(as_source(IMAGE), plan((8, 8), Other.geometry, 8))
    assert not lane.busy
