"""What a CPU does fast: bfloat16 only where it has units for it, depthwise gradients."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn


def fast_bfloat16(device: torch.device) -> bool:
    """Tell whether bfloat16 is computed in hardware; elsewhere it takes eight times as long."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    flags = Path("/proc/cpuinfo")
    words = set(flags.read_text().split()) if flags.exists() else set()
    return device.type == "cpu" and bool(words & {"amx_bf16", "avx512_bf16"})


class _Depthwise(torch.autograd.Function):
    """Depthwise convolution whose gradient is computed in float32.

    In bfloat16 the CPU's kernels for it take 4 to 7 times as long, a quarter of a step.
    """

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor, conv: nn.Conv2d) -> torch.Tensor:
        ctx.save_for_backward(x, weight)
        ctx.conv = conv
        return F.conv2d(x, weight, None, conv.stride, conv.padding, 1, conv.groups)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, None]:  # type: ignore[override]
        x, weight = ctx.saved_tensors
        conv = ctx.conv
        dx, dw, _ = torch.ops.aten.convolution_backward(
            grad.float(), x.float(), weight.float(), None, conv.stride, conv.padding,
            [1, 1], False, [0, 0], conv.groups, [True, True, False],
        )  # fmt: skip
        return dx.to(x.dtype), dw.to(weight.dtype), None


class _DepthwiseConv(nn.Conv2d):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.device.type != "cpu" or not torch.is_autocast_enabled("cpu"):
            return super().forward(x)
        half = torch.bfloat16
        out: torch.Tensor = _Depthwise.apply(x.to(half), self.weight.to(half), self)
        return out


def quicken(model: nn.Module) -> None:
    """Give depthwise convolutions the gradient that is fast on a CPU under autocast."""
    for module in model.modules():
        if type(module) is nn.Conv2d and module.groups == module.in_channels > 1:
            module.__class__ = _DepthwiseConv
