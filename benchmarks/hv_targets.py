"""HV maps of all nuclei at once against a full mask for each.

    python benchmarks/hv_targets.py --edges 256 1000

CPU time, both ways in one run, 1,000 nuclei per megapixel; wanted: 1,000 x at 1000.
"""

from __future__ import annotations

import argparse

import numpy as np
from scene import crowd, timed
from scipy import ndimage

from napari_hovernet.core.hv import HVConvention, hv_targets

WANTED = {1000: 1000}
"""Times faster, by edge."""
PER_PIXEL = 1e-3
"""Nuclei."""
REPEATS = 7


def published(labels: np.ndarray) -> np.ndarray:
    """Compute the published targets the published way: everything once per nucleus."""
    hv = np.zeros((2, *labels.shape), np.float32)
    apart = np.zeros_like(labels)
    for nucleus in np.unique(labels)[1:]:
        parts, _ = ndimage.label(labels == nucleus)
        apart[parts > 0] = parts[parts > 0] + apart.max()
    for nucleus in np.unique(apart)[1:]:
        mask = (apart == nucleus).astype(np.uint8)
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        top, left = rows[0] - 2, columns[0] - 2
        if mask.sum() < 30 or top < 0 or left < 0:
            continue
        box = np.s_[top : rows[-1] + 3, left : columns[-1] + 3]
        part = mask[box]
        centre = [int(c + 0.5) for c in ndimage.center_of_mass(part)]
        y, x = np.indices(part.shape) + 1
        for channel, offset in enumerate((x - centre[1], y - centre[0])):
            value = np.where(part > 0, offset, 0).astype(np.float32)
            if (value < 0).any():
                value[value < 0] /= -value.min()
            if (value > 0).any():
                value[value > 0] /= value.max()
            hv[channel][box][part > 0] = value[part > 0]
    return hv


def main() -> None:
    """Parse the command line and compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--edges", type=int, nargs="+", default=[256, 1000])
    args = parser.parse_args()
    convention = HVConvention.preset("hover_net")
    hv_targets(crowd(64, 4)), hv_targets(crowd(64, 4), convention)  # compile
    names = ("published s", "same ms", "x", "default ms", "x")
    print(f"{'edge':>6}{'nuclei':>8}" + "".join(f"{name:>13}" for name in names))
    for edge in args.edges:
        labels = crowd(edge, round(edge * edge * PER_PIXEL))
        old, slow = timed(lambda labels=labels: published(labels))
        new, same = timed(lambda labels=labels: hv_targets(labels, convention), REPEATS)
        _, fast = timed(lambda labels=labels: hv_targets(labels), REPEATS)
        row = (slow, same * 1e3, slow / same, fast * 1e3, slow / fast)
        print(f"{edge:6}{labels.max():8}" + "".join(f"{number:13.2f}" for number in row))
        print(f"       apart by {np.abs(old - new).max():.0e}, wanted {WANTED.get(edge, 1)} x")


if __name__ == "__main__":
    main()
