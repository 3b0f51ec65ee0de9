"""Pieces that networks share."""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import nn


def conv_bn(x: torch.Tensor, conv: nn.Module, bn: nn.Module) -> torch.Tensor:
    """Convolve, then batch-normalise; in eval mode both in one pass.

    With fixed statistics the normalisation is one factor and one offset per output channel, so they
    are multiplied into the (small) kernel instead of the (large) map.
    ``x`` tensor (B, C, H, W); returns tensor (B, D, h, w).
    """
    conv, bn = cast("nn.Conv2d", conv), cast("nn.BatchNorm2d", bn)
    mean, var = bn.running_mean, bn.running_var
    if bn.training or mean is None or var is None:
        return cast("torch.Tensor", bn(conv(x)))
    factor = bn.weight * torch.rsqrt(var + bn.eps)
    kernel = conv.weight * factor[:, None, None, None]
    offset = bn.bias - mean * factor
    padding = cast("tuple[int, int]", conv.padding)
    return F.conv2d(x, kernel, offset, conv.stride, padding, conv.dilation, conv.groups)


def centre_crop(x: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """View the middle (B, C, height, width) of a map; an odd rest is cut at the far side."""
    top, left = (x.shape[2] - height) // 2, (x.shape[3] - width) // 2
    return x[:, :, top : top + height, left : left + width]
