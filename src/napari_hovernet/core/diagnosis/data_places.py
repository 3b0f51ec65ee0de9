"""Whether labels belong where they are: not moved, not turned, on their own image."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..data.samples import TURNS, Turn
from ..types import Progress
from .data_limits import LIMITS, DataLimits
from .data_register import (
    Offsets,
    Pair,
    assigned,
    cross_scores,
    offsets,
    turn_scores,
    unit,
    window_of,
)

FITS, SHIFT, TURN, ORDER, NOWHERE, INVERTED, UNTESTED = (
    "fits", "shift", "turn", "order", "nowhere", "inverted", "untested",
)  # fmt: skip
FEWEST = 5
"""Nuclei below which nothing can be told."""
PLAIN = Turn()


@dataclass(frozen=True, eq=False)
class Placement:
    """What was measured of images and their labels.

    Parameters
    ----------
    pairs : tuple of Pair
    offsets : Offsets, optional
        None if no labels have the size of their image.
    turns : mapping of Turn to float
    scores : float (N, N)
        Labels by image.
    each_turn : tuple of mapping
        ``turns`` of every pair.
    """

    pairs: tuple[Pair, ...]
    offsets: Offsets | None
    turns: Mapping[Turn, float]
    scores: npt.NDArray[np.float64]
    each_turn: tuple[Mapping[Turn, float], ...] = ()

    @property
    def nuclei(self) -> int:
        """Number of nuclei in all."""
        return sum(p.nuclei for p in self.pairs)

    @property
    def own(self) -> float:
        """Mean correlation where labels are."""
        return 0.0 if self.offsets is None else self.offsets.own


def place_steps(
    pairs: Sequence[Pair], what: str, limits: DataLimits = LIMITS
) -> Generator[Progress, None, Placement]:
    """Try all shifts, turns and other images.

    Parameters
    ----------
    pairs : sequence of Pair
    what : str
        Said with the progress.
    limits : DataLimits
    """
    windows, planes = [], [unit(pair.plane) for pair in pairs]
    turns = dict.fromkeys(TURNS, 0.0)
    scores, each = np.zeros((len(pairs), len(pairs))), []
    for number, pair in enumerate(pairs):
        yield Progress(number, len(pairs), what)
        windows.append(window_of(pair, limits))
        each.append(turn_scores(pair))
        for turn, score in each[-1].items():
            turns[turn] += score / len(pairs)
        scores[number] = cross_scores(pair.mask, planes)
    return Placement(tuple(pairs), offsets(windows, limits), turns, scores, tuple(each))


@dataclass(frozen=True, eq=False)
class Where:
    """Where labels belong.

    Parameters
    ----------
    kind : str
        Of :data:`FITS` and the others.
    value : float
        Correlation there.
    own : float
        Correlation where they are.
    at : (int, int)
    turn : Turn
    order : tuple of int
        Pair -> pair whose image it belongs to.
    odd : tuple of int
        Pairs that fit elsewhere while most are in order.
    turned : tuple of int
        Pairs that fit when flipped or turned, while others are in order.
    why : str
        Of what could not be tested.
    """

    kind: str
    value: float = 0.0
    own: float = 0.0
    at: tuple[int, int] = (0, 0)
    turn: Turn = PLAIN
    order: tuple[int, ...] = ()
    odd: tuple[int, ...] = ()
    turned: tuple[int, ...] = ()
    why: str = ""


def judge_place(placed: Placement, limits: DataLimits = LIMITS) -> Where:
    """Tell where labels belong: the one explanation that fits best.

    Parameters
    ----------
    placed : Placement
    limits : DataLimits
    """
    own, n = placed.own, placed.nuclei
    if n < FEWEST:
        return Where(UNTESTED, why=f"{n} nuclei are too few")
    floor = max(limits.match, limits.chance / np.sqrt(n))
    if placed.offsets is not None and placed.offsets.lowest <= -limits.match:
        return Where(INVERTED, own=placed.offsets.lowest, why="nuclei are lighter than the rest")
    found = [
        where
        for where in (
            _as_shift(placed, floor, limits),
            _as_turn(placed, floor, limits),
            _as_order(placed, limits),
        )
        if where is not None
    ]
    if found:
        return max(found, key=lambda where: where.value)
    if own >= floor or placed.offsets is None:
        turned = _some_turned(placed, limits)
        odd = tuple(i for i in _odd(placed, limits) if i not in turned)
        return Where(FITS, own, own, odd=odd, turned=turned)
    if own < limits.fitting and floor <= limits.match:
        return Where(NOWHERE, own, own)
    return Where(UNTESTED, own=own, why=f"{n} nuclei on these images are too few to be sure")


def _as_shift(placed: Placement, floor: float, limits: DataLimits) -> Where | None:
    offsets = placed.offsets
    if offsets is None or np.hypot(*offsets.at) <= limits.shift or offsets.best < floor:
        return None
    alone = len(offsets.each_own) == 1
    better = limits.one_better if alone else limits.shift_better
    agree = alone or offsets.agreeing >= limits.agree
    if offsets.best - offsets.own < better or not agree:
        return None
    return Where(SHIFT, offsets.best, offsets.own, at=offsets.at)


def _as_turn(placed: Placement, floor: float, limits: DataLimits) -> Where | None:
    if not placed.turns:
        return None
    turn = max(placed.turns, key=lambda t: placed.turns[t])
    value = placed.turns[turn]
    if turn == PLAIN or value < floor or value - placed.own < limits.better:
        return None
    return Where(TURN, value, placed.own, turn=turn)


def _as_order(placed: Placement, limits: DataLimits) -> Where | None:
    scores = placed.scores
    if len(scores) < 2:
        return None
    order = assigned(scores)
    rows = np.arange(len(scores))
    own, value = scores[rows, rows], scores[rows, order]
    least = np.array([max(limits.match, limits.chance / np.sqrt(max(p.nuclei, 1)))
                      for p in placed.pairs])  # fmt: skip
    other = (order != rows) & (value >= least) & (value - own >= limits.better)
    if int(other.sum()) < 2:
        return None
    kept = tuple(
        int(j) if moved else int(i) for i, j, moved in zip(rows, order, other, strict=True)
    )
    return Where(ORDER, float(value[other].mean()), float(own[other].mean()), order=kept)


def _odd(placed: Placement, limits: DataLimits) -> tuple[int, ...]:
    """Pairs at another place than where they belong, while most are in order."""
    offsets = placed.offsets
    if offsets is None:
        return ()
    fitting = [i for i, p in enumerate(placed.pairs) if p.fits]
    if len(fitting) != len(offsets.each_at):
        return ()
    odd = []
    for number, i in enumerate(fitting):
        sure = max(2 * limits.match, limits.chance / np.sqrt(max(placed.pairs[i].nuclei, 1)))
        gain = offsets.each_best[number] - offsets.each_own[number]
        far = np.hypot(*offsets.each_at[number]) > limits.shift
        if far and gain >= limits.better and offsets.each_best[number] >= sure:
            odd.append(i)
    return tuple(odd)


def _some_turned(placed: Placement, limits: DataLimits) -> tuple[int, ...]:
    """Pairs that fit when they are flipped or turned, and neither as they are nor moved."""
    offsets = placed.offsets
    fitting = [i for i, p in enumerate(placed.pairs) if p.fits]
    moved = {} if offsets is None else dict(zip(fitting, offsets.each_best, strict=False))
    turned = []
    for i, scores in enumerate(placed.each_turn):
        best = max(scores.values())
        rest = max(scores.get(PLAIN, 0.0), moved.get(i, 0.0))
        sure = max(2 * limits.match, limits.chance / np.sqrt(max(placed.pairs[i].nuclei, 1)))
        if best >= sure and best - rest >= limits.better:
            turned.append(i)
    return tuple(turned)
