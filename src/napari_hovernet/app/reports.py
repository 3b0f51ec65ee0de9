"""A training run as one HTML page that needs nothing else."""

from __future__ import annotations

import base64
import json
import math
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..core.io.files import SHOWN_AS, atomic_path
from ..core.measure.compare import OUTCOME_COLORS
from ..core.measure.magnitude import MagnitudeBands
from ..core.measure.metrics import evaluate
from ..core.params import TrainConfig, config_as_dict
from ..core.training.files import RunFolder
from ..core.types import Float32, Int32
from ..errors import UserError
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
from .pages import render, rgb
from .training import command_line
from .watch import EpochRow, RunView, RunWatch

EPOCHS = (0, 5)
"""Epochs that are shown beside the last one."""
EDGE = 320
"""Edge of the part that is shown, pixels of the image."""
IMAGE = Path("preview") / "image.npz"


@dataclass(frozen=True, eq=False)
class Pinned:
    """The pinned image."""

    image: npt.NDArray[np.uint8]  # uint8 (H, W, 3)
    truth: Int32  # int32 (H, W)


@dataclass(frozen=True, eq=False)
class Moment:
    """The pinned image after one epoch."""

    epoch: int
    hv: Float32  # float32 (2, H, W)
    labels: Int32  # int32 (H, W)


@dataclass(frozen=True)
class Shot:
    """Two small pictures of one epoch, as PNG."""

    epoch: int
    outcomes: bytes
    magnitude: bytes
    n_true: int  # Nuclei of the whole pinned image
    n_pred: int  # Nuclei of the whole pinned image
    n_matched: int  # Nuclei of the whole pinned image
    aji: float  # Of the pinned image


def read_pinned(folder: Path) -> Pinned | None:
    """Read the pinned image of a run; None if it is not there or not readable."""
    found = _arrays(folder / IMAGE, ("image", "truth"))
    if (
        found is None
        or found["image"].ndim != 3
        or found["image"].shape[:2] != found["truth"].shape
    ):
        return None
    return Pinned(found["image"].astype(np.uint8), found["truth"].astype(np.int32))


def read_moment(path: Path, epoch: int) -> Moment | None:
    """Read the maps kept after an epoch; None if they are not there or not readable."""
    found = _arrays(path, ("hv", "labels"))
    if found is None or found["hv"].shape != (2, *found["labels"].shape):
        return None
    return Moment(epoch, found["hv"].astype(np.float32), found["labels"].astype(np.int32))


def shots_of(view: RunView, folder: Path) -> tuple[Shot, ...]:
    """Make the pictures of the epochs 0, 5 and the last, as far as they were kept.

    All show the part of the image where most went wrong in the first of them.
    """
    pinned = read_pinned(folder)
    if pinned is None:
        return ()
    moments = [moment for moment in map(_read, _chosen(view)) if moment is not None
               and moment.labels.shape == pinned.truth.shape]  # fmt: skip
    if not moments:
        return ()
    first = moments[0]
    outcomes = evaluate(pinned.truth, first.labels).outcomes
    window = worst_window(pinned.truth, first.labels, outcomes, EDGE)
    return tuple(_shot(pinned, moment, window) for moment in moments)


def _chosen(view: RunView) -> Sequence[tuple[int, Path]]:
    kept = {file.epoch: file.path for file in view.previews}
    epochs = sorted({epoch for epoch in (*EPOCHS, max(kept, default=0)) if epoch in kept})
    return [(epoch, kept[epoch]) for epoch in epochs]


def _read(choice: tuple[int, Path]) -> Moment | None:
    return read_moment(choice[1], choice[0])


def _shot(pinned: Pinned, moment: Moment, window: Window) -> Shot:
    found = evaluate(pinned.truth, moment.labels)
    part = window.slices
    truth = np.ascontiguousarray(pinned.truth[part])
    labels = np.ascontiguousarray(moment.labels[part])
    magnitude = np.hypot(moment.hv[0], moment.hv[1])[part].astype(np.float32)
    params = PictureParams(window=EDGE)
    counts = found.outcomes.counts()
    return Shot(
        moment.epoch,
        png_bytes(outcome_picture(pinned.image[part], (truth, labels), found.outcomes, params)),
        png_bytes(magnitude_picture(magnitude, truth, params)),
        len(found.outcomes.true_ids),
        len(found.outcomes.pred_ids),
        counts["matched"],
        float(found.aji),
    )


def _arrays(path: Path, names: Sequence[str]) -> dict[str, npt.NDArray[Any]] | None:
    """Read arrays of numbers; never anything that runs code."""
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as stored:
            return {name: stored[name] for name in names}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None


TEMPLATE = "run.html"
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
    with atomic_path(folder.report) as temporary:
        temporary.write_text(page, encoding="utf-8", errors=SHOWN_AS)
    return folder.report


def render_run(view: RunView, folder: RunFolder) -> str:
    """Return the report."""
    return render(TEMPLATE, **_context(view, folder))


def _context(view: RunView, folder: RunFolder) -> dict[str, Any]:
    config, problem = _config(folder)
    best = view.best
    before = next((row for row in view.rows if row.epoch == 0), None)
    notes = view.start.get("notes")
    return {
        "run": view,
        "start": view.start,
        "config": config,
        "how": json.dumps(config_as_dict(config), indent=2) if config else "",
        "command": command_line(config) if config else "",
        "problem": problem,
        "notes": [str(note) for note in notes] if isinstance(notes, list) else [],
        "best": best,
        "headline": [_scale(best, before, entry) for entry in HEADLINE] if best else [],
        "charts": [(chart, _data(svg_of(chart).encode(), "svg+xml")) for chart in charts_of(view)],
        "rows": view.rows,
        "has_instances": any("aji" in row.val for row in view.rows),
        "shots": [_shown(shot) for shot in shots_of(view, folder.path)],
        "outcomes": [(name, rgb(colour)) for name, colour in OUTCOME_COLORS.items()],
        "colours": [rgb(colour) for colour in magnitude_colours(STOPS)],
        "limits": MAGNITUDE_LIMITS,
        "bands": MagnitudeBands(),
        "files": [path.name for path in (folder.best, folder.last) if path.exists()]
        + [f"checkpoints/{file.path.name}" for file in view.checkpoints if file.kind == "epoch"],
    }


def _config(folder: RunFolder) -> tuple[TrainConfig | None, str]:
    try:
        return folder.read_config(), ""
    except UserError as error:
        return None, str(error)


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
    return None if math.isnan(value) else round(100 * min(max(value, 0.0), 1.0), 2)


def _shown(shot: Shot) -> dict[str, Any]:
    pictures = {"outcomes": _data(shot.outcomes), "magnitude": _data(shot.magnitude)}
    return {**vars(shot), **pictures}


def _data(picture: bytes, kind: str = "png") -> str:
    return f"data:image/{kind};base64,{base64.b64encode(picture).decode('ascii')}"
