from __future__ import annotations

import pytest
import torch

from napari_hovernet.core.checkpoint import describe
from napari_hovernet.core.checkpoint.kinds import refuse_foreign
from napari_hovernet.errors import CheckpointError

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


def test_cellvit_is_known_by_its_arch_entry():
    with pytest.raises(CheckpointError, match="CellViT"):
        refuse_foreign("m", ["encoder.x"], {"arch": "CellViTSAM"})


def test_what_can_be_run_is_let_through():
    keys = ["decoder.np.u0.conv.weight", "up1.conv.0.weight", "heads.np.0.weight"]
    assert refuse_foreign("m", keys, {"arch": "HoVerNet", "epoch": 1}) is None
