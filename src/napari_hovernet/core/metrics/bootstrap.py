"""A mean and how far it can be trusted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from ...errors import InputError


@dataclass(frozen=True)
class BootstrapParams:
    """How a mean is resampled.

    Parameters
    ----------
    confidence : float
        Share of the resampled means inside the interval, in 0..1 exclusive.
    resamples : int
        Number of resampled means, 1 or more.
    seed : int
        The same numbers give the same interval.

    Raises
    ------
    InputError
        If a number is out of range.
    """

    confidence: float = 0.95
    resamples: int = 9999
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.confidence < 1:
            raise InputError(f"confidence is {self.confidence}; give a share between 0 and 1.")
        if self.resamples < 1:
            raise InputError(f"resamples is {self.resamples}; give 1 or more.")
        if self.seed < 0:
            raise InputError(f"seed is {self.seed}; give 0 or more.")


@dataclass(frozen=True)
class Interval:
    """Mean of ``n`` values, and the interval it lies in; NaN where there is none."""

    mean: float
    low: float
    high: float
    n: int


def bootstrap_mean(values: npt.ArrayLike, params: BootstrapParams | None = None) -> Interval:
    """Return the mean of some values with its percentile bootstrap interval.

    Parameters
    ----------
    values : array
        One number per image; NaN (a score that is not defined there) is left out.
    params : BootstrapParams, optional
        Default ``BootstrapParams()``: 95 %, 9,999 resamples, seed 0.

    Returns
    -------
    Interval
        Without values all is NaN; one value has a mean and no interval.

    Raises
    ------
    InputError
        If a value is infinite.

    Notes
    -----
    Percentile bootstrap of Efron and Tibshirani (1993), by ``scipy.stats.bootstrap``. It
    speaks of other images like these, drawn one by one: of few images, or of several
    crops of one slide, it promises too much.

    Examples
    --------
    >>> interval = bootstrap_mean([0.6, 0.7, 0.8, float("nan")])
    >>> round(interval.mean, 2), round(interval.low, 2), round(interval.high, 2), interval.n
    (0.7, 0.6, 0.8, 3)
    """
    params = BootstrapParams() if params is None else params
    array = np.asarray(values, dtype=np.float64).ravel()
    array = array[~np.isnan(array)]
    if np.isinf(array).any():
        raise InputError("A value is infinite; leave it out or give NaN.")
    nan = float("nan")
    if not array.size:
        return Interval(nan, nan, nan, 0)
    mean = float(array.mean())
    if array.size == 1:
        return Interval(mean, nan, nan, 1)
    found = stats.bootstrap(
        (array,),
        np.mean,
        n_resamples=params.resamples,
        confidence_level=params.confidence,
        method="percentile",
        random_state=np.random.default_rng(params.seed),
    ).confidence_interval
    return Interval(mean, float(found.low), float(found.high), int(array.size))
