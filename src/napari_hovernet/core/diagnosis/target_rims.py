"""Whether stored HV was blurred or resized after it was made: the jumps between nuclei tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..hv import PRESETS, HVConvention, convert, hv_targets
from ..types import Float32, Int32
from .data_common import not_tested, percent, scaled
from .report import FAULT, OK, WARN, Finding, Place, Remedy
from .setup import Setup
from .target_limits import LIMITS, TargetLimits
from .target_scale import Convention

FEWEST = 60
"""Pixels along borders between nuclei that are needed to judge by the jumps."""
EXACT = 0.006
"""Mean difference from a known convention that is none."""
MADE = 1e-3
"""Length below which HV is 0."""


@dataclass(frozen=True, eq=False)
class Rims:
    """What is left of HV at the rims of nuclei in one image.

    Parameters
    ----------
    index, name
        Of the image.
    jump, jump_of : float
        Jump between touching nuclei in stored HV (along that in HV from the labels), and the
        latter's square.
    borders : int
        Pixels along such borders.
    rim, rim_of : float
        The same for pixels at the rim against their length.
    inside, outside : float
        Energy of stored HV inside and outside of nuclei.
    presets : dict of str to float
        Mean difference from each preset that has the order and sign that the setup names.
    box : (int, int, int, int)
        Around the weakest jump.
    """

    index: int
    name: str
    jump: float
    jump_of: float
    borders: int
    rim: float
    rim_of: float
    inside: float
    outside: float
    presets: dict[str, float]
    box: tuple[int, int, int, int]


def rims_of(
    index: int, name: str, labels: Int32, hv: Float32, found: Convention | None, setup: Setup
) -> Rims:
    """Compare stored HV with HV from the labels where nuclei end.

    Parameters
    ----------
    index, name
        Of the image.
    labels : int32 (H, W)
    hv : float32 (2, H, W)
        [H, V] outward, of the right length.
    found : Convention, optional
        The scale and the centre that fit.
    setup : Setup
        How HV was read.
    """
    wanted = hv_targets(labels, _closest(found))
    jump = jump_of = rim = rim_of = 0.0
    borders = 0
    worst: tuple[float, int, int] = (2.0, 0, 0)
    for turned, (ids, made, ref) in enumerate(
        ((labels, hv, wanted), (labels.T, hv.transpose(0, 2, 1), wanted.transpose(0, 2, 1)))
    ):
        first, second = ids[:, :-1], ids[:, 1:]
        border = (first != second) & (first > 0) & (second > 0)
        rows, cols = np.nonzero(border)
        steps = [np.diff(planes, axis=2)[:, border] for planes in (made, ref)]
        along = (steps[0] * steps[1]).sum(axis=0)
        size = np.square(steps[1]).sum(axis=0)
        jump, jump_of = jump + float(along.sum()), jump_of + float(size.sum())
        borders += len(rows)
        if len(rows):
            k = int(np.argmin(along / np.maximum(size, MADE)))
            at = (int(cols[k]), int(rows[k])) if turned else (int(rows[k]), int(cols[k]))
            worst = min(worst, (float(along[k] / max(float(size[k]), MADE)), *at))
        edge = ((first > 0) != (second > 0))[None]
        near = np.where((first > 0)[None], made[:, :, :-1], made[:, :, 1:])
        true = np.where((first > 0)[None], ref[:, :, :-1], ref[:, :, 1:])
        rim += float((near * true * edge).sum())
        rim_of += float((true * true * edge).sum())
    inside = labels > 0
    energy = np.square(hv).sum(axis=0)
    r, c = worst[1], worst[2]
    box = (
        max(r - 32, 0),
        min(r + 32, labels.shape[0]),
        max(c - 32, 0),
        min(c + 32, labels.shape[1]),
    )
    return Rims(
        index,
        name,
        jump,
        jump_of,
        borders,
        rim,
        rim_of,
        float(energy[inside].sum()),
        float(energy[~inside].sum()),
        _presets(labels, hv, setup),
        box,
    )


def _closest(found: Convention | None) -> HVConvention:
    if found is None:
        return HVConvention()
    scale = "axis" if found.in_pixels else found.scale
    return HVConvention(scale=scale, centre=found.centre or "mass")


def _presets(labels: Int32, hv: Float32, setup: Setup) -> dict[str, float]:
    """Mean difference from presets that the setup claims by their order and sign."""
    found = {}
    read = (setup.target_order, setup.target_sign)
    inside = labels > 0
    for name, preset in PRESETS.items():
        if (preset.order, preset.sign) != read:
            continue
        claimed = HVConvention(order=preset.order, sign=preset.sign)
        made = convert(hv_targets(labels, preset), claimed, HVConvention())
        if inside.any():
            found[name] = float(np.abs(made - hv)[:, inside].mean())
    return found


def resized(
    rims: Sequence[Rims], places: Sequence[Place] = (), limits: TargetLimits = LIMITS
) -> Finding:
    """Say whether stored HV was blurred or resized after it was made.

    Parameters
    ----------
    rims : sequence of Rims
    places : sequence of Place
    limits : TargetLimits
    """
    key, title = "data.hv_resized", "Sharp jumps of HV between nuclei"
    if not rims:
        return not_tested(key, title, "HV does not follow the labels")
    borders = sum(r.borders for r in rims)
    by_jump = borders >= FEWEST
    had = sum(r.jump if by_jump else r.rim for r in rims)
    of = sum(r.jump_of if by_jump else r.rim_of for r in rims)
    left = had / max(of, MADE)
    leak = sum(r.outside for r in rims) / max(sum(r.inside for r in rims), MADE)
    what = f"Jumps between touching nuclei ({borders} px)" if by_jump else "HV at the rims"
    said = (
        f"{what} keep {percent(max(left, 0))} of their size (100 % in health), "
        f"and {percent(leak)} of HV's energy lies outside of nuclei (0 % in health)"
    )
    loss = 1 - left
    numbers = {"loss": loss, "leak": leak, "borders": float(borders)}
    known = _known(rims)
    slight = loss < limits.loss and leak < limits.leak
    if slight or known:
        more = f" That is how the convention {known!r} has it." if known and not slight else ""
        return Finding(key, OK, title, f"{said}.{more}", loss, limits.loss_all, "share",
                       numbers=numbers)  # fmt: skip
    bad = loss >= limits.loss_all or leak >= limits.leak_all
    return Finding(
        key,
        FAULT if bad else WARN,
        "HV was blurred or resized after it was made",
        said + ".",
        loss,
        limits.loss_all,
        "share",
        scaled(loss, limits.loss_all, 0.8, 0.85, 0.94) if bad else scaled(loss, 0, 0.4, 0.3, 0.45),
        Remedy(
            "Resize the labels (nearest neighbour) and compute HV from them at that size; never "
            "resize HV, its jumps are what separates nuclei."
        ),
        numbers,
        ("truth", "target_hv_x", "target_hv_y"),
        tuple(places),
    )


def _known(rims: Sequence[Rims]) -> str:
    """Name of the preset that stored HV is, "" if none."""
    names = set(rims[0].presets)
    means = {n: float(np.mean([r.presets.get(n, 1.0) for r in rims])) for n in names}
    best = min(means, key=lambda n: means[n]) if means else ""
    return best if best and means[best] <= EXACT else ""
