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
    """Depthwise convolution with a gradient of our own.

    In bfloat16 the CPU's kernels for it take 5 to 40 times as long as the convolution: the
    one to the input at stride 2, and the one to 5x5 weights.
    """

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor, conv: nn.Conv2d) -> torch.Tensor:
        ctx.save_for_backward(x, weight)
        ctx.conv = conv
        return F.conv2d(x, weight, None, conv.stride, conv.padding, 1, conv.groups)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, None]:  # type: ignore[override]
        x, weight = ctx.saved_tensors
        stride, padding = ctx.conv.stride, ctx.conv.padding
        grad = grad.contiguous(memory_format=torch.channels_last)
        small = weight.shape[2] <= 3
        operands = (grad, x, weight) if small else (grad.float(), x.float(), weight.float())
        _, dw, _ = torch.ops.aten.convolution_backward(
            *operands, None, stride, padding, [1, 1], False, [0, 0], x.shape[1],
            [False, True, False],
        )  # fmt: skip
        return _to_input(grad, x, weight, stride[0], padding[0]), dw.to(weight.dtype), None


def _to_input(
    grad: torch.Tensor, x: torch.Tensor, weight: torch.Tensor, stride: int, padding: int
) -> torch.Tensor:
    """Gradient of a depthwise convolution to its input, as a convolution at stride 1."""
    reach = weight.shape[2] - 1
    near = reach - padding
    size = (x.shape[2] + reach, x.shape[3] + reach)
    spread = grad.new_zeros(*x.shape[:2], *size).contiguous(memory_format=torch.channels_last)
    rows, columns = (slice(near, near + stride * n, stride) for n in grad.shape[2:])
    spread[:, :, rows, columns] = grad
    return F.conv2d(spread, weight.flip(2, 3), groups=x.shape[1])


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
