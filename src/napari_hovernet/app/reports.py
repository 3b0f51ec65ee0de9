"""A training run as one HTML page that needs nothing else."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..core.io.files import write_whole
from ..core.measure.compare import OUTCOME_COLORS
from ..core.measure.magnitude import MagnitudeBands
from ..core.measure.metrics import evaluate
from ..core.params import config_as_dict
from ..core.training.files import RunFolder
from ..errors import UserError
from .curves import kept_arrays
from .figures import (
    MAGNITUDE_LIMITS,
    PictureParams,
    Window,
    charts_of,
    magnitude_colours,
    magnitude_picture,
    outcome_picture,
    png_bytes,
    svg_of,
    worst_window,
)
from .pages import place, png, render, rgb
from .training import command_line
from .watch import EpochRow, RunView, RunWatch

EPOCHS = (0, 5)
"""Epochs that are shown beside the last one."""
EDGE = 320
"""Edge of the part that is shown, pixels of the image."""


@dataclass(frozen=True)
class Shot:
    """Two small pictures of one epoch, as PNG."""

    epoch: int
    outcomes: bytes
    magnitude: bytes
    n_true: int  # Nuclei of the whole pinned image
    n_pred: int
    n_matched: int
    aji: float  # Of the pinned image


def shots_of(view: RunView, folder: RunFolder) -> tuple[Shot, ...]:
    """Make the pictures of the epochs 0, 5 and the last, as far as they were kept.

    All show the part of the image where most went wrong in the first of them.
    """
    pinned = kept_arrays(folder.pinned, "image", "truth")
    if pinned is None or pinned[0].shape[:2] != pinned[1].shape or pinned[0].ndim != 3:
        return ()
    image, truth = pinned[0].astype(np.uint8), pinned[1].astype(np.int32)
    kept = {file.epoch: file.path for file in view.previews}
    shots: list[Shot] = []
    window: Window | None = None
    for epoch in sorted({*EPOCHS, max(kept, default=0)} & set(kept)):
        hv, labels = kept_arrays(kept[epoch], "hv", "labels") or (truth, truth)
        if labels.shape != truth.shape or hv.shape != (2, *truth.shape):
            continue
        labels = labels.astype(np.int32)
        found = evaluate(truth, labels)
        window = window or worst_window(truth, labels, found.outcomes, EDGE)
        part, params = window.slices, PictureParams(window=EDGE)
        true, own = (np.ascontiguousarray(plane[part]) for plane in (truth, labels))
        magnitude = np.hypot(*hv.astype(np.float32))[part]
        shots.append(Shot(
            epoch,
            png_bytes(outcome_picture(image[part], (true, own), found.outcomes, params)),
            png_bytes(magnitude_picture(magnitude, true, params)),
            len(found.outcomes.true_ids), len(found.outcomes.pred_ids),
            found.outcomes.counts()["matched"], float(found.aji),
        ))  # fmt: skip
    return tuple(shots)


STOPS = 9
"""Colours of the scale bar."""
HEADLINE = (
    ("aji", "AJI", "cc_aji", "connected components", "oracle_aji", "oracle"),
    ("dice", "Dice", "all_foreground_dice", "all foreground", "", ""),
    ("magnitude", "HV magnitude inside nuclei", "", "", "true_magnitude", "truth"),
    ("cosine", "HV direction (cosine)", "", "", "", ""),
)
"""Scores with a scale of their own: key, title, and what stands beside them."""


def write_report(folder: RunFolder) -> Path:
    """Write the report of a run as it stands now, and return where it is."""
    page = render_run(RunWatch(folder).catch_up(), folder)
    write_whole(folder.report, page)
    return folder.report


def render_run(view: RunView, folder: RunFolder) -> str:
    """Return the report."""
    config, problem, best = None, "", view.best
    try:
        config = folder.read_config()
    except UserError as error:
        problem = str(error)
    before = next((row for row in view.rows if row.epoch == 0), None)
    notes = view.start.get("notes")
    context = {
        "run": view,
        "start": view.start,
        "config": config,
        "how": json.dumps(config_as_dict(config), indent=2) if config else "",
        "command": command_line(config) if config else "",
        "problem": problem,
        "notes": [str(note) for note in notes] if isinstance(notes, list) else [],
        "best": best,
        "headline": [_scale(best, before, entry) for entry in HEADLINE] if best else [],
        "charts": [(chart, png(svg_of(chart).encode(), "svg+xml")) for chart in charts_of(view)],
        "rows": view.rows,
        "has_instances": any("aji" in row.val for row in view.rows),
        "shots": [
            {**vars(s), "outcomes": png(s.outcomes), "magnitude": png(s.magnitude)}
            for s in shots_of(view, folder)
        ],
        "outcomes": [(name, rgb(colour)) for name, colour in OUTCOME_COLORS.items()],
        "colours": [rgb(colour) for colour in magnitude_colours(STOPS)],
        "limits": MAGNITUDE_LIMITS,
        "bands": MagnitudeBands(),
        "files": [path.name for path in (folder.best, folder.last) if path.exists()]
        + [f"checkpoints/{file.path.name}" for file in view.checkpoints if file.kind == "epoch"],
    }
    return render("run.html", **context)


def _scale(best: EpochRow, before: EpochRow | None, entry: tuple[str, ...]) -> dict[str, Any]:
    """Return a score of the best epoch and what stands beside it, as places in percent of 0..1."""
    key, title, base, base_name, top, top_name = entry
    value = best.score(key)
    earlier = before.score(key) if before is not None and before is not best else math.nan
    return {
        "title": title,
        "value": value,
        "at": _place(value),
        "before": earlier,
        "before_at": _place(earlier),
        "base": best.score(base) if base else math.nan,
        "base_at": _place(best.score(base)) if base else None,
        "base_name": base_name,
        "best": best.score(top) if top else math.nan,
        "best_at": _place(best.score(top)) if top else None,
        "best_name": top_name,
    }


def _place(value: float) -> float | None:
    return None if math.isnan(value) else place(value)
