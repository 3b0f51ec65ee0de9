"""Memory of networks, also of those that no dry run works for."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_hovernet.core.inference import predict
from napari_hovernet.core.inference.tiles import footprint
from napari_hovernet.core.networks.compact import CompactUNet
from napari_hovernet.core.networks.registry import Network
from napari_hovernet.core.types import Model, ModelInfo


class Wrapped(Network):
    """Somebody's own network: numbers that live on the CPU are part of its forward pass."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = CompactUNet((4, 8))
        self.geometry, self.config = self.inner.geometry, self.inner.config

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        out = dict(self.inner(x))
        out["hv"] = out["hv"] * torch.tensor([1.0, -1.0])[:, None, None]
        return out


def test_a_network_with_numbers_of_its_own_is_measured_too() -> None:
    wrapped = Wrapped().eval()
    plain = footprint(wrapped.inner)
    assert footprint(wrapped).bytes == pytest.approx(plain.bytes, rel=0.3)


def test_such_a_network_predicts() -> None:
    model = Model(Wrapped().eval(), ModelInfo("wrapped"), torch.device("cpu"))
    plain = Model(model.network.inner, ModelInfo("compact"), torch.device("cpu"))  # type: ignore[arg-type]
    image = np.arange(48 * 48 * 3, dtype=np.uint8).reshape(48, 48, 3)
    assert np.array_equal(predict(model, image).hv[1], -predict(plain, image).hv[1])
