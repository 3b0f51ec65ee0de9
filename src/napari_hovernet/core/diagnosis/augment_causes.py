"""Why HV came back wrong: which rule was applied instead of the right one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from .augment_draws import SWAP, Draw
from .augment_limits import AugmentationLimits
from .augment_moves import Matrix
from .report import Remedy

Expected = Callable[[Matrix], Matrix]
"""Pure turn (2, 2) of a draw -> the transform of HV that a certain mistake makes."""

OTHER_ORDER = "other order"
MOST = 0.85
"""Share of the draws that a mistake must explain; few nuclei make a transform noisy."""


@dataclass(frozen=True)
class Cause:
    """A mistake.

    Parameters
    ----------
    name : str
    title : str
        What is wrong.
    expected : callable
    text : str
        What to do.
    """

    name: str
    title: str
    expected: Expected
    text: str


def _undone(turn: Matrix) -> Matrix:
    return np.asarray(np.linalg.inv(turn), np.float64)


CAUSES: tuple[Cause, ...] = (
    Cause(
        OTHER_ORDER, "Augmentation flips HV by the rules of the other channel order",
        lambda t: SWAP @ t @ SWAP @ np.linalg.inv(t),
        "Bring stored HV into the order that the rules are written for, or write the rules for "
        "the order that is stored: a left-right flip negates the channel along x.",
    ),
    Cause(
        "not turned", "HV is moved like an image, its vectors are not turned",
        _undone,
        "Negate the channel along x in a left-right flip and that along y in an up-down flip, "
        "and swap and negate channels in quarter turns; or compute HV from the labels after "
        "the augmentation.",
    ),
    Cause(
        "turned back", "HV is turned the wrong way round",
        lambda t: np.linalg.inv(t) @ np.linalg.inv(t),
        "Quarter turns take the opposite sense: with y down, np.rot90 makes (x, y) into (y, -x).",
    ),
    Cause(
        "negated", "HV comes back negated", lambda t: -np.eye(2),
        "Hand HV over in the sign that it is written for, or read it so (target_sign).",
    ),
    Cause(
        "swapped", "HV comes back with its channels swapped", lambda t: SWAP,
        "Hand HV over in the order that it is written for, or read it so (target_order).",
    ),
    Cause(
        "swapped and negated", "HV comes back with its channels swapped and negated",
        lambda t: -SWAP,
        "Hand HV over in the order and sign that it is written for, or read it so.",
    ),
)  # fmt: skip


def cause_of(pairs: Sequence[tuple[Matrix, Matrix]], limits: AugmentationLimits) -> Cause | None:
    """Find the mistake that explains all transforms.

    Parameters
    ----------
    pairs : sequence of (turn, transform), each (2, 2)
        Pure turn of a draw, and what became of HV.
    limits : AugmentationLimits

    Examples
    --------
    >>> from napari_hovernet.core.data.samples import TURNS
    >>> pairs = [(t.matrix, SWAP @ t.matrix @ SWAP @ t.matrix.T) for t in TURNS]
    >>> cause_of(pairs, AugmentationLimits()).name
    'other order'
    """
    flipped = any(np.linalg.det(t) < 0 for t, _ in pairs)
    # without flips both mistakes do the same; turning back is the plainer one
    causes = CAUSES if flipped else (*CAUSES[1:], CAUSES[0])
    for cause in causes:
        off = [float(np.linalg.norm(m - cause.expected(t), 2)) for t, m in pairs]
        if off and float(np.quantile(off, MOST)) <= limits.deviation:
            return cause
    return None


def pairs_of(draws: Sequence[Draw]) -> list[tuple[Matrix, Matrix]]:
    """Return turns and transforms of the draws in which both are known."""
    out = []
    for d in draws:
        if d.move is not None and d.matrix is not None:
            out.append((d.move.pure, d.matrix))
    return out


def remedy_of(cause: Cause | None, order: str, *, settable: bool) -> Remedy:
    """Say what to do.

    Parameters
    ----------
    cause : Cause, optional
    order : str
        In which HV is handed over.
    settable : bool
        Whether no stored HV says what its order is, so that it may be set.
    """
    if cause is None:
        return Remedy("Compute HV from the labels after the augmentation; then it cannot disagree.")
    if cause.name == OTHER_ORDER and settable:
        other = "vh" if order == "hv" else "hv"
        said = "[V, H]" if other == "vh" else "[H, V]"
        text = f"{cause.text} If your HV is stored {said}, the rules are right: set that."
        return Remedy(text, "target_order", other)
    return Remedy(cause.text)
