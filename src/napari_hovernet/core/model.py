"""A loaded network and what is known about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .types import TypeInfo

if TYPE_CHECKING:
    import torch

    from .networks.registry import Network


@dataclass(frozen=True)
class ModelInfo:
    """What a user wants to know before running a model.

    Parameters
    ----------
    architecture : str
        Registry name: "compact", "hovernet" or "optimus".
    mode : str
        "fast" or "original" for HoVer-Net, "" otherwise.
    types : mapping of int to TypeInfo
        Nucleus types by class index, background (0) included; empty if untyped.
    mpp : float or None
        Micrometres per pixel the model was trained at; None = not known.
    hv_convention : str
        Name of the HV convention of its raw output ("hover_net" = [H, V] outward).
    parameters : int
        Number of weights.
    licence, source, sha256 : str
        Licence of the weights ("" = not stated), where the file came from, its hash.
    file_kind : str
        "napari-hovernet", "hover_net", "tiatoolbox", "optimus" ...
    config : mapping
        Arguments that rebuild the network (JSON-able).
    training, history : mapping, sequence
        Training arguments and per-epoch numbers where the file has them.
    notes : tuple of str
        Anything assumed while loading ("mpp not in the file: 0.25 assumed").
    origin : sequence of mapping
        Files the weights came from before this one, first to last: "file", "kind", "sha256".
    """

    architecture: str
    mode: str = ""
    types: Mapping[int, TypeInfo] = field(default_factory=dict)
    mpp: float | None = None
    hv_convention: str = "hover_net"
    parameters: int = 0
    licence: str = ""
    source: str = ""
    sha256: str = ""
    file_kind: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    history: tuple[Mapping[str, Any], ...] = ()
    notes: tuple[str, ...] = ()
    origin: tuple[Mapping[str, str], ...] = ()


@dataclass(frozen=True, eq=False)
class Model:
    """A network on a device, with its :class:`ModelInfo`.

    ``network`` is an ``nn.Module`` in eval mode: float RGB 0..255 (B, 3, H, W) ->
    dict of raw "np" (B, 2, h, w), "hv" (B, 2, h, w), "tp" (B, C, h, w) where typed.
    """

    network: Network
    info: ModelInfo
    device: torch.device
