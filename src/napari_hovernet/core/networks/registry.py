"""Which networks there are, and what the rest of the program may ask of one."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import torch
from torch import nn

from ...errors import InputError


@dataclass(frozen=True)
class Geometry:
    """How input and output sizes of a network relate; all in pixels."""

    divisor: int  # An edge ``n`` is legal when ``n % divisor == remainder``.
    remainder: int  # An edge ``n`` is legal when ``n % divisor == remainder``.
    margin: int  # Lost at each side: output edge = input edge - 2 * margin
    halo: int
    reference_tile: int  # Input edge of the published tiling (own choice where none is published)
    minimum: int  # Smallest legal input edge

    def legal(self, edge: int) -> int:
        """Return the smallest legal input edge that is at least ``edge``."""
        edge = max(edge, self.minimum)
        return edge + (self.remainder - edge) % self.divisor


@dataclass(frozen=True)
class Parts:
    """Names of a network's modules by what they do."""

    encoder: tuple[str, ...]  # Those that read the input
    heads: tuple[str, ...]
    types: tuple[str, ...]  # Those that nothing but the type loss reaches
    shared: str  # Where the maps that all heads share pass: into this module ...
    leaves: bool = False  # ... or out of it, when it is called first


class Network(nn.Module):
    """Base of all networks: a module that knows its geometry and its build arguments."""

    geometry: Geometry
    config: Mapping[str, Any]  # JSON-able arguments that rebuild the network through :func:`build`.
    one_tile: bool = False  # Whether what it gives depends on the tile: always the published plan
    accepts: str = "image"  # "image": float RGB 0..255 (B, 3, H, W)
    # Memory of a float32 pass without gradients, per input pixel, by benchmarks/memory.py: what
    # is alive at the fullest moment, and the largest tensor. Own networks may leave these.
    bytes_per_pixel: float = 4096.0
    elements_per_pixel: float = 512.0
    # Of a training, per pixel of the batch, float32, with crops of 256 px: what is kept for the
    # way back, and seconds of two CPU cores, good to a factor of two. NaN = not measured.
    training_bytes: float = math.nan
    training_seconds: float = math.nan
    usual_parameters: int = 0  # Of one built without arguments
    parts: Parts | None = None  # None = all of it learns, or none

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return raw outputs "np" (B, 2, h, w), "hv" (B, 2, h, w) and, if typed, "tp"."""
        raise NotImplementedError


_REGISTRY = {
    "compact": ("compact", "CompactUNet"),
    "hovernet": ("hovernet", "HoVerNet"),
    "hovernet-monai": ("hovernet", "MonaiHoVerNet"),
    "optimus": ("optimus", "OptimusDecoder"),
    "lite": ("lite", "LiteUNet"),
}


def names() -> tuple[str, ...]:
    """Return the names of all known architectures."""
    return tuple(_REGISTRY)


def class_of(name: str) -> type[Network]:
    """Return the class of an architecture, by its name."""
    if name not in _REGISTRY:
        raise InputError(f"Unknown architecture {name!r}; known are {', '.join(_REGISTRY)}.")
    module, cls = _REGISTRY[name]
    found: type[Network] = getattr(import_module(f".{module}", __package__), cls)
    return found


def build(name: str, config: Mapping[str, Any]) -> Network:
    """Build an untrained network by registry name."""
    factory: Callable[..., Network] = class_of(name)
    try:
        return factory(**config)
    except TypeError as error:
        raise InputError(
            f"Architecture {name!r} cannot be built from {dict(config)}: {error}."
        ) from error
