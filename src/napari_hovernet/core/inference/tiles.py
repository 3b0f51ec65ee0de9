"""Pure plan: which boxes of an image go through a network, and which pixels are kept.

Two kinds of network are planned for. Those that lose a ``margin`` at each side (their
decoder does not pad) see the image reflected at its border. Those that give back what
they get (``margin`` 0) see zeros beyond the border, as in their training, after at most
``divisor - 1`` reflected pixels at the bottom and right that make the edge legal.

All tiles start on the network's own grid and end on one common grid, and pixels nearer
than ``halo`` to a cut are left to the neighbour: what a pixel gets does not depend on the
tile size. ``reference`` repeats the published plan instead, which keeps every pixel.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ...errors import InputError
from ..networks.registry import Geometry, Network
from ..params import InferenceParams, SeparationParams
from ..types import Float32, ModelInfo, kernel
from .devices import free_bytes, is_host
from .images import ImageSource, UInt8, check_region

MAX_TILES_PER_AXIS = 4096
"""Tiles along one axis that a search for the best plan looks at."""


class Box(NamedTuple):
    """Half-open rectangle of pixels: rows r0..r1, columns c0..c1."""

    r0: int
    r1: int
    c0: int
    c1: int

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        return (self.r1 - self.r0, self.c1 - self.c0)

    def slices(self, origin: tuple[int, int] = (0, 0)) -> tuple[slice, slice]:
        """Slices that cut this box out of an array whose first pixel is ``origin``."""
        r, c = origin
        return slice(self.r0 - r, self.r1 - r), slice(self.c0 - c, self.c1 - c)


@dataclass(frozen=True)
class Tile:
    """One pass through the network; boxes in pixels of the image."""

    input: Box  # What the network sees
    output: Box  # What it gives for it
    kept: Box  # The part that goes into the result


class _Span(NamedTuple):
    """A tile along one axis: input start and end, kept start and end."""

    start: int
    end: int
    kept0: int
    kept1: int


def plan(
    shape: tuple[int, int],
    geometry: Geometry,
    tile: int | tuple[int, int],
    reference: bool = False,
) -> tuple[Tile, ...]:
    """Cover an image with tiles, row by row; all inputs have the same size."""
    edges = (tile, tile) if isinstance(tile, int) else tile
    if min(shape) < 1:
        raise InputError(f"The image is empty ({shape[0]} x {shape[1]} px); give at least 1 x 1.")
    if min(edges) < 1:
        raise InputError(f"tile is {tile}; give a positive number of pixels.")
    spans = _reference_spans if reference and geometry.margin else _spans
    rows, cols = (spans(n, geometry, edge) for n, edge in zip(shape, edges, strict=True))
    return tuple(_tile(r, c, geometry.margin) for r in rows for c in cols)


def best_tile(shape: tuple[int, int], geometry: Geometry, pixels: int) -> tuple[int, int]:
    """Choose the tile edges (rows, columns) that send the fewest pixels through the network."""
    best = (smallest_tile(shape[0], geometry), smallest_tile(shape[1], geometry))
    cost = _cost(shape, geometry, best) if best[0] * best[1] <= pixels else None
    for rows in _edges(shape[0], geometry):
        columns = _widest(shape[1], geometry, pixels // rows)
        if columns is None:
            continue
        found = _cost(shape, geometry, (rows, columns))
        if cost is None or found < cost:
            best, cost = (rows, columns), found
    return best


def overhead(shape: tuple[int, int], geometry: Geometry, tile: tuple[int, int]) -> float:
    """Pixels sent through the network per pixel of the image."""
    return _cost(shape, geometry, tile) / (shape[0] * shape[1])


def smallest_tile(length: int, geometry: Geometry) -> int:
    """Return the smallest input edge that keeps something of an axis of ``length``."""
    whole = geometry.legal(length + 2 * geometry.margin)
    return min(whole, geometry.legal(2 * (geometry.margin + geometry.halo) + geometry.divisor))


def mirror(start: int, end: int, length: int) -> npt.NDArray[np.intp]:
    """Return the indices start..end of an axis reflected at its first and last pixel.

    As ``numpy.pad(mode="reflect")``: the border pixel itself is not repeated, and an axis of one
    pixel repeats that pixel.
    """
    index = np.arange(start, end)
    if length == 1:
        return np.zeros_like(index)
    index = np.abs(index) % (2 * (length - 1))
    return np.where(index < length, index, 2 * (length - 1) - index)


def _tile(rows: _Span, cols: _Span, margin: int) -> Tile:
    return Tile(
        input=Box(rows.start, rows.end, cols.start, cols.end),
        output=Box(rows.start + margin, rows.end - margin, cols.start + margin, cols.end - margin),
        kept=Box(rows.kept0, rows.kept1, cols.kept0, cols.kept1),
    )


def _reference_spans(length: int, geometry: Geometry, edge: int) -> list[_Span]:
    edge = geometry.legal(edge)
    step = edge - 2 * geometry.margin
    return [
        _Span(k - geometry.margin, k - geometry.margin + edge, k, min(k + step, length))
        for k in range(0, length, step)
    ]


def _spans(length: int, geometry: Geometry, edge: int) -> list[_Span]:
    margin = geometry.margin
    whole = geometry.legal(length + 2 * margin)
    edge = geometry.legal(max(edge, smallest_tile(length, geometry)))
    count = _count(whole, geometry, edge)
    edge = _balanced(whole, geometry, count)
    units = (whole - edge) // geometry.divisor
    gaps = max(count - 1, 1)
    starts = [i * units // gaps * geometry.divisor - margin for i in range(count)]
    cuts = [(a + edge + b) // 2 for a, b in pairwise(starts)]
    ends = [*cuts, length]
    return [_Span(s, s + edge, k0, k1) for s, k0, k1 in zip(starts, [0, *cuts], ends, strict=True)]


def _count(whole: int, geometry: Geometry, edge: int) -> int:
    """Return how many tiles of ``edge`` cover ``whole`` input pixels."""
    if edge >= whole:
        return 1
    return -(-(whole - edge) // _step(geometry, edge)) + 1


def _step(geometry: Geometry, edge: int) -> int:
    """Return how far apart two tiles may start: their kept parts meet, on the grid."""
    kept = edge - 2 * (geometry.margin + geometry.halo)
    return kept // geometry.divisor * geometry.divisor


def _balanced(whole: int, geometry: Geometry, count: int) -> int:
    """Return the smallest legal edge of which ``count`` tiles cover ``whole``."""
    if count == 1:
        return whole
    lost = 2 * (geometry.margin + geometry.halo)
    edge = geometry.legal(-(-(whole + (count - 1) * lost) // count))
    while _count(whole, geometry, edge) > count:
        edge += geometry.divisor
    return min(edge, whole)


def _edges(length: int, geometry: Geometry) -> Iterator[int]:
    """Yield the balanced edges for 1, 2, 3 ... tiles, down to the smallest."""
    whole = geometry.legal(length + 2 * geometry.margin)
    smallest = smallest_tile(length, geometry)
    for count in range(1, MAX_TILES_PER_AXIS):
        edge = max(_balanced(whole, geometry, count), smallest)
        yield edge
        if edge == smallest:
            return


def _widest(length: int, geometry: Geometry, limit: int) -> int | None:
    """Return the largest balanced edge up to ``limit``, None if there is none."""
    whole = geometry.legal(length + 2 * geometry.margin)
    edge = min(whole, limit - (limit - geometry.remainder) % geometry.divisor)
    if edge < smallest_tile(length, geometry):
        return None
    return _balanced(whole, geometry, _count(whole, geometry, edge))


def _cost(shape: tuple[int, int], geometry: Geometry, tile: tuple[int, int]) -> int:
    cost = 1
    for length, edge in zip(shape, tile, strict=True):
        cost *= _count(geometry.legal(length + 2 * geometry.margin), geometry, edge) * edge
    return cost


SMALL_EDGE = 128
"""Edge of the image that is sent through a network to measure it, pixels."""
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
    """What a network takes per input pixel, in float32."""

    bytes: float  # Bytes alive at once at the fullest moment, without the weights
    elements: float  # Elements of the largest single tensor


_KNOWN: weakref.WeakKeyDictionary[Network, Footprint] = weakref.WeakKeyDictionary()


class _Tally(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of tensors alive, by storage, while operations run."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.alive: dict[int, list[int]] = {}
        self.now = self.peak = self.largest = 0

    def tell(
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


# Set afterwards: torch wraps what a class is born with, and the wrapper imports torch's compiler,
# which costs seconds and, beside Mesa's libLLVM, crashes a viewer.
_Tally.__torch_dispatch__ = _Tally.tell  # type: ignore[assignment]


def footprint(network: Network) -> Footprint:
    """Measure the memory of a network per input pixel on a small image; remembered per network.

    No dry run on the "meta" device: that, too, imports torch's compiler.
    """
    if network not in _KNOWN:
        edge = network.geometry.legal(SMALL_EDGE)
        first = next(iter(network.parameters()), torch.empty(0))
        image, tally = torch.zeros(1, 3, edge, edge, device=first.device), _Tally()
        with torch.no_grad(), tally:
            network(image)
        _KNOWN[network] = Footprint(tally.peak / edge**2, tally.largest / edge**2)
    return _KNOWN[network]


@dataclass(frozen=True)
class Load:
    """What goes through the network at a time."""

    tile: tuple[int, int]  # Input edges, rows and columns
    batch: int  # Tiles per pass

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
    """Choose tile and batch: what the user says, else what the device's memory allows."""
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
        tile = best_tile(shape, geometry, min(limit, DEVICE_EDGE**2))
    return Load(tile, params.batch or _batch(tile, limit, device))


def _comfortable(
    shape: tuple[int, int], geometry: Geometry, limit: int, comfort: int, room: int
) -> tuple[int, int]:
    """Return the best tile of at most ``comfort`` pixels, or one large enough to be cheap.

    What is cheap enough is judged more mildly once ``room`` pixels are exceeded.
    """
    pixels = min(comfort, limit)
    tile = best_tile(shape, geometry, pixels)
    while pixels < limit and overhead(shape, geometry, tile) > (
        ENOUGH if pixels < room else ENOUGH_LARGE
    ):
        pixels = min(pixels * 5 // 4 + 1, limit)
        tile = best_tile(shape, geometry, pixels)
    return tile


def _batch(tile: tuple[int, int], limit: int, device: torch.device) -> int:
    """Return how many tiles make a pass: one on a CPU, which gains nothing by more."""
    pixels = tile[0] * tile[1]
    return 1 if is_host(device) else max(min(limit, BATCH_PIXELS) // pixels, 1)


CUBIC_A = -0.5
"""Catmull-Rom: the cubic that passes through the samples and is exact for parabolas."""
METHODS = ("area", "linear", "cubic", "nearest")

Index = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Taps:
    """Weighted sums along one axis: output i = sum over k of weight[i, k] * input[index[i, k]]."""

    index: Index  # Positions in the input, repeated at its ends
    weight: Float32  # Each row sums to 1

    @property
    def first(self) -> int:
        """Smallest input position used."""
        return int(self.index.min())

    @property
    def end(self) -> int:
        """One past the largest input position used."""
        return int(self.index.max()) + 1


def taps(start: int, end: int, scale: float, length: int, method: str) -> Taps:
    """Compute the weights for output pixels start..end of an axis."""
    if method not in METHODS:
        raise InputError(f"method is {method!r}; choose one of {', '.join(METHODS)}.")
    position = np.arange(start, end, dtype=np.float64)
    if method == "area":
        index, weight = _area(position, scale)
    else:
        index, weight = _point((position + 0.5) / scale - 0.5, method)
    index = np.clip(index, 0, length - 1)
    weight = weight / weight.sum(axis=1, keepdims=True)
    used = np.flatnonzero(weight.any(axis=0))
    return Taps(
        np.ascontiguousarray(index[:, used]),
        np.ascontiguousarray(weight[:, used], dtype=np.float32),
    )


def _area(position: npt.NDArray[np.float64], scale: float) -> tuple[Index, Any]:
    low, high = position / scale, (position + 1) / scale
    count = int(np.ceil(1 / scale)) + 1
    index = np.floor(low + 1e-9).astype(np.int64)[:, None] + np.arange(count)
    cover = np.minimum(high[:, None], index + 1) - np.maximum(low[:, None], index)
    return index, np.where(cover > 1e-9, cover, 0.0)


def _point(at: npt.NDArray[np.float64], method: str) -> tuple[Index, Any]:
    if method == "nearest":
        return np.floor(at + 0.5).astype(np.int64)[:, None], np.ones((len(at), 1))
    reach = 1 if method == "linear" else 2
    base = np.floor(at).astype(np.int64)
    index = base[:, None] + np.arange(1 - reach, 1 + reach)
    far = np.abs(at[:, None] - index)
    if method == "linear":
        return index, 1 - far
    a = CUBIC_A
    near = (a + 2) * far**3 - (a + 3) * far**2 + 1
    wide = a * far**3 - 5 * a * far**2 + 8 * a * far - 4 * a
    return index, np.where(far <= 1, near, wide)


def resample(block: npt.NDArray[Any], rows: Taps, cols: Taps, origin: tuple[int, int]) -> Float32:
    """Apply taps to a region."""
    out = np.empty((len(rows.index), len(cols.index), block.shape[2]), np.float32)
    _apply(
        np.ascontiguousarray(block),
        rows.index - origin[0],
        rows.weight,
        cols.index - origin[1],
        cols.weight,
        out,
    )
    return out


@kernel
def _apply(
    block: npt.NDArray[Any],
    row_index: Index,
    row_weight: Float32,
    col_index: Index,
    col_weight: Float32,
    out: Float32,
) -> None:
    width, channels = block.shape[1], block.shape[2]
    line = np.empty((width, channels), np.float32)
    for i in range(out.shape[0]):
        line[:] = np.float32(0)
        for k in range(row_index.shape[1]):
            r, w = row_index[i, k], row_weight[i, k]
            for j in range(width):
                for c in range(channels):
                    line[j, c] += w * np.float32(block[r, j, c])
        for j in range(out.shape[1]):
            for c in range(channels):
                total = np.float32(0)
                for k in range(col_index.shape[1]):
                    total += col_weight[j, k] * line[col_index[j, k], c]
                out[i, j, c] = total


@dataclass(frozen=True, eq=False)
class ResampledSource:
    """Another source, resized while it is read."""

    source: ImageSource
    scale: float  # Pixels of this per pixel of ``source``. Below 1 by area, above 1 cubic

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels, at least 1."""
        height, width = self.source.shape
        return scaled_length(height, self.scale), scaled_length(width, self.scale)

    @property
    def notes(self) -> tuple[str, ...]:
        """What was assumed or changed, fit for a user."""
        return self.source.notes

    def read(self, r0: int, r1: int, c0: int, c1: int) -> UInt8:
        """Return a region as (h, w, 3) uint8."""
        check_region(self.shape, r0, r1, c0, c1)
        method = "area" if self.scale < 1 else "cubic"
        height, width = self.source.shape
        rows = taps(r0, r1, self.scale, height, method)
        cols = taps(c0, c1, self.scale, width, method)
        block = self.source.read(rows.first, rows.end, cols.first, cols.end)
        out = resample(block, rows, cols, (rows.first, cols.first))
        return np.clip(np.rint(out, out=out), 0, 255, out=out).astype(np.uint8)


def scaled_length(length: int, scale: float) -> int:
    """Pixels of an axis of ``length`` after resizing, at least 1."""
    return max(int(np.ceil(length * scale - 1e-9)), 1)


MAX_SCALE = 8.0
"""Image and model mpp that differ by a larger factor are taken for a mistake."""
MIN_SCALE = 1 / 16
"""As ``MAX_SCALE``, for images finer than the model."""
MIN_SIGMA = 0.3
"""Smallest Gaussian, pixels, that still is one."""


def working_scale(info: ModelInfo, params: InferenceParams) -> float:
    """Return the factor by which an image is resized for the network."""
    image_mpp = params.image_mpp
    model_mpp = info.mpp if params.model_mpp is None else params.model_mpp
    if image_mpp is None or model_mpp is None:
        return 1.0
    scale = image_mpp / model_mpp
    if abs(scale - 1) <= params.mpp_tolerance:
        return 1.0
    if not MIN_SCALE <= scale <= MAX_SCALE:
        raise InputError(
            f"The image has {image_mpp:g} µm per pixel and the model {model_mpp:g}: too far "
            f"apart to resize ({scale:.3g}x); correct the mpp of the image or of the model."
        )
    return scale


def scaled_separation(params: SeparationParams, scale: float) -> SeparationParams:
    """Adapt lengths and areas of the local separation to maps of a resized image.

    They are meant for nuclei of the size the network knows. In maps brought back to the image's
    size nuclei are ``1 / scale`` as large. Sizes that hover_net reads stay: that method is to give
    what the published one gives.
    """
    if scale == 1.0 or params.method != "local":
        return params
    return replace(
        params,
        scales=tuple(max(sigma / scale, MIN_SIGMA) for sigma in params.scales),
        min_area=round(params.min_area / scale**2),
        max_hole_area=round(params.max_hole_area / scale**2),
        magnitude_window=round(params.magnitude_window / scale) // 2 * 2 + 1,
    )
