"""Frozen holders for what the pipeline makes; they validate and never change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import InputError

Float32 = npt.NDArray[np.float32]
Int32 = npt.NDArray[np.int32]
Bool = npt.NDArray[np.bool_]

PROBABILITY_SLACK = 1e-3
"""Rounding a probability may show beyond 0..1 before it is refused (float16 files)."""


@dataclass(frozen=True)
class Progress:
    """One step of a long job.

    Parameters
    ----------
    done, total : int
        Units finished and units in all; ``total`` 0 means not known.
    message : str
        What is being done, fit for a progress bar.
    notice : str
        Something the user should know and keep ("out of memory: tile halved"), or "".
    """

    done: int
    total: int
    message: str = ""
    notice: str = ""


@dataclass(frozen=True, eq=False)
class Maps:
    """What a HoVer-Net predicts for one image.

    Parameters
    ----------
    np : array (H, W)
        Probability of nucleus, 0..1.
    hv : array (2, H, W)
        Offset from the nucleus centre, channel 0 = x to the right, channel 1 = y
        down, each nominally in [-1, 1] (a network may overshoot).
    types : array (C, H, W), optional
        Type probabilities, background as channel 0.

    Raises
    ------
    InputError
        If a shape does not fit, a value is not finite, or ``np`` leaves 0..1.

    Examples
    --------
    >>> import numpy, napari_hovernet as nh
    >>> maps = nh.Maps(np=numpy.zeros((4, 5)), hv=numpy.zeros((2, 4, 5)))
    >>> maps.magnitude.shape
    (4, 5)
    """

    np: Float32
    hv: Float32
    types: Float32 | None = None

    def __post_init__(self) -> None:
        prob, hv = _float32("np", self.np), _float32("hv", self.hv)
        if prob.ndim != 2:
            raise InputError(f"Maps.np has shape {prob.shape}; give one (H, W) array.")
        if hv.shape != (2, *prob.shape):
            raise InputError(
                f"Maps.hv has shape {hv.shape}; with np {prob.shape} it must be "
                f"(2, {prob.shape[0]}, {prob.shape[1]}): channel 0 = x, channel 1 = y."
            )
        if prob.size and (prob.min() < -PROBABILITY_SLACK or prob.max() > 1 + PROBABILITY_SLACK):
            raise InputError(
                f"Maps.np runs from {prob.min():g} to {prob.max():g}; it must be a probability "
                "in 0..1 (softmax channel 1 of the NP branch, not its logits)."
            )
        object.__setattr__(self, "np", prob)
        object.__setattr__(self, "hv", hv)
        if self.types is not None:
            types = _float32("types", self.types)
            if types.ndim != 3 or types.shape[1:] != prob.shape:
                raise InputError(
                    f"Maps.types has shape {types.shape}; it must be (C, *{prob.shape})."
                )
            object.__setattr__(self, "types", types)

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return (int(self.np.shape[0]), int(self.np.shape[1]))

    @cached_property
    def magnitude(self) -> Float32:
        """HV magnitude ``sqrt(h**2 + v**2)``, (H, W) float32, about 0 in a centre, 1 on a rim."""
        magnitude: Float32 = np.hypot(self.hv[0], self.hv[1])
        return magnitude


def _float32(name: str, value: Any) -> Float32:
    array = np.asarray(value)
    if array.dtype.kind not in "fiub":
        raise InputError(f"Maps.{name} has dtype {array.dtype}; give numbers.")
    array = np.ascontiguousarray(array, dtype=np.float32)
    if not np.isfinite(array.sum(dtype=np.float64)):
        bad = int(np.size(array) - np.isfinite(array).sum())
        raise InputError(
            f"Maps.{name} holds {bad} values that are not finite (NaN or infinite); "
            "replace them, or look at the network that made them."
        )
    return array


@dataclass(frozen=True, eq=False)
class Separation:
    """Instances and every stage that led to them; what is shown is what ran.

    Parameters
    ----------
    mask : bool (H, W)
        Pixels taken for nucleus.
    energy : float32 (H, W)
        The landscape the watershed floods: low where a nucleus is, high where two meet.
    markers : int32 (H, W)
        Seeds, 0 = none, 1..n.
    labels : int32 (H, W)
        Instances, 0 = background, 1..n without gaps.
    """

    mask: Bool
    energy: Float32
    markers: Int32
    labels: Int32

    @property
    def n(self) -> int:
        """Number of instances."""
        return int(self.labels.max()) if self.labels.size else 0


@dataclass(frozen=True, eq=False)
class Outcomes:
    """What became of every nucleus, for true and for predicted instances.

    Parameters
    ----------
    true_ids, pred_ids : int (n,)
        Label ids as in the arrays given.
    true : str array (n_true,)
        "matched", "merged", "split" or "missed".
    pred : str array (n_pred,)
        "matched", "merged", "split" or "spurious".
    partner : int (n_true,)
        Id of the predicted instance that overlaps most, 0 where there is none.
    iou : float (n_true,)
        Intersection over union with ``partner``.
    """

    true_ids: npt.NDArray[np.int64]
    true: npt.NDArray[np.str_]
    pred_ids: npt.NDArray[np.int64]
    pred: npt.NDArray[np.str_]
    partner: npt.NDArray[np.int64]
    iou: npt.NDArray[np.float64]

    def counts(self) -> dict[str, int]:
        """Count each outcome: matched, merged, split, missed (true), spurious (predicted)."""
        found = {k: int((self.true == k).sum()) for k in ("matched", "merged", "split", "missed")}
        return {**found, "spurious": int((self.pred == "spurious").sum())}


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Scores of predicted against true instances; all in 0..1, higher is better."""

    dice: float
    aji: float
    aji_plus: float
    dq: float
    sq: float
    pq: float
    n_true: int
    n_pred: int
    outcomes: Outcomes

    def as_dict(self) -> dict[str, float | int]:
        """Scores and counts as plain numbers, for a table or JSON."""
        names = ("dice", "aji", "aji_plus", "dq", "sq", "pq", "n_true", "n_pred")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True)
class TypeInfo:
    """Name and colour of one nucleus type; ``color`` is RGB in 0..255."""

    name: str
    color: tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class Nuclei:
    """One row per instance, columns as arrays; row i is instance ``label[i]``.

    Parameters
    ----------
    label : int32 (n,)
    bbox : int32 (n, 4)
        row0, col0, row1, col1; half-open, pixels.
    centroid : float64 (n, 2)
        x, y of the centre of mass, pixels.
    area : int64 (n,)
        Pixels.
    contours : tuple of int32 (k, 2)
        Outer boundary, x, y pixel coordinates, not closed.
    type : int32 (n,)
        Most frequent type other than background, 0 where the model has no types.
    type_probability : float64 (n,)
        Share of the nucleus' pixels that voted for ``type``.
    magnitude_mean, magnitude_p95, np_mean : float64 (n,)
        HV magnitude and NP probability inside the nucleus.
    """

    label: Int32
    bbox: Int32
    centroid: npt.NDArray[np.float64]
    area: npt.NDArray[np.int64]
    contours: tuple[Int32, ...]
    type: Int32
    type_probability: npt.NDArray[np.float64]
    magnitude_mean: npt.NDArray[np.float64]
    magnitude_p95: npt.NDArray[np.float64]
    np_mean: npt.NDArray[np.float64]
    type_names: Mapping[int, TypeInfo] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.label)
