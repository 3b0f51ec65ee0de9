"""The learning rate as a function of the step alone, so that a resumed run has the same one."""

from __future__ import annotations

import math

from .params import OptimParams

STEP_FACTOR = 0.1
"""What "step" multiplies the rate by, once, at half of the steps."""


def rate(optim: OptimParams, step: int, total: int) -> float:
    """Return the learning rate of a step.

    Parameters
    ----------
    optim : OptimParams
    step : int
        From 0.
    total : int
        Steps of the whole run.

    Returns
    -------
    float
        Rises linearly over ``warmup_steps`` (the first step already has a share), then
        follows ``schedule``; "cosine" reaches 0 one step after the last.

    Examples
    --------
    >>> rate(OptimParams(lr=1.0, schedule="step"), step=7, total=10)
    0.1
    """
    return optim.lr * _warmup(optim, step) * _factor(optim, step, total)


def _warmup(optim: OptimParams, step: int) -> float:
    return min((step + 1) / (optim.warmup_steps + 1), 1.0)


def _factor(optim: OptimParams, step: int, total: int) -> float:
    if optim.schedule == "step":
        return STEP_FACTOR if 2 * step >= total else 1.0
    if optim.schedule == "cosine":
        start = min(optim.warmup_steps, total)
        gone = max(step - start, 0) / max(total - start, 1)
        return (1 + math.cos(math.pi * min(gone, 1.0))) / 2
    return 1.0
