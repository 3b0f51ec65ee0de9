"""Time of each stage of our separation, by image size, and against the published one.

    python benchmarks/separation.py --edges 1000 2000 4000

CPU time in one run, 1,000 nuclei per megapixel. "published" is timed up to 2000 only.
"""

from __future__ import annotations

import argparse

import numpy as np
import published
from scene import crowd, timed

import napari_hovernet as nh
from napari_hovernet.core.masks import clean_mask
from napari_hovernet.core.separation import local as stages
from napari_hovernet.core.synthetic import planted_maps

TILE = 1000
"""Edge of the scene that larger images repeat."""
PUBLISHED_UP_TO = 2000
REPEATS = 3


def scene(edge: int) -> nh.Maps:
    """Planted maps of any size."""
    maps = planted_maps(crowd(min(edge, TILE), round(min(edge, TILE) ** 2 / TILE)))
    times = max(edge // TILE, 1)
    return nh.Maps(np=np.tile(maps.np, (times, times)), hv=np.tile(maps.hv, (1, times, times)))


def main() -> None:
    """Parse the command line and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--edges", type=int, nargs="+", default=[1000, 2000])
    args = parser.parse_args()
    params, same = nh.SeparationParams(), nh.SeparationParams.preset("hover_net")
    for method in (params, same):  # compiles
        nh.separate(scene(64), method)
    print(
        f"{'edge':>6}{'mask':>8}{'energy':>8}{'all':>8}{'s/Mpx':>8}{'hover_net':>11}{'published':>11}"
    )
    for edge in args.edges:
        maps = scene(edge)
        mask, first = timed(lambda maps=maps: clean_mask(maps.np, params), REPEATS)
        _, second = timed(
            lambda maps=maps, mask=mask: stages.squeeze_energy(maps, mask, params), REPEATS
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
