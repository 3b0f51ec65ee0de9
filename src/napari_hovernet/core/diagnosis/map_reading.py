"""Which way HV points: order, sign, whether any direction was learned, and whether HV fits NP."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..data.samples import TURNS
from .map_hv import HVTally
from .map_lie import NO_SHIFT
from .map_limits import LIMITS, MapLimits
from .map_moved import direction, turn_words
from .map_vectors import NO_FIT, READINGS, Fit, Reading
from .report import FAULT, NOT_TESTED, OK, WARN, Finding, Plot, Remedy

LAYERS_HV = ("image", "hv_x", "hv_y", "instances")
SURE = {3: 0.98, 2: 0.95, 1: 0.88}
"""Certainty of a reading by how many independent measurements say so."""
SURE_BY_SLOPE = 0.8
"""Certainty where slopes alone say so."""


@dataclass(frozen=True, eq=False)
class Told:
    """How HV is meant.

    Parameters
    ----------
    reading : Reading
        ``Reading()`` also where nothing is sure.
    sources : tuple of (str, Fit)
        What says so, in words.
    against : tuple of (str, Fit)
        What is not sure, or says something else.
    """

    reading: Reading
    sources: tuple[tuple[str, Fit], ...] = ()
    against: tuple[tuple[str, Fit], ...] = ()

    @property
    def certainty(self) -> float:
        """How sure it is, 0..1."""
        names = [name for name, _ in self.sources]
        if names == [SLOPES]:
            return SURE_BY_SLOPE
        return SURE.get(len(names), 0.0)


TRUE_NUCLEI, SHAPES, SLOPES = (
    "HV of the true nuclei", "HV of single convex nuclei in NP", "slopes inside the NP mask",
)  # fmt: skip


def told(found: HVTally, limits: MapLimits = LIMITS) -> Told:
    """Tell how HV is meant, by the truth, by shapes and by slopes."""
    fits = ((TRUE_NUCLEI, found.truth, limits.order_score), (SHAPES, found.convex,
            limits.direction_warn), (SLOPES, found.slope, limits.slope_score))  # fmt: skip
    sure = [
        (name, fit)
        for name, fit, least in fits
        if fit.sure(least, limits.order_lead) and _enough(name, fit, limits)
    ]
    if not sure:
        return Told(Reading(), (), tuple((n, f) for n, f, _ in fits if f.n))
    by_vote = [fit.best for _, fit in sure]
    reading = max(by_vote, key=by_vote.count)  # the first, the truth's, where they differ
    sources = tuple((n, f) for n, f in sure if f.best == reading)
    names = {n for n, _ in sources}
    return Told(reading, sources, tuple((n, f) for n, f, _ in fits if f.n and n not in names))


def _enough(name: str, fit: Fit, limits: MapLimits) -> bool:
    """Whether there are nuclei enough for a reading; slopes are counted four times a pixel."""
    if name == SLOPES:
        return fit.n >= 4 * limits.few_inside
    return fit.parts >= limits.min_parts


def comes_with_turn(found: HVTally, reading: Reading) -> bool:
    """Whether HV points wrong only because maps were turned without their vectors."""
    turned = bool(found.turn.flip or found.turn.quarters)
    return turned and bool((reading.matrix == np.rint(found.turn.matrix)).all())


def elsewhere(found: HVTally, limits: MapLimits = LIMITS) -> str:
    """Say where HV lies if it lies off NP, "" if it does not."""
    if found.convex.parts < limits.min_parts or not found.convex.n or found.one_sided(limits):
        return ""
    mine = max(found.convex.score, found.truth.score if found.truth.n else 0.0)
    turns = [fit.score for fit in found.turned]
    best = int(np.argmax(turns)) if turns else 0
    if best and turns[best] >= max(limits.hv_moved, mine + limits.hv_moved_gain):
        return f"HV is {turn_words(TURNS[best])} against NP"
    if found.moved == NO_SHIFT or found.moved_to < limits.hv_moved:
        return ""
    if found.moved_to - max(found.moved_from, mine) < limits.hv_moved_gain:
        return ""
    return f"HV lies {direction(found.moved)} of NP"


def _fits_words(who: Told) -> str:
    said = [f"{name}: {fit.score:.2f} for {fit.best.words}, {fit.claimed:.2f} as it claims to be"
            for name, fit in (*who.sources, *who.against)]  # fmt: skip
    return "; ".join(said) or "nothing to compare with"


def _plot(found: HVTally) -> Plot:
    names = ((TRUE_NUCLEI, found.truth), (SHAPES, found.convex), (SLOPES, found.slope))
    series = tuple((name, fit.scores) for name, fit in names if fit.n)
    words = tuple(reading.words for reading in READINGS)
    return Plot("bars", "How well each reading of HV fits", words, series, "reading", "cosine")


def _numbers(found: HVTally) -> dict[str, float]:
    fits = {"truth": found.truth, "shapes": found.convex, "slopes": found.slope}
    made = {f"{name}, as claimed": fit.claimed for name, fit in fits.items() if fit.n}
    made |= {f"{name}, best reading": fit.score for name, fit in fits.items() if fit.n}
    return {**made, "single nuclei": float(found.convex.parts)}


def _common(found: HVTally, limits: MapLimits) -> dict[str, Any]:
    return {
        "value": _main(found, limits).claimed, "threshold": limits.order_score, "unit": "cosine",
        "numbers": _numbers(found), "layers": LAYERS_HV, "plot": _plot(found),
    }  # fmt: skip


def _main(found: HVTally, limits: MapLimits) -> Fit:
    """Return the fit that tells most: the better of truth and shapes, else slopes."""
    fits = [f for f in (found.truth, found.convex) if f.n and f.parts >= limits.min_parts]
    if fits:
        return max(fits, key=lambda fit: fit.score)
    return found.slope if _enough(SLOPES, found.slope, limits) else NO_FIT


def _quiet(name: str, title: str, found: HVTally, limits: MapLimits) -> Finding | None:
    """Return a finding where order and sign cannot be told or are not at fault, else None."""
    who = told(found, limits)
    words = f"Which way HV points, by cosine: {_fits_words(who)}."
    if not found.n or not _main(found, limits).n:
        return Finding(name, NOT_TESTED, title, "Not tested: there are too few nuclei in NP.")
    if not who.sources or elsewhere(found, limits):
        why = "Not told, as no reading of HV fits. " if not who.sources else ""
        return Finding(name, OK, title, why + words, **_common(found, limits))
    if comes_with_turn(found, who.reading):
        words += " That comes with the turn of the maps: their vectors were not turned along."
        return Finding(name, OK, title, words, **_common(found, limits))
    return None


def hv_order(found: HVTally, setup_order: str = "hv", limits: MapLimits = LIMITS) -> Finding:
    """Judge whether the channels of HV stand in the order they claim."""
    name = "model.hv_order"
    quiet = _quiet(name, "HV channel order", found, limits)
    if quiet is not None:
        return quiet
    who = told(found, limits)
    words = f"Which way HV points, by cosine: {_fits_words(who)}."
    if not who.reading.swapped:
        return Finding(name, OK, "HV channel order", words, **_common(found, limits))
    return Finding(
        name,
        FAULT,
        "HV channels are swapped",
        f"{words} HV fits well once its channels change places, so it was learned.",
        certainty=who.certainty,
        remedy=Remedy("Read the channels the other way round: what is taken for x is y.",
                      "hv_order", "vh" if setup_order == "hv" else "hv"),
        places=found.places,
        **_common(found, limits),
    )  # fmt: skip


def hv_sign(found: HVTally, setup_sign: str = "outward", limits: MapLimits = LIMITS) -> Finding:
    """Judge whether HV points outward as it claims, on both axes."""
    name = "model.hv_sign"
    quiet = _quiet(name, "HV sign", found, limits)
    if quiet is not None:
        return quiet
    who = told(found, limits)
    words = f"Which way HV points, by cosine: {_fits_words(who)}."
    common = _common(found, limits)
    axis = who.reading.one_negated
    if axis:
        way = "up instead of down" if axis == "y" else "to the left instead of to the right"
        return Finding(
            name, FAULT, f"HV is negated along {axis} alone", f"{words} {axis} points {way}.",
            certainty=who.certainty, places=found.places, **common,
            remedy=Remedy(f"Negate the channel along {axis} where maps or targets are made: a "
                          "flip whose vectors were not turned along, or an axis that runs "
                          "the other way."),
        )  # fmt: skip
    if not who.reading.inward:
        return Finding(name, OK, "HV sign", words, **common)
    return Finding(
        name,
        FAULT,
        "HV points the wrong way round",
        f"{words} Both channels are negated: centre minus pixel instead of pixel minus centre.",
        certainty=who.certainty,
        remedy=Remedy("Read HV with the other sign.", "hv_sign",
                      "inward" if setup_sign == "outward" else "outward"),
        places=found.places,
        **common,
    )  # fmt: skip


def hv_direction(found: HVTally, limits: MapLimits = LIMITS) -> Finding:
    """Judge whether HV has any direction, whichever way it is read."""
    name, title = "model.hv_direction", "HV direction"
    fit = _main(found, limits)
    if not found.n or not fit.n:
        return Finding(name, NOT_TESTED, title, "Not tested: there are too few nuclei in NP.")
    least, weak = _bounds(fit, found, limits)
    who = told(found, limits)
    words = (
        f"However HV is read, its cosine is at most {fit.score:.2f} ({fit.best.words}; healthy: "
        f"above {weak:g}); mean length inside nuclei {found.length:.2f}."
    )
    common: dict[str, Any] = {**_common(found, limits), "value": fit.score, "threshold": least}
    if found.length < limits.collapsed and not who.sources:
        words += " HV is too short to have a direction."
        return Finding(name, OK, title, words, **common)
    off = elsewhere(found, limits)
    if off:
        return Finding(name, OK, title, f"{words} {off}; there it points right.", **common)
    lame = "" if fit is found.slope else _lame(fit, limits)
    if fit.score >= weak and not lame:
        return Finding(name, OK, title, words, **common)
    fault = fit.score < least or bool(lame)
    return Finding(
        name,
        FAULT if fault else WARN,
        lame or ("HV has no direction" if fault else "HV hardly has a direction"),
        f"{words} Length without direction is what is learned if an augmentation turns HV by "
        "the wrong rule, or if the loss asks for length."
        if not lame else f"{words} Of 0.5 there should be for each axis: {_axes(fit)}.",
        certainty=0.87 if fault else 0.35,
        remedy=Remedy(
            "Train again with HV targets that are right after each flip and turn (see the "
            "findings on augmentation and targets); no reading of these maps mends it."
        ),
        places=found.places,
        **common,
    )  # fmt: skip


def _bounds(fit: Fit, found: HVTally, limits: MapLimits) -> tuple[float, float]:
    if fit is found.slope:
        return limits.slope_score / 2, limits.slope_score
    return limits.direction, limits.direction_warn


def _axis_shares(fit: Fit) -> tuple[float, float]:
    best = fit.best
    rows = (1, 0) if best.swapped else (0, 1)
    return float(best.x * fit.matrix[rows[0], 0]), float(best.y * fit.matrix[rows[1], 1])


def _axes(fit: Fit) -> str:
    x, y = _axis_shares(fit)
    return f"x {x:.2f}, y {y:.2f}"


def _lame(fit: Fit, limits: MapLimits) -> str:
    """Say which axis was not learned while the other was; "" if none."""
    x, y = (2 * share for share in _axis_shares(fit))
    if max(x, y) < 2 * limits.axis or min(x, y) >= limits.axis:
        return ""
    other = "y" if y < x else "x"
    column = 0 if other == "y" else 1
    both = abs(fit.matrix[:, column]).min() * 2 >= limits.axis
    return f"Both channels hold {'x' if other == 'y' else 'y'}" if both else (
        f"HV along {other} was not learned")  # fmt: skip


def hv_own_shape(found: HVTally, limits: MapLimits = LIMITS) -> Finding:
    """Judge whether HV lies on the shapes that NP shows; needs no truth."""
    name, title = "model.hv_own_shape", "HV on the shapes of NP"
    fit = found.convex
    if fit.parts < limits.min_parts or not fit.n:
        return Finding(name, NOT_TESTED, title,
                       f"Not tested: NP shows {fit.parts} single convex nuclei, and "
                       f"{limits.min_parts} are needed.")  # fmt: skip
    words = (
        f"Over {fit.parts} single convex nuclei of NP the cosine of HV to the HV of their shapes "
        f"is {fit.claimed:.2f} (healthy: 0.73 to 0.99), {fit.score:.2f} if read as "
        f"{fit.best.words}."
    )
    common: dict[str, Any] = {
        "value": fit.claimed, "threshold": limits.direction_warn, "unit": "cosine",
        "layers": ("np", "hv_x", "hv_y"), "numbers": _numbers(found),
    }  # fmt: skip
    off = elsewhere(found, limits)
    if not off:
        return Finding(name, OK, title, words, **common)
    best = max([found.moved_to, *(f.score for f in found.turned)])
    return Finding(
        name, FAULT, off, f"{words} There it is {best:.2f}.", certainty=0.93,
        remedy=Remedy("Find what moves or turns HV but not NP where the maps are made or read."),
        places=found.places, **common,
    )  # fmt: skip
