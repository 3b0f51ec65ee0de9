"""Whether the numbers of stored HV are what they should be: scaled, signed, finite."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..types import Bool
from .data_common import listed, not_tested, percent, scaled
from .items import channel_first
from .report import FAULT, OK, WARN, Finding, Place, Remedy
from .setup import Setup
from .target_limits import LIMITS, TargetLimits

DIVISORS = (127.0, 128.0, 255.0, 100.0, 1000.0, 32767.0)
"""What HV is multiplied with when it is stored as whole numbers."""
NEAR = 0.03
"""How near to one of them the largest value must be."""
TOP = 99.9
SAMPLE = 20_000
"""Values looked at to find the most frequent one."""
ROUNDING = 1e-4
FLAT = 1e-6
"""Spread below which HV is constant."""
HALF = 0.5
SIGNED = "i"
LAYERS = ("target_hv_x", "target_hv_y")


@dataclass(frozen=True)
class ValueLook:
    """Numbers of the stored HV of one image, divided as the setup says.

    Parameters
    ----------
    index, name
    shape : (int, int)
    dtype : str
    whole : bool
        Whether it is stored as whole numbers.
    top : float
        Largest value in nuclei, a few outliers apart.
    lowest, highest : float
    spread : float
        Standard deviation in nuclei.
    negative : float
        Share of negative values in nuclei, NaN without nuclei.
    beyond : float
        Share of pixels in nuclei whose value is more than a little above ``top``... or 1.
    outside : float
        Most frequent value in the background, NaN without background.
    bad : int
        Values that are NaN or infinite.
    wrapped : int
        Values of -128: 1.0 times 128 does not fit in 8 bits.
    """

    index: int
    name: str
    shape: tuple[int, int]
    dtype: str
    whole: bool
    top: float
    lowest: float
    highest: float
    spread: float
    negative: float
    beyond: float
    outside: float
    bad: int
    wrapped: int

    @property
    def place(self) -> Place:
        """The whole image."""
        return Place(self.index, self.name, (0, self.shape[0], 0, self.shape[1]))


def look_at_values(
    index: int, name: str, stored: Any, inside: Bool | None, divisor: float, limits: TargetLimits
) -> ValueLook | None:
    """Look at stored HV; None if it has no fitting shape or type.

    Parameters
    ----------
    index, name
    stored : array (2, H, W) or (H, W, 2)
        As it was given.
    inside : bool (H, W), optional
        Where nuclei are; without it, where HV differs from its most frequent value.
    divisor : float
    limits : TargetLimits
    """
    array = np.asarray(stored)
    if array.dtype.kind not in "iuf" or not array.size:
        return None
    try:
        hv = channel_first(array)
    except ValueError:
        return None
    values = hv.astype(np.float32) / np.float32(divisor)
    finite = np.isfinite(values)
    values = np.where(finite, values, 0)
    mode = _mode(values)
    if inside is None or inside.shape != hv.shape[1:] or not inside.any():
        inside = (np.abs(values - mode) > FLAT).any(axis=0)
    within = values[:, inside]
    out = values[:, ~inside]
    if not within.size:
        within = values.reshape(2, -1)
    top = float(np.percentile(np.abs(within), TOP))
    unit = max(top, 1.0) if top > limits.largest else 1.0
    return ValueLook(
        index,
        name,
        (int(hv.shape[1]), int(hv.shape[2])),
        str(array.dtype),
        array.dtype.kind in "iu",
        top,
        float(within.min()),
        float(within.max()),
        float(within.std(axis=1).min()),
        float((within < 0).mean()),
        float((np.abs(within) > limits.outlier * unit).mean()),
        _mode(out) if out.size and _share_of_mode(out) >= HALF else float("nan"),
        int(finite.size - finite.sum()),
        int((array == np.iinfo(np.int8).min).sum()) if array.dtype == np.int8 else 0,
    )


def _mode(values: Any) -> float:
    """Most frequent value, to four places."""
    few = values.reshape(-1)[:: max(values.size // SAMPLE, 1)]
    found, counts = np.unique(np.round(few, 4), return_counts=True)
    return float(found[counts.argmax()])


def _share_of_mode(values: Any) -> float:
    """Share of the most frequent value; small for noise."""
    return float((np.abs(values - _mode(values)) <= 2 * ROUNDING).mean())


def divisor(
    looks: Sequence[ValueLook], setup: Setup, in_pixels: bool, limits: TargetLimits = LIMITS
) -> Finding:
    """Say whether stored HV was never divided by what it was multiplied with.

    Parameters
    ----------
    looks : sequence of ValueLook
    setup : Setup
        How HV has been read.
    in_pixels : bool
        Whether it holds distances in pixels, which no divisor mends.
    limits : TargetLimits
    """
    key, title = "data.hv_divisor", "Whole numbers and range of HV"
    if not looks:
        return not_tested(key, title, "no stored HV could be read")
    top = float(np.median([look.top for look in looks]))
    kinds = sorted({look.dtype for look in looks})
    said = f"Stored HV ({', '.join(kinds)}) reaches {top:.4g} in nuclei"
    if setup.target_divisor != 1.0:
        said += f" after division by {setup.target_divisor:g}"
    if in_pixels:
        said += "; it is in pixels, see its scale"
    broken = is_broken(looks, limits)
    if broken:
        return not_tested(key, title, f"{broken[0].lower()}{broken[1:]}")
    if top <= limits.largest or in_pixels:
        return Finding(key, OK, title, said + ".", top, limits.largest, "units of HV")
    by = _divisor_of(max(look.top for look in looks), looks)
    return Finding(
        key,
        FAULT,
        f"Stored HV was not divided by {by:g}",
        f"{said}; HV lies in -1..1.",
        top,
        limits.largest,
        "units of HV",
        0.97 if any(look.whole for look in looks) else 0.95,
        Remedy(
            f"Divide stored HV by {by:g} when it is read.",
            "target_divisor",
            float(by * setup.target_divisor),
        ),
        {"largest": top, "divisor": by},
        LAYERS,
        tuple(look.place for look in looks[:5]),
    )


def _divisor_of(largest: float, looks: Sequence[ValueLook]) -> float:
    bytes_ = all(look.dtype == "int8" for look in looks)
    near = [d for d in DIVISORS if abs(largest - d) <= NEAR * d]
    if bytes_ and largest > HALF * DIVISORS[0]:
        return DIVISORS[0]
    return min(near, key=lambda d: abs(largest - d)) if near else float(f"{largest:.3g}")


def value_range(
    looks: Sequence[ValueLook], in_pixels: bool, limits: TargetLimits = LIMITS
) -> Finding:
    """Say whether HV holds NaN, is constant, lost its sign, or leaves -1..1.

    Parameters
    ----------
    looks : sequence of ValueLook
    in_pixels : bool
        Whether it holds distances in pixels.
    limits : TargetLimits
    """
    key, title = "data.hv_range", "Values of stored HV"
    if not looks:
        return not_tested(key, title, "no stored HV could be read")
    wrong = _wrong_values(looks, in_pixels, limits)
    low, high = min(x.lowest for x in looks), max(x.highest for x in looks)
    numbers = {"lowest": low, "highest": high}
    if wrong is None:
        said = f"HV lies in {low:.3g} to {high:.3g}, is finite, and 0 outside of nuclei."
        return Finding(key, OK, title, said, high, limits.outlier, numbers=numbers)
    name, said, certainty, text, bad = wrong
    verdict = FAULT if certainty >= HALF else WARN
    return Finding(
        key,
        verdict,
        name,
        said,
        high,
        limits.outlier,
        "units of HV",
        certainty,
        Remedy(text),
        numbers,
        LAYERS,
        tuple(look.place for look in bad[:5]),
    )


def is_broken(looks: Sequence[ValueLook], limits: TargetLimits = LIMITS) -> str:
    """Say why nothing can be told from the vectors, "" if it can.

    Parameters
    ----------
    looks : sequence of ValueLook
    limits : TargetLimits
    """
    found = _constant(looks) or _with_offset(looks) or _without_sign(looks, limits)
    return found[0] if looks and found else ""


Wrong = tuple[str, str, float, str, Sequence[ValueLook]]


def _wrong_values(
    looks: Sequence[ValueLook], in_pixels: bool, limits: TargetLimits
) -> Wrong | None:
    """Return title, evidence, certainty, remedy and images of the first fault, or None."""
    found = _not_finite(looks) or _constant(looks) or _with_offset(looks)
    found = found or _without_sign(looks, limits) or _run_over(looks)
    return found if found or in_pixels else _beyond(looks, limits)


AGAIN = "Compute HV again from instance labels."


def _not_finite(looks: Sequence[ValueLook]) -> Wrong | None:
    bad = [look for look in looks if look.bad]
    if not bad:
        return None
    said = (
        f"{sum(x.bad for x in bad)} values in {len(bad)} of {len(looks)} images are NaN or "
        f"infinite ({listed([x.name for x in bad])})."
    )
    certainty = scaled(len(bad) / len(looks), 0, 0.5, 0.9, 0.97)
    return "Stored HV holds NaN", said, certainty, AGAIN, bad


def _constant(looks: Sequence[ValueLook]) -> Wrong | None:
    flat = [look for look in looks if look.spread < FLAT]
    if len(flat) < HALF * len(looks):
        return None
    said = f"In {len(flat)} of {len(looks)} images a channel of HV has one value in all nuclei."
    return "Stored HV is constant", said, 0.96, AGAIN, flat


def _with_offset(looks: Sequence[ValueLook]) -> Wrong | None:
    bad = [x for x in looks if np.isfinite(x.outside) and abs(x.outside) > NEAR * x.top]
    if len(bad) <= HALF * len(looks):
        return None
    at = float(np.median([x.outside for x in bad]))
    said = f"Background has HV {at:.3g} in {len(bad)} of {len(looks)} images; it is 0 in health."
    text = f"HV was stored as numbers from 0 on: subtract {at:.3g} before it is divided."
    return "Stored HV has an offset: its zero is not 0", said, 0.98, text, bad


def _without_sign(looks: Sequence[ValueLook], limits: TargetLimits) -> Wrong | None:
    bad = [look for look in looks if look.negative < limits.negative]
    if len(bad) < HALF * len(looks):
        return None
    said = f"In {len(bad)} of {len(looks)} images hardly any HV is negative; about half is."
    text = f"HV was stored without a sign, or cut off at 0. {AGAIN}"
    return "Stored HV lost its sign", said, 0.98, text, bad


def _run_over(looks: Sequence[ValueLook]) -> Wrong | None:
    bad = [look for look in looks if look.wrapped]
    if len(bad) < HALF * len(looks):
        return None
    said = f"{sum(x.wrapped for x in bad)} values are -128: 1.0 times 128 does not fit."
    return "HV runs over in 8 bits", said, 0.45, "Multiply by 127 before rounding.", bad


def _beyond(looks: Sequence[ValueLook], limits: TargetLimits) -> Wrong | None:
    beyond = float(np.mean([look.beyond for look in looks]))
    if beyond <= limits.outliers:
        return None
    said = f"{percent(beyond)} of HV in nuclei lies beyond {limits.outlier:g}."
    return "Stored HV leaves -1..1", said, 0.6, AGAIN, looks
