"""Which pixels of a run are in view, and clicks on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from .view import camera_of, canvas_size

if TYPE_CHECKING:
    from .desk import Desk

CLICK_PX = 4
"""Screen pixels the mouse may move between press and release of a click."""
LEFT_BUTTON = 1


def view_box(desk: Desk) -> tuple[int, int, int, int] | None:
    """Return rows and columns of the run's arrays in view, (r0, r1, c0, c1), half-open.

    Rotated layers get the box around what is in view. None without a run or in 3-D; the
    box may reach beyond the arrays, or lie beside them.
    """
    run, viewer = desk.run, desk.viewer
    if run is None or viewer.dims.ndisplay != 2:
        return None
    size = np.asarray(canvas_size(viewer), float) / camera_of(viewer).zoom
    middle = np.asarray(camera_of(viewer).center, float)[-2:]
    origin, down, right = (
        np.asarray(desk.to_world(*pixel))[-2:] for pixel in ((0, 0), (1, 0), (0, 1))
    )
    to_world = np.stack((down - origin, right - origin), axis=1)
    corners = middle + size * np.array([[-0.5, -0.5], [-0.5, 0.5], [0.5, -0.5], [0.5, 0.5]])
    pixels = np.linalg.solve(to_world, (corners - origin).T)
    r0, c0 = np.floor(pixels.min(axis=1)).astype(int)
    r1, c1 = np.ceil(pixels.max(axis=1)).astype(int) + 1
    return int(r0), int(r1), int(c0), int(c1)


def on_click(clicked: Callable[[Any], None]) -> Callable[[Any, Any], Iterator[None]]:
    """Make a mouse callback that calls ``clicked(world position)`` for a plain left click.

    A drag is none, nor is a click with a modifier, nor one in a mode of the selected layer
    that paints, picks or edits.
    """

    def callback(viewer: Any, event: Any) -> Iterator[None]:
        if event.button != LEFT_BUTTON or event.modifiers or viewer.dims.ndisplay != 2:
            return
        active = viewer.layers.selection.active
        if active is not None and str(active.mode) != "pan_zoom":
            return
        start, position = np.array(event.pos, float), tuple(event.position)
        yield
        while event.type == "mouse_move":
            if np.abs(np.asarray(event.pos, float) - start).max() > CLICK_PX:
                return
            yield
        clicked(position)

    return callback
