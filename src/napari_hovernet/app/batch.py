"""Evaluate predictions for many images: a row per image, means per source and over all."""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import replace

from ..core.blobs import blob_report
from ..core.compare import Comparison, compare
from ..core.io.dataset import Pair
from ..core.io.instances import Instances
from ..core.io.labels_file import read_labels
from ..core.magnitude import magnitude_report
from ..core.metrics.bootstrap import bootstrap_mean
from ..core.pictures import magnitude_picture, outcome_picture, png_bytes, worst_window
from ..core.truth import Truth, check_truth
from ..core.types import Progress
from ..errors import DeviceError, InputError, UserError
from .batch_types import (
    ALL,
    COUNTS,
    NO_SOURCE,
    SCORES,
    BatchParams,
    BatchResult,
    Group,
    ImageRow,
    Pictures,
)
from .jobs import describe_failure
from .predictors import Predicted, Predictor

NAN = float("nan")


def evaluate_steps(
    pairs: Sequence[Pair], predictor: Predictor, params: BatchParams | None = None
) -> Generator[Progress, None, BatchResult]:
    """Predict and score image after image, step by step.

    Parameters
    ----------
    pairs : sequence of Pair
        Images with labels, as :func:`napari_hovernet.core.io.pairs.find_data` lists them.
    predictor : Predictor
        A :class:`.predictors.ModelPredictor` or :class:`.predictors.FolderPredictor`.
    params : BatchParams, optional

    Yields
    ------
    Progress
        In images; the message names the image and what is done with it.

    Returns
    -------
    BatchResult
        An image that cannot be read, predicted or compared is a row with its error; the
        others go on. Of images only small pictures are kept.

    Raises
    ------
    InputError
        If there are no pairs.
    DeviceError
        If the device fails: the next image would fail alike.

    Examples
    --------
    >>> from pathlib import Path
    >>> from napari_hovernet.app.jobs import drive
    >>> from napari_hovernet.app.predictors import FolderPredictor
    >>> from napari_hovernet.core.io.pairs import find_pairs
    >>> steps = evaluate_steps(
    ...     find_pairs("data", split="val"), FolderPredictor(Path("results"))
    ... )  # doctest: +SKIP
    >>> drive(steps).overall.means["aji"].mean  # doctest: +SKIP
    0.685
    """
    params = BatchParams() if params is None else params
    if not pairs:
        raise InputError("There is no image with labels to evaluate.")
    started = time.perf_counter()
    rows: list[ImageRow] = []
    pictures: dict[str, Pictures] = {}
    for i, pair in enumerate(pairs):
        row, shown = yield from _one(pair, predictor, params, (i, len(pairs)))
        rows.append(row)
        if shown is not None:
            pictures[row.name] = shown
            _keep_worst(pictures, rows, params.n_pictures)
    yield Progress(len(pairs), len(pairs), "Taking means ...")
    return BatchResult(
        rows=tuple(rows),
        groups=group_rows(rows, params),
        predictor=predictor.describe(),
        params=params,
        pictures=pictures,
        seconds=time.perf_counter() - started,
    )


def _one(
    pair: Pair, predictor: Predictor, params: BatchParams, place: tuple[int, int]
) -> Generator[Progress, None, tuple[ImageRow, Pictures | None]]:
    """Evaluate one image; whatever goes wrong with it becomes its error."""
    about = ImageRow(pair.name, pair.source, pair.split, str(pair.image), str(pair.labels or ""))
    started = time.perf_counter()
    try:
        predicted = yield from told(predictor.steps(pair), pair.name, place)
        yield Progress(*place, f"{pair.name}: comparing")
        truth, notes = true_labels(pair, predicted)
        comparison = compare(truth, predicted.labels, predicted.maps, predicted.separation)
        values, verdict = _values(predicted, truth, comparison, params)
        shown = _pictures(predicted, truth, comparison, params) if params.n_pictures else None
    except DeviceError:
        raise
    except MemoryError:
        return replace(about, error="not enough memory for this image"), None
    except UserError as error:
        return replace(about, error=" ".join(str(error).split())), None
    except Exception as error:  # one image must not end the batch
        return replace(about, error=describe_failure(error)), None
    values["seconds"] = time.perf_counter() - started
    row = replace(
        about,
        values=values,
        verdict=verdict,
        mpp=predicted.mpp,
        scale=predicted.scale,
        notes=tuple(dict.fromkeys((*predicted.notes, *notes, *comparison.notes))),
    )
    return row, shown


def told(
    steps: Generator[Progress, None, Predicted], name: str, place: tuple[int, int]
) -> Generator[Progress, None, Predicted]:
    """Pass the steps of one image on as steps of a batch, ``place`` = (done, total)."""
    try:
        while True:
            step = next(steps)
            what = step.message or f"{step.done} of {step.total}"
            notice = f"{name}: {step.notice}" if step.notice else ""
            yield Progress(*place, f"{name}: {what}", notice)
    except StopIteration as stop:
        predicted: Predicted = stop.value
        return predicted
    finally:
        steps.close()


def true_labels(pair: Pair, predicted: Predicted) -> tuple[Truth, tuple[str, ...]]:
    """Return the true labels that came with a prediction, else those of the pair's file.

    Raises
    ------
    InputError
        If there are none, or they cannot be used.
    """
    if predicted.truth is not None:
        return predicted.truth, predicted.truth.notes
    return read_truth(pair, predicted.image.shape)


def read_truth(pair: Pair, shape: tuple[int, int]) -> tuple[Truth, tuple[str, ...]]:
    """Read and check the labels of a pair, with notes on what looks odd about the file.

    Raises
    ------
    InputError
        If they cannot be used for an image of ``shape``; names the file.
    """
    if pair.labels is None:
        raise InputError(f"{pair.image.name} has no labels.")
    instances = read_labels(pair.labels, shape)
    try:
        return check_truth(instances.labels, shape), _odd(instances)
    except InputError as error:
        raise InputError(f"{pair.labels.name}: {error}") from error


def _odd(instances: Instances) -> tuple[str, ...]:
    """Say so where the labels are a model's own result, which is no truth."""
    made_by = instances.metadata.get("model")
    if not made_by or instances.metadata.get("corrections"):
        return instances.notes
    return (*instances.notes, "the labels say that a model made them: are they the truth?")


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
        "hv_mse": NAN if hv is None else hv.mse,
        "hv_zero_mse": NAN if hv is None else hv.zero_mse,
        "hv_cosine": NAN if hv is None else hv.cosine,
        "magnitude_inside": NAN if hv is None else hv.magnitude,
        "true_magnitude": NAN if hv is None else hv.true_magnitude,
        "suspected_blobs": blobs.n_suspected,
    }
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
    part = window.slices
    tissue = predicted.image.read(window.r0, window.r1, window.c0, window.c1)
    labels = (truth.labels[part], predicted.labels[part])
    outlined = outcome_picture(tissue, labels, outcomes, params.picture)
    magnitude = None
    if predicted.maps is not None:
        lengths = predicted.maps.magnitude[part]
        magnitude = png_bytes(magnitude_picture(lengths, labels[0], params.picture))
    whole = tissue.shape[:2] == predicted.image.shape
    place = "the whole image" if whole else f"rows {window.r0} to {window.r1}, columns "
    return Pictures(
        png_bytes(outlined), magnitude, place if whole else f"{place}{window.c0} to {window.c1}"
    )


def _keep_worst(pictures: dict[str, Pictures], rows: Sequence[ImageRow], n: int) -> None:
    """Drop the pictures of the best image once there are too many."""
    if len(pictures) > n:
        best = max((row for row in rows if row.name in pictures), key=lambda row: row["aji"])
        del pictures[best.name]


def group_rows(rows: Sequence[ImageRow], params: BatchParams | None = None) -> tuple[Group, ...]:
    """Take means with intervals per source, if there are several, and over all.

    Examples
    --------
    >>> rows = [ImageRow(n, s, "", "", "", {"aji": a}) for n, s, a in
    ...         (("a", "x", 0.5), ("b", "y", 0.7))]
    >>> [(g.name, round(g.means["aji"].mean, 2)) for g in group_rows(rows)]
    [('x', 0.5), ('y', 0.7), ('all', 0.6)]
    """
    params = BatchParams() if params is None else params
    sources = sorted({row.source for row in rows})
    groups = []
    if len(sources) > 1:
        for source in sources:
            part = [row for row in rows if row.source == source]
            groups.append(_group(source or NO_SOURCE, part, params))
    return (*groups, _group(ALL, rows, params))


def _group(name: str, rows: Sequence[ImageRow], params: BatchParams) -> Group:
    good = [row for row in rows if not row.error]
    means = {
        score.key: bootstrap_mean([row[score.key] for row in good], params.bootstrap)
        for score in SCORES
    }
    return Group(name, len(good), len(rows) - len(good), means, _sums(good))


def _sums(rows: Sequence[ImageRow]) -> Mapping[str, int]:
    found = {key: [row[key] for row in rows] for key in COUNTS}
    return {key: int(sum(v for v in column if not math.isnan(v))) for key, column in found.items()}
