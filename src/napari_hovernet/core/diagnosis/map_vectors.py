"""How HV may be meant: eight readings, and how well each fits, out of one 2 x 2 matrix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from ..types import Bool, Float32

Float64 = npt.NDArray[np.float64]
NO_LENGTH = 1e-6
"""Vectors not longer than this have no direction."""


@dataclass(frozen=True)
class Reading:
    """One of the eight ways in which HV may be meant.

    Parameters
    ----------
    order : {"hv", "vh"}
        "vh" = the first channel is the one along y.
    x, y : {1, -1}
        What the channel along x, and that along y, has to be multiplied with to point
        outward.

    Examples
    --------
    >>> Reading("hv", -1, -1).words
    '[H, V], inward'
    """

    order: str = "hv"
    x: int = 1
    y: int = 1

    @property
    def plain(self) -> bool:
        """Whether HV is meant as it claims."""
        return self == Reading()

    @property
    def swapped(self) -> bool:
        """Whether the channels have changed places."""
        return self.order == "vh"

    @property
    def inward(self) -> bool:
        """Whether both channels are negated."""
        return self.x < 0 and self.y < 0

    @property
    def one_negated(self) -> str:
        """Axis of the one channel that is negated, "x" or "y"; "" if none or both."""
        if self.x == self.y:
            return ""
        return "x" if self.x < 0 else "y"

    @property
    def words(self) -> str:
        """What it says, in words."""
        name = "[V, H]" if self.swapped else "[H, V]"
        if self.one_negated:
            return f"{name}, {self.one_negated} negated"
        return f"{name}, {'inward' if self.inward else 'outward'}"

    def score(self, matrix: Float64) -> float:
        """Return its share of a matrix as :func:`cosine_matrix` gives it."""
        rows = (0, 1) if self.order == "hv" else (1, 0)
        return float(self.x * matrix[rows[0], 0] + self.y * matrix[rows[1], 1])

    @property
    def matrix(self) -> npt.NDArray[np.int64]:
        """2 x 2 matrix that makes [H, V] outward of what is given."""
        rows = np.eye(2, dtype=np.int64)[:: -1 if self.swapped else 1]
        made: npt.NDArray[np.int64] = np.diag([self.x, self.y]) @ rows
        return made


READINGS = tuple(Reading(o, x, y) for o, x, y in product(("hv", "vh"), (1, -1), (1, -1)))
"""All eight; the first is what HV claims to be."""


@dataclass(frozen=True, eq=False)
class Fit:
    """How well the eight readings fit.

    Parameters
    ----------
    matrix : float64 (2, 2)
        Row = channel as given, column = axis; the sum of the diagonal is the mean cosine (or
        share of rising steps) of what HV claims to be.
    n : int
        Pixels.
    parts : int
        Nuclei.
    """

    matrix: Float64
    n: int
    parts: int = 0

    @property
    def scores(self) -> tuple[float, ...]:
        """Of each of :data:`READINGS`."""
        return tuple(reading.score(self.matrix) for reading in READINGS)

    @property
    def best(self) -> Reading:
        """The reading that fits best."""
        return READINGS[int(np.argmax(self.scores))]

    @property
    def score(self) -> float:
        """Of the best reading."""
        return max(self.scores)

    @property
    def lead(self) -> float:
        """By how much it leads the next."""
        ranked = sorted(self.scores)
        return ranked[-1] - ranked[-2]

    @property
    def claimed(self) -> float:
        """Score of what HV claims to be."""
        return self.scores[0]

    def sure(self, score: float, lead: float) -> bool:
        """Whether the best reading can be believed."""
        return bool(self.n) and self.score >= score and self.lead >= lead


NO_FIT = Fit(np.zeros((2, 2)), 0)


def pooled(fits: Sequence[Fit]) -> Fit:
    """Put fits of several images together, by pixels.

    Examples
    --------
    >>> pooled([Fit(np.eye(2), 1), Fit(np.zeros((2, 2)), 3)]).claimed
    0.5
    """
    n = sum(fit.n for fit in fits)
    if not n:
        return NO_FIT
    matrix = sum((fit.matrix * (fit.n / n) for fit in fits), np.zeros((2, 2)))
    return Fit(matrix, n, sum(fit.parts for fit in fits))


def cosine_matrix(hv: Float32, target: Float32, parts: int = 0) -> Fit:
    """Compare each channel of HV with each axis of what it should be.

    Parameters
    ----------
    hv, target : float32 (2, H, W)
        Pixels whose target is 0 are left out; where HV is 0 they count as 0.
    parts : int
        Nuclei in the target.

    Returns
    -------
    Fit
        The score of a reading is its mean cosine, -1..1.

    Examples
    --------
    >>> hv = np.array([[[0.6]], [[0.8]]], np.float32)
    >>> round(cosine_matrix(hv[::-1], hv).score, 3), cosine_matrix(hv[::-1], hv).best.order
    (1.0, 'vh')
    """
    wanted = np.hypot(*target)
    use = wanted > NO_LENGTH
    n = int(use.sum())
    if not n:
        return NO_FIT
    p, t = hv[:, use].astype(np.float64), target[:, use].astype(np.float64)
    length = np.hypot(*p)
    p = p / np.where(length > NO_LENGTH, length, np.inf)
    return Fit(p @ (t / wanted[use]).T / n, n, parts)


def slope_matrix(hv: Float32, inside: Bool, steepest: float) -> Fit:
    """Tell by slopes: inside a nucleus x rises from left to right and y from top to bottom.

    Parameters
    ----------
    hv : float32 (2, H, W)
    inside : bool (H, W)
    steepest : float
        Larger steps are borders between nuclei, and left out.

    Returns
    -------
    Fit
        The score of a reading is the share of the steps that rise as it wants them to.

    Examples
    --------
    >>> ramp = np.arange(5, dtype=np.float32) / 10
    >>> hv = np.stack([np.tile(ramp, (5, 1)), np.tile(-ramp[:, None], (1, 5))])
    >>> slope_matrix(hv, np.ones((5, 5), bool), 0.5).best.words
    '[H, V], y negated'
    """
    rise, size, n = np.zeros((2, 2)), np.zeros((2, 2)), 0
    for channel, axis in product((0, 1), (0, 1)):
        values: Any = hv[channel] if axis == 0 else hv[channel].T
        within: Any = inside if axis == 0 else inside.T
        step = np.diff(values, axis=1)
        use = within[:, 1:] & within[:, :-1] & (np.abs(step) < steepest)
        used = step[use].astype(np.float64)
        rise[channel, axis], size[channel, axis] = used.sum(), np.abs(used).sum()
        n += int(used.size)
    whole = size.max(axis=1).sum()
    return Fit(rise / whole, n) if whole > 0 else NO_FIT
