"""Small pictures of a result: nuclei outlined by what became of them, and the HV magnitude."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ..errors import InputError
from .outcome_colors import OUTCOME_COLORS
from .types import Bool, Float32, Int32, Outcomes

UInt8 = npt.NDArray[np.uint8]

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
    """Size and line of the pictures.

    Parameters
    ----------
    window : int
        Longest edge, pixels of the image, of the part that is shown.
    edge : int
        Longest edge of the picture, pixels.
    line : int
        Width of the outlines, pixels of the picture; those of matched nuclei are 1 thinner.

    Raises
    ------
    InputError
        If a number is below 1.

    Examples
    --------
    >>> PictureParams(window=256).edge
    480
    """

    window: int = 320
    edge: int = 480
    line: int = 2

    def __post_init__(self) -> None:
        for name in ("window", "edge", "line"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}; give 1 or more pixels.")


@dataclass(frozen=True)
class Window:
    """Rows r0 to r1 and columns c0 to c1 of an image, half-open."""

    r0: int
    c0: int
    r1: int
    c1: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """The same for indexing."""
        return (slice(self.r0, self.r1), slice(self.c0, self.c1))


def worst_window(true_labels: Int32, pred_labels: Int32, outcomes: Outcomes, edge: int) -> Window:
    """Find the part of an image where most goes wrong.

    Parameters
    ----------
    true_labels, pred_labels : int32 (H, W)
    outcomes : Outcomes
        Of these labels.
    edge : int
        Height and width of the part in pixels; smaller images are taken whole.

    Returns
    -------
    Window
        The one with most pixels of true nuclei that are not matched and of spurious
        predictions; without any of those, the one with most nuclei.

    Examples
    --------
    >>> from napari_hovernet.core.metrics import evaluate
    >>> true, none = np.zeros((8, 20), np.int32), np.zeros((8, 20), np.int32)
    >>> true[2:4, 14:18] = 1
    >>> worst_window(true, none, evaluate(true, none).outcomes, 8).slices[1]
    slice(10, 18, None)
    """
    height, width = true_labels.shape
    rows, cols = min(edge, height), min(edge, width)
    wrong = np.isin(true_labels, outcomes.true_ids[outcomes.true != "matched"])
    wrong |= np.isin(pred_labels, outcomes.pred_ids[outcomes.pred == "spurious"])
    if not wrong.any():
        wrong = (true_labels > 0) | (pred_labels > 0)
    filtered = cv2.boxFilter(
        wrong.astype(np.float32),
        cv2.CV_32F,
        (cols, rows),
        anchor=(0, 0),
        normalize=False,
        borderType=cv2.BORDER_CONSTANT,
    )
    inside = filtered[: height - rows + 1, : width - cols + 1]
    r0, c0 = np.unravel_index(int(inside.argmax()), inside.shape)
    return Window(int(r0), int(c0), int(r0) + rows, int(c0) + cols)


def outcome_picture(
    image: UInt8,
    labels: tuple[Int32, Int32],
    outcomes: Outcomes,
    params: PictureParams | None = None,
) -> UInt8:
    """Outline predicted nuclei by outcome, and the true ones that were missed.

    Parameters
    ----------
    image : uint8 (H, W, 3)
        RGB of the part that is shown.
    labels : (int32 (H, W), int32 (H, W))
        True and predicted instances of the same part.
    outcomes : Outcomes
        Of the whole image.
    params : PictureParams, optional

    Returns
    -------
    uint8 (h, w, 3)
        RGB, enlarged or reduced to ``params.edge``.

    Examples
    --------
    >>> from napari_hovernet.core.metrics import evaluate
    >>> nuclei = np.zeros((40, 40), np.int32)
    >>> nuclei[10:30, 10:30] = 1
    >>> tissue = np.full((40, 40, 3), 200, np.uint8)
    >>> outcomes = evaluate(nuclei, nuclei).outcomes
    >>> picture = outcome_picture(tissue, (nuclei, nuclei), outcomes, PictureParams(edge=40))
    >>> picture[10, 20].tolist() == list(OUTCOME_COLORS["matched"])
    True
    """
    params = PictureParams() if params is None else params
    true, pred = labels
    if image.shape[:2] != true.shape or image.shape[:2] != pred.shape:
        raise InputError(
            f"The image is {image.shape[:2]}, the labels {true.shape} and {pred.shape}; give "
            "parts of one size."
        )
    size = _size((int(image.shape[0]), int(image.shape[1])), params.edge)
    canvas: UInt8 = _resized(image, size, cv2.INTER_CUBIC)
    canvas = (np.asarray(canvas) // COLOUR_STEP) * COLOUR_STEP + COLOUR_STEP // 2
    for outcome, colour in OUTCOME_COLORS.items():
        own, ids, found = (
            (true, outcomes.true_ids, outcomes.true)
            if outcome == "missed"
            else (pred, outcomes.pred_ids, outcomes.pred)
        )
        chosen = np.where(np.isin(own, ids[found == outcome]), own, 0)
        line = max(params.line - 1, 1) if outcome == "matched" else params.line
        _draw(canvas, chosen, colour, line)
    return canvas


def _draw(canvas: UInt8, labels: Int32, colour: tuple[int, int, int], line: int) -> None:
    """Outline every nucleus along its inside, with a dark line around the outside."""
    rim, around = _rims(labels, (canvas.shape[0], canvas.shape[1]), line)
    canvas[around] = CASING
    canvas[rim] = colour


def _rims(labels: Int32, size: tuple[int, int], line: int) -> tuple[Bool, Bool]:
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
    magnitude: Float32, labels: Int32 | None = None, params: PictureParams | None = None
) -> UInt8:
    """Colour the HV magnitude between fixed limits, 0 to 1; what lies above is 1.

    Parameters
    ----------
    magnitude : float32 (H, W)
        Of the part that is shown.
    labels : int32 (H, W), optional
        Nuclei to outline: HV means nothing outside of them.
    params : PictureParams, optional

    Returns
    -------
    uint8 (h, w, 3)
        RGB; reduced to ``params.edge``, never enlarged, which a viewer can do as well.

    Examples
    --------
    >>> bool(magnitude_picture(np.zeros((2, 2), np.float32)).max() < 10)
    True
    """
    params = PictureParams() if params is None else params
    shape = (int(magnitude.shape[0]), int(magnitude.shape[1]))
    size = _size(shape, min(params.edge, max(shape)))
    low, high = MAGNITUDE_LIMITS
    share = np.clip((_resized(magnitude, size, cv2.INTER_LINEAR) - low) / (high - low), 0, 1)
    picture = _colours(np.floor(share * (LEVELS - 1) + 0.5) / (LEVELS - 1))
    if labels is not None:
        picture[_rims(labels, size, 1)[0]] = NUCLEUS_LINE
    return picture


def outlined_picture(
    image: UInt8,
    outlines: Sequence[tuple[Int32, tuple[int, int, int]]],
    params: PictureParams | None = None,
) -> UInt8:
    """Draw the outlines of label images over tissue.

    Parameters
    ----------
    image : uint8 (H, W, 3)
        RGB of the part that is shown.
    outlines : sequence of (int32 (H, W), colour)
        Labels of the same part and their colour, RGB; the later ones lie on top, with thinner
        lines.
    params : PictureParams, optional

    Returns
    -------
    uint8 (h, w, 3)

    Examples
    --------
    >>> labels = np.zeros((40, 40), np.int32)
    >>> labels[10:30, 10:30] = 1
    >>> grey = np.full((40, 40, 3), 200, np.uint8)
    >>> shown = outlined_picture(grey, [(labels, (255, 0, 0))], PictureParams(edge=40))
    >>> shown[10, 20].tolist()
    [255, 0, 0]
    """
    params = PictureParams() if params is None else params
    size = _size((int(image.shape[0]), int(image.shape[1])), params.edge)
    canvas: UInt8 = _resized(image, size, cv2.INTER_CUBIC)
    canvas = (np.asarray(canvas) // COLOUR_STEP) * COLOUR_STEP + COLOUR_STEP // 2
    for k, (labels, colour) in enumerate(outlines):
        _draw(canvas, labels, colour, max(params.line - k, 1))
    return canvas


def plane_picture(
    plane: npt.NDArray[Any],
    limits: tuple[float, float],
    labels: Int32 | None = None,
    params: PictureParams | None = None,
) -> UInt8:
    """Colour a plane: grey from 0 up, blue over white to red where the limits are below 0.

    Parameters
    ----------
    plane : number array (H, W)
        Of the part that is shown.
    limits : (float, float)
        Values of the first and the last colour; what lies beyond has the same.
    labels : int32 (H, W), optional
        Nuclei to outline.
    params : PictureParams, optional

    Returns
    -------
    uint8 (h, w, 3)
        RGB; reduced to ``params.edge``, never enlarged.

    Examples
    --------
    >>> plane_picture(np.array([[-1.0, 0.0, 1.0]]), (-1, 1))[0].tolist()
    [[33, 74, 160], [247, 247, 247], [172, 32, 47]]
    """
    params = PictureParams() if params is None else params
    shape = (int(plane.shape[0]), int(plane.shape[1]))
    size = _size(shape, min(params.edge, max(shape)))
    values = np.nan_to_num(np.asarray(plane, np.float32))
    low, high = limits
    share = np.clip((_resized(values, size, cv2.INTER_LINEAR) - low) / (high - low), 0, 1)
    share = np.floor(share * (LEVELS - 1) + 0.5) / (LEVELS - 1) if low >= 0 else share
    picture = _diverging(share) if low < 0 else _grey(share)
    if labels is not None:
        picture[_rims(labels, size, 1)[0]] = NUCLEUS_LINE if low >= 0 else CASING
    return picture


def _grey(share: npt.NDArray[np.floating]) -> UInt8:
    return np.repeat(np.rint(share * 255).astype(np.uint8)[..., None], 3, axis=2)


def _diverging(share: npt.NDArray[np.floating]) -> UInt8:
    """Colour 0..1 from blue over nearly white to red."""
    stops = np.linspace(0, 1, len(DIVERGING))
    even = np.rint(share * 2 * LEVELS) / (2 * LEVELS)
    channels = [np.interp(even, stops, [c[k] for c in DIVERGING]) for k in range(3)]
    colours: UInt8 = np.rint(np.stack(channels, axis=-1)).astype(np.uint8)
    return colours


def magnitude_colours(n: int) -> list[tuple[int, int, int]]:
    """Return ``n`` colours, RGB, from the low to the high end of :func:`magnitude_picture`.

    Examples
    --------
    >>> len(magnitude_colours(3))
    3
    """
    row = _colours(np.linspace(0, 1, n)[None])[0]
    return [(int(r), int(g), int(b)) for r, g, b in row]


def _colours(share: npt.NDArray[np.floating]) -> UInt8:
    grey = np.rint(share * 255).astype(np.uint8)
    return np.ascontiguousarray(cv2.applyColorMap(grey, COLOUR_MAP)[..., ::-1])


def png_bytes(picture: UInt8) -> bytes:
    """Encode an RGB picture as PNG.

    Examples
    --------
    >>> png_bytes(np.zeros((2, 2, 3), np.uint8))[1:4]
    b'PNG'
    """
    done, data = cv2.imencode(
        ".png", np.ascontiguousarray(picture[..., ::-1]), [cv2.IMWRITE_PNG_COMPRESSION, 9]
    )
    if not done:
        raise InputError(f"A picture of shape {picture.shape} cannot be written as PNG.")
    return bytes(data)


def _size(shape: tuple[int, int], edge: int) -> tuple[int, int]:
    scale = edge / max(shape)
    return (max(1, round(shape[0] * scale)), max(1, round(shape[1] * scale)))


def _resized(values: Any, size: tuple[int, int], how: int) -> Any:
    """Resize to (height, width); reduced pictures are averaged, so that nothing flickers."""
    if values.shape[:2] == size:
        return values.copy()
    if how != cv2.INTER_NEAREST and size[0] < values.shape[0]:
        how = cv2.INTER_AREA
    return cv2.resize(np.ascontiguousarray(values), size[::-1], interpolation=how)
