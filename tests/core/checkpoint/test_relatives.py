"""Relatives of HoVer-Net that run: MONAI's by a name map, HoVerNet+ with its layers."""

from pathlib import Path
from typing import Any

import pytest
import torch

from napari_hovernet.core.checkpoint import load_model
from napari_hovernet.core.checkpoint.kinds import recognise
from napari_hovernet.core.networks.hovernet import HoVerNet
from napari_hovernet.core.networks.registry import build

monai = pytest.importorskip("monai.networks.nets.hovernet", reason="needs monai (PyPI)")


def filled(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Draw weights that keep numbers within bounds, statistics included."""
    torch.manual_seed(1)
    for name, buffer in network.named_buffers():
        if name.endswith("running_mean"):
            buffer.normal_(0, 0.1)
        elif name.endswith("running_var"):
            buffer.uniform_(0.5, 1.5)
    return dict(network.eval().state_dict())


WRAPS: dict[str, Any] = {
    "plain": lambda s: s,
    "model": lambda s: {"model": s, "epoch": 3},
    "engine": lambda s: {"state_dict": {"network": s}},
    "parallel": lambda s: {"net": {f"module.{k}": v for k, v in s.items()}},
    "lightning": lambda s: {
        "state_dict": {f"model.network.{k}": v for k, v in s.items()} | {"loss.w": torch.ones(1)}
    },
}


@pytest.mark.parametrize("wrap", WRAPS)
def test_monai_s_weights_are_found_in_whatever_holds_them(wrap: str) -> None:
    with torch.device("meta"):
        state = dict(monai.HoVerNet(mode="fast", out_classes=5).state_dict())
    assert len(state) == 797
    found = recognise(WRAPS[wrap](state), "m")
    assert (found.info.architecture, found.info.mode) == ("hovernet-monai", "fast")
    assert found.info.types[4].name == "spindle"
    with torch.device("meta"):
        wanted = build("hovernet-monai", found.info.config).state_dict()
    assert {k: v.shape for k, v in found.state.items()} == {k: v.shape for k, v in wanted.items()}


@pytest.mark.slow
@pytest.mark.parametrize(("mode", "n_types"), [("fast", 5), ("fast", 0), ("original", 7)])
def test_monai_s_network_agrees_with_monai(tmp_path: Path, mode: str, n_types: int) -> None:
    theirs = monai.HoVerNet(mode=mode, out_classes=n_types)
    torch.save(filled(theirs), tmp_path / "m.pt")
    ours = load_model(tmp_path / "m.pt", "cpu")
    edge = 256 if mode == "fast" else 270
    image = torch.rand(1, 3, edge, edge) * 255
    with torch.inference_mode():
        expected, found = theirs(image / 255), ours.network(image)
    names = {"nucleus_prediction": "np", "horizontal_vertical": "hv", "type_prediction": "tp"}
    assert len(expected) == len(found) == (3 if n_types else 2)
    for name, values in expected.items():
        atol = float(1e-5 * values.abs().max())
        torch.testing.assert_close(found[names[name]], values, atol=atol, rtol=0)


def test_hovernet_plus_gives_nuclei_and_layers(tmp_path: Path) -> None:
    network = HoVerNet("fast", n_types=3, n_layers=5)
    state = filled(network)
    torch.save(state, tmp_path / "plus.pth")
    made = load_model(tmp_path / "plus.pth", "cpu")
    assert made.info.mpp == 0.5 and any("5 tissue layers" in note for note in made.info.notes)
    with torch.inference_mode():
        out = made.network(torch.zeros(1, 3, 256, 256))
    assert {name: tuple(v.shape[1:]) for name, v in out.items()} == {
        "np": (2, 164, 164), "hv": (2, 164, 164), "tp": (3, 164, 164), "ls": (5, 164, 164),
    }  # fmt: skip
