"""Checks of a separation: what it does is found out by cutting nuclei that are known.

Generated nuclei that touch, with the maps of a perfect network, prove a separation wrong without
any data: our presets come out with an AJI of 0.94 to 1, connected components with 0.29. Bounds were
set on both presets that are in order, on both that repeat a mistake, and on functions of others.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ...errors import UserError
from ..hv import compact_ids, hv_targets
from ..masks import label_parts
from ..measure.metrics import evaluate
from ..params import SeparationParams
from ..synthetic import HV_GRAIN, HV_NOISE, blurred, planted_maps, smooth_noise
from ..types import Float32, Int32, Maps, Progress
from .bench import Bench
from .case import Separator
from .engine import ALONE, Steps, check, fault, ok, skip, warn
from .reading import READINGS, view_steps
from .report import Place, Plot, Remedy

EXPLAINED = ("model.score", "separation.*")
ANEW = ("separation", {"preset": "local"})
OURS = "use the separation 'local' (or 'hover_net')"
LOOK = ("instances", "np", "hv_x", "hv_y")

# --- generated nuclei ------------------------------------------------------------------

GROUPS = (2,) * 2 + (3,) * 8 + (4,) * 8
"""Nuclei per cluster: 60 in all; the AJI of the clusters is 60 / sum of squares = 0.29."""
LAYOUTS = {2: ((0, -1), (0, 1)), 3: ((-0.87, -1), (-0.87, 1), (0.87, 0)),
           4: ((-1, -1), (-1, 1), (1, -1), (1, 1))}  # fmt: skip
"""Centres of the nuclei of a cluster, rows and columns in radii."""
OVERLAP, PITCH, COLUMNS = 0.95, 6.9, 5
"""Distance of two centres by that of touching discs; of two clusters, in radii; clusters in a row."""
RADIUS = (9.0, 16.0)
"""Pixels: smallest and largest; that of the case's own nuclei in between."""
SOFT_HV, SOFT_NOISE = 2.0, 0.15
"""Sigma in pixels by which a network rounds the jumps of HV, and its noise, 1 = useless."""


def clusters(radius: float, seed: int = 0) -> Int32:
    """Draw clusters of touching nuclei of nearly equal size."""
    rng, cell, number = np.random.default_rng(seed), round(PITCH * radius), 0
    labels = np.zeros((-(-len(GROUPS) // COLUMNS) * cell, COLUMNS * cell), np.int32)
    for place, group in enumerate(rng.permutation(np.array(GROUPS))):
        row, col = (place // COLUMNS + 0.5) * cell, (place % COLUMNS + 0.5) * cell
        turn = rng.uniform(0, np.pi)
        for down, right in LAYOUTS[int(group)]:
            number += 1
            r = row + OVERLAP * radius * (down * np.cos(turn) - right * np.sin(turn))
            c = col + OVERLAP * radius * (down * np.sin(turn) + right * np.cos(turn))
            draw(labels, number, (r, c), radius * rng.uniform(0.96, 1.04))
    return labels


def singles(radius: float) -> Int32:
    """Draw nuclei of three sizes that stand alone."""
    cell = round(4 * radius)
    labels = np.zeros((3 * cell, 4 * cell), np.int32)
    for k in range(12):
        middle = ((k // 4 + 0.5) * cell, (k % 4 + 0.5) * cell)
        draw(labels, k + 1, middle, radius * (0.8, 1.0, 1.25)[k // 4])
    return labels


def draw(labels: Int32, number: int, centre: tuple[float, float], radius: float) -> None:
    """Draw a disc where nothing is yet."""
    y, x = np.ogrid[: labels.shape[0], : labels.shape[1]]
    labels[((y - centre[0]) ** 2 + (x - centre[1]) ** 2 <= radius**2) & (labels == 0)] = number


def exact_maps(labels: Int32) -> Maps:
    """Maps of a perfect network."""
    return Maps(np=(labels > 0).astype(np.float32), hv=hv_targets(labels))


def soft_maps(labels: Int32, seed: int = 0) -> Maps:
    """Maps of a good network: outlines and jumps are rounded, and there is some noise."""
    rng, noise = np.random.default_rng(seed), np.float32(HV_NOISE * SOFT_NOISE)
    hv = [blurred(channel, SOFT_HV) + noise * smooth_noise(rng, labels.shape, HV_GRAIN)
          for channel in hv_targets(labels)]  # fmt: skip
    return Maps(np=planted_maps(labels, seed, SOFT_NOISE).np, hv=np.stack(hv))


def inside_out(maps: Maps) -> Maps:
    """Keep the directions of HV, but make it long in the centre and short on the rim."""
    length = maps.magnitude
    new = np.clip(1.05 - length, 0, None) / np.maximum(length, 1e-6)
    hv: Float32 = np.where(length > 1e-6, maps.hv * new, 0).astype(np.float32)
    return Maps(np=maps.np, hv=hv)


def beside(labels: Int32, radius: float) -> Maps:
    """Exact maps of clusters beside larger and smaller ones, as a tile of real tissue has them."""
    others = [clusters(f * radius, seed)[: len(labels)] for f, seed in ((1.8, 1), (0.67, 2))]
    made = labels
    for other in others:
        wide = np.zeros((len(labels), other.shape[1] + round(2 * radius)), np.int32)
        wide[: len(other), round(2 * radius) :] = np.where(other > 0, other + made.max(), 0)
        made = np.concatenate((made, wide), axis=1)
    return exact_maps(made)


# --- what a separation does with them --------------------------------------------------


@dataclass(frozen=True)
class Score:
    """How one scene came out; counts of nuclei."""

    aji: float = 0.0
    n: int = 0
    few: int = 0  # Merged or missed
    many: int = 0  # Split or spurious
    missed: int = 0
    split: int = 0
    found: int = 0


def score(truth: Int32, found: Int32) -> Score:
    """Compare instances with the truth."""
    made = evaluate(truth, found)
    c = made.outcomes.counts()
    return Score(made.aji, made.n_true, c["merged"] + c["missed"], c["split"] + c["spurious"],
                 c["missed"], c["split"], made.n_pred)  # fmt: skip


@dataclass(eq=False)
class Probe:
    """A separation, and what it made of generated nuclei; each scene is cut when first asked for."""

    separator: Separator
    radius: float
    error: str = ""  # Why it failed on touching nuclei
    kept: dict[str, Any] = field(default_factory=dict)

    def of(self, name: str, maps: Maps, labels: Int32) -> Score:
        """Score the cut of a scene; what fails has found nothing."""
        if name not in self.kept:
            try:
                self.kept[name] = score(labels, self.separator.cut(maps))
            except UserError:
                self.kept[name] = Score(n=int(labels.max()), few=int(labels.max()))
        found: Score = self.kept[name]
        return found

    @property
    def labels(self) -> Int32:
        """Touching nuclei."""
        made: Int32 = self.kept.setdefault("labels", clusters(self.radius))
        return made

    @property
    def exact(self) -> Score:
        """Touching nuclei, exact maps."""
        return self.of("exact", exact_maps(self.labels), self.labels)

    @property
    def soft(self) -> Score:
        """Touching nuclei, maps of a good network."""
        return self.of("soft", soft_maps(self.labels), self.labels)

    @property
    def alone(self) -> Score:
        """Nuclei that stand alone, maps of a good network."""
        labels = singles(self.radius)
        return self.of("alone", soft_maps(labels), labels)

    @property
    def bad(self) -> bool:
        """Whether it fails on touching nuclei with exact maps."""
        return self.exact.aji < BAD

    def cured(self, found: Score) -> bool:
        """Whether another way of writing the maps makes it work."""
        return self.bad and found.aji >= GOOD and found.aji >= self.exact.aji + GAP

    @property
    def steady(self) -> float:
        """AJI of the cut to one that begins elsewhere, in what both see whole."""
        r, c = BEGINS
        maps, inner = exact_maps(self.labels), np.s_[r : -2 * r, c : -2 * c]
        first = self.separator.cut(maps)[r:, c:][inner]
        later = self.separator.cut(Maps(np=maps.np[r:, c:], hv=maps.hv[:, r:, c:]))[inner]
        return evaluate(compact_ids(first)[0], compact_ids(later)[0]).aji if first.any() else 1.0

    @property
    def way(self) -> Any:
        """The reading of HV in which it works; None if it works as it should, or in none."""
        maps = exact_maps(self.labels)
        tried = {r: self.of(r.words, Maps(np=maps.np, hv=r.written(maps.hv)), self.labels)
                 for r in READINGS[1:]} if self.bad else {}  # fmt: skip
        best = max(tried, key=lambda r: tried[r].aji, default=None)
        return best if best is not None and self.cured(tried[best]) else None

    @property
    def on_rims(self) -> bool:
        """Whether it works once HV is long in the centre."""
        return self.bad and self.way is None and self.cured(
            self.of("inside out", inside_out(exact_maps(self.labels)), self.labels))

    @property
    def merges(self) -> bool:
        """Whether all that touches is one, whatever HV says."""
        params = self.separator.params
        if not self.bad or self.way is not None or self.on_rims:
            return False
        if params is not None and not params.merge_touching:
            return False  # ours: parameters that merge are for separation.tuning
        cut = self.separator.cut(exact_maps(self.labels))
        return as_components(cut) >= SAME


GOOD, BAD, GAP = 0.8, 0.65, 0.25
"""AJI on exact maps from which on it works, below which it does not, and the least between."""
SAME = 0.98
"""AJI to the connected components of their own union from which on instances are just these."""


def as_components(labels: Int32) -> float:
    """AJI of instances to the connected components of their union."""
    return evaluate(label_parts(labels > 0)[0], labels).aji if labels.any() else 0.0


def probe_steps(bench: Bench) -> Generator[Progress, None, Probe]:
    """Cut generated nuclei that are as large as the case's own."""
    yield Progress(0, 1, "generated nuclei")

    def make() -> Probe:
        areas = [np.bincount(item.labels.ravel())[1:] for i in bench.variant_indices
                 if (item := bench.item(i)) is not None and item.labels is not None]  # fmt: skip
        known = np.concatenate([a[a > 0] for a in areas]) if areas else np.zeros(0)
        radius = float(np.sqrt(np.median(known) / np.pi)) if known.size else 12.0
        probe = Probe(bench.separator, min(max(radius, RADIUS[0]), RADIUS[1]))
        try:
            probe.separator.cut(exact_maps(probe.labels))
        except UserError as error:
            probe.error = str(error)
        return probe

    return bench.once("probe", make)


def _words(probe: Probe) -> str:
    s = probe.exact
    return (f"60 touching generated nuclei with exact maps come out as {s.found} instances, AJI "
            f"{s.aji:.2f} (healthy: above 0.9, connected components: 0.29)")  # fmt: skip



# --- checks ----------------------------------------------------------------------------

LOST = 0.1
"""AJI on exact maps that may be lost against ours before it is a fault."""


@check("separation.oracle", "Exact maps through the separation", needs=("separation",),
       explains=EXPLAINED)  # fmt: skip
def exact_maps_through_it(bench: Bench) -> Steps:
    """Does it run, the same twice; what does it make of perfect maps."""
    probe = yield from probe_steps(bench)
    remedy = Remedy(f"Mend the separation, or {OURS}.", *ANEW)
    if probe.error:
        yield fault(f"On touching nuclei with exact maps: {probe.error}",
                    title="The separation fails with an error", certainty=0.97, remedy=remedy,
                    decisive=True)  # fmt: skip
        return
    maps = exact_maps(probe.labels)
    repeat = evaluate(probe.separator.cut(maps), probe.separator.cut(maps)).aji
    if repeat < 1 and probe.separator.cut(maps).any():
        yield fault(f"Cut twice, the same maps gave instances that agree by an AJI of {repeat:.3f}.",
                    title="The separation is not deterministic", value=repeat, threshold=1.0,
                    unit="AJI", certainty=0.96, decisive=True, layers=("instances",),
                    remedy=Remedy(f"Fix the seed of what is random, or {OURS}.", *ANEW))  # fmt: skip
        return
    nothing = np.zeros((64, 64), np.float32)
    try:
        spurious = bool(probe.separator.cut(Maps(np=nothing, hv=np.stack([nothing] * 2))).any())
        why = "It finds nuclei in maps that are 0 everywhere." if spurious else ""
    except UserError as error:
        why = f"On maps without a nucleus: {error}"
    if why:
        yield fault(why, title="The separation fails on images without nuclei", certainty=0.85,
                    remedy=Remedy(f"Return zeros where there is no nucleus, or {OURS}.", *ANEW))
    yield Progress(0, 1, "true labels through the separation")
    own, ours, where = _oracle(bench, probe)
    numbers = {"AJI with exact maps": own, "ours": ours, "AJI of generated nuclei": probe.exact.aji}
    words = f"Exact maps of the true nuclei come out with an AJI of {own:.2f} (ours: {ours:.2f}). " \
        if where or own == own else ""
    lost = max(ours - own if own == own else 0.0, 1 - LOST - probe.exact.aji)
    known = probe.merges or probe.on_rims or probe.way is not None
    if lost < LOST or known or probe.separator.params is not None:  # parameters: see tuning
        yield ok(f"{words}{_words(probe)}.", value=own, threshold=ours - LOST, unit="AJI",
                 numbers=numbers, layers=LOOK)
        return
    how = misplaced(probe) or _how(probe)
    yield fault(
        f"{words}{_words(probe)}; {how}.", title=f"The separation spoils perfect maps: {how}",
        value=own, threshold=ours - LOST, unit="AJI", certainty=0.75 + min(lost, 0.4) / 2,
        remedy=Remedy(f"Look for what does that after the cut (filters, a shift, a border, a mask "
                      f"of NP left out), or {OURS}.", *ANEW,
                      plain="Use the built-in separation."),
        numbers=numbers, layers=LOOK, places=where[: bench.params.n_places],
    )  # fmt: skip


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
    found, truth = probe.separator.cut(exact_maps(probe.labels)) > 0, probe.labels > 0
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
        return "nuclei near the border of the image are removed" if (
            lost > 0.9) else "instances are too small, or lost"
    return "instances are too large" if cover > 1.18 else ""


def _how(probe: Probe) -> str:
    s = probe.exact if probe.exact.aji < 1 - LOST else probe.soft
    return f"{s.few} of {s.n} nuclei are merged or lost, {s.many} split or spurious"


DROP = 0.2
"""AJI that may be lost when HV is half or twice as long, or when other nuclei lie beside."""
BEGINS = (17, 45)
"""Rows and columns by which the same nuclei lie elsewhere in the tile."""
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
                              "layers": LOOK}
    way = probe.way
    if way is not None:
        axes = "the channels swapped" if way.order == "vh" else "the other sign"
        yield fault(
            f"{_words(probe)}. With HV written as {way.words} it works.",
            title=f"The separation reads HV as {way.words}", certainty=0.96,
            remedy=Remedy(f"Hand it HV with {axes} ({way.words}), change how it reads the order "
                          f"and sign of the channels, or {OURS}.", *ANEW), **common)  # fmt: skip
        return
    yield Progress(0, 1, "the same nuclei elsewhere in the tile")
    steady = probe.steady
    if steady < STEADY:
        yield fault(
            f"{_words(probe)}. Cut from {BEGINS[0]} rows and {BEGINS[1]} columns later on, the same "
            f"nuclei agree by an AJI of {steady:.2f} (healthy: above 0.97).",
            title="The cut depends on where the tile begins", certainty=0.92, decisive=True,
            remedy=Remedy(WHOLE, *ANEW), **common)  # fmt: skip
        return
    params = probe.separator.params
    if probe.bad or (params is not None and params.method == "local"):  # parameters: see tuning
        yield ok(f"{_words(probe)}; no order or sign of HV, and no other place in the tile changes "
                 "that.", **common)  # fmt: skip
        return
    yield Progress(0, 1, "HV of other lengths")
    maps = exact_maps(probe.labels)
    by = {f: probe.of(f"x {f}", Maps(np=maps.np, hv=np.float32(f) * maps.hv), probe.labels).aji
          for f in FACTORS}  # fmt: skip
    worst = min(by, key=lambda f: by[f])
    height, width = probe.labels.shape
    try:
        cut = probe.separator.cut(beside(probe.labels, probe.radius))[:height, :width]
        near = score(probe.labels, np.ascontiguousarray(cut)).aji
    except UserError:
        near = 0.0
    words = (f"AJI {probe.exact.aji:.2f} on exact maps, {by[worst]:.2f} if HV is {worst:g} times as "
             f"long, {near:.2f} beside larger and smaller nuclei.")
    plot = Plot("bars", "AJI by length of HV", (*map(str, by), "other nuclei beside"),
                (("AJI", (*by.values(), near)),), "HV times", "AJI", probe.exact.aji - DROP)
    if near < probe.exact.aji - DROP:
        yield fault(words, title="The cut depends on what else is in the tile", certainty=0.9,
                    plot=plot, decisive=True, remedy=Remedy(WHOLE, *ANEW), **common)  # fmt: skip
    elif by[worst] < probe.exact.aji - DROP:
        yield fault(words, title="The cut depends on the length of HV", certainty=0.9, plot=plot,
                    remedy=Remedy("Do not hold HV or its slope against a fixed threshold: scale it "
                                  f"by its size around, or {OURS}.", *ANEW), **common)  # fmt: skip
    else:
        yield from _hot_pixels(bench, probe, words, plot, common)


def _hot_pixels(bench: Bench, probe: Probe, words: str, plot: Plot, common: dict[str, Any]) -> Steps:
    views = (yield from view_steps(bench)) if "maps" in bench.case.has else ()
    most = [float(np.abs(v.hv).max(initial=0)) for v in views]
    usual = [float(np.quantile(np.abs(v.hv), 0.995)) for v in views]
    far = [k for k, (high, low) in enumerate(zip(most, usual, strict=True))
           if high > FAR_OUT * max(low, 0.2)]  # fmt: skip
    maps = exact_maps(probe.labels)
    hv = maps.hv.copy()
    hv[:, 0, 0] = max(most, default=0.0)
    hot = probe.of("hot", Maps(np=maps.np, hv=hv), probe.labels).aji if far else 1.0
    if hot >= probe.exact.aji - DROP:
        yield ok(words, plot=plot, **common)
        return
    yield fault(
        f"In {len(far)} of {len(views)} images single pixels of HV reach {max(most):.3g}, where 99.5 % "
        f"are below {max(usual):.2g}. One such pixel takes the AJI of exact maps to {hot:.2f}.",
        title="Single far-out pixels of HV rule the cut", certainty=0.9,
        remedy=Remedy("Clip HV to -1.5..1.5 before it is stretched by its minimum and maximum (and "
                      f"find what makes these outliers), or {OURS}.", *ANEW),
        places=tuple(views[k].place() for k in far[:5]), **common,
    )  # fmt: skip


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
            yield fault(
                f"{_words(probe)}: exactly the connected components of the mask; {why}.",
                title="Touching nuclei are merged again after the cut",
                value=probe.exact.aji, threshold=BAD, unit="AJI", certainty=0.98,
                remedy=Remedy(f"Leave out the line that labels the union anew, or {OURS}.", *ANEW,
                              plain="Use the built-in separation: this one glues touching nuclei "
                              "together again."),
                layers=LOOK,
            )  # fmt: skip
            return
        yield ok(f"{_words(probe)}.", value=probe.exact.aji, threshold=BAD, unit="AJI")
        return
    if "instances" not in there or not {"labels", "maps"} & there:
        yield skip("give a separation, or instances and true labels")
        return
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
        remedy=Remedy(f"Do not label the mask anew after the cut: {OURS}."),
    )  # fmt: skip


PIECES, MISSED = 1.5, 0.25
"""Instances for each nucleus that stands alone, and share of these that is lost (healthy: 1, 0)."""


@check("separation.seeds", "Seeds in the centres", needs=("separation",), explains=EXPLAINED,
       after=("separation.oracle", "separation.reading"))  # fmt: skip
def seeds_in_the_centres(bench: Bench) -> Steps:
    """Rim peaks, a seed in every dip, seeds that are eroded away."""
    probe = yield from probe_steps(bench)
    alone = probe.alone
    words = (f"{_words(probe)}. Of {alone.n} nuclei that stand alone {alone.missed} are lost and "
             f"{alone.split} come out in pieces ({alone.found} instances).")
    common: dict[str, Any] = {"layers": (*LOOK, "magnitude"), "unit": "instances",
                              "value": alone.found / max(alone.n, 1), "threshold": PIECES}
    if probe.on_rims:
        yield fault(f"{words} With HV long in the centre it works.",
                    title="Seeds are peaks of |HV|, which lie on the rims", certainty=0.97,
                    remedy=Remedy(f"Take for seeds the centres, where |HV| is 0 (or low energy): "
                                  f"{OURS}.", *ANEW), **common)  # fmt: skip
    elif probe.separator.params is not None:
        yield ok(words, **common)
    elif alone.found >= PIECES * alone.n and alone.missed < alone.n:
        yield fault(words, title="Nuclei break up: there are too many seeds (markers)",
                    certainty=0.93, remedy=Remedy(
                        "Give the watershed one marker for each nucleus, not every local minimum "
                        f"of the energy: {OURS}.", *ANEW), **common)  # fmt: skip
    elif MISSED * alone.n <= alone.missed < alone.n and probe.soft.few > MISSED * probe.soft.n:
        yield fault(words, title="Nuclei are lost: they get no seed (marker)", certainty=0.85,
                    remedy=Remedy("Erode or open the markers less, by less than the radius of the "
                                  f"smallest nucleus: {OURS}.", *ANEW), **common)  # fmt: skip
    else:
        yield ok(words, **common)


# --- tuning ----------------------------------------------------------------------------

TUNED, TUNED_SCENE, COSTS = 0.06, 0.05, 0.03
"""AJI that another value wins here, or on generated nuclei, and that it may cost on the other."""
SURE = 0.1
"""AJI won here from which on a value that is not the preset's is a fault."""
ALTERNATIVES: Mapping[str, tuple[Any, ...]] = {"np_threshold": (0.3, 0.6), "depth": (0.08, 0.3)}
"""Tried of parameters that are as the preset has them; they suit maps that are worse than ours."""
KINDS = {"np_threshold": "The NP threshold does not fit", "min_mean_np": "The least mean NP does not fit",
         "min_area": "The smallest area does not fit (pixels, not square micrometres)"}  # fmt: skip
LEAST_NUCLEI = 30


@check("separation.tuning", "Parameters of the separation", needs=("separation",),
       explains=("model.score",), after=("separation.oracle", "separation.reading"))  # fmt: skip
def parameters_of_the_separation(bench: Bench) -> Steps:
    """Threshold, smallest area, over- and under-segmentation."""
    probe = yield from probe_steps(bench)
    params = probe.separator.params
    if probe.merges or probe.on_rims or probe.way is not None:
        yield skip("another fault of the separation has to be mended first")
        return
    if params is None or params.method not in ("local", "hover_net"):
        yield from _of_a_function(probe)
        return
    views = (yield from view_steps(bench)) if "maps" in bench.case.has else ()
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
    words = f"AJI {base_scene:.2f} on generated nuclei" + (
        "" if few or not pairs else f", {base_here:.2f} here") + " as it is"
    if not helps:
        yield ok(f"{words}; no other value does clearly better.", value=base_scene, unit="AJI")
        return
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
        layers=LOOK,
    )  # fmt: skip


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
                   if n not in names and not (n == "depth" and params.method != "local")]


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
             f"{many} split or spurious (AJI {mine:.2f}, ours {ours:.2f})")
    labels = singles(probe.radius)
    sharp, found_at = exact_maps(labels), 1.0
    for level in np.arange(0.05, 1, 0.05):
        maps = Maps(np=sharp.np * np.float32(level), hv=sharp.hv)
        if probe.of(f"NP {level:.2f}", maps, labels).few < labels.max() / 2:
            found_at = float(level)
            break
    common: dict[str, Any] = {"value": max(few, many) / n, "threshold": SHARE, "unit": "share",
                              "layers": LOOK}
    if found_at < 1 and not LOW <= found_at <= HIGH:
        yield fault(f"{words}. A nucleus is found from an NP of {found_at:.2f} on.",
                    title="The NP threshold does not fit", certainty=0.88,
                    remedy=Remedy(f"Threshold NP at about 0.5, or {OURS}.", *ANEW), **common)
    elif ours - mine >= LOST and max(few, many) >= SHARE * n:
        over = many > few
        yield fault(f"{words}.", title="Nuclei are broken up" if over else "Nuclei are merged or lost",
                    certainty=0.8, remedy=Remedy(
                        f"Make it less ready to {'cut' if over else 'merge'} or drop (seeds, "
                        f"markers, thresholds), or {OURS}.", *ANEW), **common)  # fmt: skip
    else:
        yield ok(f"{words}; a nucleus is found from an NP of {found_at:.2f} on.", **common)
