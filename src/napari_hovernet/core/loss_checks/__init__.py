"""Five tests of a magnitude loss that decided nothing, and each as it should have been.

A network drew one blob, and its magnitude loss was blamed. Two claims were made about the loss,
and three tests were to show that a change had mended it: two of them could never pass, whatever
the loss, and one had to break. The checks here run each as it was and in a form that can fail,
and report what they measured. Two further checks tell what a magnitude loss can do at all.
"""

from __future__ import annotations

from .check import LossCheck
from .claims import check_background, check_epsilon
from .length import check_direction, check_scale
from .old_tests import check_gradient, check_ratio, check_weights

__all__ = ["LossCheck", "check_length", "check_loss"]


def check_loss(seed: int = 0) -> tuple[LossCheck, ...]:
    """Run the five checks; under a second on one core.

    Parameters
    ----------
    seed : int
        Of the random maps.

    Returns
    -------
    tuple of LossCheck

    Examples
    --------
    >>> all(check.passed for check in check_loss())
    True
    """
    return (
        check_epsilon(),
        check_background(),
        check_ratio(seed),
        check_gradient(seed),
        check_weights(seed),
    )


def check_length(seed: int = 0) -> tuple[LossCheck, ...]:
    """Run two checks of what the length of HV is good for; a few seconds on one core.

    Parameters
    ----------
    seed : int
        Of the numbers that training starts from.

    Returns
    -------
    tuple of LossCheck
    """
    return check_direction(seed), check_scale()
