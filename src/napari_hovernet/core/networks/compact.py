"""``compact``: a small U-Net with NP, HV and optional NT heads, quick on a CPU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, cast

import torch
import torch.nn.functional as F
from torch import nn

from ...errors import InputError
from .blocks import conv_bn
from .registry import Geometry, Network, Parts

DEFAULT_WIDTHS = (16, 32, 64, 128, 256)


class _Residual(nn.Module):
    """Two 3x3 convolutions with batch norm, and a 1x1 shortcut."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.skip = nn.Conv2d(inputs, outputs, 1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = conv_bn(x, self.conv1, self.bn1, "relu")
        return conv_bn(y, self.conv2, self.bn2, "relu", plus=self.skip(x))


class CompactUNet(Network):
    """A residual U-Net; output has the size of the input."""

    parts = Parts(("down",), ("heads",), ("heads.tp",), "heads.np")
    training_bytes, training_seconds, usual_parameters = 2800, 6e-6, 2_077_668

    PIXEL_MEAN: ClassVar[float] = 180.0
    PIXEL_STD: ClassVar[float] = 60.0

    def __init__(self, widths: Sequence[int] = DEFAULT_WIDTHS, n_types: int | None = None) -> None:
        super().__init__()
        widths = tuple(int(w) for w in widths)
        if len(widths) < 2 or min(widths) < 1:
            raise InputError(f"widths is {widths}; give two or more positive channel counts.")
        if n_types is not None and n_types < 2:
            raise InputError(f"n_types is {n_types}; it counts background too: give 2 or more.")
        self.config = {"widths": list(widths), "n_types": n_types}
        self.down = nn.ModuleList(
            _Residual(a, b) for a, b in zip((3, *widths[:-1]), widths, strict=True)
        )
        pairs = list(zip(widths[:0:-1], widths[-2::-1], strict=True))
        self.up = nn.ModuleList(_Residual(deep + skip, skip) for deep, skip in pairs)
        heads = {"np": 2, "hv": 2}
        if n_types is not None:
            heads["tp"] = n_types
        self.heads = nn.ModuleDict({k: _Head(widths[0], n) for k, n in heads.items()})
        self.geometry = _geometry(len(widths))
        # The last block is the fullest moment: its input, its maps, and all that is skipped.
        skips = sum(width / 4**level for level, width in enumerate(widths) if level)
        self.bytes_per_pixel = 4 * (6 * widths[0] + 2 * widths[1] + skips)
        self.elements_per_pixel = widths[0] + widths[1]

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        """Map float RGB 0..255 (B, 3, H, W) to raw "np", "hv" (and "tp") at (H, W)."""
        x = (x - self.PIXEL_MEAN) / self.PIXEL_STD
        skips: list[torch.Tensor] = []
        for level, block in enumerate(self.down):
            x = block(x if level == 0 else F.max_pool2d(x, 2))
            skips.append(x)
        for block, skip in zip(self.up, skips[-2::-1], strict=True):
            x = F.interpolate(x, scale_factor=2.0, mode="nearest")
            x = block(torch.cat([x, skip], dim=1))
        return {name: head(x) for name, head in self.heads.items()}


class _Head(nn.Sequential):
    """A 3x3 convolution with batch norm and ReLU, and a 1x1 convolution."""

    def __init__(self, inputs: int, outputs: int) -> None:
        conv = nn.Conv2d(inputs, inputs, 3, padding=1, bias=False)
        last = nn.Conv2d(inputs, outputs, 1)
        super().__init__(conv, nn.BatchNorm2d(inputs), nn.ReLU(inplace=True), last)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return cast("torch.Tensor", self[3](conv_bn(x, self[0], self[1], "relu")))


def _geometry(levels: int) -> Geometry:
    """How far the zeros beyond a cut reach: two 3x3 a block, down and up, and one in the head."""
    stride = 2 ** (levels - 1)
    reach = 0
    for level in range(levels):
        reach = (-(-reach // 2**level) + 2) * 2**level
    reach += sum(2 * 2**level for level in range(levels - 1)) + 1
    halo = -(-reach // stride) * stride
    return Geometry(
        divisor=stride,
        remainder=0,
        margin=0,
        halo=halo,
        reference_tile=256 + 2 * halo,
        minimum=stride,
    )
