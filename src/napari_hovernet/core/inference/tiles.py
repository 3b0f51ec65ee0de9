"""Which boxes of an image go through a network, which pixels are kept, and how large they are.

Two kinds of network are planned for. Those that lose a ``margin`` at each side (their
decoder does not pad) see the image reflected at its border. Those that give back what
they get (``margin`` 0) see zeros beyond the border, as in their training, after at most
``divisor - 1`` reflected pixels at the bottom and right that make the edge legal.

All tiles start on the network's own grid and end on one common grid, and pixels nearer
than ``halo`` to a cut are left to the neighbour: what a pixel gets does not depend on the
tile size. ``reference`` repeats the published plan instead, which keeps every pixel.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from ...errors import InputError
from ..params import InferenceParams, SeparationParams
from ..types import ModelInfo

if TYPE_CHECKING:  # plans are made without torch
    import torch

    from ..networks.registry import Geometry, Network

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

    def moved(self, rows: int, cols: int) -> Box:
        """Return it further down and to the right."""
        return Box(self.r0 + rows, self.r1 + rows, self.c0 + cols, self.c1 + cols)

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


_Span = tuple[int, int, int, int]
"""A tile along one axis: input start and end, kept start and end."""


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
    m = geometry.margin
    spans = _reference_spans if reference and m else _spans
    rows, cols = (spans(n, geometry, edge) for n, edge in zip(shape, edges, strict=True))
    return tuple(
        Tile(Box(*r[:2], *c[:2]), Box(r[0] + m, r[1] - m, c[0] + m, c[1] - m), Box(*r[2:], *c[2:]))
        for r in rows
        for c in cols
    )


def plan_part(
    shape: tuple[int, int],
    geometry: Geometry,
    tile: int | tuple[int, int],
    box: Box,
    reference: bool = False,
) -> tuple[Tile, ...]:
    """Cover a part of an image, so that ``box`` gets what a run over all of it gives.

    Tiles are planned on an area around the box that starts on the network's grid, and moved to
    where it lies; the network sees the image beyond it.
    """
    step, around = geometry.divisor, geometry.halo
    if reference and geometry.margin:
        edge = max(tile) if isinstance(tile, tuple) else tile
        step, around = geometry.legal(edge) - 2 * geometry.margin, 0
    (r0, r1), (c0, c1) = (
        _part(low, high, n, step, around, geometry.minimum)
        for low, high, n in ((box.r0, box.r1, shape[0]), (box.c0, box.c1, shape[1]))
    )
    tiles = plan((r1 - r0, c1 - c0), geometry, tile, reference)
    return tuple(
        Tile(t.input.moved(r0, c0), t.output.moved(r0, c0), t.kept.moved(r0, c0)) for t in tiles
    )


def _part(low: int, high: int, n: int, step: int, around: int, least: int) -> tuple[int, int]:
    """Return the span on the grid of ``step`` that holds low..high and what is around."""
    start = max(min(low - around, n - least), 0) // step * step
    return start, min(-(-max(high + around, start + least) // step) * step, n)


def _reference_spans(length: int, geometry: Geometry, edge: int) -> list[_Span]:
    edge, margin = geometry.legal(edge), geometry.margin
    step = edge - 2 * margin
    return [
        (k - margin, k - margin + edge, k, min(k + step, length)) for k in range(0, length, step)
    ]


def _spans(length: int, geometry: Geometry, edge: int) -> list[_Span]:
    whole = _whole(length, geometry)
    count = _count(whole, geometry, geometry.legal(max(edge, smallest_tile(length, geometry))))
    edge = _balanced(whole, geometry, count)
    units, gaps = (whole - edge) // geometry.divisor, max(count - 1, 1)
    starts = [i * units // gaps * geometry.divisor - geometry.margin for i in range(count)]
    cuts = [0, *((a + edge + b) // 2 for a, b in pairwise(starts)), length]
    return [(s, s + edge, k0, k1) for s, (k0, k1) in zip(starts, pairwise(cuts), strict=True)]


def best_tile(shape: tuple[int, int], geometry: Geometry, pixels: int) -> tuple[int, int]:
    """Choose the tile edges (rows, columns) that send the fewest pixels through the network."""
    wholes = [_whole(n, geometry) for n in shape]
    smallest = [smallest_tile(n, geometry) for n in shape]
    best = (smallest[0], smallest[1])
    cost = overhead(shape, geometry, best) if best[0] * best[1] <= pixels else np.inf
    for count in range(1, MAX_TILES_PER_AXIS):
        rows = max(_balanced(wholes[0], geometry, count), smallest[0])
        limit = pixels // rows
        edge = min(wholes[1], limit - (limit - geometry.remainder) % geometry.divisor)
        if edge >= smallest[1]:
            columns = _balanced(wholes[1], geometry, _count(wholes[1], geometry, edge))
            found = overhead(shape, geometry, (rows, columns))
            if found < cost:
                best, cost = (rows, columns), found
        if rows == smallest[0]:
            break
    return best


def overhead(shape: tuple[int, int], geometry: Geometry, tile: tuple[int, int]) -> float:
    """Pixels sent through the network per pixel of the image."""
    counts = [_count(_whole(n, geometry), geometry, e) for n, e in zip(shape, tile, strict=True)]
    return counts[0] * tile[0] * counts[1] * tile[1] / (shape[0] * shape[1])


def smallest_tile(length: int, geometry: Geometry) -> int:
    """Return the smallest input edge that keeps something of an axis of ``length``."""
    return min(_whole(length, geometry), geometry.legal(_lost(geometry) + geometry.divisor))


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


def _whole(length: int, geometry: Geometry) -> int:
    """Return the input edge that takes an axis in one tile."""
    return geometry.legal(length + 2 * geometry.margin)


def _lost(geometry: Geometry) -> int:
    """Return the input pixels of a tile between two others that are not kept."""
    return 2 * (geometry.margin + geometry.halo)


def _count(whole: int, geometry: Geometry, edge: int) -> int:
    """Return how many tiles of ``edge`` cover ``whole`` input pixels: kept parts meet on a grid."""
    if edge >= whole:
        return 1
    step = (edge - _lost(geometry)) // geometry.divisor * geometry.divisor
    return -(-(whole - edge) // step) + 1


def _balanced(whole: int, geometry: Geometry, count: int) -> int:
    """Return the smallest legal edge of which ``count`` tiles cover ``whole``."""
    if count == 1:
        return whole
    edge = geometry.legal(-(-(whole + (count - 1) * _lost(geometry)) // count))
    while _count(whole, geometry, edge) > count:
        edge += geometry.divisor
    return min(edge, whole)


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
class Load:
    """What goes through the network at a time."""

    tile: tuple[int, int]  # Input edges, rows and columns
    batch: int  # Tiles per pass

    def halved(self, geometry: Geometry, fixed_tile: bool) -> Load | None:
        """Return a smaller load: half the batch, then half the edges; None at the end."""
        if self.batch > 1:
            return Load(self.tile, self.batch // 2)
        smallest = geometry.legal(_lost(geometry) + geometry.divisor)
        if fixed_tile or max(self.tile) <= smallest:
            return None
        rows, cols = (min(max(geometry.legal(e // 2), smallest), e) for e in self.tile)
        return Load((rows, cols), 1)


def choose_load(
    network: Network,
    geometry: Geometry,
    shape: tuple[int, int],
    params: InferenceParams,
    device: torch.device,
    half: bool,
) -> Load:
    """Choose tile and batch: what the user says, else what the device's memory allows.

    Memory goes by what stands with the network; where that is too little, loads are halved.
    """
    from .devices import free_bytes, is_host  # noqa: PLC0415 - loads torch

    host = is_host(device)
    per_pixel = network.bytes_per_pixel * WORKSPACE * (HALF if half else 1.0)
    budget = free_bytes(device) * (HOST_SHARE if host else DEVICE_SHARE)
    budget = min(budget, HOST_CAP) if host else budget
    limit = int(min(budget / per_pixel, INDEX_LIMIT / network.elements_per_pixel))
    if params.tile is not None or params.tiling == "reference":
        edge = geometry.legal(params.tile or geometry.reference_tile)
        tile = (edge, edge)
    elif host:
        room = LARGE_TOTAL - LARGE_BYTES * shape[0] * shape[1]
        tile = _comfortable(shape, geometry, limit, int(COMFORT / per_pixel), int(room / per_pixel))
    else:
        tile = best_tile(shape, geometry, min(limit, DEVICE_EDGE**2))
    # A CPU gains nothing by more than one tile at a time.
    batch = 1 if host else max(min(limit, BATCH_PIXELS) // (tile[0] * tile[1]), 1)
    return Load(tile, params.batch or batch)


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


MIN_SCALE, MAX_SCALE = 1 / 16, 8.0
"""Image and model mpp that differ by a larger factor are taken for a mistake."""
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
