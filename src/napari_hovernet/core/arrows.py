"""HV as arrows, thinned to as many as can be read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from .tiling import Box
from .types import Float32

BARB_LENGTH, BARB_WIDTH = 0.3, 0.2
"""Barbs of a drawn arrow along and across it, in units of its length."""


@dataclass(frozen=True)
class ArrowParams:
    """How many arrows are drawn, and how long they are.

    Parameters
    ----------
    limit : int
        Most arrows that are drawn.
    least_step : int
        Pixels between two arrows at least.
    fill : float
        Length of an arrow of magnitude 1, in units of the grid's step.
    longest : float
        Arrows are cut to this length, in units of the grid's step, so that a map of wild
        lengths stays readable.

    Raises
    ------
    InputError
        If a number is out of range.
    """

    limit: int = 3000
    least_step: int = 1
    fill: float = 0.9
    longest: float = 2.0

    def __post_init__(self) -> None:
        for name in ("limit", "least_step"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}; give 1 or more.")
        for name in ("fill", "longest"):
            if not 0 < getattr(self, name) < np.inf:
                raise InputError(f"{name} is {getattr(self, name)}; give a number above 0.")


def hv_arrows(
    hv: Float32,
    mask: npt.NDArray[Any],
    box: tuple[int, int, int, int] | None = None,
    params: ArrowParams | None = None,
) -> Float32:
    """Sample HV on a regular grid inside a mask, as starts and projections.

    Parameters
    ----------
    hv : float array (2, H, W)
        Channel 0 = x to the right, channel 1 = y down.
    mask : bool or int array (H, W)
        Where arrows may start: on pixels that are not 0, so labels will do.
    box : tuple of int, optional
        Rows and columns in view, (r0, r1, c0, c1), half-open; cut to the array.
        Default: all of it.
    params : ArrowParams, optional
        Default ``ArrowParams()``.

    Returns
    -------
    float32 array (n, 2, 2)
        For each arrow its start and its projection, both (row, column) in pixels, as
        napari's Vectors layer takes them. The grid is that of multiples of the step,
        whatever the box, so that arrows keep their places while the view moves.

    Raises
    ------
    InputError
        If the shapes do not fit.

    Examples
    --------
    >>> hv = np.zeros((2, 4, 4), np.float32)
    >>> hv[0] = 1.0
    >>> hv_arrows(hv, np.ones((4, 4), bool), (0, 1, 0, 2), ArrowParams(fill=0.5)).tolist()
    [[[0.0, 0.0], [0.0, 0.5]], [[0.0, 1.0], [0.0, 0.5]]]
    """
    params = ArrowParams() if params is None else params
    hv, mask = np.asarray(hv), np.asarray(mask)
    if hv.ndim != 3 or hv.shape != (2, *mask.shape):
        raise InputError(
            f"hv has shape {hv.shape} and mask {mask.shape}; give (2, H, W) and (H, W)."
        )
    view = cut_box(box, mask.shape)
    step = grid_step(mask, view, params)
    rows, cols = _grid(mask, view, step)
    arrows = np.empty((len(rows), 2, 2), np.float32)
    arrows[:, 0] = np.stack((rows, cols), axis=1)
    arrows[:, 1] = hv[::-1, rows, cols].T
    arrows[:, 1] *= step * params.fill
    _shorten(arrows[:, 1], step * params.longest)
    return arrows


def arrow_lines(arrows: Float32) -> Float32:
    """Draw arrows as line segments: shaft and two barbs each.

    Parameters
    ----------
    arrows : float32 (n, 2, 2)
        Start and projection, (row, column).

    Returns
    -------
    float32 array (6 n, 2)
        Pairs of end points, x and y, for a plot that connects each pair.

    Examples
    --------
    >>> arrow_lines(np.array([[[0, 0], [0, 2]]], np.float32))[:2].tolist()
    [[0.0, 0.0], [2.0, 0.0]]
    """
    start, along = arrows[:, 0, ::-1], arrows[:, 1, ::-1]
    tip, aside = start + along, along[:, ::-1] * np.array([-1, 1], np.float32)
    back, out = tip - BARB_LENGTH * along, BARB_WIDTH * aside
    points = np.stack((start, tip, tip, back + out, tip, back - out), axis=1)
    lines: Float32 = points.reshape(-1, 2).astype(np.float32)
    return lines


def cut_box(box: tuple[int, int, int, int] | None, shape: tuple[int, ...]) -> Box:
    """Cut a box (r0, r1, c0, c1) to an array; an empty one where nothing is left.

    Examples
    --------
    >>> cut_box((-3, 5, 2, 99), (4, 6))
    Box(r0=0, r1=4, c0=2, c1=6)
    """
    height, width = shape
    if box is None:
        return Box(0, height, 0, width)
    r0, c0 = max(int(box[0]), 0), max(int(box[2]), 0)
    r1, c1 = min(int(box[1]), height), min(int(box[3]), width)
    return Box(min(r0, height), max(r1, min(r0, height)), min(c0, width), max(c1, min(c0, width)))


def grid_step(mask: npt.NDArray[Any], box: Box, params: ArrowParams) -> int:
    """Smallest step in pixels of a grid that fits the parameters, seen through the mask.

    Examples
    --------
    >>> grid_step(np.ones((100, 100), bool), Box(0, 100, 0, 100), ArrowParams(limit=25))
    20
    """
    part = mask[box.slices()]
    step = max(int(np.sqrt(np.count_nonzero(part) / params.limit)), params.least_step)
    while len(_grid(mask, box, step)[0]) > params.limit:
        step += 1
    return step


def _grid(
    mask: npt.NDArray[Any], box: Box, step: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Rows and columns of the multiples of ``step`` in a box that lie on the mask."""
    r0, c0 = -(-box.r0 // step) * step, -(-box.c0 // step) * step
    rows, cols = np.nonzero(mask[r0 : box.r1 : step, c0 : box.c1 : step])
    return rows * step + r0, cols * step + c0


def _shorten(projections: Float32, longest: float) -> None:
    """Cut vectors (n, 2), in place, to a length."""
    length = np.hypot(projections[:, 0], projections[:, 1])
    over = length > longest
    projections[over] *= (longest / length[over])[:, None]
