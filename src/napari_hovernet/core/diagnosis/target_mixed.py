"""Whether all images of a set store HV in one and the same order and sign."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from .data_common import listed, scaled
from .report import FAULT, Finding, Place, Remedy
from .target_limits import LIMITS, TargetLimits
from .target_slope import LAYERS, Slopes

Reading = tuple[bool, bool, bool]
"""Whether channels are swapped, rising along x, rising along y."""


@dataclass(frozen=True)
class Mixture:
    """Images whose HV is read in another way than that of most.

    Parameters
    ----------
    order : tuple of int
        Numbers of images whose channels are in another order.
    sign : tuple of int
        Of those in the order of most, whose sign is another.
    told : int
        Images of which a reading is known.
    """

    order: tuple[int, ...] = ()
    sign: tuple[int, ...] = ()
    told: int = 0


def mixture_of(each: Mapping[int, Slopes | None], limits: TargetLimits = LIMITS) -> Mixture:
    """Tell which images are read in another way than most.

    Parameters
    ----------
    each : mapping of int to Slopes
        By the number of the image.
    limits : TargetLimits

    Examples
    --------
    >>> plain, other = Slopes(np.eye(2)), Slopes(np.eye(2)[::-1])
    >>> mixture_of({0: plain, 1: plain, 2: other}).order
    (2,)
    """
    known = {i: _reading(s) for i, s in each.items() if s is not None and _clear(s, limits)}
    if len(known) < 2:
        return Mixture(told=len(known))
    most = Counter(known.values()).most_common(1)[0][0]
    order = tuple(i for i, reading in known.items() if reading[0] != most[0])
    sign = tuple(
        i for i, reading in known.items() if reading[0] == most[0] and reading[1:] != most[1:]
    )
    return Mixture(order, sign, len(known))


def mixed_order(found: Mixture, names: Mapping[int, str], places: Sequence[Place]) -> Finding:
    """Say that some images have the other order."""
    return _mixed("data.hv_order", "order", "swapped", found.order, found.told, names, places)


def mixed_sign(found: Mixture, names: Mapping[int, str], places: Sequence[Place]) -> Finding:
    """Say that some images have another sign."""
    return _mixed("data.hv_sign", "sign", "negated", found.sign, found.told, names, places)


def _mixed(  # noqa: PLR0913, PLR0917 - the parts of a sentence
    key: str,
    what: str,
    done: str,
    odd: tuple[int, ...],
    told: int,
    names: Mapping[int, str],
    places: Sequence[Place],
) -> Finding:
    share = len(odd) / max(told, 1)
    return Finding(
        key,
        FAULT,
        f"Stored HV of {len(odd)} of {told} images has another {what} than that of the others",
        f"Inside nuclei the channels of {listed([names[i] for i in odd])} rise along another axis "
        f"or in another direction than those of the rest: they are {done}. One set has one "
        "convention.",
        share,
        0.0,
        "share",
        scaled(share, 0.0, 0.5, 0.88, 0.96),
        Remedy(
            "Bring these images into the convention of the others, or compute HV of all again from "
            "their labels (hv_targets(labels)); files of several sources were mixed, or some were "
            "flipped without their vectors."
        ),
        {"images": float(len(odd)), "told": float(told)},
        LAYERS,
        tuple(places),
    )


def _reading(slopes: Slopes) -> Reading:
    x, y = slopes.signs
    return (slopes.is_swapped, x > 0, y > 0)


def _clear(slopes: Slopes, limits: TargetLimits) -> bool:
    apart = abs(slopes.straight - slopes.swapped) >= limits.clear_lead
    return apart and float(np.min(np.abs(slopes.signs))) >= limits.clear
