"""Checks of predicted maps, with and without truth: of a model, or given."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import replace

import numpy as np

from ..measure.compare import compare
from ..params import SeparationParams
from ..types import Progress
from .bench import Bench
from .case import MAPS
from .map_hv import HVTally, hv_steps
from .map_length import hv_collapsed, hv_noise, hv_outside, hv_saturated, hv_scale, hv_zero
from .map_lie import moved_steps
from .map_limits import MapLimits
from .map_moved import model_orientation, model_shift
from .map_np import reading_steps, tally_steps
from .map_np_checks import np_activation, np_channel, np_empty
from .map_reading import hv_direction, hv_order, hv_own_shape, hv_sign
from .map_score import Scored, model_score
from .map_types import model_types, type_table
from .map_views import views
from .predicting import TOKENS
from .registry import Check, Steps
from .report import FAULT, Finding, Place, Remedy

__all__ = ["CHECKS", "MapLimits"]

Judge = Callable[[Bench], Generator[Progress, None, Finding]]


def _np_channel(bench: Bench) -> Generator[Progress, None, Finding]:
    found = yield from tally_steps(bench)
    return np_channel(found, bench.setup.np_channel)


def _np_activation(bench: Bench) -> Generator[Progress, None, Finding]:
    broken = yield from _unusable(bench, "np")
    if broken:
        return _broken("model.np_activation", "NP", broken, bench)
    found = yield from tally_steps(bench)
    reading = yield from reading_steps(bench)
    setup = bench.setup
    return np_activation(found, reading, asked=setup.np_threshold, activation=setup.np_activation)


def _np_empty(bench: Bench) -> Generator[Progress, None, Finding]:
    found = yield from tally_steps(bench)
    reading = yield from reading_steps(bench)
    return np_empty(found, reading)


def _shift(bench: Bench) -> Generator[Progress, None, Finding]:
    found = yield from moved_steps(bench)
    predictor = bench.case.predictor
    return model_shift(found, tokens=predictor is not None and predictor.reads == TOKENS)


def _orientation(bench: Bench) -> Generator[Progress, None, Finding]:
    found = yield from moved_steps(bench)
    return model_orientation(found)


def _of_hv(judge: Callable[[HVTally], Finding]) -> Judge:
    """Make a check of a function that judges HV alone."""

    def run(bench: Bench) -> Generator[Progress, None, Finding]:
        found = yield from hv_steps(bench)
        return judge(found)

    return run


def _order(bench: Bench) -> Generator[Progress, None, Finding]:
    found = yield from hv_steps(bench)
    return hv_order(found, bench.setup.hv_order)


def _sign(bench: Bench) -> Generator[Progress, None, Finding]:
    found = yield from hv_steps(bench)
    return hv_sign(found, bench.setup.hv_sign)


def _scale(bench: Bench) -> Generator[Progress, None, Finding]:
    broken = yield from _unusable(bench, "hv")
    if broken:
        return _broken("model.hv_scale", "HV", broken, bench)
    found = yield from hv_steps(bench)
    seen = yield from views(bench)
    finding = hv_scale(found, whole=any(view.whole for view in seen))
    if finding.remedy.action == "hv_scale":
        finding = _on_top(finding, bench)
    return finding


def _collapsed(bench: Bench) -> Generator[Progress, None, Finding]:
    found = yield from hv_steps(bench)
    finding = hv_collapsed(found)
    return _on_top(finding, bench) if finding.remedy.action == "hv_scale" else finding


def _on_top(finding: Finding, bench: Bench) -> Finding:
    """Let a factor go on top of the one that the setup already has."""
    value = float(finding.remedy.value) * bench.setup.hv_scale
    return replace(finding, remedy=replace(finding.remedy, value=value))


def _types(bench: Bench) -> Generator[Progress, None, Finding]:
    seen, pairs, n = (yield from views(bench)), [], 0
    for done, view in enumerate(seen):
        yield Progress(done, len(seen), "types")
        item, maps = bench.item(view.index), bench.maps(view.index)
        if item is None or maps is None or maps.types is None or item.types is None:
            continue
        if item.types.shape == maps.shape:
            pairs.append((item.types, maps.types))
            n = max(n, len(maps.types), int(item.types.max(initial=0)) + 1)
    return model_types(type_table(pairs, max(n, 1)), bench.setup.type_offset)


def _score(bench: Bench) -> Generator[Progress, None, Finding]:
    params = bench.separator.params or SeparationParams()
    seen, scored = (yield from views(bench)), []
    for done, view in enumerate(seen):
        yield Progress(done, len(seen), "scores")
        maps, found = bench.maps(view.index), bench.instances(view.index)
        if maps is None or found is None or view.labels is None or not view.labels.any():
            continue
        if found.shape == maps.shape:
            shape = (int(found.shape[0]), int(found.shape[1]))
            scores = compare(view.labels, found, maps, params)
            scored.append(Scored(view.index, view.name, shape, scores))
    return model_score(scored)


def _unusable(bench: Bench, part: str) -> Generator[Progress, None, list[tuple[int, str]]]:
    """List given maps that cannot be used because of NP, or of HV; and why."""
    found: list[tuple[int, str]] = []
    if bench.case.predictor is not None or bench.case.kind != MAPS:
        return found
    for done, index in enumerate(bench.map_indices):
        yield Progress(done, len(bench.map_indices), "reading maps")
        raw = bench.raw(index)
        if raw is None or bench.maps(index) is not None:
            continue
        array = np.asarray(raw.np)
        of_np = array.dtype.kind not in "fiub" or array.ndim != 2 or not np.isfinite(array).all()
        if of_np == (part == "np"):
            found.append((index, bench.failures.get(index, "it cannot be read")))
    return found


def _broken(name: str, what: str, broken: list[tuple[int, str]], bench: Bench) -> Finding:
    index, reason = broken[0]
    names = bench.case.items.names if bench.case.items is not None else ()
    places = []
    for i, _ in broken:
        raw = bench.raw(i)
        shape = np.shape(raw.hv if raw is not None else ())[-2:]
        if len(shape) == 2:
            places.append(Place(i, names[i], (0, int(shape[0]), 0, int(shape[1]))))
    return Finding(
        name, FAULT, f"{what} of {len(broken)} images cannot be used",
        f"{len(broken)} of {len(bench.map_indices)} maps cannot be used; {names[index]}: {reason}",
        value=float(len(broken)), threshold=1.0, unit="images", certainty=0.95,
        remedy=Remedy("Look at the program that made these maps: NaN comes of weights, input "
                      "range or float16."),
        layers=("np",) if what == "NP" else ("hv_x", "hv_y"), places=tuple(places),
    )  # fmt: skip


def _check(name: str, title: str, judge: Judge, *needs: str) -> Check:
    def run(bench: Bench) -> Steps:
        finding = yield from judge(bench)
        yield replace(finding, places=finding.places[: bench.params.n_places])

    return Check(f"model.{name}", title, ("maps", *needs), run)


CHECKS: tuple[Check, ...] = (
    _check("np_activation", "NP as a probability", _np_activation),
    _check("np_channel", "NP channel", _np_channel),
    _check("np_empty", "NP finds nuclei", _np_empty),
    _check("shift", "Place of the maps", _shift),
    _check("orientation", "Orientation of the maps", _orientation),
    _check("hv_scale", "Scale of HV", _scale),
    _check("hv_order", "HV channel order", _order),
    _check("hv_sign", "HV sign", _sign),
    _check("hv_own_shape", "HV on the shapes of NP", _of_hv(hv_own_shape)),
    _check("hv_direction", "HV direction", _of_hv(hv_direction)),
    _check("hv_collapsed", "Length of HV", _collapsed),
    _check("hv_zero", "HV beside a map of zeros", _of_hv(hv_zero), "labels"),
    _check("hv_saturated", "HV at -1 and 1", _of_hv(hv_saturated)),
    _check("hv_noise", "Noise of HV", _of_hv(hv_noise)),
    _check("hv_outside", "HV outside nuclei", _of_hv(hv_outside)),
    _check("types", "Predicted types", _types, "types"),
    _check("score", "Scores beside base rates", _score, "labels"),
)
