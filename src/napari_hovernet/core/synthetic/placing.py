"""Which nuclei there are, of what shape, and which of them touch."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from ..types import Bool, Float32, Int32
from .layout import SOLID, Layout
from .params import TissueParams

NEOPLASTIC, INFLAMMATORY, CONNECTIVE, EPITHELIAL = 1, 2, 3, 5
"""Type numbers, as in PanNuke."""
TRIES = 14
"""Candidates looked at per nucleus wished for."""
GAP = 1
"""Pixels kept free round a nucleus that shall not touch."""
SIBLING_REACH = (0.80, 1.0)
"""Distance of two touching centres in units of the sum of their radii."""
MIN_PIXELS = 12
"""Smaller nuclei, cut off by the image border, are left out."""
HARMONICS = 4
"""Harmonics 2, 3 ... that bend an outline."""
BASAL = 0.6
"""Nuclei of a lumen's epithelium lie in this lower share of its height."""


@dataclass(frozen=True)
class Kind:
    """How nuclei of one type vary: mean and spread, micrometres and radians.

    ``radius`` is that of the circle of equal area, ``aspect`` long by short axis;
    ``sociable`` times the wished share of nuclei touch another.
    """

    type: int
    radius: tuple[float, float]
    aspect: tuple[float, float]
    waves: float
    turn: float
    sociable: float


KINDS = {
    NEOPLASTIC: Kind(NEOPLASTIC, (3.9, 0.55), (1.28, 0.16), 0.035, 3.1, 1.1),
    EPITHELIAL: Kind(EPITHELIAL, (3.3, 0.28), (1.38, 0.14), 0.022, 0.35, 1.1),
    CONNECTIVE: Kind(CONNECTIVE, (2.5, 0.35), (3.6, 0.9), 0.05, 0.2, 0.5),
    INFLAMMATORY: Kind(INFLAMMATORY, (2.6, 0.2), (1.1, 0.07), 0.02, 3.1, 1.1),
}
"""Shapes by type."""


@dataclass(frozen=True, eq=False)
class Nucleus:
    """One nucleus: lengths in pixels, angles in radians.

    ``waves`` (HARMONICS, 2): cosine and sine amplitude of the outline's harmonics from 2
    on, in units of the radius.
    """

    type: int
    row: float
    column: float
    long: float
    short: float
    angle: float
    waves: npt.NDArray[np.float64]
    seed: int

    @property
    def radius(self) -> float:
        """Radius of the circle of equal area."""
        return float(np.sqrt(self.long * self.short))

    def patch(self, shape: tuple[int, int]) -> tuple[slice, slice, Float32]:
        """Rows, columns, and how far each pixel lies out: 0 in the centre, 1 on the outline."""
        reach = self.long * (1.1 + 2 * float(np.abs(self.waves).sum())) + 3
        r0, r1 = max(int(self.row - reach), 0), min(int(self.row + reach) + 2, shape[0])
        c0, c1 = max(int(self.column - reach), 0), min(int(self.column + reach) + 2, shape[1])
        y = np.arange(r0, r1, dtype=np.float32)[:, None] - np.float32(self.row)
        x = np.arange(c0, c1, dtype=np.float32)[None] - np.float32(self.column)
        cosine, sine = np.float32(np.cos(self.angle)), np.float32(np.sin(self.angle))
        u = (x * cosine + y * sine) / np.float32(self.long)
        v = (y * cosine - x * sine) / np.float32(self.short)
        out = np.sqrt(u * u + v * v) + np.float32(1e-6)
        z = (u + 1j * v) / out
        power, bend = z * z, np.ones_like(out)
        for cos_k, sin_k in self.waves:
            bend += np.float32(cos_k) * power.real + np.float32(sin_k) * power.imag
            power = power * z
        return slice(r0, r1), slice(c0, c1), (out / bend).astype(np.float32)


@dataclass(eq=False)
class Crowd:
    """Nuclei placed so far; grows while a tissue is made."""

    layout: Layout
    params: TissueParams
    rng: np.random.Generator
    labels: Int32 = field(init=False)
    nuclei: list[Nucleus] = field(default_factory=list)
    touching: list[bool] = field(default_factory=list)
    areas: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.labels = np.zeros(self.layout.depth.shape, np.int32)

    def fill(self, kind: Kind, zone: Bool, wished: float) -> None:
        """Place about ``wished`` nuclei with their centres in ``zone``."""
        places = np.flatnonzero(zone)
        first, touching = len(self.nuclei), 0
        if not len(places):
            return
        for _ in range(int(TRIES * wished)):
            placed = len(self.nuclei) - first
            if placed >= wished:
                return
            join = placed > 0 and touching < self.params.touching * kind.sociable * placed
            spot = divmod(int(places[self.rng.integers(len(places))]), zone.shape[1])
            new: Nucleus | None = self._nucleus(kind, *spot)
            if join and new:
                parent = self.nuclei[first + int(self.rng.integers(placed))]
                new = self._beside(kind, parent, new, zone)
            if new and self._place(new, join):
                touching = sum(self.touching[first:]) if join else touching

    def _nucleus(self, kind: Kind, row: float, column: float) -> Nucleus:
        rng, mpp = self.rng, self.params.mpp
        radius = max(rng.normal(*kind.radius), 0.6 * kind.radius[0]) / mpp
        aspect = max(rng.normal(*kind.aspect), 1.02)
        turn = rng.normal(0, kind.turn) if kind.turn < 1 else rng.uniform(0, np.pi)
        falling = kind.waves / np.sqrt(np.arange(1, HARMONICS + 1))[:, None]
        return Nucleus(
            type=kind.type,
            row=row + rng.uniform(-0.5, 0.5),
            column=column + rng.uniform(-0.5, 0.5),
            long=radius * np.sqrt(aspect),
            short=radius / np.sqrt(aspect),
            angle=turn + self._grain(kind, int(row), int(column)),
            waves=rng.normal(0, 1, (HARMONICS, 2)) * falling,
            seed=int(rng.integers(2**31)),
        )

    def _grain(self, kind: Kind, row: int, column: int) -> float:
        """Angle along which nuclei of this kind lie here."""
        if kind.type == CONNECTIVE:
            return self.layout.direction(self.layout.fibre, row, column) + np.pi / 2
        return self.layout.direction(self.layout.depth, row, column)

    def _beside(self, kind: Kind, parent: Nucleus, new: Nucleus, zone: Bool) -> Nucleus | None:
        """Make one like ``new`` that touches ``parent``, None if it would leave the zone."""
        way = self.rng.uniform(0, 2 * np.pi)
        reach = self.rng.uniform(*SIBLING_REACH) * (_towards(parent, way) + _towards(new, way))
        row, column = parent.row + reach * np.sin(way), parent.column + reach * np.cos(way)
        height, width = zone.shape
        inside = 0 <= row < height and 0 <= column < width
        if not inside or not zone[int(row), int(column)]:
            return None
        return self._nucleus(kind, int(row), int(column))

    def _place(self, new: Nucleus, join: bool) -> bool:
        """Add a nucleus if it fits: touching another if it shall, free of all if not."""
        rows, columns, out = new.patch(self.labels.shape)
        inside = out < 1
        area = int(inside.sum())
        if area < MIN_PIXELS:
            return False
        under = self.labels[rows, columns]
        near = under[_grown(inside)]
        neighbours = np.unique(near[near > 0])
        if bool(len(neighbours)) != join:
            return False
        if join:
            covered = under[inside]
            for label in neighbours.tolist():
                overlap = int((covered == label).sum())
                if overlap > self.params.max_overlap * min(area, self.areas[label - 1]):
                    return False
        self.nuclei.append(new)
        self.areas.append(area)
        self.touching.append(join)
        for label in neighbours.tolist():
            self.touching[label - 1] = True
        under[inside] = len(self.nuclei)
        return True


def place_nuclei(layout: Layout, params: TissueParams, rng: np.random.Generator) -> Crowd:
    """Place epithelial nuclei in glands, lymphocytes and spindle nuclei in the stroma."""
    crowd = Crowd(layout, params, rng)
    area = (params.mpp / 1000) ** 2
    inner = layout.depth > 3.0
    regular = inner & ~layout.nest & (layout.depth < np.maximum(BASAL * layout.height, 6.5))
    regular &= layout.height < SOLID / 2
    crowd.fill(KINDS[EPITHELIAL], regular, params.density * 1.35 * area * regular.sum())
    nest = layout.nest & (layout.depth > 3.5)
    crowd.fill(KINDS[NEOPLASTIC], nest, params.density * 0.95 * area * nest.sum())
    stroma = layout.depth < -3.0
    inflamed = stroma & (layout.inflamed > 0.9)
    wished = params.lymphocyte_density * area * inflamed.sum()
    crowd.fill(KINDS[INFLAMMATORY], inflamed, wished)
    crowd.fill(KINDS[CONNECTIVE], stroma, params.stroma_density * area * stroma.sum())
    return crowd


def _towards(nucleus: Nucleus, way: float) -> float:
    """Half width of a nucleus' ellipse in a direction."""
    turned = way - nucleus.angle
    return float(1 / np.hypot(np.cos(turned) / nucleus.long, np.sin(turned) / nucleus.short))


def _grown(mask: Bool) -> Bool:
    """Grow a mask by one pixel to the four sides."""
    grown = mask.copy()
    grown[GAP:] |= mask[:-GAP]
    grown[:-GAP] |= mask[GAP:]
    grown[:, GAP:] |= mask[:, :-GAP]
    grown[:, :-GAP] |= mask[:, GAP:]
    return grown
