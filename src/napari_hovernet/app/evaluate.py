"""Evaluate predictions for many images: a row per image, means per source and over all."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..core.choices import check_choices, choice
from ..core.data.pairs import Pair
from ..core.io.open import read_labels
from ..core.measure.blobs import BlobParams, blob_report
from ..core.measure.compare import Comparison, Truth, check_truth, compare
from ..core.measure.magnitude import MagnitudeBands, MagnitudeReport, magnitude_report
from ..core.measure.metrics import BootstrapParams, Interval, bootstrap_mean, tally_types
from ..core.measure.typed import Tally, pooled
from ..core.types import Progress, TypeInfo, TypeScheme, TypeScores
from ..errors import DeviceError, InputError, UserError
from .figures import (
    PictureParams,
    magnitude_picture,
    outcome_picture,
    png_bytes,
    worst_window,
)
from .jobs import describe_failure, relayed
from .predictors import Predicted, Predictor
from .typed import ignored_area, ignoring, scores_of, typed_truth

ALL, NO_SOURCE = "all", "(no source)"
"""Names of the group of all images, and of that of images whose source is not known."""


@dataclass(frozen=True)
class Score:
    """A column of which means are taken."""

    title: str
    meaning: str  # One line that says how to read it
    better: str = ""  # "high", "low" or "" (neither)
    base: str = ""  # Score that one gets for nothing
    best: str = ""  # Score that is the best there can be
    beside: str = ""  # Its short name where it stands beside another; "" = has its own line


SCORES: Mapping[str, Score] = {
    "aji": Score(
        "AJI", "Shared area of paired nuclei over everything found or missed. Beside it: connected "
        "components only (no separation at all), and the true maps through the same separation.",
        "high", "cc_aji", "oracle_aji"),
    "aji_plus": Score("AJI+", "AJI with partners one to one.", "high"),
    "pq": Score(
        "PQ", "DQ times SQ, with the same two rates beside it as AJI.",
        "high", "cc_pq", "oracle_pq"),
    "dq": Score("DQ", "Are the nuclei found? F1 of pairs with IoU above 0.5.", "high"),
    "sq": Score("SQ", "How well the found ones fit: mean IoU of those pairs.", "high"),
    "dice": Score(
        "Dice", "Nucleus against background pixels; blind to whether touching nuclei are apart. "
        "Beside it: what calling every pixel nucleus gets.", "high", "all_foreground_dice"),
    "detection_f1": Score(
        "Detection F1", "Are the nuclei found, whatever their outline? F1 of pairs of centroids at "
        "most 3 um apart (12 px at 0.25 um).", "high"),
    "detection_precision": Score("Detection precision", "Share of the found that are true.",
                                 "high"),
    "detection_recall": Score("Detection recall", "Share of the true that are found.", "high"),
    "type_accuracy": Score(
        "Type accuracy", "Share of the found nuclei that have the right type.", "high"),
    "mpq": Score("mPQ", "PQ of each type that is there, averaged over types.", "high"),
    "area_bias": Score(
        "Bias of areas", "Mean relative difference between predicted and true areas of pairs with "
        "IoU above 0.5; 0.1 = 10 % too large."),
    "boundary_offset": Score(
        "Offset of outlines (px)", "How far predicted outlines of those pairs lie outside the true "
        "ones; below 0 = inside."),
    "cc_aji": Score(
        "AJI of connected components", "The mask with every connected area as one nucleus: the "
        "score without separation.", beside="connected components"),
    "cc_pq": Score(
        "PQ of connected components", "The same for PQ.", beside="connected components"),
    "oracle_aji": Score(
        "AJI of the true maps (oracle)", "The most this separation could reach; if it is low, no "
        "network can help.", beside="oracle"),
    "oracle_pq": Score("PQ of the true maps (oracle)", "The same for PQ.", beside="oracle"),
    "all_foreground_dice": Score(
        "Dice of all-foreground", "Dice of calling every pixel nucleus: high where nuclei fill the "
        "image.", beside="all foreground"),
    "hv_mse": Score(
        "HV error (MSE)", "Mean squared error of HV inside true nuclei. Beside it: that of a map "
        "of zeros, so an error near it means that nothing was learnt.", "low", "hv_zero_mse"),
    "hv_zero_mse": Score(
        "HV error of the zero map", "What a network gets that predicts HV 0 everywhere.",
        beside="zero map"),
    "hv_cosine": Score(
        "HV direction (cosine)", "1 = HV points the right way, 0 = no direction learnt, -1 = wrong "
        "sign. Magnitude cannot tell them apart.", "high"),
    "magnitude_inside": Score(
        "HV magnitude inside nuclei", "Mean length of HV inside true nuclei; length alone is no "
        "health, see the direction.", best="true_magnitude"),
    "true_magnitude": Score(
        "HV magnitude of the truth", "Mean length of the exact HV inside true nuclei, usually 0.67 "
        "to 0.69.", beside="truth"),
}  # fmt: skip
"""Every score, the important ones first: what CSV, JSON, page and command line go by."""
OUTCOMES: Mapping[str, str] = {
    "matched": "found, IoU above 0.5",
    "merged": "one prediction over several true nuclei",
    "split": "one true nucleus cut into several",
    "missed": "no prediction fits it (its true outline is drawn)",
    "spurious": "a prediction that fits no true nucleus",
}
"""What can become of a nucleus."""
COUNTS = ("n_true", "n_pred", *(f"n_{name}" for name in OUTCOMES), "suspected_blobs")
"""Columns of whole numbers; groups hold their sums."""


@dataclass(frozen=True)
class BatchParams:
    """How predictions are judged and shown."""

    bands: MagnitudeBands = field(default_factory=MagnitudeBands)
    blobs: BlobParams = field(default_factory=BlobParams)
    bootstrap: BootstrapParams = field(default_factory=BootstrapParams)  # Of the means' intervals
    picture: PictureParams = field(default_factory=PictureParams)
    n_pictures: int = choice(24, "Pictures", "Images of lowest AJI that are shown.", low=0)
    true_types: TypeScheme | None = None  # How the true types are taken together
    ignore: Path | None = None  # Folder of masks, named after the images, where nothing counts

    def __post_init__(self) -> None:
        check_choices(self)


@dataclass(frozen=True, eq=False)
class ImageRow:
    """One image of a batch."""

    name: str  # Name, source and split as the data set says
    source: str
    split: str
    image: str  # Paths
    labels: str
    values: Mapping[str, float] = field(default_factory=dict)
    verdict: str = ""
    mpp: float | None = None  # Micrometres per pixel that the image was taken to have
    scale: float = 1.0  # By which it was resized for the network, 1 = not at all
    notes: tuple[str, ...] = ()  # What was assumed or looks odd
    error: str = ""  # Why the image failed, "" if it did not
    tally: Tally | None = None  # What it adds to the scores of types
    type_names: Mapping[int, TypeInfo] = field(default_factory=dict)  # Where types were scored
    inside: str = ""  # ``TRUE`` or ``PREDICTED`` nuclei, where magnitude alone was measured
    report: MagnitudeReport | None = None  # What was measured then; None if the image failed

    def __getitem__(self, key: str) -> float:
        """Return a score or count; NaN where there is none."""
        return self.values.get(key, math.nan)


@dataclass(frozen=True, eq=False)
class Group:
    """Means of the images of one source, or of all."""

    name: str
    n: int  # Images with scores
    n_failed: int
    means: Mapping[str, Interval]  # By score
    counts: Mapping[str, int]  # Sums over the images
    typed: TypeScores  # Of all images together: are nuclei found, have they the right type


@dataclass(frozen=True)
class Pictures:
    """Pictures of one image, PNG: outlines by outcome, and HV magnitude (None without maps)."""

    outcomes: bytes
    magnitude: bytes | None
    place: str  # Which part of the image they show


@dataclass(frozen=True, eq=False)
class BatchResult:
    """All of a batch evaluation."""

    rows: tuple[ImageRow, ...]  # In the order of the data set
    groups: tuple[Group, ...]  # One per source if there are several, then that of all images
    predictor: Mapping[str, Any]  # Where the predictions come from, JSON-able
    params: BatchParams
    pictures: Mapping[str, Pictures]  # By name of the image, for the worst ones
    seconds: float  # Wall-clock time of all

    @property
    def failed(self) -> tuple[ImageRow, ...]:
        """Rows of the images that failed."""
        return tuple(row for row in self.rows if row.error)

    @property
    def overall(self) -> Group:
        """Means of all images."""
        return self.groups[-1]


def _rows(
    pairs: Sequence[Pair],
    predictor: Predictor,
    judge: Callable[[Pair, Predicted, float], ImageRow],
) -> Generator[Progress, None, list[ImageRow]]:
    """Predict and judge image after image; whatever goes wrong with one becomes its error."""
    rows = []
    for i, pair in enumerate(pairs):
        place, started = (i, len(pairs)), time.perf_counter()
        try:
            predicted = yield from relayed(predictor.steps(pair), partial(_named, pair.name, place))
            yield Progress(*place, f"{pair.name}: comparing")
            rows.append(judge(pair, predicted, started))
            continue
        except DeviceError:
            raise
        except UserError as error:
            why = " ".join(str(error).split())
        except Exception as error:  # one image must not end the batch
            why = describe_failure(error)
        rows.append(replace(_blank(pair), error=why))
    return rows


def _named(name: str, place: tuple[int, int], step: Progress) -> Progress:
    """Make a step of one image a step of the batch, ``place`` = (done, total)."""
    what = step.message or f"{step.done} of {step.total}"
    notice = f"{name}: {step.notice}" if step.notice else ""
    return Progress(*place, f"{name}: {what}", notice)


def evaluate_steps(
    pairs: Sequence[Pair], predictor: Predictor, params: BatchParams | None = None
) -> Generator[Progress, None, BatchResult]:
    """Predict and score image after image, step by step."""
    params = params or BatchParams()
    if not pairs:
        raise InputError("There is no image with labels to evaluate.")
    began = time.perf_counter()
    pictures: dict[str, tuple[float, Pictures]] = {}

    def judge(pair: Pair, predicted: Predicted, started: float) -> ImageRow:
        truth, notes = true_labels(pair, predicted, params)
        truth, labels = truth.within(predicted.labels)
        predicted = replace(predicted, labels=labels.astype(np.int32, copy=False))
        comparison = compare(truth, predicted.labels, predicted.maps, predicted.separation)
        values, verdict = _values(predicted, truth, comparison, params)
        types = (truth.types, predicted.types)
        types = (None, None) if None in types else types
        found = tally_types(truth.labels, predicted.labels, types, mpp=predicted.mpp)
        values |= scores_of(found)
        if params.n_pictures:
            shown = _pictures(predicted, truth, comparison, params)
            pictures[pair.name] = (values["aji"], shown)
        if len(pictures) > params.n_pictures:  # keep those of the worst images
            del pictures[max(pictures, key=lambda name: pictures[name][0])]
        values["seconds"] = time.perf_counter() - started
        notes = tuple(dict.fromkeys((*predicted.notes, *notes, *comparison.notes)))
        return replace(_blank(pair), values=values, verdict=verdict, mpp=predicted.mpp,
                       scale=predicted.scale, notes=notes, tally=found,
                       type_names=truth.type_names if predicted.types else {})  # fmt: skip

    rows = yield from _rows(pairs, predictor, judge)
    yield Progress(len(pairs), len(pairs), "Taking means ...")
    return BatchResult(
        rows=tuple(rows),
        groups=group_rows(rows, params),
        predictor=predictor.describe(),
        params=params,
        pictures={name: shown for name, (_, shown) in pictures.items()},
        seconds=time.perf_counter() - began,
    )


def _blank(pair: Pair) -> ImageRow:
    return ImageRow(pair.name, pair.source, pair.split, str(pair.image), str(pair.labels or ""))


def true_labels(
    pair: Pair, predicted: Predicted, params: BatchParams | None = None
) -> tuple[Truth, tuple[str, ...]]:
    """Return the true labels that came with a prediction, else of the pair's file, and notes."""
    params = params or BatchParams()
    if predicted.truth is not None:
        return predicted.truth, predicted.truth.notes
    if pair.labels is None:
        raise InputError(f"{pair.image.name} has no labels.")
    read, shape = read_labels(pair.labels, predicted.image.shape), predicted.image.shape
    notes = read.notes
    if read.metadata.get("model") and not read.metadata.get("corrections"):
        notes = (*notes, "the labels say that a model made them: are they the truth?")
    try:
        truth = check_truth(read.labels, shape)
    except InputError as error:
        raise InputError(f"{pair.labels.name}: {error}") from error
    truth = typed_truth(truth, read, predicted.type_names, params.true_types)
    area = ignored_area(params.ignore, pair.image, shape) if params.ignore else None
    return truth if area is None else ignoring(truth, area), notes


def _values(
    predicted: Predicted, truth: Truth, comparison: Comparison, params: BatchParams
) -> tuple[dict[str, float], str]:
    """Return scores and counts by key, and the word for the magnitude."""
    prediction, hv = comparison.prediction, comparison.hv
    connected, oracle = comparison.connected_components, comparison.oracle
    blobs = blob_report(predicted.maps, predicted.labels, params.blobs, mask=predicted.mask)
    values: dict[str, float] = {
        **prediction.as_dict(),
        **{f"n_{name}": n for name, n in prediction.outcomes.counts().items()},
        "cc_aji": connected.aji,
        "cc_pq": connected.pq,
        "oracle_aji": oracle.aji,
        "oracle_pq": oracle.pq,
        "all_foreground_dice": comparison.all_foreground_dice,
        "suspected_blobs": blobs.n_suspected,
    }
    if hv is not None:
        values |= {"hv_mse": hv.mse, "hv_zero_mse": hv.zero_mse, "hv_cosine": hv.cosine}
        values |= {"magnitude_inside": hv.magnitude, "true_magnitude": hv.true_magnitude}
    if predicted.maps is None:
        return values, ""
    report = magnitude_report(predicted.maps, truth.labels, params.bands)
    values["whole_image_max"] = report.whole_image_max  # shown beside, as misleading
    return values, report.verdict


def _pictures(
    predicted: Predicted, truth: Truth, comparison: Comparison, params: BatchParams
) -> Pictures:
    outcomes = comparison.prediction.outcomes
    window = worst_window(truth.labels, predicted.labels, outcomes, params.picture.window)
    part = window.slices()
    tissue = predicted.image.read(*window)
    labels = (truth.labels[part], predicted.labels[part])
    magnitude = None
    if predicted.maps is not None:
        lengths = predicted.maps.magnitude[part]
        magnitude = png_bytes(magnitude_picture(lengths, labels[0], params.picture))
    place = f"rows {window.r0} to {window.r1}, columns {window.c0} to {window.c1}"
    if tissue.shape[:2] == predicted.image.shape:
        place = "the whole image"
    outlined = outcome_picture(tissue, labels, outcomes, params.picture)
    return Pictures(png_bytes(outlined), magnitude, place)


def group_rows(rows: Sequence[ImageRow], params: BatchParams | None = None) -> tuple[Group, ...]:
    """Take means with intervals per source, if there are several, and over all."""
    params = params or BatchParams()
    sources = sorted({row.source for row in rows})
    parts = [(s or NO_SOURCE, [row for row in rows if row.source == s]) for s in sources]
    return tuple(
        _group(name, part, params)
        for name, part in (*(parts if len(parts) > 1 else ()), (ALL, rows))
    )


def _group(name: str, rows: Sequence[ImageRow], params: BatchParams) -> Group:
    good = [row for row in rows if not row.error]
    means = {key: bootstrap_mean([row[key] for row in good], params.bootstrap) for key in SCORES}
    sums = {key: int(sum(row.values.get(key, 0) for row in good)) for key in COUNTS}
    names = {k: info for row in good for k, info in row.type_names.items()}
    typed = pooled([row.tally for row in good if row.tally is not None], names)
    return Group(name, len(good), len(rows) - len(good), means, sums, typed)


TRUE, PREDICTED = "true nuclei", "predicted nuclei"
"""Inside of what the magnitude was measured."""


@dataclass(frozen=True, eq=False)
class MagnitudeResult:
    """All images."""

    rows: tuple[ImageRow, ...]
    mean: Interval  # Over images with nuclei, of the mean magnitude inside
    direction: Interval  # The same of the cosine
    verdict: str  # Of that mean
    verdicts: Mapping[str, int]  # Images by verdict
    predictor: Mapping[str, Any]  # As :meth:`Predictor.describe` gives it

    @property
    def failed(self) -> tuple[ImageRow, ...]:
        """Rows of the images that failed."""
        return tuple(row for row in self.rows if row.error)


def magnitude_steps(
    pairs: Sequence[Pair], predictor: Predictor, bands: MagnitudeBands | None = None
) -> Generator[Progress, None, MagnitudeResult]:
    """Predict image after image and measure HV, step by step."""
    bands = bands or MagnitudeBands()
    if not pairs:
        raise InputError("There is no image to look at.")

    def judge(pair: Pair, predicted: Predicted, _: float) -> ImageRow:
        if predicted.maps is None:
            raise InputError(f"{pair.name}: there are no maps, only labels; give a model.")
        inside, labels, notes = PREDICTED, predicted.labels, predicted.notes
        if pair.labels or predicted.truth is not None:
            truth, odd = true_labels(pair, predicted)
            inside, labels, notes = TRUE, truth.labels, (*notes, *odd, *truth.notes)
        report = magnitude_report(predicted.maps, labels, bands)
        notes = tuple(dict.fromkeys(notes))
        return replace(_blank(pair), inside=inside, report=report, notes=notes)

    rows = yield from _rows(pairs, predictor, judge)
    good = [row.report for row in rows if row.report is not None]
    mean = bootstrap_mean([report.inside.mean for report in good])
    return MagnitudeResult(
        rows=tuple(rows),
        mean=mean,
        direction=bootstrap_mean([report.direction for report in good]),
        verdict=bands.word(mean.mean),
        verdicts=Counter(report.verdict for report in good),
        predictor=predictor.describe(),
    )
