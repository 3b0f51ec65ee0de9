"""Camera, grid and canvas of a viewer: napari 0.9 has moved them, older ones are served too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari.components import ViewerModel


def camera_of(viewer: ViewerModel) -> Any:
    """Return the camera: ``viewer.scene.camera`` from napari 0.9 on, else ``viewer.camera``."""
    scene = getattr(viewer, "scene", None)
    return viewer.camera if scene is None else scene.camera


def grid_of(viewer: ViewerModel) -> Any:
    """Return the grid: ``viewer.canvas.grid`` from napari 0.9 on, else ``viewer.grid``."""
    canvas = getattr(viewer, "canvas", None)
    return viewer.grid if canvas is None else canvas.grid


def canvas_size(viewer: ViewerModel) -> tuple[int, int]:
    """Height and width of the canvas in screen pixels; of one cell where the grid is on."""
    canvas = getattr(viewer, "canvas", None)
    if canvas is not None:
        height, width = canvas.viewbox_size(viewer.layers)
        return int(height), int(width)
    height, width = viewer._canvas_size
    if not viewer.grid.enabled:
        return int(height), int(width)
    rows, columns = viewer.grid.actual_shape(len(viewer.layers))
    return int(height // rows), int(width // columns)
