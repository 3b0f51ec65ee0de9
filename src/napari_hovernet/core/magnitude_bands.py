"""Bounds by which the length of HV is judged; light, so that a panel can show them at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..errors import InputError

COLLAPSED, WEAK, HEALTHY, NO_NUCLEI = "collapsed", "weak", "healthy", "no nuclei"
"""The words of a verdict."""


@dataclass(frozen=True)
class MagnitudeBands:
    """Bounds by which a mean magnitude inside nuclei is called collapsed, weak or healthy.

    Parameters
    ----------
    collapsed : float
        Below this mean the map is close to the zero map.
    weak : float
        "Go on" bound after a few epochs of training; below it something is wrong.
    healthy : float
        From this mean on the length is what a trained network should give.
    target_low, target_high : float
        Mean magnitude of exact HV maps of round nuclei: 2/3 for a disc, a little more for
        small ones.
    direction : float
        Least mean cosine, -1..1, at which the direction is called right. Good predictions
        have 0.83 to 0.98 against their own instances, about 0 with H and V exchanged.
    bins : int
        Bins of the histogram.
    upper : float
        Where the histogram ends; larger values are counted in its last bin. HV in [-1, 1]
        cannot be longer than the square root of 2.

    Raises
    ------
    InputError
        If the bounds are not in order or a number is out of range.

    Examples
    --------
    >>> MagnitudeBands().word(0.3)
    'weak'
    """

    collapsed: float = 0.10
    weak: float = 0.25
    healthy: float = 0.50
    target_low: float = 0.67
    target_high: float = 0.69
    direction: float = 0.75
    bins: int = 75
    upper: float = 1.5

    def __post_init__(self) -> None:
        if not 0 <= self.collapsed <= self.weak <= self.healthy < np.inf:
            raise InputError(
                f"The bands are collapsed {self.collapsed:g}, weak {self.weak:g} and healthy "
                f"{self.healthy:g}; give 0 <= collapsed <= weak <= healthy."
            )
        if not 0 <= self.target_low <= self.target_high < np.inf:
            raise InputError(
                f"target_low is {self.target_low:g} and target_high {self.target_high:g}; "
                "give 0 <= low <= high."
            )
        if not -1 <= self.direction <= 1:
            raise InputError(f"direction is {self.direction:g}; give a cosine in -1..1.")
        if self.bins < 1:
            raise InputError(f"bins is {self.bins}; give 1 or more.")
        if not 0 < self.upper < np.inf:
            raise InputError(f"upper is {self.upper:g}; give a finite number above 0.")

    def word(self, mean: float) -> str:
        """Name a mean magnitude: "collapsed", "weak" or "healthy"; NaN is "no nuclei"."""
        if np.isnan(mean):
            return NO_NUCLEI
        if mean < self.collapsed:
            return COLLAPSED
        return WEAK if mean < self.healthy else HEALTHY

    @property
    def edges(self) -> npt.NDArray[np.float64]:
        """Edges of the histogram's bins, (bins + 1,)."""
        return np.linspace(0.0, self.upper, self.bins + 1)
