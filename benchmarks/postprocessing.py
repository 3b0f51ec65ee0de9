"""Separation and per-nucleus info against the published way, whole.

    python benchmarks/postprocessing.py --edge 2000 --count 4000

CPU time on planted maps, all ways in turn in one run, medians. The partition of the preset
"hover_net" must be the published one.
"""

from __future__ import annotations

import argparse

import numpy as np
import published
from scene import crowd, timed

import napari_hovernet as nh
from napari_hovernet.core.measure.nuclei import measure
from napari_hovernet.core.synthetic import planted_maps

WANTED = {1000: 12, 2000: 20}
"""Times as fast as the published way, by edge."""
TURNS = 3
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
    ways = {"published way": lambda: theirs(maps)}
    for name in PRESETS:
        params = nh.SeparationParams.preset(name)
        ours(small, params)  # compile
        ways[name] = lambda params=params: ours(maps, params)
    turns = [{name: timed(way) for name, way in ways.items()} for _ in range(TURNS)]
    seconds = {name: float(np.median([turn[name][1] for turn in turns])) for name in ways}
    labels = {name: turns[0][name][0] for name in ways}
    for name in ways:
        _row(name, seconds[name], seconds["published way"], nh.evaluate(truth, labels[name]))
    same = np.array_equal(*(labels[name] for name in ("published way", "hover_net")))
    print(f"(wanted {WANTED.get(args.edge, '-')} x; hover_net's partition ", end="")
    print("identical)" if same else "NOT identical)")


def _row(name: str, seconds: float, slow: float, score: nh.Evaluation) -> None:
    numbers = f"{seconds:8.3f}{slow / seconds:8.1f}{score.n_pred:8}{score.aji:8.3f}{score.pq:8.3f}"
    print(f"{name:14}{numbers}", flush=True)


if __name__ == "__main__":
    main()
