"""Generated nuclei that touch, and what a separation makes of them.

Maps of a perfect network prove a separation wrong without any data: our presets come out with an
AJI of 0.94 to 1, connected components with 0.29.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import numpy as np

from ...errors import UserError
from ..hv import compact_ids, hv_targets
from ..masks import label_parts
from ..measure.metrics import evaluate
from ..synthetic import HV_GRAIN, HV_NOISE, blurred, planted_maps, smooth_noise
from ..types import Float32, Int32, Maps, Progress
from .bench import Bench
from .case import Separator
from .reading import READINGS

T = TypeVar("T")

GROUPS = (2,) * 2 + (3,) * 8 + (4,) * 8
"""Nuclei per cluster: 60 in all; the AJI of the clusters is 60 / sum of squares = 0.29."""
LAYOUTS = {2: ((0, -1), (0, 1)), 3: ((-0.87, -1), (-0.87, 1), (0.87, 0)),
           4: ((-1, -1), (-1, 1), (1, -1), (1, 1))}  # fmt: skip
"""Centres of the nuclei of a cluster, rows and columns in radii."""
OVERLAP, PITCH, COLUMNS = 0.95, 6.9, 5
"""Distance of two centres by that of touching discs; of clusters, in radii; clusters in a row."""
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


def singles_block() -> Int32:
    """One nucleus of 12 px in the middle of 18 x 18."""
    y, x = np.ogrid[-8.5:9, -8.5:9]
    return np.asarray(x * x + y * y <= 36, np.int32)


def draw(labels: Int32, number: int, centre: tuple[float, float], radius: float) -> None:
    """Draw a disc where nothing is yet."""
    y, x = np.ogrid[: labels.shape[0], : labels.shape[1]]
    labels[((y - centre[0]) ** 2 + (x - centre[1]) ** 2 <= radius**2) & (labels == 0)] = number


def exact_maps(labels: Int32) -> Maps:
    """Make maps of a perfect network."""
    return Maps(np=(labels > 0).astype(np.float32), hv=hv_targets(labels))


def soft_maps(labels: Int32, seed: int = 0) -> Maps:
    """Make maps of a good network: outlines and jumps are rounded, and there is some noise."""
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
    """A separation, and what it made of generated nuclei; scenes are cut when asked for."""

    separator: Separator
    radius: float
    error: str = ""  # Why it failed on touching nuclei
    kept: dict[str, Any] = field(default_factory=dict)

    def once(self, name: str, make: Callable[[], T]) -> T:
        """Return what is made when first asked for."""
        if name not in self.kept:
            self.kept[name] = make()
        kept: T = self.kept[name]
        return kept

    def of(self, name: str, maps: Callable[[], Maps], labels: Int32) -> Score:
        """Score the cut of a scene; what fails has found nothing."""

        def make() -> Score:
            try:
                return score(labels, self.separator.cut(maps()))
            except UserError:
                return Score(n=int(labels.max()), few=int(labels.max()))

        return self.once(name, make)

    @property
    def labels(self) -> Int32:
        """Touching nuclei."""
        return self.once("labels", lambda: clusters(self.radius))

    @property
    def maps(self) -> Maps:
        """Exact maps of them."""
        return self.once("maps", lambda: exact_maps(self.labels))

    @property
    def exact(self) -> Score:
        """Touching nuclei, exact maps."""
        return self.of("exact", lambda: self.maps, self.labels)

    @property
    def soft(self) -> Score:
        """Touching nuclei, maps of a good network."""
        return self.of("soft", lambda: soft_maps(self.labels), self.labels)

    @property
    def alone(self) -> Score:
        """Nuclei that stand alone, maps of a good network."""
        labels = singles(self.radius)
        return self.of("alone", lambda: soft_maps(labels), labels)

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
        maps, inner = self.maps, np.s_[r : -2 * r, c : -2 * c]
        first = self.separator.cut(maps)[r:, c:][inner]
        later = self.separator.cut(Maps(np=maps.np[r:, c:], hv=maps.hv[:, r:, c:]))[inner]
        return evaluate(compact_ids(first)[0], compact_ids(later)[0]).aji if first.any() else 1.0

    @property
    def way(self) -> Any:
        """The reading of HV in which it works; None if it works as it should, or in none."""
        maps = self.maps
        tried = {r: self.of(r.words, partial(lambda r: Maps(np=maps.np, hv=r.written(maps.hv)), r),
                            self.labels) for r in READINGS[1:]} if self.bad else {}  # fmt: skip
        best = max(tried, key=lambda r: tried[r].aji, default=None)
        return best if best is not None and self.cured(tried[best]) else None

    @property
    def on_rims(self) -> bool:
        """Whether it works once HV is long in the centre."""
        return (self.bad and self.way is None and self.cured(self.of("inside out",
            lambda: inside_out(self.maps), self.labels)))  # fmt: skip

    @property
    def merges(self) -> bool:
        """Whether all that touches is one, whatever HV says."""
        params = self.separator.params
        if not self.bad or self.way is not None or self.on_rims:
            return False
        if params is not None and not params.merge_touching:
            return False  # ours: parameters that merge are for separation.tuning
        cut = self.separator.cut(self.maps)
        alike = as_components(cut) >= SAME and self.exact.found <= FEWER * self.exact.n
        return alike and not self.cuts_larger

    @property
    def cuts_larger(self) -> bool:
        """Whether nuclei of three times the size are cut apart."""
        cell = 2 * round(PITCH * self.radius)
        labels = np.kron(self.labels[:cell, :cell], np.ones((3, 3), np.int32))
        labels = compact_ids(labels)[0]
        large = self.of("larger", lambda: exact_maps(labels), labels)
        return large.found > FEWER * large.n

    @property
    def crowd(self) -> Score:
        """As many small nuclei as 8 bits cannot count."""
        labels = np.kron(np.arange(1, 401, dtype=np.int32).reshape(20, 20), singles_block())
        return self.of("crowd", lambda: exact_maps(labels), labels)


BEGINS = (17, 45)
"""Rows and columns by which the same nuclei lie elsewhere in the tile."""
GOOD, BAD, GAP = 0.8, 0.65, 0.25
"""AJI on exact maps from which on it works, below which it does not, and the least between."""
FEWER = 0.7
"""Instances for each nucleus above which these were not merged, but are small, or lost."""
SAME = 0.98
"""AJI to the connected components of their own union from which on instances are just these."""


def as_components(labels: Int32) -> float:
    """AJI of instances to the connected components of their union."""
    return evaluate(label_parts(labels > 0)[0], labels).aji if labels.any() else 0.0


def probe_steps(bench: Bench) -> Generator[Progress, None, Probe]:
    """Cut generated nuclei that are as large as the case's own."""
    yield Progress(0, 1, "generated nuclei")

    def make() -> Probe:
        areas = [np.bincount(compact_ids(item.labels)[0].ravel())[1:] for i in bench.variant_indices
                 if (item := bench.item(i)) is not None and item.labels is not None]  # fmt: skip
        known = np.concatenate([a[a > 0] for a in areas]) if areas else np.zeros(0)
        radius = float(np.sqrt(np.median(known) / np.pi)) if known.size else 12.0
        probe = Probe(bench.separator, min(max(radius, RADIUS[0]), RADIUS[1]))
        try:
            probe.separator.cut(probe.maps)
        except UserError as error:
            probe.error = str(error)
        return probe

    return bench.once("probe", make)


def in_words(probe: Probe) -> str:
    """Say how touching nuclei come out of exact maps."""
    s = probe.exact
    return (f"60 touching generated nuclei with exact maps come out as {s.found} instances, AJI "
            f"{s.aji:.2f} (healthy: above 0.9, connected components: 0.29)")  # fmt: skip
