"""What findings about an augmentation have in common."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from .augment_limits import AugmentationLimits
from .augment_moves import Matrix
from .report import FAULT, OK, WARN, Finding, Plot, Remedy

HV, MEAN, LABELS = "augmentation.hv", "augmentation.mean", "augmentation.labels"
TYPES, IMAGE = "augmentation.types", "augmentation.image"
TRUE_MAGNITUDE = 0.67
"""Mean length of true HV inside nuclei, in every source of images looked at."""
DIRECTIONS = 72


def mean_length(matrix: Matrix) -> float:
    """Mean length of what a transform makes of a vector of length 1.

    Examples
    --------
    >>> mean_length(np.diag([-0.5, -0.5]))
    0.5
    """
    angles = np.arange(DIRECTIONS) * 2 * math.pi / DIRECTIONS
    vectors = matrix @ np.stack((np.cos(angles), np.sin(angles)))
    return round(float(np.hypot(*vectors).mean()), 12)


def hv_plot(right: Mapping[str, float]) -> Plot:
    """Bars: share of right draws by turn."""
    return Plot(
        "bars", "HV right, by turn", tuple(right), (("share right", tuple(right.values())),),
        y_label="share", line=1.0,
    )  # fmt: skip


def judged_mean(
    finding_id: str, mean: Matrix, over: str, limits: AugmentationLimits, remedy: Remedy
) -> Finding:
    """Judge the mean transform of HV."""
    mean = np.round(mean, 6) + 0.0  # turns -0.0 into 0.0
    length = mean_length(mean)
    plot = Plot(
        "matrix", "Mean transform E[M]", ("x", "y"),
        (("x", tuple(map(float, mean[0]))), ("y", tuple(map(float, mean[1])))),
    )  # fmt: skip
    learned = length * TRUE_MAGNITUDE
    words = (
        f"HV comes back as [[{mean[0, 0]:.2f}, {mean[0, 1]:.2f}], [{mean[1, 0]:.2f}, "
        f"{mean[1, 1]:.2f}]] of itself on the mean {over} (right: [[1, 0], [0, 1]]). A network "
        f"that learns the mean would draw HV of magnitude {learned:.2f} instead of "
        f"{TRUE_MAGNITUDE:.2f}."
    )
    numbers = {
        "length of E[M]": length, "predicted magnitude": learned,
        "E[M] xx": float(mean[0, 0]), "E[M] xy": float(mean[0, 1]),
        "E[M] yx": float(mean[1, 0]), "E[M] yy": float(mean[1, 1]),
    }  # fmt: skip
    verdict, certainty, title = OK, 0.0, "Mean transform of HV"
    if length < limits.mean_fault:
        verdict, certainty = FAULT, 0.86
        title = "On the mean, HV is lost in augmentation"
    elif length < limits.mean_warn:
        verdict, certainty = WARN, 0.4
        title = "On the mean, HV is shortened by augmentation"
    return Finding(
        finding_id, verdict, title, words, value=length, threshold=limits.mean_fault,
        unit="length", certainty=certainty, remedy=remedy if certainty else Remedy(""),
        numbers=numbers, plot=plot,
    )  # fmt: skip
