"""How much memory a network needs, found by a dry run, and the tiles that fit.

The dry run sends an empty tensor (torch's meta device: shapes without numbers) through
the network and keeps count of what is alive. It needs no memory, takes milliseconds, and
knows any network, also one that is added later.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.func import functional_call
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from . import tiling
from .devices import free_bytes, is_host
from .networks.registry import Geometry, Network
from .params import InferenceParams

PROBE_EDGE = 512
"""Input edge of the dry run, pixels; large enough that margins hardly count."""
SMALL_EDGE = 128
"""The same where a dry run is not possible and real numbers have to go through."""
WORKSPACE = 1.25
"""Memory really taken, relative to the tensors alive: scratch space of convolutions."""
HALF = 0.7
"""Memory under 16-bit autocast relative to float32."""
HOST_SHARE, DEVICE_SHARE = 0.5, 0.8
"""Share of the free memory that a pass may take: main memory, memory of a GPU."""
HOST_CAP = 8 * 2**30
"""Bytes of main memory that a pass takes at most, however much is free."""
COMFORT = 2**30
"""Bytes a pass may take without asking whether a smaller tile would do."""
ENOUGH = 1.3
"""Tiles grow past ``COMFORT`` only while more than this many pixels go through the
network per pixel of the image."""
LARGE_TOTAL = 5 * 2**30
"""Bytes that a pass and what a large image takes may come to before tiles stay small."""
LARGE_BYTES = 48
"""Bytes per image pixel set against ``LARGE_TOTAL``: the maps (12), and room for separation."""
ENOUGH_LARGE = 1.5
"""As ``ENOUGH``, where tiles would grow past what ``LARGE_TOTAL`` leaves."""
DEVICE_EDGE = 3072
"""Largest tile edge on a GPU, pixels: beyond, a tile takes seconds and saves little."""
BATCH_PIXELS = 4_000_000
"""Input pixels per pass that keep a GPU busy; small tiles are batched up to it."""
INDEX_LIMIT = 2**31 - 1
"""Elements per tensor that kernels with 32-bit indices can address."""


@dataclass(frozen=True)
class Footprint:
    """What a network takes per input pixel, in float32.

    Parameters
    ----------
    bytes : float
        Bytes alive at once at the fullest moment, without the weights.
    elements : float
        Elements of the largest single tensor.
    """

    bytes: float
    elements: float


_KNOWN: weakref.WeakKeyDictionary[Network, Footprint] = weakref.WeakKeyDictionary()


class _Tally(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of tensors alive, by storage, while operations run."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.alive: dict[int, list[int]] = {}
        self.now = self.peak = self.largest = 0

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, torch.Tensor):
                self._count(leaf)
        return result

    def _count(self, tensor: torch.Tensor) -> None:
        storage = tensor.untyped_storage()
        entry = self.alive.setdefault(storage._cdata, [0, storage.nbytes()])
        if not entry[0]:
            self.now += entry[1]
            self.peak = max(self.peak, self.now)
            self.largest = max(self.largest, tensor.numel())
        entry[0] += 1
        weakref.finalize(tensor, self._drop, storage._cdata)

    def _drop(self, key: int) -> None:
        entry = self.alive[key]
        entry[0] -= 1
        if not entry[0]:
            self.now -= entry[1]
            del self.alive[key]


def footprint(network: Network) -> Footprint:
    """Measure the memory of a network per input pixel by a dry run; remembered per network.

    Examples
    --------
    >>> from napari_hovernet.core.networks.registry import build
    >>> 100 < footprint(build("compact", {}).eval()).bytes < 1000
    True
    """
    if network in _KNOWN:
        return _KNOWN[network]
    try:
        tally, edge = _dry_run(network)
    except Exception:  # numbers of its own, numpy inside ...: no dry run, but a small real one
        tally, edge = _small_run(network)
    _KNOWN[network] = Footprint(tally.peak / edge**2, tally.largest / edge**2)
    return _KNOWN[network]


def _dry_run(network: Network) -> tuple[_Tally, int]:
    """Send shapes without numbers through a network; returns also the edge."""
    edge = network.geometry.legal(PROBE_EDGE)
    state = {
        name: value.to("meta")
        for name, value in (*network.named_parameters(), *network.named_buffers())
    }
    tally = _Tally()
    image = torch.empty(1, 3, edge, edge, device="meta")
    with torch.no_grad(), tally:
        functional_call(network, state, (image,))
    return tally, edge


def _small_run(network: Network) -> tuple[_Tally, int]:
    """Send a small black image through a network that no dry run works for."""
    edge = network.geometry.legal(SMALL_EDGE)
    first = next(iter(network.parameters()), torch.empty(0))
    image = torch.zeros(1, 3, edge, edge, device=first.device)
    tally = _Tally()
    with torch.no_grad(), tally:
        network(image)
    return tally, edge


@dataclass(frozen=True)
class Load:
    """What goes through the network at a time.

    Parameters
    ----------
    tile : (int, int)
        Input edges, rows and columns.
    batch : int
        Tiles per pass.
    """

    tile: tuple[int, int]
    batch: int

    def halved(self, geometry: Geometry, fixed_tile: bool) -> Load | None:
        """Return a smaller load: half the batch, then half the edges; None at the end."""
        if self.batch > 1:
            return Load(self.tile, self.batch // 2)
        smallest = geometry.legal(2 * (geometry.margin + geometry.halo) + geometry.divisor)
        if fixed_tile or max(self.tile) <= smallest:
            return None
        rows, cols = (max(geometry.legal(edge // 2), smallest) for edge in self.tile)
        return Load((min(rows, self.tile[0]), min(cols, self.tile[1])), 1)


def choose_load(
    network: Network,
    geometry: Geometry,
    shape: tuple[int, int],
    params: InferenceParams,
    device: torch.device,
    half: bool,
) -> Load:
    """Choose tile and batch: what the user says, else what the device's memory allows.

    Parameters
    ----------
    network : Network
    geometry : Geometry
        The network's, or with a wider halo.
    shape : (int, int)
        Height and width of the image that goes through it.
    params : InferenceParams
    device : torch.device
    half : bool
        Whether 16-bit autocast is on.
    """
    need = footprint(network)
    per_pixel = need.bytes * WORKSPACE * (HALF if half else 1.0)
    share = HOST_SHARE if is_host(device) else DEVICE_SHARE
    budget = free_bytes(device) * share
    if is_host(device):
        budget = min(budget, HOST_CAP)
    limit = int(min(budget / per_pixel, INDEX_LIMIT / need.elements))
    if params.tile is not None or params.tiling == "reference":
        edge = geometry.legal(params.tile or geometry.reference_tile)
        tile = (edge, edge)
    elif is_host(device):
        room = LARGE_TOTAL - LARGE_BYTES * shape[0] * shape[1]
        tile = _comfortable(shape, geometry, limit, int(COMFORT / per_pixel), int(room / per_pixel))
    else:
        tile = tiling.best_tile(shape, geometry, min(limit, DEVICE_EDGE**2))
    return Load(tile, params.batch or _batch(tile, limit, device))


def _comfortable(
    shape: tuple[int, int], geometry: Geometry, limit: int, comfort: int, room: int
) -> tuple[int, int]:
    """Return the best tile of at most ``comfort`` pixels, or one large enough to be cheap.

    What is cheap enough is judged more mildly once ``room`` pixels are exceeded.
    """
    pixels = min(comfort, limit)
    tile = tiling.best_tile(shape, geometry, pixels)
    while pixels < limit and tiling.overhead(shape, geometry, tile) > (
        ENOUGH if pixels < room else ENOUGH_LARGE
    ):
        pixels = min(pixels * 5 // 4 + 1, limit)
        tile = tiling.best_tile(shape, geometry, pixels)
    return tile


def _batch(tile: tuple[int, int], limit: int, device: torch.device) -> int:
    """Return how many tiles make a pass: one on a CPU, which gains nothing by more."""
    pixels = tile[0] * tile[1]
    return 1 if is_host(device) else max(min(limit, BATCH_PIXELS) // pixels, 1)
