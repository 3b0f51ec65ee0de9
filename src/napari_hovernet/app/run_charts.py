"""The curves of a training run as plain values: what is drawn as SVG, as a picture, or anywhere."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ..core.magnitude_bands import MagnitudeBands
from .run_series import Float64
from .run_view import HEADS, SHARES, RunView

POINTS = 240
"""Points of a curve at most: steps are averaged over equal parts of the run."""
PLAIN = {
    "np": "NP", "hv": "HV", "nt": "type", "hv_mse": "HV error", "hv_gradient": "HV slope",
    "hv_magnitude": "HV length",
}  # fmt: skip
"""Names of terms and heads in legends."""
TICKS = 4
ROOM = 0.06
"""Share of the range that is left free above and below the curves."""


@dataclass(frozen=True, eq=False)
class Line:
    """A curve.

    Parameters
    ----------
    name : str
        In the legend.
    role : str
        What it stands for; decides its colour: "main", "train", "base", "best" or a term.
    x, y : float64 (n,)
        Epochs, values; NaN = a gap.
    dashed : bool
    """

    name: str
    role: str
    x: Float64
    y: Float64
    dashed: bool = False

    def parts(self) -> Iterator[tuple[Float64, Float64]]:
        """Yield the parts without gaps."""
        known = np.isfinite(self.x) & np.isfinite(self.y)
        edges = np.flatnonzero(np.diff(np.r_[False, known, False].astype(np.int8)))
        for begin, end in edges.reshape(-1, 2):
            yield self.x[begin:end], self.y[begin:end]


@dataclass(frozen=True, eq=False)
class Chart:
    """Curves over epochs in one frame.

    Parameters
    ----------
    title : str
    lines : tuple of Line
        Those with anything to show.
    levels : tuple of (float, str)
        Values with a meaning of their own, and what they mean.
    limits : (float or None, float or None)
        Least and largest value that must be seen.
    note : str
        How to read it.
    """

    title: str
    lines: tuple[Line, ...]
    levels: tuple[tuple[float, str], ...] = ()
    limits: tuple[float | None, float | None] = (None, None)
    note: str = ""

    def x_range(self) -> tuple[float, float]:
        """Return the first and last epoch; never empty."""
        low, high = _range([line.x for line in self.lines])
        return (low, high) if high > low else (low, low + 1)

    def y_range(self) -> tuple[float, float]:
        """Return the values of the lower and upper edge; never empty."""
        low, high = _range([line.y for line in self.lines])
        must = [value for value in self.limits if value is not None]
        must += [value for value, _ in self.levels]
        low, high = min([low, *must]), max([high, *must])
        if high <= low:
            low, high = low - 0.5, high + 0.5
        room = ROOM * (high - low)
        bottom, top = self.limits
        return (
            low if bottom is not None and low >= bottom else low - room,
            high if top is not None and high <= top else high + room,
        )


def charts_of(view: RunView) -> tuple[Chart, ...]:
    """Return the charts of a run that have anything to show.

    Examples
    --------
    >>> charts_of(RunView())
    ()
    """
    made = (*_learning(view), *_scores(view), *_inside(view))
    return tuple(chart for chart in made if chart.lines)


def _learning(view: RunView) -> Sequence[Chart]:
    bands = MagnitudeBands()
    return (
        Chart(
            "Loss",
            _known(_step(view, "total", "training", "train"),
                   _epoch(view, "loss", "validation", "main")),
        ),
        Chart(
            "HV magnitude inside nuclei",
            _known(_step(view, "magnitude", "training", "train"),
                   _epoch(view, "magnitude", "validation", "main"),
                   _epoch(view, "true_magnitude", "truth", "best", dashed=True)),
            ((bands.collapsed, "investigate"), (bands.weak, "go on"), (bands.healthy, "healthy")),
            (0.0, None),
            "Below 0.10 after 5 epochs: investigate; above 0.25: go on; above 0.50 at the end.",
        ),
        Chart(
            "HV direction",
            _known(_epoch(view, "cosine", "cosine to the truth", "main")),
            ((0.0, "nothing learnt"),),
            (None, 1.0),
            "1 = right, 0 = none learnt, -1 = wrong sign. Length alone is worth nothing.",
        ),
        Chart(
            "HV error",
            _known(_epoch(view, "hv_mse", "mean squared", "main"),
                   _epoch(view, "hv_zero_mse", "a map of zeros", "base", dashed=True)),
            limits=(0.0, None),
        ),
    )  # fmt: skip


def _scores(view: RunView) -> Sequence[Chart]:
    return (
        Chart(
            "Nuclei that come apart",
            _known(_epoch(view, "aji", "AJI", "main"),
                   _epoch(view, "cc_aji", "connected components", "base", dashed=True),
                   _epoch(view, "oracle_aji", "oracle", "best", dashed=True),
                   _epoch(view, "pq", "PQ", "train")),
            limits=(0.0, 1.0),
            note="Connected components: nothing separated. Oracle: the true maps, separated "
            "in the same way.",
        ),
        Chart(
            "Nuclei against background",
            _known(_epoch(view, "dice", "Dice", "main"),
                   _epoch(view, "all_foreground_dice", "all foreground", "base", dashed=True)),
            limits=(0.0, 1.0),
        ),
    )  # fmt: skip


def _inside(view: RunView) -> Sequence[Chart]:
    shares = [_step(view, f"share_{name}", PLAIN[name], name) for name in SHARES]
    heads = [Line(PLAIN[n], n, _head_epochs(view), view.heads[n]) for n in HEADS]
    return (
        Chart("Weighted shares of the loss", _taking_part(shares), limits=(0.0, 1.0)),
        Chart(
            "Shares of the gradient",
            _taking_part(heads),
            limits=(0.0, 1.0),
            note="What each head's weighted loss pulls at the shared part of the network.",
        ),
        Chart(
            "Learning rate", _known(_step(view, "lr", "rate", "train")), limits=(0.0, None)
        ),
    )  # fmt: skip


def _known(*lines: Line) -> tuple[Line, ...]:
    return tuple(line for line in lines if np.isfinite(line.y).any())


def _taking_part(lines: Sequence[Line]) -> tuple[Line, ...]:
    """Leave out terms that have no share at any time."""
    return tuple(line for line in _known(*lines) if np.nanmax(np.abs(line.y)) > 0)


def _epoch(view: RunView, name: str, title: str, role: str, *, dashed: bool = False) -> Line:
    return Line(title, role, view.epochs["epoch"], view.epochs[name], dashed)


def _step(view: RunView, name: str, title: str, role: str) -> Line:
    x, y = thinned(_epochs_of(view, view.steps["step"], view.steps["epoch"]), view.steps[name])
    return Line(title, role, x, y)


def _head_epochs(view: RunView) -> Float64:
    return _epochs_of(view, view.heads["step"], view.heads["epoch"])


def _epochs_of(view: RunView, steps: Float64, epochs: Float64) -> Float64:
    """Return steps in epochs: the first of 10 steps of the second epoch is 1.1."""
    return steps / view.steps_per_epoch if view.steps_per_epoch else epochs


def thinned(x: Float64, y: Float64, points: int = POINTS) -> tuple[Float64, Float64]:
    """Average neighbours so that no more than ``points`` remain; NaN are left out.

    Examples
    --------
    >>> thinned(np.arange(4.0), np.array([1.0, 3.0, np.nan, 5.0]), 2)
    (array([0.5, 3. ]), array([2., 5.]))
    """
    known = np.isfinite(x) & np.isfinite(y)
    n = len(x)
    if n <= points:
        return x, y
    part = (np.arange(n) * points // n)[known]
    count = np.bincount(part, minlength=points)
    keep = count > 0
    mean_x = np.bincount(part, x[known], points)[keep] / count[keep]
    mean_y = np.bincount(part, y[known], points)[keep] / count[keep]
    return mean_x, mean_y


def _range(arrays: Sequence[Float64]) -> tuple[float, float]:
    values = np.concatenate(arrays) if arrays else np.zeros(0)
    values = values[np.isfinite(values)]
    return (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)


def ticks(low: float, high: float, n: int = TICKS) -> list[float]:
    """Return round numbers from ``low`` to ``high``, about ``n`` of them.

    Examples
    --------
    >>> ticks(0, 1), ticks(0, 23)
    ([0.0, 0.2, 0.4, 0.6, 0.8, 1.0], [0.0, 5.0, 10.0, 15.0, 20.0])
    """
    rough = (high - low) / max(n, 1)
    if not (math.isfinite(rough) and rough > 0):
        return [low]
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.75)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [float(f"{i * step:.12g}") for i in range(first, last + 1)]


def tick_text(value: float) -> str:
    """Write a tick.

    Examples
    --------
    >>> tick_text(0.5), tick_text(20.0), tick_text(0.00005)
    ('0.5', '20', '5e-05')
    """
    return f"{value:.6g}"
