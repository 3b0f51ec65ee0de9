"""What a check of the loss comes to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

EQUAL = 1e-5
"""Relative difference up to which two float32 sums are called equal."""
OLD_EPSILON, NEW_EPSILON = 1e-8, 1e-6
"""Under the root before and after the change."""


@dataclass(frozen=True)
class LossCheck:
    """One test, as it was and as it should be.

    Parameters
    ----------
    name : str
        What it is about.
    passed : bool
        Whether the corrected test passes.
    measured : mapping of str to float, int or None
        What was measured, by what it is; NaN where the result is NaN, None where there is none.
    claim : str
        What was said, or asked by the test as it was.
    why : str
        What the numbers say about that, and what the corrected test asks.
    """

    name: str
    passed: bool
    measured: Mapping[str, float | int | None]
    claim: str
    why: str
