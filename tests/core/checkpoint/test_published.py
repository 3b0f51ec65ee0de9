import pytest
import torch

from napari_hovernet.core.checkpoint.kinds import PANNUKE_LICENCE, hovernet_info, optimus_info
from napari_hovernet.errors import CheckpointError


def hovernet(edge=3, n_types=None):
    state = {"decoder.np.u3.conva.weight": torch.zeros(1, 1, edge, edge)}
    if n_types:
        state["decoder.tp.u0.conv.weight"] = torch.zeros(n_types, 1, 1, 1)
    return state


def test_types_are_assumed_from_their_number():
    info = hovernet_info(hovernet(n_types=6), "hover_net", "m")
    assert info.types[1].name == "neoplastic"
    assert info.types[5].color == (255, 165, 0)
    assert info.licence == PANNUKE_LICENCE
    notes = " ".join(info.notes)
    assert all(word in notes for word in ("PanNuke are assumed", "0.25 assumed", "licence"))
    info = hovernet_info(hovernet(n_types=9), "hover_net", "m")
    assert info.types[8].name == "type 8"
    with pytest.raises(CheckpointError, match="kernels of 7"):
        hovernet_info(hovernet(7), "hover_net", "m")


@pytest.mark.parametrize(("edge", "third"), [(5, "epithelial"), (3, "macrophage")])
def test_five_classes_are_told_apart_by_the_published_mode(edge, third):
    info = hovernet_info(hovernet(edge, 5), "hover_net", "m")
    assert info.types[3].name == third
    assert "assumed" in info.notes[0]
    assert info.licence == ""


def optimus():
    return {
        "bottleneck.0.weight": torch.zeros(4, 8, 1, 1),
        "nt_head.head.3.weight": torch.zeros(5, 32, 1, 1),
    }


@pytest.mark.parametrize("prefix", [-1, "5", True, 10**9])
def test_a_senseless_token_prefix_is_not_taken(prefix):
    assert optimus_info(optimus(), {"token_prefix": prefix}, "m").config["token_prefix"] == 5
