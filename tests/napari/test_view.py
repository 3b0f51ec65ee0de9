from __future__ import annotations

from types import SimpleNamespace

import numpy as np
from napari.components import ViewerModel

from napari_hovernet._napari.view import camera_of, canvas_size, grid_of


def test_camera_grid_and_canvas_of_this_napari_without_a_warning():
    viewer = ViewerModel()
    camera_of(viewer).zoom = 3.0
    assert camera_of(viewer).zoom == 3.0
    height, width = canvas_size(viewer)
    for _ in range(2):
        viewer.add_image(np.zeros((8, 8)))
    grid_of(viewer).shape = (1, 2)
    grid_of(viewer).enabled = True
    assert canvas_size(viewer) == (height, width // 2)


def test_an_older_napari_has_them_elsewhere():
    grid = SimpleNamespace(enabled=True, actual_shape=lambda n: (1, n))
    old = SimpleNamespace(camera="camera", grid=grid, layers=[1, 2, 3], _canvas_size=(600, 900))
    assert camera_of(old) == "camera" and grid_of(old) is grid and canvas_size(old) == (600, 300)
    grid.enabled = False
    assert canvas_size(old) == (600, 900)
