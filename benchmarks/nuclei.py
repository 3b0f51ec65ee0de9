"""Box, contour, centroid, type and statistics per nucleus against a full mask for each.

    python benchmarks/nuclei.py --edge 2000 --count 4000

CPU time, both ways in one run. Ours also gives area, magnitude and NP, which the
published way does not.
"""

from __future__ import annotations

import argparse

import numpy as np
import published
from scene import crowd, timed

from napari_hovernet.core.measure.nuclei import measure
from napari_hovernet.core.synthetic import planted_maps


def main() -> None:
    """Parse the command line and compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--edge", type=int, default=2000)
    parser.add_argument("--count", type=int, default=4000, help="nuclei")
    args = parser.parse_args()
    labels = crowd(args.edge, args.count)
    types = np.random.default_rng(0).integers(1, 6, labels.max())
    maps = planted_maps(labels, types=types)
    print(f"{args.edge} x {args.edge} px, {labels.max()} nuclei")
    measure(labels[:64, :64], None)
    measure(labels[:64, :64], planted_maps(labels[:64, :64] > 0, types=[1]))  # compile
    nuclei, fast = timed(lambda: measure(labels, maps), repeats=5)
    found, slow = timed(lambda: published.info(labels, maps.types.argmax(axis=0)))
    for i, row in enumerate(found.values()):
        assert row["bbox"] == tuple(nuclei.bbox[i]), row
        assert row["type"] == nuclei.type[i], row
        assert np.allclose(row["centroid"], nuclei.centroid[i]), row
    print("boxes, centroids and types are equal")
    print(f"published way {slow:8.3f} s\nours          {fast:8.3f} s\nratio {slow / fast:.0f} x")


if __name__ == "__main__":
    main()
