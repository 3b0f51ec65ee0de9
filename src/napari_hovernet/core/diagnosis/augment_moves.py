"""Which move was drawn: from the labels, and, on its own, from the image."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ..data.samples import TURNS, Turn, turn_plane
from ..types import Bool, Float32, Int32
from .augment_limits import AugmentationLimits

Matrix = npt.NDArray[np.float64]
LEAST_POINTS = 3
SMOOTH = 1.5
"""Sigma in pixels by which images are smoothed before they are compared."""
KEEP_RESIDUAL = 3.0
"""Points farther off than this many times the median are left out of a fit."""
FLAT = 1e-3
SURELY = 0.97
"""Correlation above which an image is where its labels are."""
EVERY = 2
"""Images are compared on every second row and column, after smoothing."""
LEAST_PIXELS = 200


@dataclass(frozen=True, eq=False)
class Move:
    """A move of the plane that was recognised.

    Parameters
    ----------
    turn : Turn
        The nearest of the eight.
    exact : bool
        Whether labels came back as that turn leaves them.
    linear : array (2, 2)
        Of offsets (x, y).
    shift : array (2,)
        Pixels (x, y): new = linear @ old + shift.
    """

    turn: Turn
    exact: bool
    linear: Matrix
    shift: Matrix

    @property
    def pure(self) -> Matrix:
        """The rotation (and mirroring) alone."""
        u, _, v = np.linalg.svd(self.linear)
        made: Matrix = u @ v
        return made

    @property
    def scale(self) -> float:
        """Magnification."""
        return float(np.sqrt(abs(np.linalg.det(self.linear))))


def move_of(before: Int32, after: npt.NDArray[Any]) -> Move | None:
    """Recognise the move of labels; None where it cannot be told.

    Examples
    --------
    >>> labels = np.zeros((8, 8), np.int32)
    >>> labels[1:3, 1:6] = 5
    >>> move_of(labels, labels[:, ::-1]).turn
    Turn(flip=True, quarters=0)
    """
    height, width = before.shape
    for same in (np.array_equal, _same_outlines):
        for turn in TURNS:
            moved = turn_plane(before, turn)
            if moved.shape == after.shape and same(moved, after):
                return Move(turn, True, turn.matrix, _turn_shift(turn, height, width))
    fitted = _fitted(before, after)
    if fitted is None:
        return None
    linear, shift = fitted
    free = Move(TURNS[0], False, linear, shift)
    turn = max(TURNS, key=lambda t: float((t.matrix * free.pure).sum()))
    return replace(free, turn=turn)


def _same_outlines(moved: npt.NDArray[Any], after: npt.NDArray[Any]) -> bool:
    """Whether labels are the same but for their ids."""
    if not np.array_equal(moved > 0, after > 0):
        return False
    pairs = np.unique(np.stack((moved.ravel(), after.ravel())), axis=1)
    return bool(len(np.unique(pairs[0])) == pairs.shape[1] == len(np.unique(pairs[1])))


def _turn_shift(turn: Turn, height: int, width: int) -> Matrix:
    """Pixels by which a turn moves the plane, so that corners fall on corners."""
    centre = np.array([(width - 1) / 2, (height - 1) / 2])
    new = centre[::-1] if turn.quarters % 2 else centre
    made: Matrix = new - turn.matrix @ centre
    return made


def whole_nuclei(labels: npt.NDArray[Any]) -> dict[int, tuple[float, float, int]]:
    """Centre (x, y) and area of the nuclei that do not touch the edge, by id."""
    edge = np.concatenate((labels[0], labels[-1], labels[:, 0], labels[:, -1]))
    ids, where = np.unique(labels, return_inverse=True)
    where = where.reshape(-1)
    rows, cols = np.indices(labels.shape)
    area = np.bincount(where, minlength=len(ids))
    x = np.bincount(where, cols.ravel(), len(ids)) / area
    y = np.bincount(where, rows.ravel(), len(ids)) / area
    cut = np.isin(ids, edge)
    return {
        int(i): (float(x[k]), float(y[k]), int(area[k]))
        for k, i in enumerate(ids)
        if i > 0 and not cut[k]
    }


def _fitted(before: Int32, after: npt.NDArray[Any]) -> tuple[Matrix, Matrix] | None:
    """Fit a linear move to the centres of nuclei that are whole before and after."""
    old, new = whole_nuclei(before), whole_nuclei(after)
    both = sorted(set(old) & set(new))
    if len(both) < LEAST_POINTS:
        return None
    points = np.array([[*old[i][:2], 1.0] for i in both])
    to = np.array([new[i][:2] for i in both])
    weight = np.array([min(old[i][2], new[i][2]) for i in both], np.float64)
    keep = np.ones(len(both), bool)
    solved: Matrix = np.zeros((3, 2))
    for _ in range(3):
        if keep.sum() < LEAST_POINTS or np.linalg.matrix_rank(points[keep]) < LEAST_POINTS:
            return None
        w = np.sqrt(weight[keep])[:, None]
        solved = np.linalg.lstsq(points[keep] * w, to[keep] * w, rcond=None)[0]
        off = np.linalg.norm(points @ solved - to, axis=1)
        keep = off <= max(KEEP_RESIDUAL * float(np.median(off)), 1.0)
    return solved[:2].T, solved[2]


@dataclass(frozen=True)
class Together:
    """How image and labels moved.

    Parameters
    ----------
    correlation : float
        Of the returned image with the image moved as the labels were.
    other : Turn, optional
        Turn by which the image is off; None if it is not.
    best : float
        Correlation with it.
    shift : (float, float)
        Pixels (x, y) by which the image is off.
    """

    correlation: float
    other: Turn | None = None
    best: float = 0.0
    shift: tuple[float, float] = (0.0, 0.0)

    def apart(self, limits: AugmentationLimits) -> bool:
        """Whether the image went elsewhere than its labels."""
        off = float(np.hypot(*self.shift))
        return self.other is not None or off > limits.shift


def together(
    image: npt.NDArray[Any], returned: npt.NDArray[Any], move: Move, limits: AugmentationLimits
) -> Together:
    """Compare the returned image with the image moved as its labels were.

    Parameters
    ----------
    image, returned : array (H, W, C)
    move : Move
        Of the labels.
    limits : AugmentationLimits
    """
    there = _grey(returned)
    expected, valid = moved_plane(_grey(image), move, there.shape)
    own = _correlation(expected, there, valid)
    if own > SURELY:
        return Together(own, None, own)
    best, other = own, None
    for turn in TURNS[1:]:
        turned = turn_plane(expected, turn)
        if turned.shape == there.shape:
            found = _correlation(turned, there, np.ascontiguousarray(turn_plane(valid, turn)))
            if found > best:
                best, other = found, turn
    if other is not None and best > limits.together and best - own > limits.apart:
        return Together(own, other, best)
    return Together(own, None, own, _shift(expected, there, valid, own, limits))


def _shift(
    expected: Float32, there: Float32, valid: Bool, own: float, limits: AugmentationLimits
) -> tuple[float, float]:
    a, b = (np.where(valid, x - x[valid].mean(), 0).astype(np.float64) for x in (expected, there))
    window: Any = cv2.createHanningWindow((a.shape[1], a.shape[0]), cv2.CV_64F)
    (dx, dy), response = cv2.phaseCorrelate(a, b, window)
    if response < limits.response or np.hypot(dx, dy) <= limits.shift:
        return (0.0, 0.0)
    whole = (round(dy), round(dx))
    rolled, inside = np.roll(expected, whole, (0, 1)), np.roll(valid, whole, (0, 1))
    better = _correlation(rolled, there, inside)
    if better > limits.together and better - own > limits.apart / 2:
        return (float(dx), float(dy))
    return (0.0, 0.0)


def moved_plane(plane: Float32, move: Move, shape: tuple[int, ...]) -> tuple[Float32, Bool]:
    """Move a plane as labels were; returns also where it has values."""
    if move.exact:
        made = np.ascontiguousarray(turn_plane(plane, move.turn))
        return made, np.ones(made.shape, bool)
    matrix = np.hstack([move.linear, move.shift[:, None]])
    size = (int(shape[1]), int(shape[0]))
    warped: Any = cv2.warpAffine(plane, matrix, size, flags=cv2.INTER_LINEAR)
    ones = np.ones(plane.shape, np.uint8)
    inside: Any = cv2.warpAffine(ones, matrix, size, flags=cv2.INTER_NEAREST)
    return warped, inside > 0


def moved_hv(hv: Float32, move: Move, like: Float32) -> Float32:
    """Move HV by the nearest pixel and turn its vectors, onto the grid of another map."""
    matrix = np.hstack([move.linear, move.shift[:, None]])
    size = (like.shape[2], like.shape[1])
    planes = [cv2.warpAffine(p, matrix, size, flags=cv2.INTER_NEAREST) for p in hv]
    made: Float32 = np.einsum("ij,jhw->ihw", move.pure, np.stack(planes)).astype(np.float32)
    return made


def _grey(image: npt.NDArray[Any]) -> Float32:
    plane = np.asarray(image, np.float32)
    plane = np.nan_to_num(plane.mean(axis=2) if plane.ndim == 3 else plane)
    return np.asarray(cv2.GaussianBlur(plane, (0, 0), SMOOTH), np.float32)


def _correlation(a: Float32, b: Float32, valid: Bool) -> float:
    a, b, valid = a[::EVERY, ::EVERY], b[::EVERY, ::EVERY], valid[::EVERY, ::EVERY]
    if int(valid.sum()) < LEAST_PIXELS:
        return 0.0
    x, y = a[valid], b[valid]
    x, y = x - x.mean(), y - y.mean()
    size = float(np.sqrt((x**2).sum() * (y**2).sum()))
    return float((x * y).sum()) / size if size > FLAT else 0.0
