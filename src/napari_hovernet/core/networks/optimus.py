"""``optimus``: a decoder of NP, HV and NT maps on the tokens of a frozen ViT."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn

from ...errors import InputError
from .registry import Geometry, Network, Parts

WIDTHS = (128, 64, 64, 64)
"""Channels after each up-block; the first takes what the bottleneck gives."""
HEAD_INNER = 32
GRID = 16
"""Patches along an edge of the ViT's input."""
OUTPUT = 224
"""Edge of the maps: the ViT's input, in pixels."""
TOKEN_PREFIX = 5
"""Tokens before the patches: CLS and four registers (H-optimus-0)."""
DROPOUT = 0.1


class _Up(nn.Module):
    """Bilinear doubling, then two 3x3 convolutions with batch norm."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
        out: torch.Tensor = self.conv(x)
        return out


class _Head(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.head = nn.Sequential(
            nn.Conv2d(inputs, HEAD_INNER, 3, padding=1, bias=False),
            nn.BatchNorm2d(HEAD_INNER),
            nn.ReLU(inplace=True),
            nn.Conv2d(HEAD_INNER, outputs, 1),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.head(x)
        return out


NEVER = -1e4
"""Logit of a class that is never the answer; float16 holds it."""


class OptimusDecoder(Network):
    """Decoder of 16 x 16 patch tokens into 224 x 224 maps."""

    # The real encoder is outside the file: the first layer stands for it.
    parts = Parts(("bottleneck",), ("np_head", "hv_head", "nt_head"), ("nt_head",), "np_head")

    accepts = "tokens"
    bytes_per_pixel, elements_per_pixel = 1100.0, 84.0  # Of the maps it gives

    def __init__(
        self,
        embed_dim: int = 1536,
        bottleneck: int = 256,
        n_types: int | None = 5,
        token_prefix: int = TOKEN_PREFIX,
        types_background: bool = True,
    ) -> None:
        super().__init__()
        if min(embed_dim, bottleneck) < 1 or token_prefix < 0:
            raise InputError(
                f"embed_dim {embed_dim} and bottleneck {bottleneck} must be 1 or more, "
                f"token_prefix {token_prefix} 0 or more."
            )
        if n_types is not None and n_types < 2:
            raise InputError(f"n_types is {n_types}; it counts background too: give 2 or more.")
        self.config = {
            "embed_dim": embed_dim,
            "bottleneck": bottleneck,
            "n_types": n_types,
            "token_prefix": token_prefix,
        }
        if not types_background:  # the head has types alone; background is put before them
            self.config |= {"types_background": False}
        self.geometry = Geometry(
            divisor=OUTPUT, remainder=0, margin=0, halo=0, reference_tile=OUTPUT, minimum=OUTPUT
        )
        self.embed_dim, self.token_prefix = embed_dim, token_prefix
        self.bottleneck = nn.Sequential(
            nn.Conv2d(embed_dim, bottleneck, 1, bias=False),
            nn.BatchNorm2d(bottleneck),
            nn.ReLU(inplace=True),
            nn.Dropout2d(DROPOUT),
        )
        widths = (bottleneck, *WIDTHS)
        self.up1, self.up2, self.up3, self.up4 = (_Up(a, b) for a, b in pairwise(widths))
        self.dropout = nn.Dropout2d(DROPOUT)
        self.np_head = _Head(widths[-1], 2)
        self.hv_head = nn.Sequential(_Head(widths[-1], 2), nn.Tanh())
        own = None if n_types is None else n_types - (not types_background)
        self.nt_head = None if own is None else _Head(widths[-1], own)

    def forward(self, x: torch.Tensor, token_prefix: int | None = None) -> dict[str, torch.Tensor]:
        """Map float tokens (B, N, D) to raw "np", tanh "hv" (and "tp") at 224 x 224.

        ``x`` float tensor (B, N, D).
        """
        x = self.bottleneck(self._patches(x, token_prefix))
        for up in (self.up1, self.up2, self.up3):
            x = self.dropout(up(x))
        x = F.interpolate(self.up4(x), size=(OUTPUT, OUTPUT), mode="bilinear", align_corners=False)
        out: dict[str, torch.Tensor] = {"np": self.np_head(x), "hv": self.hv_head(x)}
        if self.nt_head is not None:
            types = self.nt_head(x)
            never = types.new_full((len(types), 1, *types.shape[2:]), NEVER)
            alone = not self.config.get("types_background", True)
            out["tp"] = torch.cat([never, types], dim=1) if alone else types
        return out

    def _patches(self, tokens: torch.Tensor, token_prefix: int | None) -> torch.Tensor:
        """Take the patch tokens as a map (B, D, 16, 16), row-major."""
        prefix = self.token_prefix if token_prefix is None else token_prefix
        last = prefix + GRID * GRID
        if tokens.ndim != 3 or tokens.shape[1] < last or tokens.shape[2] != self.embed_dim:
            raise InputError(
                f"Tokens have shape {tuple(tokens.shape)}; this decoder takes (B, N, "
                f"{self.embed_dim}) with N of {last} or more ({prefix} before "
                f"{GRID} x {GRID} patches)."
            )
        patches = tokens[:, prefix:last]
        return patches.transpose(1, 2).reshape(len(tokens), self.embed_dim, GRID, GRID)
