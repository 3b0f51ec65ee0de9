import pytest
import torch

from napari_hovernet.core.checkpoint import describe
from napari_hovernet.core.checkpoint.kinds import recognise
from napari_hovernet.core.networks.registry import build
from napari_hovernet.errors import CheckpointError

HOVERNETS = [("fast", 6), ("fast", None), ("original", 5), ("original", None)]


@pytest.fixture
def cheap():
    """Return a function that makes weights of a network on the meta device."""

    def make(architecture, **config):
        with torch.device("meta"):
            return build(architecture, config).state_dict()

    return make


@pytest.mark.parametrize(("mode", "n_types"), HOVERNETS)
@pytest.mark.parametrize(
    ("wrap", "kind"),
    [
        (lambda s: {"desc": s}, "hover_net"),
        (lambda s: s, "tiatoolbox"),
        (lambda s: {"desc": {f"module.{k}": v for k, v in s.items()}}, "hover_net"),
        (lambda s: {f"module.model.{k}": v for k, v in s.items()}, "tiatoolbox"),
        (lambda s: {"state_dict": s, "epoch": 3}, "HoVer-Net under 'state_dict'"),
    ],
)
def test_hovernet_is_read_from_its_shapes(wrap, kind, mode, n_types, cheap):
    state = cheap("hovernet", mode=mode, n_types=n_types)
    found = recognise(wrap(state), "m")
    assert found.info.file_kind == kind
    assert (found.info.architecture, found.info.mode) == ("hovernet", mode)
    assert found.info.config == {"mode": mode, "n_types": n_types}
    assert len(found.info.types) == (n_types or 0)
    assert found.state.keys() == state.keys()


@pytest.mark.parametrize("prefix", ["", "module.", "model."])
def test_optimus_is_read_from_its_shapes(prefix, cheap):
    state = cheap("optimus", embed_dim=32, bottleneck=16, n_types=4)
    payload = {"epoch": 4, "model_state_dict": {prefix + k: v for k, v in state.items()}}
    found = recognise(payload, "m")
    wanted = {"embed_dim": 32, "bottleneck": 16, "n_types": 4, "token_prefix": 5}
    assert found.info.config == wanted
    assert found.info.file_kind == "optimus"
    assert found.state.keys() == state.keys()


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("compact", {"widths": [4, 8]}),
        ("compact", {"widths": [4, 8, 16], "n_types": 3}),
        ("lite", {"widths": [4, 4, 6, 8]}),
        ("lite", {"widths": [4, 8, 6, 5], "n_types": 3}),
    ],
)
def test_our_own_are_read_from_their_shapes(name, config, cheap):
    found = recognise(cheap(name, **config), "m")
    assert (found.info.architecture, found.info.config) == (name, {"n_types": None} | config)


@pytest.mark.parametrize(
    ("payload", "match"),
    [
        ([1, 2], "holds a list instead of named weights"),
        (torch.zeros(2), "holds a Tensor"),
        ({}, "entries are: none"),
        ({"optimizer": {}, "epoch": 3}, "entries are: optimizer, epoch"),
        ({"desc": {}}, "has none"),
        ({"desc": {"a": torch.zeros(1), "b": 3}}, r"1 entries that are none \(b\)"),
        ({"fc.weight": torch.zeros(1)}, r"not known here \(its parts: fc\)"),
    ],
)
def test_no_weights_or_unknown_ones_are_described(payload, match):
    with pytest.raises(CheckpointError, match=match):
        recognise(payload, "m")


OPTIMUS = ("bottleneck.0.weight", "np_head.head.0.weight")
RELATIVES = {
    "CellViT": ("encoder.patch_embed.proj.weight", "hv_map_decoder.0.weight"),
    "HoVer-NeXt": ("encoder.model.stem.weight", "decoders.0.weight", "heads.0.weight"),
    "PixelShuffle": (*OPTIMUS, "up1.conv1.weight", "up1.conv2.weight"),
    "haematoxylin pyramid": (*OPTIMUS, "h_pyramid.0.weight"),
    "haematoxylin gates": (*OPTIMUS, "h_alphas.0"),
    "stain separation": (*OPTIMUS, "ruifrok.matrix"),
    "squeeze-excitation": (*OPTIMUS, "se_block.fc.weight"),
}


@pytest.mark.parametrize("name", RELATIVES)
@pytest.mark.parametrize("prefix", ["", "module."])
def test_a_relative_is_refused_by_name_with_what_to_do(name, prefix, tmp_path):
    path = tmp_path / "m.pth"
    state = {prefix + key: torch.zeros(1) for key in RELATIVES[name]}
    torch.save({"model_state_dict": state, "epoch": 1}, path)
    with pytest.raises(CheckpointError, match=f"{name}.* not supported: .{{20}}"):
        describe(path)
