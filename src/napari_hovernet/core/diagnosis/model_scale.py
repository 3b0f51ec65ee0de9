"""Magnification: whether nuclei have the size that the network knows."""

from __future__ import annotations

from collections.abc import Generator, Sequence

import numpy as np

from ..types import Progress
from .bench import Bench, Variant
from .model_input import untested
from .model_limits import MODEL_LIMITS, ModelLimits
from .model_tiles import steady_steps
from .model_whatifs import TRUTH, Gain, Predict, WhatIfs, certainty_of, of_variant, places_of, said
from .registry import Steps
from .report import FAULT, NOT_TESTED, OK, WARN, Finding, Place, Plot, Remedy

ID, TITLE = "model.mpp", "Magnification"
EQUAL = 0.005
"""Zooms whose mean gains differ by less than this are equally good; the nearest to 1 is taken."""
UNSTEADY = (
    "Not tested: maps depend on chance or on where the tile begins (model.tiles), so nothing can "
    "be told of sizes."
)
WARN_CERTAINTY, ALONE_CERTAINTY = 0.4, 0.75


def zoom_name(zoom: float) -> str:
    """Name the what-if of a zoom."""
    return f"the image is resized {zoom:g} times"


def magnification(
    gains: dict[float, Gain],
    diameter: float,
    zoom_now: float = 1.0,
    places: Sequence[Place] = (),
    limits: ModelLimits = MODEL_LIMITS,
) -> Finding:
    """Judge whether another magnification suits the network better.

    A resize wins if maps get clearly better in nearly all images; less is enough where the
    nuclei found have a size that is unusual for the network.

    Parameters
    ----------
    gains : dict of float to Gain
        By zoom.
    diameter : float
        Of a typical nucleus found, pixels as the network sees them; 0 if none is found.
    zoom_now : float
        ``Setup.zoom``.
    places : sequence of Place
    limits : ModelLimits
    """
    winner = _winner(gains, diameter, limits)
    table = {f"zoom {z:g}": g.mean for z, g in gains.items()}
    plot = _plot(gains)
    low, high = limits.usual_diameter
    if winner is None:
        best = max(gains.values(), key=lambda g: g.mean)
        return Finding(
            ID,
            OK,
            TITLE,
            f"No resize makes maps clearly better (best {best.mean:+.3f}); nuclei found are "
            f"about {diameter:.0f} px across (usual {low:.0f}..{high:.0f}).",
            value=best.mean,
            threshold=limits.zoom_gain,
            unit="gain",
            numbers={**table, "diameter": diameter},
            plot=plot,
        )
    zoom, certainty = winner
    fault = certainty > WARN_CERTAINTY
    gain = gains[zoom]
    size = "larger" if zoom < 1 else "smaller"
    return Finding(
        ID,
        FAULT if fault else WARN,
        f"Nuclei are {size} than the network knows (magnification)",
        f"The {said(gain, limits)}. Nuclei found are about {diameter:.0f} px across (usual "
        f"{low:.0f}..{high:.0f}).",
        value=gain.mean,
        threshold=limits.zoom_gain,
        unit="gain",
        certainty=certainty,
        remedy=Remedy(
            f"Resize images {zoom * zoom_now:.2g} times before the network (give their mpp and "
            "that of the model, if known).",
            "zoom",
            round(zoom * zoom_now, 4),
        ),
        numbers={**table, "diameter": diameter, "zoom": zoom},
        layers=("image", "np", "instances"),
        places=tuple(places),
        plot=plot,
    )


def _winner(
    gains: dict[float, Gain], diameter: float, limits: ModelLimits
) -> tuple[float, float] | None:
    """Return the zoom to use and how certain that is, None if none is needed."""
    gains = {z: g for z, g in gains.items() if _sensible(z, g, diameter, limits)}
    won = {z: g for z, g in gains.items() if g.prob > 0 and g.wins(limits.zoom_gain, limits)}
    if won:
        zoom = _nearest_best(won)
        strong = max(zoom, 1 / zoom) >= limits.strong_zoom
        return zoom, certainty_of(gains[zoom], limits) if strong else WARN_CERTAINTY
    low, high = limits.usual_diameter
    if not diameter or low <= diameter <= high:
        return None
    fitting = {
        z: g
        for z, g in gains.items()
        if (z < 1) == (diameter > high) and max(z, 1 / z) >= limits.strong_zoom and g.complete
    }
    return _by_size(fitting, diameter, limits)


def _sensible(zoom: float, gain: Gain, diameter: float, limits: ModelLimits) -> bool:
    """Tell whether nuclei would have a possible size, and NP does not lose where HV gains."""
    smallest, largest = limits.possible_diameter
    would = diameter * zoom
    possible = not diameter or (would <= largest if zoom > 1 else would >= smallest)
    return possible and gain.prob >= -limits.counts


def _by_size(
    fitting: dict[float, Gain], diameter: float, limits: ModelLimits
) -> tuple[float, float] | None:
    """Decide where nuclei have an unusual size and zooms win less clearly."""
    gently = {
        z: g
        for z, g in fitting.items()
        if g.reached >= limits.fits
        and g.share(-limits.harmless) >= limits.consistent
        and len(g.gains) >= limits.least_parts
    }
    truly = {z: g for z, g in gently.items() if g.by == TRUTH and g.mean >= limits.unusual_gain}
    if truly:
        zoom = _nearest_best(truly)
        return zoom, certainty_of(truly[zoom], limits) - 0.05
    harmless = {z: g for z, g in gently.items() if g.by != TRUTH and g.mean >= -limits.counts}
    if harmless:
        zoom = _nearest_best(harmless)
        huge = diameter > limits.huge_diameter
        return zoom, ALONE_CERTAINTY if huge else WARN_CERTAINTY
    return None


def _nearest_best(gains: dict[float, Gain]) -> float:
    best = max(g.mean for g in gains.values())
    equal = [z for z, g in gains.items() if g.mean >= best - EQUAL]
    return min(equal, key=lambda z: max(z, 1 / z))


def _plot(gains: dict[float, Gain]) -> Plot:
    means = {1.0: 0.0, **{z: g.mean for z, g in gains.items()}}
    zooms = sorted(means)
    return Plot(
        "lines",
        "Agreement gained by resizing the image",
        tuple(zooms),
        (("mean gain", tuple(means[z] for z in zooms)),),
        x_label="resized by",
        y_label="agreement (with it minus without)",
        line=0.0,
    )


def run_magnification(bench: Bench) -> Steps:
    """Sweep sizes; outward only as long as it gets better, because large images are slow."""
    whatifs, limits = WhatIfs.of(bench), MODEL_LIMITS
    yield from whatifs.parts_steps()
    if whatifs.parts and not (yield from steady_steps(bench)):
        yield Finding(ID, NOT_TESTED, TITLE, UNSTEADY)
        return
    found = [q.diameter for i in whatifs.parts if (q := whatifs.plain(i)) and q.n]
    diameter = float(np.median(found)) * bench.setup.zoom if found else 0.0
    low, high = limits.usual_diameter
    gains: dict[float, Gain] = {}
    zooms = sorted(limits.zooms)
    smaller, larger = [z for z in zooms if z < 1][::-1], [z for z in zooms if z > 1]
    for zoom in (*smaller, *larger):
        if zoom > 1 and not (yield from _promising(whatifs, zoom, gains)):
            continue
        unusual = diameter > high if zoom < 1 else 0 < diameter < low
        for step in whatifs.steps(zoom_name(zoom), _resized(zoom), whole=unusual):
            if isinstance(step, Gain):
                gains[zoom] = step
            else:
                yield step
    if not any(g.parts for g in gains.values()):
        yield untested(ID, TITLE, bench)
        return
    best = max(gains.values(), key=lambda g: g.mean)
    yield magnification(gains, diameter, bench.setup.zoom, places_of(whatifs, best))


def _promising(
    whatifs: WhatIfs, zoom: float, gains: dict[float, Gain]
) -> Generator[Progress | Finding, None, bool]:
    """Try a slow zoom on a few parts; returns whether the others are worth it."""
    few = whatifs.limits.least_parts
    last = [g for z, g in gains.items() if 1 < z < zoom]
    if len(last) >= 2 and max(g.mean for g in last) <= 0:
        return False
    for step in whatifs.steps(zoom_name(zoom), _resized(zoom), few):
        if not isinstance(step, Gain):
            yield step
            continue
        gains[zoom] = step
        return step.complete or step.mean > 0
    return False


def _resized(zoom: float) -> Predict:
    return of_variant(Variant(zoom=zoom))
