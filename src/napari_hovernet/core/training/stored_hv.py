"""HV targets as others have stored them: find out how they are meant, and read them so."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import InputError
from ..hv import ORDERS, PRESETS, SIGNS, HVConvention, convert, hv_targets
from ..types import Float32, Int32

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

Reading = tuple[str, str]
"""Order and sign."""


@dataclass(frozen=True)
class HVProbe:
    """Stored HV of one image, and what else is known of it.

    Parameters
    ----------
    hv : float32 (2, H, W)
        In the scale of -1..1.
    nucleus : bool (H, W)
    labels : int32 (H, W), optional
        Instances.
    """

    hv: Float32
    nucleus: npt.NDArray[np.bool_]
    labels: Int32 | None = None


@dataclass(frozen=True)
class HVFinding:
    """How stored HV is meant.

    Parameters
    ----------
    order, sign : str
        See :class:`.hv.HVConvention`.
    score : float
        Agreement, -1..1: mean cosine to HV from labels, or share of rising steps.
    lead : float
        By how much it is better than the next reading.
    by_labels : bool
        Whether labels told it.
    closest : str
        Preset with the smallest difference, where there are labels.
    difference : float
        That mean difference, NaN without labels.

    Examples
    --------
    >>> HVFinding("vh", "inward", 0.9, 0.9, False).sure
    True
    """

    order: str
    sign: str
    score: float
    lead: float
    by_labels: bool
    closest: str = ""
    difference: float = float("nan")

    @property
    def sure(self) -> bool:
        """Whether it can be believed."""
        return self.score >= LEAST_SCORE and self.lead >= LEAST_LEAD

    @property
    def words(self) -> str:
        """What was found, in words."""
        first, second = ("H", "V") if self.order == "hv" else ("V", "H")
        told = "HV computed from the labels" if self.by_labels else "its slope inside nuclei"
        text = (
            f"stored HV is [{first}, {second}], {self.sign}, told by {told} "
            f"(agreement {self.score:.2f}, next reading {self.score - self.lead:.2f})"
        )
        if self.closest:
            text += f"; closest to {self.closest!r} (mean difference {self.difference:.3f})"
        return text


def unit_scale(hv: npt.ArrayLike, divisor: float | None = None) -> Float32:
    """Bring stored HV to -1..1: whole numbers are divided by 127.

    Parameters
    ----------
    hv : number array (2, ..., H, W)
    divisor : float, optional
        None = 127 for whole numbers, 1 else.

    Examples
    --------
    >>> unit_scale(np.array([[[127]], [[-127]]], np.int8)).ravel().tolist()
    [1.0, -1.0]
    """
    array = np.asarray(hv)
    if divisor is None:
        divisor = INT8_SCALE if array.dtype.kind in "iu" else 1.0
    scaled = np.array(array, np.float32)
    if divisor != 1.0:
        scaled /= np.float32(divisor)
    return scaled


def divisor_of(hv: npt.NDArray[Any], what: str = "HV") -> tuple[float, str]:
    """Tell what stored HV has to be divided by, and say so; "" if nothing is odd.

    Raises
    ------
    InputError
        If it holds NaN, or no numbers of any use.

    Examples
    --------
    >>> divisor_of(np.zeros((2, 3, 3), np.int8))[0]
    127.0
    """
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


def detect_hv(probes: Iterable[HVProbe]) -> HVFinding:
    """Find out which channel is which, and where vectors point.

    With labels, HV is computed from them and compared: the reading with the largest mean
    cosine is taken. Without, the slope tells: inside a nucleus the component along x rises
    (outward) or falls (inward) from left to right and hardly changes from top to bottom.
    Nuclei that touch do no harm; the jump between them is left out.

    Parameters
    ----------
    probes : iterable of HVProbe
        All with labels, or all without.

    Raises
    ------
    InputError
        If HV is 0 in all nuclei, or there is no nucleus.

    Examples
    --------
    >>> labels = np.pad(np.ones((5, 7), np.int32), 1)
    >>> hv = hv_targets(labels, HVConvention(order="vh", sign="inward"))
    >>> found = detect_hv([HVProbe(hv, labels > 0)])
    >>> found.order, found.sign, found.sure
    ('vh', 'inward', True)
    """
    probes = tuple(probes)
    by_labels = bool(probes) and all(probe.labels is not None for probe in probes)
    scores = _label_scores(probes) if by_labels else _slope_scores(probes)
    ranked = sorted(scores, key=lambda reading: -scores[reading])
    best, lead = ranked[0], scores[ranked[0]] - scores[ranked[1]]
    closest, difference = _closest(probes) if by_labels else ("", float("nan"))
    return HVFinding(*best, scores[best], lead, by_labels, closest, difference)


def read_stored(
    hv: npt.ArrayLike, order: str = "hv", sign: str = "outward", divisor: float | None = None
) -> Float32:
    """Give stored HV as ours: [H, V], outward, -1..1.

    Parameters
    ----------
    hv : number array (2, H, W)
    order, sign : str
        How it is stored.
    divisor : float, optional
        See :func:`unit_scale`.

    Examples
    --------
    >>> read_stored([[[0.5]], [[0.25]]], "vh", "inward").ravel().tolist()
    [-0.25, -0.5]
    """
    stored = HVConvention(order=order, sign=sign)
    return convert(unit_scale(hv, divisor), stored, HVConvention())


def _label_scores(probes: tuple[HVProbe, ...]) -> dict[Reading, float]:
    """Mean cosine of each reading to HV from the labels."""
    dots, n = dict.fromkeys(product(ORDERS, SIGNS), 0.0), 0
    for probe in probes:
        labels = _labels_of(probe)
        wanted = hv_targets(labels)
        lengths = np.hypot(*probe.hv) * np.hypot(*wanted)
        use = (labels > 0) & (lengths > 0)
        n += int(use.sum())
        for order in ORDERS:
            x, y = probe.hv if order == "hv" else probe.hv[::-1]
            dot = (x * wanted[0] + y * wanted[1])[use] / lengths[use]
            total = float(dot.sum(dtype=np.float64))
            dots[order, "outward"] += total
            dots[order, "inward"] -= total
    return _means(dots, n)


def _slope_scores(probes: tuple[HVProbe, ...]) -> dict[Reading, float]:
    """Share of steps inside nuclei that rise as each reading wants it, 1 = all."""
    sums, weight = dict.fromkeys(product(ORDERS, SIGNS), 0.0), 0.0
    for probe in probes:
        for channel, values in enumerate(probe.hv):
            along_x, most_x = _rise(values, probe.nucleus)
            along_y, most_y = _rise(values.T, probe.nucleus.T)
            weight += max(most_x, most_y)
            straight, swapped = (along_x, along_y) if channel == 0 else (along_y, along_x)
            for order, rise in (("hv", straight), ("vh", swapped)):
                sums[order, "outward"] += rise
                sums[order, "inward"] -= rise
    return _means(sums, weight)


def _rise(values: Float32, nucleus: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """Sum of the steps along the last axis inside nuclei, and of their sizes.

    The jumps between nuclei are left out.
    """
    step = np.diff(values, axis=1)
    use = nucleus[:, 1:] & nucleus[:, :-1] & (np.abs(step) < STEEPEST)
    used = step[use].astype(np.float64)
    return float(used.sum()), float(np.abs(used).sum())


def _means(sums: dict[Reading, float], weight: float) -> dict[Reading, float]:
    if not weight > 0:
        raise InputError(
            "Stored HV is 0 in all nuclei that were looked at, or there is no nucleus; compute "
            "HV again from instance labels."
        )
    return {reading: value / weight for reading, value in sums.items()}


def _closest(probes: tuple[HVProbe, ...]) -> tuple[str, float]:
    """Preset whose HV differs least from the stored one, inside nuclei."""
    differences = {}
    for name, convention in PRESETS.items():
        total, n = 0.0, 0
        for probe in probes:
            labels = _labels_of(probe)
            off = np.abs(hv_targets(labels, convention) - probe.hv)[:, labels > 0]
            total, n = total + float(off.sum(dtype=np.float64)), n + off.size
        differences[name] = total / max(n, 1)
    best = min(differences, key=lambda name: differences[name])
    return best, differences[best]


def _labels_of(probe: HVProbe) -> Int32:
    if probe.labels is None:
        raise InputError("A probe has no labels, others have; give all or none.")
    return probe.labels
