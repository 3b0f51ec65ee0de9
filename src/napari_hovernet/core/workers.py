"""Spread independent pieces of array work over the processor's cores."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

MOST_WORKERS = 8
"""Threads used at most; beyond, memory is what limits."""


def worker_count() -> int:
    """Return how many threads may work: the cores this process may use, up to a limit."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, min(len(os.sched_getaffinity(0)), MOST_WORKERS))
    return max(1, min(os.cpu_count() or 1, MOST_WORKERS))


def spread(work: Callable[[T], R], pieces: Sequence[T]) -> list[R]:
    """Apply ``work`` to every piece, several at a time; results in the order of pieces.

    Only of use where ``work`` lets other threads run (compiled loops, OpenCV, NumPy). The
    result must not depend on how many threads there are: pieces must be cut alike on any
    machine, and write to places of their own.

    Examples
    --------
    >>> spread(lambda x: x * x, [1, 2, 3])
    [1, 4, 9]
    """
    threads = min(worker_count(), len(pieces))
    if threads <= 1:
        return [work(piece) for piece in pieces]
    with ThreadPoolExecutor(threads, "napari-hovernet piece") as pool:
        return list(pool.map(work, pieces))
