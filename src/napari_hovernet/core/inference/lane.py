"""Batches of tiles through a network on a device, one ahead of the other on a GPU."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from ...errors import JobFailed
from ..hv import HVConvention
from ..networks.registry import Network
from ..types import Float32, Maps
from . import devices
from .images import ImageSource, UInt8
from .tiles import Box, Taps, Tile, mirror, resample, taps

AHEAD = 2
"""Batches queued on a GPU before the oldest is collected, so that it never waits."""

NP_CHANNEL = 0
HV_CHANNELS = slice(1, 3)
TYPE_CHANNELS = slice(3, None)
"""Where :class:`Lane` puts what a network gives."""


@dataclass
class Timings:
    """Seconds spent, filled in while inference runs."""

    read: float = 0.0  # Reading, converting and resampling the image
    network: float = 0.0  # On the device: copies to it, network, softmax
    write: float = 0.0  # Waiting for results and putting them into the maps
    total: float = 0.0  # Wall-clock time
    pixels: int = 0  # Pixels of the result that were kept
    tiles: int = 0  # Tiles that were run


@dataclass
class _Pending:
    tiles: tuple[Tile, ...]
    result: torch.Tensor
    started: devices.Mark
    ended: devices.Mark
    keep: torch.Tensor
    """The input, which must live until the copy to the device is done."""


class Lane:
    """Sends batches to a device and collects the results in order."""

    def __init__(
        self,
        network: Network,
        device: torch.device,
        precision: str,
        convention: HVConvention,
        timings: Timings,
    ) -> None:
        self._network = network
        self._device = device
        self._precision = precision
        self._convention = convention
        self._timings = timings
        self._pending: deque[_Pending] = deque()
        self._spare: list[torch.Tensor] = []
        self._pinned = devices.pins_memory(device)
        self._ahead = AHEAD if self._pinned else 1

    @property
    def full(self) -> bool:
        """Whether a batch must be collected before the next is sent."""
        return len(self._pending) >= self._ahead

    @property
    def busy(self) -> bool:
        """Whether a batch is waiting to be collected."""
        return bool(self._pending)

    def send(self, source: ImageSource, tiles: Sequence[Tile]) -> None:
        """Read the tiles of a batch and queue it."""
        started = time.perf_counter()
        pixels = self._buffer((len(tiles), *tiles[0].input.shape, 3), torch.uint8)
        for slot, tile in zip(pixels.numpy(), tiles, strict=True):
            fill(slot, source, tile.input)
        self._timings.read += time.perf_counter() - started
        begin = devices.Mark(self._device)
        with torch.inference_mode(), devices.autocast(self._device, self._precision):
            image = pixels.to(self._device, non_blocking=self._pinned).permute(0, 3, 1, 2)
            result = self._gather(self._network(image.float()))
        if self._pinned:
            host = self._buffer(tuple(result.shape), torch.float32)
            result = host.copy_(result, non_blocking=True)
        end = devices.Mark(self._device)
        self._pending.append(_Pending(tuple(tiles), result, begin, end, pixels))

    def collect(self) -> tuple[tuple[Tile, ...], Float32]:
        """Wait for the oldest batch.

        Returns outputs float32 (B, 3 or 3 + C, h, w).
        """
        batch = self._pending.popleft()
        batch.ended.wait()
        self._timings.network += batch.ended.seconds_since(batch.started)
        self._timings.tiles += len(batch.tiles)
        if self._pinned:
            self._spare += [batch.keep, batch.result]
        values: Float32 = batch.result.cpu().numpy()
        return batch.tiles, values

    def clear(self) -> None:
        """Forget everything queued, and the buffers."""
        self._pending.clear()
        self._spare.clear()

    def _buffer(self, shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
        """Return a buffer in main memory, page-locked and used again where that pays."""
        for index, spare in enumerate(self._spare):
            if tuple(spare.shape) == shape and spare.dtype == dtype:
                return self._spare.pop(index)
        return torch.empty(shape, dtype=dtype, pin_memory=self._pinned)

    def _gather(self, raw: dict[str, torch.Tensor]) -> torch.Tensor:
        """Turn raw outputs into one float32 tensor: NP, H, V, types."""
        missing = sorted({"np", "hv"} - raw.keys())
        if missing:
            raise JobFailed(
                f"The network gives {sorted(raw)} but not {', '.join(missing)}; it is no HoVer-Net."
            )
        logits, hv = raw["np"].float(), raw["hv"].float()
        parts = [torch.sigmoid(logits[:, 1:2] - logits[:, :1]), self._outward(hv)]
        if "tp" in raw:
            parts.append(raw["tp"].float().softmax(dim=1))
        return torch.cat([part.contiguous() for part in parts], dim=1)

    def _outward(self, hv: torch.Tensor) -> torch.Tensor:
        if self._convention.order == "vh":
            hv = hv.flip(1)
        return -hv if self._convention.sign == "inward" else hv


def fill(slot: UInt8, source: ImageSource, box: Box) -> None:
    """Copy a box of an image, reflected where it reaches beyond, into ``slot`` (h, w, 3)."""
    height, width = source.shape
    if box.r0 >= 0 and box.c0 >= 0 and box.r1 <= height and box.c1 <= width:
        slot[:] = source.read(box.r0, box.r1, box.c0, box.c1)
        return
    rows, cols = mirror(box.r0, box.r1, height), mirror(box.c0, box.c1, width)
    r0, c0 = int(rows.min()), int(cols.min())
    block = source.read(r0, int(rows.max()) + 1, c0, int(cols.max()) + 1)
    slot[:] = block[np.ix_(rows - r0, cols - c0)]


NP_HV = 3
"""Channels of an untyped network's result: NP, H, V."""


class Canvas(Protocol):
    """Takes the outputs of tiles and gives the finished maps."""

    def put(self, tile: Tile, values: Float32) -> None:
        """Keep what ``tile`` is to keep of its outputs (3 or 3 + C, h, w)."""
        ...

    def maps(self) -> Maps:
        """Return the maps, without copying."""
        ...


def bytes_needed(shape: tuple[int, int], n_types: int) -> int:
    """Bytes of the finished maps (float32)."""
    return shape[0] * shape[1] * (NP_HV + n_types) * np.dtype(np.float32).itemsize


class PlainCanvas:
    """Maps of the size that the network works at."""

    def __init__(self, shape: tuple[int, int], n_types: int) -> None:
        self.np = np.empty(shape, np.float32)
        self.hv = np.empty((2, *shape), np.float32)
        self.types = np.empty((n_types, *shape), np.float32) if n_types else None

    def put(self, tile: Tile, values: Float32) -> None:
        """Keep what ``tile`` is to keep of its outputs (3 or 3 + C, h, w)."""
        source = tile.kept.slices((tile.output.r0, tile.output.c0))
        self._write(tile.kept.slices(), values[(slice(None), *source)])

    def maps(self) -> Maps:
        """Return the maps, without copying."""
        return Maps(np=self.np, hv=self.hv, types=self.types)

    def _write(self, where: tuple[slice, slice], values: Float32) -> None:
        self.np[where] = values[NP_CHANNEL]
        self.hv[(slice(None), *where)] = values[HV_CHANNELS]
        if self.types is not None:
            self.types[(slice(None), *where)] = values[TYPE_CHANNELS]


class ResizedCanvas(PlainCanvas):
    """Maps of the image's size from tiles of a resized image.

    Each pixel of the image is taken from the tile that keeps its centre, which must know ``reach``
    more pixels around (:func:`back_reach`).
    """

    def __init__(
        self, shape: tuple[int, int], n_types: int, scale: float, model_shape: tuple[int, int]
    ) -> None:
        super().__init__(shape, n_types)
        self._scale = scale
        self._model_shape = model_shape

    def put(self, tile: Tile, values: Float32) -> None:
        """Keep what ``tile`` is to keep of its outputs (3 or 3 + C, h, w)."""
        height, width = self.np.shape
        r0, r1 = self._own(tile.kept.r0, tile.kept.r1, height, self._model_shape[0])
        c0, c1 = self._own(tile.kept.c0, tile.kept.c1, width, self._model_shape[1])
        if r0 == r1 or c0 == c1:
            return
        block = np.ascontiguousarray(np.moveaxis(values, 0, 2))
        origin = (tile.output.r0, tile.output.c0)
        smooth, jumping = np.r_[NP_CHANNEL, TYPE_START : values.shape[0]], HV_CHANNELS
        out = np.empty((values.shape[0], r1 - r0, c1 - c0), np.float32)
        for channels, method in ((smooth, SMOOTH), (jumping, JUMPING)):
            rows = self._taps(r0, r1, self._model_shape[0], method)
            cols = self._taps(c0, c1, self._model_shape[1], method)
            part = resample(block[..., channels], rows, cols, origin)
            out[channels] = np.moveaxis(part, 2, 0)
        self._write((slice(r0, r1), slice(c0, c1)), out)

    def _own(self, k0: int, k1: int, length: int, model_length: int) -> tuple[int, int]:
        """Return the pixels of the image whose centre lies in k0..k1 of the model's."""
        low = 0 if k0 == 0 else int(np.ceil(k0 / self._scale - 0.5))
        high = length if k1 == model_length else int(np.ceil(k1 / self._scale - 0.5))
        return min(low, length), min(high, length)

    def _taps(self, start: int, end: int, length: int, method: str) -> Taps:
        return taps(start, end, 1 / self._scale, length, method)


TYPE_START = 3

SMOOTH = "linear"
"""How NP and types come back to the image's size."""
JUMPING = "nearest"
"""How HV comes back: it jumps from 1 to -1 where nuclei touch, and what blends across the
jump loses it. Of nearest, linear, area and cubic it separated real predictions best or
within 0.004 AJI of the best at every factor from 0.5 to 2."""


def back_reach(scale: float) -> int:
    """Pixels around a kept box, at the network's size, that :class:`ResizedCanvas` reads."""
    return int(np.ceil(scale / 2)) + 2
