"""A prediction beside the base rates that give its scores a meaning."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import InputError
from ..hv import compact_ids, hv_targets, label_equal, moments
from ..masks import clean_mask, count_pixels, label_parts
from ..params import SeparationParams
from ..separation import separate
from ..types import Bool, Evaluation, Float32, Int32, Maps, Outcomes
from .metrics import Contingency, OutcomeParams, contingency, evaluate

PREDICTION = "Prediction"
CONNECTED = "Connected components only"
ORACLE = "True maps, same separation (oracle)"
"""Titles of the rows of a comparison."""
ERROR_KINDS = ("merged", "split", "missed", "spurious")
"""Kinds of errors, in the order in which they are looked at."""

Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True)
class HVScores:
    """Predicted against true HV over the pixels of the true nuclei; NaN without any."""

    mse: float  # Mean squared error over nucleus pixels and both channels, 0 = perfect
    zero_mse: float  # The same for a map of zeros: what a network gets that learnt nothing
    cosine: float
    magnitude: float  # Mean length of the predicted and of the true vectors
    true_magnitude: float  # Mean length of the predicted and of the true vectors

    def as_dict(self) -> dict[str, float]:
        """Scores by name, for a table or JSON."""
        return asdict(self)


@dataclass(frozen=True)
class ErrorPlace:
    """One error and where it is."""

    kind: str
    true_ids: tuple[int, ...]  # True and predicted instances it is about
    pred_ids: tuple[int, ...]  # True and predicted instances it is about
    box: tuple[int, int, int, int]  # r0, r1, c0, c1 around all of them, half-open, pixels
    centroid: tuple[float, float]  # x, y of the middle of ``box``, pixels
    area: int  # Pixels of the true instances, of the predicted one where there is none

    @property
    def words(self) -> str:
        """Say what is wrong, in one line."""
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
    """The errors of a comparison, and how well each prediction fits."""

    errors: tuple[ErrorPlace, ...]
    pred_ids: Int64  # Ids of the predicted instances, ascending
    pred_iou: npt.NDArray[np.float64]
    pred_partner: Int64  # Id of that true nucleus, 0 = none


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


__all__ = ["HVScores", "hv_scores"]

ZERO_LENGTH = 1e-6
"""HV vectors not longer than this have no direction."""


def hv_scores(hv: npt.ArrayLike, true_labels: npt.ArrayLike) -> HVScores:
    """Score an HV map against that of the true nuclei.

    ``hv`` float (2, H, W); ``true_labels`` int (H, W).
    """
    target = hv_targets(true_labels)
    predicted: Float32 = np.asarray(hv, dtype=np.float32)
    if predicted.shape != target.shape:
        raise InputError(
            f"hv has shape {predicted.shape} and the true labels {target.shape[1:]}; give an HV "
            f"map of shape {target.shape}."
        )
    inside = np.asarray(true_labels) > 0
    if not inside.any():
        return HVScores(*(float("nan"),) * 5)
    p, t = (x[:, inside].astype(np.float64) for x in (predicted, target))
    length, true_length = np.hypot(*p), np.hypot(*t)
    directed = true_length > ZERO_LENGTH
    product = (p * t).sum(axis=0)[directed]
    norm = np.maximum(length, ZERO_LENGTH)[directed] * true_length[directed]
    cosine = np.where(length[directed] > ZERO_LENGTH, product / norm, 0.0)
    return HVScores(
        mse=float(((p - t) ** 2).mean()),
        zero_mse=float((t**2).mean()),
        cosine=float(cosine.mean()) if cosine.size else float("nan"),
        magnitude=float(length.mean()),
        true_magnitude=float(true_length.mean()),
    )


def error_places(
    true_labels: npt.ArrayLike,
    pred_labels: npt.ArrayLike,
    outcomes: Outcomes,
    params: OutcomeParams | None = None,
) -> Places:
    """List the errors of a prediction as places to go to.

    ``true_labels, pred_labels`` int (H, W).
    """
    params = OutcomeParams() if params is None else params
    table = contingency(true_labels, pred_labels)
    finder = _Finder(table, outcomes, params, _Extents(true_labels), _Extents(pred_labels))
    errors = [*finder.merged(), *finder.split(), *finder.missed(), *finder.spurious()]
    errors.sort(key=_worst_first)
    return Places(tuple(errors), table.pred_ids, *_best_true(table))


def _worst_first(place: ErrorPlace) -> tuple[int, int, int]:
    size = max(len(place.true_ids), len(place.pred_ids))
    return ERROR_KINDS.index(place.kind), -size, -place.area


class _Extents:
    """Box (r0, c0, r1, c1, inclusive) and area of every id of a label image, ascending."""

    def __init__(self, labels: npt.ArrayLike) -> None:
        ids, largest = compact_ids(labels)
        count, _, box = moments(ids, largest)
        rows = np.flatnonzero(count)
        self.area: Int64 = count[rows]
        self.box: Int64 = box[rows]


@dataclass(frozen=True, eq=False)
class _Finder:
    """Positions, not ids, throughout."""

    table: Contingency
    outcomes: Outcomes
    params: OutcomeParams
    true: _Extents
    pred: _Extents

    def merged(self) -> Iterator[ErrorPlace]:
        table = self.table
        inside = table.overlap > self.params.inside_share * table.true_area[table.true]
        for pred, members in _grouped(table.pred[inside], table.true[inside]):
            if len(members) > 1 and (self.outcomes.true[members] == "merged").any():
                yield self._place("merged", members, pred)

    def split(self) -> Iterator[ErrorPlace]:
        table = self.table
        part = table.overlap > self.params.inside_share * table.pred_area[table.pred]
        for true, parts in _grouped(table.true[part], table.pred[part]):
            if (self.outcomes.pred[parts] == "split").any():
                yield self._place("split", true, parts)

    def missed(self) -> Iterator[ErrorPlace]:
        nobody = np.zeros(0, np.int64)
        for true in _single(self.outcomes.true == "missed"):
            yield self._place("missed", true, nobody)

    def spurious(self) -> Iterator[ErrorPlace]:
        nobody = np.zeros(0, np.int64)
        for pred in _single(self.outcomes.pred == "spurious"):
            yield self._place("spurious", nobody, pred)

    def _place(self, kind: str, true: Int64, pred: Int64) -> ErrorPlace:
        boxes = np.concatenate((self.true.box[true], self.pred.box[pred]))
        r0, c0 = (int(x) for x in boxes[:, :2].min(axis=0))
        r1, c1 = (int(x) + 1 for x in boxes[:, 2:].max(axis=0))
        area = self.true.area[true] if len(true) else self.pred.area[pred]
        return ErrorPlace(
            kind,
            tuple(self.table.true_ids[true].tolist()),
            tuple(self.table.pred_ids[pred].tolist()),
            (r0, r1, c0, c1),
            ((c0 + c1 - 1) / 2, (r0 + r1 - 1) / 2),
            int(area.sum()),
        )


def _single(chosen: npt.NDArray[np.bool_]) -> Int64:
    """Positions of what is chosen, each as an array of one."""
    return np.flatnonzero(chosen).astype(np.int64)[:, None]


def _grouped(keys: Int64, values: Int64) -> Iterator[tuple[Int64, Int64]]:
    """Each key (as an array of one) with its values."""
    order = np.argsort(keys, kind="stable")
    found, starts = np.unique(keys[order], return_index=True)
    for key, members in zip(found, np.split(values[order], starts[1:]), strict=False):
        yield key[None], members


def _best_true(table: Contingency) -> tuple[npt.NDArray[np.float64], Int64]:
    """Largest IoU of each prediction, and the id of the true nucleus it is with."""
    iou = np.zeros(table.n_pred)
    partner = np.zeros(table.n_pred, np.int64)
    order = np.argsort(table.iou, kind="stable")
    iou[table.pred[order]] = table.iou[order]
    partner[table.pred[order]] = table.true_ids[table.true[order]]
    return iou, partner


LARGEST_ID = int(np.iinfo(np.int32).max)
"""Ids up to this one are kept; if any is larger all are renumbered."""
COLOUR_CHANNELS = (3, 4)
"""Length of the last axis of a picture in colour."""
NAMED_IDS = 3
"""Ids that a note names one by one; the others are counted."""


@dataclass(frozen=True)
class TruthParams:
    """When true labels look odd."""

    far_px: float = 30.0
    mask_parts: int = 5  # Labels whose ids have this many parts or more (median) look like a mask

    def __post_init__(self) -> None:
        if not self.far_px >= 0:
            raise InputError(f"far_px is {self.far_px}; give 0 or more pixels.")
        if not self.mask_parts > 1:
            raise InputError(f"mask_parts is {self.mask_parts}; give 2 or more.")


@dataclass(frozen=True, eq=False)
class Truth:
    """True labels that fit a run."""

    labels: Int32  # int32 (H, W): A copy: 0 = background, one id per nucleus, ids may have gaps
    n: int  # Number of nuclei
    notes: tuple[str, ...] = ()  # What was assumed, changed or looks odd, in words for the user


def check_truth(
    labels: npt.ArrayLike,
    shape: tuple[int, int],
    offset: tuple[int, int] | None = None,
    params: TruthParams | None = None,
) -> Truth:
    """Take in true labels for a run of a certain size.

    ``labels`` array (H, W).
    """
    params = TruthParams() if params is None else params
    notes: list[str] = []
    array = _cut(_one_plane(np.asarray(labels)), shape, offset, notes)
    ids = _as_int32(_whole_numbers(array, notes), notes)
    compact, largest = compact_ids(ids)
    present = count_pixels(compact.ravel(), largest + 1) > 0 if compact.size else np.zeros(1, bool)
    n = int(present[1:].sum())
    notes += _oddities(ids, compact, n, params)
    return Truth(ids, n, tuple(notes))


def _one_plane(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    full = array.shape
    while array.ndim > 2 and array.shape[0] == 1:
        array = array[0]
    if array.ndim == 2:
        return array
    if array.ndim == 3 and array.shape[-1] in COLOUR_CHANNELS:
        raise InputError(
            f"The truth has shape {full}: a picture in colour, not labels. Choose the label "
            "image itself, (H, W) with one whole number per nucleus."
        )
    raise InputError(
        f"The truth has shape {full}; give one (H, W) label image (one plane of a stack)."
    )


def _cut(
    array: npt.NDArray[Any],
    shape: tuple[int, int],
    offset: tuple[int, int] | None,
    notes: list[str],
) -> npt.NDArray[Any]:
    """Cut labels of the whole image to the run's region; refuse any other size."""
    if array.shape == tuple(shape):
        return array
    row, col = (0, 0) if offset is None else offset
    inside = row + shape[0] <= array.shape[0] and col + shape[1] <= array.shape[1]
    if offset is None or min(row, col) < 0 or not inside:
        where = "" if offset is None else f" (a region that starts at row {row}, column {col})"
        raise InputError(
            f"The truth is {array.shape[0]} x {array.shape[1]} pixels, the run {shape[0]} x "
            f"{shape[1]}{where}: rows x columns must be the same. Choose labels of the very "
            "image that was segmented, at its resolution."
        )
    notes.append(
        f"The truth covers the whole image ({array.shape[0]} x {array.shape[1]}); it was cut to "
        f"the run's region ({shape[0]} x {shape[1]} from row {row}, column {col})."
    )
    return array[row : row + shape[0], col : col + shape[1]]


def _whole_numbers(array: npt.NDArray[Any], notes: list[str]) -> npt.NDArray[Any]:
    """Labels as integers from 0 on, of whatever width."""
    kind = array.dtype.kind
    if kind not in "iubf":
        raise InputError(
            f"The truth has dtype {array.dtype}; give whole numbers: 0 = background, one id per "
            "nucleus."
        )
    if kind == "f" and array.size:
        bad = int(array.size - np.isfinite(array).sum())
        if bad:
            raise InputError(
                f"The truth holds {bad} values that are not finite (NaN or infinite); set them "
                "to 0 = background."
            )
    if kind in "if" and array.size and array.min() < 0:
        raise InputError(
            f"The truth goes down to {array.min()}; ids start at 0 = background. Set what is to "
            "be left out to 0."
        )
    if kind != "f":
        return array
    whole = array.astype(np.int64)
    if array.size and (array != whole).any():
        raise InputError(
            "The truth holds fractions: a probability map, not labels. Give whole numbers, one "
            "id per nucleus."
        )
    notes.append(f"The truth is {array.dtype}, not whole numbers; it was read as such.")
    return whole


def _as_int32(array: npt.NDArray[Any], notes: list[str]) -> Int32:
    """Copy labels as int32; renumber them if an id is too large for it."""
    if array.size and int(array.max()) > LARGEST_ID:
        notes.append(
            f"Ids go up to {array.max()}, above {LARGEST_ID}: they were renumbered 1, 2, 3 ... "
            "in order."
        )
        return compact_ids(array)[0].copy()
    return np.array(array, dtype=np.int32, order="C")


def _oddities(ids: Int32, compact: Int32, n: int, params: TruthParams) -> list[str]:
    """Say what looks wrong: nothing there, a mask, ids in parts far from each other."""
    if not n:
        return ["The truth holds no nuclei."]
    parts = np.zeros(ids.shape, np.int32)
    n_parts = int(label_equal(compact, parts))
    if n_parts == n:
        return []
    area, _, box = (x[1:] for x in moments(parts, n_parts))
    owner = np.zeros(n_parts + 1, np.int32)
    owner[parts] = ids
    owner = owner[1:]
    _, per_id = np.unique(owner, return_counts=True)
    if np.median(per_id) >= params.mask_parts:
        many = "One id lies" if n == 1 else f"{n} ids lie"
        return [
            f"{many} on {n_parts} separate parts: this looks like a mask (or a map of types), "
            "not instances. Each id was counted as one nucleus, as given; give every nucleus an "
            "id of its own."
        ]
    return _far_parts(owner, area, box, params)


def _far_parts(
    owner: Int32, area: npt.NDArray[Any], box: npt.NDArray[Any], params: TruthParams
) -> list[str]:
    """Name the ids of which a part lies far from the largest part."""
    order = np.lexsort((-area, owner))
    owner, box = owner[order], box[order]
    ids, start, count = np.unique(owner, return_index=True, return_counts=True)
    largest = np.repeat(box[start], count, axis=0)
    apart = np.maximum(largest[:, :2] - box[:, 2:], box[:, :2] - largest[:, 2:])
    gap = np.hypot(*np.maximum(apart - 1, 0).T)
    farthest = np.maximum.reduceat(gap, start)
    far = np.flatnonzero(farthest >= params.far_px)
    far = far[np.argsort(-farthest[far], kind="stable")]
    notes = [
        f"Id {ids[k]} lies in {count[k]} parts, {farthest[k]:.0f} px apart; it was counted as one "
        "nucleus, as given."
        for k in far[:NAMED_IDS]
    ]
    if len(far) > NAMED_IDS:
        notes.append(f"{len(far) - NAMED_IDS} more ids lie in parts far from each other.")
    return notes


def compare(
    true_labels: npt.ArrayLike | Truth,
    pred_labels: npt.ArrayLike,
    maps: Maps | None = None,
    params: SeparationParams | None = None,
) -> Comparison:
    """Score predicted instances, and the base rates beside them.

    Parameters
    ----------
    true_labels : array (H, W) or Truth
        True instances; an array is taken in by :func:`check_truth` first.
    pred_labels : int array (H, W)
        Predicted instances, 0 = background.
    maps : Maps, optional
        What they were separated from; gives the mask of the connected components (that
        of ``separate``) and the HV scores. Without, the mask is ``pred_labels > 0``.
    params : SeparationParams, optional
        What they were separated with, default ``SeparationParams()``.

    Returns
    -------
    Comparison

    Raises
    ------
    InputError
        If the sizes differ, or the labels are no labels.

    Notes
    -----
    Connected components are 4-connected. The oracle separates ``Maps(np=truth > 0,
    hv=hv_targets(truth))`` with ``params``: if it is low the separation itself is at
    fault, whatever the network does.

    Examples
    --------
    >>> import numpy
    >>> labels = numpy.zeros((20, 40), int)
    >>> labels[4:16, 4:20], labels[4:16, 20:36] = 1, 2
    >>> result = compare(labels, labels)
    >>> [round(scores.aji, 2) for _, scores in result.rows()]
    [1.0, 0.5, 1.0]
    """
    params = SeparationParams() if params is None else params
    predicted = np.asarray(pred_labels)
    if predicted.ndim != 2:
        raise InputError(f"pred_labels has shape {predicted.shape}; give one (H, W) label image.")
    if maps is not None and maps.shape != predicted.shape:
        raise InputError(
            f"pred_labels has shape {predicted.shape} and the maps {maps.shape}; give the labels "
            "that were separated from these maps."
        )
    shape = (int(predicted.shape[0]), int(predicted.shape[1]))
    truth = _truth(true_labels, shape)
    prediction = evaluate(truth.labels, predicted)
    mask: Bool = predicted > 0 if maps is None else clean_mask(maps.np, params)
    return Comparison(
        prediction=prediction,
        connected_components=evaluate(truth.labels, label_parts(mask)[0]),
        oracle=oracle(truth.labels, params),
        all_foreground_dice=all_foreground_dice(truth.labels),
        hv=None if maps is None else hv_scores(maps.hv, truth.labels),
        notes=(*truth.notes, *_empty_notes(prediction)),
        places=error_places(truth.labels, predicted, prediction.outcomes),
    )


def oracle(true_labels: Int32, params: SeparationParams | None = None) -> Evaluation:
    """Score what the separation makes of the true maps of ``true_labels`` (H, W)."""
    maps = Maps(np=(true_labels > 0).astype(np.float32), hv=hv_targets(true_labels))
    return evaluate(true_labels, separate(maps, params).labels)


def all_foreground_dice(true_labels: npt.ArrayLike) -> float:
    """Dice in 0..1 of taking every pixel for nucleus: ``2 T / (T + N)``; 0 without nuclei."""
    array = np.asarray(true_labels)
    inside = int((array > 0).sum())
    return 2 * inside / (inside + array.size) if inside else 0.0


def _truth(labels: npt.ArrayLike | Truth, shape: tuple[int, int]) -> Truth:
    if not isinstance(labels, Truth):
        return check_truth(labels, shape)
    if labels.labels.shape != shape:
        raise InputError(
            f"The truth is {labels.labels.shape[0]} x {labels.labels.shape[1]} pixels, the "
            f"prediction {shape[0]} x {shape[1]}; choose labels of the same image."
        )
    return labels


def _empty_notes(prediction: Evaluation) -> tuple[str, ...]:
    """Say what scores mean where one side, or both, is empty."""
    if not prediction.n_true and not prediction.n_pred:
        return ("Truth and prediction are both empty: every score is 1 by definition.",)
    if not prediction.n_true:
        return ("Without true nuclei every score is 0, whatever was predicted.",)
    if not prediction.n_pred:
        return ("The prediction holds no nuclei: every score is 0.",)
    return ()


OUTCOME_COLORS = {
    "matched": (0, 158, 115),
    "merged": (213, 94, 0),
    "split": (204, 121, 167),
    "missed": (86, 180, 233),
    "spurious": (240, 228, 66),
}
"""RGB in 0..255 (Okabe and Ito): told apart with every common colour vision."""

LEVELS = ("good", "neutral", "bad")
"""How a remark is meant."""


@dataclass(frozen=True)
class VerdictParams:
    """From where on a difference is called one."""

    aji_gain: float = 0.03
    oracle_aji: float = 0.90  # Least AJI of the oracle
    hv_gain: float = 0.05  # Least share by which the HV error must lie below that of the zero map
    cosine_none: float = 0.2
    cosine_fair: float = 0.6
    magnitude_share: float = 0.4  # Share of the true magnitude below which HV counts as short
    dice_gain: float = 0.02  # Least Dice above that of calling every pixel nucleus

    def __post_init__(self) -> None:
        for field in fields(self):
            if not 0 <= getattr(self, field.name) <= 1:
                raise InputError(
                    f"{field.name} is {getattr(self, field.name)}; give a number in 0..1."
                )


@dataclass(frozen=True)
class Remark:
    """One sentence about a comparison; ``level`` is "good", "neutral" or "bad"."""

    level: str
    text: str


def verdict(comparison: Comparison, params: VerdictParams | None = None) -> tuple[Remark, ...]:
    """Put a comparison into words: what is at fault, what the scores are worth."""
    params = VerdictParams() if params is None else params
    scores = comparison.prediction
    if not scores.n_true:
        return (Remark("neutral", "There are no true nuclei here: no score says anything."),)
    if not scores.n_pred:
        text = "Nothing was found. Look at NP: is the mask empty, or np_threshold too high?"
        return (Remark("bad", text),)
    remarks = [*_separation(comparison, params), *_mask(comparison, params)]
    if comparison.hv is not None:
        remarks += _hv(comparison.hv, params)
    order = {"bad": 0, "good": 1, "neutral": 2}
    return tuple(sorted(remarks, key=lambda remark: order[remark.level]))


def _separation(comparison: Comparison, params: VerdictParams) -> Iterator[Remark]:
    aji, best = comparison.prediction.aji, comparison.oracle.aji
    plain = comparison.connected_components.aji
    if best < params.oracle_aji:
        yield Remark(
            "bad",
            f"The oracle is low (AJI {best:.2f}): even the true maps come out wrong, so the "
            "separation itself is at fault, not the network.",
        )
    if aji - plain >= params.aji_gain:
        yield Remark(
            "good",
            f"The separation pays: AJI {aji:.2f} against {plain:.2f} for connected components "
            f"(oracle {best:.2f}).",
        )
    elif plain - aji >= params.aji_gain:
        yield Remark(
            "bad",
            f"AJI {aji:.2f} is worse than connected components ({plain:.2f}): the separation "
            "does harm.",
        )
    elif best >= params.oracle_aji and best - plain < params.aji_gain:
        yield Remark(
            "neutral",
            f"Hardly any nuclei touch here: connected components get AJI {plain:.2f} too. This "
            "image says little about the separation.",
        )
    else:
        yield Remark(
            "bad",
            f"AJI {aji:.2f} is no better than connected components ({plain:.2f}): the "
            "separation does nothing.",
        )


def _mask(comparison: Comparison, params: VerdictParams) -> Iterator[Remark]:
    dice, full = comparison.prediction.dice, comparison.all_foreground_dice
    if dice - full < params.dice_gain:
        yield Remark(
            "bad",
            f"Dice {dice:.2f} is no better than calling every pixel nucleus ({full:.2f}): look "
            "at NP, or at the truth (is its background marked as nucleus?).",
        )


def _hv(hv: HVScores, params: VerdictParams) -> Iterator[Remark]:
    if hv.cosine <= -params.cosine_fair:
        yield Remark(
            "bad",
            f"HV points the wrong way (cosine {hv.cosine:.2f}): its sign is inward, not outward.",
        )
    elif hv.cosine < params.cosine_none:
        yield Remark(
            "bad",
            f"HV has no direction (cosine {hv.cosine:.2f}): channels swapped, or not learnt. Its "
            "length does not matter then.",
        )
    elif hv.cosine < params.cosine_fair:
        yield Remark("neutral", f"HV points only roughly right (cosine {hv.cosine:.2f}).")
    short = hv.magnitude < params.magnitude_share * hv.true_magnitude
    if hv.mse > (1 - params.hv_gain) * hv.zero_mse:
        right = hv.cosine >= params.cosine_fair
        why = " It points right, so only its scale is off." if right else ""
        yield Remark(
            "neutral" if right else "bad",
            f"HV is no better than zero: error {hv.mse:.3f}, a map of zeros {hv.zero_mse:.3f}."
            + why,
        )
    elif short:
        yield Remark(
            "neutral",
            f"HV is short (magnitude {hv.magnitude:.2f}, truth {hv.true_magnitude:.2f}); alone "
            "that does not make a blob.",
        )
