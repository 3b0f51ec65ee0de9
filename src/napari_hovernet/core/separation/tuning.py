"""What can be tuned without running the network again, and the counts to judge it by."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from ...errors import InputError
from ..choices import Choice, choices
from ..hv import HVReading, read_hv
from ..masks import clean_mask, join_runs, list_runs, replace_ids
from ..params import METHODS, SeparationParams
from ..types import Bool, Float32, Int32, Maps, Separation, bands, kernel, spread
from . import separate
from .filters import window_gain
from .local import (
    Given,
    KeptTerms,
    find_basins,
    join_and_name,
    mended_terms,
    mixed,
    seen_pixels,
)
from .published import border_strength, cut_borders, merged


@dataclass(frozen=True)
class TuneParams:
    """How HV is read, and how instances are cut.

    Parameters
    ----------
    separation : SeparationParams
        Lengths and areas in pixels of the maps at hand.
    hv : HVReading
        Order, sign and scale of the HV channels.

    Examples
    --------
    >>> TuneParams().separation.method
    'local'
    """

    separation: SeparationParams = field(default_factory=SeparationParams)
    hv: HVReading = field(default_factory=HVReading)


@dataclass(frozen=True)
class StageCounts:
    """How many things there are after each stage of a separation."""

    components: int  # 4-connected parts of the mask
    markers: int  # Different markers (seeds)
    instances: int  # Nuclei in the end


def tune(maps: Maps, params: TuneParams) -> Separation:
    """Separate maps with their HV read as the parameters say.

    Examples
    --------
    >>> import numpy
    >>> from napari_hovernet.core.hv import hv_targets
    >>> labels = numpy.zeros((20, 40), int)
    >>> labels[4:16, 4:20], labels[4:16, 20:36] = 1, 2
    >>> maps = Maps(np=labels > 0, hv=hv_targets(labels))
    >>> tune(maps, TuneParams()).n, tune(maps, TuneParams(hv=HVReading(order="vh"))).n
    (2, 1)
    """
    return separate(read_hv(maps, params.hv), params.separation)


def stage_counts(separation: Separation) -> StageCounts:
    """Count components, markers and instances of a finished separation."""
    markers = separation.markers
    return StageCounts(
        components=int(join_runs(list_runs(separation.mask), 0)[1]),
        markers=int(markers.max()) if markers.size else 0,
        instances=separation.n,
    )


def _listed() -> Iterator[Choice]:
    """Every number of the parameters that has a slider; a tuple has one for each end."""
    for name, known in (*choices(SeparationParams).items(), ("hv.scale", _HV_SCALE)):
        if known.step is None:
            continue
        low, high = known.offered
        parts = known.titles or (known.title,)
        for at, title in enumerate(parts):
            yield replace(
                known,
                name=f"{name}.{at}" if known.titles else name,
                title=title,
                default=known.default[at] if known.titles else known.default,
                low=low,
                high=high,
                above=None,
                span=None,
                reads=known.reads or METHODS,
            )


_HV_SCALE = choices(HVReading)["scale"]
TUNABLES = tuple(_listed())
"""All sliders; ``band_rows`` is left out, because it never changes a result."""


def tunable(name: str) -> Choice:
    """Look one up by name."""
    for found in TUNABLES:
        if found.name == name:
            return found
    names = ", ".join(t.name for t in TUNABLES)
    raise InputError(f"{name!r} cannot be tuned; choose one of {names}.")


def tunables_for(method: str) -> tuple[Choice, ...]:
    """List those that a method reads."""
    return tuple(t for t in TUNABLES if method in t.reads)


def value_of(params: TuneParams, name: str) -> float:
    """Read one number."""
    tunable(name)
    if name == "hv.scale":
        return params.hv.scale
    if name.startswith("scales."):
        scales = params.separation.scales
        return scales[0] if name == "scales.0" else scales[-1]
    return float(getattr(params.separation, name))


def with_value(params: TuneParams, name: str, value: float) -> TuneParams:
    """Return a copy with one number changed; a crossed bound moves along."""
    known = tunable(name)
    if not math.isfinite(value):
        raise InputError(f"{name} is {value}; give a finite number.")
    number: Any = int(value) if known.whole else float(value)
    if name == "hv.scale":
        return replace(params, hv=replace(params.hv, scale=number))
    changes: dict[str, Any] = {name: number}
    separation = params.separation
    if name.startswith("scales."):
        fine, coarse = separation.scales[0], separation.scales[-1]
        changes = {"scales": (number, coarse) if name == "scales.0" else (fine, number)}
    elif name == "magnitude_low":
        changes["magnitude_high"] = max(separation.magnitude_high, number)
    elif name == "magnitude_high":
        changes["magnitude_low"] = min(separation.magnitude_low, number)
    return replace(params, separation=replace(separation, **changes))


T = TypeVar("T")
Key = tuple[Any, ...]


class StagedTuner:
    """Cuts one set of maps with changing parameters; equal to :func:`tune`, but sooner.

    Each stage is kept with what it was made from: it is made anew if one of these has changed, and
    counts as changed if something else came out. Not for use by two threads at once.
    """

    def __init__(self, maps: Maps) -> None:
        self.maps = maps
        self._kept: dict[str, tuple[Key, Any]] = {}
        self._terms: KeptTerms | None = None
        self._scaled: Float32 | None = None  # Room for HV times a slider's number

    def __call__(self, params: TuneParams) -> Separation:
        """Separate; arrays of the result may be shared with later results: do not change them."""
        p = params.separation
        maps = self._get("maps", (params.hv,), lambda: self._read(params.hv))
        if p.method not in ("local", "hover_net") or not maps.np.size:
            return separate(maps, p)
        key: Key = (p.np_threshold, p.min_area, p.max_hole_area)
        mask = self._get("mask", key, lambda: clean_mask(self.maps.np, p), same_array)
        found = (
            self._local(maps, mask, p) if p.method == "local" else self._published(maps, mask, p)
        )
        return merged(found) if p.merge_touching else found

    def _read(self, reading: HVReading) -> Maps:
        """Read HV; scaled alone it goes where it went before, into memory that is there."""
        if reading.plain or reading != HVReading(scale=reading.scale):
            return read_hv(self.maps, reading)
        hv, scale = self.maps.hv, np.float32(reading.scale)
        room = self._scaled = np.empty_like(hv) if self._scaled is None else self._scaled
        spread(lambda rows: np.multiply(hv[:, rows], scale, room[:, rows]), bands(hv.shape[1:]))
        return replace(self.maps, hv=room)

    def _local(self, maps: Maps, mask: Bool, p: SeparationParams) -> Separation:
        seen = self._get(
            "seen", (mask, p.np_threshold), lambda: seen_pixels(maps, mask, p), same_array
        )
        key: Key = (maps, seen, p.magnitude_low, p.magnitude_high, p.magnitude_window)
        gain = self._get("gain", key, lambda: window_gain(maps.hv, seen, p), same_array)
        given = Given(maps, mask, seen, gain)
        key = (maps, mask, seen, gain, p.scales, p.oblique)
        terms = self._get("terms", key, lambda: self._mend(given, p))
        parts = [terms.of[sigma] for sigma in p.scales]
        energy = self._get("energy", (mask, terms), lambda: mixed(parts, mask))
        basins = self._get("basins", (mask, energy), lambda: find_basins(mask, energy))
        return join_and_name(maps.np, (mask.copy(), seen), energy, basins, p)

    def _mend(self, given: Given, p: SeparationParams) -> KeptTerms:
        """Compute the terms of the energy where what they are made from has changed."""
        self._terms = mended_terms(self._terms, given, p)
        return self._terms

    def _published(self, maps: Maps, mask: Bool, p: SeparationParams) -> Separation:
        key: Key = (maps, p.sobel_size)
        strength = self._get("strength", key, lambda: border_strength(maps, p))
        made_from: Key = (strength, p.blur_size)  # If one is new, so is the energy of all parts
        kept = self._kept.get("cut")
        before = kept[1] if kept and all(map(_equal, kept[0], made_from)) else None
        cut = cut_borders(mask, strength, p, before)
        self._kept["cut"] = (made_from, cut)
        return cut

    def _get(
        self,
        stage: str,
        key: Key,
        make: Callable[[], T],
        same: Callable[[T, T], bool] | None = None,
    ) -> T:
        """Return the last value of a stage, or make it if it was made from something else.

        What is the same as before is the value from before, so that later stages know.
        """
        before = self._kept.get(stage)
        if before is None or not all(map(_equal, before[0], key)):
            value = make()
            if before is not None and same is not None and same(before[1], value):
                value = before[1]
            self._kept[stage] = (key, value)
        found: T = self._kept[stage][1]
        return found


def _equal(a: Any, b: Any) -> bool:
    """Compare parts of keys: arrays and maps by identity, plain values by value."""
    plain = (str, int, float, tuple, HVReading)
    return a is b or (isinstance(a, plain) and isinstance(b, plain) and a == b)


def same_array(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> bool:
    """Whether two arrays of one shape hold the same values; ends where they do not."""
    return all(np.array_equal(a[rows], b[rows]) for rows in bands(a.shape))


def keep_ids(labels: Int32, before: Int32, used: Int32 | None = None) -> Int32:
    """Give instances (H, W) the ids of those they overlap most in ``before``, new ones free ids.

    What an edit leaves alone so keeps its id, and with it colour and row. Ids of ``used`` are
    taken, too (those of a whole of which these are a part); the result may have gaps.
    """
    n = int(labels.max()) if labels.size else 0
    if not n:
        return labels
    top = max(int((before if used is None else used).max()), 0)
    keys, shared = _overlaps(labels, before, top)
    there = keys > 0
    keys, shared = keys[there], shared[there]
    order = np.lexsort((keys, -shared))
    table, kept = np.zeros(n + 1, np.int32), np.zeros(top + n + 2, np.bool_)
    kept[0] = True
    _assign(keys[order], top + 1, table, kept)
    if used is not None:
        kept[used[used > 0]] = True
    new = np.flatnonzero(table[1:] == 0) + 1
    table[new] = np.flatnonzero(~kept)[: len(new)]
    named = labels.copy()
    replace_ids(named.ravel(), table)
    return named


@kernel
def _overlaps(labels: Any, before: Any, top: int) -> tuple[Any, Any]:
    """Table of pairs of ids, as id * (top + 1) + id before, 0 = empty; pixels that each shares."""
    room = 1024
    keys, shared = np.zeros(room, np.int64), np.zeros(room, np.int64)
    n = 0
    for r in range(labels.shape[0]):
        start, a, b = 0, 0, 0
        for c in range(labels.shape[1] + 1):
            end = c == labels.shape[1]
            a2 = 0 if end else labels[r, c]
            b2 = 0 if end else before[r, c]
            if a2 == a and b2 == b and not end:
                continue
            if a > 0 and 0 < b <= top:  # beyond: painted meanwhile
                key = np.int64(a) * (top + 1) + b
                at = _place(keys, key)
                n += int(keys[at] == 0)
                keys[at] = key
                shared[at] += c - start
                if 2 * n > room:
                    old, counts, room = keys, shared, 2 * room
                    keys, shared = np.zeros(room, np.int64), np.zeros(room, np.int64)
                    for k in range(old.size):
                        if old[k]:
                            at = _place(keys, old[k])
                            keys[at], shared[at] = old[k], counts[k]
            start, a, b = c, a2, b2
    return keys, shared


@kernel
def _place(keys: Any, key: Any) -> Any:
    """Find the place of a key in a hash table whose size is a power of 2, or a free one for it."""
    at = (key * 0x9E3779B1 >> 16) & (keys.size - 1)
    while keys[at] != 0 and keys[at] != key:
        at = (at + 1) & (keys.size - 1)
    return at


@kernel
def _assign(keys: Any, base: int, table: Any, kept: Any) -> None:
    """Give each id the first free one it is paired with."""
    for key in keys:
        new, old = key // base, key % base
        if table[new] == 0 and not kept[old]:
            table[new] = old
            kept[old] = True
