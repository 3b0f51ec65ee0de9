"""Which scale and which centre stored HV has, read back nucleus by nucleus."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..hv import PRESETS
from .data_common import around, not_tested, percent, scaled
from .items import Item
from .report import FAULT, OK, WARN, Finding, Place, Plot, Remedy
from .setup import Setup
from .target_fit import Fits
from .target_limits import LIMITS, TargetLimits

SCALES = ("axis", "radial", "isotropic", "pixels")
WORDS = {
    "axis": "each side of each axis by its own extreme (published HoVer-Net, ours)",
    "radial": "the largest distance from the centre (radial)",
    "isotropic": "the largest offset along either axis (isotropic)",
    "pixels": "nothing: it is in pixels, or divided by one number for all nuclei",
}
CENTRES = {
    "mass": "the centre of mass (ours)",
    "hover_net": "one pixel left of and above the rounded centre of mass (published HoVer-Net)",
    "distance_peak": "the deepest pixel",
}
SMALLEST = 1e-3
DEEPEST = 0.985
"""The same where it is off the centre of mass into one direction, as a moved HV is."""
STEADY = 0.6
"""Median offset relative to the median distance from which all go into one direction."""
DEEP = 0.93
"""Depth of the centre, relative to the deepest pixel, from which it is that pixel."""


@dataclass(frozen=True, eq=False)
class Convention:
    """What fits stored HV best.

    Parameters
    ----------
    scale : str
        Of :data:`SCALES`.
    factor : float
        Stored HV is as long as it should be times this.
    spreads : dict of str to float
        Median deviation (log) of extents from those that a scale gives.
    centre : str
        Of :data:`CENTRES`, "" if none.
    distances : dict of str to float
        Median distance in pixels from each centre.
    offset : (float, float)
        Rows and columns from the centre of mass to where HV is 0, median.
    off : float
        Median distance from the centre of mass, relative to the radius.
    n : int
        Nuclei it was told by.
    """

    scale: str
    factor: float
    spreads: dict[str, float]
    centre: str
    distances: dict[str, float]
    offset: tuple[float, float]
    off: float
    n: int

    @property
    def in_pixels(self) -> bool:
        """Whether HV is not scaled to each nucleus."""
        return self.scale == "pixels"


def convention_of(fits: Sequence[Fits], limits: TargetLimits = LIMITS) -> Convention | None:
    """Tell scale and centre; None if too few nuclei can tell.

    Nuclei that touch nothing are asked first: labels and HV may disagree on the others.

    Parameters
    ----------
    fits : sequence of Fits
    limits : TargetLimits
    """
    good = [(f.straight >= limits.straight) & ~f.cut for f in fits]
    lone = [g & ~f.touching for f, g in zip(fits, good, strict=True)]
    used = lone if sum(int(x.sum()) for x in lone) >= limits.nuclei else good
    n = sum(int(x.sum()) for x in used)
    if n < limits.nuclei:
        return None
    extent = np.concatenate([f.extent[u] for f, u in zip(fits, used, strict=True)])
    spreads, factors = {}, {}
    for scale in SCALES:
        wanted = np.concatenate([f.expected(scale)[u] for f, u in zip(fits, used, strict=True)])
        ratio = np.log(np.maximum(extent, SMALLEST) / np.maximum(wanted, SMALLEST))
        middle = float(np.median(ratio))
        factors[scale] = float(np.exp(-middle))
        spreads[scale] = float(np.median(np.abs(ratio - middle)))
    best = min(SCALES, key=lambda s: spreads[s])
    if spreads["axis"] <= spreads[best] + limits.tie and spreads["axis"] <= limits.spread:
        best = "axis"
    centre, distances, offset, off = _centre(fits, used, limits)
    return Convention(best, factors[best], spreads, centre, distances, offset, off, n)


def _centre(
    fits: Sequence[Fits], used: Sequence[npt.NDArray[np.bool_]], limits: TargetLimits
) -> tuple[str, dict[str, float], tuple[float, float], float]:
    pairs = list(zip(fits, used, strict=True))
    found = np.concatenate([f.centre[u] for f, u in pairs])
    mass = np.concatenate([f.mass[u] for f, u in pairs])
    radius = np.concatenate([f.radius[u] for f, u in pairs])
    depth = np.concatenate([f.depth[u] for f, u in pairs])
    away = found - mass
    far = np.hypot(*away.T)
    published = np.hypot(*(found - (np.floor(mass + 0.5) - 1)).T)
    distances = {"mass": float(np.median(far)), "hover_net": float(np.median(published))}
    offset = (float(np.median(away[:, 0])), float(np.median(away[:, 1])))
    best = "mass"
    if distances["hover_net"] < distances["mass"] - limits.centre_tie:
        best = "hover_net"
    if distances[best] > limits.centre_px:
        steady = float(np.hypot(*offset)) >= STEADY * distances["mass"]
        best = "distance_peak" if float(np.median(depth)) >= (DEEPEST if steady else DEEP) else ""
    return best, distances, offset, float(np.median(far / np.maximum(radius, 1)))


def scale(
    found: Convention | None,
    setup: Setup,
    divided: bool,
    places: Sequence[Place] = (),
    limits: TargetLimits = LIMITS,
) -> Finding:
    """Say what stored HV was divided by, and whether it is as long as that gives.

    Parameters
    ----------
    found : Convention, optional
    setup : Setup
    divided : bool
        Whether its range is right; if not, its length is a matter of the divisor.
    places : sequence of Place
    limits : TargetLimits
    """
    key, title = "data.hv_scale", "Scale of HV"
    if found is None:
        return not_tested(key, title, "too few nuclei follow their HV")
    spread = found.spreads[found.scale]
    said = (
        f"Told by {found.n} nuclei, HV is divided by {WORDS[found.scale]}: extents deviate by "
        f"{percent(spread)} from that (per axis {percent(found.spreads['axis'])}, radial "
        f"{percent(found.spreads['radial'])}, isotropic {percent(found.spreads['isotropic'])}), "
        f"and HV is {found.factor:.2f} times as long as it should be"
    )
    plot = spread_plot(found)
    numbers = {"factor": found.factor, **found.spreads}
    layers = ("target_hv_x", "target_hv_y", "magnitude")
    if found.in_pixels and spread <= limits.spread:
        return Finding(
            key,
            FAULT,
            "HV is not scaled to each nucleus: it is in pixels",
            said + ".",
            spread,
            limits.spread,
            "log",
            0.96,
            Remedy("Divide the offsets of each nucleus by its own extent (hv_targets(labels))."),
            numbers,
            layers,
            tuple(places),
            plot,
        )
    length = abs(np.log(found.factor))
    off = is_off_centre(found, limits)
    if off and (is_steady(found) or spread > limits.spread):
        return not_tested(key, title, "HV is not 0 in the middle of the nuclei (see its centre)")
    if divided and length >= limits.factor:
        wrong = "short" if found.factor < 1 else "long"
        return Finding(
            key,
            FAULT,
            f"Stored HV is too {wrong} by a factor of {found.factor:.3g}",
            said + ".",
            found.factor,
            1.0,
            "x",
            scaled(length, limits.factor, 0.7, 0.82, 0.95),
            Remedy(
                f"Divide stored HV by {found.factor * setup.target_divisor:.4g} when it is read.",
                "target_divisor",
                float(found.factor * setup.target_divisor),
            ),
            numbers,
            layers,
            tuple(places),
            plot,
        )
    return Finding(key, OK, title, said + ".", spread, limits.spread, "log", numbers=numbers,
                   plot=plot)  # fmt: skip


def origin(
    found: Convention | None,
    moved: bool,
    setup: Setup,
    places: Sequence[Place] = (),
    limits: TargetLimits = LIMITS,
) -> Finding:
    """Say where the zero of HV lies in a nucleus.

    Parameters
    ----------
    found : Convention, optional
    moved : bool
        Whether HV as a whole does not fit the labels, so that centres cannot.
    setup : Setup
        How HV has been read.
    places : sequence of Place
    limits : TargetLimits
    """
    key, title = "data.hv_origin", "Centre of HV"
    if found is None or moved:
        why = "HV belongs to other labels" if moved else "too few nuclei follow their HV"
        return not_tested(key, title, why)
    rows, cols = found.offset
    said = (
        f"HV is 0 {found.distances['mass']:.2f} px from the centre of mass (median of {found.n} "
        f"nuclei; {rows:+.2f} rows, {cols:+.2f} columns)"
    )
    numbers = {"rows": rows, "columns": cols, **found.distances}
    if found.centre and not is_claimed(found, setup):
        return Finding(
            key,
            WARN,
            f"HV starts from {CENTRES[found.centre]}",
            f"{said}: {CENTRES[found.centre]}. No convention that is read so has it there.",
            found.distances["mass"],
            limits.centre_bad_px,
            "px",
            0.4,
            Remedy(
                "Compute HV from the labels around their centre of mass, or train and compare "
                "with one centre throughout."
            ),
            numbers,
            ("truth", "target_hv_x", "target_hv_y"),
            tuple(places),
        )
    if found.centre:
        said += f": {CENTRES[found.centre]}."
        far = found.distances["mass"]
        return Finding(key, OK, title, said, far, limits.centre_bad_px, "px", numbers=numbers)
    far = found.distances["mass"]
    steady = is_steady(found)
    if not is_off_centre(found, limits):
        said += "; no known centre, but close enough to do no harm."
        return Finding(key, OK, title, said, far, limits.centre_bad_px, "px", numbers=numbers)
    name = "HV is moved against the labels" if steady else "HV has its zero off the centres"
    return Finding(
        key,
        FAULT,
        f"{name} by {far:.1f} px",
        f"{said}; the known centres lie within {limits.centre_px:g} px.",
        far,
        limits.centre_bad_px,
        "px",
        scaled(found.off, limits.centre_bad, 0.5, 0.82, 0.92),
        Remedy(
            "Compute HV again from these labels (hv_targets(labels)); look for rows and columns "
            "that were exchanged, or a crop that HV and labels do not share."
        ),
        numbers,
        ("truth", "target_hv_x", "target_hv_y"),
        tuple(places),
    )


def is_claimed(found: Convention, setup: Setup) -> bool:
    """Tell whether a known convention of the order and sign read has this centre and scale.

    The centre of mass and the published one need no more than themselves.

    Parameters
    ----------
    found : Convention
    setup : Setup
    """
    if found.centre != "distance_peak":
        return True
    return any(
        (p.order, p.sign, p.centre, p.scale)
        == (setup.target_order, setup.target_sign, found.centre, found.scale)
        for p in PRESETS.values()
    )


def is_steady(found: Convention) -> bool:
    """Tell whether HV's zero is off the centres into the same direction everywhere."""
    return float(np.hypot(*found.offset)) >= STEADY * found.distances["mass"]


def is_off_centre(found: Convention, limits: TargetLimits = LIMITS) -> bool:
    """Tell whether HV's zero is so far off every known centre that it does harm.

    Parameters
    ----------
    found : Convention
    limits : TargetLimits
    """
    if found.centre:
        return False
    far = found.distances["mass"]
    if is_steady(found) and far >= limits.centre_steady_px:
        return True
    return far >= limits.centre_bad_px or found.off >= limits.centre_bad


def centre_places(
    fits: Sequence[Fits], items: dict[int, Item], n: int, limits: TargetLimits = LIMITS
) -> list[Place]:
    """Return places around the nuclei whose HV is 0 farthest from their centre."""
    found = []
    for f in fits:
        far = np.hypot(*(f.centre - f.mass).T) / np.maximum(f.radius, 1)
        far = np.where(f.straight >= limits.straight, far, 0.0)
        for k in np.argsort(-far)[:2]:
            row, col = f.mass[k]
            words = f"HV is 0 {far[k] * f.radius[k]:.1f} px from the centre of mass"
            found.append((float(far[k]), around(items[f.index], row, col, words)))
    return [place for _, place in sorted(found, key=lambda each: -each[0])[:n]]


def spread_plot(found: Convention) -> Plot:
    """Draw how well each scale fits."""
    return Plot(
        "bars",
        "Deviation of HV from each scale",
        SCALES,
        (("deviation", tuple(found.spreads[s] for s in SCALES)),),
        y_label="median deviation (log)",
        line=LIMITS.spread,
    )
