"""Pieces that networks share."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from functools import cache
from typing import Any, TypeVar, cast

import torch
import torch.nn.functional as F
from torch import nn

N = TypeVar("N", bound=nn.Module)
FOLDED = "folded_once"
"""Attribute of a normalisation in a folded copy: kernel and offset, after the first pass."""

UNARY: Mapping[str, tuple[str, list[float]]] = {
    "": ("none", []), "relu": ("relu", []), "relu6": ("hardtanh", [0.0, 6.0])
}  # fmt: skip
"""Activations by the names that oneDNN gives them."""


def conv_bn(
    x: torch.Tensor,
    conv: nn.Module,
    bn: nn.Module,
    act: str = "",
    plus: torch.Tensor | None = None,
) -> torch.Tensor:
    """Convolve (B, C, H, W), batch-normalise, add ``plus``, activate ("", "relu", "relu6").

    In a copy made by :func:`folded` all of it is one pass over the map.
    """
    conv, bn = cast("nn.Conv2d", conv), cast("nn.BatchNorm2d", bn)
    kept: list[torch.Tensor] | None = getattr(bn, FOLDED, None)
    if kept is None:
        y = cast("torch.Tensor", bn(conv(x)))
        return _activated(y if plus is None else y + plus, act)
    if not kept:
        kept += _fold(conv, bn)
    kernel, offset = kept
    pads = cast("tuple[int, int]", conv.padding)
    if _is_plain(x) and _fuses():
        shape = (pads, conv.stride, conv.dilation, conv.groups)
        return _in_one_pass(x, (kernel, offset), shape, act, plus)
    y = F.conv2d(x, kernel, offset, conv.stride, pads, conv.dilation, conv.groups)
    return _activated(y if plus is None else y.add_(plus), act)


def bn_relu(x: torch.Tensor, bn: nn.Module) -> torch.Tensor:
    """Batch-normalise (B, C, H, W) and activate; in a folded copy in one pass, as a convolution."""
    kept: list[torch.Tensor] | None = getattr(bn, FOLDED, None)
    if kept is None or not _is_plain(x) or not _fuses():
        return F.relu(bn(x), inplace=True)
    if not kept:
        factor, offset = _factors(cast("nn.BatchNorm2d", bn))
        kept += [factor[:, None, None, None].detach().contiguous(), offset.detach()]
    return _in_one_pass(x, (kept[0], kept[1]), ((0, 0), (1, 1), (1, 1), x.shape[1]), "relu")


def conv_onto(x: torch.Tensor, conv: nn.Module, plus: torch.Tensor) -> torch.Tensor:
    """Convolve without padding, and add ``plus``; a folded copy writes the sum in its place."""
    conv = cast("nn.Conv2d", conv)
    if not hasattr(conv, FOLDED) or not _is_plain(x) or not _fuses():
        y = cast("torch.Tensor", conv(x))
        y += plus
        return y
    shape = ((0, 0), conv.stride, conv.dilation, conv.groups)
    return _onto(x, (conv.weight, conv.bias), shape, plus)


def _is_plain(x: torch.Tensor) -> bool:
    """Whether a map is what oneDNN's own operations take."""
    return x.is_cpu and x.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")


def _factors(bn: nn.BatchNorm2d) -> tuple[torch.Tensor, torch.Tensor]:
    """With fixed statistics a normalisation is a factor and an offset per channel."""
    mean, var = cast("torch.Tensor", bn.running_mean), cast("torch.Tensor", bn.running_var)
    factor = bn.weight * torch.rsqrt(var + bn.eps)
    return factor, bn.bias - mean * factor


def _fold(conv: nn.Conv2d, bn: nn.BatchNorm2d) -> tuple[torch.Tensor, torch.Tensor]:
    """Kernel and offset of both in one."""
    factor, offset = _factors(bn)
    kernel = (conv.weight * factor[:, None, None, None]).detach()
    if conv.bias is not None:
        offset = offset + conv.bias * factor
    return kernel.contiguous(memory_format=torch.channels_last), offset.detach()


def _activated(y: torch.Tensor, act: str) -> torch.Tensor:
    if act == "relu6":
        return F.relu6(y, inplace=True)
    return F.relu(y, inplace=True) if act == "relu" else y


def _in_one_pass(
    x: torch.Tensor,
    weights: tuple[torch.Tensor, torch.Tensor],
    shape: tuple[Any, ...],
    act: str,
    plus: torch.Tensor | None = None,
) -> torch.Tensor:
    """Let oneDNN add and activate while a pixel is at hand."""
    name, numbers = UNARY[act]
    one = torch.ops.mkldnn._convolution_pointwise
    if plus is None:
        return cast("torch.Tensor", one(x, *weights, *shape, name, numbers, ""))
    unary = None if name == "none" else name
    given = (x, plus, *weights, *shape, "add", 1.0, unary, numbers, "")
    return cast("torch.Tensor", one.binary(*given))


def _onto(
    x: torch.Tensor,
    weights: tuple[torch.Tensor, torch.Tensor | None],
    shape: tuple[Any, ...],
    plus: torch.Tensor,
) -> torch.Tensor:
    """Let oneDNN write the sum in place of ``plus``."""
    one = torch.ops.mkldnn._convolution_pointwise_
    return cast("torch.Tensor", one.binary(plus, x, *weights, *shape, "add", 1.0, None, [], ""))


@cache
def _fuses() -> bool:
    """Whether this PyTorch, on this computer, does it, and right; it is not a public operation."""
    with torch.inference_mode():
        x = torch.linspace(-9, 9, 32).reshape(1, 2, 4, 4)
        kernel, offset = torch.linspace(-1, 1, 36).reshape(2, 2, 3, 3), torch.ones(2)
        plain = F.conv2d(x, kernel, offset, padding=1)
        shape = ((1, 1), (1, 1), (1, 1), 1)
        try:
            for act in UNARY:
                for plus in (None, x) if act != "relu6" else (None,):
                    right = _activated(plain.clone() if plus is None else plain + plus, act)
                    found = _in_one_pass(x, (kernel, offset), shape, act, plus)
                    if not torch.allclose(found, right, atol=1e-4):
                        return False
            found = _onto(x, (kernel, offset), shape, x.clone())
            if not torch.allclose(found, plain + x, atol=1e-4):
                return False
        except (AttributeError, RuntimeError, TypeError):
            return False
    return True


def folded(network: N) -> N:
    """Copy a network for inference alone: each normalisation goes into its kernel once.

    The weights are shared, not copied. A network that is trained, or that someone listens to by
    hooks, is returned as it is.
    """
    heard = ("_forward_hooks", "_forward_pre_hooks")
    if network.training or any(getattr(m, h) for m in network.modules() for h in heard):
        return network
    weights = {id(t): t for t in (*network.parameters(), *network.buffers())}
    twin = deepcopy(network, cast("dict[int, Any]", weights))
    for module in twin.modules():
        fixed = isinstance(module, nn.BatchNorm2d) and module.running_var is not None
        if fixed or isinstance(module, nn.Conv2d):
            setattr(module, FOLDED, [])
    return twin


def centre_crop(x: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """View the middle (B, C, height, width) of a map; an odd rest is cut at the far side."""
    top, left = (x.shape[2] - height) // 2, (x.shape[3] - width) // 2
    return x[:, :, top : top + height, left : left + width]
