"""The command ``tokens``, with a stand-in for timm."""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn


class TinyViT(nn.Module):
    num_prefix_tokens = 1

    def forward_features(self, x: torch.Tensor) -> torch.Tensor:
        patches = nn.functional.avg_pool2d(x, 14).flatten(2).transpose(1, 2)
        return torch.cat([x.new_zeros(len(x), 1, 3), patches], 1)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    images = np.random.default_rng(0).integers(0, 256, (3, 256, 256, 3), np.uint8)
    np.savez(tmp_path / "skin_data_FIXED.npz", images=images)
    return tmp_path / "skin_data_FIXED.npz"


@pytest.fixture
def timm(monkeypatch: pytest.MonkeyPatch) -> None:
    made = types.SimpleNamespace(create_model=lambda name, **_: TinyViT())
    monkeypatch.setitem(sys.modules, "timm", made)


def test_tokens_of_a_data_file(run: Any, data: Path, timm: None) -> None:
    out = data.with_name("skin_features.npz")
    given = ("tokens", data, "-o", out, "--backbone", "tiny", "--device", "cpu")
    found = run(*given, "--mean", 0, 0, 0, "--std", 1, 1, 1)
    assert found.status == 0, found.err
    assert "3 images" in found.out and "257 tokens of 3 each, 1 of them before" in found.out
    with np.load(out) as made, np.load(data) as given_data:
        mean = given_data["images"].mean() / 255
        assert made["features"][:, 1:].mean() == pytest.approx(mean, abs=0.01)
        assert int(made["token_prefix"]) == 1
    again = run(*given)
    assert again.status == 2 and "--overwrite" in again.err
    assert run(*given, "--overwrite", "-q").status == 0


def test_without_timm_it_says_what_to_type(run: Any, data: Path, monkeypatch: Any) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    found = run("tokens", data, "-o", data.with_name("x_features.npz"))
    assert found.status == 2 and "napari-hovernet[vit]" in found.err and len(found.errors) == 1
