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

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from .networks.registry import Geometry

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
    """One pass through the network; boxes in pixels of the image.

    Parameters
    ----------
    input : Box
        What the network sees; reaches beyond the image where it is padded.
    output : Box
        What it gives for it; may reach beyond the image too.
    kept : Box
        The part that goes into the result; the kept boxes of a plan cover the image
        once.
    """

    input: Box
    output: Box
    kept: Box


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
    """Cover an image with tiles, row by row; all inputs have the same size.

    Parameters
    ----------
    shape : (int, int)
        Height and width of the image, at least 1.
    geometry : Geometry
        Sizes of the network.
    tile : int or (int, int)
        Input edge (rows, columns) in pixels, rounded up to a legal one that keeps at
        least one pixel; made smaller again where as many smaller tiles do.
    reference : bool
        Repeat the published plan: outputs side by side from the top left corner, none
        discarded, the image reflected as far as the last tile reaches. A network
        without margin has no published plan and gets the usual one.

    Returns
    -------
    tuple of Tile

    Raises
    ------
    InputError
        If the image is empty or the tile is not positive.

    Examples
    --------
    >>> g = Geometry(divisor=8, remainder=0, margin=4, halo=2, reference_tile=24, minimum=16)
    >>> [t.kept for t in plan((8, 22), g, 24)]
    [Box(r0=0, r1=8, c0=0, c1=12), Box(r0=0, r1=8, c0=12, c1=22)]
    """
    edges = (tile, tile) if isinstance(tile, int) else tile
    if min(shape) < 1:
        raise InputError(f"The image is empty ({shape[0]} x {shape[1]} px); give at least 1 x 1.")
    if min(edges) < 1:
        raise InputError(f"tile is {tile}; give a positive number of pixels.")
    spans = _reference_spans if reference and geometry.margin else _spans
    rows, cols = (spans(n, geometry, edge) for n, edge in zip(shape, edges, strict=True))
    return tuple(_tile(r, c, geometry.margin) for r in rows for c in cols)


def best_tile(shape: tuple[int, int], geometry: Geometry, pixels: int) -> tuple[int, int]:
    """Choose the tile edges (rows, columns) that send the fewest pixels through the network.

    Parameters
    ----------
    shape : (int, int)
        Height and width of the image.
    geometry : Geometry
    pixels : int
        The most input pixels a tile may have; the smallest tile is returned if even
        that has more.

    Examples
    --------
    >>> g = Geometry(divisor=16, remainder=0, margin=0, halo=96, reference_tile=448, minimum=16)
    >>> best_tile((1000, 1000), g, 2_000_000)
    (1008, 1008)
    """
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

    As ``numpy.pad(mode="reflect")``: the border pixel itself is not repeated, and an axis
    of one pixel repeats that pixel.

    Examples
    --------
    >>> mirror(-2, 5, 3).tolist()
    [2, 1, 0, 1, 2, 1, 0]
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
