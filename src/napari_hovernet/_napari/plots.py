"""Which lines belong into which plot of a training run, and what the bounds are; no Qt."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..core.params import LOSS_TERMS

if TYPE_CHECKING:
    from ..app.watch import RunView

    Floats = npt.NDArray[np.float64]

ORANGE, SKY, GREEN, YELLOW = (230, 159, 0), (86, 180, 233), (0, 158, 115), (225, 210, 60)
BLUE, RED, PINK, GREY = (70, 140, 215), (213, 94, 0), (204, 121, 167), (140, 140, 150)
"""Okabe and Ito's colours, which colour-blind eyes tell apart; two a little brighter."""
COLLAPSED, GO_ON, HEALTHY = 0.10, 0.25, 0.50
"""Bounds of the mean magnitude in nuclei: looked into below the first after ``EARLY`` epochs,
gone on above the second; a trained network should reach the third."""
EARLY = 5
"""Epoch at which the first two bounds are asked about."""

MOST_POINTS = 1500
"""Points that are drawn of one line; more are averaged in blocks."""


@dataclass(frozen=True)
class PlotLine:
    """One line: its column, and how it looks.

    The column is named as in ``steps.total``, ``heads.np``, ``epochs.aji``: a series of a
    :class:`~napari_hovernet.app.watch.RunView`. ``quiet`` lines are thin (single steps);
    ``base`` lines are dashed (what a score is to be held against).
    """

    column: str
    title: str
    color: tuple[int, int, int]
    base: bool = False
    quiet: bool = False


@dataclass(frozen=True)
class PlotKind:
    """One plot: its title, the title of its axis, and its lines."""

    title: str
    axis: str
    lines: tuple[PlotLine, ...]
    help: str
    log: bool = False
    percent: bool = False
    limits: tuple[float, float] | None = None
    bounds: bool = False


CYCLE = (SKY, ORANGE, GREEN, PINK, GREY, YELLOW, BLUE)
"""Colours of terms and heads, by their place."""


def _terms(prefix: str) -> tuple[PlotLine, ...]:
    return tuple(
        PlotLine(prefix + name, term.title, CYCLE[i % len(CYCLE)])
        for i, (name, term) in enumerate(LOSS_TERMS.items())
    )


PLOTS = (
    PlotKind(
        "Loss terms",
        "loss",
        (*_terms("steps."), PlotLine("steps.total", "total", RED, quiet=True)),
        "Each term as it is, before its weight; the total with the weights.",
        log=True,
    ),
    PlotKind(
        "Loss shares",
        "share of the total (%)",
        _terms("steps.share_"),
        "Each term with its weight, as a share of the total: which one drowns the others?",
        percent=True,
        limits=(0.0, 100.0),
    ),
    PlotKind(
        "Gradient per head",
        "share of the norm (%)",
        (
            PlotLine("heads.np", "NP", SKY),
            PlotLine("heads.hv", "HV", ORANGE),
            PlotLine("heads.nt", "types", GREY),
        ),
        "Share of the gradient's norm that each head's weighted loss puts on the common trunk.",
        percent=True,
        limits=(0.0, 100.0),
    ),
    PlotKind(
        "Magnitude in nuclei",
        "mean |HV|",
        (
            PlotLine("steps.magnitude", "training", SKY, quiet=True),
            PlotLine("epochs.magnitude", "validation", ORANGE),
            PlotLine("epochs.true_magnitude", "target", GREEN, base=True),
        ),
        f"Mean length of HV inside true nuclei. After {EARLY} epochs above {GO_ON:.2f}: go on; "
        f"below {COLLAPSED:.2f}: investigate. At the end above {HEALTHY:.2f}.",
        bounds=True,
    ),
    PlotKind(
        "Direction of HV",
        "cosine to the truth",
        (PlotLine("epochs.cosine", "cosine", ORANGE),),
        "1 = HV points where it should; 0 = anywhere: length alone does not cut nuclei apart.",
        limits=(-0.1, 1.0),
    ),
    PlotKind(
        "HV error",
        "squared error",
        (
            PlotLine("epochs.hv_mse", "model", ORANGE),
            PlotLine("epochs.hv_zero_mse", "zero map", GREY, base=True),
        ),
        "Mean squared error of HV in nuclei, beside that of a map that is 0 everywhere.",
    ),
    PlotKind(
        "Dice of NP",
        "Dice",
        (
            PlotLine("epochs.dice", "model", SKY),
            PlotLine("epochs.all_foreground_dice", "all foreground", GREY, base=True),
        ),
        "Overlap of nucleus pixels, beside that of calling every pixel nucleus.",
        limits=(0.0, 1.0),
    ),
    PlotKind(
        "AJI and PQ",
        "score",
        (
            PlotLine("epochs.aji", "AJI", ORANGE),
            PlotLine("epochs.pq", "PQ", SKY),
            PlotLine("epochs.cc_aji", "AJI, connected components", GREY, base=True),
            PlotLine("epochs.oracle_aji", "AJI, true maps", GREEN, base=True),
        ),
        "Nuclei found, beside what connected components get without HV, and what the true maps "
        "get through the same separation.",
        limits=(0.0, 1.0),
    ),
    PlotKind(
        "Loss of training and validation",
        "loss",
        (
            PlotLine("epochs.train_total", "training", SKY),
            PlotLine("epochs.loss", "validation", ORANGE),
        ),
        "Means of an epoch. Validation that rises while training falls is learnt by heart.",
        log=True,
    ),
    PlotKind(
        "Learning rate",
        "learning rate",
        (PlotLine("steps.lr", "learning rate", SKY),),
        "As the schedule has it.",
        log=True,
    ),
    PlotKind(
        "Speed",
        "images per second",
        (PlotLine("steps.images_per_s", "crops per second", SKY),),
        "Crops that went through a training step, per second.",
    ),
)
"""Plots in the order in which they are offered."""


def points(view: RunView, line: PlotLine) -> tuple[Floats, Floats]:
    """Return where a line's points lie, in epochs, and their values; NaN where not known."""
    series, _, column = line.column.partition(".")
    table = getattr(view, series)
    values = table[column]
    if not np.isfinite(values).any():
        return np.zeros(0), np.zeros(0)
    if series == "epochs":
        return table["epoch"], values
    return table["step"] / max(view.steps_per_epoch, 1), values


def thinned(x: Floats, y: Floats, most: int = MOST_POINTS) -> tuple[Floats, Floats]:
    """Return at most ``most`` points: means of neighbours where there are more, and the last.

    Examples
    --------
    >>> x = np.arange(6.0)
    >>> [v.tolist() for v in thinned(x, 2 * x, most=3)]
    [[1.0, 5.0], [2.0, 10.0]]
    """
    if len(x) <= most:
        return x, y
    block = math.ceil((len(x) - 1) / max(most - 1, 1))
    whole = (len(x) - 1) // block * block
    means = (v[:whole].reshape(-1, block).mean(axis=1) for v in (x, y))
    return tuple(np.append(v, last) for v, last in zip(means, (x[-1], y[-1]), strict=True))
