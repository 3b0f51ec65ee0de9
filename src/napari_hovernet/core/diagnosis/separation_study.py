"""What several checks of a separation ask for, measured once per bench."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from ..types import Int32, Progress
from .bench import Bench
from .separating import Separator
from .separation_limits import SeparationLimits
from .separation_own import (
    Oracle,
    Parts,
    Piece,
    oracle_steps,
    parts_steps,
    pieces_steps,
    radius_of,
    way_of,
)
from .separation_probing import Probe, probe_steps, tile_losses
from .separation_scenes import scenes, soft_maps
from .separation_tuning import CANDIDATES, Choice, Pairs, preset_of, total, tune_steps
from .separation_ways import OURS, Way
from .separation_words import Seen


@dataclass
class Study:
    """Measures what is asked for, and keeps it.

    Parameters
    ----------
    separator : Separator
    limits : SeparationLimits

    Notes
    -----
    Every method is a generator of :class:`Progress` that returns what it measured.
    """

    separator: Separator
    limits: SeparationLimits
    _pieces: tuple[Piece, ...] | None = None
    _probe: Probe | None = None
    _parts: tuple[Parts | None] | None = None
    _choice: tuple[Choice | None] | None = None

    def pieces(self, bench: Bench) -> Generator[Progress, None, tuple[Piece, ...]]:
        """Parts of the images with maps, truth and instances."""
        if self._pieces is None:
            self._pieces = yield from pieces_steps(bench)
        return self._pieces

    def probe(self, bench: Bench) -> Generator[Progress, None, Probe]:
        """Cut generated nuclei that are as large as the case's own."""
        if self._probe is None:
            truths: list[Int32] = []
            for number, index in enumerate(bench.variant_indices):
                yield Progress(number, len(bench.variant_indices), "reads labels")
                item = bench.item(index)
                if item is not None and item.labels is not None:
                    truths.append(item.labels)
            radius = radius_of(truths, self.limits)
            self._probe = yield from probe_steps(self.separator, radius)
        return self._probe

    def parts(self, bench: Bench) -> Generator[Progress, None, Parts | None]:
        """Hold the case's instances against connected components."""
        if self._parts is None:
            pieces = yield from self.pieces(bench)
            self._parts = ((yield from parts_steps(pieces, bench.params.n_places)),)
        return self._parts[0]

    def seen(self, bench: Bench) -> Generator[Progress, None, Seen]:
        """Examples of merged and split nuclei in the case's images, none without maps."""
        if not {"maps", "instances"} & bench.case.has:
            return Seen()
        parts = yield from self.parts(bench)
        return Seen() if parts is None else Seen(parts.merged, parts.split)

    def oracle(self, bench: Bench) -> Generator[Progress, None, Oracle | None]:
        """Cut the true labels out of exact maps."""
        pieces = yield from self.pieces(bench)
        made = yield from oracle_steps(self.separator, pieces, bench.params.n_places)
        return made

    def given(self, bench: Bench) -> Generator[Progress, None, tuple[str, bool]]:
        """Return the convention of the maps that are cut, and whether it was measured."""
        if "maps" in bench.case.has:
            found = way_of((yield from self.pieces(bench)), self.limits)
            if found:
                return found, True
        sign = -1 if bench.setup.hv_sign == "inward" else 1
        return Way(bench.setup.hv_order, sign, sign).name, False

    def choice(self, bench: Bench) -> Generator[Progress, None, Choice | None]:
        """Find the change of a parameter that helps most."""
        if self._choice is None:
            probe = yield from self.probe(bench)
            generated = [(s.soft, s.labels) for s in scenes(probe.radius)]
            own = self._own_pairs((yield from self.pieces(bench)))
            made = yield from tune_steps(self.separator, generated, own, self.limits)
            self._choice = (made,)
        return self._choice[0]

    def _own_pairs(self, pieces: tuple[Piece, ...]) -> Pairs:
        """Predicted maps with the truth; soft maps of the truth where there are none.

        Maps whose HV does not point as the truth does decide nothing about a separation.
        """
        predicted = [p for p in pieces if p.maps is not None]
        if predicted:
            if way_of(predicted, self.limits) != OURS:
                return []
            return [
                (p.maps, p.truth) for p in predicted if p.maps is not None and p.truth is not None
            ]
        return [(soft_maps(p.truth, p.item), p.truth) for p in pieces if p.truth is not None]

    def reference(self, radius: float) -> float:
        """AJI of our default separation on generated nuclei with soft maps."""
        return total(Separator.of(None), [(s.soft, s.labels) for s in scenes(radius)]).aji

    def mend_of_tile(self, radius: float) -> dict[str, Any] | None:
        """Find the field that, set as in its preset, makes the tile indifferent."""
        params = self.separator.params
        if params is None:
            return None
        preset = preset_of(params)
        for field in CANDIDATES.get(params.method, {}):
            usual = getattr(preset, field)
            if getattr(params, field) != usual:
                changed = self.separator.changed({field: usual}, None)
                if max(tile_losses(changed, radius)) < self.limits.drop:
                    return {field: usual}
        return None


_STUDIES: WeakKeyDictionary[Bench, Study] = WeakKeyDictionary()
"""Kept as long as their bench is."""


def study_of(bench: Bench, limits: SeparationLimits) -> Study:
    """Return the study of a bench, the same one every time."""
    if bench not in _STUDIES:
        _STUDIES[bench] = Study(bench.separator, limits)
    return _STUDIES[bench]
