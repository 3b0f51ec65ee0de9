"""HoVer-Net (Graham et al., Medical Image Analysis 2019), both published modes.

Parameter names and shapes are those of the published network, so its checkpoints fit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import nn

from ...errors import InputError
from .blocks import bn_relu, centre_crop, conv_bn, conv_onto
from .registry import Geometry, Network, Parts

KERNEL = {"fast": 3, "original": 5}
"""Decoder kernel edge by mode."""

MODES = tuple(KERNEL)

ENCODER = ((3, 64, 256, 1), (4, 128, 512, 2), (6, 256, 1024, 2), (3, 512, 2048, 2))
"""Residual stages: units, inner channels, outer channels, stride of the first unit."""

LATE, EARLY = (0, 1, 0, 1), (2, 0, 2, 0)
"""Zeros at the sides of a stride of 2: the published ones, and MONAI's, a pixel before."""
STEM = 64
BOTTOM = 1024
GROWTH = 32
"""Channels that each dense unit adds."""
DENSE_INNER = 128
DENSE_GROUPS = 4

GEOMETRY = {
    "fast": Geometry(divisor=8, remainder=0, margin=46, halo=58, reference_tile=256, minimum=96),
    "original": Geometry(
        divisor=8, remainder=6, margin=95, halo=60, reference_tile=270, minimum=198
    ),
}
"""Sizes by mode.

The decoder's convolutions are valid (hence the margin), the encoder's pad with zeros. How
far the padding reaches follows from the strides alone, whatever the weights: into the
first 6 and the last 7 cells of the deepest stage (48 and 56 px; stride-2 kernels pad at
the far side only), which the valid decoder carries on unchanged, and by its own padded
last convolution one (fast) or two (original) pixels farther: 49 and 57 px, 50 and 58 px of
output. ``halo`` is the next length that keeps tiles on the stride-8 grid: output edge
minus two halos is a multiple of 8.
"""


BYTES = {"fast": 2700.0, "original": 2500.0}
"""Memory of a pass per input pixel by mode."""


class _Bottleneck(nn.ModuleDict):
    """1x1, 3x3, 1x1 convolutions; normalised before, except in the first unit of a stage."""

    def __init__(self, inputs: int, inner: int, outputs: int, stride: int, first: bool) -> None:
        super().__init__()
        if not first:
            self["preact/bn"] = nn.BatchNorm2d(inputs)
        self["conv1"] = nn.Conv2d(inputs, inner, 1, bias=False)
        self["conv1/bn"] = nn.BatchNorm2d(inner)
        # Stride 2 pads at the bottom and right only: done by hand in forward.
        self["conv2"] = nn.Conv2d(
            inner, inner, 3, stride, padding=1 if stride == 1 else 0, bias=False
        )
        self["conv2/bn"] = nn.BatchNorm2d(inner)
        self["conv3"] = nn.Conv2d(inner, outputs, 1, bias=False)
        self.stride = stride
        self.pads = LATE

    def forward(self, x: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
        """Return what the unit makes of ``x``, plus ``kept``."""
        if "preact/bn" in self:
            x = bn_relu(x, self["preact/bn"])
        x = conv_bn(x, self["conv1"], self["conv1/bn"], "relu")
        if self.stride > 1:
            x = F.pad(x, self.pads)
        x = conv_bn(x, self["conv2"], self["conv2/bn"], "relu")
        return conv_onto(x, self["conv3"], kept)


class _Stage(nn.Module):
    """Pre-activated residual units, the first with a 1x1 shortcut."""

    def __init__(self, inputs: int, units: int, inner: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.units = nn.ModuleList(
            _Bottleneck(outputs if i else inputs, inner, outputs, 1 if i else stride, first=not i)
            for i in range(units)
        )
        self.shortcut = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
        self.blk_bna = _Norm(outputs)
        self.early = False

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        kept = self.shortcut(F.pad(x, (1, -1, 1, -1)) if self.early else x)
        for unit in self.units:
            kept = x = unit(x, kept)
        del kept
        return cast("torch.Tensor", self.blk_bna(x))


class _Dense(nn.Module):
    """Dense units of valid convolutions; what came before is cropped to what is new."""

    def __init__(self, inputs: int, kernel: int, units: int) -> None:
        super().__init__()
        self.units = nn.ModuleList(_dense_unit(inputs + i * GROWTH, kernel) for i in range(units))
        self.blk_bna = _Norm(inputs + units * GROWTH)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for unit in self.units:
            new = _dense_step(cast("nn.ModuleDict", unit), x)
            x = torch.cat([centre_crop(x, *new.shape[2:]), new], dim=1)
        return cast("torch.Tensor", self.blk_bna(x))


def _dense_unit(inputs: int, kernel: int) -> nn.ModuleDict:
    return nn.ModuleDict(
        {
            "preact_bna/bn": nn.BatchNorm2d(inputs),
            "conv1": nn.Conv2d(inputs, DENSE_INNER, 1, bias=False),
            "conv1/bn": nn.BatchNorm2d(DENSE_INNER),
            "conv2": nn.Conv2d(DENSE_INNER, GROWTH, kernel, groups=DENSE_GROUPS, bias=False),
        }
    )


def _dense_step(unit: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
    x = bn_relu(x, unit["preact_bna/bn"])
    x = conv_bn(x, unit["conv1"], unit["conv1/bn"], "relu")
    return cast("torch.Tensor", unit["conv2"](x))


class _Norm(nn.ModuleDict):
    """Normalises and activates."""

    def __init__(self, channels: int) -> None:
        super().__init__({"bn": nn.BatchNorm2d(channels)})

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return bn_relu(x, self["bn"])


def _branch(kernel: int, outputs: int) -> nn.ModuleDict:
    """Build one decoder: u3 and u2 dense, u1 one padded convolution, u0 the 1x1 head."""

    def level(inputs: int, first: int, units: int) -> nn.ModuleDict:
        width = first + units * GROWTH
        return nn.ModuleDict(
            {
                "conva": nn.Conv2d(inputs, first, kernel, bias=False),
                "dense": _Dense(first, kernel, units),
                "convf": nn.Conv2d(width, width, 1, bias=False),
            }
        )

    u1 = nn.ModuleDict({"conva": nn.Conv2d(256, 64, kernel, padding=kernel // 2, bias=False)})
    u0 = nn.ModuleDict({"bn": nn.BatchNorm2d(64), "conv": nn.Conv2d(64, outputs, 1)})
    return nn.ModuleDict(
        {"u3": level(BOTTOM, 256, 8), "u2": level(512, 128, 4), "u1": u1, "u0": u0}
    )


class _Unpool(nn.Module):
    """Double height and width by repeating; the published matrix of ones is kept by name."""

    unpool_mat: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("unpool_mat", torch.ones(2, 2))

    def forward(self, x: torch.Tensor, skip: torch.Tensor) -> torch.Tensor:
        """Return the doubled map plus the middle of ``skip``."""
        x = F.interpolate(x, scale_factor=2.0, mode="nearest")
        x += centre_crop(skip, *x.shape[2:])
        return x


class HoVerNet(Network):
    """HoVer-Net with NP and HV branches, NT where types are asked for, and layers (HoVerNet+)."""

    # The encoder is what its authors freeze.
    parts = Parts(
        ("conv0", "d0", "d1", "d2", "d3"),
        tuple(f"decoder.{branch}.{unit}" for branch in ("tp", "np", "hv") for unit in ("u1", "u0")),
        ("decoder.tp",),
        "upsample2x",
        leaves=True,
    )
    training_bytes, training_seconds, usual_parameters = 36_000, 120e-6, 37_650_000

    elements_per_pixel = 256.0

    def __init__(
        self, mode: str = "fast", n_types: int | None = None, n_layers: int | None = None
    ) -> None:
        super().__init__()
        if mode not in MODES:
            raise InputError(f"mode is {mode!r}; choose one of {', '.join(MODES)}.")
        if n_types is not None and n_types < 2:
            raise InputError(f"n_types is {n_types}; it counts background too: give 2 or more.")
        self.config = {"mode": mode, "n_types": n_types}
        if n_layers is not None:
            self.config |= {"n_layers": n_layers}
        self.geometry, self.bytes_per_pixel = GEOMETRY[mode], BYTES[mode]
        self.conv0 = nn.ModuleDict(
            {
                "/": nn.Conv2d(3, STEM, 7, padding=3 if mode == "fast" else 0, bias=False),
                "bn": nn.BatchNorm2d(STEM),
            }
        )
        inputs = STEM
        for index, (units, inner, outputs, stride) in enumerate(ENCODER):
            self.add_module(f"d{index}", _Stage(inputs, units, inner, outputs, stride))
            inputs = outputs
        self.conv_bot = nn.Conv2d(inputs, BOTTOM, 1, bias=False)
        heads = ({} if n_types is None else {"tp": n_types}) | {"np": 2, "hv": 2}
        heads |= {} if n_layers is None else {"ls": n_layers}
        self.decoder = nn.ModuleDict({k: _branch(KERNEL[mode], n) for k, n in heads.items()})
        self.upsample2x: nn.Module = _Unpool()

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        """Map float RGB 0..255 (B, 3, H, W) to raw "np", "hv" (and "tp", and layers "ls")."""
        _check_edges(x.shape[2:], self.geometry)
        skips = self._encode(x / 255.0)
        deep = skips.pop()
        return {
            name: self._decode(cast("nn.ModuleDict", branch), deep, skips)
            for name, branch in self.decoder.items()
        }

    def _encode(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Return features at strides 1 and 2, and the sum of strides 4 and 8 at stride 4."""
        x = conv_bn(x, self.conv0["/"], self.conv0["bn"], "relu")
        features: list[torch.Tensor] = []
        for index in range(len(ENCODER)):
            x = self.get_submodule(f"d{index}")(x)
            features.append(x)
        features[2:] = [self.upsample2x(self.conv_bot(x), features[2])]
        return features

    def _decode(
        self, branch: nn.ModuleDict, x: torch.Tensor, skips: Sequence[torch.Tensor]
    ) -> torch.Tensor:
        for name, skip in (("u3", skips[1]), ("u2", skips[0])):
            level = cast("nn.ModuleDict", branch[name])
            x = level["convf"](level["dense"](level["conva"](x)))
            x = self.upsample2x(x, skip)
        u1, u0 = cast("nn.ModuleDict", branch["u1"]), cast("nn.ModuleDict", branch["u0"])
        x = conv_bn(x, u1["conva"], u0["bn"], "relu")
        return cast("torch.Tensor", u0["conv"](x))


class _Smooth(nn.Module):
    """Double height and width between pixels, corners on corners."""

    def forward(self, x: torch.Tensor, skip: torch.Tensor) -> torch.Tensor:
        """Return the doubled map plus the middle of ``skip``."""
        x = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=True)
        x += centre_crop(skip, *x.shape[2:])
        return x


class MonaiHoVerNet(HoVerNet):
    """HoVer-Net as MONAI built it: strides begin a pixel earlier, maps are doubled smoothly.

    The doubling lays corners on corners, so what it gives depends on the size of the tile: it runs
    in tiles of the published size alone.
    """

    one_tile = True

    def __init__(self, mode: str = "fast", n_types: int | None = None) -> None:
        super().__init__(mode, n_types)
        self.upsample2x = _Smooth()
        for index in range(1, len(ENCODER)):
            stage = cast("_Stage", self.get_submodule(f"d{index}"))
            stage.early = True
            cast("_Bottleneck", stage.units[0]).pads = EARLY


def _check_edges(edges: Sequence[int], geometry: Geometry) -> None:
    for edge in edges:
        if geometry.legal(int(edge)) != edge:
            raise InputError(
                f"An edge of {edge} px does not fit this HoVer-Net; the next that does is "
                f"{geometry.legal(int(edge))} (n % {geometry.divisor} == {geometry.remainder}, "
                f"at least {geometry.minimum})."
            )
