"""Checks of a loss: what it weighs, sees and divides by, on a batch of the user's own.

``loss`` may be :class:`HoverLoss`, :class:`LossParams`, a module of HoverLoss's call signature,
a function ``f(pred_hv (B, 2, H, W), true_hv, mask (B, H, W))`` that returns one number, or a
mapping of names to such functions (their sum is the loss).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ..types import Progress
from .bench import Bench
from .loss_batch import LossBatch, batch_of
from .loss_limits import LossLimits
from .loss_pixels import (
    DENOMINATOR,
    DIRECTION,
    MASK,
    TYPES,
    denominators,
    direction,
    mask_use,
    types_background,
)
from .loss_points import FINITE, MINIMUM, SCALE, finite_gradients, minimum, scale_of_prediction
from .loss_reading import LossUnderTest, read_loss
from .loss_shares import GRADIENT_SHARE, SHARE, gradient_shares, shares
from .registry import Check, Steps
from .report import Finding

__all__ = ["CHECKS", "LossLimits"]

LIMITS = LossLimits()
Judge = Callable[[LossUnderTest, LossBatch, LossLimits], Finding]
LOSS = "loss.read"


def _runs(judge: Judge) -> Callable[[Bench], Steps]:
    def run(bench: Bench) -> Iterator[Progress | Finding]:
        batch = yield from batch_of(bench, LIMITS)
        if LOSS not in bench.kept:
            bench.kept[LOSS] = read_loss(bench.case.loss)
        yield judge(bench.kept[LOSS], batch, LIMITS)

    return run


CHECKS: tuple[Check, ...] = (
    Check(FINITE, "Finite gradients", ("loss",), _runs(finite_gradients)),
    Check(DIRECTION, "Directions", ("loss",), _runs(direction)),
    Check(MINIMUM, "Truth is the minimum", ("loss",), _runs(minimum)),
    Check(SCALE, "Prediction = k x truth", ("loss",), _runs(scale_of_prediction)),
    Check(MASK, "Mask", ("loss",), _runs(mask_use)),
    Check(DENOMINATOR, "Denominators", ("loss",), _runs(denominators)),
    Check(TYPES, "Types on the background", ("loss",), _runs(types_background)),
    Check(SHARE, "Share of each term", ("loss",), _runs(shares)),
    Check(GRADIENT_SHARE, "Share of the gradient", ("loss",), _runs(gradient_shares)),
)
"""In the order in which they run."""
