"""The loops, as plain Python runs them: what is compiled must be what was written."""

from __future__ import annotations

import numpy as np

from napari_hovernet.core.io.geojson import fill, trace


def test_trace_as_plain_python_equals_the_compiled_loop() -> None:
    mask = np.pad(np.random.default_rng(3).random((9, 8)) < 0.5, 1).astype(np.uint8)
    size = int(mask.sum())
    results = []
    for function in (trace, trace.py_func):
        points, starts = np.zeros((4 * size, 2)), np.zeros(size + 1, np.int64)
        results.append((function(mask, points, starts), points, starts))
    (rings, points, starts), (rings_py, points_py, starts_py) = results
    assert rings == rings_py > 1
    assert np.array_equal(points, points_py)
    assert np.array_equal(starts, starts_py)


def test_fill_as_plain_python_equals_the_compiled_loop() -> None:
    corners = np.random.default_rng(4).uniform(-2, 12, (5, 2))
    edges = np.hstack((corners, np.roll(corners, -1, axis=0)))
    spans = np.array([[corners[:, 1].min(), corners[:, 1].max()]])
    drawn = np.zeros((2, 10, 10), np.int32)
    for function, labels in zip((fill, fill.py_func), drawn, strict=True):
        function(spans, edges, np.array([0, 5]), labels)
    assert np.array_equal(*drawn)
    assert drawn.any()
