"""Generated images, labels and targets to plant faults in, and real ones."""

from __future__ import annotations

import csv
from functools import cache
from typing import Any

import numpy as np
from PIL import Image
from scipy import ndimage

from napari_hovernet.core.diagnosis.engine import diagnose
from napari_hovernet.core.diagnosis.params import DiagnosisParams
from napari_hovernet.core.diagnosis.report import FAULT, WARN
from napari_hovernet.core.diagnosis.setup import Setup
from napari_hovernet.core.hv import hv_targets
from napari_hovernet.core.synthetic import tissue

PARAMS = DiagnosisParams(families=("data",), n_places=3)


@cache
def made(n=4, edge=256):
    """Arguments of ``diagnose``: generated tissue with types."""
    all_ = [tissue((edge, edge), seed=i) for i in range(n)]
    return {
        "images": [t.image for t in all_],
        "labels": [t.labels for t in all_],
        "types": [np.concatenate(([0], t.types))[t.labels].astype(np.int32) for t in all_],
        "n_types": 6,
    }


@cache
def targets(n=4):
    """Arguments of ``diagnose``: the same with stored targets, no types."""
    given = made(n)
    return {
        "images": given["images"],
        "labels": given["labels"],
        "hv": [hv_targets(a) for a in given["labels"]],
        "np": [(a > 0).astype(np.uint8) for a in given["labels"]],
    }


@cache
def real(folder, split, n):
    """Images and labels of the reference data, evenly spread."""
    with open(folder / "data" / "index.csv", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == split]
    rows = [rows[i * len(rows) // n] for i in range(min(n, len(rows)))]
    read = lambda name: np.asarray(Image.open(folder / "data" / name))  # noqa: E731
    return {
        "images": [read(row["path"])[..., :3] for row in rows],
        "labels": [read(row["label"]).astype(np.int32) for row in rows],
    }


def look(given, **changes):
    """Report on a case with some arguments changed."""
    setup = changes.pop("setup", None)
    return diagnose(**{**given, **changes}, params=PARAMS, setup=setup)


def wrong(report):
    """Findings that are faults or warnings, as (id, verdict)."""
    return [(f.id, f.verdict) for f in report.findings if f.verdict in (FAULT, WARN)]


def mended(given, report, **changes):
    """Verdict of the first finding's own check after its remedy."""
    first = report.first
    again = look(given, **changes, setup=Setup().applied(first.remedy))
    return again.get(first.id).verdict


def rolled(array, rows, cols):
    """Move the last two axes, wrapping round."""
    return np.roll(array, (rows, cols), (-2, -1))


def components(labels: Any) -> Any:
    """Number the connected areas of a mask."""
    return ndimage.label(labels > 0)[0].astype(np.int32)


def every(name, change):
    """Return a function that changes one stack of a case."""
    return lambda given: {name: [change(a) for a in given[name]]}
