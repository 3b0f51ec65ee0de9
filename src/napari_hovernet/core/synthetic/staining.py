"""How much hematoxylin and eosin each pixel holds, and what a camera makes of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from ..types import Float32
from .fields import blurred, profile, resized, smooth_noise, step_up
from .layout import SOLID, Layout
from .params import TissueParams
from .placing import CONNECTIVE, INFLAMMATORY, NEOPLASTIC, Crowd, Nucleus

HEMATOXYLIN = (0.62, 0.70, 0.34)
"""Optical density per unit of hematoxylin in red, green, blue."""
EOSIN = (0.10, 0.83, 0.50)
"""Optical density per unit of eosin."""
ERYTHROCYTE = (0.12, 0.78, 0.78)
"""Optical density per unit of eosin on haemoglobin: redder."""
LAMP = (244.0, 242.0, 245.0)
"""Grey levels of empty glass."""


@dataclass(frozen=True)
class Look:
    """How the nuclei of one type stain, in units of hematoxylin.

    ``body`` is the mean inside, ``rim`` what the membrane adds, ``clumps`` the spread of
    the chromatin, ``nucleoli`` their mean number, ``spread`` the spread from nucleus to
    nucleus as a share.
    """

    body: float
    rim: float
    clumps: float
    nucleoli: float
    spread: float


LOOKS = {
    NEOPLASTIC: Look(0.66, 0.62, 0.27, 1.4, 0.22),
    INFLAMMATORY: Look(1.5, 0.35, 0.5, 0.0, 0.12),
    CONNECTIVE: Look(1.25, 0.22, 0.20, 0.0, 0.22),
}
"""Staining by type."""
REGULAR = Look(0.86, 0.48, 0.27, 0.5, 0.18)
"""Staining of any other type."""
RIM_WIDTH = 0.38
"""Half width of the nuclear membrane, micrometres."""
NUCLEOLUS = (0.55, 0.85)
"""Radius of a nucleolus, micrometres."""
CELL_GRID = 2
"""Cell borders are drawn on a grid this much coarser."""
CELL_BORDER = 0.55
"""Half width of a border between two cells, micrometres."""


@dataclass(eq=False)
class Stains:
    """Amount of each stain per pixel, float32 (H, W); filled in while a tissue is made."""

    hematoxylin: Float32
    eosin: Float32
    blood: Float32


def stain(crowd: Crowd) -> Stains:
    """Stain a tissue: stroma and cytoplasm first, then blood, then the nuclei."""
    layout, params, rng = crowd.layout, crowd.params, crowd.rng
    stains = _ground(layout, crowd, params, rng)
    _add_blood(stains, crowd)
    for nucleus in crowd.nuclei:
        _add_nucleus(stains, nucleus, params)
    return stains


def develop(
    stains: Stains, params: TissueParams, rng: np.random.Generator
) -> npt.NDArray[np.uint8]:
    """Turn amounts of stain into an RGB picture, blurred and noisy as from a scanner."""
    amounts = (
        (stains.hematoxylin * np.float32(params.hematoxylin), HEMATOXYLIN),
        (stains.eosin * np.float32(params.eosin), EOSIN),
        (stains.blood * np.float32(params.eosin), ERYTHROCYTE),
    )
    shape = stains.eosin.shape
    image = np.empty((*shape, 3), np.uint8)
    for channel in range(3):
        density = sum(amount * np.float32(vector[channel]) for amount, vector in amounts)
        light = np.float32(LAMP[channel]) * np.exp(-np.asarray(density, np.float32))
        if params.blur > 0:
            light = blurred(light, params.blur / params.mpp)
        light = light + np.float32(params.noise) * smooth_noise(rng, shape, 0.6)
        image[..., channel] = np.clip(light + np.float32(0.5), 0, 255)
    return image


def _ground(layout: Layout, crowd: Crowd, params: TissueParams, rng: np.random.Generator) -> Stains:
    """Stain everything but nuclei and blood."""
    shape, per_um = layout.depth.shape, 1 / params.mpp
    gland = step_up(layout.depth, 0.7)
    cell, border = _cells(crowd)
    grain = smooth_noise(rng, shape, 0.35 * per_um)
    cloud = smooth_noise(rng, shape, 1.3 * per_um)
    broad = smooth_noise(rng, shape, 9.0 * per_um)
    fibres, fibre_blue = _fibres(layout, per_um, rng)
    inside = 0.38 + 0.06 * cell + 0.07 * cloud + 0.06 * grain + 0.13 * border + 0.04 * broad
    apical = step_up(layout.depth - np.float32(0.55) * layout.height, 3.0)
    inside -= 0.08 * apical
    vacuoles = step_up(cloud - np.float32(1.5), 0.5)
    inside -= 0.22 * vacuoles
    eosin = fibres + (inside - fibres) * gland
    blue = 0.17 + 0.05 * cell + 0.05 * cloud + 0.04 * grain - 0.1 * vacuoles - 0.08 * apical
    hematoxylin = fibre_blue + (blue - fibre_blue) * gland
    membrane = np.exp(-np.square(layout.depth * np.float32(1 / 0.6)))
    eosin += 0.09 * membrane
    retraction = np.exp(-np.square((layout.depth + np.float32(1.5)) * np.float32(1 / 0.9)))
    retraction *= step_up(smooth_noise(rng, shape, 7 * per_um) - np.float32(0.5), 0.7)
    empty = np.maximum(_lumen(layout, cloud), 0.8 * retraction)
    secretion = 0.05 + 0.04 * np.clip(broad + 0.5 * cloud, 0, 3)
    eosin = eosin * (1 - empty) + secretion * empty
    hematoxylin = hematoxylin * (1 - empty) + 0.02 * empty
    return Stains(
        np.maximum(hematoxylin, 0).astype(np.float32),
        np.maximum(eosin, 0.01).astype(np.float32),
        np.zeros(shape, np.float32),
    )


def _lumen(layout: Layout, cloud: Float32) -> Float32:
    """Share of emptiness inside glands: 1 in a lumen, with a ragged border."""
    over = layout.depth - np.minimum(layout.height, np.float32(SOLID)) + 0.5 * cloud
    return step_up(over, 0.8)


def _fibres(layout: Layout, per_um: float, rng: np.random.Generator) -> tuple[Float32, Float32]:
    """Eosin and hematoxylin of collagen: wavy bundles of fibrils with clefts between."""
    shape = layout.depth.shape
    across = layout.fibre + 0.9 * smooth_noise(rng, shape, 2.5 * per_um)
    bundles = profile(rng, across, 3.0) + 0.6 * smooth_noise(rng, shape, 5 * per_um)
    fibrils = profile(rng, across + 0.35 * smooth_noise(rng, shape, 0.9 * per_um), 0.7)
    crossing = layout.fibre + 3.5 * smooth_noise(rng, shape, 6 * per_um)
    threads = profile(rng, crossing, 1.1) * step_up(smooth_noise(rng, shape, 4 * per_um), 1.0)
    gaps = profile(rng, across, 2.2) + 0.9 * smooth_noise(rng, shape, 7 * per_um)
    clefts = step_up(gaps - np.float32(2.35), 0.6)
    there = step_up(smooth_noise(rng, shape, 2.2 * per_um) + np.float32(0.2), 0.9)
    broad = smooth_noise(rng, shape, 16 * per_um)
    grain = smooth_noise(rng, shape, 0.4 * per_um)
    mottle = smooth_noise(rng, shape, 1.1 * per_um)
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
    both = np.stack((values, border), axis=2).astype(np.float32)
    both = resized(both, shape)
    return both[..., 0], both[..., 1]


def _add_blood(stains: Stains, crowd: Crowd) -> None:
    """Put red blood cells into a few capillaries of the stroma."""
    layout, rng, mpp = crowd.layout, crowd.rng, crowd.params.mpp
    free = np.flatnonzero((layout.depth < -7.0) & (crowd.labels == 0))
    area = crowd.labels.size * mpp**2
    for _ in range(rng.poisson(area / 6000) if len(free) else 0):
        row, column = divmod(int(free[rng.integers(len(free))]), crowd.labels.shape[1])
        along = layout.direction(layout.fibre, row, column) + np.pi / 2
        half = rng.uniform(7, 13) / mpp, rng.uniform(3, 5) / mpp
        bends = rng.normal(0, 0.05, (4, 2))
        _add_vessel(stains, Nucleus(0, row, column, *half, along, bends, 0), crowd)
        for _ in range(int(rng.integers(2, 8))):
            far, aside = rng.uniform(-0.8, 0.8) * half[0], rng.uniform(-0.4, 0.4) * half[1]
            cell = Nucleus(
                type=0,
                row=row + far * np.sin(along) + aside * np.cos(along),
                column=column + far * np.cos(along) - aside * np.sin(along),
                long=rng.uniform(2.6, 3.3) / mpp,
                short=rng.uniform(1.9, 2.8) / mpp,
                angle=along,
                waves=rng.normal(0, 0.02, (4, 2)),
                seed=0,
            )
            _add_erythrocyte(stains, cell, crowd)


def _add_vessel(stains: Stains, vessel: Nucleus, crowd: Crowd) -> None:
    """Open a capillary: pale inside, a thin wall, nuclei at its border left alone."""
    rows, columns, out = vessel.patch(crowd.labels.shape)
    inward = (1 - out) * np.float32(vessel.short * crowd.params.mpp)
    open_share = 0.8 * step_up(inward, 0.5)
    wall = np.exp(-np.square((inward + np.float32(0.4)) * np.float32(1.6)))
    for amount in (stains.eosin, stains.hematoxylin):
        amount[rows, columns] *= 1 - open_share
    stains.eosin[rows, columns] += 0.12 * wall


def _add_erythrocyte(stains: Stains, cell: Nucleus, crowd: Crowd) -> None:
    rows, columns, out = cell.patch(crowd.labels.shape)
    if not out.size or (crowd.labels[rows, columns][out < 1] > 0).any():
        return
    disc = step_up((1 - out) * np.float32(cell.radius), 0.8)
    stains.eosin[rows, columns] *= 1 - 0.85 * disc
    stains.hematoxylin[rows, columns] *= 1 - 0.85 * disc
    hollow = 1 - 0.3 * np.exp(-np.square(out * np.float32(2.0)))
    before = stains.blood[rows, columns]
    stains.blood[rows, columns] = before * (1 - 0.7 * disc) + 0.8 * disc * hollow


def _add_nucleus(stains: Stains, nucleus: Nucleus, params: TissueParams) -> None:
    """Add one nucleus; where two overlap both are seen through."""
    rng = np.random.default_rng(nucleus.seed)
    look = LOOKS.get(nucleus.type, REGULAR)
    rows, columns, out = nucleus.patch(stains.eosin.shape)
    radius_um = nucleus.radius * params.mpp
    inward = (1 - out) * np.float32(min(nucleus.short * params.mpp * 1.1, radius_um))
    cover = step_up(inward, 0.3)
    coarse = smooth_noise(rng, out.shape, 0.55 / params.mpp)
    fine = smooth_noise(rng, out.shape, 0.24 / params.mpp)
    rim = np.exp(-np.square((inward - np.float32(0.3)) * np.float32(1 / RIM_WIDTH)))
    patchy = 1 + 0.3 * coarse
    shade = look.body + look.clumps * (0.75 * coarse + 0.4 * fine) + look.rim * rim * patchy
    for _ in range(rng.poisson(look.nucleoli) if look.nucleoli else 0):
        shade += 0.75 * _spot(nucleus, rng, rows, columns, params.mpp)
    strength = max(rng.normal(1, look.spread), 0.5)
    amount = np.maximum(shade, 0.15) * strength * cover
    stains.hematoxylin[rows, columns] *= 1 - 0.3 * cover
    stains.hematoxylin[rows, columns] += amount.astype(np.float32)
    stains.eosin[rows, columns] *= 1 - 0.45 * cover


def _spot(
    nucleus: Nucleus, rng: np.random.Generator, rows: slice, columns: slice, mpp: float
) -> Float32:
    """Draw a nucleolus: a round dark spot somewhere in the inner half."""
    way, far = rng.uniform(0, 2 * np.pi), 0.5 * np.sqrt(rng.random()) * nucleus.short
    row, column = nucleus.row + far * np.sin(way), nucleus.column + far * np.cos(way)
    radius = rng.uniform(*NUCLEOLUS) / mpp
    y = (np.arange(rows.start, rows.stop, dtype=np.float32)[:, None] - np.float32(row)) / radius
    x = (
        np.arange(columns.start, columns.stop, dtype=np.float32)[None] - np.float32(column)
    ) / radius
    spot: Float32 = np.exp(-np.square(x * x + y * y)).astype(np.float32)
    return spot
