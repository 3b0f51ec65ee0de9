"""Whether stored HV belongs to the labels beside it, and stored NP as well."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..types import Bool
from .data_common import not_tested, percent, scaled
from .data_place_words import px_words, turn_words
from .data_places import NOWHERE, ORDER, SHIFT, TURN, Where
from .report import FAULT, OK, WARN, Finding, Place, Remedy
from .setup import Setup
from .target_fit import Fits
from .target_limits import LIMITS, TargetLimits
from .target_rims import FEWEST, Rims
from .target_slope import Slopes

AGAIN = Remedy(
    "Compute HV again from these labels (hv_targets(labels)), after all crops and flips."
)
SURELY, LESS = 0.95, 0.6
"""Certainty, and what is left of it where labels are known to be elsewhere themselves."""
MERGED = 0.15
"""Share of the jump between touching labels below which HV does not know of them."""
OFF = 0.25
"""Distance of HV's zero from the centre of touching nuclei, in radii, that shows the same."""
HALF = 0.5
TINY = 1e-6


@dataclass(frozen=True, eq=False)
class Belonging:
    """All that was measured of HV against labels.

    Parameters
    ----------
    where : Where
        Where labels lie on the area in which HV is not 0.
    slopes : Slopes, optional
    fits : tuple of Fits
    rims : tuple of Rims
    labels_off : str
        Where labels are known to be off their image: "shift", "turn", "order", or "".
    """

    where: Where
    slopes: Slopes | None
    fits: tuple[Fits, ...]
    rims: tuple[Rims, ...]
    labels_off: str = ""


def hv_labels(
    found: Belonging, places: Sequence[Place] = (), limits: TargetLimits = LIMITS
) -> Finding:
    """Say whether stored HV was made of the labels beside it.

    Parameters
    ----------
    found : Belonging
    places : sequence of Place
    limits : TargetLimits
    """
    key, title = "data.hv_labels", "Stored HV against labels"
    n = sum(f.n for f in found.fits)
    fit = _share(found.fits, limits)
    numbers = {"nuclei": float(n), "fitting": fit, "area": found.where.own}
    wrong = _elsewhere(found) or _without_direction(found, n, fit, limits) or _merged(found)
    if wrong is None:
        without = float(np.mean([f.without for f in found.fits])) if found.fits else 0.0
        said = (
            f"HV covers the labels (correlation {found.where.own:.2f}), and in {percent(fit)} of "
            f"{n} nuclei it rises in a straight line from side to side."
        )
        if without < limits.none:
            return Finding(key, OK, title, said, fit, limits.fitting_all, "share", numbers=numbers)
        wrong = (
            f"{percent(without)} of the nuclei have no HV",
            f"{said} In {percent(without)} of the nuclei it is 0 throughout.",
            0.4,
        )
    name, said, certainty = wrong
    if found.labels_off and certainty > HALF:
        said += " The labels themselves do not lie on their image as they should: HV may be right."
        certainty = min(certainty, LESS)
    return Finding(
        key,
        FAULT if certainty >= HALF else WARN,
        name,
        said,
        fit,
        limits.fitting_all,
        "share",
        certainty,
        AGAIN,
        numbers,
        ("truth", "target_hv_x", "target_hv_y"),
        tuple(places),
    )


def _elsewhere(found: Belonging) -> tuple[str, str, float] | None:
    where = found.where
    said = (
        f"Labels fit the area in which HV is not 0 with correlation {where.own:.2f} as they are "
        f"(1 in health), and {where.value:.2f} "
    )
    if where.kind == SHIFT:
        by = px_words(*where.at)
        return f"Stored HV is moved against the labels by {by}", f"{said}moved by {by}.", SURELY
    if where.kind == TURN:
        told = turn_words(where.turn)
        return "Stored HV is flipped or turned against the labels", f"{said}after {told}.", SURELY
    if where.kind == ORDER:
        moved = sum(i != j for i, j in enumerate(where.order))
        return (
            "Stored HV belongs to other images",
            f"{said}beside other HV, in {moved} of {len(where.order)} images.",
            SURELY,
        )
    if where.kind == NOWHERE:
        return "Stored HV does not belong to these labels", f"{said}anywhere else.", 0.9
    return None


def _without_direction(
    found: Belonging, n: int, fit: float, limits: TargetLimits
) -> tuple[str, str, float] | None:
    if n < limits.nuclei or fit >= limits.fitting_all:
        return None
    slopes = found.slopes
    sure = slopes is not None and slopes.sure(limits)
    if not sure:
        rises = 0.0 if slopes is None else max(slopes.straight, slopes.swapped)
        said = f"HV does not rise inside nuclei in any direction ({rises:.2f}; 1 in health)."
        return "Stored HV has no direction: it is no distance map", said, SURELY
    said = f"Only in {percent(fit)} of {n} nuclei HV rises from side to side (all in health)."
    return "Stored HV does not follow these labels", said, scaled(1 - fit, HALF, 1.0, 0.8, SURELY)


def merged(rims: Sequence[Rims], fits: Sequence[Fits]) -> str:
    """Say how HV goes through touching labels as through one nucleus, "" if it does not.

    Parameters
    ----------
    rims : sequence of Rims
    fits : sequence of Fits
    """
    if sum(r.borders for r in rims) < FEWEST or not fits:
        return ""
    left = sum(r.jump for r in rims) / max(sum(r.jump_of for r in rims), TINY)
    away = [np.hypot(*(f.centre - f.mass).T) / np.maximum(f.radius, 1) for f in fits]
    touching = np.concatenate([a[f.touching] for a, f in zip(away, fits, strict=True)])
    lone = np.concatenate([a[~f.touching] for a, f in zip(away, fits, strict=True)])
    if left >= MERGED or not len(touching) or float(np.median(touching)) < OFF:
        return ""
    if len(lone) and float(np.median(lone)) >= OFF:
        return ""
    return (
        f"Between touching labels HV keeps {percent(max(left, 0.0))} of its jump, and is 0 "
        f"{float(np.median(touching)):.2f} radii from their centres (about 0 in health): it goes "
        "through them as through one nucleus."
    )


def _merged(found: Belonging) -> tuple[str, str, float] | None:
    """Tell whether HV was made of components of the mask instead of instances."""
    said = merged(found.rims, found.fits)
    return ("HV was made of connected components, not of instances", said, 0.96) if said else None


def _share(fits: Sequence[Fits], limits: TargetLimits) -> float:
    straight = np.concatenate([f.straight for f in fits]) if fits else np.zeros(0)
    return float((straight >= limits.straight).mean()) if len(straight) else float("nan")


# --- stored NP -------------------------------------------------------------------------


@dataclass(frozen=True)
class NPLook:
    """Stored NP of one image against what else is known of it.

    Parameters
    ----------
    index, name
    shape : (int, int)
    both, either : int
        Pixels that are nucleus in both, and in one of them.
    both_inverted, either_inverted : int
        The same with NP inverted.
    """

    index: int
    name: str
    shape: tuple[int, int]
    both: int
    either: int
    both_inverted: int
    either_inverted: int

    @property
    def place(self) -> Place:
        """The whole image."""
        return Place(self.index, self.name, (0, self.shape[0], 0, self.shape[1]))


def look_at_np(index: int, name: str, stored: Bool, wanted: Bool) -> NPLook:
    """Compare stored NP with the mask it should be.

    Parameters
    ----------
    index, name
    stored, wanted : bool (H, W)
    """
    return NPLook(
        index,
        name,
        (int(stored.shape[0]), int(stored.shape[1])),
        int((stored & wanted).sum()),
        int((stored | wanted).sum()),
        int((~stored & wanted).sum()),
        int((~stored | wanted).sum()),
    )


def stored_np(
    looks: Sequence[NPLook],
    by_labels: bool,
    setup: Setup,
    labels_off: str = "",
    limits: TargetLimits = LIMITS,
) -> Finding:
    """Say whether stored NP is the mask of the labels (or of where HV is not 0).

    Parameters
    ----------
    looks : sequence of NPLook
    by_labels : bool
        Compared with labels; else with HV.
    setup : Setup
    labels_off : str
        See :class:`Belonging`.
    limits : TargetLimits
    """
    key, title = "data.np", "Stored NP"
    if not looks:
        return not_tested(key, title, "give stored NP, and labels or HV to compare it with")
    overlap = sum(x.both for x in looks) / max(sum(x.either for x in looks), 1)
    other = sum(x.both_inverted for x in looks) / max(sum(x.either_inverted for x in looks), 1)
    beside = "labels" if by_labels else "where HV is not 0"
    said = (
        f"Stored NP and {beside} overlap with {overlap:.2f} (intersection over union; 1 in health"
    )
    said += f"), inverted with {other:.2f}"
    numbers = {"overlap": overlap, "inverted": other}
    enough = limits.np_agree if by_labels else limits.np_hv
    apart = limits.np_apart if by_labels else limits.np_hv
    if overlap >= enough or not any(x.either for x in looks):
        return Finding(key, OK, title, said + ".", overlap, apart, "IoU", numbers=numbers)
    places = sorted(looks, key=lambda x: x.both / max(x.either, 1))[:5]
    if other > overlap and other >= apart:
        name, certainty = "Stored NP is inverted: 1 is background", 0.97
        remedy = Remedy(
            "Read stored NP as the probability of background (1 - NP).",
            "np_channel",
            0 if setup.np_channel == 1 else 1,
        )
    else:
        bad = overlap < apart
        name = "Stored NP is not the mask of " + ("the labels" if by_labels else "HV")
        certainty = scaled(1 - overlap, 1 - apart, 1.0, 0.8, 0.93) if bad else 0.35
        remedy = Remedy("Make NP from these labels again: labels > 0.")
    if labels_off and certainty > HALF:
        certainty = LESS - 0.05
        said += "; the labels themselves do not lie on their image as they should"
    return Finding(
        key,
        FAULT if certainty >= HALF else WARN,
        name,
        said + ".",
        overlap,
        apart,
        "IoU",
        certainty,
        remedy,
        numbers,
        ("truth", "target_np"),
        tuple(x.place for x in places),
    )
