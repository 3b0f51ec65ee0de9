"""The token decoder learns from generated features, start to finish."""

from pathlib import Path
from typing import Any

import pytest
import torch

from napari_hovernet.core.checkpoint import save_model
from napari_hovernet.core.losses import HoverLoss
from napari_hovernet.core.networks.optimus import OptimusDecoder
from napari_hovernet.core.params import DataParams, LossParams, OptimParams, TrainConfig
from napari_hovernet.core.training import loop as engine
from napari_hovernet.core.training.files import RunFolder
from napari_hovernet.core.training.module import Start, TrainingModule
from napari_hovernet.core.types import Model, ModelInfo


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, write_token_family: Any) -> Path:
    place = tmp_path_factory.mktemp("tokens")
    data = place / "data"
    data.mkdir()
    write_token_family(data, "epidermal", n=5, dim=16, seed=1)
    torch.manual_seed(0)
    start = Model(OptimusDecoder(16, 16, 5, 5).eval(), ModelInfo("optimus"), torch.device("cpu"))
    save_model(start, place / "start.pth")
    config = TrainConfig(
        start=str(place / "start.pth"),
        name="tiny",
        data=DataParams((str(data / "epidermal_features.npz"),), "epidermal", max_val=1),
        loss=LossParams(lambda_gradient=1.0, lambda_magnitude=1.0),  # ten steps: no steep terms
        optim=OptimParams(epochs=2, batch=4, steps_per_epoch=5, lr=8e-3),
        device="cpu",
        seed=3,
        save_epochs=(),
    )
    folder = RunFolder(place / "run")
    folder.path.mkdir()
    folder.write_config(config)
    assert engine.run_training(folder) == 0
    return place


@pytest.mark.slow
def test_it_learns_and_writes_the_familys_dict(run: Path) -> None:
    raw = torch.load(run / "run" / "best.pth", weights_only=True)
    losses = [entry["val"]["loss"] for entry in raw["history"]]
    assert losses[-1] < losses[0] - 0.5
    assert (raw["family"], raw["token_prefix"], raw["n_classes"]) == ("epidermal", 5, 5)
    assert raw["epoch"] == raw["history"][-1]["epoch"] - 1
    assert raw["args"]["loss"]["lambda_magnitude"] == 1.0 and (run / "run" / "last.pth").exists()


def test_a_decoder_without_background_learns_types_in_nuclei_alone() -> None:
    """It has no answer for background, so nothing there may count, whatever the loss asks."""
    torch.manual_seed(0)
    network = OptimusDecoder(8, 4, 6, 5, types_background=False)
    start = Start(network, ModelInfo("optimus"), (), typed=True)
    module = TrainingModule(start, HoverLoss(nt_inside_only=False), OptimParams())
    nucleus = torch.zeros(2, 224, 224, dtype=torch.int64)
    nucleus[:, 50:90, 50:90] = 1
    batch = {"tokens": torch.rand(2, 261, 8), "np": nucleus, "nt": 3 * nucleus,
             "hv": torch.zeros(2, 2, 224, 224)}  # fmt: skip
    loss = module.training_step(batch, 0)
    loss.backward()
    assert 0 < loss.item() < 50 and float(network.nt_head.head[3].bias.grad.abs().sum()) > 0
