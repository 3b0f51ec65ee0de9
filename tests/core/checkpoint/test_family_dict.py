import math

import pytest
import torch

from napari_hovernet.core.checkpoint import describe, load_model, save_model
from napari_hovernet.core.networks.optimus import OptimusDecoder
from napari_hovernet.core.params import DataParams, TrainConfig, config_as_dict
from napari_hovernet.core.types import Model, ModelInfo
from napari_hovernet.errors import CheckpointError

KEYS = (
    "epoch", "model_state_dict", "optimizer_state_dict", "best_dice", "best_loss", "best_hv_mse",
    "best_nt_acc", "combined_score", "family", "organs",
    "args", "hv_convention", "n_classes", "token_prefix", "history", "notes",
)  # fmt: skip
HISTORY = tuple(
    {"epoch": k, "train": {}, "val": {"dice": d, "loss": 3 - d, "hv_mse": 0.3, "aji": d, "pq": 0.1}}
    for k, d in enumerate((0.1, 0.8, 0.7))
)


@pytest.fixture
def ours() -> Model:
    torch.manual_seed(1)
    network = OptimusDecoder(8, 4, n_types=5, token_prefix=1).eval()
    config = TrainConfig(data=DataParams(("data/epidermal_features.npz",), val_fraction=0.3))
    training = {**config_as_dict(config), "earlier": {"epoch": 3}}
    info = ModelInfo("optimus", hv_convention="hv_inward_peak", training=training, history=HISTORY)
    return Model(network, info, torch.device("cpu"))


def test_plain_torch_reads_the_familys_dict(ours, tmp_path):
    save_model(ours, tmp_path / "m.pth")
    raw = torch.load(tmp_path / "m.pth", weights_only=True)
    assert tuple(raw) == KEYS
    assert (raw["epoch"], raw["family"], raw["n_classes"], raw["token_prefix"]) == (
        1, "epidermal", 5, 1)  # fmt: skip
    assert raw["organs"] == ["skin", "headandneck", "headneck"]
    assert (raw["best_dice"], raw["best_hv_mse"]) == (0.8, 0.3)
    assert (raw["best_loss"], raw["combined_score"]) == (pytest.approx(2.2), pytest.approx(0.9))
    assert math.isnan(raw["best_nt_acc"]), "nothing measures it"
    fresh = OptimusDecoder(8, 4, n_types=5)
    fresh.load_state_dict(raw["model_state_dict"])
    assert len(raw["model_state_dict"]) == 78


def test_a_round_trip_keeps_arguments_history_and_readings(ours, tmp_path):
    save_model(ours, tmp_path / "m.pth")
    back = load_model(tmp_path / "m.pth", "cpu")
    assert (back.info.training, back.info.history) == (ours.info.training, ours.info.history)
    assert (back.info.hv_convention, back.network.config) == ("hv_inward_peak", ours.network.config)
    assert not any("token prefix" in n or "convention" in n for n in back.info.notes)
    save_model(back, tmp_path / "again.pth")
    first, again = (torch.load(tmp_path / n, weights_only=True) for n in ("m.pth", "again.pth"))
    for key in KEYS[2:]:
        assert repr(first[key]) == repr(again[key]), key


def test_what_a_foreign_dict_says_or_lacks_is_passed_on(ours, tmp_path):
    state = ours.network.state_dict()
    foreign = {"epoch": 7, "model_state_dict": state, "best_dice": 0.75, "best_nt_acc": 0.5,
               "family": "urologic", "organs": ["kidney"], "args": {"lr": 1e-4}}  # fmt: skip
    torch.save(foreign, tmp_path / "f.pth")
    save_model(load_model(tmp_path / "f.pth", "cpu"), tmp_path / "g.pth")
    raw = torch.load(tmp_path / "g.pth", weights_only=True)
    for key in ("epoch", "best_dice", "best_nt_acc", "family", "organs", "args"):
        assert raw[key] == foreign[key]
    assert raw["token_prefix"] == 5 and "assumed" in " ".join(describe(tmp_path / "f.pth").notes)
    torch.save({"model_state_dict": ours.network.state_dict()}, tmp_path / "bare.pth")
    for before, after in (("bare", "once"), ("once", "twice")):
        save_model(load_model(tmp_path / f"{before}.pth", "cpu"), tmp_path / f"{after}.pth")
    notes = describe(tmp_path / "twice.pth").notes
    assert sum("token prefix is not in the file: 5 assumed" in note for note in notes) == 1
    assert sum("HV convention" in note for note in notes) == 1


def test_types_without_background_are_numbered_from_1(ours, tmp_path):
    """As the family stores them: class 0 is neoplastic, and background has no class."""
    torch.save({"model_state_dict": ours.network.state_dict()}, tmp_path / "bare.pth")
    tokens = torch.rand(2, 261, 8)
    plain = load_model(tmp_path / "bare.pth", "cpu")
    assert "types_background=False" in " ".join(plain.info.notes)
    model = load_model(tmp_path / "bare.pth", "cpu", types_background=False)
    assert [t.name for t in model.info.types.values()][:2] == ["background", "neoplastic"]
    with torch.no_grad():
        types = model.network(tokens)["tp"]
        assert torch.equal(types[:, 1:], plain.network(tokens)["tp"])
    assert float(types.softmax(1)[:, 0].max()) == 0
    for name in ("again.pth", "again.safetensors"):
        save_model(model, tmp_path / name)
        back = load_model(tmp_path / name, "cpu")
        assert back.network.config == model.network.config, name
        assert back.info.types == model.info.types
    raw = torch.load(tmp_path / "again.pth", weights_only=True)
    assert (raw["n_classes"], raw["types_background"]) == (5, False)
    assert load_model(tmp_path / "again.pth", types_background=True).network.config["n_types"] == 5
    with pytest.raises(CheckpointError, match="no token decoder with types"):
        load_model("compact", types_background=False)
