"""Nuclei as outlines: what GeoJSON and hover_net JSON files hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import cv2
import numpy as np
import numpy.typing as npt

from ...errors import InputError
from ..types import Bool, Int32, TypeInfo
from .outline_kernels import fill, trace

Float64 = npt.NDArray[np.float64]
Ring = Float64

MAX_COORDINATE = 1_000_000.0
"""Largest pixel coordinate taken for real; the largest slides have about 300,000."""
MAX_CONTOUR_EDGE = 4096
"""Largest width or height in pixels of a single nucleus given by its boundary pixels."""
MAX_LABEL_PIXELS = 2**30
"""Largest label image that is drawn, in pixels (4 GiB)."""
PALETTE = (
    (230, 75, 53), (77, 187, 213), (0, 160, 135), (60, 84, 136),
    (243, 155, 127), (132, 145, 180), (145, 209, 194), (176, 156, 133),
)  # fmt: skip
"""Colours, RGB, of types that come without one; repeated when there are more."""


@dataclass(frozen=True, eq=False)
class Polygons:
    """Outlines of nuclei; entry i of every field belongs to object i.

    Coordinates are pixel edges: the pixel in row r and column c covers x from c to c + 1
    and y from r to r + 1. Subtract 0.5 for a viewer that puts whole numbers on centres.

    Parameters
    ----------
    rings : tuple of tuple of float64 (k, 2)
        x, y of each object's rings, not closed. A point is inside if it lies in an odd
        number of them: holes and separate parts are simply further rings.
    ids : tuple of str
        As in the file, or "1", "2" ...
    type : int32 (n,)
        0 = none; see ``type_names``.
    type_names : mapping of int to TypeInfo
        Name and colour of each type.
    measurements : mapping of str to float64 (n,)
        Numbers the file gives per object, NaN where it gives none.
    notes : tuple of str
        What was left out or assumed while reading.

    Raises
    ------
    InputError
        If lengths differ, a ring has fewer than three points, or a coordinate is not
        finite or beyond ``MAX_COORDINATE``.
    """

    rings: tuple[tuple[Ring, ...], ...]
    ids: tuple[str, ...] = ()
    type: Int32 = field(default_factory=lambda: np.zeros(0, np.int32))
    type_names: Mapping[int, TypeInfo] = field(default_factory=dict)
    measurements: Mapping[str, Float64] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        n = len(self.rings)
        object.__setattr__(self, "ids", self.ids or tuple(str(i + 1) for i in range(n)))
        if not len(self.type):
            object.__setattr__(self, "type", np.zeros(n, np.int32))
        lengths = {len(self.ids), len(self.type), *(len(m) for m in self.measurements.values()), n}
        if lengths != {n}:
            raise InputError(f"Polygons have {n} outlines, but columns of {sorted(lengths)} rows.")
        for identity, rings in zip(self.ids, self.rings, strict=True):
            if not rings:
                raise InputError(f"Object {identity} has no outline.")
            for ring in rings:
                _check_ring(identity, ring)

    def __len__(self) -> int:
        return len(self.rings)

    @property
    def extent(self) -> tuple[int, int]:
        """Height and width in pixels of the smallest image at (0, 0) that holds all."""
        return (max(self.box[2], 0), max(self.box[3], 0))

    @cached_property
    def box(self) -> tuple[int, int, int, int]:
        """First row and column, and those after the last, of the pixels that are touched."""
        if not self.rings:
            return (0, 0, 0, 0)
        every = np.concatenate([ring for rings in self.rings for ring in rings])
        (col0, row0), (col1, row1) = np.floor(every.min(axis=0)), np.ceil(every.max(axis=0))
        return (int(row0), int(col0), int(row1), int(col1))

    def outer(self) -> tuple[Ring, ...]:
        """Return the largest ring of each object, (k, 2) x, y, for viewers without holes."""
        return tuple(max(rings, key=lambda ring: abs(signed_area(ring))) for rings in self.rings)


def _check_ring(identity: str, ring: Ring) -> None:
    if ring.ndim != 2 or ring.shape[1:] != (2,) or len(ring) < 3:
        raise InputError(
            f"Object {identity} has an outline of shape {ring.shape}; give 3 or more x, y points."
        )
    if not np.isfinite(ring).all() or np.abs(ring).max() > MAX_COORDINATE:
        worst = ring.flat[int(np.argmax(np.where(np.isfinite(ring), np.abs(ring), np.inf)))]
        raise InputError(
            f"Object {identity} has the coordinate {worst:g}; pixel coordinates lie within "
            f"+-{MAX_COORDINATE:,.0f}."
        )


def signed_area(ring: Ring) -> float:
    """Area in square pixels, positive for rings that run clockwise on the screen.

    Examples
    --------
    >>> signed_area(np.array([[0, 0], [2, 0], [2, 3], [0, 3]], float))
    6.0
    """
    x, y = ring[:, 0], ring[:, 1]
    return float(0.5 * (x * np.roll(y, -1) - np.roll(x, -1) * y).sum())


def rasterize(
    polygons: Polygons, shape: tuple[int, int] | None = None, origin: tuple[int, int] = (0, 0)
) -> Int32:
    """Draw outlines as a label image: pixels whose centre lies inside.

    Parameters
    ----------
    polygons : Polygons
        What to draw; object i gets label i + 1. Later ones cover earlier ones.
    shape : (int, int), optional
        Height and width; default up to the last pixel touched. Parts outside are cut off.
    origin : (int, int)
        Row and column of the label image's first pixel; ``polygons.box[:2]`` with the
        default shape draws the smallest image that holds all.

    Returns
    -------
    int32 (H, W)

    Raises
    ------
    InputError
        If the image would have more than ``MAX_LABEL_PIXELS`` pixels.

    Examples
    --------
    >>> square = np.array([[1, 1], [3, 1], [3, 3], [1, 3]], float)
    >>> rasterize(Polygons(((square,),)), (3, 4)).tolist()
    [[0, 0, 0, 0], [0, 1, 1, 0], [0, 1, 1, 0]]
    """
    row0, col0 = origin
    if shape is None:
        shape = (max(polygons.box[2] - row0, 0), max(polygons.box[3] - col0, 0))
    height, width = shape
    if height * width > MAX_LABEL_PIXELS:
        raise InputError(
            f"A label image of {height} x {width} pixels is too large; give the shape of a region."
        )
    labels = np.zeros((height, width), np.int32)
    if not len(polygons) or not labels.size:
        return labels
    edges, first, spans = [], [0], np.empty((len(polygons), 2))
    for i, rings in enumerate(polygons.rings):
        edges += [np.hstack((ring, np.roll(ring, -1, axis=0))) for ring in rings]
        first.append(first[-1] + sum(len(ring) for ring in rings))
        spans[i] = min(r[:, 1].min() for r in rings), max(r[:, 1].max() for r in rings)
    moved = np.concatenate(edges) - np.array([col0, row0, col0, row0])
    fill(spans - row0, moved, np.array(first, np.int64), labels)
    return labels


def mask_outlines(mask: Bool) -> list[Ring]:
    """Outlines of a mask along its pixel edges; :func:`rasterize` gives the mask back.

    Pixels that meet in a corner alone are outlined apart, so that no ring of a mask
    without holes touches itself.

    Parameters
    ----------
    mask : bool (H, W)

    Returns
    -------
    list of float64 (k, 2)
        x, y in pixel edges, not closed; clockwise on the screen for outer rings,
        counterclockwise for holes.

    Examples
    --------
    >>> mask_outlines(np.ones((1, 2), bool))[0].tolist()
    [[2.0, 0.0], [2.0, 1.0], [0.0, 1.0], [0.0, 0.0]]
    """
    padded = np.pad(mask, 1).astype(np.uint8)
    size = int(np.count_nonzero(padded))
    points, starts = np.empty((4 * size, 2), np.float64), np.empty(size + 1, np.int64)
    rings = trace(padded, points, starts)
    return [points[starts[i] : starts[i + 1]] - 1 for i in range(rings)]


def contour_outlines(contour: Int32) -> list[Ring]:
    """Turn boundary pixels into outlines along their outer edges.

    Parameters
    ----------
    contour : int32 (k, 2)
        x, y of the boundary pixels in order, as OpenCV and hover_net give them.

    Returns
    -------
    list of float64 (k, 2)
        Outlines in pixel edges that enclose the boundary pixels and all within.

    Raises
    ------
    InputError
        If the contour is empty or larger than ``MAX_CONTOUR_EDGE``.

    Examples
    --------
    >>> contour_outlines(np.array([[5, 7]], np.int32))[0].tolist()
    [[6.0, 7.0], [6.0, 8.0], [5.0, 8.0], [5.0, 7.0]]
    """
    if contour.ndim != 2 or contour.shape[1:] != (2,) or not len(contour):
        raise InputError(f"A contour has shape {contour.shape}; give x, y of boundary pixels.")
    start = contour.min(axis=0)
    width, height = (int(n) for n in contour.max(axis=0) - start + 1)
    if max(width, height) > MAX_CONTOUR_EDGE:
        raise InputError(
            f"A contour spans {width} x {height} pixels; a nucleus has at most {MAX_CONTOUR_EDGE}."
        )
    mask = np.zeros((height, width), np.uint8)
    local = np.ascontiguousarray(contour - start, dtype=np.int32)
    cv2.drawContours(mask, [local.reshape(-1, 1, 2)], -1, 1, cv2.FILLED)
    return [ring + start for ring in mask_outlines(mask.astype(bool))]


def close(ring: Ring) -> list[list[float]]:
    """List the points of a ring, the first again at the end; whole numbers without a dot."""
    points = np.vstack((ring, ring[:1]))
    whole = points.astype(np.int64)
    listed: list[list[float]] = (whole if (whole == points).all() else points).tolist()
    return listed


def default_types(names: Sequence[str]) -> dict[int, TypeInfo]:
    """Give colours to types that have none, numbered from 1."""
    return {i + 1: TypeInfo(name, PALETTE[i % len(PALETTE)]) for i, name in enumerate(names)}
