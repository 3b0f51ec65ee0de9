"""Mirrored images: whether the network answers with mirrored maps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..types import Maps, Progress
from .bench import PLAIN, Bench, Variant
from .model_input import untested
from .model_limits import MODEL_LIMITS, ModelLimits
from .model_quality import SHORT, best_shift, correlation
from .model_whatifs import image_indices
from .registry import Steps
from .report import FAULT, NOT_TESTED, OK, WARN, Finding, Place, Remedy

ID, TITLE = "model.turns", "Answer to mirrored images"
FAULT_CERTAINTY, WARN_CERTAINTY = 0.75, 0.4
HALF = 0.5
FEW_PIXELS = 50


@dataclass(frozen=True)
class Mirrored:
    """How alike the maps of an image and of its mirror image (mirrored back) are.

    Parameters
    ----------
    np : float
        Correlation of NP.
    x, y : float
        Mean cosine of each HV channel, -1..1; NaN where there is no HV to speak of.
    shift : int
        Columns by which NP is moved against its mirror image.
    """

    np: float
    x: float
    y: float
    shift: int = 0


def mirrored(maps: Maps, back: Maps, limits: ModelLimits = MODEL_LIMITS) -> Mirrored:
    """Compare maps with those of the mirrored image, mirrored back."""
    inside = (maps.np >= HALF) & (back.np >= HALF)
    strong = inside & (np.minimum(maps.magnitude, back.magnitude) > limits.turn_magnitude)
    cosines = [math.nan, math.nan]
    if strong.sum() >= FEW_PIXELS:
        pairs = [
            (m[strong].astype(float), b[strong].astype(float))
            for m, b in zip(maps.hv, back.hv, strict=True)
        ]
        norms = [float(np.sqrt((a * a).sum() * (b * b).sum())) for a, b in pairs]
        for channel, (a, b) in enumerate(pairs):
            if norms[channel] > limits.turn_one * max(norms):
                cosines[channel] = float((a * b).sum()) / max(norms[channel], SHORT)
    _, (_, shift) = best_shift(maps.np, back.np)
    return Mirrored(correlation(maps.np, back.np), cosines[0], cosines[1], shift)


def turns(
    found: Sequence[Mirrored], places: Sequence[Place] = (), limits: ModelLimits = MODEL_LIMITS
) -> Finding:
    """Judge how the network answers to mirrored images.

    Parameters
    ----------
    found : sequence of Mirrored
        One per image, the places in the same order.
    places : sequence of Place
    limits : ModelLimits
    """
    prob = float(np.mean([m.np for m in found]))
    x, y = (_mean(getattr(m, name) for m in found) for name in ("x", "y"))
    numbers = {"np": prob, "hv x": x, "hv y": y}
    other = x < 0 and y < 0
    moved = prob < limits.turn_np
    turned = _least(x, y) < limits.turn_cosine and not other
    measured = (
        f"Mirroring the image mirrors NP with correlation {prob:.2f} and HV with mean cosine "
        f"{x:.2f} along x and {y:.2f} along y (1 in health)"
    )
    if not moved and not turned:
        words = (
            "; both HV channels change sign, so the first runs along y: see the channel order"
            if other
            else ""
        )
        return Finding(ID, OK, TITLE, f"{measured}{words}.", numbers=numbers, value=_least(x, y))
    if moved:
        shift = int(np.median([m.shift for m in found]))
        far = f": the two lie {abs(shift)} columns apart" if shift else ""
        title, more = "Maps do not follow a mirrored image", far
    else:
        title, more = "HV does not follow a mirrored image", ""
    return Finding(
        ID,
        WARN if moved else FAULT,
        title,
        f"{measured}{more}.",
        value=prob if moved else _least(x, y),
        threshold=limits.turn_np if moved else limits.turn_cosine,
        unit="correlation" if moved else "cosine",
        certainty=WARN_CERTAINTY if moved else FAULT_CERTAINTY,
        remedy=Remedy(
            "Look at what moves maps against the image (model.shift)."
            if moved
            else "HV was learned without direction: check that flips and turns of the "
            "augmentation negate and swap the HV channels, then train again."
        ),
        numbers=numbers,
        layers=("image", "np", "hv_x", "hv_y"),
        places=tuple(places),
    )


def run_turns(bench: Bench) -> Steps:
    """Predict mirrored parts."""
    found: list[tuple[Mirrored, Place]] = []
    indices = image_indices(bench)[: MODEL_LIMITS.least_parts]
    for number, index in enumerate(indices):
        yield Progress(number, len(indices), "mirrored images")
        maps, back = bench.variant(index, PLAIN), bench.variant(index, Variant(flip=True))
        item, box = bench.item(index), bench.box(index)
        if maps is None or back is None or item is None or box is None:
            continue
        if item.image is None:
            continue
        flat = min(maps.np.std(), back.np.std()) < MODEL_LIMITS.turn_flat
        if (maps.np >= HALF).sum() >= FEW_PIXELS and not flat:
            found.append((mirrored(maps, back), Place(index, item.name, box)))
    predictor = bench.case.predictor
    if predictor is None or not indices:
        yield untested(ID, TITLE, bench)
        return
    if not found:
        words = "Not tested: the network finds no nuclei in the images that were tried."
        yield Finding(ID, NOT_TESTED, TITLE, words)
        return
    found.sort(key=lambda pair: pair[0].np)
    yield turns([m for m, _ in found], [p for _, p in found][: bench.params.n_places])


def _mean(values: object) -> float:
    known = [v for v in values if not math.isnan(v)]  # type: ignore[attr-defined]
    return float(np.mean(known)) if known else math.nan


def _least(x: float, y: float) -> float:
    known = [v for v in (x, y) if not math.isnan(v)]
    return min(known, default=math.nan)
