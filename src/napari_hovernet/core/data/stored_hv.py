"""How HV that somebody stored is meant: order of the channels, sign, scale."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import InputError
from ..hv import ORDERS, PRESETS, SIGNS, HVConvention, compact_ids, convert, hv_targets
from ..io.labels import check_labels
from ..types import Float32, Int32
from .items import evenly
from .stores import SizeError, Stack

INT8_SCALE = 127.0
"""HV stored as whole numbers is divided by this."""
LARGEST_HV = 2.0
"""Floats beyond this are taken for whole numbers that were never divided."""
LEAST_SCORE = 0.3
"""Agreement from which an order and a sign are believed, -1..1."""
LEAST_LEAD = 0.2
"""Agreement by which they must lead the next."""
STEEPEST = 0.45
"""Steps of HV from pixel to pixel beyond this are borders between nuclei."""
PROBED = 16
"""Samples of a file that are looked at to find out how its HV is meant."""

Reading = tuple[str, str]
"""Order and sign."""


@dataclass(frozen=True)
class StoredHV:
    """How stored HV is read."""

    order: str = "hv"  # See :class:`.hv.HVConvention`
    sign: str = "outward"
    divisor: float = 1.0


@dataclass(frozen=True)
class HVProbe:
    """Stored HV of one image, and what else is known of it."""

    hv: Float32  # float32 (2, H, W): In the scale of -1..1
    nucleus: npt.NDArray[np.bool_]  # bool (H, W)
    labels: Int32 | None = None  # int32 (H, W): Instances


@dataclass(frozen=True)
class HVFinding:
    """How stored HV is meant."""

    order: str  # See :class:`.hv.HVConvention`.
    sign: str
    score: float  # Agreement, -1..1: mean cosine to HV from labels, or share of rising steps
    lead: float  # By how much it is better than the next reading
    by_labels: bool  # Whether labels told it
    closest: str = ""  # Preset with the smallest difference, where there are labels
    difference: float = float("nan")  # That mean difference, NaN without labels

    @property
    def sure(self) -> bool:
        """Whether it can be believed."""
        return self.score >= LEAST_SCORE and self.lead >= LEAST_LEAD

    @property
    def words(self) -> str:
        """What was found, in words."""
        order = "[H, V]" if self.order == "hv" else "[V, H]"
        by = "HV computed from the labels" if self.by_labels else "its slope inside nuclei"
        text = (
            f"stored HV is {order}, {self.sign}, told by {by} (agreement {self.score:.2f}, next "
            f"reading {self.score - self.lead:.2f})"
        )
        if self.closest:
            text += f"; closest to {self.closest!r} (mean difference {self.difference:.3f})"
        return text


def unit_scale(hv: npt.ArrayLike, divisor: float | None = None) -> Float32:
    """Bring stored HV (2, ..., H, W) to -1..1: whole numbers are divided by 127."""
    array = np.asarray(hv)
    if divisor is None:
        divisor = INT8_SCALE if array.dtype.kind in "iu" else 1.0
    scaled = np.array(array, np.float32)
    if divisor != 1.0:
        scaled /= np.float32(divisor)
    return scaled


def read_stored(
    hv: npt.ArrayLike, order: str = "hv", sign: str = "outward", divisor: float | None = None
) -> Float32:
    """Give stored HV (2, H, W) as ours: [H, V], outward, -1..1."""
    stored = HVConvention(order=order, sign=sign)
    return convert(unit_scale(hv, divisor), stored, HVConvention())


def divisor_of(hv: npt.NDArray[Any], what: str = "HV") -> tuple[float, str]:
    """Tell what stored HV has to be divided by, and say so; "" if nothing is odd."""
    if hv.dtype.kind == "i" and hv.dtype.itemsize == 1:
        return INT8_SCALE, f"{what} is stored as int8: divided by {INT8_SCALE:g}"
    if hv.dtype.kind not in "fi":
        raise InputError(f"{what} has dtype {hv.dtype}; HV is float, or int8 of -127..127.")
    values = np.asarray(hv, np.float32)
    if not np.isfinite(values).all():
        raise InputError(f"{what} holds NaN or infinite values; compute it again.")
    largest = float(np.abs(values).max(initial=0.0))
    if largest > LARGEST_HV:
        note = f"{what} goes up to {largest:.0f}: it was never divided; divided by {INT8_SCALE:g}"
        return INT8_SCALE, note
    return 1.0, ""


def look_at_hv(stack: Stack, name: str) -> tuple[HVFinding, float, str]:
    """Find out how the HV of a stack is meant; returns also its divisor and what is odd."""
    shape = stack.parts["hv"].shape
    if len(shape) != 4 or shape[1] != 2:
        raise SizeError(f"{name}: HV has shape {shape}; it must be (N, 2, H, W).")
    truth = "labels" if "labels" in stack.has else "np"
    read = [stack.read(i, ("hv", truth), stream=False) for i in evenly(stack.n, PROBED)]
    divisor, note = divisor_of(np.stack([arrays["hv"] for arrays in read]), f"{name}: HV")
    probes = []
    for arrays in read:
        if truth not in arrays:
            raise InputError("there is nothing that tells nuclei from background.")
        plane = check_labels(arrays[truth], stack.parts[truth].called)
        labels = compact_ids(plane)[0] if truth == "labels" else None
        probes.append(HVProbe(unit_scale(arrays["hv"], divisor), plane > 0, labels))
    return detect_hv(probes), divisor, note


def detect_hv(probes: Iterable[HVProbe]) -> HVFinding:
    """Find out which channel is which, and where vectors point."""
    probes = tuple(probes)
    labels = [probe.labels for probe in probes if probe.labels is not None]
    by_labels = bool(probes) and len(labels) == len(probes)
    scores = _label_scores(probes, labels) if by_labels else _slope_scores(probes)
    best, second = sorted(scores, key=lambda reading: -scores[reading])[:2]
    lead = scores[best] - scores[second]
    closest, difference = _closest(probes, labels) if by_labels else ("", float("nan"))
    return HVFinding(*best, scores[best], lead, by_labels, closest, difference)


def _label_scores(probes: Sequence[HVProbe], all_labels: Sequence[Int32]) -> dict[Reading, float]:
    """Mean cosine of each reading to HV from the labels."""
    dots, n = dict.fromkeys(product(ORDERS, SIGNS), 0.0), 0
    for probe, labels in zip(probes, all_labels, strict=True):
        wanted = hv_targets(labels)
        lengths = np.hypot(*probe.hv) * np.hypot(*wanted)
        use = (labels > 0) & (lengths > 0)
        n += int(use.sum())
        for order in ORDERS:
            x, y = probe.hv if order == "hv" else probe.hv[::-1]
            dot = (x * wanted[0] + y * wanted[1])[use] / lengths[use]
            dots[order, "outward"] += float(dot.sum(dtype=np.float64))
    return _means(dots, n)


def _slope_scores(probes: Sequence[HVProbe]) -> dict[Reading, float]:
    """Share of steps inside nuclei that rise as each reading wants it, 1 = all."""
    sums, weight = dict.fromkeys(product(ORDERS, SIGNS), 0.0), 0.0
    for probe in probes:
        for channel, values in enumerate(probe.hv):
            along_x, most_x = _rise(values, probe.nucleus)
            along_y, most_y = _rise(values.T, probe.nucleus.T)
            weight += max(most_x, most_y)
            sums["hv", "outward"] += along_x if channel == 0 else along_y
            sums["vh", "outward"] += along_y if channel == 0 else along_x
    return _means(sums, weight)


def _rise(values: Float32, nucleus: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """Sum of the steps along rows inside nuclei, and of their sizes, without the jumps between."""
    step = np.diff(values, axis=1)
    use = nucleus[:, 1:] & nucleus[:, :-1] & (np.abs(step) < STEEPEST)
    used = step[use].astype(np.float64)
    return float(used.sum()), float(np.abs(used).sum())


def _means(sums: dict[Reading, float], weight: float) -> dict[Reading, float]:
    """Divide by the weight; an inward reading agrees as much as the outward one disagrees."""
    if not weight > 0:
        raise InputError(
            "Stored HV is 0 in all nuclei that were looked at, or there is no nucleus; compute "
            "HV again from instance labels."
        )
    return {(order, sign): sums[order, "outward"] / weight * (1 if sign == "outward" else -1)
            for order, sign in sums}  # fmt: skip


def _closest(probes: Sequence[HVProbe], all_labels: Sequence[Int32]) -> tuple[str, float]:
    """Preset whose HV differs least from the stored one, inside nuclei."""
    differences = {}
    for name, convention in PRESETS.items():
        total, n = 0.0, 0
        for probe, labels in zip(probes, all_labels, strict=True):
            off = np.abs(hv_targets(labels, convention) - probe.hv)[:, labels > 0]
            total, n = total + float(off.sum(dtype=np.float64)), n + off.size
        differences[name] = total / max(n, 1)
    best = min(differences, key=lambda name: differences[name])
    return best, differences[best]
