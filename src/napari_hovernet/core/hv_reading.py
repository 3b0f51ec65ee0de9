"""Read HV maps as something else than they claim to be: other order, other sign, other length."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from ..errors import InputError
from .hv import ORDERS, SIGNS, HVConvention, convert
from .types import Maps

SCALE_RANGE = (0.02, 50.0)
"""Factors for the length of HV that can be tried."""


@dataclass(frozen=True)
class HVReading:
    """How the two channels of stored HV maps are to be understood.

    Parameters
    ----------
    order : {"hv", "vh"}
        "hv" = channel 0 along x (columns), as :class:`Maps` has it; "vh" = channel 0 along y.
    sign : {"outward", "inward"}
        "outward" = positive to the right of and below the centre; "inward" = the negative.
    scale : float
        HV is multiplied by this, 0.02..50. It changes the magnitude, not the directions:
        a separation that looks at directions alone gives the same instances.

    Raises
    ------
    InputError
        If a name is not known or the scale is out of range.

    Examples
    --------
    >>> HVReading(order="vh").plain
    False
    """

    order: str = "hv"
    sign: str = "outward"
    scale: float = 1.0

    def __post_init__(self) -> None:
        for name, allowed in (("order", ORDERS), ("sign", SIGNS)):
            if getattr(self, name) not in allowed:
                raise InputError(
                    f"{name} is {getattr(self, name)!r}; choose one of {', '.join(allowed)}."
                )
        if not (math.isfinite(self.scale) and SCALE_RANGE[0] <= self.scale <= SCALE_RANGE[1]):
            raise InputError(
                f"scale is {self.scale}; give {SCALE_RANGE[0]:g} to {SCALE_RANGE[1]:g}."
            )

    @property
    def plain(self) -> bool:
        """Whether the maps stay as they are."""
        return self == HVReading()


def read_hv(maps: Maps, reading: HVReading) -> Maps:
    """Give the maps as they are if HV is read so; the maps themselves if nothing changes.

    Examples
    --------
    >>> maps = Maps(np=[[1.0]], hv=[[[0.5]], [[0.25]]])
    >>> read_hv(maps, HVReading(order="vh", scale=2.0)).hv.ravel().tolist()
    [0.5, 1.0]
    """
    if reading.plain:
        return maps
    stored = HVConvention(order=reading.order, sign=reading.sign)
    hv = convert(maps.hv, stored, HVConvention())
    if reading.scale != 1.0:
        hv *= reading.scale
    return replace(maps, hv=hv)
