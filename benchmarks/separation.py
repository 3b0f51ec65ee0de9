"""Time of each stage of our separation, by image size, and against the published one.

    python benchmarks/separation.py --edges 1000 2000 4000
    python benchmarks/separation.py --edges 4000 --threads 2

CPU time in one run, 1,000 nuclei per megapixel. "published" is timed up to 2000 only. With
``--threads``: seconds by the clock with one thread and with so many, in turns; and, as the clock of
a machine that others use says little, CPU seconds of one thread against those of the busiest of
several, to which the pieces timed alone are dealt out as they get free.
"""

from __future__ import annotations

import argparse
import time
from contextlib import ExitStack
from typing import Any
from unittest.mock import patch

import cv2
import numpy as np
import published
from scene import crowd, timed

import napari_hovernet as nh
from napari_hovernet.core import masks
from napari_hovernet.core.masks import clean_mask
from napari_hovernet.core.separation import filters, kernels
from napari_hovernet.core.separation import local as stages
from napari_hovernet.core.separation import published as published_way
from napari_hovernet.core.synthetic import planted_maps
from napari_hovernet.core.types import limit_workers

TILE = 1000
"""Edge of the scene that larger images repeat."""
PUBLISHED_UP_TO = 2000
REPEATS = 3
TURNS = 9
"""Of one thread and several."""


def scene(edge: int) -> nh.Maps:
    """Planted maps of any size."""
    maps = planted_maps(crowd(min(edge, TILE), round(min(edge, TILE) ** 2 / TILE)))
    times = max(edge // TILE, 1)
    return nh.Maps(np=np.tile(maps.np, (times, times)), hv=np.tile(maps.hv, (1, times, times)))


def by_clock(maps: nh.Maps, params: nh.SeparationParams, threads: int) -> list[float]:
    """Shortest seconds with one thread and with several."""
    best = [float("inf")] * 2
    for _ in range(TURNS):
        for at, number in enumerate((1, threads)):
            limit_workers(number)
            cv2.setNumThreads(number)
            start = time.perf_counter()
            nh.separate(maps, params)
            best[at] = min(best[at], time.perf_counter() - start)
    return best


def by_pieces(maps: nh.Maps, params: nh.SeparationParams, threads: int) -> list[float]:
    """CPU seconds of one thread, and of the busiest of several: the least of some runs."""
    waits = [0.0]

    def dealt(work: Any, pieces: Any) -> list[Any]:
        loads, found = [0.0] * threads, []
        for piece in pieces:
            start = time.thread_time()
            found.append(work(piece))
            loads[loads.index(min(loads))] += time.thread_time() - start
        waits[0] += sum(loads) - max(loads)
        return found

    cv2.setNumThreads(1)
    best = [float("inf")] * 2
    with ExitStack() as stack:
        for module in (masks, filters, kernels, stages, published_way):
            stack.enter_context(patch.object(module, "spread", dealt))
        for _ in range(TURNS):
            waits[0], start = 0.0, time.thread_time()
            nh.separate(maps, params)
            spent = time.thread_time() - start
            best = [min(best[0], spent), min(best[1], spent - waits[0])]
    return best


def main() -> None:
    """Parse the command line and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--edges", type=int, nargs="+", default=[1000, 2000])
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    params, same = nh.SeparationParams(), nh.SeparationParams.preset("hover_net")
    for method in (params, same):  # compiles
        nh.separate(scene(64), method)
    if args.threads > 1:
        for edge in args.edges:
            for method in (params, same):
                for name, measured in (("clock", by_clock), ("CPU", by_pieces)):
                    one, several = measured(scene(edge), method, args.threads)
                    print(f"{edge:6} {method.method:10}{name:6}{one:8.3f} s, {args.threads} threads"
                          f"{several:8.3f} s: {one / several:.2f}x", flush=True)  # fmt: skip
        return
    print(
        f"{'edge':>6}{'mask':>8}{'energy':>8}{'all':>8}{'s/Mpx':>8}{'hover_net':>11}{'published':>11}"
    )
    for edge in args.edges:
        maps = scene(edge)
        mask, first = timed(lambda maps=maps: clean_mask(maps.np, params), REPEATS)
        _, second = timed(
            lambda maps=maps, mask=mask: stages.squeeze_energy(maps, (mask, mask), params), REPEATS
        )
        _, whole = timed(lambda maps=maps: nh.separate(maps), REPEATS)
        _, ours = timed(lambda maps=maps: nh.separate(maps, same), REPEATS)
        row = (
            f"{edge:6}{first:8.3f}{second:8.3f}{whole:8.3f}{whole / edge**2 * 1e6:8.3f}{ours:11.3f}"
        )
        if edge <= PUBLISHED_UP_TO:
            _, slow = timed(lambda maps=maps: published.separate(maps.np, maps.hv))
            row += f"{slow:11.3f}  ({slow / whole:.1f} x ours, {slow / ours:.1f} x hover_net)"
        print(row, flush=True)


if __name__ == "__main__":
    main()
