"""Pictures of what a run kept of its pinned image: nuclei by what became of them, and magnitude."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..core.metrics import evaluate
from ..core.pictures import (
    PictureParams,
    Window,
    magnitude_picture,
    outcome_picture,
    png_bytes,
    worst_window,
)
from ..core.types import Float32, Int32
from .run_view import RunView

EPOCHS = (0, 5)
"""Epochs that are shown beside the last one."""
EDGE = 320
"""Edge of the part that is shown, pixels of the image."""
IMAGE = Path("preview") / "image.npz"


@dataclass(frozen=True, eq=False)
class Pinned:
    """The pinned image.

    Parameters
    ----------
    image : uint8 (H, W, 3)
    truth : int32 (H, W)
    """

    image: npt.NDArray[np.uint8]
    truth: Int32


@dataclass(frozen=True, eq=False)
class Moment:
    """The pinned image after one epoch.

    Parameters
    ----------
    epoch : int
    hv : float32 (2, H, W)
    labels : int32 (H, W)
    """

    epoch: int
    hv: Float32
    labels: Int32


@dataclass(frozen=True)
class Shot:
    """Two small pictures of one epoch, as PNG.

    Parameters
    ----------
    epoch : int
    outcomes, magnitude : bytes
    n_true, n_pred, n_matched : int
        Nuclei of the whole pinned image.
    aji : float
        Of the pinned image.
    """

    epoch: int
    outcomes: bytes
    magnitude: bytes
    n_true: int
    n_pred: int
    n_matched: int
    aji: float


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
