"""Generated H&E-like tissue whose every nucleus is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from ..errors import InputError
from .hv import compact_ids, hv_targets
from .types import PANNUKE, Bool, Float32, Float64, Int32, Maps, TypeInfo, UInt8

Random = np.random.Generator
Span = tuple[float, float]


@dataclass(frozen=True)
class TissueParams:
    """Numbers behind a generated tissue."""

    mpp: float = 0.25  # Micrometres per pixel
    density: float = 12_000.0  # Nuclei wished for per mm² of epithelium, then of stroma
    stroma_density: float = 2400.0
    lymphocyte_density: float = 11_000.0  # The same where inflammation is
    touching: float = 0.4  # Share of nuclei that touch another, wished for
    max_overlap: float = 0.15  # Largest share of a nucleus that another may cover
    gland_spacing: float = 88.0  # Mean distance of the glands' centres, um
    lumen_share: float = 0.5  # Share of glands with a lumen (regular epithelium)
    hematoxylin: float = 1.0  # Strengths of the stains
    eosin: float = 1.0
    blur: float = 0.16  # Sigma of the optics, um
    noise: float = 1.6  # Standard deviation of the sensor, grey levels


FINE_SIGMA = 2.0  # Fields smoother than this (px) are drawn on a coarser grid and enlarged
TABLE_STEPS = 4096  # Length of a one-dimensional random profile before it repeats


def smooth_noise(rng: Random, shape: tuple[int, int], sigma: float) -> Float32:
    """Draw Gaussian noise (H, W) of mean about 0 and deviation about 1, smooth over ``sigma``."""
    step = max(int(sigma / FINE_SIGMA), 1)
    fine = sigma / step
    margin = int(3 * fine) + 2
    rows, columns = (-(-n // step) + 2 * margin for n in shape)
    noise = blurred(rng.standard_normal((rows, columns), dtype=np.float32), fine)
    noise *= np.float32(2 * np.sqrt(np.pi) * fine)
    inner = noise[margin - 1 : rows - margin + 1, margin - 1 : columns - margin + 1]
    if step > 1:
        inner = resized(inner, (inner.shape[0] * step, inner.shape[1] * step))
    return np.ascontiguousarray(inner[step : step + shape[0], step : step + shape[1]])


def blurred(field: Float32, sigma: float) -> Float32:
    """Blur a float32 field with a Gaussian of ``sigma`` pixels."""
    return np.asarray(cv2.GaussianBlur(field, (0, 0), sigma), dtype=np.float32)


def resized(field: Float32, shape: tuple[int, int]) -> Float32:
    """Enlarge or reduce a float32 (H, W) or (H, W, C) field, cubic."""
    return np.asarray(cv2.resize(field, shape[::-1], interpolation=cv2.INTER_CUBIC), np.float32)


def profile(rng: Random, at: Float32, width: float) -> Float32:
    """Draw stripes of half width ``width`` along the levels of ``at``."""
    table = rng.standard_normal(TABLE_STEPS).astype(np.float32)
    place = at * np.float32(1.0 / width)
    whole = np.floor(place)
    share = place - whole
    share = share * share * (3 - 2 * share)
    index = whole.astype(np.int32) & (TABLE_STEPS - 1)
    low, high = table[index], table[(index + 1) & (TABLE_STEPS - 1)]
    return np.asarray((low + (high - low) * share) * np.float32(1.25), np.float32)


def step_up(value: Float32, softness: float) -> Float32:
    """Rise smoothly from 0 to 1 around ``value`` = 0, within about ``softness`` either side."""
    bent = np.clip(value * np.float32(0.5 / softness) + np.float32(0.5), 0, 1)
    return np.asarray(bent * bent * (3 - 2 * bent), dtype=np.float32)


def _peak(value: Float32, scale: float) -> Float32:
    """Bell curve of ``value`` times ``scale``."""
    return np.asarray(np.exp(-np.square(value * np.float32(scale))))


EDGE = 1.0  # Sigma (px) by which a network blurs the outline of a nucleus
STEEPNESS = 9.0  # Logit of NP far inside a nucleus is half of this
NP_NOISE, HV_NOISE, TYPE_NOISE = 9.0, 0.8, 4.0  # What noise = 1 adds to logits and HV
GRAIN, HV_GRAIN = 2.5, 5.0  # Sigma of the noise (px); that of HV is smoother, as networks have it
TYPE_LOGIT = 3.0  # How far the true type's logit lies above the others'
MAX_HV = 1.2  # Network outputs overshoot; beyond this they are cut


def planted_maps(
    labels: npt.ArrayLike, seed: int = 0, noise: float = 0.15, types: npt.ArrayLike | None = None
) -> Maps:
    """Make noisy but good maps from known nuclei (H, W), for tests, benchmarks and demos."""
    if not 0 <= noise < np.inf:
        raise InputError(f"noise is {noise}; give 0 or more (0.15 = a good network).")
    ids, largest = compact_ids(labels)
    rng = np.random.default_rng(seed)
    table = None if types is None else np.concatenate(([0], np.asarray(types, np.int32)))
    if table is not None and table.shape != (largest + 1,):
        raise InputError(f"There are {len(table) - 1} types for {largest} nuclei; give one each.")
    if not ids.size:
        channels = None if table is None else np.zeros((len(PANNUKE), *ids.shape), np.float32)
        return Maps(ids.astype(np.float32), np.zeros((2, *ids.shape), np.float32), channels)
    soft = blurred((ids > 0).astype(np.float32), EDGE)
    logit = STEEPNESS * (soft - 0.5) + NP_NOISE * noise * smooth_noise(rng, ids.shape, GRAIN)
    hv = hv_targets(ids)
    for axis in range(2):
        hv[axis] += np.float32(HV_NOISE * noise) * smooth_noise(rng, ids.shape, HV_GRAIN)
        hv[axis] *= soft
    np.clip(hv, -MAX_HV, MAX_HV, out=hv)
    chances = None
    if table is not None:
        kind = table[ids]
        chances = np.empty((len(PANNUKE), *ids.shape), np.float32)
        for number in range(len(PANNUKE)):
            chances[number] = TYPE_NOISE * noise * smooth_noise(rng, ids.shape, GRAIN)
            chances[number] += TYPE_LOGIT * (kind == number)
        np.exp(chances, out=chances)
        chances /= chances.sum(axis=0)
    return Maps(np=np.asarray(1 / (1 + np.exp(-logit)), np.float32), hv=hv, types=chances)


# Lengths of the tissue are in micrometres from here on.
GLAND_RADIUS, GLAND_ASPECT = (0.30, 0.50), (1.0, 1.7)  # Radius in units of the spacing
GLAND_WAVES = (0.0, 0.10, 0.07, 0.05, 0.03)  # Deviation of the harmonics 1, 2 ..., in radii
EPITHELIUM = (12.0, 18.0)  # Height of the epithelium round a lumen
SOLID = 1e6  # Height of the epithelium of a nest without lumen: deeper than any nest
CENTRE_JITTER = 0.16
SEPTUM = 7.0  # Least stroma between two glands
MAX_EDGE_WAVE = 1.5  # Standard deviation of the lumen's border
BEND, BEND_SIZE = 7.0, 11.0  # How far fibres leave the gland's outline, and over which length
FIBRE_SLOPE = 0.5  # Least change of the fibre coordinate far from glands


@dataclass(frozen=True, eq=False)
class Layout:
    """The architecture of a piece of tissue, all (H, W)."""

    depth: Float32  # Distance to the glands' outline, positive inside
    height: Float32  # Of the epithelium
    nest: Bool  # Inside a gland without lumen
    fibre: Float32  # Coordinate across the fibres: they run along its levels
    inflamed: Float32  # Random field


def _direction(field: Float32, row: int, column: int) -> float:
    """Angle in radians, x to y, in which ``field`` rises at a pixel."""
    height, width = field.shape
    r0, r1 = max(row - 2, 0), min(row + 2, height - 1)
    c0, c1 = max(column - 2, 0), min(column + 2, width - 1)
    return float(np.arctan2(field[r1, column] - field[r0, column], field[row, c1] - field[row, c0]))


def lay_out(shape: tuple[int, int], params: TissueParams, rng: Random) -> Layout:
    """Draw the architecture of a piece of tissue of ``shape`` pixels."""
    glands, heights = _glands(shape, params, rng)
    inside = (glands > 0).astype(np.uint8)
    depth = _distance(inside) - _distance(1 - inside)
    depth *= np.float32(params.mpp)
    slope = rng.normal(0, FIBRE_SLOPE, 2) * params.mpp
    plane = slope[0] * np.arange(shape[0])[:, None] + slope[1] * np.arange(shape[1])[None]
    bend = BEND * smooth_noise(rng, shape, BEND_SIZE / params.mpp)
    bend += 2 * BEND * smooth_noise(rng, shape, 3 * BEND_SIZE / params.mpp)
    wave = MAX_EDGE_WAVE * smooth_noise(rng, shape, 3.0 / params.mpp)
    height = heights[glands]
    nest = (height >= SOLID) & (glands > 0)
    fibre = (0.7 * blurred(depth, 2.0 / params.mpp) + bend + plane).astype(np.float32)
    inflamed = smooth_noise(rng, shape, 14.0 / params.mpp)
    return Layout(depth, (height + wave).astype(np.float32), nest, fibre, inflamed)


def _distance(mask: UInt8) -> Float32:
    if mask.all():
        return np.full(mask.shape, max(mask.shape), np.float32)
    return np.asarray(cv2.distanceTransform(mask, cv2.DIST_L2, 5), dtype=np.float32)


def _glands(shape: tuple[int, int], params: TissueParams, rng: Random) -> tuple[Int32, Float32]:
    """Draw gland numbers per pixel, 0 = stroma, and the height of each gland's epithelium."""
    spacing = params.gland_spacing / params.mpp
    glands = np.zeros(shape, np.int32)
    heights = [SOLID]
    start = rng.uniform(-1, 0, 2) * spacing
    for row in np.arange(start[0], shape[0] + spacing, spacing):
        for column in np.arange(start[1], shape[1] + spacing, spacing):
            centre = np.array([row, column]) + rng.normal(0, CENTRE_JITTER, 2) * spacing
            lumen = rng.random() < params.lumen_share
            heights.append(float(rng.uniform(*EPITHELIUM)) if lumen else SOLID)
            outline = _outline(centre, spacing * rng.uniform(*GLAND_RADIUS), rng)
            _draw_apart(glands, outline, len(heights) - 1, round(SEPTUM / params.mpp))
    return glands, np.array(heights, np.float32)


def _draw_apart(glands: Int32, outline: Int32, number: int, gap: int) -> None:
    """Draw a gland where it keeps ``gap`` pixels from those drawn before."""
    c0, r0 = np.maximum(outline.min(axis=0) - gap - 1, 0)
    c1, r1 = np.maximum(outline.max(axis=0) + gap + 2, 0)
    part = glands[r0:r1, c0:c1]
    if not part.size:
        return
    drawn = np.zeros(part.shape, np.uint8)
    cv2.fillPoly(drawn, [outline - np.array([c0, r0], np.int32)], 1)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * gap + 1, 2 * gap + 1))
    taken = cv2.dilate((part > 0).astype(np.uint8), disc)
    drawn[taken > 0] = 0
    part[(blurred(drawn.astype(np.float32), gap) > 0.5) & (taken == 0)] = number


def _outline(centre: Float64, radius: float, rng: Random) -> Int32:
    angle = np.linspace(0, 2 * np.pi, 180, endpoint=False)
    reach = np.ones_like(angle)
    for k, amplitude in enumerate(GLAND_WAVES, start=1):
        reach += rng.normal(0, amplitude) * np.cos(k * angle + rng.uniform(0, 2 * np.pi))
    aspect = np.sqrt(rng.uniform(*GLAND_ASPECT))
    x, y = radius * reach * np.cos(angle) * aspect, radius * reach * np.sin(angle) / aspect
    turn = rng.uniform(0, np.pi)
    columns = centre[1] + x * np.cos(turn) - y * np.sin(turn)
    rows = centre[0] + x * np.sin(turn) + y * np.cos(turn)
    return np.stack((columns, rows), axis=1).round().astype(np.int32)


NEOPLASTIC, INFLAMMATORY, CONNECTIVE, EPITHELIAL = 1, 2, 3, 5  # As in PanNuke
TRIES = 14  # Candidates looked at per nucleus wished for
SIBLING_REACH = (0.80, 1.0)  # Distance of two touching centres in units of the sum of their radii
MIN_PIXELS = 12  # Smaller nuclei, cut off by the image border, are left out
HARMONICS = 4  # Harmonics 2, 3 ... that bend an outline
BASAL = 0.6  # Nuclei of a lumen's epithelium lie in this lower share of its height
RIM_WIDTH = 0.38  # Half width of the nuclear membrane
NUCLEOLUS = (0.55, 0.85)  # Radius of a nucleolus


@dataclass(frozen=True)
class Kind:
    """How nuclei of one type vary (mean and spread) and stain (in units of hematoxylin)."""

    type: int
    radius: Span  # Of the circle of equal area
    aspect: Span  # Long by short axis
    waves: float
    turn: float  # Radians
    sociable: float  # This times the wished share of nuclei touch another
    body: float  # Stain inside
    rim: float  # What the membrane adds
    clumps: float  # Spread of the chromatin
    nucleoli: float  # Their mean number
    spread: float  # From nucleus to nucleus, as a share


KINDS = {kind.type: kind for kind in (
    Kind(NEOPLASTIC, (3.9, 0.55), (1.28, 0.16), 0.035, 3.1, 1.1, 0.66, 0.62, 0.27, 1.4, 0.22),
    Kind(EPITHELIAL, (3.3, 0.28), (1.38, 0.14), 0.022, 0.35, 1.1, 0.86, 0.48, 0.27, 0.5, 0.18),
    Kind(CONNECTIVE, (2.5, 0.35), (3.6, 0.9), 0.05, 0.2, 0.5, 1.25, 0.22, 0.20, 0.0, 0.22),
    Kind(INFLAMMATORY, (2.6, 0.2), (1.1, 0.07), 0.02, 3.1, 1.1, 1.5, 0.35, 0.5, 0.0, 0.12),
)}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Nucleus:
    """One nucleus: lengths in pixels, angles in radians."""

    type: int
    row: float
    column: float
    long: float
    short: float
    angle: float
    waves: Float64  # (HARMONICS, 2): cosine and sine of the outline's harmonics from 2 on, in radii
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

    def half_width(self, way: float) -> float:
        """Half width of the ellipse in a direction."""
        turned = way - self.angle
        return float(1 / np.hypot(np.cos(turned) / self.long, np.sin(turned) / self.short))


@dataclass(eq=False)
class Crowd:
    """Nuclei placed so far; grows while a tissue is made."""

    layout: Layout
    params: TissueParams
    rng: Random
    labels: Int32 = field(init=False)
    nuclei: list[Nucleus] = field(default_factory=list)
    touching: list[bool] = field(default_factory=list)
    areas: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.labels = np.zeros(self.layout.depth.shape, np.int32)

    def fill(self, kind: Kind, zone: Bool, density: float) -> None:
        """Place about ``density`` nuclei per mm² with their centres in ``zone``."""
        places = np.flatnonzero(zone)
        wished = density * (self.params.mpp / 1000) ** 2 * zone.sum()
        first, touching = len(self.nuclei), 0
        for _ in range(int(TRIES * wished) if len(places) else 0):
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
        if kind.type == CONNECTIVE:  # These lie along the fibres, others across the epithelium
            grain = _direction(self.layout.fibre, int(row), int(column)) + np.pi / 2
        else:
            grain = _direction(self.layout.depth, int(row), int(column))
        place = row + rng.uniform(-0.5, 0.5), column + rng.uniform(-0.5, 0.5)
        size = radius * np.sqrt(aspect), radius / np.sqrt(aspect)
        waves = rng.normal(0, 1, (HARMONICS, 2)) * falling
        seed = int(rng.integers(2**31))
        return Nucleus(kind.type, *place, *size, turn + grain, waves, seed)

    def _beside(self, kind: Kind, parent: Nucleus, new: Nucleus, zone: Bool) -> Nucleus | None:
        """Make one like ``new`` that touches ``parent``, None if it would leave the zone."""
        way = self.rng.uniform(0, 2 * np.pi)
        reach = self.rng.uniform(*SIBLING_REACH) * (parent.half_width(way) + new.half_width(way))
        row, column = parent.row + reach * np.sin(way), parent.column + reach * np.cos(way)
        inside = 0 <= row < zone.shape[0] and 0 <= column < zone.shape[1]
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
        cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
        near = under[cv2.dilate(inside.view(np.uint8), cross) > 0]
        neighbours = np.unique(near[near > 0]).tolist()
        if bool(neighbours) != join:
            return False
        for label in neighbours:
            overlap = int((under[inside] == label).sum())
            if overlap > self.params.max_overlap * min(area, self.areas[label - 1]):
                return False
        self.nuclei.append(new)
        self.areas.append(area)
        self.touching.append(join)
        for label in neighbours:
            self.touching[label - 1] = True
        under[inside] = len(self.nuclei)
        return True


def place_nuclei(layout: Layout, params: TissueParams, rng: Random) -> Crowd:
    """Place epithelial nuclei in glands, lymphocytes and spindle nuclei in the stroma."""
    crowd, depth = Crowd(layout, params, rng), layout.depth
    regular = (depth > 3.0) & ~layout.nest & (depth < np.maximum(BASAL * layout.height, 6.5))
    regular &= layout.height < SOLID / 2
    crowd.fill(KINDS[EPITHELIAL], regular, params.density * 1.35)
    crowd.fill(KINDS[NEOPLASTIC], layout.nest & (depth > 3.5), params.density * 0.95)
    stroma = depth < -3.0
    inflamed = stroma & (layout.inflamed > 0.9)
    crowd.fill(KINDS[INFLAMMATORY], inflamed, params.lymphocyte_density)
    crowd.fill(KINDS[CONNECTIVE], stroma, params.stroma_density)
    return crowd


# Optical density per unit of stain in red, green, blue
HEMATOXYLIN, EOSIN, ERYTHROCYTE = (0.62, 0.70, 0.34), (0.10, 0.83, 0.50), (0.12, 0.78, 0.78)
LAMP = (244.0, 242.0, 245.0)  # Grey levels of empty glass
CELL_GRID = 2  # Cell borders are drawn on a grid this much coarser
CELL_BORDER = 0.55  # Half width of a border between two cells


class Stains(NamedTuple):
    """Amount of each stain per pixel, float32 (H, W); filled in while a tissue is made."""

    hematoxylin: Float32
    eosin: Float32
    blood: Float32


def develop(stains: Stains, params: TissueParams, rng: Random) -> UInt8:
    """Turn amounts of stain into an RGB picture, blurred and noisy as from a scanner."""
    strengths = (params.hematoxylin, params.eosin, params.eosin)
    vectors = (HEMATOXYLIN, EOSIN, ERYTHROCYTE)
    amounts = [stain * np.float32(x) for stain, x in zip(stains, strengths, strict=True)]
    shape = stains.eosin.shape
    image = np.empty((*shape, 3), np.uint8)
    for channel in range(3):
        density = sum(a * np.float32(v[channel]) for a, v in zip(amounts, vectors, strict=True))
        light = np.float32(LAMP[channel]) * np.exp(-np.asarray(density, np.float32))
        if params.blur > 0:
            light = blurred(light, params.blur / params.mpp)
        light = light + np.float32(params.noise) * smooth_noise(rng, shape, 0.6)
        image[..., channel] = np.clip(light + np.float32(0.5), 0, 255)
    return image


def _ground(crowd: Crowd) -> Stains:
    """Stain everything but nuclei and blood."""
    layout, rng, per_um = crowd.layout, crowd.rng, 1 / crowd.params.mpp
    depth, shape = layout.depth, layout.depth.shape
    gland = step_up(depth, 0.7)
    cell, border = _cells(crowd)
    grain, cloud, broad = (smooth_noise(rng, shape, size * per_um) for size in (0.35, 1.3, 9.0))
    fibres, fibre_blue = _fibres(layout, per_um, rng)
    apical = step_up(depth - np.float32(0.55) * layout.height, 3.0)
    vacuoles = step_up(cloud - np.float32(1.5), 0.5)
    inside = 0.38 + 0.06 * cell + 0.07 * cloud + 0.06 * grain + 0.13 * border + 0.04 * broad
    inside -= 0.08 * apical
    inside -= 0.22 * vacuoles
    eosin = fibres + (inside - fibres) * gland
    blue = 0.17 + 0.05 * cell + 0.05 * cloud + 0.04 * grain - 0.1 * vacuoles - 0.08 * apical
    hematoxylin = fibre_blue + (blue - fibre_blue) * gland
    eosin += 0.09 * _peak(depth, 1 / 0.6)
    retraction = _peak(depth + np.float32(1.5), 1 / 0.9)
    retraction *= step_up(smooth_noise(rng, shape, 7 * per_um) - np.float32(0.5), 0.7)
    lumen = step_up(depth - np.minimum(layout.height, np.float32(SOLID)) + 0.5 * cloud, 0.8)
    empty = np.maximum(lumen, 0.8 * retraction)
    secretion = 0.05 + 0.04 * np.clip(broad + 0.5 * cloud, 0, 3)
    eosin = eosin * (1 - empty) + secretion * empty
    hematoxylin = hematoxylin * (1 - empty) + 0.02 * empty
    hematoxylin = np.maximum(hematoxylin, 0).astype(np.float32)
    return Stains(hematoxylin, np.maximum(eosin, 0.01).astype(np.float32), np.zeros_like(depth))


def _fibres(layout: Layout, per_um: float, rng: Random) -> tuple[Float32, Float32]:
    """Eosin and hematoxylin of collagen: wavy bundles of fibrils with clefts between."""

    def noise(size: float) -> Float32:
        return smooth_noise(rng, layout.depth.shape, size * per_um)

    across = layout.fibre + 0.9 * noise(2.5)
    bundles = profile(rng, across, 3.0) + 0.6 * noise(5)
    fibrils = profile(rng, across + 0.35 * noise(0.9), 0.7)
    crossing = layout.fibre + 3.5 * noise(6)
    threads = profile(rng, crossing, 1.1) * step_up(noise(4), 1.0)
    gaps = profile(rng, across, 2.2) + 0.9 * noise(7)
    clefts = step_up(gaps - np.float32(2.35), 0.6)
    there = step_up(noise(2.2) + np.float32(0.2), 0.9)
    broad, grain, mottle = noise(16), noise(0.4), noise(1.1)
    eosin = 0.56 + 0.07 * bundles + 0.10 * fibrils * there + 0.06 * threads + 0.05 * broad
    eosin += 0.04 * grain + 0.045 * mottle
    eosin *= 1 - 0.75 * clefts
    blue = (0.07 + 0.015 * bundles + 0.01 * fibrils) * (1 - 0.7 * clefts)
    return eosin.astype(np.float32), blue.astype(np.float32)


def _cells(crowd: Crowd) -> tuple[Float32, Float32]:
    """Random value of the cell each pixel belongs to, and borders between cells."""
    shape = crowd.labels.shape
    small = tuple(-(-n // CELL_GRID) for n in shape)
    if len(crowd.nuclei) < 2:
        return np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    centres = np.array([(n.row, n.column) for n in crowd.nuclei]) / CELL_GRID
    grid = np.indices(small, np.float32).reshape(2, -1).T
    grid += crowd.rng.normal(0, 0.35, grid.shape).astype(np.float32)
    distance, nearest = cKDTree(centres).query(grid, k=2)
    apart = (distance[:, 1] - distance[:, 0]) * CELL_GRID * crowd.params.mpp
    border = np.exp(-np.square(apart / (2 * CELL_BORDER))).reshape(small)
    values = crowd.rng.standard_normal(len(centres))[nearest[:, 0]].reshape(small)
    both = resized(np.stack((values, border), axis=2).astype(np.float32), shape)
    return both[..., 0], both[..., 1]


def _add_blood(stains: Stains, crowd: Crowd) -> None:
    """Put red blood cells into a few capillaries of the stroma."""
    layout, rng, mpp = crowd.layout, crowd.rng, crowd.params.mpp
    free = np.flatnonzero((layout.depth < -7.0) & (crowd.labels == 0))
    area = crowd.labels.size * mpp**2
    for _ in range(rng.poisson(area / 6000) if len(free) else 0):
        row, column = divmod(int(free[rng.integers(len(free))]), crowd.labels.shape[1])
        along = _direction(layout.fibre, row, column) + np.pi / 2
        half = rng.uniform(7, 13) / mpp, rng.uniform(3, 5) / mpp
        bends = rng.normal(0, 0.05, (4, 2))
        vessel = Nucleus(0, row, column, *half, along, bends, 0)
        *place, out = vessel.patch(crowd.labels.shape)  # Pale inside, a thin wall
        inward = (1 - out) * np.float32(vessel.short * mpp)
        for amount in stains[:2]:
            amount[*place] *= 1 - 0.8 * step_up(inward, 0.5)
        stains.eosin[*place] += 0.12 * _peak(inward + np.float32(0.4), 1.6)
        for _ in range(int(rng.integers(2, 8))):
            far, aside = rng.uniform(-0.8, 0.8) * half[0], rng.uniform(-0.4, 0.4) * half[1]
            y = row + far * np.sin(along) + aside * np.cos(along)
            x = column + far * np.cos(along) - aside * np.sin(along)
            size = rng.uniform(2.6, 3.3) / mpp, rng.uniform(1.9, 2.8) / mpp
            bends = rng.normal(0, 0.02, (4, 2))
            _add_erythrocyte(stains, Nucleus(0, y, x, *size, along, bends, 0), crowd)


def _add_erythrocyte(stains: Stains, cell: Nucleus, crowd: Crowd) -> None:
    rows, columns, out = cell.patch(crowd.labels.shape)
    if not out.size or (crowd.labels[rows, columns][out < 1] > 0).any():
        return
    disc = step_up((1 - out) * np.float32(cell.radius), 0.8)
    for amount in stains[:2]:
        amount[rows, columns] *= 1 - 0.85 * disc
    before = stains.blood[rows, columns]
    hollow = 1 - 0.3 * _peak(out, 2.0)
    stains.blood[rows, columns] = before * (1 - 0.7 * disc) + 0.8 * disc * hollow


def _add_nucleus(stains: Stains, nucleus: Nucleus, params: TissueParams) -> None:
    """Add one nucleus; where two overlap both are seen through."""
    rng, mpp = np.random.default_rng(nucleus.seed), params.mpp
    look = KINDS[nucleus.type]
    rows, columns, out = nucleus.patch(stains.eosin.shape)
    inward = (1 - out) * np.float32(min(nucleus.short * mpp * 1.1, nucleus.radius * mpp))
    cover = step_up(inward, 0.3)
    coarse = smooth_noise(rng, out.shape, 0.55 / mpp)
    fine = smooth_noise(rng, out.shape, 0.24 / mpp)
    rim = _peak(inward - np.float32(0.3), 1 / RIM_WIDTH)
    patchy = 1 + 0.3 * coarse
    shade = look.body + look.clumps * (0.75 * coarse + 0.4 * fine) + look.rim * rim * patchy
    for _ in range(rng.poisson(look.nucleoli) if look.nucleoli else 0):
        shade += 0.75 * _nucleolus(nucleus, rng, rows, columns, mpp)
    strength = max(rng.normal(1, look.spread), 0.5)
    amount = np.maximum(shade, 0.15) * strength * cover
    stains.hematoxylin[rows, columns] *= 1 - 0.3 * cover
    stains.hematoxylin[rows, columns] += amount.astype(np.float32)
    stains.eosin[rows, columns] *= 1 - 0.45 * cover


def _nucleolus(cell: Nucleus, rng: Random, rows: slice, columns: slice, mpp: float) -> Float32:
    """Draw a round dark spot somewhere in the inner half."""
    way, far = rng.uniform(0, 2 * np.pi), 0.5 * np.sqrt(rng.random()) * cell.short
    row, column = cell.row + far * np.sin(way), cell.column + far * np.cos(way)
    radius = rng.uniform(*NUCLEOLUS) / mpp
    y, x = (np.arange(part.start, part.stop, dtype=np.float32) for part in (rows, columns))
    y, x = (y[:, None] - np.float32(row)) / radius, (x[None] - np.float32(column)) / radius
    return np.asarray(np.exp(-np.square(x * x + y * y)), np.float32)


@dataclass(frozen=True, eq=False)
class Tissue:
    """A generated picture and what is in it."""

    image: UInt8  # RGB, (H, W, 3)
    labels: Int32  # Nuclei (H, W), 0 = background, 1..n
    types: Int32  # Type of nucleus i + 1, see ``type_names``
    mpp: float  # Micrometres per pixel
    type_names: Mapping[int, TypeInfo] = field(default_factory=lambda: PANNUKE)


def tissue(
    shape: tuple[int, int] = (512, 512), seed: int = 0, params: TissueParams | None = None
) -> Tissue:
    """Generate H&E-like tissue: glands, solid nests, fibrous stroma, inflammation, blood."""
    params = TissueParams() if params is None else params
    height, width = (int(n) for n in shape)
    if min(height, width) < 1:
        raise InputError(f"shape is {tuple(shape)}; give a height and width of 1 or more pixels.")
    rng = np.random.default_rng(seed)
    crowd = place_nuclei(lay_out((height, width), params, rng), params, rng)
    stains = _ground(crowd)
    _add_blood(stains, crowd)
    for nucleus in crowd.nuclei:
        _add_nucleus(stains, nucleus, params)
    types = np.array([nucleus.type for nucleus in crowd.nuclei], np.int32)
    return Tissue(develop(stains, params, rng), crowd.labels, types, params.mpp)
