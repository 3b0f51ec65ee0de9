"""Scores beside the base rates that give them a meaning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..measure.compare import Comparison
from .map_limits import LIMITS, MapLimits
from .report import FAULT, NOT_TESTED, OK, Finding, Place, Plot, Remedy


@dataclass(frozen=True, eq=False)
class Scored:
    """A prediction of one image, compared.

    Parameters
    ----------
    index : int
    name : str
    shape : (int, int)
    scores : Comparison
    """

    index: int
    name: str
    shape: tuple[int, int]
    scores: Comparison


def model_score(scored: Sequence[Scored], limits: MapLimits = LIMITS) -> Finding:
    """Tell how good a prediction is, beside what no work at all would get.

    Parameters
    ----------
    scored : sequence of Scored
        Images with true nuclei.
    limits : MapLimits
    """
    name, title = "model.score", "Scores beside base rates"
    if not scored:
        return Finding(name, NOT_TESTED, title, "Not tested: no image has true nuclei.")
    rows = _rows(scored)
    aji, dice = rows["AJI"], rows["Dice"]
    words = (
        f"Mean AJI is {aji:.2f}; connected components alone get {rows['AJI of components']:.2f}, "
        f"and true maps through the same separation {rows['AJI of true maps']:.2f}. Dice is "
        f"{dice:.2f}, that of calling everything nucleus {rows['Dice of everything']:.2f}."
    )
    if np.isfinite(rows["HV MSE"]):
        words += (
            f" HV MSE is {rows['HV MSE']:.3f}, that of a map of zeros {rows['HV MSE of 0']:.3f}."
        )
    shown = ("AJI", "AJI of components", "AJI of true maps", "Dice", "Dice of everything")
    common: dict[str, Any] = {
        "value": aji, "threshold": limits.score_poor, "unit": "AJI", "numbers": rows,
        "layers": ("image", "truth", "instances"),
        "plot": Plot("bars", "Scores and base rates", shown,
                     (("mean", tuple(rows[s] for s in shown)),), "", "score"),
    }  # fmt: skip
    if aji >= limits.score_poor:
        return Finding(name, OK, title, words, **common)
    worst = sorted(scored, key=lambda s: s.scores.prediction.aji)
    return Finding(
        name,
        FAULT,
        "The prediction is poor",
        words,
        certainty=0.4 if aji < limits.score_poor / 2 else 0.3,
        remedy=Remedy("If nothing else is found, the network was not trained for such images: "
                      "fine-tune it on some of them."),
        places=tuple(
            Place(s.index, s.name, (0, s.shape[0], 0, s.shape[1]),
                  f"AJI {s.scores.prediction.aji:.2f}") for s in worst
        ),
        **common,
    )  # fmt: skip


def _rows(scored: Sequence[Scored]) -> dict[str, float]:
    all_scores = [s.scores for s in scored]
    hv = [s.hv for s in all_scores if s.hv is not None]
    none = float("nan")
    return {
        "AJI": _mean([s.prediction.aji for s in all_scores]),
        "AJI of components": _mean([s.connected_components.aji for s in all_scores]),
        "AJI of true maps": _mean([s.oracle.aji for s in all_scores]),
        "PQ": _mean([s.prediction.pq for s in all_scores]),
        "Dice": _mean([s.prediction.dice for s in all_scores]),
        "Dice of everything": _mean([s.all_foreground_dice for s in all_scores]),
        "HV MSE": _mean([s.mse for s in hv]) if hv else none,
        "HV MSE of 0": _mean([s.zero_mse for s in hv]) if hv else none,
        "images": float(len(scored)),
    }


def _mean(values: list[float]) -> float:
    return float(np.mean(values))
