"""AJI, AJI+ and PQ from one contingency table against a full mask per nucleus.

    python benchmarks/metrics.py --edge 1000 --count 1000

CPU time, both ways in one run, on the same pair of label images; wanted: 100 x.
"""

from __future__ import annotations

import argparse

import numpy as np
import published
from scene import crowd, timed

from napari_hovernet.core.measure.metrics import (
    aji,
    aji_plus,
    contingency,
    evaluate,
    panoptic_quality,
)

WANTED = 100


def damaged(labels: np.ndarray, seed: int) -> np.ndarray:
    """Shift, merge, drop and renumber: a prediction as it might be."""
    rng = np.random.default_rng(seed)
    ids = np.arange(labels.max() + 1)
    merged = rng.choice(ids[1:-1], len(ids) // 20)
    ids[merged] = ids[merged + 1]
    ids[rng.choice(ids[1:], len(ids) // 20)] = 0
    shifted = np.roll(ids[labels], (2, 1), (0, 1))
    return np.unique(shifted, return_inverse=True)[1].reshape(labels.shape).astype(np.int32)


def ours(true: np.ndarray, pred: np.ndarray) -> tuple[float, float, float]:
    """All three scores."""
    table = contingency(true, pred)
    return aji(table), aji_plus(table), panoptic_quality(table).pq


def theirs(true: np.ndarray, pred: np.ndarray) -> tuple[float, float, float]:
    """All three scores."""
    return (
        published.aji(true, pred),
        published.aji_plus(true, pred),
        published.panoptic(true, pred),
    )


def main() -> None:
    """Parse the command line and compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--edge", type=int, default=1000)
    parser.add_argument("--count", type=int, default=1000, help="nuclei")
    args = parser.parse_args()
    true = crowd(args.edge, args.count)
    pred = damaged(true, seed=1)
    print(f"{args.edge} x {args.edge} px, {true.max()} true and {pred.max()} predicted nuclei")
    new, fast = timed(lambda: ours(true, pred), repeats=5)
    old, slow = timed(lambda: theirs(true, pred))
    _, whole = timed(lambda: evaluate(true, pred), repeats=5)
    apart = max(abs(a - b) for a, b in zip(new, old, strict=True))
    print(f"AJI {new[0]:.4f}  AJI+ {new[1]:.4f}  PQ {new[2]:.4f}  (apart by {apart:.1e})")
    print(f"published way {slow:8.3f} s\none table     {fast:8.3f} s")
    print(f"with Dice and the outcome of each nucleus {whole:.3f} s")
    print(f"ratio {slow / fast:.0f} x (wanted {WANTED} x)")


if __name__ == "__main__":
    main()
