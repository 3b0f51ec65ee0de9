"""The same place in another tile: whether the network says the same of it."""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass

import numpy as np

from ..types import Maps, Progress
from .bench import Bench
from .model_input import untested
from .model_limits import MODEL_LIMITS, ModelLimits
from .model_quality import SHORT, correlation
from .model_whatifs import image_indices
from .registry import Steps
from .report import FAULT, NOT_TESTED, OK, Finding, Place, Remedy

ID, TITLE = "model.tiles", "The same place in another tile"
KEPT = "model.tiles"
"""Name under which a bench keeps whether maps are steady."""
RANDOM_CERTAINTY, TILE_CERTAINTY = 0.93, 0.9
HALF = 0.5
FEW_PIXELS = 50


@dataclass(frozen=True)
class Repeated:
    """How alike predictions of the same place are.

    Parameters
    ----------
    difference : float
        Largest difference of NP between two predictions of the same pixels.
    np : float
        Correlation of NP with that in a tile that begins elsewhere; NaN if not compared.
    hv : float
        Mean cosine of HV, likewise.
    again : float
        Mean cosine of HV between two predictions of the same pixels; NaN if not compared.
    """

    difference: float
    np: float = math.nan
    hv: float = math.nan
    again: float = math.nan


def repeated(first: Maps, second: Maps, other: Maps | None, limits: ModelLimits) -> Repeated:
    """Compare two predictions of the same pixels and one of a part of them.

    Parameters
    ----------
    first, second : Maps
        Of the same image.
    other : Maps, optional
        Of the image without its first rows and columns, ``limits.tile_offset``.
    limits : ModelLimits
    """
    difference = float(np.abs(first.np - second.np).max())
    again = _cosine(first, second)
    if other is None:
        return Repeated(difference, again=again)
    rows, cols = limits.tile_offset
    margin = limits.tile_margin
    inner = (slice(margin, -margin), slice(margin, -margin))
    both = (slice(None), *inner)
    here = Maps(np=first.np[rows:, cols:][inner], hv=first.hv[:, rows:, cols:][both])
    there = Maps(np=other.np[inner], hv=other.hv[both])
    flat = min(here.np.std(), there.np.std()) < limits.turn_flat
    alike = math.nan if flat else correlation(here.np, there.np)
    return Repeated(difference, alike, _cosine(here, there), again)


def _cosine(a: Maps, b: Maps) -> float:
    """Return the mean cosine of HV where both say nucleus; NaN where that is hardly anywhere."""
    inside = (a.np >= HALF) & (b.np >= HALF)
    if inside.sum() < FEW_PIXELS:
        return math.nan
    x, y = a.hv[:, inside], b.hv[:, inside]
    size = np.hypot(*x) * np.hypot(*y)
    if float(np.median(size)) < SHORT:
        return math.nan
    return float(((x * y).sum(axis=0) / np.maximum(size, SHORT)).mean())


def tiles(
    found: Sequence[Repeated], places: Sequence[Place] = (), limits: ModelLimits = MODEL_LIMITS
) -> Finding:
    """Judge whether a prediction depends on chance or on where the tile begins.

    Parameters
    ----------
    found : sequence of Repeated
    places : sequence of Place
    limits : ModelLimits
    """
    difference = max(r.difference for r in found)
    prob, hv, again = (_middle([getattr(r, n) for r in found]) for n in ("np", "hv", "again"))
    numbers = {"difference": difference, "np": prob, "hv": hv, "hv again": again}
    measured = (
        f"Two predictions of the same pixels differ by at most {difference:.3f} in NP and agree "
        f"with mean cosine {again:.2f} in HV; in a tile "
        f"that begins elsewhere NP agrees with correlation {prob:.2f} and HV with mean cosine "
        f"{hv:.2f} (1 in health)"
    )
    random = difference > limits.same or again < limits.tile_cosine
    depends = prob < limits.tile_np or hv < limits.tile_cosine
    if not random and not depends:
        return Finding(ID, OK, TITLE, f"{measured}.", value=prob, numbers=numbers)
    return Finding(
        ID,
        FAULT,
        "The network answers at random" if random else "Maps depend on where the tile begins",
        f"{measured}.",
        value=difference if random else hv if hv < limits.tile_cosine else prob,
        threshold=limits.same
        if random
        else limits.tile_cosine
        if hv < limits.tile_cosine
        else limits.tile_np,
        unit="NP" if random else "cosine" if hv < limits.tile_cosine else "correlation",
        certainty=RANDOM_CERTAINTY if random else TILE_CERTAINTY,
        remedy=Remedy(
            "Call network.eval(): dropout or batch statistics are still in use."
            if random
            else "Predict in larger tiles with a halo that is thrown away, and never resize tiles "
            "to a fixed size; batch norm must use its running statistics."
        ),
        numbers=numbers,
        layers=("image", "np", "hv_x"),
        places=tuple(places),
    )


def run_tiles(bench: Bench) -> Steps:
    """Predict parts twice, and without their first rows and columns."""
    limits = MODEL_LIMITS
    rows, cols = limits.tile_offset
    found: list[tuple[Repeated, Place]] = []
    indices = image_indices(bench)[: limits.least_parts]
    for number, index in enumerate(indices):
        yield Progress(number, len(indices), "the same place in another tile")
        first, item, box = bench.variant(index), bench.item(index), bench.box(index)
        if first is None or item is None or box is None:
            continue
        yield Progress(number, len(indices), "the same place in another tile")
        second = bench.part_changed(index, lambda part: part)
        other = None
        least = 4 * limits.tile_margin
        if min(first.shape[0] - rows, first.shape[1] - cols) >= least:
            yield Progress(number, len(indices), "the same place in another tile")
            other = bench.part_changed(index, lambda part: part[rows:, cols:])
        if second is not None:
            found.append((repeated(first, second, other, limits), Place(index, item.name, box)))
    if not indices:
        yield untested(ID, TITLE, bench)
    elif not found:
        yield Finding(ID, NOT_TESTED, TITLE, "Not tested: no image could be predicted twice.")
    else:
        found.sort(key=lambda pair: (-pair[0].difference, pair[0].np))
        finding = tiles([r for r, _ in found], [p for _, p in found][: bench.params.n_places])
        bench.kept[KEPT] = finding.verdict != FAULT
        yield finding


def steady_steps(bench: Bench) -> Generator[Progress, None, bool]:
    """Tell whether maps depend on neither chance nor tile; measured once for each bench."""
    if KEPT not in bench.kept:
        for step in run_tiles(bench):
            if isinstance(step, Progress):
                yield step
            else:
                bench.kept[KEPT] = step.verdict != FAULT
    steady: bool = bench.kept[KEPT]
    return steady


def _middle(values: Sequence[float]) -> float:
    known = [v for v in values if not math.isnan(v)]
    return float(np.median(known)) if known else math.nan
