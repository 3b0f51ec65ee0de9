"""Are nuclei found, and do they have the right type: scores of one image or of many together.

What one image adds is a :class:`Tally`; :func:`pooled` makes the scores of one or more. They
follow their papers: detection and F1 of a type are hover_net's (Graham et al. 2019), with pairs
of centroids; bPQ, mPQ and mPQ+ are PanNuke's and CoNIC's (Gamper et al. 2020, Graham et al.
2024), with pairs of outlines; R² is of the counts per image. A nucleus whose true type is not
known counts where nuclei are found, and nowhere where types are told.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from ...errors import InputError
from ..choices import check_choices, choice
from ..hv import compact_ids, moments
from ..types import Float64, Int64, TypeInfo, TypeRow, TypeScores, numbered

USUAL_MPP = 0.25
"""Micrometres per pixel that are taken where an image does not tell: those of the papers."""
DENSE = 2**25
"""Distances held at a time; with more pairs of nuclei only near ones are looked at."""
WEIGHTS = (2, 2, 1, 1)
"""In F1 of a type: wrong type given, type not given, nucleus spurious, nucleus missed."""
NONE = 0
"""Number of "no type": in the truth it is not known, in a prediction none was given."""
Matched = tuple[Int64, Int64, Float64]
"""Ids of true and predicted nuclei whose outlines are a pair, and their IoU."""


IGNORED = "ignore"
"""How the name of a class begins whose areas do not count, as QuPath's "Ignore*"."""
IGNORED_SHARE = 0.5
"""A nucleus with more than this share of its pixels in such an area does not count."""


@dataclass(frozen=True)
class TypedParams:
    """When a nucleus is found."""

    # fmt: off
    radius_um: float = choice(
        3.0, "Found within", "A nucleus is found if a predicted centroid lies this near: 12 px at "
        "0.25 um per pixel, as the papers have it.",
        unit="um", above=0, span=(0.5, 20), step=0.25)
    # fmt: on

    def __post_init__(self) -> None:
        check_choices(self)

    def radius_px(self, mpp: float | None) -> float:
        """Return the radius in pixels of an image."""
        return self.radius_um / (mpp or USUAL_MPP)


class Nuclei(NamedTuple):
    """Nuclei of a label image, ids rising."""

    ids: Int64
    centroids: Float64  # x, y
    areas: Int64
    boxes: Int64  # r0, c0, r1, c1, inclusive
    types: Int64  # 0 = none


@dataclass(frozen=True, eq=False)
class Tally:
    """What one image adds; types are numbered 0 = none, 1 to T."""

    confusion: Int64  # (T + 2, T + 2): true types by predicted ones; the last is "not there"
    outlines: Float64  # (T + 1, 4): pairs, spurious, missed, sum of IoU; row 0 = of any type
    sizes: Float64  # Pairs of outlines, sums of relative differences of area and of offsets, px

    @property
    def n_types(self) -> int:
        """Number of types, "none" left out."""
        return len(self.outlines) - 1


def without(
    labels: npt.ArrayLike, ignore: npt.ArrayLike, share: float = IGNORED_SHARE
) -> npt.NDArray[Any]:
    """Take out of labels what lies in a region (H, W) that does not count.

    Nuclei with more than ``share`` of their pixels there go as a whole, others lose those pixels.
    """
    array, mask = np.asarray(labels), np.asarray(ignore).astype(bool)
    if array.shape != mask.shape:
        raise InputError(
            f"The region to be ignored has shape {mask.shape}, the labels {array.shape}; give one "
            "mask (H, W) of the image's size."
        )
    ids, n = compact_ids(array)
    inside = np.bincount(ids[mask], minlength=n + 1)
    gone = inside > share * np.bincount(ids.ravel(), minlength=n + 1)
    return np.where(mask | gone[ids], 0, array).astype(array.dtype, copy=False)


def tally(
    true_labels: npt.NDArray[Any],
    pred_labels: npt.NDArray[Any],
    matched: Matched,
    types: tuple[Any, Any] = (None, None),
    radius_px: float = TypedParams().radius_px(None),
) -> Tally:
    """Count in one image, labels (H, W); ``types`` are those of true and predicted nuclei."""
    true, pred = nuclei_of(true_labels, types[0], "true_types"), nuclei_of(pred_labels, types[1])
    n = int(max(true.types.max(initial=0), pred.types.max(initial=0)))
    confusion = np.zeros((n + 2, n + 2), np.int64)
    rows, columns = pairs_within(true.centroids, pred.centroids, radius_px)
    np.add.at(confusion, (true.types[rows], pred.types[columns]), 1)
    confusion[:-1, -1] = np.bincount(np.delete(true.types, rows), minlength=n + 1)
    confusion[-1, :-1] = np.bincount(np.delete(pred.types, columns), minlength=n + 1)
    at = np.searchsorted(true.ids, matched[0]), np.searchsorted(pred.ids, matched[1])
    sizes = np.zeros(3)
    if len(at[0]):
        areas = true.areas[at[0]], pred.areas[at[1]]
        offsets = [
            _offset(true_labels, pred_labels, true, pred, *pair) for pair in zip(*at, strict=True)
        ]
        sizes[:] = len(offsets), ((areas[1] - areas[0]) / areas[0]).sum(), sum(offsets)
    return Tally(confusion, _outlines(true, pred, at, matched[2], n), sizes)


def by_id(labels: npt.ArrayLike, types: Any, name: str = "types") -> dict[int, int] | None:
    """Return types as they may be given, see :func:`nuclei_of`, by id; None if there are none."""
    if types is None:
        return None
    found = nuclei_of(np.asarray(labels), types, name)
    return dict(zip(found.ids.tolist(), found.types.tolist(), strict=True))


def nuclei_of(labels: npt.NDArray[Any], types: Any = None, name: str = "types") -> Nuclei:
    """Measure the nuclei of a label image and give each its type.

    ``types``: by id, one for each id (rising), or of each pixel (H, W), of which the most count.
    """
    compact, largest = compact_ids(labels)
    count, total, box = moments(compact, largest)
    count[0] = 0
    rows = np.flatnonzero(count)
    first = {int(i): k for k, i in enumerate(rows)}
    ids = rows
    if largest != np.max(labels, initial=0):  # they were renumbered
        ids = np.unique(np.asarray(labels)).astype(np.int64)
        ids = ids[ids > 0]
    kinds = _types_of(types, compact, ids, first, name)
    centroids = total[rows][:, ::-1] / count[rows, None]
    return Nuclei(ids, centroids, count[rows], box[rows], kinds)


def _types_of(
    types: Any, compact: npt.NDArray[Any], ids: Int64, place: Mapping[int, int], name: str
) -> Int64:
    if types is None:
        return np.zeros(len(ids), np.int64)
    if isinstance(types, Mapping):
        found = np.array([types.get(int(i), NONE) for i in ids], dtype=np.int64)
    else:
        found = np.asarray(types)
        if found.dtype.kind not in "iub":
            raise InputError(f"{name} has dtype {found.dtype}; types are whole numbers, 0 = none.")
        if found.shape == compact.shape and found.ndim == 2:
            return _most_frequent(found.astype(np.int64), compact, len(ids), place)
        if found.shape != (len(ids),):
            raise InputError(
                f"{name} has shape {found.shape}; give one type for each of the {len(ids)} nuclei, "
                f"by rising id, or one for each pixel {compact.shape}, or a type by id."
            )
    return np.maximum(found.astype(np.int64), NONE)  # below 0 = not known


def _most_frequent(
    kinds: Int64, compact: npt.NDArray[Any], n: int, place: Mapping[int, int]
) -> Int64:
    """Most frequent type other than "none" of each nucleus; of equals the lower one."""
    inside = (compact > 0) & (kinds > NONE)
    index = np.zeros(int(compact.max(initial=0)) + 1, np.int64)
    index[list(place)] = list(place.values())
    votes = np.zeros((n, int(kinds.max(initial=0)) + 1), np.int64)
    np.add.at(votes, (index[compact[inside]], kinds[inside]), 1)
    kind: Int64 = votes.argmax(axis=1)
    return kind


def pairs_within(true: Float64, pred: Float64, radius: float) -> tuple[Int64, Int64]:
    """Pair points (n, 2) and (m, 2) one to one by the least sum of distances; keep near pairs.

    As hover_net does: far points take part in the sum. Beyond ``DENSE`` distances only points
    within the radius do, of which as many as possible are paired.
    """
    from scipy import optimize, sparse  # noqa: PLC0415 - a second to load, for scores alone
    from scipy.spatial import KDTree, distance  # noqa: PLC0415

    nobody = np.zeros(0, np.int64)
    if not len(true) or not len(pred):
        return nobody, nobody
    if len(true) * len(pred) <= DENSE:
        apart = distance.cdist(true, pred)
        rows, columns = optimize.linear_sum_assignment(apart)
        near = apart[rows, columns] <= radius
        return rows[near], columns[near]
    found = KDTree(true).sparse_distance_matrix(KDTree(pred), radius, output_type="coo_matrix")
    n, m = found.shape
    alone = np.arange(n)  # each true nucleus may stay alone, at more than any distance
    costs = np.concatenate((found.data + 1, np.full(n, 2 * (radius + 1) * max(n, m))))
    at = np.concatenate((found.row, alone)), np.concatenate((found.col, m + alone))
    graph = sparse.csr_array((costs, at), shape=(n, m + n))
    rows, columns = sparse.csgraph.min_weight_full_bipartite_matching(graph)
    taken = columns < m
    return rows[taken], columns[taken]


def _outlines(true: Nuclei, pred: Nuclei, at: tuple[Int64, Int64], iou: Float64, n: int) -> Float64:
    """Count pairs, spurious and missed nuclei and sum IoU: of any type, then of each."""
    found = np.zeros((n + 1, 4))
    found[0] = len(iou), len(pred.ids) - len(iou), len(true.ids) - len(iou), iou.sum()
    kinds = true.types[at[0]], pred.types[at[1]]
    untold = pred.types.copy()
    untold[at[1][kinds[0] == NONE]] = NONE  # on a nucleus of no known type nothing is wrong
    for k in range(1, n + 1):
        both = (kinds[0] == k) & (kinds[1] == k)
        spurious, missed = (untold == k).sum() - both.sum(), (true.types == k).sum() - both.sum()
        found[k] = both.sum(), spurious, missed, iou[both].sum()
    return found


def _offset(
    true_labels: npt.NDArray[Any], pred_labels: npt.NDArray[Any], true: Nuclei, pred: Nuclei,
    i: int, j: int,
) -> float:  # fmt: skip
    """Mean distance, px, by which the rim of a prediction lies outside its true nucleus."""
    low = np.minimum(true.boxes[i, :2], pred.boxes[j, :2])
    high = np.maximum(true.boxes[i, 2:], pred.boxes[j, 2:]) + 1
    part = slice(low[0], high[0]), slice(low[1], high[1])
    nucleus = np.pad(true_labels[part] == true.ids[i], 1).astype(np.uint8)
    found = np.pad(pred_labels[part] == pred.ids[j], 1).astype(np.uint8)
    rim = (found - cv2.erode(found, CROSS)).astype(bool)
    depth = cv2.distanceTransform(nucleus, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    beyond = cv2.distanceTransform(1 - nucleus, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return float(np.where(nucleus[rim] > 0, 1 - depth[rim], beyond[rim]).mean())


CROSS = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
"""A pixel and its four neighbours."""


# --- scores ---------------------------------------------------------------------------


def pooled(
    tallies: Sequence[Tally],
    types: Mapping[int, TypeInfo] | None = None,
    params: TypedParams | None = None,
) -> TypeScores:
    """Make the scores of all images together, and the means of those of each."""
    n = max([0, *(t.n_types for t in tallies), *(types or {})])
    known = numbered(n + 1) | dict(types or {})
    tallies = [_widened(t, n) for t in tallies]
    zero = Tally(np.zeros((n + 2, n + 2), np.int64), np.zeros((n + 1, 4)), np.zeros(3))
    total = Tally(
        sum((t.confusion for t in tallies), zero.confusion),
        sum((t.outlines for t in tallies), zero.outlines),
        sum((t.sizes for t in tallies), zero.sizes),
    )
    each = [figures(t) for t in tallies]
    together = figures(total)
    names = [k for k in range(1, n + 1) if types is None or k in types or _seen(total, k)]
    rows = {k: _row(total, tallies, k, known[k]) for k in names}
    return TypeScores(
        n_images=len(tallies),
        **{**together, "mpq": _mean([one["mpq"] for one in each])},
        mpq_plus=_mean([row.pq for row in rows.values()]),
        type_f1=_mean([row.f1 for row in rows.values()]),
        r2=_mean([row.r2 for row in rows.values()]),
        types=rows,
        confusion=total.confusion,
        means={name: _mean([one[name] for one in each]) for name in together},
        radius_um=(params or TypedParams()).radius_um,
    )


def _seen(tally: Tally, k: int) -> bool:
    return bool(tally.confusion[k].any() or tally.confusion[:, k].any())


def _widened(tally: Tally, n: int) -> Tally:
    """Make room for ``n`` types."""
    old = tally.n_types
    if old == n:
        return tally
    at = [*range(old + 1), n + 1]
    confusion, outlines = np.zeros((n + 2, n + 2), np.int64), np.zeros((n + 1, 4))
    confusion[np.ix_(at, at)] = tally.confusion
    outlines[: old + 1] = tally.outlines
    return Tally(confusion, outlines, tally.sizes)


def figures(tally: Tally) -> dict[str, float]:
    """Return the scores that one image has, too; NaN where there is nothing to divide by."""
    found, told = tally.confusion[:-1, :-1], tally.confusion[1:-1, :-1]
    alone = tally.confusion[:-1, -1], tally.confusion[-1, :-1]
    pairs, missed, spurious = (int(x.sum()) for x in (found, *alone))
    n, area, offset = tally.sizes
    there = [k for k in range(1, tally.n_types + 1) if tally.outlines[k, 0] + tally.outlines[k, 2]]
    some = tally.outlines[0, 0] + tally.outlines[0, 2]
    return {
        "precision": _share(pairs, pairs + spurious),
        "recall": _share(pairs, pairs + missed),
        "f1": _share(2 * pairs, 2 * pairs + spurious + missed),
        "type_accuracy": _share(int(np.trace(told[:, 1:])), int(told.sum())),
        "bpq": _quality(tally.outlines[0]) if some else math.nan,
        "mpq": _mean([_quality(tally.outlines[k]) for k in there]),
        "area_bias": _share(area, n),
        "boundary_offset": _share(offset, n),
    }


def _row(total: Tally, tallies: Sequence[Tally], k: int, info: TypeInfo) -> TypeRow:
    """Return the scores of one type."""
    told, outlines = total.confusion[1:-1], total.outlines[k]
    right = total.confusion[k, k]
    wrong = told[:, k].sum() - right, total.confusion[k, :-1].sum() - right
    apart = total.confusion[-1, k], total.confusion[k, -1]
    errors = sum(w * x for w, x in zip(WEIGHTS, (*wrong, *apart), strict=True))
    counts = np.array([[t.confusion[k].sum(), t.confusion[:, k].sum()] for t in tallies])
    return TypeRow(
        name=info.name,
        color=info.color,
        n_true=int(total.confusion[k].sum()),
        n_pred=int(total.confusion[:, k].sum()),
        f1=_share(2 * right, 2 * right + errors),
        precision=_share(right, right + wrong[0] + apart[0]),
        recall=_share(right, right + wrong[1] + apart[1]),
        dq=_share(outlines[0], outlines[0] + (outlines[1] + outlines[2]) / 2),
        sq=_share(outlines[3], outlines[0]),
        pq=_quality(outlines),
        r2=r2(*counts.T) if len(counts) else math.nan,
    )


def r2(true: npt.ArrayLike, pred: npt.ArrayLike) -> float:
    """Coefficient of determination of counts per image; NaN where the true ones are all alike."""
    t, p = np.asarray(true, np.float64), np.asarray(pred, np.float64)
    spread = ((t - t.mean()) ** 2).sum()
    return float(1 - ((t - p) ** 2).sum() / spread) if spread else math.nan


def _quality(outlines: Float64) -> float:
    """Panoptic quality of pairs, spurious, missed, sum of IoU."""
    pairs, spurious, missed, iou = outlines
    return _share(iou, pairs + (spurious + missed) / 2)


def _share(part: float, whole: float) -> float:
    return float(part / whole) if whole else math.nan


def _mean(values: Sequence[float]) -> float:
    """Mean of those that are defined; NaN without any."""
    there = [value for value in values if not math.isnan(value)]
    return sum(there) / len(there) if there else math.nan
