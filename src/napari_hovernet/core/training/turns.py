"""The eight flips and quarter turns, of planes, of HV in any convention, and of tokens."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import InputError
from ..hv import ORDERS
from ..types import Float32

QUARTERS = 4


@dataclass(frozen=True)
class Turn:
    """A mirroring at the vertical axis, then quarter turns against the clock.

    Parameters
    ----------
    flip : bool
        Left and right are swapped first.
    quarters : int
        0..3.

    Raises
    ------
    InputError
        If the number of quarter turns is another.

    Examples
    --------
    >>> len(TURNS)
    8
    """

    flip: bool = False
    quarters: int = 0

    def __post_init__(self) -> None:
        if self.quarters not in range(QUARTERS):
            raise InputError(f"quarters is {self.quarters}; give 0, 1, 2 or 3.")

    @property
    def matrix(self) -> npt.NDArray[np.float64]:
        """2 x 2 matrix that an offset (x to the right, y down) is multiplied with."""
        quarter = np.array([[0.0, 1.0], [-1.0, 0.0]])
        mirror = np.diag([-1.0 if self.flip else 1.0, 1.0])
        turned: npt.NDArray[np.float64] = np.linalg.matrix_power(quarter, self.quarters) @ mirror
        return turned


TURNS = tuple(Turn(flip, quarters) for flip in (False, True) for quarters in range(QUARTERS))
"""All eight; the first changes nothing."""


def turn_plane(array: npt.NDArray[Any], turn: Turn, axes: tuple[int, int] = (-2, -1)) -> Any:
    """Turn rows and columns of an array, a view of it.

    Examples
    --------
    >>> turn_plane(np.array([[1, 2]]), Turn(flip=True)).tolist()
    [[2, 1]]
    """
    turned = np.flip(array, axes[1]) if turn.flip else array
    return np.rot90(turned, turn.quarters, axes)


def turn_hv(hv: Float32, turn: Turn, order: str = "hv") -> Float32:
    """Turn an HV map: its pixels change place, and its vectors turn with them.

    The order must be the true one: with the other, flips negate the wrong channel and over
    all eight turns nothing is left of the map. The sign does not matter.

    Parameters
    ----------
    hv : float32 (2, H, W)
    turn : Turn
    order : {"hv", "vh"}
        Which channel comes first: "hv" = the one along x.

    Returns
    -------
    float32 array (2, H, W), or (2, W, H) after an odd number of quarter turns
        A new array.

    Raises
    ------
    InputError
        If the order is not known.

    Examples
    --------
    >>> turn_hv(np.array([[[0.5]], [[0.2]]], np.float32), Turn(flip=True)).ravel().tolist()[0]
    -0.5
    """
    if order not in ORDERS:
        raise InputError(f"order is {order!r}; choose one of {', '.join(ORDERS)}.")
    moved = turn_plane(hv, turn)
    x, y = moved if order == "hv" else moved[::-1]
    matrix = turn.matrix.astype(np.float32)
    turned = [row[0] * x + row[1] * y for row in matrix]
    return np.stack(turned if order == "hv" else turned[::-1])


def turn_tokens(features: npt.NDArray[Any], turn: Turn) -> npt.NDArray[Any]:
    """Turn the patch tokens of a square grid; those before the patches stay.

    A frozen encoder would give slightly other tokens for a turned image: this stands in for
    it, as only the tokens are kept.

    Parameters
    ----------
    features : float (N, D)
        The last g * g tokens are patches, row by row, with the largest g that N allows.

    Examples
    --------
    >>> turn_tokens(np.array([[9.0], [1], [2], [3], [4]]), Turn(flip=True)).ravel().tolist()
    [9.0, 2.0, 1.0, 4.0, 3.0]
    """
    if turn == Turn():
        return features
    grid = math.isqrt(len(features))
    first = len(features) - grid * grid
    patches = features[first:].reshape(grid, grid, -1)
    moved = turn_plane(patches, turn, (0, 1)).reshape(grid * grid, -1)
    return np.concatenate((features[:first], moved))
