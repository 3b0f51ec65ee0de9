"""Evaluate predictions for many images: a row per image, means per source and over all."""

from __future__ import annotations

import base64
import csv
import io
import json
import math
import os
import secrets
import shutil
import time
from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any, Protocol

from jinja2 import Environment, StrictUndefined

from .._version import __version__
from ..core.data.pairs import Pair, labels_of, list_files
from ..core.hv import read_hv
from ..core.inference.images import ImageSource
from ..core.inference.tiles import scaled_separation, working_scale
from ..core.io.files import (
    TEMPORARY_PREFIX,
    atomic_path,
    output_error,
    put_in_place,
    writable_folder,
)
from ..core.io.labels import Instances
from ..core.io.open import read_image, read_labels
from ..core.io.tables import FORMULA_STARTS
from ..core.measure.blobs import BlobParams, blob_report
from ..core.measure.compare import OUTCOME_COLORS, Comparison, Truth, check_truth, compare
from ..core.measure.magnitude import MagnitudeBands, MagnitudeReport, magnitude_report
from ..core.measure.metrics import BootstrapParams, Interval, bootstrap_mean
from ..core.params import FAULTS, InferenceParams, SeparationParams
from ..core.separation import separate
from ..core.separation.tuning import TuneParams
from ..core.types import Bool, Int32, Maps, Model, Progress
from ..errors import DeviceError, InputError, OutputError, UserError
from .figures import (
    MAGNITUDE_LIMITS,
    NUCLEUS_LINE,
    PictureParams,
    magnitude_colours,
    magnitude_picture,
    outcome_picture,
    png_bytes,
    worst_window,
)
from .jobs import describe_failure
from .segment import SegmentParams, model_metadata, segment_steps

ALL = "all"
"""Name of the group of all images."""
NO_SOURCE = "(no source)"
"""Name of the group of images whose source is not known."""


@dataclass(frozen=True)
class Score:
    """A column of which means are taken."""

    key: str  # Name in files
    title: str  # Name in a report
    better: str = "high"  # "high", "low" or "" (neither)
    base: str = ""
    best: str = ""
    meaning: str = ""  # One line that says how to read it


SCORES = tuple(
    Score(*given)
    for given in (
        ("aji", "AJI", "high", "cc_aji", "oracle_aji",
         "Shared area of paired nuclei over everything found or missed. Beside it: connected "
         "components only (no separation at all), and the true maps through the same separation."),
        ("aji_plus", "AJI+", "high", "", "", "AJI with partners one to one."),
        ("pq", "PQ", "high", "cc_pq", "oracle_pq",
         "DQ times SQ, with the same two rates beside it as AJI."),
        ("dq", "DQ", "high", "", "", "Are the nuclei found? F1 of pairs with IoU above 0.5."),
        ("sq", "SQ", "high", "", "", "How well the found ones fit: mean IoU of those pairs."),
        ("dice", "Dice", "high", "all_foreground_dice", "",
         "Nucleus against background pixels; blind to whether touching nuclei are apart. Beside "
         "it: what calling every pixel nucleus gets."),
        ("cc_aji", "AJI of connected components", "", "", "",
         "The mask with every connected area as one nucleus: the score without separation."),
        ("cc_pq", "PQ of connected components", "", "", "", "The same for PQ."),
        ("oracle_aji", "AJI of the true maps (oracle)", "", "", "",
         "The most this separation could reach; if it is low, no network can help."),
        ("oracle_pq", "PQ of the true maps (oracle)", "", "", "", "The same for PQ."),
        ("all_foreground_dice", "Dice of all-foreground", "", "", "",
         "Dice of calling every pixel nucleus: high where nuclei fill the image."),
        ("hv_mse", "HV error (MSE)", "low", "hv_zero_mse", "",
         "Mean squared error of HV inside true nuclei. Beside it: that of a map of zeros, so an "
         "error near it means that nothing was learnt."),
        ("hv_zero_mse", "HV error of the zero map", "", "", "",
         "What a network gets that predicts HV 0 everywhere."),
        ("hv_cosine", "HV direction (cosine)", "high", "", "",
         "1 = HV points the right way, 0 = no direction learnt, -1 = wrong sign. Magnitude "
         "cannot tell them apart."),
        ("magnitude_inside", "HV magnitude inside nuclei", "", "", "true_magnitude",
         "Mean length of HV inside true nuclei; length alone is no health, see the direction."),
        ("true_magnitude", "HV magnitude of the truth", "", "", "",
         "Mean length of the exact HV inside true nuclei, usually 0.67 to 0.69."),
    )
)  # fmt: skip
"""Every score, the important ones first."""
OUTCOMES = ("matched", "merged", "split", "missed", "spurious")
COUNTS = ("n_true", "n_pred", *(f"n_{name}" for name in OUTCOMES), "suspected_blobs")
"""Columns of whole numbers; groups hold their sums."""


@dataclass(frozen=True)
class BatchParams:
    """How predictions are judged and shown."""

    bands: MagnitudeBands = field(default_factory=MagnitudeBands)
    blobs: BlobParams = field(default_factory=BlobParams)
    bootstrap: BootstrapParams = field(default_factory=BootstrapParams)  # Of the means' intervals
    picture: PictureParams = field(default_factory=PictureParams)
    n_pictures: int = 24  # Images of which pictures are kept: those of lowest AJI; 0 = none

    def __post_init__(self) -> None:
        if self.n_pictures < 0:
            raise InputError(f"n_pictures is {self.n_pictures}; give 0 or more.")


@dataclass(frozen=True, eq=False)
class ImageRow:
    """One image of a batch."""

    name: str  # As the data set says
    source: str  # As the data set says
    split: str  # As the data set says
    image: str  # Paths
    labels: str  # Paths
    values: Mapping[str, float] = field(default_factory=dict)
    verdict: str = ""
    mpp: float | None = None  # Micrometres per pixel that the image was taken to have
    scale: float = 1.0  # By which it was resized for the network, 1 = not at all
    notes: tuple[str, ...] = ()  # What was assumed or looks odd
    error: str = ""  # Why the image failed, "" if it did not

    def __getitem__(self, key: str) -> float:
        """Return a score or count; NaN where there is none."""
        return self.values.get(key, float("nan"))


@dataclass(frozen=True, eq=False)
class Group:
    """Means of the images of one source, or of all."""

    name: str
    n: int  # Images with scores, and those that failed
    n_failed: int  # Images with scores, and those that failed
    means: Mapping[str, Interval]  # By score
    counts: Mapping[str, int]  # Sums over the images


@dataclass(frozen=True)
class Pictures:
    """Pictures of one image, PNG: outlines by outcome, and HV magnitude (None without maps).

    ``place`` says which part of the image they show.
    """

    outcomes: bytes
    magnitude: bytes | None
    place: str


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


FILES_HOW = "none: labels were read from files"


@dataclass(frozen=True, eq=False)
class Predicted:
    """A prediction for one image."""

    image: ImageSource  # For pictures
    labels: Int32  # int32 (H, W): Instances, 0 = background
    maps: Maps | None = None  # What they were cut from, HV read as the parameters say
    mask: Bool | None = None  # bool (H, W): Mask of the separation
    separation: SeparationParams = field(default_factory=SeparationParams)
    mpp: float | None = None  # As in :class:`.batch_types.ImageRow`.
    scale: float = 1.0  # As in :class:`.batch_types.ImageRow`.
    truth: Truth | None = None  # True labels, where they do not lie in a file of their own
    notes: tuple[str, ...] = ()


class Predictor(Protocol):
    """Anything that gives a prediction for a pair; one more kind is one more class."""

    def describe(self) -> dict[str, Any]:
        """Say where the predictions come from, JSON-able."""
        ...

    def steps(self, pair: Pair) -> Generator[Progress, None, Predicted]:
        """Predict for one image, step by step."""
        ...


@dataclass(frozen=True)
class ModelPredictor:
    """Runs a network, as :func:`.segment.segment_steps` does."""

    model: Model
    inference: InferenceParams = field(default_factory=InferenceParams)
    tuning: TuneParams = field(default_factory=TuneParams)
    use_mpp: bool = False  # Whether the mpp of the data set counts

    def describe(self) -> dict[str, Any]:
        """Return model, parameters and how the resolution is handled."""
        if self.inference.image_mpp is not None:
            how = "every image is taken to have image_mpp"
        else:
            how = "mpp of the data set, else of the file" if self.use_mpp else "mpp of the file"
        return {
            "model": model_metadata(self.model.info),
            "device": str(self.model.device),
            "inference": asdict(self.inference),
            "separation": asdict(self.tuning.separation),
            "hv_reading": asdict(self.tuning.hv),
            "resampling": f"{how}; where it is not known, or within the tolerance of the "
            "model's, images are not resized (see mpp and scale of each row)",
        }

    def steps(self, pair: Pair) -> Generator[Progress, None, Predicted]:
        """Read, predict and separate one image."""
        yield Progress(0, 0, "reading")
        file = read_image(pair.image)
        inference = self.inference
        if inference.image_mpp is None:
            stated = pair.mpp if self.use_mpp and pair.mpp is not None else file.mpp
            inference = replace(inference, image_mpp=stated)
        scale = working_scale(self.model.info, inference)
        params = SegmentParams(inference, self.tuning.separation)
        result = yield from segment_steps(self.model, file.source, params)
        maps, stages = result.maps, result.separation
        if maps is None or stages is None:
            raise InputError(f"{pair.name}: the run kept no maps.")  # pragma: no cover
        used = scaled_separation(self.tuning.separation, scale)
        if not self.tuning.hv.plain:
            maps = read_hv(maps, self.tuning.hv)
            stages = separate(maps, used)
        return Predicted(
            image=file.source,
            labels=stages.labels,
            maps=maps,
            mask=stages.mask,
            separation=used,
            mpp=inference.image_mpp,
            scale=scale,
            notes=result.notices,
        )


@dataclass(frozen=True)
class FolderPredictor:
    """Reads predicted labels from files; no network runs, so there are no maps."""

    folder: Path
    separation: SeparationParams = field(default_factory=SeparationParams)

    def __post_init__(self) -> None:
        if not list_files(self.folder):
            raise InputError(f"The folder of predictions {self.folder} holds no file.")

    def describe(self) -> dict[str, Any]:
        """Return the folder."""
        return {
            "model": None,
            "predictions": str(self.folder),
            "separation": asdict(self.separation),
            "resampling": FILES_HOW,
        }

    def steps(self, pair: Pair) -> Generator[Progress, None, Predicted]:
        """Read image and predicted labels."""
        yield Progress(0, 0, "reading")
        file = read_image(pair.image)
        files = list_files(self.folder)
        named = Path(f"{Path(pair.name).name}.png")
        found = labels_of(pair.image, files, apart=True) or labels_of(named, files, apart=True)
        if found is None:
            raise InputError(
                f"{self.folder} holds no prediction for {pair.image.name}; name it after the "
                f"image, like {pair.image.stem}_labels.tif."
            )
        if pair.labels is not None and found.resolve() == pair.labels.resolve():
            raise InputError(
                f"{found} is the true label file; give a folder that holds predictions alone."
            )
        instances = read_labels(found, file.source.shape)
        if instances.labels.shape != file.source.shape:
            raise InputError(
                f"{found} is {_by(instances.labels.shape)} pixels, the image {pair.image.name} "
                f"{_by(file.source.shape)}; give the prediction at the image's resolution."
            )
        notes = (*file.source.notes, *(f"prediction: {note}" for note in instances.notes))
        return Predicted(
            file.source, instances.labels, separation=self.separation, mpp=file.mpp, notes=notes
        )


def _by(shape: tuple[int, ...]) -> str:
    return " x ".join(str(n) for n in shape)


NAN = float("nan")


def evaluate_steps(
    pairs: Sequence[Pair], predictor: Predictor, params: BatchParams | None = None
) -> Generator[Progress, None, BatchResult]:
    """Predict and score image after image, step by step."""
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
    """Return the true labels that came with a prediction, else those of the pair's file."""
    if predicted.truth is not None:
        return predicted.truth, predicted.truth.notes
    return read_truth(pair, predicted.image.shape)


def read_truth(pair: Pair, shape: tuple[int, int]) -> tuple[Truth, tuple[str, ...]]:
    """Read and check the labels of a pair, with notes on what looks odd about the file."""
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
    """Take means with intervals per source, if there are several, and over all."""
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


STEM = "evaluation"
"""Name of the files without their endings."""
FORMATS = ("csv", "json", "html")
SCHEMA = "napari-hovernet/evaluation"
SCHEMA_VERSION = 1
"""Raised whenever a reader of the JSON would have to change."""
DIGITS = 6
"""Significant digits in CSV and JSON."""
TEXTS = ("name", "source", "split", "image", "labels")
COLUMNS = (*TEXTS, *COUNTS, *(score.key for score in SCORES), "verdict", "mpp", "scale",
           "seconds", "notes", "error")  # fmt: skip


@dataclass(frozen=True)
class DataAbout:
    """What a report says of the data."""

    origin: str  # Folder or index
    unpaired: tuple[str, ...] = ()  # Images left out because they have no labels
    choices: Mapping[str, Any] | None = None


def report_paths(
    folder: str | os.PathLike[str], formats: Sequence[str] = FORMATS
) -> dict[str, Path]:
    """Name the file of each format."""
    return {name: Path(folder) / f"{STEM}.{name}" for name in formats}


def write_reports(
    result: BatchResult,
    folder: str | os.PathLike[str],
    about: DataAbout,
    formats: Sequence[str] = FORMATS,
) -> dict[str, Path]:
    """Write the reports; the folder is made, files of those names are replaced.

    All are written to a hidden folder beside and then put in place, so an error or a cancel leaves
    none of them half.
    """
    targets = report_paths(folder, formats)
    texts = {name: _text(name, result, about) for name in formats}
    place = writable_folder(folder)
    staging = place / f"{TEMPORARY_PREFIX}{secrets.token_hex(6)}.tmp"
    try:
        staging.mkdir()
        for name, target in targets.items():
            _write(staging / target.name, target, texts[name])
        put_in_place([(staging / target.name, target) for target in targets.values()], staging)
    except OSError as error:
        raise output_error(folder, error) from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return targets


def _text(name: str, result: BatchResult, about: DataAbout) -> str:
    if name == "csv":
        return as_csv(result.rows)
    if name == "json":
        return json.dumps(as_json(result, about), indent=2, allow_nan=False) + "\n"
    if name == "html":
        return render_html(result, about)
    raise OutputError(f"Unknown report {name!r}; choose from {', '.join(FORMATS)}.")


def _write(staged: Path, target: Path, text: str) -> None:
    """Write one file; an error names where it should have gone."""
    try:
        with atomic_path(staged) as temporary:
            temporary.write_text(text, encoding="utf-8", newline="")
    except OutputError as error:
        if isinstance(error.__cause__, OSError):
            raise output_error(target, error.__cause__) from error
        raise


def as_csv(rows: Sequence[ImageRow]) -> str:
    """Return one line per image; see ``COLUMNS``. What is not defined stays empty."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        texts = {name: _harmless(getattr(row, name)) for name in (*TEXTS, "verdict", "error")}
        mpp = math.nan if row.mpp is None else row.mpp
        numbers = {"mpp": mpp, "scale": row.scale, **row.values}
        shown = {name: _shown(value) for name, value in numbers.items()}
        cells = {**shown, **texts, "notes": _harmless("; ".join(row.notes))}
        if row.error:
            cells["scale"] = ""
        writer.writerow([cells.get(name, "") for name in COLUMNS])
    return out.getvalue()


def _harmless(text: str) -> str:
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text


def _shown(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.{DIGITS}g}"


def as_json(result: BatchResult, about: DataAbout) -> dict[str, Any]:
    """Return everything but the pictures as plain values; None stands for "not defined"."""
    params = asdict(result.params)
    return {
        "schema": SCHEMA,
        "schema_version": SCHEMA_VERSION,
        "program": "napari-hovernet",
        "version": __version__,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": _number(result.seconds),
        "data": {
            "origin": about.origin,
            "images": len(result.rows),
            "failed": len(result.failed),
            "unpaired": list(about.unpaired),
            **dict(about.choices or {}),
        },
        "predictor": dict(result.predictor),
        "params": {name: params[name] for name in ("bands", "blobs", "bootstrap")},
        "scores": {
            s.key: {"title": s.title, "better": s.better, "base": s.base, "best": s.best,
                    "meaning": s.meaning}
            for s in SCORES
        },
        "means": {group.name: _group_batch_report(group) for group in result.groups},
        "rows": [_row(row) for row in result.rows],
    }  # fmt: skip


def _group_batch_report(group: Group) -> dict[str, Any]:
    return {
        "images": group.n,
        "failed": group.n_failed,
        "scores": {key: _interval(found) for key, found in group.means.items()},
        "counts": dict(group.counts),
    }


def _interval(found: Interval) -> dict[str, float | int | None]:
    return {
        "mean": _number(found.mean),
        "low": _number(found.low),
        "high": _number(found.high),
        "n": found.n,
    }


def _row(row: ImageRow) -> dict[str, Any]:
    about = {name: getattr(row, name) for name in TEXTS}
    if row.error:
        return {**about, "error": row.error}
    values: dict[str, Any] = {
        key: _number(row[key]) for key in (*(s.key for s in SCORES), "seconds")
    }
    counts = {key: int(row[key]) for key in COUNTS}
    more = {"verdict": row.verdict, "mpp": row.mpp, "scale": row.scale, "notes": list(row.notes)}
    return {**about, **counts, **values, **more, "error": ""}


def _number(value: float) -> float | None:
    return None if math.isnan(value) else float(f"{value:.{DIGITS}g}")


TEMPLATE = "evaluation.html"
HEADLINE = ("aji", "pq", "dice")
"""Scores that get a scale of their own."""
HIDDEN = ("cc_aji", "cc_pq", "oracle_aji", "oracle_pq", "all_foreground_dice", "hv_zero_mse",
          "true_magnitude")  # fmt: skip
"""Scores that stand beside others, not in lines of their own."""
FEW = 10
"""Fewer images than this, and the report warns of its intervals."""
STOPS = 9
"""Colours of the scale bar."""
NOTHING, MINUS = "\N{EN DASH}", "\N{MINUS SIGN}"
HASH_SHOWN = 12
OUTCOME_WORDS = {
    "matched": "found, IoU above 0.5",
    "merged": "one prediction over several true nuclei",
    "split": "one true nucleus cut into several",
    "missed": "no prediction fits it (its true outline is drawn)",
    "spurious": "a prediction that fits no true nucleus",
}
BESIDE = {
    "aji": ("connected components", "oracle"),
    "pq": ("connected components", "oracle"),
    "dice": ("all foreground", ""),
    "hv_mse": ("zero map", ""),
    "magnitude_inside": ("", "truth"),
}
"""Short names of the rates beside a score: for nothing, and the best there can be."""


def render_html(result: BatchResult, about: DataAbout) -> str:
    """Return the report."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True,
                              lstrip_blocks=True)  # fmt: skip
    environment.filters.update(number=_number_batch_html, count=_count, rgb=_rgb, percent=_percent)
    source = files(__package__).joinpath("templates", TEMPLATE).read_text(encoding="utf-8")
    return environment.from_string(source).render(_context(result, about))


def _context(result: BatchResult, about: DataAbout) -> dict[str, Any]:
    rows = sorted((row for row in result.rows if not row.error), key=_badness)
    verdicts = Counter(row.verdict for row in rows if row.verdict)
    return {
        "about": about,
        "made": datetime.now().astimezone().strftime("%Y-%m-%d %H:%M"),
        "version": __version__,
        "result": result,
        "model": _model_line(result.predictor),
        "rows": rows,
        "failed": result.failed,
        "overall": result.overall,
        "sources": [group for group in result.groups if group.name != ALL],
        "few": result.overall.n < FEW,
        "headline": [_scale(result, key) for key in HEADLINE],
        "lines": [_line(result, key) for key in (s.key for s in SCORES) if key not in HIDDEN],
        "outcomes": _outcomes(result),
        "verdicts": [(word, verdicts[word]) for word in verdicts],
        "has_maps": any(row.verdict for row in rows),
        "cards": [(row, _shown_batch_html(result.pictures[row.name])) for row in rows
                  if row.name in result.pictures],
        "colours": [_rgb(colour) for colour in magnitude_colours(STOPS)],
        "limits": MAGNITUDE_LIMITS,
        "nucleus_line": NUCLEUS_LINE,
        "how": json.dumps(dict(result.predictor), indent=2, default=str),
        "noted": [(row.name, row.notes) for row in result.rows if row.notes],
    }  # fmt: skip


def _badness(row: ImageRow) -> tuple[float, str]:
    return (row["aji"], row.name)


def _model_line(predictor: Mapping[str, Any]) -> str:
    """Say in a few words where the predictions come from."""
    model = predictor.get("model")
    if not model:
        return f"labels read from {predictor.get('predictions', 'files')}"
    name = " ".join(part for part in (model["architecture"], model["mode"]) if part)
    separation = predictor.get("separation", {})
    how = f"separation {separation.get('method', '')!r}"
    if separation.get("merge_touching"):
        how += ", touching nuclei merged again (faulty on purpose)"
    elif separation.get("method") in FAULTS:
        how += " (faulty on purpose)"
    return f"{name}, SHA-256 {model['sha256'][:HASH_SHOWN]}, {how}"


def _scale(result: BatchResult, key: str) -> dict[str, Any]:
    """Return a score, its interval and the rates beside it, as places in percent of 0..1."""
    line = _line(result, key)
    found: Interval = line["overall"]
    known = not math.isnan(found.low)
    return {
        **line,
        "at": _place(found.mean),
        "low": _place(found.low) if known else None,
        "width": _place(found.high) - _place(found.low) if known else None,
        "base_at": _place(line["base"].mean) if line["base"] else None,
        "best_at": _place(line["best"].mean) if line["best"] else None,
    }


def _place(value: float) -> float:
    return 0.0 if math.isnan(value) else round(100 * min(max(value, 0.0), 1.0), 2)


def _line(result: BatchResult, key: str) -> dict[str, Any]:
    """Return one line of the table of means."""
    score = next(score for score in SCORES if score.key == key)
    means, (base_name, best_name) = result.overall.means, BESIDE.get(key, ("", ""))
    return {
        "key": key,
        "title": score.title,
        "better": score.better,
        "meaning": score.meaning,
        "overall": means[key],
        "groups": [group.means[key] for group in result.groups if group.name != ALL],
        "base": means[score.base] if score.base else None,
        "best": means[score.best] if score.best else None,
        "base_name": base_name,
        "best_name": best_name,
    }


def _outcomes(result: BatchResult) -> list[dict[str, Any]]:
    """Return the outcomes with their numbers and their shares of the true nuclei."""
    counts = result.overall.counts
    total = max(counts["n_true"], 1)
    return [
        {
            "name": name,
            "n": counts[f"n_{name}"],
            "share": counts[f"n_{name}"] / total,
            "colour": _rgb(OUTCOME_COLORS[name]),
            "words": OUTCOME_WORDS[name],
        }
        for name in OUTCOMES
    ]


def _shown_batch_html(pictures: Pictures) -> dict[str, str]:
    magnitude = "" if pictures.magnitude is None else _data(pictures.magnitude)
    return {"outcomes": _data(pictures.outcomes), "magnitude": magnitude, "place": pictures.place}


def _data(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")


def _number_batch_html(value: float, digits: int = 3) -> str:
    return NOTHING if math.isnan(value) else f"{value:.{digits}f}".replace("-", MINUS)


def _count(value: float) -> str:
    return NOTHING if math.isnan(value) else f"{int(value):,}"


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def _rgb(colour: Sequence[int]) -> str:
    return f"rgb({', '.join(str(part) for part in colour)})"


TRUE, PREDICTED = "true nuclei", "predicted nuclei"
"""Inside of what the magnitude was measured."""
MISLEADING = (
    "misleading: the largest value of the whole image lies outside of nuclei, and was 0.88 to "
    "0.99 in broken runs too"
)


@dataclass(frozen=True, eq=False)
class MagnitudeRow:
    """One image."""

    name: str
    image: str
    inside: str  # ``TRUE`` or ``PREDICTED``.
    report: MagnitudeReport | None = None  # None if the image failed
    notes: tuple[str, ...] = ()
    error: str = ""  # Why it failed, "" if it did not


@dataclass(frozen=True, eq=False)
class MagnitudeResult:
    """All images."""

    rows: tuple[MagnitudeRow, ...]
    mean: Interval  # Over images with nuclei, of the mean magnitude inside and of the cosine
    direction: Interval  # Over images with nuclei, of the mean magnitude inside and of the cosine
    verdict: str  # Of that mean
    verdicts: Mapping[str, int]  # Images by verdict
    predictor: Mapping[str, Any]  # As :meth:`.predictors.Predictor.describe` gives it

    @property
    def failed(self) -> tuple[MagnitudeRow, ...]:
        """Rows of the images that failed."""
        return tuple(row for row in self.rows if row.error)


def magnitude_steps(
    pairs: Sequence[Pair], predictor: Predictor, bands: MagnitudeBands | None = None
) -> Generator[Progress, None, MagnitudeResult]:
    """Predict image after image and measure HV, step by step."""
    bands = MagnitudeBands() if bands is None else bands
    if not pairs:
        raise InputError("There is no image to look at.")
    rows = []
    for i, pair in enumerate(pairs):
        rows.append((yield from _one_batch_magnitude(pair, predictor, bands, (i, len(pairs)))))
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


def _one_batch_magnitude(
    pair: Pair, predictor: Predictor, bands: MagnitudeBands, place: tuple[int, int]
) -> Generator[Progress, None, MagnitudeRow]:
    inside = TRUE if pair.labels else PREDICTED
    name, image = pair.name, str(pair.image)
    try:
        predicted = yield from told(predictor.steps(pair), name, place)
        if predicted.maps is None:
            raise InputError(f"{name}: there are no maps, only labels; give a model.")
        labels, notes = predicted.labels, predicted.notes
        if pair.labels or predicted.truth is not None:
            truth, odd = true_labels(pair, predicted)
            inside = TRUE
            labels, notes = truth.labels, (*notes, *odd, *truth.notes)
        report = magnitude_report(predicted.maps, labels, bands)
        return MagnitudeRow(name, image, inside, report, tuple(dict.fromkeys(notes)))
    except DeviceError:
        raise
    except MemoryError:
        return MagnitudeRow(name, image, inside, error="not enough memory for this image")
    except UserError as error:
        return MagnitudeRow(name, image, inside, error=" ".join(str(error).split()))
    except Exception as error:  # one image must not end the batch
        return MagnitudeRow(name, image, inside, error=describe_failure(error))


def magnitude_as_json(result: MagnitudeResult) -> dict[str, Any]:
    """Return the result as plain values; None stands for "not defined"."""
    return {
        "schema": "napari-hovernet/magnitude",
        "schema_version": 1,
        "predictor": dict(result.predictor),
        "whole_image_max": MISLEADING,
        "overall": {
            "images": result.mean.n,
            "failed": len(result.failed),
            "mean": _plain(asdict(result.mean)),
            "direction": _plain(asdict(result.direction)),
            "verdict": result.verdict,
            "verdicts": dict(result.verdicts),
        },
        "rows": [_row_batch_magnitude(row) for row in result.rows],
    }


def _row_batch_magnitude(row: MagnitudeRow) -> dict[str, Any]:
    about = {"name": row.name, "image": row.image}
    if row.report is None:
        return {**about, "error": row.error}
    report = row.report
    return {
        **about,
        "measured_inside": row.inside,
        "inside": _plain(asdict(report.inside)),
        "outside": _plain(asdict(report.outside)),
        **_plain({"direction": report.direction, "whole_image_max": report.whole_image_max}),
        "verdict": report.verdict,
        "explanation": report.explanation,
        "notes": list(row.notes),
        "error": "",
    }


def _plain(values: Mapping[str, float]) -> dict[str, float | int | None]:
    return {
        key: value
        if isinstance(value, int)
        else None
        if math.isnan(value)
        else float(f"{value:.{DIGITS}g}")
        for key, value in values.items()
    }
