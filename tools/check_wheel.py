"""Make an image with known nuclei, and check what an installed wheel made of it.

    python tools/check_wheel.py make IMAGE TRUTH.npy
    python tools/check_wheel.py check IMAGE TRUTH.npy RESULTS
    python tools/check_wheel.py picture PICTURE

Used by tools/check-wheel.sh; exits with a message when something is wrong.
"""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import cv2
import numpy as np
import tifffile
from scipy.io import loadmat

import napari_hovernet as nh
from napari_hovernet.core.synthetic import tissue

EDGE = 512
SEED = 7
LEAST_AJI = 0.45
"""Generated tissue is no real tissue: enough to know that the pipeline is whole."""
LEAST_COLOURS = 200
"""A picture of a viewer with layers has more; a black or empty canvas has fewer."""


def make(image: Path, truth: Path) -> None:
    """Write a generated tissue as PNG, and its labels."""
    made = tissue(shape=(EDGE, EDGE), seed=SEED)
    cv2.imwrite(str(image), cv2.cvtColor(made.image, cv2.COLOR_RGB2BGR))
    np.save(truth, made.labels)


def check(image: Path, truth: Path, results: Path) -> None:
    """Read every result file back; they must agree with each other and with the truth."""
    labels = tifffile.imread(one(results, "*.tif*"))
    n = int(labels.max())
    score = nh.evaluate(np.load(truth), labels.astype(np.int32))
    say(f"{image.name}: {n} nuclei, AJI {score.aji:.3f}, PQ {score.pq:.3f}")
    expect(score.aji >= LEAST_AJI, f"AJI is {score.aji:.3f}, wanted at least {LEAST_AJI}")

    features = json.loads(one(results, "*.geojson").read_text())
    features = features["features"] if isinstance(features, dict) else features
    expect(len(features) == n, f"GeoJSON holds {len(features)} nuclei, the labels {n}")
    nuclei = json.loads(one(results, "*.json").read_text())["nuc"]
    expect(len(nuclei) == n, f"JSON holds {len(nuclei)} nuclei, the labels {n}")
    with one(results, "*.csv").open(newline="") as file:
        rows = sum(1 for _ in csv.DictReader(file))
    expect(rows == n, f"CSV holds {rows} nuclei, the labels {n}")
    instances = loadmat(one(results, "*.mat"))["inst_map"]
    expect(np.array_equal(instances, labels), "MAT and label TIFF differ")


def picture(path: Path) -> None:
    """Refuse a screenshot that shows nothing."""
    pixels = cv2.imread(str(path))
    expect(pixels is not None, f"{path} is no picture")
    colours = len(np.unique(pixels.reshape(-1, 3), axis=0))
    say(f"{path.name}: {pixels.shape[1]} x {pixels.shape[0]}, {colours} colours")
    expect(colours >= LEAST_COLOURS, f"{path} shows only {colours} colours: an empty canvas?")


def one(folder: Path, pattern: str) -> Path:
    """Return the only file below ``folder`` that fits."""
    found = sorted(folder.rglob(pattern))
    expect(len(found) == 1, f"{folder} holds {len(found)} files {pattern}, wanted one: {found}")
    return found[0]


def expect(true: bool, otherwise: str) -> None:
    """Stop with a message unless ``true``."""
    if not true:
        raise SystemExit(f"check failed: {otherwise}")


def say(text: str) -> None:
    """Print one line."""
    sys.stdout.write(f"{text}\n")


def main() -> None:
    """Run the step named on the command line."""
    steps = {"make": make, "check": check, "picture": picture}
    if len(sys.argv) < 2 or sys.argv[1] not in steps:
        raise SystemExit(__doc__)
    steps[sys.argv[1]](*map(Path, sys.argv[2:]))


if __name__ == "__main__":
    main()
