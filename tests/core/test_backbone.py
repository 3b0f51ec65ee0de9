import sys
import types
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from napari_hovernet.core.tokens import backbone as module
from napari_hovernet.core.tokens.backbone import (
    BackboneParams,
    as_backbone,
    image_tokens,
    load_backbone,
    prefix_tokens,
    prepared,
    token_steps,
)
from napari_hovernet.core.types import Progress
from napari_hovernet.errors import CheckpointError, InputError, JobFailed

from ..refusals import refuses

DIM, PATCH = 6, 14


class TinyViT(nn.Module):
    """Patches as timm gives them: prefix tokens of ones, then a projection of each patch."""

    def __init__(self, prefix: int = 5, patch: int = PATCH) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.num_prefix_tokens = prefix
        self.project = nn.Conv2d(3, DIM, patch, patch)
        self.blocks = nn.ModuleList([nn.Linear(DIM, DIM), nn.Linear(DIM, DIM)])

    def forward_features(self, x: torch.Tensor) -> torch.Tensor:
        patches = self.project(x).flatten(2).transpose(1, 2)
        tokens = torch.cat([x.new_ones(len(x), self.num_prefix_tokens, DIM), patches], 1)
        for block in self.blocks:
            tokens = block(tokens)
        return tokens


class Transformers(TinyViT):
    """As transformers has it: the registers in the config, the tokens in an output object."""

    forward_features = None  # type: ignore[assignment]

    def __init__(self) -> None:
        super().__init__(5)
        del self.num_prefix_tokens
        self.config = SimpleNamespace(num_register_tokens=4)

    def __getattribute__(self, name: str) -> Any:
        if name == "forward_features":
            raise AttributeError(name)
        return super().__getattribute__(name)

    def forward(self, x: torch.Tensor) -> SimpleNamespace:
        patches = self.project(x).flatten(2).transpose(1, 2)
        return SimpleNamespace(
            last_hidden_state=torch.cat([x.new_ones(len(x), 5, DIM), patches], 1)
        )


def picture(seed: int = 0, edge: int = 224) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (edge, edge, 3), np.uint8)


def test_tokens_keep_their_prefix_and_patches_their_order():
    found = image_tokens(as_backbone(TinyViT(), device="cpu"), [picture(0), picture(1)])
    assert found.shape == (2, 261, DIM) and found.dtype == np.float32
    image = picture(0)
    image[28:42, 70:84] = 0  # row 2, column 5
    other = image_tokens(as_backbone(TinyViT(), device="cpu"), [image])
    changed = np.flatnonzero((other[0] != found[0]).any(axis=1))
    assert changed.tolist() == [5 + 2 * 16 + 5]


def test_images_are_resized_without_aliasing():
    stripes = np.zeros((448, 448, 3), np.uint8)
    stripes[:, ::2] = 200
    plain = prepared(stripes, BackboneParams(mean=(0, 0, 0), std=(1, 1, 1)))
    assert plain.shape == (1, 3, 224, 224)
    np.testing.assert_allclose(plain[..., 5:-5], 100 / 255, atol=0.01)


@pytest.mark.parametrize(
    ("vit", "n", "prefix"),
    [
        (SimpleNamespace(num_prefix_tokens=0), 256, 0),
        (SimpleNamespace(num_prefix_tokens=1), 257, 1),
        (SimpleNamespace(config=SimpleNamespace(num_register_tokens=4)), 261, 5),
        (SimpleNamespace(config=SimpleNamespace(num_register_tokens=0)), 257, 1),
        (SimpleNamespace(num_register_tokens=4), 261, 5),
        (SimpleNamespace(), 256, 0),
        (SimpleNamespace(), 257, 1),
        (SimpleNamespace(), 261, 5),
    ],
)
def test_the_prefix_is_read_from_the_model(vit, n, prefix):
    assert prefix_tokens(vit, n) == prefix


def test_what_transformers_and_dinov2_give_is_taken():
    assert image_tokens(as_backbone(Transformers(), device="cpu"), [picture()]).shape[1] == 261

    class Dino(nn.Module):
        num_register_tokens = 4

        def forward_features(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
            n = len(x)
            return {
                "x_norm_patchtokens": torch.full((n, 256, 2), 3.0),
                "x_norm_clstoken": torch.full((n, 2), 1.0),
                "x_norm_regtokens": torch.full((n, 4, 2), 2.0),
            }

    found = image_tokens(as_backbone(Dino(), device="cpu"), [picture()])[0, :, 0]
    assert found[:6].tolist() == [1, 2, 2, 2, 2, 3] and len(found) == 261


def test_tokens_of_a_block_within():
    vit = TinyViT()
    first = as_backbone(vit, device="cpu", params=BackboneParams(layer=1))
    last = as_backbone(vit, device="cpu", params=BackboneParams(layer=2))
    plain = as_backbone(vit, device="cpu")
    assert (first.array, plain.array) == ("layer_1", "features")
    end = image_tokens(plain, [picture()])
    np.testing.assert_array_equal(image_tokens(last, [picture()]), end)
    within = torch.from_numpy(image_tokens(first, [picture()]))
    with torch.inference_mode():
        np.testing.assert_allclose(vit.blocks[1](within).numpy(), end, atol=1e-6)
    with pytest.raises(InputError, match="has 2 blocks; layer is 3"):
        image_tokens(as_backbone(vit, device="cpu", params=BackboneParams(layer=3)), [picture()])


def test_another_grid_is_refused_with_the_size_that_would_do():
    with pytest.raises(
        InputError, match=r"14 x 14 patches, .* 16 x 16\. Set the image size to 256"
    ):
        image_tokens(as_backbone(TinyViT(patch=16), "v", "cpu"), [picture()])
    params = BackboneParams(size=256)
    found = image_tokens(as_backbone(TinyViT(patch=16), "v", "cpu", params), [picture()])
    assert found.shape[1] == 261


def test_lack_of_memory_halves_the_batch(monkeypatch):
    real = module.image_tokens

    def tight(backbone, images):
        if len(images) > 1:
            raise RuntimeError("CUDA out of memory. Tried to allocate")
        return real(backbone, images)

    monkeypatch.setattr(module, "image_tokens", tight)
    seen = list(token_steps(as_backbone(TinyViT(), device="cpu"), picture, 2))
    assert sum(isinstance(x, np.ndarray) for x in seen) == 2
    assert any(isinstance(x, Progress) and "1 images at a time" in x.notice for x in seen)


def test_a_backbone_that_fails_or_overflows_is_named():
    class Broken(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            raise RuntimeError("bad head")

    with pytest.raises(JobFailed, match=r"own backbone failed .*bad head"):
        list(token_steps(as_backbone(Broken(), device="cpu"), picture, 1))
    vit = TinyViT()
    with torch.no_grad():
        vit.project.weight.fill_(float("inf"))
    refuses("not finite", lambda: image_tokens(as_backbone(vit, device="cpu"), [picture()]))


def fake_timm(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Put a timm in place that makes tiny ViTs and keeps what it was asked for."""
    asked: list[dict[str, Any]] = []

    def create_model(name: str, **arguments: Any) -> nn.Module:
        asked.append({"name": name, **arguments})
        if name == "unknown":
            raise RuntimeError("Unknown model (unknown)")
        return TinyViT()

    monkeypatch.setitem(sys.modules, "timm", types.SimpleNamespace(create_model=create_model))
    return asked


def test_timm_gives_h_optimus_or_weights_of_a_file(monkeypatch, tmp_path):
    asked = fake_timm(monkeypatch)
    found = load_backbone(device="cpu")
    assert asked == [{"name": "hf-hub:bioptimus/H-optimus-0", "pretrained": True, "num_classes": 0,
                      "img_size": 224, "init_values": 1e-5, "dynamic_img_size": False}]  # fmt: skip
    assert not found.module.training and not any(p.requires_grad for p in found.module.parameters())
    asked = fake_timm(monkeypatch)
    other = TinyViT()
    with torch.no_grad():
        other.project.bias.fill_(7.0)
    torch.save({**other.state_dict(), "head.weight": torch.zeros(1)}, tmp_path / "w.bin")
    found = load_backbone("any", "cpu", weights=tmp_path / "w.bin")
    assert asked[0]["pretrained"] is False and (found.module.project.bias == 7).all()
    torch.save({"nothing": torch.zeros(1)}, tmp_path / "x.bin")
    with pytest.raises(CheckpointError, match=r"x\.bin does not fit"):
        load_backbone("any", "cpu", weights=tmp_path / "x.bin")
    fake_timm(monkeypatch)
    refuses(r"'unknown' \(Unknown model", load_backbone, "unknown", "cpu")

    def broken(name: str) -> None:
        raise RuntimeError("operator torchvision::nms does not exist")

    monkeypatch.setattr(module, "import_module", broken)
    refuses(r"cannot be used \(operator torchvision::nms", load_backbone, "any")
