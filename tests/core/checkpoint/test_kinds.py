import pytest
import torch

from napari_hovernet.core.checkpoint import describe, kinds
from napari_hovernet.core.networks.registry import build
from napari_hovernet.errors import CheckpointError

from ...refusals import refuses

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
    found = kinds.recognise(wrap(state), "m")
    assert found.info.file_kind == kind
    assert (found.info.architecture, found.info.mode) == ("hovernet", mode)
    assert found.info.config == {"mode": mode, "n_types": n_types}
    assert (len(found.info.types), found.state.keys()) == (n_types or 0, state.keys())


@pytest.mark.parametrize("prefix", ["", "module.", "model."])
def test_optimus_is_read_from_its_shapes(prefix, cheap):
    state = cheap("optimus", embed_dim=32, bottleneck=16, n_types=4)
    payload = {"epoch": 4, "model_state_dict": {prefix + k: v for k, v in state.items()}}
    found = kinds.recognise(payload, "m")
    wanted = {"embed_dim": 32, "bottleneck": 16, "n_types": 4, "token_prefix": 5}
    assert (found.info.config, found.info.file_kind) == (wanted, "optimus")
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
    found = kinds.recognise(cheap(name, **config), "m")
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
    refuses(match, kinds.recognise, payload, "m", by=CheckpointError)


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
    refuses(f"{name}.* not supported: .{{20}}", describe, path, by=CheckpointError)


def hovernet(edge=3, n_types=None):
    state = {"decoder.np.u3.conva.weight": torch.zeros(1, 1, edge, edge)}
    if n_types:
        state["decoder.tp.u0.conv.weight"] = torch.zeros(n_types, 1, 1, 1)
    return state


def test_types_are_assumed_from_their_number():
    info = kinds.hovernet_info(hovernet(n_types=6), "hover_net", "m")
    assert (info.types[1].name, info.types[5].color) == ("neoplastic", (255, 165, 0))
    assert info.licence == kinds.PANNUKE_LICENCE
    notes = " ".join(info.notes)
    assert all(word in notes for word in ("PanNuke are assumed", "0.25 assumed", "licence"))
    info = kinds.hovernet_info(hovernet(n_types=9), "hover_net", "m")
    assert info.types[8].name == "type 8"
    with pytest.raises(CheckpointError, match="kernels of 7"):
        kinds.hovernet_info(hovernet(7), "hover_net", "m")


@pytest.mark.parametrize(("edge", "third"), [(5, "epithelial"), (3, "macrophage")])
def test_five_classes_are_told_apart_by_the_published_mode(edge, third):
    info = kinds.hovernet_info(hovernet(edge, 5), "hover_net", "m")
    assert info.types[3].name == third
    assert "assumed" in info.notes[0] and info.licence == ""


def optimus():
    return {
        "bottleneck.0.weight": torch.zeros(4, 8, 1, 1),
        "nt_head.head.3.weight": torch.zeros(5, 32, 1, 1),
    }


@pytest.mark.parametrize("prefix", [-1, "5", True, 10**9])
def test_a_senseless_token_prefix_is_not_taken(prefix):
    assert kinds.optimus_info(optimus(), {"token_prefix": prefix}, "m").config["token_prefix"] == 5
