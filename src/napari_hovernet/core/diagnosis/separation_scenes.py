"""Generated nuclei that touch, with exact maps: what every separation is asked to cut."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ...errors import InputError
from ..hv import hv_targets
from ..synthetic import HV_GRAIN, HV_NOISE, blurred, planted_maps, smooth_noise
from ..types import Float32, Int32, Maps

GROUPS = (2,) * 2 + (3,) * 8 + (4,) * 8
"""Nuclei per cluster: 60 in all. Of equal size they have the AJI 60 / sum of squares = 0.288
if every cluster is taken for one nucleus."""
COLUMNS = 5
PITCH = 6.9
"""Distance of two clusters in radii."""
OVERLAP = 0.95
"""Centres stand this much closer than two discs that touch in a point."""
LAYOUTS: dict[int, tuple[tuple[float, float], ...]] = {
    1: ((0, 0),),
    2: ((0, -1), (0, 1)),
    3: ((-0.866, -1), (-0.866, 1), (0.866, 0)),
    4: ((-1, -1), (-1, 1), (1, -1), (1, 1)),
}
"""Centres of the nuclei of a cluster, rows and columns in radii."""
SIZE_SPREAD, STRETCH = 0.04, 1.05
"""How much radii vary, and long by mean axis."""
ROW_LONG, ROW_SHORT = 1.5, 0.75
"""Half axes of nuclei in rows, in radii; they touch along their long sides."""
ROW_NUCLEI, ROWS, ROW_PITCH = 6, 3, 3.6
SINGLE_SIZES = (0.8, 1.0, 1.25)
"""Radii of nuclei that stand alone, in units of the radius."""
SINGLE_PITCH = 4.0
GAP = 2.0
"""Free space between two blocks, in radii."""
SOFT_HV, SOFT_NOISE = 2.0, 0.15
"""Sigma in pixels by which a network rounds the jumps of HV, and its noise, 1 = useless."""
TINY = 1e-6
SHORT = 0.05
"""Length of HV turned inside out on the rim."""


@dataclass(frozen=True, eq=False)
class Scene:
    """Nuclei, and maps of them.

    Parameters
    ----------
    name : str
    labels : int32 (H, W)
    exact : Maps
        What a perfect network would give.
    soft : Maps
        What a good network gives: blurred outlines and jumps, some noise.
    """

    name: str
    labels: Int32
    exact: Maps
    soft: Maps


def scene(name: str, labels: Int32, seed: int = 0) -> Scene:
    """Make a scene of labels; the same seed gives the same noise."""
    return Scene(name, labels, exact_maps(labels), soft_maps(labels, seed))


def scenes(radius: float) -> tuple[Scene, Scene, Scene]:
    """Return what is cut: clusters of 60 nuclei, rows of ellipses, nuclei that stand alone.

    Parameters
    ----------
    radius : float
        Pixels.

    Examples
    --------
    >>> [int(s.labels.max()) for s in scenes(9)]
    [60, 18, 12]
    """
    return (
        scene("clusters", clusters(radius)),
        scene("rows", rows_of_ellipses(radius)),
        scene("singles", singles(radius)),
    )


def clusters(
    radius: float, groups: Sequence[int] = GROUPS, pitch: float = PITCH, seed: int = 0
) -> Int32:
    """Draw clusters of touching, nearly round nuclei of nearly equal size.

    Parameters
    ----------
    radius : float
        Pixels, 3 or more.
    groups : sequence of int
        Nuclei of each cluster, 1..4.
    pitch : float
        Distance of two clusters in radii.
    seed : int
        Order, turn and shapes.

    Returns
    -------
    int32 (H, W)

    Raises
    ------
    InputError
        If the radius is below 3 pixels.

    Examples
    --------
    >>> int(clusters(9).max())
    60
    """
    if not radius >= 3:
        raise InputError(f"radius is {radius}; give 3 pixels or more.")
    rng = np.random.default_rng(seed)
    cell = round(pitch * radius)
    labels: Int32 = np.zeros((-(-len(groups) // COLUMNS) * cell, COLUMNS * cell), np.int32)
    number = 0
    for place, group in enumerate(rng.permutation(len(groups))):
        row, column = (place // COLUMNS + 0.5) * cell, (place % COLUMNS + 0.5) * cell
        turn = rng.uniform(0, np.pi)
        for down, right in LAYOUTS[groups[group]]:
            number += 1
            size = radius * rng.uniform(1 - SIZE_SPREAD, 1 + SIZE_SPREAD)
            reach = radius * OVERLAP
            centre = (
                row + reach * (down * np.cos(turn) - right * np.sin(turn)),
                column + reach * (down * np.sin(turn) + right * np.cos(turn)),
            )
            axes = (size * STRETCH, size / STRETCH)
            draw(labels, number, centre, axes, rng.uniform(0, np.pi))
    return labels


def rows_of_ellipses(radius: float) -> Int32:
    """Draw rows of ellipses that touch along their long sides, int32 (H, W)."""
    half, pitch = ROW_SHORT * radius, 2 * ROW_SHORT * radius * OVERLAP
    shape = (int(ROWS * ROW_PITCH * radius), int(ROW_NUCLEI * 2 * half + GAP * radius))
    labels: Int32 = np.zeros(shape, np.int32)
    for number in range(ROWS * ROW_NUCLEI):
        row, column = divmod(number, ROW_NUCLEI)
        centre = ((row + 0.5) * ROW_PITCH * radius, radius + half + column * pitch)
        draw(labels, number + 1, centre, (half, ROW_LONG * radius), 0.0)
    return labels


def singles(radius: float, sizes: Sequence[float] = SINGLE_SIZES, repeats: int = 4) -> Int32:
    """Draw discs that stand alone, ``repeats`` of each size (in units of the radius)."""
    cell = round(SINGLE_PITCH * radius)
    labels: Int32 = np.zeros((len(sizes) * cell, repeats * cell), np.int32)
    for number in range(len(sizes) * repeats):
        row, column = divmod(number, repeats)
        size = radius * sizes[row]
        draw(labels, number + 1, ((row + 0.5) * cell, (column + 0.5) * cell), (size, size), 0.0)
    return labels


def draw(
    labels: Int32,
    number: int,
    centre: tuple[float, float],
    axes: tuple[float, float],
    angle: float,
) -> None:
    """Draw an ellipse where nothing is yet; half axes along x and y before it is turned."""
    reach = int(max(axes)) + 2
    r0, c0 = max(int(centre[0]) - reach, 0), max(int(centre[1]) - reach, 0)
    part = labels[r0 : int(centre[0]) + reach + 1, c0 : int(centre[1]) + reach + 1]
    y = np.arange(r0, r0 + part.shape[0])[:, None] - centre[0]
    x = np.arange(c0, c0 + part.shape[1])[None] - centre[1]
    along = x * np.cos(angle) + y * np.sin(angle)
    across = y * np.cos(angle) - x * np.sin(angle)
    inside = (along / axes[0]) ** 2 + (across / axes[1]) ** 2 <= 1
    part[inside & (part == 0)] = number


def exact_maps(labels: npt.NDArray[np.integer]) -> Maps:
    """Return the maps of a perfect network: NP 0 and 1, HV in our convention."""
    return Maps(np=(labels > 0).astype(np.float32), hv=hv_targets(labels))


def soft_maps(labels: Int32, seed: int = 0) -> Maps:
    """Return the maps of a good network: outlines and jumps are rounded, there is some noise."""
    planted = planted_maps(labels, seed, SOFT_NOISE)
    rng = np.random.default_rng(seed)
    noise = np.float32(HV_NOISE * SOFT_NOISE)
    channels = [
        blurred(channel, SOFT_HV) + noise * smooth_noise(rng, labels.shape, HV_GRAIN)
        for channel in hv_targets(labels)
    ]
    return Maps(np=planted.np, hv=np.stack(channels))


def inside_out(maps: Maps) -> Maps:
    """Keep the directions of HV, but make it long in the centre and short on the rim."""
    length = maps.magnitude
    new = np.clip(1 + SHORT - length, 0, None) / np.maximum(length, TINY)
    hv: Float32 = np.where(length > TINY, maps.hv * new, 0).astype(np.float32)
    return Maps(np=maps.np, hv=hv)


def beside(first: Int32, second: Int32, radius: float, factor: float = 1.0) -> Maps:
    """Return exact maps of two blocks side by side; HV of the second is times ``factor``.

    The first block keeps its place, top left.
    """
    gap = round(GAP * radius)
    rows, right = max(len(first), len(second)), first.shape[1] + gap
    labels: Int32 = np.zeros((rows, right + second.shape[1]), np.int32)
    labels[: len(first), : first.shape[1]] = first
    labels[: len(second), right:] = np.where(second > 0, second + first.max(), 0)
    maps = exact_maps(labels)
    hv = maps.hv.copy()
    hv[:, :, first.shape[1] :] *= np.float32(factor)
    return Maps(np=maps.np, hv=hv)
