"""In which ways HV can be written: which channel comes first, and the sign of each."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np

from ..types import Maps

OURS = "hv outward"
"""How :class:`Maps` writes HV."""


@dataclass(frozen=True)
class Way:
    """One way to write HV: which channel comes first, and the sign of each.

    Examples
    --------
    >>> Way("vh", -1, -1).name
    'vh inward'
    """

    order: str = "hv"
    first: int = 1
    second: int = 1

    @property
    def name(self) -> str:
        """Short, "hv outward"."""
        if self.first == self.second:
            return f"{self.order} {'outward' if self.first > 0 else 'inward'}"
        channel = self.order[0] if self.first < 0 else self.order[1]
        return f"{self.order}, {channel} negated"

    def write(self, maps: Maps) -> Maps:
        """Return maps in our convention written in this way."""
        hv = maps.hv if self.order == "hv" else maps.hv[::-1]
        signs = np.array([self.first, self.second], np.float32)[:, None, None]
        return Maps(np=maps.np, hv=hv * signs)


WAYS = tuple(Way(order, *signs) for order, *signs in product(("hv", "vh"), (1, -1), (1, -1)))
