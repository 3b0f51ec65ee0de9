"""What a training run is drawn and judged by: curves, words, outcome, before and after; no Qt."""

from __future__ import annotations

import math
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..core.params import LOSS_TERMS
from ..core.types import Int32, Progress, UInt8
from ..errors import InputError
from .watch import FAILURES, duration

if TYPE_CHECKING:
    from ..core.training.files import RunFolder
    from .jobs import Steps
    from .runs import RunInfo
    from .segment import RunRequest
    from .watch import EpochRow, RunView

Floats = npt.NDArray[np.float64]
RGB = tuple[int, int, int]

ORANGE, SKY, GREEN, YELLOW = (230, 159, 0), (86, 180, 233), (0, 158, 115), (225, 210, 60)
BLUE, RED, PINK, GREY = (70, 140, 215), (213, 94, 0), (204, 121, 167), (140, 140, 150)
"""Okabe and Ito's colours, which colour-blind eyes tell apart; two a little brighter."""
MOST_POINTS = 1500
"""Points that are drawn of one line; more are averaged in blocks."""
LEAST_GAIN = 0.005
"""AJI that has to be gained before a model is called better: less is chance on few images."""


@dataclass(frozen=True)
class Line:
    """One line of a plot."""

    column: str  # Of a series of a ``RunView``: "steps.total", "heads.np", "epochs.aji"
    title: str
    color: RGB
    base: bool = False  # Dashed: what a score is to be held against


@dataclass(frozen=True)
class PlotKind:
    """One plot: its title, the title of its axis, its lines, and what it tells."""

    title: str
    axis: str
    lines: tuple[Line, ...]
    help: str
    log: bool = False
    limits: tuple[float, float] | None = None
    on_page: bool = True  # Whether reports show it, too


CYCLE = (SKY, ORANGE, GREEN, PINK, GREY, YELLOW, BLUE)
"""Colours of terms and heads, by their place."""


def _terms(prefix: str) -> tuple[Line, ...]:
    terms = enumerate(LOSS_TERMS.items())
    return tuple(Line(prefix + name, t.title, CYCLE[i % len(CYCLE)]) for i, (name, t) in terms)


# fmt: off
PLOTS = (
    PlotKind("AJI and magnitude", "0 to 1",
             (Line("epochs.aji", "AJI", ORANGE), Line("epochs.magnitude", "magnitude", SKY),
              Line("epochs.true_magnitude", "its target", GREEN, base=True)),
             "On the validation images: nuclei found (AJI), and mean length of HV in nuclei, "
             "beside that of the truth.", limits=(0.0, 1.0), on_page=False),
    PlotKind("AJI and PQ", "score",
             (Line("epochs.aji", "AJI", ORANGE), Line("epochs.pq", "PQ", SKY),
              Line("epochs.cc_aji", "connected components", GREY, base=True),
              Line("epochs.oracle_aji", "oracle", GREEN, base=True)),
             "Nuclei found, beside what connected components get without HV, and what the true "
             "maps get through the same separation (oracle).", limits=(0.0, 1.0)),
    PlotKind("HV magnitude inside nuclei", "0 to 1",
             (Line("steps.magnitude", "training", SKY),
              Line("epochs.magnitude", "validation", ORANGE),
              Line("epochs.true_magnitude", "truth", GREEN, base=True)),
             "Below 0.10 after 5 epochs: investigate; above 0.25: go on; above 0.50 at the end.",
             limits=(0.0, 1.0)),
    PlotKind("Direction of HV", "cosine", (Line("epochs.cosine", "cosine", ORANGE),),
             "1 = HV points where it should, 0 = anywhere, -1 = the wrong sign. Length alone does "
             "not cut nuclei apart.", limits=(-0.1, 1.0)),
    PlotKind("Loss", "loss",
             (Line("epochs.train_total", "training", SKY),
              Line("epochs.loss", "validation", ORANGE)),
             "Means of an epoch. Validation that rises while training falls is learnt by heart.",
             log=True),
    PlotKind("Loss terms", "loss", (*_terms("steps."), Line("steps.total", "total", RED)),
             "Each term as it is, before its weight; the total with the weights.", log=True),
    PlotKind("Loss shares", "share", _terms("steps.share_"),
             "Each term with its weight, as a share of the total: which one drowns the others?",
             limits=(0.0, 1.0)),
    PlotKind("Gradient per head", "share",
             (Line("heads.np", "NP", SKY), Line("heads.hv", "HV", ORANGE),
              Line("heads.nt", "types", GREY)),
             "Share of the gradient's norm that each head's loss puts on the common trunk.",
             limits=(0.0, 1.0)),
    PlotKind("HV error", "squared error",
             (Line("epochs.hv_mse", "model", ORANGE),
              Line("epochs.hv_zero_mse", "a map of zeros", GREY, base=True)),
             "Mean squared error of HV in nuclei, beside that of a map that is 0 everywhere."),
    PlotKind("Dice of NP", "Dice",
             (Line("epochs.dice", "model", SKY),
              Line("epochs.all_foreground_dice", "all foreground", GREY, base=True)),
             "Overlap of nucleus pixels, beside that of calling every pixel nucleus.",
             limits=(0.0, 1.0)),
    PlotKind("Learning rate", "learning rate", (Line("steps.lr", "learning rate", SKY),),
             "As the schedule has it.", log=True),
    PlotKind("Speed", "crops per second", (Line("steps.images_per_s", "speed", SKY),),
             "Crops that went through a training step, per second.", on_page=False),
)
"""Plots in the order in which they are offered; the first is shown at first."""
# fmt: on


def points(view: RunView, line: Line, most: int = MOST_POINTS) -> tuple[Floats, Floats]:
    """Return where a line's points lie, in epochs, and their values; NaN where not known."""
    series, _, column = line.column.partition(".")
    table = getattr(view, series)
    values = table[column]
    if not np.isfinite(values).any():
        return np.zeros(0), np.zeros(0)
    x = table["epoch"] if series == "epochs" else table["step"] / max(view.steps_per_epoch, 1)
    return thinned(x, values, most)


def thinned(x: Floats, y: Floats, most: int) -> tuple[Floats, Floats]:
    """Return at most ``most`` points: means of neighbours where there are more, and the last."""
    if len(x) <= most:
        return x, y
    x, y = x[np.isfinite(y)], y[np.isfinite(y)]
    block = max(math.ceil((len(x) - 1) / max(most - 1, 1)), 1)
    whole = (len(x) - 1) // block * block
    means = [v[:whole].reshape(-1, block).mean(axis=1) for v in (x, y)]
    return np.append(means[0], x[-1]), np.append(means[1], y[-1])


@dataclass(frozen=True)
class Outcome:
    """Whether a training was of use: AJI on the validation images before and after."""

    before: float
    after: float
    epoch: int  # Of the best model after training
    model: Path  # Its file

    @property
    def better(self) -> bool:
        """Whether the model has become better by more than chance."""
        return self.after - self.before >= LEAST_GAIN

    @property
    def words(self) -> str:
        """One sentence."""
        told = "better" if self.better else "not better"
        return f"AJI before {self.before:.3f}, after {self.after:.3f}: {told}."


def outcome(view: RunView) -> Outcome | None:
    """Compare the model before training with the best one after it, or the last where none is."""
    trained = [row for row in view.rows if row.epoch > 0 and not math.isnan(row.score("aji"))]
    first = next((row for row in view.rows if row.epoch == 0), None)
    if first is None or not trained or math.isnan(first.score("aji")):
        return None
    best, kept = view.best, {file.kind: file for file in view.checkpoints}
    row: EpochRow = best if best is not None and best.epoch > 0 else trained[-1]
    file = kept.get("best" if row is best else "last")
    if file is None:
        return None
    return Outcome(first.score("aji"), row.score("aji"), row.epoch, file.path)


def state_words(info: RunInfo | None, view: RunView | None) -> tuple[str, str]:
    """Say in a line or two what a run does and how far it is, and in which tone."""
    if info is None:
        return "", ""
    if info.state in FAILURES:
        return _trouble(info, view), "bad"
    if view is None:
        return f"{info.name}: reading ...", ""
    parts = [f"{info.state}"]
    if view.epoch and view.n_epochs and view.active:
        parts.append(f"epoch {min(view.epoch, view.n_epochs)} of {view.n_epochs}")
    elif view.rows:
        parts.append(f"{view.rows[-1].epoch} of {view.n_epochs} epochs")
    if view.active and not math.isnan(view.eta_s):
        parts.append(f"{duration(view.eta_s)} left")
    elif not view.active and not math.isnan(view.seconds):
        parts.append(f"took {duration(view.seconds)}")
    found, tone = outcome(view), ""
    said = info.message
    if found is not None and view.active:
        said = f"AJI before {found.before:.3f}, now {found.after:.3f}."
    elif found is not None:
        said, tone = found.words, "good" if found.better else "warn"
    return "\n".join(filter(None, (" · ".join(parts), said))), tone


def _trouble(info: RunInfo, view: RunView | None) -> str:
    """Say what happened to a run that ended badly, and what can be done."""
    lines = [info.message or "It ended without a word."]
    if view is not None and view.error.rstrip(".") not in lines[0]:
        lines.append(view.error)
    if view is not None and view.error_term:
        lines.append(f"The term that became NaN: {view.error_term}.")
    if info.can_resume:
        lines.append("Resume goes on from the last good checkpoint.")
    return f"{info.state}: {' '.join(lines)}"


# --- before and after ------------------------------------------------------------------


def kept_arrays(path: Path, *names: str) -> tuple[npt.NDArray[Any], ...] | None:
    """Read arrays that a run has kept; None where that cannot be done. No code in them is run."""
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as stored:
            return tuple(stored[name] for name in names)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None


@dataclass(frozen=True, eq=False)
class Side:
    """One of the two pictures: the image with outlines, and what it shows."""

    caption: str
    picture: UInt8  # uint8 (H, W, 3)
    labels: Int32  # int32 (H, W)


@dataclass(frozen=True, eq=False)
class Pair:
    """Two sides of one image, and what came of it in a sentence."""

    before: Side
    after: Side
    words: str


def pair_of(
    image: Any, before: tuple[str, Int32], after: tuple[str, Int32], truth: Int32 | None = None
) -> Pair:
    """Put two results over one image; scores only against a truth."""
    from ..core.measure.metrics import evaluate  # noqa: PLC0415 - on first use
    from .figures import outlined  # noqa: PLC0415

    sides: list[Side] = []
    scores: list[float] = []
    for name, labels in (before, after):
        n = len(np.unique(labels)) - int((labels == 0).any())
        words = [name, f"{n:,} nuclei"]
        if truth is not None:
            scores.append(evaluate(truth, labels).aji)
            words.append(f"AJI {scores[-1]:.3f}")
        sides.append(Side(" · ".join(words), outlined(image, labels), labels))
    if np.array_equal(before[1], after[1]):
        told = "Both give the very same nuclei."
    elif scores:
        told = f"AJI on this image: before {scores[0]:.3f}, after {scores[1]:.3f}."
    else:
        changed = float(((before[1] > 0) != (after[1] > 0)).mean())
        told = f"Nucleus or not differs in {changed:.1%} of the pixels."
    return Pair(sides[0], sides[1], told)


def pinned_steps(folder: RunFolder, before: int, after: int) -> Steps[Pair]:
    """Compare two epochs on the validation image whose maps a run keeps; nothing is run."""
    yield Progress(0, 0, "Reading ...")
    pinned, drawn = kept_arrays(folder.pinned, "image", "truth"), []
    for epoch in (before, after):
        kept = kept_arrays(folder.preview_of(epoch), "labels")
        if pinned is None or kept is None:
            raise InputError(f"{folder.name} has kept no picture of epoch {epoch}; take another.")
        drawn.append((f"epoch {epoch}" if epoch else "before", kept[0]))
    image, truth = pinned or ()
    return pair_of(image, drawn[0], drawn[1], truth)


def models_steps(
    request: RunRequest, models: tuple[str, str], truth: Int32 | None = None
) -> Steps[Pair]:
    """Run both models on one image, and cut both alike; ``truth`` int32 of the region's size."""
    from ..core.inference.images import as_source  # noqa: PLC0415 - imports torch
    from .segment import ModelShelf, run_steps  # noqa: PLC0415

    shelf, drawn = ModelShelf(), []
    for name, model in zip(("before", "after"), models, strict=True):
        result = yield from run_steps(replace(request, model=model), shelf)
        drawn.append((name, result.labels))
    source = as_source(request.image)
    r0, r1, c0, c1 = request.box or (0, source.shape[0], 0, source.shape[1])
    fits = truth is not None and truth.shape == (r1 - r0, c1 - c0)
    return pair_of(source.read(r0, r1, c0, c1), drawn[0], drawn[1], truth if fits else None)
