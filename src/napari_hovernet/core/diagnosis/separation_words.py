"""Words and small parts that the findings about a separation share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .report import Place, Plot
from .separation_probing import Probe
from .separation_ways import WAYS, Way

PEAKS = "magnitude_peaks"
LOCAL: tuple[str, dict[str, object]] = ("separation", {"preset": "local"})
"""Action and value of the remedy that always works."""
BETTER = 'take the separation "local"'
FULL_GAIN = 0.5
"""Difference of AJI from which on an effect is as large as can be."""
COMPONENTS_AJI = 0.288
"""AJI of the connected components of the generated clusters."""


def _said(way: Way) -> str:
    channels = f"[{way.order[0].upper()}, {way.order[1].upper()}]"
    kind, _, word = way.name.partition(", ")
    if word:
        return f"as {channels} with {word[0].upper()} negated"
    return f"as {channels} {kind.split()[1]}"


CONVENTIONS: Mapping[str, str] = {way.name: _said(way) for way in WAYS}
"""How conventions of HV are called in a sentence, by their name."""


@dataclass(frozen=True)
class Seen:
    """Where in the case's own images something of the kind is to be seen."""

    merged: tuple[Place, ...] = ()
    split: tuple[Place, ...] = ()


def certain(low: float, high: float, gain: float) -> float:
    """Scale certainty within its band by the size of an effect, an AJI.

    Examples
    --------
    >>> certain(0.8, 0.9, 0.25)
    0.85
    """
    return round(low + (high - low) * min(max(gain, 0.0) / FULL_GAIN, 1.0), 3)


def settings(fields: Mapping[str, object]) -> str:
    """Write fields of the parameters in a sentence.

    Examples
    --------
    >>> settings({"depth": 0.15})
    'depth to 0.15'
    """
    said = []
    for name, value in fields.items():
        if isinstance(value, (tuple, list)):
            said.append(f"{name} to {' and '.join(f'{v:g}' for v in value)}")
        else:
            called = "the separation" if name == "preset" else name
            said.append(f"{called} to {value}")
    return " and ".join(said)


def not_the_same(probe: Probe) -> bool:
    """Whether the same maps gave other instances the second time."""
    return probe.repeat < 1.0


def aji_bars(probe: Probe, line: float) -> Plot:
    """Draw the AJI on generated nuclei, exact and soft, beside connected components."""
    exact, soft = probe.exact or {}, probe.soft or {}
    names = (*(f"{n}, exact" for n in exact), *(f"{n}, soft" for n in soft), "components")
    values = (*(s.aji for s in exact.values()), *(s.aji for s in soft.values()), COMPONENTS_AJI)
    return Plot(
        "bars", "AJI on generated nuclei", names, (("AJI", values),), "maps", "AJI",
        line,
    )  # fmt: skip
