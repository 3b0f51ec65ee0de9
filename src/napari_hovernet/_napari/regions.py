"""Which part of an image to run on: whole layer, what is in view, drawn rectangles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from napari.layers import Image, Layer, Shapes

from ..errors import InputError
from .images import full_data


@dataclass(frozen=True)
class Box:
    """A rectangle of pixels, half open: rows r0..r1, columns c0..c1."""

    r0: int
    r1: int
    c0: int
    c1: int

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return (self.r1 - self.r0, self.c1 - self.c0)


def clip_box(points: Any, shape: tuple[int, int]) -> Box | None:
    """Return the pixels that a set of (row, col) points spans inside an image.

    Pixel i covers i - 0.5 .. i + 0.5, as napari draws it. None if nothing is inside.

    Examples
    --------
    >>> clip_box([[-5, 1.2], [2.4, 30]], (10, 20))
    Box(r0=0, r1=3, c0=1, c1=20)
    """
    points = np.asarray(points, dtype=float)
    low = np.floor(points.min(axis=0) + 0.5).astype(int)
    high = np.ceil(points.max(axis=0) + 0.5).astype(int)
    r0, c0 = (int(x) for x in np.maximum(low, 0))
    r1, c1 = (int(min(x, n)) for x, n in zip(high, shape, strict=True))
    return Box(r0, r1, c0, c1) if r1 > r0 and c1 > c0 else None


def image_shape(layer: Image) -> tuple[int, int]:
    """Height and width of a layer's full-resolution plane."""
    shape = full_data(layer).shape
    height, width = shape[-3:-1] if layer.rgb else shape[-2:]
    return int(height), int(width)


def view_box(layer: Image) -> Box:
    """Return the part of a layer that is in view now.

    Raises
    ------
    InputError
        If no part of it is.
    """
    corners = np.asarray(layer.corner_pixels, dtype=float)[:, -2:]
    if layer.multiscale:
        corners = corners * np.asarray(layer.downsample_factors)[layer.data_level][-2:]
    box = clip_box(corners, image_shape(layer))
    if box is None:
        raise InputError(
            f"No part of {layer.name!r} is in view: move the camera, or choose the whole layer."
        )
    return box


def drawn_box(layer: Image, layers: Sequence[Layer]) -> Box:
    """Return the box around the shapes drawn for a region.

    The selected shapes count if there are any, otherwise all shapes of the topmost
    visible Shapes layer that has some.

    Raises
    ------
    InputError
        If nothing is drawn, or what is drawn lies outside the image.
    """
    shapes = _shapes_layer(layers)
    chosen = sorted(shapes.selected_data) or range(len(shapes.data))
    points = [
        layer.world_to_data(_pad(shapes.data_to_world(vertex), layer.ndim))
        for i in chosen
        for vertex in shapes.data[i]
    ]
    box = clip_box(np.asarray(points, dtype=float)[:, -2:], image_shape(layer))
    if box is None:
        raise InputError(
            f"The rectangle in {shapes.name!r} lies outside {layer.name!r}: draw it on the image."
        )
    return box


def _shapes_layer(layers: Sequence[Layer]) -> Shapes:
    for layer in reversed(layers):
        if isinstance(layer, Shapes) and layer.visible and len(layer.data):
            return layer
    raise InputError(
        "No rectangle is drawn: press 'Draw' beside Region, or add a Shapes layer and draw one."
    )


def _pad(point: Any, ndim: int) -> tuple[float, ...]:
    """Fit a world position to a layer of another dimensionality (last axes are shared)."""
    values = tuple(float(x) for x in point)
    return (0.0,) * max(0, ndim - len(values)) + values[-ndim:]


def box_for(region: str, layer: Image, layers: Sequence[Layer]) -> Box | None:
    """Return the box a region name stands for; None for the whole layer."""
    if region == "view":
        return view_box(layer)
    if region == "shapes":
        return drawn_box(layer, layers)
    return None
