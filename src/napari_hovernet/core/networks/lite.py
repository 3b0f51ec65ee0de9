"""``lite``: an EfficientNet-Lite0 encoder cut at stride 16, and a light U-Net decoder.

The encoder has the shapes of EfficientNet-Lite0 (Tan & Le 2019, the Lite variant), so that
its ImageNet weights fit: inverted residuals, no squeeze and excitation, ReLU6. The stages at
stride 32 are left out: they would more than double how far a cut between tiles reaches.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import nn

from ...errors import InputError
from .blocks import conv_bn
from .registry import Geometry, Network, Parts


class _Stage(NamedTuple):
    """Inverted residuals of one resolution; the first of them changes channels and stride."""

    blocks: int
    kernel: int
    stride: int
    expand: int
    outputs: int
    far: bool = False
    """Pad the stride-2 kernel at the far side only, so that cells stay near their pixels."""


STEM = 32
STAGES = (
    _Stage(1, 3, 1, 1, 16),
    _Stage(2, 3, 2, 6, 24),
    _Stage(2, 5, 2, 6, 40, far=True),
    _Stage(3, 3, 2, 6, 80),
    _Stage(3, 5, 1, 6, 112),
)
SKIPS = (0, 1, 2)
"""Stages whose result the decoder sees again, at strides 2, 4 and 8."""
DEFAULT_WIDTHS = (16, 48, 64, 96)
"""Channels of the decoder at strides 1, 2, 4 and 8; multiples of 16, which CPUs do fastest."""
CONVS = (1, 2, 2, 2)
"""3x3 convolutions there; at full resolution each head has one of its own."""
FULL = 8
"""Channels read from the image at full resolution, beside the encoder."""
STRIDE = 16
EPS = 1e-3
"""Of the normalisation, as the encoder's ImageNet weights were trained."""


class _Kernel(NamedTuple):
    size: int
    stride: int = 1
    far: bool = False
    """Pad at stride 2 one pixel less at the near side than at the far one."""


class _ConvBN(nn.Module):
    """Convolution without bias, normalisation, and "relu", "relu6" or "" (no activation)."""

    def __init__(
        self, inputs: int, outputs: int, kernel: _Kernel, groups: int = 1, act: str = "relu"
    ) -> None:
        super().__init__()
        self.act, reach = act, kernel.size // 2
        self.pad = (reach - 1, reach, reach - 1, reach) if kernel.far else None
        padding = 0 if kernel.far else reach
        self.conv = nn.Conv2d(
            inputs, outputs, kernel.size, kernel.stride, padding, groups=groups, bias=False
        )
        self.bn = nn.BatchNorm2d(outputs, eps=EPS)

    def forward(self, x: torch.Tensor, plus: torch.Tensor | None = None) -> torch.Tensor:
        if self.pad is not None:
            x = F.pad(x, self.pad)
        return conv_bn(x, self.conv, self.bn, self.act, plus)


class _Inverted(nn.Module):
    """1x1 expansion, depthwise kernel, 1x1 projection; a shortcut where shapes agree."""

    def __init__(self, inputs: int, stage: _Stage, first: bool) -> None:
        super().__init__()
        inner, stride = inputs * stage.expand, stage.stride if first else 1
        kernel = _Kernel(stage.kernel, stride, stage.far and first)
        self.short = stride == 1 and inputs == stage.outputs
        self.expand = _ConvBN(inputs, inner, _Kernel(1), act="relu6") if stage.expand > 1 else None
        self.depth = _ConvBN(inner, inner, kernel, groups=inner, act="relu6")
        self.project = _ConvBN(inner, stage.outputs, _Kernel(1), act="")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = x if self.expand is None else self.expand(x)
        return cast("torch.Tensor", self.project(self.depth(y), x if self.short else None))


class _Encoder(nn.Module):
    """Stem and stages; gives the results of ``SKIPS`` and the last."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = _ConvBN(3, STEM, _Kernel(3, 2, far=True), act="relu6")
        self.stages = nn.ModuleList()
        inputs = STEM
        for stage in STAGES:
            blocks = [
                _Inverted(stage.outputs if i else inputs, stage, first=not i)
                for i in range(stage.blocks)
            ]
            self.stages.append(nn.Sequential(*blocks))
            inputs = stage.outputs

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        x = self.stem(x)
        features = []
        for index, stage in enumerate(self.stages):
            x = stage(x)
            if index in SKIPS:
                features.append(x)
        return [*features, x]


class _Up(nn.Module):
    """Thin out, double by repeating, join with the skip, ``convs`` 3x3 convolutions."""

    def __init__(self, inputs: int, skip: int, outputs: int, convs: int) -> None:
        super().__init__()
        self.thin = _ConvBN(inputs, outputs, _Kernel(1))
        self.convs = nn.Sequential(
            *(_ConvBN(outputs if i else outputs + skip, outputs, _Kernel(3)) for i in range(convs))
        )

    def forward(self, x: torch.Tensor, skip: torch.Tensor) -> torch.Tensor:
        x = F.interpolate(self.thin(x), scale_factor=2.0, mode="nearest")
        return cast("torch.Tensor", self.convs(torch.cat([x, skip], dim=1)))


class LiteUNet(Network):
    """EfficientNet-Lite0 features, a U-Net decoder; output has the size of the input.

    Parameters
    ----------
    widths : sequence of four int
        Channels of the decoder at strides 1, 2, 4 and 8.
    n_types : int, optional
        Number of nucleus types, background included; None = no NT head.

    Raises
    ------
    InputError
        If ``widths`` is not four positive numbers, or ``n_types`` is below 2.

    Examples
    --------
    >>> import torch
    >>> from napari_hovernet.core.networks.lite import LiteUNet
    >>> out = LiteUNet(n_types=5).eval()(torch.zeros(1, 3, 32, 32))
    >>> out["np"].shape, out["tp"].shape
    (torch.Size([1, 2, 32, 32]), torch.Size([1, 5, 32, 32]))
    """

    parts = Parts(("encoder", "full"), ("outputs",), ("outputs.tp",), "shared")
    training_bytes, training_seconds, usual_parameters = 4100, 5.2e-6, 1_088_705

    def __init__(self, widths: Sequence[int] = DEFAULT_WIDTHS, n_types: int | None = None) -> None:
        super().__init__()
        widths = tuple(int(w) for w in widths)
        if len(widths) != len(DEFAULT_WIDTHS) or min(widths) < 1:
            raise InputError(f"widths is {widths}; give four positive channel counts.")
        if n_types is not None and n_types < 2:
            raise InputError(f"n_types is {n_types}; it counts background too: give 2 or more.")
        self.config = {"widths": list(widths), "n_types": n_types}
        self.encoder = _Encoder()
        self.full = _ConvBN(3, FULL, _Kernel(3))
        skips = (FULL, *(STAGES[i].outputs for i in SKIPS))
        deeper = (*widths[1:], STAGES[-1].outputs)
        shapes = list(zip(deeper, skips, widths, CONVS, strict=True))
        self.ups = nn.ModuleList(_Up(*shape) for shape in reversed(shapes))
        self.shared = nn.Identity()
        """All heads see what passes here: the decoder's map at stride 2."""
        self.outputs = nn.ModuleDict({k: _head(widths[0], 2) for k in ("np", "hv")})
        if n_types is not None:
            self.outputs["tp"] = _head(widths[1], n_types)
        self.geometry = _geometry()
        # The last block is the fullest moment; the encoder's widest map is wider where it is thin.
        self.bytes_per_pixel = 4 * (3 * widths[0] + widths[1] / 4 + 25.5)
        self.elements_per_pixel = max(widths[0] + FULL, STAGES[0].outputs * STAGES[1].expand // 4)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        """Map float RGB 0..255 (B, 3, H, W) to raw "np", "hv" (and "tp") at (H, W)."""
        x = (x - 127.0) / 128.0
        *skips, deep = self.encoder(x)
        for up, skip in zip(list(self.ups)[:-1], reversed(skips), strict=True):
            deep = up(deep, skip)
        deep = self.shared(deep)
        last = self.ups[-1](deep, self.full(x))
        out: dict[str, torch.Tensor] = {k: self.outputs[k](last) for k in ("np", "hv")}
        if "tp" in self.outputs:
            # types are voted on by nucleus: half the resolution is enough
            out["tp"] = F.interpolate(self.outputs["tp"](deep), scale_factor=2.0, mode="nearest")
        return out


def _head(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(_ConvBN(inputs, inputs, _Kernel(3)), nn.Conv2d(inputs, outputs, 1))


def _geometry() -> Geometry:
    """How far the zeros beyond a cut reach: along the encoder down, along the decoder up."""
    reach, stride = 1, 2
    for stage in STAGES:
        reach = -(-reach // stride) * stride + stage.kernel // 2 * stride
        stride *= stage.stride
        reach = -(-reach // stride) * stride + (stage.blocks - 1) * (stage.kernel // 2) * stride
    reach += sum(convs * 2**level for level, convs in enumerate(CONVS))
    reach += 2  # the heads': one pixel at stride 1, one at stride 2 for types
    halo = -(-reach // STRIDE) * STRIDE
    return Geometry(
        divisor=STRIDE,
        remainder=0,
        margin=0,
        halo=halo,
        reference_tile=256 + 2 * halo,
        minimum=STRIDE,
    )
