"""How long the whole diagnosis of a model takes, when the first findings come, and a cancel.

    python benchmarks/diagnose.py                 # 20 validation images, the model of the start
    python benchmarks/diagnose.py --model compact
    python benchmarks/diagnose.py --model fast    # a hover_net never trained, four crops of 256 px

Wanted: all checks within 60 CPU seconds, first findings within 5. Cancelling takes effect
between two steps, so the longest step is how long it can take.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections import Counter

import numpy as np
from faults_common import SHARED, fast
from PIL import Image

import napari_hovernet as nh
from napari_hovernet.core.data.items import dataset_of_arrays
from napari_hovernet.core.diagnosis.bench import Bench
from napari_hovernet.core.diagnosis.case import Case, Predictor, Separator
from napari_hovernet.core.diagnosis.engine import Found, diagnose_steps
from napari_hovernet.core.losses import HoverLoss

MOST_S, FIRST_S = 60.0, 5.0
"""Seconds that are wanted at most."""
SHOWN = 8


def main() -> int:
    """Print the figures; exit 1 if one is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=20)
    parser.add_argument("--model", default="lite-typed")
    options = parser.parse_args()
    slow = options.model == "fast"
    model = fast() if slow else nh.load_model(options.model)  # loading is not measured
    with open(SHARED / "data" / "index.csv", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "val"]
    rows = rows[: 4 if slow else options.images]
    images, labels = ([np.asarray(Image.open(SHARED / "data" / row[name])) for row in rows]
                      for name in ("path", "label"))  # fmt: skip
    if slow:
        images, labels = ([a[:256, :256] for a in stack] for stack in (images, labels))
    began = time.process_time()
    case = Case(
        dataset_of_arrays(image=images, labels=labels),
        predictor=Predictor.of(model),
        separator=Separator.of("local"),
        loss=HoverLoss(),
        augmentation="ours",
    )
    steps = diagnose_steps(Bench(case))
    spent: Counter[str] = Counter()
    first, longest, where = None, 0.0, ""
    while True:
        now = time.process_time()
        try:
            step = next(steps)
        except StopIteration as stop:
            report = stop.value
            break
        took = time.process_time() - now
        spent[step.message] += took
        if took > longest:
            longest, where = took, step.message
        if first is None and isinstance(step, Found):
            first = time.process_time() - began
    total = time.process_time() - began
    found = f"{len(report.faults)} faults, {len(report.warnings)} warnings"
    print(f"{len(images)} images, {len(report.findings)} findings ({found}): {total:.1f} CPU s")
    print(f"first findings after {first:.1f} s; longest step {longest:.2f} s ({where})")
    for name, seconds in spent.most_common(SHOWN):
        print(f"  {seconds:6.2f} s  {name}")
    return int(total > MOST_S or (first or 0.0) > FIRST_S)


if __name__ == "__main__":
    raise SystemExit(main())
