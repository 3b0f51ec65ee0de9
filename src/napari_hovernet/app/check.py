"""What there is to look at in a run, place by place and in words; corrections of single nuclei."""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.types import Int32, Int64, Maps, Outcomes, Progress
from ..errors import InputError
from .study import Case, Findings, TruthChoice

if TYPE_CHECKING:
    from ..core.measure.blobs import BlobRow
    from ..core.measure.compare import ErrorPlace
    from ..core.params import SeparationParams
    from .session import Run

KINDS = {
    "blob": "Blobs", "merged": "Merged", "split": "Split", "missed": "Missed",
    "spurious": "Extra", "uncertain": "Uncertain",
}  # fmt: skip
"""Kinds of places to look at, worst first, and their titles."""
SPLIT_TRIES = 4
"""How often the depth is halved until a nucleus falls apart."""
LEAST_PART = 10
"""Pixels of the smallest part of a nucleus that is split."""
LOST_WORDS = "likely nucleus that was dropped"
Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Place:
    """One place to look at."""

    kind: str  # One of :data:`KINDS`
    words: str  # One short line
    box: Box  # r0, r1, c0, c1 in pixels of the run's arrays
    nucleus: int = 0  # The nucleus it is about, 0 = none of those on screen
    tip: str = ""  # All there is to say


def places_of(found: Findings | None) -> dict[str, tuple[Place, ...]]:
    """List what to look at, by kind; kinds that cannot be known are left out."""
    if found is None:
        return {}
    listed = {"blob": tuple(_blob(row, found) for row in found.blobs.suspects)}
    if found.comparison is not None and found.comparison.places is not None:
        errors = found.comparison.places.errors
        for kind in Outcomes.ERRORS:
            listed[kind] = tuple(map(_error, (e for e in errors if e.kind == kind)))
    listed["uncertain"] = tuple(_uncertain(found))
    return listed


def first_kind(listed: dict[str, tuple[Place, ...]], other: str = "blob") -> str:
    """Return the worst kind of which there is something, ``other`` if there is nothing."""
    return next((kind for kind in KINDS if listed.get(kind)), other)


def _blob(row: BlobRow, found: Findings) -> Place:
    from ..core.measure.blobs import explain  # noqa: PLC0415 - imports numba

    r0, c0, r1, c1 = row.bbox
    became = f"cut into {row.n_instances:,}, looks like {row.expected:,}"
    tip = explain(row, bands=found.magnitude.bands)
    return Place("blob", became, (r0, r1, c0, c1), row.worst, tip)


def _error(error: ErrorPlace) -> Place:
    words = error.words.replace("is spurious: nothing true there", "is extra: nothing true there")
    nucleus = error.pred_ids[0] if error.pred_ids else 0
    return Place(error.kind, words, error.box, nucleus, words)


def _uncertain(found: Findings) -> Generator[Place, None, None]:
    nuclei = found.nuclei
    for row in np.flatnonzero(np.isin(nuclei.label, found.uncertain.nuclei)):
        r0, c0, r1, c1 = (int(x) for x in nuclei.bbox[row])
        number, likely = int(nuclei.label[row]), float(nuclei.np_mean[row])
        words = f"nucleus {number}, probability {likely:.2f}"
        yield Place("uncertain", words, (r0, r1, c0, c1), number, words)
    for r0, c0, r1, c1 in found.uncertain.lost:
        yield Place("uncertain", LOST_WORDS, (r0, r1, c0, c1), 0, LOST_WORDS)


def box_of(found: Findings | None, nucleus: int) -> Box | None:
    """Return the box (r0, r1, c0, c1) of a nucleus, None if it is not known."""
    if found is None or nucleus not in found.nuclei.label:
        return None
    rows = np.flatnonzero(found.nuclei.label == nucleus)
    r0, c0, r1, c1 = (int(x) for x in found.nuclei.bbox[rows[0]])
    return r0, r1, c0, c1


# ---------------------------------------------------------------- in words


def magnitude_words(found: Findings | None) -> tuple[str, str]:
    """Say how long HV is and whether it points right, and the tone; never one number alone."""
    if found is None or not len(found.nuclei):
        return "", ""
    report = found.magnitude
    inside, outside = report.inside.mean, _number(report.outside.mean)
    said = f"Magnitude {inside:.2f} in nuclei, {outside} outside; direction "
    hv = None if found.comparison is None else found.comparison.hv
    if hv is not None and not math.isnan(hv.cosine):
        said += f"{hv.cosine:.2f} (truth)"
        wrong = hv.cosine < report.bands.direction
    else:
        said += f"{_number(report.direction)} of 1"
        wrong = report.misdirected
    tone = {"collapsed": "bad", "weak": "warn"}.get(report.verdict, "warn" if wrong else "")
    return said + ".", tone


def truth_words(truth: TruthChoice | None, found: Findings | None) -> tuple[str, str]:
    """Say in a sentence or two how what is on screen fits the truth, and the tone."""
    if truth is None:
        return "", ""
    if truth.error:
        return f"{truth.name}: {truth.error}", "bad"
    errors = () if found is None else found.errors
    if errors:
        return errors[0], "bad"
    if found is None or found.comparison is None:
        return "Comparing ...", ""
    c = found.comparison
    counts, scores = c.prediction.outcomes.counts(), c.prediction
    said = f"{counts['matched']:,} of {scores.n_true:,} true nuclei found"
    parts = [f"{counts[k]:,} {KINDS[k].lower()}" for k in Outcomes.ERRORS if counts[k]]
    said = ", ".join((said, *parts)) + "."
    said += f" AJI {scores.aji:.2f}; {c.connected_components.aji:.2f} without separation, "
    said += f"{c.oracle.aji:.2f} from perfect maps."
    odd = " ".join(truth.notes)
    return f"{said} {odd}".strip(), "warn" if odd else ""


def score_rows(found: Findings | None) -> tuple[tuple[str, ...], ...]:
    """Return the table of scores: a title and Dice, AJI, PQ as text in each row."""
    if found is None or found.comparison is None:
        return ()
    c = found.comparison
    titles = ("on screen", "no separation", "perfect maps")
    lines = [(title, *(f"{getattr(e, name):.3f}" for name in ("dice", "aji", "pq")))
             for title, (_, e) in zip(titles, c.rows(), strict=True)]  # fmt: skip
    return (*lines, ("all nucleus", f"{c.all_foreground_dice:.3f}", "", ""))


def scores_text(found: Findings) -> str:
    """Return all scores as lines with tabs, "" without a truth."""
    from ..core.io.tables import comparison_text  # noqa: PLC0415 - on first use

    return comparison_text(found.comparison) if found.comparison is not None else ""


def save_scores(path: str, found: Findings, run: Run | None) -> None:
    """Write all scores: .json with the errors and their places, else as .csv."""
    from ..core.io.tables import (  # noqa: PLC0415 - on first use
        write_comparison_csv,
        write_comparison_json,
    )

    if found.comparison is None:
        raise InputError("There are no scores to save; choose a truth first.")
    if path.lower().endswith(".json"):
        about = {} if run is None else {"run": run.title, **run.metadata}
        write_comparison_json(path, found.comparison, about)
        return
    name = path if path.lower().endswith(".csv") else f"{path}.csv"
    write_comparison_csv(name, found.comparison)


def remarks(found: Findings | None) -> str:
    """Return what the scores are worth, a sentence a line."""
    if found is None or found.comparison is None:
        return ""
    from ..core.measure.compare import verdict  # noqa: PLC0415 - imports numba

    return "\n".join(remark.text for remark in verdict(found.comparison))


def pixel_words(maps: Maps, labels: Int32, row: int, col: int, mpp: float | None = None,
                found: Findings | None = None) -> str:  # fmt: skip
    """Read one pixel: NP, HV, magnitude, and the nucleus with its area."""
    h, v = float(maps.hv[0, row, col]), float(maps.hv[1, row, col])
    said = f"NP {float(maps.np[row, col]):.2f} · HV {h:+.2f} {v:+.2f} · {math.hypot(h, v):.2f}"
    nucleus = int(labels[row, col])
    if not nucleus:
        return said
    said += f" · nucleus {nucleus}"
    at = -1 if found is None else int(np.searchsorted(found.nuclei.label, nucleus))
    if found is None or at >= len(found.nuclei) or found.nuclei.label[at] != nucleus:
        return said
    return f"{said}, {area_words(int(found.nuclei.area[at]), mpp)}"


def area_words(pixels: int, mpp: float | None) -> str:
    """Return an area in µm² where the resolution is known, else in pixels."""
    return f"{pixels:,} px" if not mpp else f"{pixels * mpp**2:.1f} µm²"


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.2f}"


# ---------------------------------------------------------------- corrections


@dataclass(frozen=True, eq=False)
class Correction:
    """Pixels that get another id, and what that does in words."""

    rows: Int64  # (n,)
    cols: Int64  # (n,)
    ids: Int64  # (n,)
    words: str


def delete(labels: Int32, nucleus: int) -> Correction:
    """Take a nucleus away."""
    rows, cols = _pixels(labels, nucleus)
    return Correction(rows, cols, np.zeros(len(rows), np.int64), f"Nucleus {nucleus} deleted.")


def merge(labels: Int32, nucleus: int, other: int) -> Correction:
    """Make two nuclei one, which keeps the id of the first; what is between them stays."""
    if nucleus == other:
        raise InputError(f"Nucleus {nucleus} cannot be merged with itself: click another one.")
    rows, cols = _pixels(labels, other)
    said = f"Nucleus {other} merged into {nucleus}."
    return Correction(rows, cols, np.full(len(rows), nucleus), said)


def split_steps(
    case: Case, nucleus: int, params: SeparationParams, parts: int = 2
) -> Generator[Progress, None, Correction]:
    """Cut a nucleus where HV turns back, the depth halved until it falls apart, else by shape.

    ``params`` are of the method "local". The largest part keeps the id.
    """
    yield Progress(0, 0, "Splitting ...")
    rows, cols = _pixels(case.labels, nucleus)
    if len(rows) < 2 * LEAST_PART:
        raise InputError(f"Nucleus {nucleus} has {len(rows)} pixels: too few to split.")
    found = _by_hv(case.maps, rows, cols, params)
    how = "where HV turns back"
    if found.max() < 2:
        found, how = _by_shape(rows, cols, max(parts, 2)), "by shape, as HV shows no border"
    sizes = np.bincount(found)
    order = np.argsort(-sizes[1:], kind="stable")
    ids = np.zeros(len(sizes), np.int64)
    top = int(case.labels.max())
    ids[1 + order] = (nucleus, *range(top + 1, top + len(order)))
    said = f"Nucleus {nucleus} split into {len(order)} {how}."
    return Correction(rows, cols, ids[found], said)


def _pixels(labels: Int32, nucleus: int) -> tuple[Int64, Int64]:
    rows, cols = np.nonzero(labels == nucleus) if nucleus > 0 else (np.zeros(0, np.int64),) * 2
    if not len(rows):
        raise InputError("Click a nucleus first.")
    return rows, cols


def _by_hv(maps: Maps, rows: Int64, cols: Int64, params: SeparationParams) -> Int32:
    """Return the part of each pixel, 1..n, as the separation finds them, depth after depth."""
    from ..core.separation import separate  # noqa: PLC0415 - imports numba

    r0, c0 = rows.min(), cols.min()
    y, x = rows - r0 + 2, cols - c0 + 2
    mask = np.zeros((y.max() + 3, x.max() + 3), np.float32)
    mask[y, x] = 1.0
    hv = np.zeros((2, *mask.shape), np.float32)
    hv[:, y, x] = maps.hv[:, rows, cols]
    cut = np.zeros(mask.shape, np.int32)
    for halved in range(SPLIT_TRIES):
        tried = replace(params, depth=params.depth / 2**halved, min_area=LEAST_PART)
        cut = separate(Maps(np=mask, hv=hv), tried).labels
        if cut.max() > 1:
            break
    found: Int32 = _filled(cut, mask > 0)[y, x]
    return found


def _filled(parts: Int32, mask: Any) -> Int32:
    """Give pixels of a mask that are in no part to the nearest one; 1..n without gaps."""
    from scipy.ndimage import distance_transform_edt  # noqa: PLC0415 - on first use

    if not parts.any():
        return np.asarray(mask, np.int32)
    index = distance_transform_edt(parts == 0, return_distances=False, return_indices=True)
    near = parts[tuple(index)]
    return np.where(mask, near, 0).astype(np.int32)


def _by_shape(rows: Int64, cols: Int64, parts: int) -> Int32:
    """Return the part of each pixel, 1..n: pixels nearest to one of n centres (k-means)."""
    points = np.stack((rows, cols), axis=1).astype(np.float64)
    middle = points - points.mean(axis=0)
    axis = np.linalg.svd(middle, full_matrices=False)[2][0]
    along = np.quantile(middle @ axis, (np.arange(parts) + 0.5) / parts)
    centres = points.mean(axis=0) + along[:, None] * axis
    nearest = np.zeros(len(points), np.int64)
    for _ in range(20):
        nearest = ((points[:, None] - centres[None]) ** 2).sum(axis=2).argmin(axis=1)
        known = np.unique(nearest)
        centres = np.stack([points[nearest == k].mean(axis=0) for k in known])
    return (np.unique(nearest, return_inverse=True)[1] + 1).astype(np.int32)
