"""Declared rules: what they make of HV in each turn, exactly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..data.samples import Turn
from .augment_causes import cause_of, remedy_of
from .augment_draws import EYE, SWAP
from .augment_limits import AugmentationLimits
from .augment_moves import Matrix
from .augment_reading import Augmentation, name_of
from .augment_words import HV, MEAN, hv_plot, judged_mean
from .bench import Bench
from .report import FAULT, OK, Finding, Remedy
from .setup import Setup

LIMITS = AugmentationLimits()
EXACT = 1e-6


@dataclass(frozen=True, eq=False)
class RuleRow:
    """One declared turn.

    Parameters
    ----------
    turn : Turn
    transform : array (2, 2)
        What the rule makes of right HV, (x, y); the unit matrix if it is right.
    order : str
        Channel order of the data it is applied to.
    """

    turn: Turn
    transform: Matrix
    order: str

    @property
    def right(self) -> bool:
        """Whether the rule is right."""
        return bool(np.abs(self.transform - EYE).max() < EXACT)


def rows_of_rules(given: Augmentation, setup: Setup) -> tuple[RuleRow, ...]:
    """Work out what each rule makes of HV.

    Examples
    --------
    >>> from .augment_reading import read_augmentation
    >>> rows = rows_of_rules(read_augmentation("story"), Setup())
    >>> sum(row.right for row in rows), float(np.abs(mean_of_rules(rows)).max())
    (4, 0.0)
    """
    order = given.order or setup.target_order
    rows = []
    for turn, rule in given.rules.items():
        in_xy = rule if order == "hv" else SWAP @ rule @ SWAP
        rows.append(RuleRow(turn, in_xy @ np.linalg.inv(turn.matrix), order))
    return tuple(rows)


def mean_of_rules(rows: Sequence[RuleRow]) -> Matrix:
    """Mean transform over the turns, each as often."""
    mean: Matrix = np.mean([row.transform for row in rows], axis=0)
    return mean


def rules_hv(rows: Sequence[RuleRow], bench: Bench) -> Finding:
    """Judge declared rules turn by turn."""
    right = [name_of(row.turn) for row in rows if row.right]
    wrong = [name_of(row.turn) for row in rows if not row.right]
    share = len(right) / len(rows)
    order = rows[0].order
    stored = "[H, V]" if order == "hv" else "[V, H]"
    plot = hv_plot({name_of(row.turn): float(row.right) for row in rows})
    numbers = {f"{name_of(row.turn)} right": float(row.right) for row in rows}
    if not wrong:
        return Finding(
            HV, OK, "HV turns with its nuclei",
            f"All {len(rows)} declared rules turn HV stored {stored} as its pixels move.",
            value=share, threshold=1.0, unit="share", numbers=numbers, plot=plot,
        )  # fmt: skip
    cause = cause_of([(row.turn.matrix, row.transform) for row in rows], LIMITS)
    settable = "targets" not in bench.case.has and bench.setup.target_order == order
    title = cause.title if cause else f"HV comes back wrong in {', '.join(wrong)}"
    return Finding(
        HV, FAULT, title,
        f"On HV stored {stored}, {len(right)} of {len(rows)} rules are right "
        f"({', '.join(right) or 'none'}), wrong are {', '.join(wrong)}; all have to be right.",
        value=share, threshold=1.0, unit="share", certainty=0.97,
        remedy=remedy_of(cause, order, settable=settable), numbers=numbers, plot=plot,
    )  # fmt: skip


def rules_mean(rows: Sequence[RuleRow], bench: Bench) -> Finding:
    """Judge what declared rules leave of HV on the mean."""
    del bench
    said = f"over the {len(rows)} declared turns, each as often"
    return judged_mean(MEAN, mean_of_rules(rows), said, LIMITS, Remedy(
        "Mend the rules (see augmentation.hv); no weight of the magnitude brings directions back."
    ))  # fmt: skip
