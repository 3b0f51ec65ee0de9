"""Checks of a separation: what it does is found out by cutting nuclei that are known.

Generated nuclei that touch, with the maps of a perfect network, prove a separation wrong without
any data: our presets come out with an AJI of 0.94 to 1, connected components with 0.29. Bounds were
set on both presets that are in order, on both that repeat a mistake, and on functions of others.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from ...errors import UserError
from ..masks import label_parts
from ..measure.metrics import evaluate
from ..params import SeparationParams
from ..types import Maps, Progress
from .bench import Bench
from .case import Separator
from .engine import ALONE, Claim, Steps, check, fault, ok, skip, told, warn
from .reading import view_steps
from .report import FAULT, Place, Plot, Remedy
from .scenes import (
    BAD,
    BEGINS,
    SAME,
    Probe,
    as_components,
    beside,
    exact_maps,
    in_words,
    probe_steps,
    score,
    singles,
)

EXPLAINED = ("model.score", "separation.*")
ANEW = ("separation", {"preset": "local"})
OURS = "use the separation 'local' (or 'hover_net')"
LOOK = ("instances", "np", "hv_x", "hv_y")

# --- checks ----------------------------------------------------------------------------

CROWDED = 0.75
"""Share of 400 small nuclei that must come out (ours: all)."""
LOST = 0.1
"""AJI on exact maps that may be lost against ours before it is a fault."""


@check("separation.oracle", "Exact maps through the separation", needs=("separation",),
       explains=EXPLAINED)  # fmt: skip
def exact_maps_through_it(bench: Bench) -> Steps:
    """Tell whether it runs, the same twice, and what it makes of perfect maps."""
    probe = yield from probe_steps(bench)
    remedy = Remedy(f"Mend the separation, or {OURS}.", *ANEW)
    if probe.error:
        return fault(f"On touching nuclei with exact maps: {probe.error}",
                     title="The separation fails with an error", certainty=0.97, remedy=remedy,
                     decisive=True)  # fmt: skip
    maps = probe.maps
    repeat = evaluate(probe.separator.cut(maps), probe.separator.cut(maps)).aji
    if repeat < 1 and probe.separator.cut(maps).any():
        return fault("Cut twice, the same maps gave instances that agree by an AJI of "
                     f"{repeat:.3f}.",
                     title="The separation is not deterministic", value=repeat, threshold=1.0,
                     unit="AJI", certainty=0.96, decisive=True, layers=("instances",),
                     remedy=Remedy("Fix the seed of what is random, or "
                                   f"{OURS}.", *ANEW))  # fmt: skip
    if why := _without_nuclei(probe):
        yield fault(why, title="The separation fails on images without nuclei", certainty=0.85,
                    remedy=Remedy(f"Return zeros where there is no nucleus, or {OURS}.",
                                  *ANEW))  # fmt: skip
    crowd = probe.crowd
    if crowd.found < CROWDED * crowd.n and probe.alone.found >= probe.alone.n:
        return fault(f"Of {crowd.n} small nuclei in one image {crowd.found} are left, of few all.",
                     title="Nuclei are lost where there are many", value=crowd.found,
                     threshold=CROWDED * crowd.n, unit="instances", certainty=0.92, layers=LOOK,
                     remedy=Remedy("Keep ids in 16 or 32 bits (int32): a byte holds 255, larger "
                                   f"ids wrap or are clipped; or {OURS}.", *ANEW))  # fmt: skip
    yield Progress(0, 1, "true labels through the separation")
    own, ours, where = _oracle(bench, probe)
    numbers = {"AJI with exact maps": own, "ours": ours, "AJI of generated nuclei": probe.exact.aji}
    words = "" if math.isnan(own) else (f"Exact maps of the true nuclei come out with an AJI of "
                                        f"{own:.2f} (ours: {ours:.2f}). ")  # fmt: skip
    lost = max(ours - own if not math.isnan(own) else 0.0, 1 - LOST - probe.exact.aji)
    known = probe.merges or probe.on_rims or probe.way is not None
    if lost < LOST or known or probe.separator.params is not None:  # parameters: see tuning
        return ok(f"{words}{in_words(probe)}.", value=own, threshold=ours - LOST, unit="AJI",
                  numbers=numbers, layers=LOOK)  # fmt: skip
    s = probe.exact if probe.exact.aji < 1 - LOST else probe.soft
    how = misplaced(probe) or (f"{s.few} of {s.n} nuclei are merged or lost, {s.many} split or "
                               "spurious")  # fmt: skip
    mend = ("Look for what does that after the cut (filters, a shift, a border, a mask of NP left "
            "out)")  # fmt: skip
    if s.few > s.many and as_components(probe.separator.cut(maps)) >= SAME and probe.cuts_larger:
        how = "touching nuclei stay one unless they are larger"
        mend = ("A length in it is too large for these nuclei: how far HV or energy is smoothed, a "
                "kernel, the least distance of seeds")  # fmt: skip
    yield fault(
        f"{words}{in_words(probe)}; {how}.", title=f"The separation spoils perfect maps: {how}",
        value=own, threshold=ours - LOST, unit="AJI", certainty=0.75 + min(lost, 0.4) / 2,
        remedy=Remedy(f"{mend}; or {OURS}.", *ANEW, plain="Use the built-in separation."),
        numbers=numbers, layers=LOOK, places=where[: bench.params.n_places])  # fmt: skip


def _without_nuclei(probe: Probe) -> str:
    """Say what is wrong with what comes of maps without a nucleus, "" if nothing."""
    nothing = np.zeros((64, 64), np.float32)
    try:
        spurious = bool(probe.separator.cut(Maps(np=nothing, hv=np.stack([nothing] * 2))).any())
    except UserError as error:
        return f"On maps without a nucleus: {error}"
    return "It finds nuclei in maps that are 0 everywhere." if spurious else ""


def _oracle(bench: Bench, probe: Probe) -> tuple[float, float, tuple[Place, ...]]:
    """AJI of true labels through this separation and through ours, and where it goes wrong."""
    rows, places = [], []
    for index in bench.variant_indices:
        item, box = bench.item(index), bench.box(index)
        if item is None or item.labels is None or box is None or not item.labels.any():
            continue
        r0, r1, c0, c1 = box
        truth = np.ascontiguousarray(item.labels[r0:r1, c0:c1])
        if not truth.any():
            continue
        maps = exact_maps(truth)
        try:
            mine = evaluate(truth, probe.separator.cut(maps)).aji
        except UserError:
            mine = 0.0
        ours = evaluate(truth, Separator.of(None).cut(maps)).aji
        rows.append((mine, ours))
        places.append((mine - ours, Place(index, item.name, box, f"AJI {mine:.2f}")))
    if not rows:
        return float("nan"), float("nan"), ()
    mine, ours = (float(np.mean(column)) for column in zip(*rows, strict=True))
    return mine, ours, tuple(p for _, p in sorted(places, key=lambda pair: pair[0]))


def misplaced(probe: Probe) -> str:
    """Say where instances lie if that is not where nuclei are, "" if they do."""
    found, truth = probe.separator.cut(probe.maps) > 0, probe.labels > 0
    if found.mean() > 0.95:
        return "it takes everything for nucleus (no mask of NP)"
    score = np.fft.irfft2(np.fft.rfft2(found) * np.conj(np.fft.rfft2(truth)), truth.shape)
    at = np.unravel_index(int(score.argmax()), score.shape)
    r, c = (int(k) if k <= n // 2 else int(k) - n for k, n in zip(at, truth.shape, strict=True))
    if (r, c) != (0, 0) and score.max() > 1.1 * score[0, 0]:
        return f"instances are moved by {r} rows and {c} columns (an offset, a crop, a padding)"
    cover = found.sum() / max(truth.sum(), 1)
    rim = np.ones(truth.shape, bool)
    rim[40:-40, 40:-40] = False
    lost = (truth & ~found)[rim].sum() / max((truth & ~found).sum(), 1)
    if cover < 0.85:
        return ("nuclei near the border of the image are removed" if (lost > 0.9)
                else "instances are too small, or lost")  # fmt: skip
    return "instances are too large" if cover > 1.18 else ""


DROP = 0.2
"""AJI that may be lost when HV is half or twice as long, or when other nuclei lie beside."""
STEADY = 0.85
"""AJI of one cut to another that begins elsewhere, in what both see (ours: above 0.97)."""
WHOLE = ("Cut the whole image, not tile by tile (or join what a seam divides), and do not stretch "
         f"HV by the minimum and maximum of the tile: {OURS}.")  # fmt: skip
FACTORS = (0.25, 0.5, 2.0)
"""Of HV that networks in use have."""
FAR_OUT = 5.0
"""|HV| of single pixels that rule a tile-wide stretching (healthy: up to 1.6)."""


@check("separation.reading", "How the separation reads HV", needs=("separation",),
       explains=EXPLAINED, after=("separation.oracle",))  # fmt: skip
def how_it_reads_hv(bench: Bench) -> Steps:
    """Order, sign, length, and what else is in the tile."""
    probe = yield from probe_steps(bench)
    common: dict[str, Any] = {"value": probe.exact.aji, "threshold": BAD, "unit": "AJI",
                              "layers": LOOK}  # fmt: skip
    way = probe.way
    if way is not None:
        axes = "the channels swapped" if way.order == "vh" else "the other sign"
        return fault(
            f"{in_words(probe)}. With HV written as {way.words} it works.",
            title=f"The separation reads HV as {way.words}", certainty=0.96,
            remedy=Remedy(f"Hand it HV with {axes} ({way.words}), change how it reads the order "
                          f"and sign of the channels, or {OURS}.", *ANEW), **common)  # fmt: skip
    yield Progress(0, 1, "the same nuclei elsewhere in the tile")
    steady = probe.steady
    if steady < STEADY:
        return fault(
            f"{in_words(probe)}. Cut from {BEGINS[0]} rows and {BEGINS[1]} columns later on, the "
            f"same nuclei agree by an AJI of {steady:.2f} (healthy: above 0.97).",
            title="The cut depends on where the tile begins", certainty=0.92, decisive=True,
            remedy=Remedy(WHOLE, *ANEW), **common)  # fmt: skip
    params = probe.separator.params
    if params is not None and (probe.bad or params.method == "local"):  # parameters: see tuning
        return ok(f"{in_words(probe)}; no order or sign of HV, and no other place in the tile "
                  "changes that.", **common)  # fmt: skip
    yield Progress(0, 1, "HV of other lengths")
    maps = probe.maps
    by = {f: probe.of(f"x {f}", partial(Maps, np=maps.np, hv=np.float32(f) * maps.hv),
                      probe.labels).aji for f in FACTORS}  # fmt: skip
    worst, most = min(by, key=lambda f: by[f]), max(*by.values(), probe.exact.aji)
    height, width = probe.labels.shape
    try:
        cut = probe.separator.cut(beside(probe.labels, probe.radius))[:height, :width]
        near = score(probe.labels, np.ascontiguousarray(cut)).aji
    except UserError:
        near = 0.0
    words = (f"AJI {probe.exact.aji:.2f} on exact maps, {by[worst]:.2f} if HV is {worst:g} times "
             f"as long, {near:.2f} beside larger and smaller nuclei.")  # fmt: skip
    plot = Plot("bars", "AJI by length of HV", (*map(str, by), "other nuclei beside"), (("AJI",
        (*by.values(), near)),), "HV times", "AJI", probe.exact.aji - DROP)  # fmt: skip
    if near < probe.exact.aji - DROP and not probe.bad:
        yield fault(words, title="The cut depends on what else is in the tile", certainty=0.9,
                    plot=plot, decisive=True, remedy=Remedy(WHOLE, *ANEW), **common)  # fmt: skip
    elif min(by[worst], probe.exact.aji) < most - DROP and most >= BAD:
        yield fault(words, title="The cut depends on the length of HV", certainty=0.94, plot=plot,
                    remedy=Remedy("Do not hold HV or its slope against a fixed threshold: scale it "
                                  f"by its size around, or {OURS}.", *ANEW), **common)  # fmt: skip
    else:
        yield from _hot_pixels(bench, probe, words, plot, common)


def _hot_pixels(
    bench: Bench, probe: Probe, words: str, plot: Plot, common: dict[str, Any]
) -> Steps:
    """Look for far-out pixels, which rule a stretching by minimum and maximum."""
    views = (yield from view_steps(bench)) if "maps" in bench.case.has else ()
    most = [float(np.abs(v.hv).max(initial=0)) for v in views]
    usual = [float(np.quantile(np.abs(v.hv), 0.995)) for v in views]
    far = [k for k, (high, low) in enumerate(zip(most, usual, strict=True))
           if high > FAR_OUT * max(low, 0.2)]  # fmt: skip
    maps = probe.maps
    hv = maps.hv.copy()
    hv[:, 0, 0] = max(most, default=0.0)
    hot = probe.of("hot", lambda: Maps(np=maps.np, hv=hv), probe.labels).aji if far else 1.0
    if hot >= probe.exact.aji - DROP:
        yield ok(words, plot=plot, **common)
        return
    yield fault(
        f"In {len(far)} of {len(views)} images single pixels of HV reach {max(most):.3g}, where "
        "99.5 % "
        f"are below {max(usual):.2g}. One such pixel takes the AJI of exact maps to {hot:.2f}.",
        title="Single far-out pixels of HV rule the cut", certainty=0.9,
        remedy=Remedy("Clip HV to -1.5..1.5 before it is stretched by its minimum and maximum (and "
                      f"find what makes these outliers), or {OURS}.", *ANEW),
        places=tuple(views[k].place() for k in far[:5]), **common)  # fmt: skip


@check("separation.relabel", "Instances against connected components", explains=EXPLAINED,
       after=("separation.oracle", "separation.reading"))  # fmt: skip
def instances_or_components(bench: Bench) -> Steps:
    """Are touching nuclei that were cut merged again."""
    there = bench.case.has
    if "separation" in there:
        probe = yield from probe_steps(bench)
        if probe.merges:
            params = probe.separator.params
            why = "merge_touching is set" if params is not None and params.merge_touching else (
                "its union is labelled anew after the cut, as in label(instances > 0), or HV is "
                "not used at all")  # fmt: skip
            return fault(
                f"{in_words(probe)}: exactly the connected components of the mask; {why}.",
                title="Touching nuclei are merged again after the cut",
                value=probe.exact.aji, threshold=BAD, unit="AJI", certainty=0.98,
                remedy=Remedy(f"Leave out the line that labels the union anew, or {OURS}.", *ANEW,
                              plain="Use the built-in separation: this one glues touching nuclei "
                              "together again."),
                layers=LOOK)  # fmt: skip
        return ok(f"{in_words(probe)}.", value=probe.exact.aji, threshold=BAD, unit="AJI")
    if "instances" not in there or not {"labels", "maps"} & there:
        return skip("give a separation, or instances and true labels")
    yield from _given_instances(bench)


TOUCHING = 10
"""Touching nuclei below which connected components tell nothing."""


def _given_instances(bench: Bench) -> Steps:
    same, lost, touching = [], 0, 0
    for index in bench.map_indices:
        yield Progress(0, 1, "instances")
        item, cut = bench.item(index), bench.instances(index)
        if item is None or item.labels is None or cut is None or cut.shape != item.labels.shape:
            continue
        parts = label_parts(item.labels > 0)[0]
        inside = item.labels > 0
        pairs = np.unique(np.stack([parts[inside], item.labels[inside]]), axis=1)
        touching += int((np.bincount(pairs[0])[pairs[0]] > 1).sum()) if pairs.size else 0
        same.append(as_components(cut))
        lost += score(item.labels, cut).few
    if not same or touching < TOUCHING:
        yield skip("too few true nuclei touch another one")
        return
    words = f"Of the true nuclei {touching} touch another one; {lost} are merged or lost."
    if float(np.mean(same)) < SAME:
        yield ok(words, value=float(np.mean(same)), threshold=SAME, unit="AJI")
        return
    yield fault(
        f"{words} The instances are exactly the connected components of their union.",
        title="Touching nuclei are not cut: instances are connected components",
        value=float(np.mean(same)), threshold=SAME, unit="AJI", certainty=0.93, layers=LOOK,
        remedy=Remedy(f"Do not label the mask anew after the cut: {OURS}."))  # fmt: skip


PIECES, MISSED = 1.5, 0.25
"""Instances for each nucleus that stands alone, and share of these that is lost (healthy: 1, 0)."""


@check("separation.seeds", "Seeds in the centres", needs=("separation",), explains=EXPLAINED,
       after=("separation.oracle", "separation.reading"))  # fmt: skip
def seeds_in_the_centres(bench: Bench) -> Steps:
    """Rim peaks, a seed in every dip, seeds that are eroded away."""
    probe = yield from probe_steps(bench)
    alone = probe.alone
    words = (f"{in_words(probe)}. Of {alone.n} nuclei that stand alone {alone.missed} are lost and "
             f"{alone.split} come out in pieces ({alone.found} instances).")  # fmt: skip
    of, value = probe.separator.params is None, alone.found / max(alone.n, 1)
    claims: list[Claim] = [
        (probe.on_rims, 0.97, "Seeds are peaks of |HV|, which lie on the rims", f"{words} With HV "
         "long in the centre it works.", value, PIECES, Remedy("Take for seeds the centres, where "
         f"|HV| is 0 (or low energy): {OURS}.", *ANEW)),
        (of and alone.found >= PIECES * alone.n and alone.missed < alone.n, 0.93,
         "Nuclei break up: there are too many seeds (markers)", words, value, PIECES, Remedy(
             "Give the watershed one marker for each nucleus, not every local minimum of the "
             f"energy: {OURS}.", *ANEW)),
        (of and MISSED * alone.n <= alone.missed < alone.n
         and probe.soft.few > MISSED * probe.soft.n, 0.85,
         "Nuclei are lost: they get no seed (marker)", words, value, PIECES, Remedy(
             "Erode or open the markers less, by less than the radius of the smallest nucleus: "
             f"{OURS}.", *ANEW)),
    ]  # fmt: skip
    common: dict[str, Any] = {"layers": (*LOOK, "magnitude"), "unit": "instances"}
    found = list(told(claims, first=True, **common))
    yield from found or [ok(words, value=value, threshold=PIECES, **common)]


# --- tuning ----------------------------------------------------------------------------

TUNED, TUNED_SCENE, COSTS = 0.06, 0.05, 0.03
"""AJI that another value wins here, or on generated nuclei, and that it may cost on the other."""
SURE = 0.1
"""AJI won here from which on a value that is not the preset's is a fault."""
ALTERNATIVES: Mapping[str, tuple[Any, ...]] = {"np_threshold": (0.3, 0.6), "depth": (0.08, 0.3)}
"""Tried of parameters that are as the preset has them; they suit maps that are worse than ours."""
KINDS = {"np_threshold": "The NP threshold does not fit",
         "min_mean_np": "The least mean NP does not fit",
         "min_area": "The smallest area does not fit (pixels, not square micrometres)"}  # fmt: skip
LEAST_NUCLEI = 30


@check("separation.tuning", "Parameters of the separation", needs=("separation",),
       explains=("model.score",), after=("separation.oracle", "separation.reading"))  # fmt: skip
def parameters_of_the_separation(bench: Bench) -> Steps:
    """Threshold, smallest area, over- and under-segmentation."""
    probe = yield from probe_steps(bench)
    params = probe.separator.params
    if probe.merges or probe.on_rims or probe.way is not None:
        return skip("another fault of the separation has to be mended first")
    if params is None or params.method not in ("local", "hover_net"):
        yield from _of_a_function(probe)
        return
    # labels or maps that are at fault are no witness of parameters: generated nuclei are
    spoilt = any(f.verdict == FAULT and f.family in ("data", "model") for f in bench.found)
    views = (yield from view_steps(bench)) if "maps" in bench.case.has and not spoilt else ()
    pairs = [(bench.maps(v.index), v.labels) for v in views if v.labels is not None]
    pairs = pairs[: bench.params.n_variants]
    few = sum(len(np.unique(labels)) for _, labels in pairs if labels is not None) < LEAST_NUCLEI
    base_scene, base_here = _trial(probe, params, [] if few else pairs)
    tried: list[tuple[float, float, dict[str, Any], bool]] = []
    for change, own in _changes(params):
        yield Progress(len(tried), 0, f"tries {', '.join(change)}")
        changed = SeparationParams.preset(change["preset"]) if "preset" in change else replace(
            params, **change)  # fmt: skip
        scene, here = _trial(probe, changed, [] if few else pairs)
        tried.append((scene - base_scene, here - base_here, change, own))
    helps = [t for t in tried if _helps(t)]
    words = (f"AJI {base_scene:.2f} on generated nuclei" + ("" if few or not pairs
        else f", {base_here:.2f} here") + " as it is")  # fmt: skip
    if not helps:
        return ok(f"{words}; no other value does clearly better.", value=base_scene, unit="AJI")
    single = [t for t in helps if "preset" not in t[2]] or helps
    best = max(single, key=lambda t: t[0] + t[1])
    whole = [t for t in helps if "preset" in t[2] and t[0] + t[1] > best[0] + best[1] + TUNED]
    scene, here, change, own = whole[0] if whole else best
    proven = own and (scene >= TUNED_SCENE or here >= SURE)
    name = next(iter(change))
    setting = ", ".join(f"{k} = {v}" for k, v in change.items())
    threshold = name == "np_threshold"
    yield (fault if proven else warn)(
        f"{words}; with {setting} it is {base_scene + scene:.2f}" + (
            "." if few or not pairs else f" and {base_here + here:.2f}."),
        title=KINDS.get(name, f"{name} does not fit") if "preset" not in change
        else "The parameters of the separation do not fit",
        value=max(scene, here), threshold=TUNED_SCENE, unit="AJI",
        certainty=min(0.85 + max(scene, here) / 4, 0.95) if proven else min(0.3 + here, ALONE),
        remedy=Remedy(f"Set {setting}.", "np_threshold" if threshold else "separation",
                      change[name] if threshold else _plain(change)),
        layers=LOOK)  # fmt: skip


def _plain(change: dict[str, Any]) -> dict[str, Any]:
    return {k: list(v) if isinstance(v, tuple) else v for k, v in change.items()}


def _changes(params: SeparationParams) -> list[tuple[dict[str, Any], bool]]:
    """List other values, and whether they are those of the preset, from which these differ."""
    preset = SeparationParams.preset(params.method)
    names = [n for n in params.__dataclass_fields__ if getattr(params, n) != getattr(preset, n)
             and n not in ("method", "band_rows")]  # fmt: skip
    made: list[tuple[dict[str, Any], bool]] = [({n: getattr(preset, n)}, True) for n in names]
    if len(names) > 1:
        made.append(({"preset": params.method}, True))
    return made + [({n: v}, False) for n, values in ALTERNATIVES.items() for v in values
        if n not in names and not (n == "depth" and params.method != "local")]  # fmt: skip


def _helps(trial: tuple[float, float, dict[str, Any], bool]) -> bool:
    scene, here, _, own = trial
    if not own:
        return here >= SURE and scene >= -COSTS
    return (scene >= TUNED_SCENE and here >= -COSTS) or (here >= TUNED and scene >= -COSTS)


def _trial(probe: Probe, params: SeparationParams, pairs: Sequence[Any]) -> tuple[float, float]:
    """AJI of generated nuclei, and of the case's own (0 without)."""
    tried = Probe(Separator.of(params), probe.radius, kept={"labels": probe.labels})
    scene = (tried.soft.aji + tried.alone.aji) / 2
    here = [evaluate(truth, tried.separator.cut(maps)).aji for maps, truth in pairs]
    return scene, float(np.mean(here)) if here else 0.0


LOW, HIGH = 0.15, 0.85
"""NP between which a nucleus has to begin (usual: about 0.5)."""
SHARE = 0.1
"""Share of generated nuclei that are merged, lost, split or spurious beyond ours."""


def _of_a_function(probe: Probe) -> Steps:
    """Judge a function of the user's own, of which no parameter is known."""
    mine = (probe.soft.aji + probe.alone.aji) / 2
    ours, _ = _trial(probe, SeparationParams(), [])
    few, many = (probe.soft.few + probe.alone.few, probe.soft.many + probe.alone.many)
    n = probe.soft.n + probe.alone.n
    words = (f"Of {n} generated nuclei with maps of a good network {few} are merged or lost and "
             f"{many} split or spurious (AJI {mine:.2f}, ours {ours:.2f})")  # fmt: skip
    labels = singles(probe.radius)
    sharp, found_at = exact_maps(labels), 1.0
    for level in np.arange(0.05, 1, 0.05):
        maps = partial(Maps, np=sharp.np * np.float32(level), hv=sharp.hv)
        if probe.of(f"NP {level:.2f}", maps, labels).few < labels.max() / 2:
            found_at = float(level)
            break
    over, share = many > few, max(few, many) / n
    claims: list[Claim] = [
        (found_at < 1 and not LOW <= found_at <= HIGH, 0.88, "The NP threshold does not fit",
         f"{words}. A nucleus is found from an NP of {found_at:.2f} on.", share, SHARE,
         Remedy(f"Threshold NP at about 0.5, or {OURS}.", *ANEW)),
        (ours - mine >= LOST and share >= SHARE, 0.8,
         "Nuclei are broken up" if over else "Nuclei are merged or lost", f"{words}.", share, SHARE,
         Remedy(f"Make it less ready to {'cut' if over else 'merge'} or drop (seeds, markers, "
                f"thresholds), or {OURS}.", *ANEW)),
    ]  # fmt: skip
    common: dict[str, Any] = {"unit": "share", "layers": LOOK}
    said = list(told(claims, first=True, **common))
    yield from said or [ok(f"{words}; a nucleus is found from an NP of {found_at:.2f} on.",
                           value=share, threshold=SHARE, **common)]  # fmt: skip
