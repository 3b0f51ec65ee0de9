"""What a comparison with the truth holds: frozen values, nothing heavy to import."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .types import Evaluation

PREDICTION = "Prediction"
CONNECTED = "Connected components only"
ORACLE = "True maps, same separation (oracle)"
"""Titles of the rows of a comparison."""
ERROR_KINDS = ("merged", "split", "missed", "spurious")
"""Kinds of errors, in the order in which they are looked at."""

Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True)
class HVScores:
    """Predicted against true HV over the pixels of the true nuclei; NaN without any.

    Parameters
    ----------
    mse : float
        Mean squared error over nucleus pixels and both channels, 0 = perfect.
    zero_mse : float
        The same for a map of zeros: what a network gets that learnt nothing.
    cosine : float
        Mean cosine between predicted and true vector, -1..1: 1 = right direction
        everywhere, about 0 = no direction learnt, -1 = wrong sign.
    magnitude, true_magnitude : float
        Mean length of the predicted and of the true vectors.
    """

    mse: float
    zero_mse: float
    cosine: float
    magnitude: float
    true_magnitude: float

    def as_dict(self) -> dict[str, float]:
        """Scores by name, for a table or JSON."""
        return asdict(self)


@dataclass(frozen=True)
class ErrorPlace:
    """One error and where it is.

    Parameters
    ----------
    kind : {"merged", "split", "missed", "spurious"}
    true_ids, pred_ids : tuple of int
        True and predicted instances it is about; ids as in the arrays given.
    box : tuple of int
        r0, r1, c0, c1 around all of them, half-open, pixels.
    centroid : tuple of float
        x, y of the middle of ``box``, pixels.
    area : int
        Pixels of the true instances, of the predicted one where there is none.
    """

    kind: str
    true_ids: tuple[int, ...]
    pred_ids: tuple[int, ...]
    box: tuple[int, int, int, int]
    centroid: tuple[float, float]
    area: int

    @property
    def words(self) -> str:
        """Say what is wrong, in one line.

        Examples
        --------
        >>> ErrorPlace("merged", (1, 2), (8,), (0, 9, 0, 9), (4.0, 4.0), 70).words
        '2 true nuclei merged into one (id 8)'
        """
        if self.kind == "merged":
            return f"{len(self.true_ids)} true nuclei merged into one (id {self.pred_ids[0]})"
        if self.kind == "split":
            shown = ", ".join(map(str, self.pred_ids[:4]))
            more = " ..." if len(self.pred_ids) > 4 else ""
            return f"True nucleus {self.true_ids[0]} split in {len(self.pred_ids)} ({shown}{more})"
        if self.kind == "missed":
            return f"True nucleus {self.true_ids[0]} missed"
        return f"Nucleus {self.pred_ids[0]} is spurious: nothing true there"


@dataclass(frozen=True, eq=False)
class Places:
    """The errors of a comparison, and how well each prediction fits.

    Parameters
    ----------
    errors : tuple of ErrorPlace
        By kind as in ``ERROR_KINDS``; within a kind those of most nuclei, then of most
        pixels, first.
    pred_ids : int64 (n_pred,)
        Ids of the predicted instances, ascending.
    pred_iou : float64 (n_pred,)
        Largest IoU of each with a true nucleus, 0 where it overlaps none.
    pred_partner : int64 (n_pred,)
        Id of that true nucleus, 0 = none.
    """

    errors: tuple[ErrorPlace, ...]
    pred_ids: Int64
    pred_iou: npt.NDArray[np.float64]
    pred_partner: Int64


@dataclass(frozen=True, eq=False)
class Comparison:
    """Scores of a prediction and of what stands beside it.

    Parameters
    ----------
    prediction : Evaluation
        The instances given, against the truth.
    connected_components : Evaluation
        The same mask with every connected area taken for one nucleus: what the scores
        would be without any separation.
    oracle : Evaluation
        What the same separation makes of the true maps: the best it could do.
    all_foreground_dice : float
        Dice of calling every pixel nucleus, in 0..1.
    hv : HVScores, optional
        None without maps.
    notes : tuple of str
        What was assumed of the truth, what is empty.
    places : Places, optional
        Where the prediction's errors are, and how well each instance fits.
    """

    prediction: Evaluation
    connected_components: Evaluation
    oracle: Evaluation
    all_foreground_dice: float
    hv: HVScores | None = None
    notes: tuple[str, ...] = ()
    places: Places | None = None

    def rows(self) -> tuple[tuple[str, Evaluation], ...]:
        """Title and scores of each row of the table, the prediction first."""
        return (
            (PREDICTION, self.prediction),
            (CONNECTED, self.connected_components),
            (ORACLE, self.oracle),
        )

    def as_dict(self) -> dict[str, Any]:
        """Everything but the single nuclei, JSON-able: None stands for "not defined"."""
        return {
            "prediction": self.prediction.as_dict(),
            "connected_components": self.connected_components.as_dict(),
            "oracle": self.oracle.as_dict(),
            "all_foreground_dice": self.all_foreground_dice,
            "hv": None if self.hv is None else _without_nan(self.hv.as_dict()),
            "outcomes": self.prediction.outcomes.counts(),
            "notes": list(self.notes),
        }


def _without_nan(values: dict[str, float]) -> dict[str, float | None]:
    return {k: None if math.isnan(v) else v for k, v in values.items()}
