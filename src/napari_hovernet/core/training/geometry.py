"""Where a crop is cut, how it is turned and scaled: image and labels together.

HV never takes part: it is computed from the labels afterwards, so it cannot disagree.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ..image import UInt8
from .params import AugmentParams
from .samples import SampleArrays
from .turns import TURNS, Turn, turn_hv, turn_plane

LARGEST_ANGLE = 45.0
"""Degrees of free rotation either way; quarter turns do the rest."""
ALIASING_BELOW = 0.8
"""Scale below which an image is smoothed before it is made smaller."""
SMOOTHING = 0.4
"""Sigma of that smoothing, in pixels of the crop."""
REACH = 3
"""Pixels around what is cut that a smooth interpolation may look at."""

Plane = npt.NDArray[Any]


@dataclass(frozen=True)
class Move:
    """One drawn change of place.

    Parameters
    ----------
    turn : Turn
        Flip and quarter turns.
    angle : float
        Degrees of free rotation beside them.
    scale : float
        Magnification.

    Examples
    --------
    >>> Move().plain, Move(scale=1.1).plain
    (True, False)
    """

    turn: Turn = TURNS[0]
    angle: float = 0.0
    scale: float = 1.0

    @property
    def plain(self) -> bool:
        """Whether no pixel has to be interpolated."""
        return self.angle == 0 and self.scale == 1

    @property
    def matrix(self) -> npt.NDArray[np.float64]:
        """2 x 2 matrix from offsets in the image to offsets in the crop (x, y)."""
        c, s = math.cos(math.radians(self.angle)), math.sin(math.radians(self.angle))
        moved: npt.NDArray[np.float64] = self.scale * np.array([[c, -s], [s, c]]) @ self.turn.matrix
        return moved


def draw_move(params: AugmentParams, rng: np.random.Generator, *, free: bool = True) -> Move:
    """Draw a change of place.

    Parameters
    ----------
    params : AugmentParams
    rng : Generator
    free : bool
        Whether rotation and scale are allowed; stored HV can only be flipped and turned.
    """
    if not params.on:
        return Move()
    turn = TURNS[int(rng.integers(len(TURNS)))] if params.flips else TURNS[0]
    if not free:
        return Move(turn)
    low, high = params.scale
    scale = float(math.exp(rng.uniform(math.log(low), math.log(high)))) if low < high else low
    rotated = rng.random() < params.p_rotate
    angle = float(rng.uniform(-LARGEST_ANGLE, LARGEST_ANGLE)) if rotated else 0.0
    return Move(turn, angle, scale)


def cut_crop(
    arrays: SampleArrays, size: int, move: Move, rng: np.random.Generator
) -> tuple[SampleArrays, Plane]:
    """Cut a crop at a random place.

    Where it reaches beyond the image, the image is mirrored and labels are background.

    Parameters
    ----------
    arrays : SampleArrays
        With an image.
    size : int
        Edge of the crop, pixels.
    move : Move
        Must be plain where HV is stored.
    rng : Generator
        For the place.

    Returns
    -------
    crop : SampleArrays
        All planes (size, size): image smooth, everything else nearest.
    valid : uint8 (size, size)
        1 where the crop shows the image itself.
    """
    if move.plain:
        crop, valid = _cut_plain(arrays, size, rng)
        return turned(crop, move.turn), np.ascontiguousarray(turn_plane(valid, move.turn))
    return _cut_warped(arrays, size, move, rng)


def turned(arrays: SampleArrays, turn: Turn) -> SampleArrays:
    """Flip and turn every plane, and the vectors of stored HV with them."""
    if turn == TURNS[0]:
        return arrays
    changes: dict[str, Any] = {}
    for name, plane in _planes(arrays).items():
        axes = (0, 1) if name == "image" else (-2, -1)
        changes[name] = np.ascontiguousarray(turn_plane(plane, turn, axes))
    if arrays.hv_target is not None:
        changes["hv_target"] = turn_hv(arrays.hv_target, turn)
    return replace(arrays, **changes)


def _planes(arrays: SampleArrays) -> dict[str, Plane]:
    """All planes but HV."""
    names = ("image", "labels", "types", "np_target", "nt_target")
    return {n: getattr(arrays, n) for n in names if getattr(arrays, n) is not None}


def _cut_plain(
    arrays: SampleArrays, size: int, rng: np.random.Generator
) -> tuple[SampleArrays, Plane]:
    height, width = arrays.shape
    r0, c0 = _corner(height, size, rng), _corner(width, size, rng)
    rows, cols = (max(r0, 0), min(r0 + size, height)), (max(c0, 0), min(c0 + size, width))
    box = (slice(*rows), slice(*cols))
    pad = (rows[0] - r0, r0 + size - rows[1], cols[0] - c0, c0 + size - cols[1])
    changes: dict[str, Any] = {
        name: _padded(plane[box], pad, mirror=name == "image")
        for name, plane in _planes(arrays).items()
    }
    if arrays.hv_target is not None:
        changes["hv_target"] = np.stack([_padded(p[box], pad) for p in arrays.hv_target])
    valid = _padded(np.ones((rows[1] - rows[0], cols[1] - cols[0]), np.uint8), pad)
    return replace(arrays, **changes), valid


def _corner(extent: int, size: int, rng: np.random.Generator) -> int:
    """Draw where a crop starts; one that is too large is centred."""
    room = extent - size
    return int(rng.integers(room + 1)) if room >= 0 else -(-room // 2)


def _padded(plane: Plane, pad: tuple[int, int, int, int], *, mirror: bool = False) -> Plane:
    if not any(pad):
        return np.ascontiguousarray(plane)
    if mirror:
        made: Plane = cv2.copyMakeBorder(np.ascontiguousarray(plane), *pad, cv2.BORDER_REFLECT_101)
        return made
    return np.pad(plane, (pad[:2], pad[2:]))


def _cut_warped(
    arrays: SampleArrays, size: int, move: Move, rng: np.random.Generator
) -> tuple[SampleArrays, Plane]:
    height, width = arrays.shape
    half = size / 2 / move.scale
    centre = np.array([_centre(width, half, rng), _centre(height, half, rng)])
    corner = half * math.sqrt(2) + REACH
    x0, y0 = (max(int(c - corner), 0) for c in centre)
    x1, y1 = (
        min(math.ceil(c + corner) + 1, e) for c, e in zip(centre, (width, height), strict=True)
    )
    linear = move.matrix
    shift = (size - 1) / 2 - linear @ (centre - (x0, y0))
    matrix = np.hstack([linear, shift[:, None]])
    box = (slice(y0, y1), slice(x0, x1))
    changes: dict[str, Any] = {
        name: _warp_image(plane[box], matrix, size, move.scale)
        if name == "image"
        else _warp_nearest(_warpable(plane[box]), matrix, size)
        for name, plane in _planes(arrays).items()
    }
    valid = _warp_nearest(np.ones((y1 - y0, x1 - x0), np.uint8), matrix, size)
    return replace(arrays, **changes), valid


def _centre(extent: int, half: float, rng: np.random.Generator) -> float:
    """Draw the centre of a crop, so that it lies in the image if it fits."""
    low, high = half - 0.5, extent - half - 0.5
    return float(rng.uniform(low, high)) if high > low else (extent - 1) / 2


def _warp_image(image: UInt8, matrix: Plane, size: int, scale: float) -> UInt8:
    source: Any = image
    if scale < ALIASING_BELOW:
        source = cv2.GaussianBlur(image, (0, 0), SMOOTHING / scale)
    warped: Any = cv2.warpAffine(
        source, matrix, (size, size), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101
    )
    return np.asarray(warped, np.uint8)


def _warp_nearest(plane: Plane, matrix: Plane, size: int) -> Plane:
    warped: Plane = cv2.warpAffine(
        plane, matrix, (size, size), flags=cv2.INTER_NEAREST, borderValue=0
    )
    return warped


def _warpable(plane: Plane) -> Plane:
    """Return whole numbers as a type that OpenCV turns exactly."""
    return np.ascontiguousarray(plane, np.uint8 if plane.dtype.itemsize == 1 else np.int32)
