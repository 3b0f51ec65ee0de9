"""Time of the blob check, and how often it is right.

    python benchmarks/blob_report.py --edge 2000 --count 4000
    python benchmarks/blob_report.py --data FOLDER

CPU time, warm, on planted maps; wanted: 0.5 s at 2000 x 2000 with 4,000 nuclei. With
--data: per split of FOLDER/index.csv (columns split and label, the path of a label image
in FOLDER), what is suspected of the true labels, and of their connected components taken
as instances, which hold a known number of true nuclei; with planted HV and without.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np
from scene import crowd, timed
from skimage.io import imread

from napari_hovernet.core.masks import label_parts
from napari_hovernet.core.measure.blobs import BlobReport, blob_report
from napari_hovernet.core.measure.metrics import contingency
from napari_hovernet.core.synthetic import planted_maps
from napari_hovernet.core.types import Maps

WANTED = 0.5


def speed(edge: int, count: int) -> None:
    """Print the time for true labels and for connected components."""
    truth = crowd(edge, count)
    maps = planted_maps(truth)
    small = crowd(128, 16)
    blob_report(planted_maps(small), small)  # compile
    print(f"{edge} x {edge} px, {truth.max()} nuclei")
    for name, labels in (("true labels", truth), ("components", label_parts(truth > 0)[0])):
        report, seconds = timed(lambda labels=labels: blob_report(maps, labels), repeats=3)
        print(f"{name:14}{seconds:8.3f} s   {report.summary}", flush=True)
    print(f"(wanted {WANTED} s)")


def accuracy(folder: Path) -> None:
    """Print what is suspected in the label images of a folder, by split."""
    with open(folder / "index.csv", encoding="utf-8", newline="") as file:
        index = list(csv.DictReader(file))
    print(f"{'':16}{'true':>8}{'1 in 1':>8}{'2 in 1':>8}{'3+ in 1':>8}{'right':>8}{'nuclei':>8}")
    for split in sorted({row["split"] for row in index}):
        paths = [folder / row["label"] for row in index if row["split"] == split]
        truths = [imread(path).astype(np.int32) for path in paths]
        for name, with_hv in (("planted HV", True), ("HV zero", False)):
            _row(f"{split}, {name}", [_judged(truth, with_hv) for truth in truths])
    print("share of components suspected; right: suspects that hold two or more;")
    print("nuclei: estimated for the suspects relative to true")


def _judged(truth: np.ndarray, with_hv: bool) -> tuple[np.ndarray, np.ndarray]:
    """Suspects (0, 1) of the truth; of its components: true nuclei, suspect, estimate."""
    maps = planted_maps(truth)
    if not with_hv:
        maps = Maps(np=maps.np, hv=np.zeros_like(maps.hv))
    plain = blob_report(maps, truth)
    merged, n = label_parts(truth > 0)
    held = np.bincount(contingency(truth, merged).pred, minlength=n)
    found = blob_report(maps, merged)
    return _suspects(plain)[:, 0], np.column_stack((held, _suspects(found)))


def _suspects(report: BlobReport) -> np.ndarray:
    table = np.zeros((report.n_components, 2))
    for row in report.rows:
        table[row.component - 1] = row.suspected, row.expected
    return table


def _row(name: str, judged: list[tuple[np.ndarray, np.ndarray]]) -> None:
    plain = np.concatenate([p for p, _ in judged])
    held, suspect, expected = np.concatenate([m for _, m in judged]).T
    hit = suspect > 0
    numbers = (
        plain.mean(),
        hit[held == 1].mean(),
        hit[held == 2].mean(),
        hit[held >= 3].mean(),
        (held[hit] >= 2).mean(),
        expected[hit].sum() / held[hit].sum(),
    )
    print(f"{name:20}{numbers[0]:4.3f}" + "".join(f"{x:8.3f}" for x in numbers[1:]), flush=True)


def main() -> None:
    """Parse the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--edge", type=int, default=2000)
    parser.add_argument("--count", type=int, default=4000, help="nuclei")
    parser.add_argument("--data", type=Path, help="folder with index.csv and label images")
    args = parser.parse_args()
    if args.data is None:
        speed(args.edge, args.count)
    else:
        accuracy(args.data)


if __name__ == "__main__":
    main()
