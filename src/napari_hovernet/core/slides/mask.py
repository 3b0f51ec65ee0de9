"""Where on a slide there is tissue, in cells of about 8 micrometres."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from ...errors import InputError
from ..inference.images import UInt8
from ..inference.tiles import Box
from ..io.far import Far
from ..io.files import atomic_path
from ..io.geojson import rasterize, read_geojson
from ..io.open import read_image
from ..masks import EIGHT, fill_holes, label_parts
from ..types import Bool
from .params import AUTO, OFF
from .source import SlideSource

CELL_UM = 8.0
"""Edge of a cell, micrometres."""
GLASS_PERCENTILE = 95
"""Of the brightness: what is taken for glass."""
DARK = 60
"""Brightness (0..255) below which a glass is none: a fluorescence slide."""
LEAST, MOST = 8, 30
"""Bounds of how much less light (of 255) comes through tissue; between them, Otsu decides."""
SMALLEST_UM2 = 20_000.0
"""Spots of less tissue are dust."""
RIM_UM = 40.0
"""Added around what is found, so that no nucleus at a rim is lost."""


@dataclass(frozen=True, eq=False)
class TissueMask:
    """Tissue on a grid of ``step`` pixels of the slide."""

    cells: Bool  # (H / step, W / step), rounded up
    step: int

    @property
    def share(self) -> float:
        """Share of the cells that hold tissue."""
        return float(self.cells.mean()) if self.cells.size else 0.0

    def within(self, box: Box) -> Bool:
        """Return the cells that a box of pixels touches."""
        s = self.step
        return self.cells[box.r0 // s : -(-box.r1 // s), box.c0 // s : -(-box.c1 // s)]


def cell_edge(mpp: float) -> int:
    """Edge of a cell, pixels."""
    return max(round(CELL_UM / mpp), 1)


def find_tissue(source: SlideSource, wanted: str = AUTO) -> TissueMask:
    """Find the tissue, or read it from a file, or take all ("off")."""
    step = cell_edge(source.mpp)
    rows, cols = (-(-n // step) for n in source.shape)
    if wanted == OFF:
        return TissueMask(np.ones((rows, cols), np.bool_), step)
    if wanted != AUTO:
        return TissueMask(_from_file(Path(wanted), source.shape, (rows, cols), step), step)
    return TissueMask(tissue_cells(source.overview(step), source.mpp * step), step)


def tissue_cells(overview: UInt8, mpp: float) -> Bool:
    """Tell glass from tissue by the light that is missing in any colour, against that of glass."""
    smooth = cv2.GaussianBlur(overview, (3, 3), 0)
    glass = np.percentile(smooth.reshape(-1, 3), GLASS_PERCENTILE, axis=0)
    if glass.mean() < DARK:
        raise InputError(
            "The slide is dark where there should be glass: fluorescence, it seems, and the "
            "networks here know H&E. Convert it, or run on all of it with --mask off."
        )
    missing = np.clip(glass - smooth, 0, 255).max(axis=2).astype(np.uint8)
    otsu, _ = cv2.threshold(missing, 0, 1, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    found = missing > np.clip(otsu, LEAST, MOST)
    found = label_parts(found, max(round(SMALLEST_UM2 / mpp**2), 1))[0] > 0
    reach = 2 * max(round(RIM_UM / mpp), 1) + 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach))
    cells: Bool = cv2.dilate(found.view(np.uint8), disc).astype(np.bool_)
    fill_holes(cells, max(round(SMALLEST_UM2 / mpp**2), 1), EIGHT)
    return cells


def _from_file(path: Path, shape: tuple[int, int], cells: tuple[int, int], step: int) -> Bool:
    """Read a drawn mask: GeoJSON in pixels of the slide, or a picture of its proportions."""
    if path.suffix.lower() in (".geojson", ".json"):
        drawn = read_geojson(path)
        rings = tuple(tuple(ring / step for ring in rings) for rings in drawn.rings)
        return rasterize(type(drawn)(rings), cells) > 0
    picture = read_image(path).source
    height, width = picture.shape
    if abs(height / width / (shape[0] / shape[1]) - 1) > 0.02:
        raise InputError(
            f"The mask {path} has {height} x {width} px and the slide {shape[0]} x {shape[1]}: "
            "their proportions differ; draw the mask on a picture of the whole slide."
        )
    values = picture.read(0, height, 0, width).max(axis=2)
    sized = cv2.resize(values, (cells[1], cells[0]), interpolation=cv2.INTER_NEAREST)
    return np.asarray(sized > 0)


def save_mask(path: Path | Far, mask: TissueMask) -> None:
    """Write a mask as a picture that ``--mask`` takes."""
    ok, data = cv2.imencode(".png", mask.cells.view(np.uint8) * 255)
    if not ok:  # pragma: no cover - PNG takes any mask
        raise InputError(f"{path}: the mask cannot be written.")
    with atomic_path(path) as temporary:
        temporary.write_bytes(data.tobytes())
