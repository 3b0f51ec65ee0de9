"""Label images with many nuclei, made quickly: the material of the benchmarks."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import numpy as np

T = TypeVar("T")

RADIUS = (0.36, 0.50)
"""Mean radius of a nucleus in units of the spacing; the larger ones touch."""
ASPECT = (1.0, 1.5)
JITTER = 0.12


def crowd(edge: int, count: int, seed: int = 0) -> np.ndarray:
    """Place about ``count`` ellipses in a jittered grid; int32 (edge, edge), 1..n."""
    rng = np.random.default_rng(seed)
    side = round(count**0.5)
    spacing = edge / side
    labels = np.zeros((edge, edge), np.int32)
    for i in range(side * side):
        row, column = (np.array(divmod(i, side)) + 0.5 + rng.normal(0, JITTER, 2)) * spacing
        stretch, turn = np.sqrt(rng.uniform(*ASPECT)), rng.uniform(0, np.pi)
        radius = rng.uniform(*RADIUS) * spacing
        reach = int(radius * stretch) + 2
        r0, c0 = max(int(row) - reach, 0), max(int(column) - reach, 0)
        part = labels[r0 : int(row) + reach, c0 : int(column) + reach]
        y = np.arange(part.shape[0])[:, None] + r0 - row
        x = np.arange(part.shape[1])[None] + c0 - column
        u = (x * np.cos(turn) + y * np.sin(turn)) / (radius * stretch)
        v = (y * np.cos(turn) - x * np.sin(turn)) * stretch / radius
        part[(u * u + v * v < 1) & (part == 0)] = i + 1
    return np.unique(labels, return_inverse=True)[1].reshape(labels.shape).astype(np.int32)


def timed(function: Callable[[], T], repeats: int = 1) -> tuple[T, float]:
    """Return the result and the shortest CPU time in seconds of this thread and its helpers."""
    best = float("inf")
    for _ in range(repeats):
        start = time.process_time()
        result = function()
        best = min(best, time.process_time() - start)
    return result, best
