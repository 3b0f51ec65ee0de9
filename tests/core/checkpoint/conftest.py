"""Small models and full-size weights without full-size work."""

from collections.abc import Callable

import pytest
import torch

from napari_hovernet.core.networks.compact import CompactUNet
from napari_hovernet.core.networks.registry import build
from napari_hovernet.core.types import Model, ModelInfo

State = dict[str, torch.Tensor]


@pytest.fixture(scope="session")
def weights() -> Callable[..., State]:
    """Return a function that makes weights of a network: each tensor one number of its own."""

    def make(architecture: str, **config: object) -> State:
        with torch.device("meta"):
            wanted = build(architecture, config).state_dict()
        return {
            key: torch.full(old.shape, 1 if "unpool" in key else i % 97 / 8, dtype=old.dtype)
            for i, (key, old) in enumerate(wanted.items())
        }

    return make


@pytest.fixture
def tiny() -> Model:
    """A small compact model with everything a model can say of itself."""
    torch.manual_seed(0)
    network = CompactUNet((4, 8), 3).eval()
    training = {"lr": 0.002, "seed": 7, "data": "somewhere"}
    history = ({"step": 1, "loss": 0.5}, {"step": 2, "loss": 0.25})
    about = {"config": network.config, "training": training, "history": history}
    info = ModelInfo("compact", mpp=0.5, licence="CC BY 4.0", **about)
    return Model(network, info, torch.device("cpu"))
