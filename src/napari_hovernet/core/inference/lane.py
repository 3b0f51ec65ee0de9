"""Batches of tiles through a network on a device, one ahead of the other on a GPU, into maps.

Streamed, a thread reads the next batch while the one before is copied to the device, another is
computed, a third copied back and the caller puts a fourth into the maps. What needs no more than
its pixel is done on the device, and what comes back is `packed`: 6 bytes a pixel, 5 without types,
where float32 takes 12, and 4 more a type. Without queues a step is done before the next begins.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np
import torch

from ...errors import InputError, JobFailed
from ..hv import TURNS, HVConvention, Turn
from ..limits import free_memory
from ..networks.registry import Network
from ..types import Bool, Float32, Maps
from . import devices
from .images import ImageSource, UInt8, resample, scaled_length, taps
from .tiles import Box, Tile, mirror

AHEAD = 2
"""Batches queued on a GPU before the oldest is collected, so that it never waits."""
NP_HV = 3
"""Channels before those of the types in what :class:`Lane` gives: NP, H, V."""
NP_UNITS = 255
"""NP is packed in units of 1 / NP_UNITS; as slides keep it."""
VIEW_TURNS = {1: TURNS[:1], 2: (TURNS[0], Turn(flip=True)), 8: TURNS}
"""The views that are averaged, by their number."""


@dataclass
class Timings:
    """Seconds spent, filled in while inference runs."""

    read: float = 0.0  # Reading, converting and resampling the image
    network: float = 0.0  # On the device: copies to it, network, softmax
    write: float = 0.0  # Waiting for results and putting them into the maps
    total: float = 0.0  # Wall-clock time
    pixels: int = 0  # Pixels of the result that were kept
    tiles: int = 0  # Tiles that were run


BLACK_EDGE = 33
"""Edge, pixels, of a square of pure black that is no nucleus."""


@dataclass
class _Open:
    """A batch whose views are being run."""

    tiles: tuple[Tile, ...]
    pixels: torch.Tensor  # In main memory
    image: torch.Tensor  # float32 (B, 3, h, w) on the device
    started: devices.Mark
    total: torch.Tensor | None = None  # Sum over the views so far
    views: int = 0


@dataclass
class _Pending:
    tiles: tuple[Tile, ...]
    result: devices.Parts
    started: devices.Mark
    ended: devices.Mark
    input: torch.Tensor  # Must live until its copy to the device is done


Forward = Callable[[torch.Tensor], dict[str, torch.Tensor]]
"""A network as it runs: float32 (B, 3, h, w) in, raw outputs by name out."""
Batch = tuple[Sequence[Tile], torch.Tensor]
"""Tiles, and what the network is to see of the image for them, uint8 (B, h, w, 3)."""


class Lane:
    """Sends batches to a device and collects the results in order."""

    def __init__(
        self,
        network: Network,
        device: torch.device,
        precision: str,
        convention: HVConvention,
        timings: Timings,
        streamed: bool = False,
    ) -> None:
        self._forward: Forward = network
        self._device, self._precision = device, precision
        self._streamed, self._copies = streamed, devices.Copies(device, streamed)
        self._n_types = int(network.config.get("n_types") or 0)
        self._convention, self._timings = convention, timings
        self._pending: deque[_Pending] = deque()
        self._open: _Open | None = None
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

    def read(self, source: ImageSource, batches: Sequence[Sequence[Tile]]) -> Iterator[Batch]:
        """Read batches of tiles, in a thread and one ahead of what is asked for if streamed."""

        def read(tiles: Sequence[Tile], pixels: torch.Tensor) -> Batch:
            started = time.perf_counter()
            for slot, tile in zip(pixels.numpy(), tiles, strict=True):
                fill(slot, source, tile.input)
            self._timings.read += time.perf_counter() - started
            return tiles, pixels

        coming: deque[Future[Batch]] = deque()
        with ThreadPoolExecutor(1, "napari-hovernet read") as pool:
            for tiles in batches:
                pixels = self._buffer((len(tiles), *tiles[0].input.shape, 3), torch.uint8)
                if not self._streamed:
                    yield read(tiles, pixels)
                    continue
                coming.append(pool.submit(read, tiles, pixels))
                if len(coming) > 1:
                    yield coming.popleft().result()
            yield from (batch.result() for batch in coming)

    def change(self, forward: Forward, tried: tuple[int, ...] | None = None) -> None:
        """Run another form of the network, if it works on black pixels of a shape (B, h, w, 3)."""
        if tried is not None:
            black = torch.zeros(tried, device=self._device).permute(0, 3, 1, 2)
            with torch.inference_mode(), devices.autocast(self._device, self._precision):
                self._gather(forward(black), TURNS[0])
        self._forward = forward

    def open(self, tiles: Sequence[Tile], pixels: torch.Tensor) -> None:
        """Bring a batch to the device."""
        begin = devices.Mark(self._device)
        image = self._copies.up(pixels).permute(0, 3, 1, 2)
        self._open = _Open(tuple(tiles), pixels, image.float(), begin)

    def run(self, view: Turn) -> None:
        """Run the network on the open batch as it looks in a view, and add what it gives."""
        batch = self._opened()
        with torch.inference_mode(), devices.autocast(self._device, self._precision):
            result = self._gather(self._forward(_turned(batch.image, view)), view)
            batch.total = result if batch.total is None else batch.total.add_(result)
            batch.views += 1

    def queue(self) -> None:
        """Take the mean of the views of the open batch, to be collected."""
        batch, self._open = self._opened(), None
        if batch.total is None:
            raise RuntimeError("no view of this batch was run")
        with torch.inference_mode():
            result = batch.total if batch.views == 1 else batch.total.div_(batch.views)
            parts = packed(result) if self._streamed else (result,)
            end = devices.Mark(self._device)
            if self._pinned:
                there = parts
                parts = tuple(self._buffer(tuple(part.shape), part.dtype) for part in there)
                end = self._copies.down(there, parts)
        self._pending.append(_Pending(batch.tiles, parts, batch.started, end, batch.pixels))

    def _opened(self) -> _Open:
        if self._open is None:
            raise RuntimeError("no batch is open")
        return self._open

    def collect(self) -> tuple[tuple[Tile, ...], Float32]:
        """Wait for the oldest batch; its outputs are float32 (B, 3 or 3 + C, h, w)."""
        batch = self._pending.popleft()
        batch.ended.wait()
        self._timings.network += batch.ended.seconds_since(batch.started)
        self._timings.tiles += len(batch.tiles)
        if self._pinned:
            self._spare += [batch.input, *batch.result]
        parts = tuple(part.cpu() for part in batch.result)
        values: Float32 = (unpacked(parts, self._n_types) if self._streamed else parts[0]).numpy()
        for tile, pixels, value in zip(batch.tiles, batch.input.numpy(), values, strict=True):
            black = no_data(pixels)
            if black is not None:
                where = tile.output.slices((tile.input.r0, tile.input.c0))
                value[0][black[where]] = 0.0
        return batch.tiles, values

    def clear(self) -> None:
        """Forget everything queued, and the buffers."""
        self._open = None
        self._pending.clear()
        self._spare.clear()

    def _buffer(self, shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
        """Return a buffer in main memory, page-locked and used again where that pays."""
        for index, spare in enumerate(self._spare):
            if tuple(spare.shape) == shape and spare.dtype == dtype:
                return self._spare.pop(index)
        return torch.empty(shape, dtype=dtype, pin_memory=self._pinned)

    def _gather(self, raw: dict[str, torch.Tensor], view: Turn) -> torch.Tensor:
        """Turn raw outputs of a view into one float32 tensor: NP, H and V outward, types."""
        missing = sorted({"np", "hv"} - raw.keys())
        if missing:
            raise JobFailed(
                f"The network gives {sorted(raw)} but not {', '.join(missing)}; it is no HoVer-Net."
            )
        logits, hv = raw["np"].float(), raw["hv"].float()
        if self._convention.order == "vh":
            hv = hv.flip(1)
        hv = -hv if self._convention.sign == "inward" else hv
        parts = [torch.sigmoid(logits[:, 1:2] - logits[:, :1]), hv]
        if "tp" in raw:
            parts.append(raw["tp"].float().softmax(dim=1))
        if view != TURNS[0]:
            parts = [_turned_back(part, view) for part in parts]
            x, y = parts[1].unbind(1)
            parts[1] = torch.stack([float(a) * x + float(b) * y for a, b in view.matrix.T], dim=1)
        return torch.cat([part.contiguous() for part in parts], dim=1)


def packed(values: torch.Tensor) -> devices.Parts:
    """NP as uint8, HV as float16 and the likeliest type as uint8, of float32 (B, 3 + C, h, w).

    What is not finite in any channel shows in HV.
    """
    units = values[:, :1].mul(NP_UNITS).round_().to(torch.uint8)
    hv = (values[:, 1:NP_HV] + values.sum(dim=1, keepdim=True).mul_(0)).half()
    if values.shape[1] == NP_HV:
        return units, hv
    return units, hv, values[:, NP_HV:].argmax(dim=1, keepdim=True).to(torch.uint8)


def unpacked(parts: devices.Parts, n_types: int) -> torch.Tensor:
    """Return float32 (B, 3 + C, h, w) from what is `packed`; the likeliest type has all."""
    units, hv = parts[:2]
    values = torch.empty((len(hv), NP_HV + n_types, *hv.shape[2:]))
    torch.div(units, NP_UNITS, out=values[:, :1])
    values[:, 1:NP_HV] = hv
    for kind in range(n_types):
        values[:, NP_HV + kind] = parts[2][:, 0] == kind
    return values


def _turned(image: torch.Tensor, view: Turn) -> torch.Tensor:
    """Turn (B, C, h, w), in the memory format that it has."""
    if view == TURNS[0]:
        return image
    image = image.flip(3) if view.flip else image
    return image.rot90(view.quarters, (2, 3)).contiguous(memory_format=torch.channels_last)


def _turned_back(plane: torch.Tensor, view: Turn) -> torch.Tensor:
    """Undo :func:`_turned`; vectors are not turned with their pixels here."""
    plane = plane.rot90(-view.quarters, (2, 3))
    return plane.flip(3) if view.flip else plane


def no_data(pixels: UInt8) -> Bool | None:
    """Pixels (h, w) of large areas of pure black, in which a scanner saw nothing; None without."""
    black: Bool = ~np.any(pixels, axis=2)
    if np.count_nonzero(black) < BLACK_EDGE**2:
        return None
    window = np.ones((BLACK_EDGE, BLACK_EDGE), np.uint8)
    opened = cv2.morphologyEx(black.astype(np.uint8), cv2.MORPH_OPEN, window)
    return np.asarray(opened, np.uint8).view(np.bool_)


def fill(slot: UInt8, source: ImageSource, box: Box) -> None:
    """Copy a box of an image, reflected where it reaches beyond, into ``slot`` (h, w, 3)."""
    height, width = source.shape
    if box.r0 >= 0 and box.c0 >= 0 and box.r1 <= height and box.c1 <= width:
        slot[:] = source.read(*box)
        return
    rows, cols = mirror(box.r0, box.r1, height), mirror(box.c0, box.c1, width)
    r0, c0 = int(rows.min()), int(cols.min())
    block = source.read(r0, int(rows.max()) + 1, c0, int(cols.max()) + 1)
    slot[:] = block[np.ix_(rows - r0, cols - c0)]


SMOOTH, JUMPING = "linear", "nearest"
"""How NP and types, and how HV, come back to the image's size. HV jumps from 1 to -1 where
nuclei touch, and what blends across the jump loses it. Of nearest, linear, area and cubic
it separated real predictions best or within 0.004 AJI of the best from 0.5 to 2."""


class Canvas:
    """Maps of the image's size from tiles of the image, resized by ``scale``.

    Resized back, each pixel is taken from the tile that keeps its centre, which must know
    ``reach`` more pixels around (:func:`back_reach`).
    """

    def __init__(
        self,
        whole: tuple[int, int],
        n_types: int,
        scale: float = 1.0,
        box: Box | None = None,  # The part of it that is wanted
    ) -> None:
        self._whole, self._box = whole, box or Box(0, whole[0], 0, whole[1])
        shape = self._box.shape
        needed, free = 4 * shape[0] * shape[1] * (NP_HV + n_types), free_memory()
        if needed > free:
            raise InputError(
                f"The maps of {shape[0]} x {shape[1]} px need {needed / 1e9:.1f} GB and "
                f"{free / 1e9:.1f} GB of memory are free; run on a region at a time."
            )
        self.np = np.empty(shape, np.float32)
        self.hv = np.empty((2, *shape), np.float32)
        self.types = np.empty((n_types, *shape), np.float32) if n_types else None
        self._scale = scale

    def put(self, tile: Tile, values: Float32) -> None:
        """Keep what ``tile`` is to keep of its outputs (3 or 3 + C, h, w)."""
        kept, box = tile.kept, self._box
        rows = self._own(kept.r0, kept.r1, self._whole[0], (box.r0, box.r1))
        cols = self._own(kept.c0, kept.c1, self._whole[1], (box.c0, box.c1))
        if rows[0] >= rows[1] or cols[0] >= cols[1]:
            return
        own = Box(*rows, *cols)
        where = own.slices((box.r0, box.c0))
        if self._scale == 1.0:
            values = values[(slice(None), *own.slices((tile.output.r0, tile.output.c0)))]
        else:
            values = self._resized(values, (tile.output.r0, tile.output.c0), rows, cols)
        self.np[where] = values[0]
        self.hv[(slice(None), *where)] = values[1:NP_HV]
        if self.types is not None:
            self.types[(slice(None), *where)] = values[NP_HV:]

    def maps(self) -> Maps:
        """Return the maps, without copying."""
        return Maps(np=self.np, hv=self.hv, types=self.types)

    def _own(self, k0: int, k1: int, length: int, wanted: tuple[int, int]) -> tuple[int, int]:
        """Return the wanted pixels whose centre lies in k0..k1 of the resized image."""
        if self._scale == 1.0:
            return max(k0, wanted[0]), min(k1, wanted[1])
        low = 0 if k0 == 0 else int(np.ceil(k0 / self._scale - 0.5))
        last = k1 == scaled_length(length, self._scale)
        high = length if last else int(np.ceil(k1 / self._scale - 0.5))
        return max(low, wanted[0]), min(high, wanted[1])

    def _resized(
        self,
        values: Float32,
        origin: tuple[int, int],
        rows: tuple[int, int],
        cols: tuple[int, int],
    ) -> Float32:
        """Bring a tile's outputs back to rows and columns of the image."""
        block = np.ascontiguousarray(np.moveaxis(values, 0, 2))
        lengths = [scaled_length(n, self._scale) for n in self._whole]
        out = np.empty((len(values), rows[1] - rows[0], cols[1] - cols[0]), np.float32)
        smooth, jumping = np.r_[0, NP_HV : len(values)], slice(1, NP_HV)
        for channels, method in ((smooth, SMOOTH), (jumping, JUMPING)):
            down = taps(*rows, 1 / self._scale, lengths[0], method)
            across = taps(*cols, 1 / self._scale, lengths[1], method)
            part = resample(block[..., channels], down, across, origin)
            out[channels] = np.moveaxis(part, 2, 0)
        return out


def back_reach(scale: float) -> int:
    """Pixels around a kept box, at the network's size, that a resizing :class:`Canvas` reads."""
    return int(np.ceil(scale / 2)) + 2
