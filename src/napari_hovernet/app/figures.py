"""Small pictures of a result, and how charts on pages look."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ..core.choices import check_choices, choice
from ..core.inference.images import as_source
from ..core.inference.tiles import Box
from ..core.measure.compare import OUTCOME_COLORS
from ..core.types import Bool, Float32, Int32, Outcomes, UInt8
from ..errors import InputError

BRIGHT_LINE = (255, 242, 51)
"""Colour, RGB, of outlines at the image's own size."""
CASING = (20, 20, 28)
"""Colour, RGB, of the thin dark line that sets an outline off."""
NUCLEUS_LINE = (0, 200, 255)
"""Colour, RGB, of true nuclei over the magnitude."""
MAGNITUDE_LIMITS = (0.0, 1.0)
"""Magnitudes of the darkest and the brightest colour: the same in every picture."""
LEVELS = 48
"""Steps of the colours of a magnitude map; few steps make small files."""
COLOUR_STEP = 8
"""Step to which tissue colours are rounded: not seen in a small picture, and half the bytes."""
DIVERGING = ((33, 74, 160), (122, 169, 214), (247, 247, 247), (238, 142, 110), (172, 32, 47))
"""Colours, RGB, of HV from -1 over 0 to 1."""
COLOUR_MAP = cv2.COLORMAP_INFERNO


@dataclass(frozen=True)
class PictureParams:
    """Size and line of the pictures."""

    window: int = choice(320, "Window", "Longest edge of the part shown.", unit="px", low=1)
    edge: int = choice(480, "Edge", "Longest edge of the picture.", unit="px", low=1)
    line: int = choice(2, "Line", "Width of the outlines in it.", unit="px", low=1)

    def __post_init__(self) -> None:
        check_choices(self)


USUAL = PictureParams()


def worst_window(true_labels: Int32, pred_labels: Int32, outcomes: Outcomes, edge: int) -> Box:
    """Find the part of an image where most goes wrong; labels int32 (H, W)."""
    height, width = true_labels.shape
    rows, cols = min(edge, height), min(edge, width)
    wrong = np.isin(true_labels, outcomes.true_ids[outcomes.true != "matched"])
    wrong |= np.isin(pred_labels, outcomes.pred_ids[outcomes.pred == "spurious"])
    if not wrong.any():
        wrong = (true_labels > 0) | (pred_labels > 0)
    filtered = cv2.boxFilter(wrong.astype(np.float32), cv2.CV_32F, (cols, rows), anchor=(0, 0),
                             normalize=False, borderType=cv2.BORDER_CONSTANT)  # fmt: skip
    inside = filtered[: height - rows + 1, : width - cols + 1]
    r0, c0 = np.unravel_index(int(inside.argmax()), inside.shape)
    return Box(int(r0), int(r0) + rows, int(c0), int(c0) + cols)


def outcome_picture(
    image: UInt8,
    labels: tuple[Int32, Int32],
    outcomes: Outcomes,
    params: PictureParams = USUAL,
) -> UInt8:
    """Outline predicted nuclei by outcome, and the true ones missed; labels are (true, pred)."""
    true, pred = labels
    if image.shape[:2] != true.shape or image.shape[:2] != pred.shape:
        raise InputError(
            f"The image is {image.shape[:2]}, the labels {true.shape} and {pred.shape}; give "
            "parts of one size."
        )
    canvas = _tissue(image, params.edge)
    for outcome, colour in OUTCOME_COLORS.items():
        own, ids, found = pred, outcomes.pred_ids, outcomes.pred
        if outcome == "missed":
            own, ids, found = true, outcomes.true_ids, outcomes.true
        chosen = np.where(np.isin(own, ids[found == outcome]), own, 0)
        line = max(params.line - 1, 1) if outcome == "matched" else params.line
        _draw(canvas, chosen, colour, line)
    return canvas


def _tissue(image: UInt8, edge: int) -> UInt8:
    """Bring tissue to its size in the picture, its colours rounded."""
    resized = _resized(image, _size(image.shape[:2], edge), cv2.INTER_CUBIC)
    tissue: UInt8 = (resized // COLOUR_STEP) * COLOUR_STEP + COLOUR_STEP // 2
    return tissue


def _draw(canvas: UInt8, labels: Int32, colour: tuple[int, int, int], line: int) -> None:
    """Outline every nucleus along its inside, with a dark line around the outside."""
    rim, around = _rims(labels, canvas.shape[:2], line)
    canvas[around] = CASING
    canvas[rim] = colour


def _rims(labels: Int32, size: tuple[int, ...], line: int) -> tuple[Bool, Bool]:
    """Pixels of a picture along the inside of each nucleus, and along the outside of all."""
    _, numbers = np.unique(labels, return_inverse=True)
    numbers = numbers.reshape(labels.shape).astype(np.float32)
    ids = _resized(numbers + (0 if (labels == 0).any() else 1), size, cv2.INTER_NEAREST)
    padded = cv2.copyMakeBorder(ids, line, line, line, line, cv2.BORDER_REPLICATE)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * line + 1, 2 * line + 1))
    inner = (slice(line, -line), slice(line, -line))
    low, high = cv2.erode(padded, kernel)[inner], cv2.dilate(padded, kernel)[inner]
    inside = ids > 0
    thin = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    around = (cv2.dilate(inside.astype(np.uint8), thin) > 0) & ~inside
    return inside & ((low != ids) | (high != ids)), around


def magnitude_picture(
    magnitude: Float32, labels: Int32 | None = None, params: PictureParams = USUAL
) -> UInt8:
    """Colour the HV magnitude (H, W) between fixed limits, 0 to 1; what lies above is 1."""
    picture = _colours(_stepped(_shares(magnitude, MAGNITUDE_LIMITS, params.edge)))
    if labels is not None:
        picture[_rims(labels, picture.shape[:2], 1)[0]] = NUCLEUS_LINE
    return picture


def _shares(values: npt.NDArray[Any], limits: tuple[float, float], edge: int) -> Float32:
    """Bring a plane to its size in the picture, as shares of the way between limits."""
    low, high = limits
    size = _size(values.shape, min(edge, max(values.shape)))
    shares: Float32 = (_resized(values, size, cv2.INTER_LINEAR) - low) / (high - low)
    return np.clip(shares, 0, 1)


def _stepped(shares: Float32) -> Float32:
    stepped: Float32 = np.floor(shares * (LEVELS - 1) + 0.5) / (LEVELS - 1)
    return stepped


def outlined_picture(
    image: UInt8,
    outlines: Sequence[tuple[Int32, tuple[int, int, int]]],
    params: PictureParams = USUAL,
) -> UInt8:
    """Draw the outlines of label images, each in its colour, over tissue (H, W, 3)."""
    canvas = _tissue(image, params.edge)
    for k, (labels, colour) in enumerate(outlines):
        _draw(canvas, labels, colour, max(params.line - k, 1))
    return canvas


def outlined(image: Any, labels: Int32) -> UInt8:
    """Draw thin outlines of nuclei into a copy of an image, (H, W) or (H, W, 3 or 4)."""
    source = as_source(image)
    made: UInt8 = np.array(source.read(0, source.shape[0], 0, source.shape[1]))
    made[_rims(labels, labels.shape, 1)[0]] = BRIGHT_LINE
    return made


def plane_picture(
    plane: npt.NDArray[Any],
    limits: tuple[float, float],
    labels: Int32 | None = None,
    params: PictureParams = USUAL,
) -> UInt8:
    """Colour a plane: grey from 0 up, blue over white to red where the limits are below 0."""
    shares = _shares(np.nan_to_num(np.asarray(plane, np.float32)), limits, params.edge)
    signed = limits[0] < 0
    grey = np.rint(_stepped(shares) * 255).astype(np.uint8)
    picture = _diverging(shares) if signed else np.repeat(grey[..., None], 3, axis=2)
    if labels is not None:
        picture[_rims(labels, picture.shape[:2], 1)[0]] = CASING if signed else NUCLEUS_LINE
    return picture


def _diverging(share: npt.NDArray[np.floating]) -> UInt8:
    """Colour 0..1 from blue over nearly white to red."""
    stops = np.linspace(0, 1, len(DIVERGING))
    even = np.rint(share * 2 * LEVELS) / (2 * LEVELS)
    channels = [np.interp(even, stops, [c[k] for c in DIVERGING]) for k in range(3)]
    colours: UInt8 = np.rint(np.stack(channels, axis=-1)).astype(np.uint8)
    return colours


def magnitude_colours(n: int = 9) -> list[tuple[int, int, int]]:
    """Return ``n`` colours, RGB, from the low to the high end of :func:`magnitude_picture`."""
    row = _colours(np.linspace(0, 1, n)[None])[0]
    return [(int(r), int(g), int(b)) for r, g, b in row]


def _colours(share: npt.NDArray[np.floating]) -> UInt8:
    grey = np.rint(share * 255).astype(np.uint8)
    return np.ascontiguousarray(cv2.applyColorMap(grey, COLOUR_MAP)[..., ::-1])


def png_bytes(picture: UInt8) -> bytes:
    """Encode an RGB picture as PNG."""
    done, data = cv2.imencode(
        ".png", np.ascontiguousarray(picture[..., ::-1]), [cv2.IMWRITE_PNG_COMPRESSION, 9]
    )
    if not done:
        raise InputError(f"A picture of shape {picture.shape} cannot be written as PNG.")
    return bytes(data)


def _size(shape: tuple[int, ...], edge: int) -> tuple[int, int]:
    height, width = (max(1, round(n * edge / max(shape))) for n in shape)
    return height, width


def _resized(values: Any, size: tuple[int, ...], how: int) -> Any:
    """Resize to (height, width); reduced pictures are averaged, so that nothing flickers."""
    if values.shape[:2] == size:
        return values.copy()
    if how != cv2.INTER_NEAREST and size[0] < values.shape[0]:
        how = cv2.INTER_AREA
    return cv2.resize(np.ascontiguousarray(values), size[::-1], interpolation=how)


COLUMNS, CELL = 3, (4.8, 2.9)
"""Charts side by side, and inches of each."""
INK, QUIET, RULE = "#1d1a26", "#655f75", "#e3dfec"
CYCLE = ("#2f6fb3", "#6a45c9", "#c2559a", "#d9722e", "#b08800", "#20745a", "#8f8a9e", "#b4552d")
"""Of curves, by their place."""
STYLE: Any = {
    "svg.fonttype": "none", "svg.hashsalt": "napari-hovernet", "font.size": 8,
    "text.color": QUIET, "axes.labelcolor": QUIET, "axes.edgecolor": QUIET, "axes.titlesize": 9,
    "axes.titlecolor": INK, "axes.grid": True, "axes.grid.axis": "y", "grid.color": RULE,
    "xtick.color": QUIET, "ytick.color": QUIET, "axes.spines.top": False,
    "axes.spines.right": False, "lines.linewidth": 1.6, "legend.frameon": False,
}  # fmt: skip
