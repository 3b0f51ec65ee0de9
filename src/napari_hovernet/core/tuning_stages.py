"""Separate the same maps again and again: stages that cannot have changed are kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from .hv_reading import HVReading, read_hv
from .params import SeparationParams
from .parts import clean_mask
from .separation import separate
from .separation_historical import merged
from .separation_local import cut_basins, squeeze_energy
from .tuning import TuneParams
from .types import Bool, Float32, Maps, Separation

T = TypeVar("T")

Key = tuple[Any, ...]


class _Kept:
    """The last value of one stage, and what it was made from."""

    def __init__(self) -> None:
        self._key: Key | None = None
        self._value: Any = None

    def get(self, key: Key, make: Callable[[], T]) -> T:
        if key != self._key:
            self._value = make()
            self._key = key
        value: T = self._value
        return value


class StagedTuner:
    """Cuts one set of maps with changing parameters; equal to :func:`tune`, but sooner.

    For the method "local" the read maps, the mask and the energy are kept from one call to
    the next. Not for use by two threads at once.

    Parameters
    ----------
    maps : Maps
        What is separated.

    Examples
    --------
    >>> import numpy
    >>> maps = Maps(np=numpy.ones((8, 8)), hv=numpy.zeros((2, 8, 8)))
    >>> StagedTuner(maps)(TuneParams()).n
    1
    """

    def __init__(self, maps: Maps) -> None:
        self.maps = maps
        self._read, self._mask, self._energy = _Kept(), _Kept(), _Kept()

    def __call__(self, params: TuneParams) -> Separation:
        """Separate; arrays of the result may be shared with later results: do not change them."""
        maps = self._maps(params.hv)
        separation = params.separation
        if separation.method != "local" or not maps.np.size:
            return separate(maps, separation)
        mask = self._clean(separation)
        energy = self._squeezed(maps, mask, params)
        found = cut_basins(maps, mask.copy(), energy, separation)
        return merged(found) if separation.merge_touching else found

    def _maps(self, reading: HVReading) -> Maps:
        return self._read.get((reading,), lambda: read_hv(self.maps, reading))

    def _clean(self, p: SeparationParams) -> Bool:
        return self._mask.get(_mask_key(p), lambda: clean_mask(self.maps.np, p))

    def _squeezed(self, maps: Maps, mask: Bool, params: TuneParams) -> Float32:
        p = params.separation
        filters = (p.scales, p.oblique, p.magnitude_low, p.magnitude_high, p.magnitude_window)
        key = (*_mask_key(p), params.hv, *filters)
        return self._energy.get(key, lambda: squeeze_energy(maps, mask, p))


def _mask_key(p: SeparationParams) -> Key:
    return (p.np_threshold, p.min_area, p.max_hole_area)
