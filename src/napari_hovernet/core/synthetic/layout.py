"""Where glands, lumina, fibres and vessels lie."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from ..types import Bool, Float32, Int32
from .fields import blurred, smooth_noise
from .params import TissueParams

GLAND_RADIUS = (0.30, 0.50)
"""Radius of a gland in units of the spacing."""
GLAND_ASPECT = (1.0, 1.7)
GLAND_WAVES = (0.0, 0.10, 0.07, 0.05, 0.03)
"""Standard deviation of the outline's harmonics 1, 2, 3 ... in units of the radius."""
EPITHELIUM = (12.0, 18.0)
"""Height of the epithelium round a lumen, micrometres."""
SOLID = 1e6
"""Height of the epithelium of a nest without lumen: deeper than any nest."""
CENTRE_JITTER = 0.16
SEPTUM = 7.0
"""Least stroma between two glands, micrometres."""
MAX_EDGE_WAVE = 1.5
"""Standard deviation of the lumen's border, micrometres."""
BEND, BEND_SIZE = 7.0, 11.0
"""How far fibres leave the gland's outline, and over which length, micrometres."""
FIBRE_SLOPE = 0.5
"""Least change of the fibre coordinate per micrometre far from glands."""


@dataclass(frozen=True, eq=False)
class Layout:
    """The architecture of a piece of tissue; lengths in micrometres.

    Parameters
    ----------
    depth : float32 (H, W)
        Distance to the glands' outline, positive inside.
    height : float32 (H, W)
        Height of the epithelium of the gland here, ``SOLID`` in nests and in stroma.
    nest : bool (H, W)
        Inside a gland without lumen.
    fibre : float32 (H, W)
        Coordinate across the fibres: they run along its levels.
    inflamed : float32 (H, W)
        Random field; lymphocytes lie where it is high.
    """

    depth: Float32
    height: Float32
    nest: Bool
    fibre: Float32
    inflamed: Float32

    def direction(self, field: Float32, row: int, column: int) -> float:
        """Angle in radians, x to y, in which ``field`` rises at a pixel."""
        height, width = field.shape
        r0, r1 = max(row - 2, 0), min(row + 2, height - 1)
        c0, c1 = max(column - 2, 0), min(column + 2, width - 1)
        return float(
            np.arctan2(field[r1, column] - field[r0, column], field[row, c1] - field[row, c0])
        )


def lay_out(shape: tuple[int, int], params: TissueParams, rng: np.random.Generator) -> Layout:
    """Draw the architecture of a piece of tissue of ``shape`` pixels."""
    glands, heights = _glands(shape, params, rng)
    inside = (glands > 0).astype(np.uint8)
    depth = _distance(inside) - _distance(1 - inside)
    depth *= np.float32(params.mpp)
    smooth = blurred(depth, 2.0 / params.mpp)
    slope = rng.normal(0, FIBRE_SLOPE, 2) * params.mpp
    plane = slope[0] * np.arange(shape[0])[:, None] + slope[1] * np.arange(shape[1])[None]
    bend = BEND * smooth_noise(rng, shape, BEND_SIZE / params.mpp)
    bend += 2 * BEND * smooth_noise(rng, shape, 3 * BEND_SIZE / params.mpp)
    wave = MAX_EDGE_WAVE * smooth_noise(rng, shape, 3.0 / params.mpp)
    height = heights[glands]
    return Layout(
        depth=depth,
        height=(height + wave).astype(np.float32),
        nest=(height >= SOLID) & (glands > 0),
        fibre=(0.7 * smooth + bend + plane).astype(np.float32),
        inflamed=smooth_noise(rng, shape, 14.0 / params.mpp),
    )


def _distance(mask: npt.NDArray[np.uint8]) -> Float32:
    if mask.all():
        return np.full(mask.shape, max(mask.shape), np.float32)
    return np.asarray(cv2.distanceTransform(mask, cv2.DIST_L2, 5), dtype=np.float32)


def _glands(
    shape: tuple[int, int], params: TissueParams, rng: np.random.Generator
) -> tuple[Int32, Float32]:
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
    margin = gap + 1
    c0, r0 = np.maximum(outline.min(axis=0) - margin, 0)
    c1, r1 = np.maximum(outline.max(axis=0) + margin + 1, 0)
    part = glands[r0:r1, c0:c1]
    if not part.size:
        return
    drawn = np.zeros(part.shape, np.uint8)
    cv2.fillPoly(drawn, [outline - np.array([c0, r0], np.int32)], 1)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * gap + 1, 2 * gap + 1))
    taken = cv2.dilate((part > 0).astype(np.uint8), disc)
    drawn[taken > 0] = 0
    round_off = blurred(drawn.astype(np.float32), gap) > 0.5
    part[round_off & (taken == 0)] = number


def _outline(centre: npt.NDArray[np.float64], radius: float, rng: np.random.Generator) -> Int32:
    angle = np.linspace(0, 2 * np.pi, 180, endpoint=False)
    reach = np.ones_like(angle)
    for k, amplitude in enumerate(GLAND_WAVES, start=1):
        reach += rng.normal(0, amplitude) * np.cos(k * angle + rng.uniform(0, 2 * np.pi))
    aspect = np.sqrt(rng.uniform(*GLAND_ASPECT))
    x, y = radius * reach * np.cos(angle) * aspect, radius * reach * np.sin(angle) / aspect
    turn = rng.uniform(0, np.pi)
    points = np.stack(
        (
            centre[1] + x * np.cos(turn) - y * np.sin(turn),
            centre[0] + x * np.sin(turn) + y * np.cos(turn),
        ),
        axis=1,
    )
    return points.round().astype(np.int32)
