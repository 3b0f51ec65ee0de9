"""A prediction beside the base rates that give its scores a meaning."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import InputError
from ..choices import check_choices, choice, described
from ..hv import compact_ids, cosine, hv_targets, label_equal, length, moments
from ..masks import clean_mask, label_parts
from ..params import SeparationParams
from ..separation import separate
from ..types import Bool, Evaluation, Float32, Float64, Int32, Int64, Maps, Outcomes, TypeInfo
from .metrics import Contingency, OutcomeParams, contingency, evaluate
from .typed import without

PREDICTION = "Prediction"
CONNECTED = "Connected components only"
ORACLE = "True maps, same separation (oracle)"
"""Titles of the rows of a comparison."""

OUTCOME_COLORS = {
    "matched": (0, 158, 115),
    "merged": (213, 94, 0),
    "split": (204, 121, 167),
    "missed": (86, 180, 233),
    "spurious": (240, 228, 66),
}
"""RGB in 0..255 (Okabe and Ito): told apart with every common colour vision."""
LEVELS = ("bad", "good", "neutral")
"""How a remark is meant, in the order in which they are listed."""
LARGEST_ID = int(np.iinfo(np.int32).max)
"""Ids up to this one are kept; if any is larger all are renumbered."""
NAMED_IDS = 3
"""Ids that a note names one by one; the others are counted."""


@dataclass(frozen=True)
class HVScores:
    """Predicted against true HV over the pixels of the true nuclei; NaN without any."""

    mse: float  # Mean squared error over nucleus pixels and both channels, 0 = perfect
    zero_mse: float  # The same for a map of zeros: what a network gets that learnt nothing
    cosine: float  # Mean between both, -1..1; a predicted vector of length 0 counts as 0
    magnitude: float  # Mean length of the predicted vectors
    true_magnitude: float  # Mean length of the true ones

    def as_dict(self) -> dict[str, float]:
        """Scores by name, for a table or JSON."""
        return asdict(self)


@dataclass(frozen=True)
class ErrorPlace:
    """One error and where it is."""

    kind: str
    true_ids: tuple[int, ...]  # True instances it is about
    pred_ids: tuple[int, ...]  # Predicted ones
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


_Extents = tuple[Int64, Int64]
"""Box (r0, c0, r1, c1, inclusive) and area of every id of a label image, ascending."""


@dataclass(frozen=True, eq=False)
class Places:
    """The errors of a comparison, and how well each prediction fits."""

    errors: tuple[ErrorPlace, ...]
    pred_ids: Int64  # Ids of the predicted instances, ascending
    pred_iou: Float64  # Largest IoU of each with a true nucleus


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
        scores = {} if self.hv is None else self.hv.as_dict()
        hv = {name: None if math.isnan(value) else value for name, value in scores.items()}
        return {
            "prediction": self.prediction.as_dict(),
            "connected_components": self.connected_components.as_dict(),
            "oracle": self.oracle.as_dict(),
            "all_foreground_dice": self.all_foreground_dice,
            "hv": hv or None,
            "outcomes": self.prediction.outcomes.counts(),
            "notes": list(self.notes),
        }


def hv_scores(hv: npt.ArrayLike, true_labels: npt.ArrayLike) -> HVScores:
    """Score an HV map (2, H, W) against that of the true nuclei (H, W)."""
    target = hv_targets(true_labels)
    predicted: Float32 = np.asarray(hv, dtype=np.float32)
    if predicted.shape != target.shape:
        raise InputError(
            f"hv has shape {predicted.shape} and the true labels {target.shape[1:]}; give an HV "
            f"map of shape {target.shape}."
        )
    return score_hv(predicted, target, np.asarray(true_labels) > 0)


def score_hv(hv: Float32, target: Float32, inside: Bool) -> HVScores:
    """Score HV (2, H, W) against what it should be over the pixels of nuclei (H, W)."""
    if not inside.any():
        return HVScores(*(math.nan,) * 5)
    p, t = (x[:, inside].astype(np.float64) for x in (hv, target))
    return HVScores(
        mse=float(((p - t) ** 2).mean()),
        zero_mse=float((t**2).mean()),
        cosine=cosine(p, t),
        magnitude=float(length(p).mean()),
        true_magnitude=float(length(t).mean()),
    )


def error_places(
    true_labels: npt.ArrayLike,
    pred_labels: npt.ArrayLike,
    outcomes: Outcomes,
    params: OutcomeParams | None = None,
) -> Places:
    """List the errors of a prediction, labels (H, W) both, as places to go to."""
    params = OutcomeParams() if params is None else params
    table = contingency(true_labels, pred_labels)
    nobody = np.zeros(0, np.int64)
    found: list[tuple[str, Int64, Int64]] = []  # Kind, true and predicted: positions in the table
    inside = table.overlap > params.inside_share * table.true_area[table.true]
    for pred, members in _grouped(table.pred[inside], table.true[inside]):
        if len(members) > 1 and (outcomes.true[members] == "merged").any():
            found.append(("merged", members, pred))
    part = table.overlap > params.inside_share * table.pred_area[table.pred]
    for true, parts in _grouped(table.true[part], table.pred[part]):
        if (outcomes.pred[parts] == "split").any():
            found.append(("split", true, parts))
    missed, spurious = outcomes.true == "missed", outcomes.pred == "spurious"
    found += [("missed", at, nobody) for at in np.flatnonzero(missed)[:, None]]
    found += [("spurious", nobody, at) for at in np.flatnonzero(spurious)[:, None]]
    extents = _extents(true_labels), _extents(pred_labels)
    errors = [_place(table, extents, *each) for each in found]
    rank = Outcomes.ERRORS.index
    errors.sort(key=lambda e: (rank(e.kind), -max(len(e.true_ids), len(e.pred_ids)), -e.area))
    iou = np.zeros(table.n_pred)
    order = np.argsort(table.iou, kind="stable")
    iou[table.pred[order]] = table.iou[order]
    return Places(tuple(errors), table.pred_ids, iou)


def _place(
    table: Contingency, extents: tuple[_Extents, _Extents], kind: str, true: Int64, pred: Int64
) -> ErrorPlace:
    (true_box, true_area), (pred_box, pred_area) = extents
    boxes = np.concatenate((true_box[true], pred_box[pred]))
    r0, c0 = boxes[:, :2].min(axis=0).tolist()
    r1, c1 = (boxes[:, 2:].max(axis=0) + 1).tolist()
    area = true_area[true] if len(true) else pred_area[pred]
    true_ids, pred_ids = tuple(table.true_ids[true].tolist()), tuple(table.pred_ids[pred].tolist())
    middle = ((c0 + c1 - 1) / 2, (r0 + r1 - 1) / 2)
    return ErrorPlace(kind, true_ids, pred_ids, (r0, r1, c0, c1), middle, int(area.sum()))


def _extents(labels: npt.ArrayLike) -> _Extents:
    ids, largest = compact_ids(labels)
    area, _, box = moments(ids, largest)
    rows = np.flatnonzero(area)
    return box[rows], area[rows]


def _grouped(keys: Int64, values: Int64) -> Iterator[tuple[Int64, Int64]]:
    """Each key (as an array of one) with its values."""
    order = np.argsort(keys, kind="stable")
    found, starts = np.unique(keys[order], return_index=True)
    for key, members in zip(found, np.split(values[order], starts[1:]), strict=False):
        yield key[None], members


@described
@dataclass(frozen=True)
class TruthParams:
    """When true labels look odd."""

    # fmt: off
    far_px: float = choice(
        30.0, "Parts apart", "A part of an id this far from the largest one is told of.",
        unit="px", low=0)
    mask_parts: int = choice(
        5, "Parts of a mask", "Labels whose ids have this many parts or more (median) look like "
        "a mask.", low=2)
    # fmt: on

    def __post_init__(self) -> None:
        check_choices(self)


@dataclass(frozen=True, eq=False)
class Truth:
    """True labels that fit a run."""

    labels: Int32  # int32 (H, W): A copy: 0 = background, one id per nucleus, ids may have gaps
    n: int  # Number of nuclei
    notes: tuple[str, ...] = ()  # What was assumed, changed or looks odd, in words for the user
    types: Mapping[int, int] | None = None  # Type by id where they are known, 0 = not of this one
    type_names: Mapping[int, TypeInfo] = field(default_factory=dict)  # Where they have names
    ignore: Bool | None = None  # bool (H, W): Where nothing counts

    def within(self, labels: npt.NDArray[Any]) -> tuple[Truth, npt.NDArray[Any]]:
        """Return truth and predicted labels without what lies where nothing counts."""
        if self.ignore is None:
            return self, labels
        kept = without(self.labels, self.ignore)
        n = len(np.unique(kept[kept > 0]))
        return replace(self, labels=kept, n=n), without(labels, self.ignore)


def check_truth(
    labels: npt.ArrayLike,
    shape: tuple[int, ...],
    offset: tuple[int, int] | None = None,
    params: TruthParams | None = None,
) -> Truth:
    """Take in true labels, an array (H, W), for a run of a certain size."""
    params = TruthParams() if params is None else params
    notes: list[str] = []
    array = _cut(_one_plane(np.asarray(labels)), shape, offset, notes)
    ids = _as_int32(_whole_numbers(array, notes), notes)
    return Truth(ids, *_oddities(ids, params, notes))


def _one_plane(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    full = array.shape
    while array.ndim > 2 and array.shape[0] == 1:
        array = array[0]
    if array.ndim == 2:
        return array
    text = "give one (H, W) label image (one plane of a stack)."
    if array.ndim == 3 and array.shape[-1] in (3, 4):
        text = "a picture in colour; choose the labels, (H, W) with one whole number per nucleus."
    raise InputError(f"The truth has shape {full}: {text}")


def _cut(
    array: npt.NDArray[Any],
    shape: tuple[int, ...],
    offset: tuple[int, int] | None,
    notes: list[str],
) -> npt.NDArray[Any]:
    """Cut labels of the whole image to the run's region; refuse any other size."""
    if array.shape == tuple(shape):
        return array
    row, col = offset or (0, 0)
    full, part = (f"{size[0]} x {size[1]}" for size in (array.shape, shape))
    inside = row + shape[0] <= array.shape[0] and col + shape[1] <= array.shape[1]
    if offset is None or min(row, col) < 0 or not inside:
        where = "" if offset is None else f" (a region that starts at row {row}, column {col})"
        raise InputError(
            f"The truth is {full} pixels, the run {part}{where}: rows x columns must be the same. "
            "Choose labels of the very image that was segmented, at its resolution."
        )
    notes.append(
        f"The truth covers the whole image ({full}); it was cut to the run's region ({part} from "
        f"row {row}, column {col})."
    )
    return array[row : row + shape[0], col : col + shape[1]]


def _whole_numbers(array: npt.NDArray[Any], notes: list[str]) -> npt.NDArray[Any]:
    """Labels as integers from 0 on, of whatever width."""
    kind, bad = array.dtype.kind, ""
    if kind not in "iubf":
        bad = f"has dtype {array.dtype}; give whole numbers: 0 = background, one id per nucleus."
    elif kind == "f" and not np.isfinite(array).all():
        bad = f"holds {int((~np.isfinite(array)).sum())} values that are not finite (NaN or "
        bad += "infinite); set them to 0 = background."
    elif array.size and kind in "if" and array.min() < 0:
        bad = f"goes down to {array.min()}; ids start at 0 = background. Set what is to be left "
        bad += "out to 0."
    elif kind == "f" and (array != array.astype(np.int64)).any():
        bad = "holds fractions: a probability map, not labels. Give whole numbers, one id per "
        bad += "nucleus."
    if bad:
        raise InputError(f"The truth {bad}")
    if kind != "f":
        return array
    notes.append(f"The truth is {array.dtype}, not whole numbers; it was read as such.")
    return array.astype(np.int64)


def _as_int32(array: npt.NDArray[Any], notes: list[str]) -> Int32:
    """Copy labels as int32; renumber them if an id is too large for it."""
    if array.size and int(array.max()) > LARGEST_ID:
        notes.append(
            f"Ids go up to {array.max()}, above {LARGEST_ID}: they were renumbered 1, 2, 3 ... "
            "in order."
        )
        return compact_ids(array)[0].copy()
    return np.array(array, dtype=np.int32, order="C")


def _oddities(ids: Int32, params: TruthParams, notes: list[str]) -> tuple[int, tuple[str, ...]]:
    """Count nuclei and say what looks wrong: none, a mask, ids in parts far from each other."""
    compact, _ = compact_ids(ids)
    parts = np.zeros(ids.shape, np.int32)
    n_parts = int(label_equal(compact, parts)) if ids.size else 0
    area, _, box = (x[1:] for x in moments(parts, n_parts))
    owner = np.zeros(n_parts + 1, np.int32)
    owner[parts] = ids
    owner = owner[1:]
    names, per_id = np.unique(owner, return_counts=True)
    n = len(names)
    if not n:
        notes.append("The truth holds no nuclei.")
    elif n_parts > n and np.median(per_id) >= params.mask_parts:
        many = "One id lies" if n == 1 else f"{n} ids lie"
        notes.append(
            f"{many} on {n_parts} separate parts: this looks like a mask (or a map of types), "
            "not instances. Each id was counted as one nucleus, as given; give every nucleus an "
            "id of its own."
        )
    elif n_parts > n:
        notes += _far_parts(owner, area, box, params)
    return n, tuple(notes)


def _far_parts(owner: Int32, area: Int64, box: Int64, params: TruthParams) -> list[str]:
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
    types: Mapping[int, int] | None = None,
    mpp: float | None = None,
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
    types, mpp : mapping of int to int, float, optional
        Types of predicted nuclei by id, scored where the truth has some; micrometres per pixel.

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
    truth = true_labels
    if not isinstance(truth, Truth) or truth.labels.shape != predicted.shape:
        truth = check_truth(truth.labels if isinstance(truth, Truth) else truth, predicted.shape)
    truth, predicted = truth.within(predicted)
    both = {"types": types, "true_types": truth.types, "type_names": truth.type_names}
    typed: dict[str, Any] = {} if types is None or truth.types is None else both
    prediction = evaluate(truth.labels, predicted, mpp=mpp, **typed)
    mask: Bool = predicted > 0 if maps is None else clean_mask(maps.np, params)
    mask = mask if truth.ignore is None else mask & ~truth.ignore
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


def _empty_notes(prediction: Evaluation) -> tuple[str, ...]:
    text = {
        (False, False): "Truth and prediction are both empty: every score is 1 by definition.",
        (False, True): "Without true nuclei every score is 0, whatever was predicted.",
        (True, False): "The prediction holds no nuclei: every score is 0.",
    }.get((prediction.n_true > 0, prediction.n_pred > 0))
    return (text,) if text else ()


def _at(default: float, title: str, text: str) -> Any:
    return choice(default, title, text, low=0, high=1, step=0.01)


# fmt: off
@described
@dataclass(frozen=True)
class VerdictParams:
    """From where on a difference is called one."""

    aji_gain: float = _at(0.03, "Gain of AJI", "Least difference of AJI that counts.")
    oracle_aji: float = _at(0.90, "AJI of the oracle", "Least AJI that true maps should get.")
    hv_gain: float = _at(
        0.05, "Gain of HV", "Least share by which the HV error must lie below that of a zero map.")
    cosine_none: float = _at(0.2, "No direction below", "Mean cosine below which HV has none.")
    cosine_fair: float = _at(0.6, "Fair direction from", "Mean cosine from which HV points right.")
    magnitude_share: float = _at(
        0.4, "Short below", "Share of the true magnitude below which HV counts as short.")
    dice_gain: float = _at(
        0.02, "Gain of Dice", "Least Dice above that of calling every pixel nucleus.")
    # fmt: on

    def __post_init__(self) -> None:
        check_choices(self)


@dataclass(frozen=True)
class Remark:
    """One sentence about a comparison; ``level`` is one of ``LEVELS``."""

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
    said = [*_of_separation(comparison, params)]
    dice, full = scores.dice, comparison.all_foreground_dice
    if dice - full < params.dice_gain:
        text = f"Dice {dice:.2f} is no better than calling every pixel nucleus ({full:.2f}): look "
        text += "at NP, or at the truth (is its background marked as nucleus?)."
        said.append(("bad", text))
    if comparison.hv is not None:
        said += _of_hv(comparison.hv, params)
    return tuple(Remark(*each) for each in sorted(said, key=lambda each: LEVELS.index(each[0])))


def _of_separation(comparison: Comparison, params: VerdictParams) -> Iterator[tuple[str, str]]:
    aji, best = comparison.prediction.aji, comparison.oracle.aji
    plain = comparison.connected_components.aji
    if best < params.oracle_aji:
        text = f"The oracle is low (AJI {best:.2f}): even the true maps come out wrong, so the "
        yield "bad", text + "separation itself is at fault, not the network."
    if aji - plain >= params.aji_gain:
        text = f"The separation pays: AJI {aji:.2f} against {plain:.2f} for connected components "
        yield "good", f"{text}(oracle {best:.2f})."
    elif plain - aji >= params.aji_gain:
        text = f"AJI {aji:.2f} is worse than connected components ({plain:.2f}): the separation "
        yield "bad", text + "does harm."
    elif best >= params.oracle_aji and best - plain < params.aji_gain:
        text = f"Hardly any nuclei touch here: connected components get AJI {plain:.2f} too. This "
        yield "neutral", text + "image says little about the separation."
    else:
        text = f"AJI {aji:.2f} is no better than connected components ({plain:.2f}): the "
        yield "bad", text + "separation does nothing."


def _of_hv(hv: HVScores, params: VerdictParams) -> Iterator[tuple[str, str]]:
    if hv.cosine <= -params.cosine_fair:
        text = f"HV points the wrong way (cosine {hv.cosine:.2f}): "
        yield "bad", text + "its sign is inward, not outward."
    elif hv.cosine < params.cosine_none:
        text = f"HV has no direction (cosine {hv.cosine:.2f}): channels swapped, or not learnt. "
        yield "bad", text + "Its length does not matter then."
    elif hv.cosine < params.cosine_fair:
        yield "neutral", f"HV points only roughly right (cosine {hv.cosine:.2f})."
    if hv.mse > (1 - params.hv_gain) * hv.zero_mse:
        text = f"HV is no better than zero: error {hv.mse:.3f}, a map of zeros {hv.zero_mse:.3f}."
        if hv.cosine >= params.cosine_fair:
            yield "neutral", text + " It points right, so only its scale is off."
        else:
            yield "bad", text
    elif hv.magnitude < params.magnitude_share * hv.true_magnitude:
        text = f"HV is short (magnitude {hv.magnitude:.2f}, truth {hv.true_magnitude:.2f}); alone "
        yield "neutral", text + "that does not make a blob."
