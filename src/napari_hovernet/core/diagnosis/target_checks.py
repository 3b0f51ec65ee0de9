"""Checks of stored targets, NP and HV: what is collected from the bench for each.

One after the other is put right: order and sign are told by the slope of HV, then length,
scale and centre by fits in every nucleus, then what is left at the rims. So one fault gives one
finding.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field

import numpy as np

from ..types import Bool, Float32, Progress
from . import target_labels, target_rims, target_scale, target_slope, target_values
from .bench import Bench
from .data_checks import placement, runs
from .data_common import around, count_ids, kept, not_tested, nucleus_mask, whole
from .data_likeness import band
from .data_places import (
    FITS,
    ORDER,
    SHIFT,
    TURN,
    UNTESTED,
    Placement,
    Where,
    judge_place,
    place_steps,
)
from .data_register import Pair, pair_of
from .items import Item
from .registry import Check, Steps
from .report import Finding, Place
from .target_fit import Fits, fits_of
from .target_labels import Belonging
from .target_limits import LIMITS
from .target_mixed import Mixture, mixed_order, mixed_sign, mixture_of
from .target_rims import Rims
from .target_scale import Convention, convention_of
from .target_slope import Slopes, slopes_of
from .target_values import ValueLook

FAINT = 0.1
"""Share of the largest HV above which a pixel counts as having some."""


@dataclass(frozen=True, eq=False)
class Measured:
    """All that is measured of stored HV.

    Parameters
    ----------
    looks : tuple of ValueLook
        Of its numbers.
    slopes : Slopes, optional
    items : dict of int to Item
        Images with stored HV.
    fits : tuple of Fits
        Of those with labels of the same size.
    convention : Convention, optional
    mixture : Mixture
        Images in another convention than most.
    """

    looks: tuple[ValueLook, ...] = ()
    slopes: Slopes | None = None
    items: dict[int, Item] = field(default_factory=dict)
    fits: tuple[Fits, ...] = ()
    convention: Convention | None = None
    mixture: Mixture = field(default_factory=Mixture)

    @property
    def in_pixels(self) -> bool:
        """Whether HV holds distances in pixels."""
        found = self.convention
        return found is not None and found.in_pixels and (found.spreads["pixels"] <= LIMITS.spread)

    @property
    def broken(self) -> str:
        """Why nothing can be told from the vectors, "" if it can."""
        return target_values.is_broken(self.looks)

    @property
    def divided(self) -> bool:
        """Whether HV reaches no further than it may."""
        tops = [look.top for look in self.looks]
        return not tops or float(np.median(tops)) <= LIMITS.largest


def measured(bench: Bench) -> Generator[Progress, None, Measured]:
    """Measure stored HV of (some of) the images."""
    indices = runs(bench.indices, LIMITS.items)
    looks, items, maps = [], {}, []
    for number, index in enumerate(indices):
        yield Progress(number, len(indices), "Looking at stored HV")
        item, raw = bench.item(index), bench.raw(index)
        if item is None or raw is None or raw.hv is None:
            continue
        inside = _inside(item)
        look = target_values.look_at_values(
            index, item.name, raw.hv, inside, bench.setup.target_divisor, LIMITS
        )
        if look is not None:
            looks.append(look)
        if item.target_hv is not None and inside is not None and inside.any():
            items[index] = item
            maps.append((item.target_hv, inside))
    slopes = slopes_of(maps)
    each = {i: slopes_of([pair]) for i, pair in zip(items, maps, strict=True)}
    fits = []
    for number, (index, item) in enumerate(items.items()):
        yield Progress(number, len(items), "Reading centres back from HV")
        if item.labels is not None and _same_size(item):
            fits.append(fits_of(index, item.name, item.labels, outward(item, slopes)))
    mixture = mixture_of(each)
    return Measured(tuple(looks), slopes, items, tuple(fits), convention_of(fits), mixture)


def outward(item: Item, slopes: Slopes | None) -> Float32:
    """Return stored HV as [H, V] outward, whatever it really is."""
    hv: Float32 = np.asarray(item.target_hv, np.float32)
    if slopes is None or not slopes.sure(LIMITS):
        return hv
    if slopes.is_swapped:
        hv = hv[::-1]
    signs = np.sign(np.array(slopes.signs, np.float32))
    return np.ascontiguousarray(hv * np.where(signs == 0, 1, signs)[:, None, None])


def _same_size(item: Item) -> bool:
    hv = item.target_hv
    return item.labels is not None and hv is not None and hv.shape[1:] == item.labels.shape


def _inside(item: Item) -> Bool | None:
    """Where nuclei are, by HV itself where it has another size than the labels."""
    if item.target_hv is None:
        return None
    area: Bool = np.abs(item.target_hv).max(axis=0) > 0
    known = nucleus_mask(item)
    if known is None or known.shape != area.shape:
        return area
    both: Bool = known & area
    return both if both.sum() * 2 >= min(known.sum(), area.sum()) else area


def _placed(bench: Bench) -> Generator[Progress, None, tuple[Placement, Where]]:
    """Compare where HV is not 0 with the labels."""
    found = yield from kept(bench, "target.measured", measured)
    pairs: list[Pair] = []
    for number, item in enumerate(found.items.values()):
        yield Progress(number, len(found.items), "Comparing HV with labels")
        pair = _pair(item)
        if pair is not None:
            pairs.append(pair)
    placed = yield from place_steps(pairs, "Moving and turning labels on HV")
    return placed, judge_place(placed)


def _pair(item: Item) -> Pair | None:
    if item.labels is None or item.target_hv is None or not item.labels.any():
        return None
    size = np.abs(item.target_hv).max(axis=0)
    top = float(np.percentile(size, 99.5))
    area = band((size > FAINT * top).astype(np.float32))
    if float(area.std()) <= 0:
        return None
    n = count_ids(item.labels)
    return pair_of(item.index, item.name, area, item.labels > 0, n)


def _labels_off(bench: Bench) -> Generator[Progress, None, str]:
    """Tell how labels are off their image, "" if they are not or nobody knows."""
    if not {"image", "labels"} <= bench.case.has:
        return ""
    _, where, why = yield from kept(bench, "data.placement", placement)
    return "" if why or where.kind not in (SHIFT, TURN, ORDER) else where.kind


def _rims(bench: Bench) -> Generator[Progress, None, tuple[Rims, ...]]:
    found = yield from kept(bench, "target.measured", measured)
    rims = []
    factor = 1.0 if found.convention is None else found.convention.factor
    for number, item in enumerate(found.items.values()):
        yield Progress(number, len(found.items), "Looking at the rims of HV")
        if item.labels is not None and _same_size(item) and item.labels.any():
            hv = outward(item, found.slopes)
            hv = hv if found.in_pixels else np.asarray(hv / factor, np.float32)
            rims.append(
                target_rims.rims_of(
                    item.index, item.name, item.labels, hv, found.convention, bench.setup
                )
            )
    return tuple(rims)


# --- checks ----------------------------------------------------------------------------


def _places(bench: Bench, found: Measured, words: str = "") -> list[Place]:
    """Return places around a nucleus of each image."""
    places = []
    for index, item in list(found.items.items())[: bench.params.n_places]:
        fits = next((f for f in found.fits if f.index == index and f.n), None)
        if fits is None:
            places.append(whole(item, words))
        else:
            k = int(np.argmax(fits.radius))
            row, col = (float(x) for x in fits.mass[k])
            places.append(around(item, row, col, words))
    return places


def _run_np(bench: Bench) -> Steps:
    looks, by_labels = [], "labels" in bench.case.has
    for number, index in enumerate(bench.indices):
        yield Progress(number, len(bench.indices), "Looking at stored NP")
        item = bench.item(index)
        if item is None or item.target_np is None:
            continue
        wanted = None
        if item.labels is not None:
            wanted = item.labels > 0
        elif not by_labels and item.target_hv is not None:
            size = np.abs(item.target_hv).max(axis=0)
            wanted = size > FAINT * float(np.percentile(size, 99.5))
        if wanted is not None and wanted.shape == item.target_np.shape:
            looks.append(target_labels.look_at_np(index, item.name, item.target_np > 0, wanted))
    off = yield from _labels_off(bench)
    yield target_labels.stored_np(looks, by_labels, bench.setup, off)


def _run_divisor(bench: Bench) -> Steps:
    found = yield from kept(bench, "target.measured", measured)
    yield target_values.divisor(found.looks, bench.setup, found.in_pixels)


def _run_range(bench: Bench) -> Steps:
    found = yield from kept(bench, "target.measured", measured)
    yield target_values.value_range(found.looks, found.in_pixels)


def _run_order(bench: Bench) -> Steps:
    found = yield from kept(bench, "target.measured", measured)
    if found.broken:
        yield _untold("data.hv_order", "Order of the HV channels", found)
        return
    if found.mixture.order:
        odd = found.mixture.order
        yield mixed_order(found.mixture, *_odd(bench, found, odd))
        return
    turned = yield from _turned(bench)
    yield target_slope.order(found.slopes, bench.setup, _places(bench, found), turned)


def _run_sign(bench: Bench) -> Steps:
    found = yield from kept(bench, "target.measured", measured)
    if found.broken:
        yield _untold("data.hv_sign", "Sign of HV", found)
        return
    if found.mixture.sign and not found.mixture.order:
        odd = found.mixture.sign
        yield mixed_sign(found.mixture, *_odd(bench, found, odd))
        return
    turned = yield from _turned(bench)
    yield target_slope.sign(found.slopes, bench.setup, _places(bench, found), turned)


def _odd(bench: Bench, found: Measured, odd: tuple[int, ...]) -> tuple[dict[int, str], list[Place]]:
    """Return names, and images to look at."""
    names = {i: item.name for i, item in found.items.items()}
    return names, [whole(found.items[i]) for i in odd[: bench.params.n_places]]


def _turned(bench: Bench) -> Generator[Progress, None, bool]:
    """Tell whether stored HV as a whole is turned against its labels."""
    if "labels" not in bench.case.has:
        return False
    _, where = yield from kept(bench, "target.placed", _placed)
    return where.kind == TURN


def _untold(finding_id: str, title: str, found: Measured) -> Finding:
    why = found.broken
    return not_tested(finding_id, title, f"{why[0].lower()}{why[1:]}")


def _run_scale(bench: Bench) -> Steps:
    found = yield from kept(bench, "target.measured", measured)
    if found.broken:
        yield _untold("data.hv_scale", "Scale of HV", found)
        return
    places = _places(bench, found)
    yield target_scale.scale(found.convention, bench.setup, found.divided, places)


def _run_origin(bench: Bench) -> Steps:
    found = yield from kept(bench, "target.measured", measured)
    if found.broken:
        yield _untold("data.hv_origin", "Centre of HV", found)
        return
    _, where = yield from kept(bench, "target.placed", _placed)
    places = target_scale.centre_places(found.fits, found.items, bench.params.n_places)
    moved = where.kind not in (FITS, UNTESTED)
    yield target_scale.origin(found.convention, moved, bench.setup, places)


def _run_resized(bench: Bench) -> Steps:
    title = "Sharp jumps of HV between nuclei"
    found = yield from kept(bench, "target.measured", measured)
    _, where = yield from kept(bench, "target.placed", _placed)
    told = found.convention
    apart = where.kind not in (FITS, UNTESTED) or told is None or found.in_pixels
    if apart or bool(found.broken) or (told is not None and target_scale.is_off_centre(told)):
        yield not_tested("data.hv_resized", title, "HV does not follow the labels")
        return
    rims = yield from kept(bench, "target.rims", _rims)
    merged = target_labels.merged(rims, found.fits)
    if merged:
        yield not_tested("data.hv_resized", title, "HV was made of other labels")
        return
    worst = sorted(rims, key=lambda r: r.jump / max(r.jump_of, 1e-6))
    places = [Place(r.index, r.name, r.box) for r in worst[: bench.params.n_places]]
    yield target_rims.resized(rims, places)


def _run_labels(bench: Bench) -> Steps:
    found = yield from kept(bench, "target.measured", measured)
    if found.broken:
        yield _untold("data.hv_labels", "Stored HV against labels", found)
        return
    _, where = yield from kept(bench, "target.placed", _placed)
    rims = yield from kept(bench, "target.rims", _rims)
    off = yield from _labels_off(bench)
    if not found.fits and where.kind == UNTESTED:
        yield not_tested("data.hv_labels", "Stored HV against labels", where.why)
        return
    belonging = Belonging(where, found.slopes, found.fits, rims, off)
    yield target_labels.hv_labels(belonging, _places(bench, found))


STORED = ("targets",)
LABELLED = ("targets", "labels")

CHECKS: tuple[Check, ...] = (
    Check("data.np", "Stored NP", STORED, _run_np),
    Check("data.hv_divisor", "Whole numbers and range of HV", STORED, _run_divisor),
    Check("data.hv_range", "Values of stored HV", STORED, _run_range),
    Check("data.hv_order", "Order of the HV channels", STORED, _run_order),
    Check("data.hv_sign", "Sign of HV", STORED, _run_sign),
    Check("data.hv_scale", "Scale of HV", LABELLED, _run_scale),
    Check("data.hv_origin", "Centre of HV", LABELLED, _run_origin),
    Check("data.hv_labels", "Stored HV against labels", LABELLED, _run_labels),
    Check("data.hv_resized", "Sharp jumps of HV between nuclei", LABELLED, _run_resized),
)
