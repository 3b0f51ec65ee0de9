"""Separation and per-nucleus info against the published way, whole.

    python benchmarks/postprocessing.py --edge 2000 --count 4000

CPU time, all ways in one run, on planted maps; wanted: 12 x.
"""

from __future__ import annotations

import argparse

import numpy as np
import published
from scene import crowd, timed

import napari_hovernet as nh
from napari_hovernet.core.measure.nuclei import measure
from napari_hovernet.core.synthetic import planted_maps

WANTED = 12
PRESETS = ("hover_net", "local")


def ours(maps: nh.Maps, params: nh.SeparationParams) -> np.ndarray:
    """Separate and measure; return the labels."""
    labels = nh.separate(maps, params).labels
    measure(labels, maps)
    return labels


def theirs(maps: nh.Maps) -> np.ndarray:
    """Do the same the published way."""
    labels = published.separate(maps.np, maps.hv)
    published.info(labels, maps.types.argmax(axis=0))
    return labels


def main() -> None:
    """Parse the command line and compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--edge", type=int, default=2000)
    parser.add_argument("--count", type=int, default=4000, help="nuclei")
    args = parser.parse_args()
    truth = crowd(args.edge, args.count)
    types = np.random.default_rng(0).integers(1, 6, truth.max())
    maps = planted_maps(truth, types=types)
    small = planted_maps(crowd(128, 16), types=types[:16])
    print(f"{args.edge} x {args.edge} px, {truth.max()} nuclei")
    print(f"{'':14}{'s':>8}{'ratio':>8}{'nuclei':>8}{'AJI':>8}{'PQ':>8}")
    labels, slow = timed(lambda: theirs(maps))
    _row("published way", slow, slow, nh.evaluate(truth, labels))
    for name in PRESETS:
        params = nh.SeparationParams.preset(name)
        ours(small, params)  # compile
        labels, fast = timed(lambda params=params: ours(maps, params), repeats=3)
        _row(name, fast, slow, nh.evaluate(truth, labels))
    print(f"(wanted {WANTED} x)")


def _row(name: str, seconds: float, slow: float, score: nh.Evaluation) -> None:
    numbers = f"{seconds:8.3f}{slow / seconds:8.1f}{score.n_pred:8}{score.aji:8.3f}{score.pq:8.3f}"
    print(f"{name:14}{numbers}", flush=True)


if __name__ == "__main__":
    main()
