"""``napari-hovernet evaluate`` and ``magnitude``: of images, or of cached features of tokens."""

from __future__ import annotations

import json
import math
from argparse import Namespace
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..app import evaluate as batch
from ..app import pages, predictors
from ..app.jobs import drive
from ..app.segment import with_types
from ..core.checkpoint import load_model
from ..core.data.items import Dataset, Pair
from ..core.data.load import datasets
from ..core.data.pairs import DataChoice, find_data, spread
from ..core.io.files import read_params, read_type_scheme, writable_folder
from ..core.measure.magnitude import BLIND, BROKEN_MAXIMA, MagnitudeBands
from ..core.measure.metrics import Interval, bootstrap_mean
from ..core.params import FAULTS, InferenceParams, SeparationParams
from ..core.separation.tuning import TuneParams
from ..core.weights import DEFAULT
from ..errors import InputError, OutputError
from .console import (
    ProgressBar,
    complain,
    introduction,
    names_of,
    number,
    params_of,
    say,
    say_list,
    table,
)

if TYPE_CHECKING:
    from ..app.tokens import TokenPredictor
    from ..core.types import TypeScores

ONLY_TOKENS = ("data_dir", "token_prefix", "types_background", "seed", "truth")
"""Options that mean nothing without ``--family``."""
ONLY_IMAGES = ("pred", "labels", "source", "pattern", "tile", "image_mpp", "model_mpp", "types",
               "true_types", "ignore")  # fmt: skip
"""Options that mean nothing with it."""
SCORES_HEAD = ("", "images", "AJI", "PQ", "Dice", "CC AJI", "oracle", "cosine", "magnitude")
TYPES_HEAD = ("type", "true", "predicted", "F1", "precision", "recall", "PQ", "R2")
MAGNITUDE_HEAD = ("image", "inside", "mean", "median", "p95", "outside", "verdict", "direction",
                  "[image max]")  # fmt: skip
MISLEADING = "is misleading: it was {:g} to {:g} in every broken run.".format(*BROKEN_MAXIMA)


@dataclass(frozen=True)
class Job:
    """What is run on which images, or samples of cached features."""

    predictor: predictors.Predictor
    pairs: Sequence[Pair]
    about: pages.DataAbout
    tokens: TokenPredictor | None = None  # The predictor, where it is of tokens
    notes: tuple[str, ...] = ()

    @property
    def unit(self) -> str:
        """What is counted."""
        return "image" if self.tokens is None else "sample"


def run(options: Namespace) -> int:
    """Evaluate all images; 0 if all went well, 1 if some failed."""
    formats = tuple(f for f in pages.FORMATS if f != "html" or not options.no_html)
    if options.output is not None and not options.overwrite:
        paths = pages.report_paths(options.output, formats).values()
        there = ", ".join(str(path) for path in paths if path.exists())
        if there:
            raise OutputError(
                f"There are earlier reports: {there}. Give --overwrite, or another folder."
            )
    if options.family is not None:
        job = token_job(options, [] if options.data is None else [options.data])
        if job.tokens is not None and not job.tokens.data.has_truth:
            raise InputError(
                f"{job.tokens.data.family} has no true nuclei: put its _targets.npz beside its "
                "features, or use the command magnitude."
            )
        if options.output is not None:
            writable_folder(options.output)
    else:
        job = _labelled(options)
    pictures = options.output is not None and not options.no_html
    true_types = options.true_types or options.types
    params = batch.BatchParams(
        true_types=None if true_types is None else read_type_scheme(true_types),
        ignore=options.ignore,
    )
    params = params if pictures else replace(params, n_pictures=0)
    with ProgressBar("evaluate", quiet=options.quiet, unit=job.unit) as bar:
        result = drive(batch.evaluate_steps(job.pairs, job.predictor, params), bar)
    say_failures(result)
    files = {}
    if options.output is not None:
        files = pages.write_reports(result, options.output, job.about, formats)
    true = result.overall.means["true_magnitude"].mean
    inside = result.overall.means["magnitude_inside"].mean
    largest = _mean(row["whole_image_max"] for row in result.rows if not row.error)
    lines = [summary(result), *_about_tokens(job, inside, true, largest)]
    _give(result, pages.as_json(result, job.about), lines, job, options)
    if files and not options.quiet:
        complain(f"written: {', '.join(str(path) for path in files.values())}")
    return 1 if result.failed else 0


def run_magnitude(options: Namespace) -> int:
    """Measure HV in all images; 0 if all went well, 1 if some failed."""
    job = _unlabelled(options) if options.family is None else token_job(options, options.data)
    with ProgressBar("magnitude", quiet=options.quiet, unit=job.unit) as bar:
        result = drive(batch.magnitude_steps(job.pairs, job.predictor), bar)
    if len(result.failed) == len(result.rows):
        raise InputError(f"{result.rows[0].name}: {result.rows[0].error}")
    for row in result.failed:
        complain(f"error: {row.name}: {row.error}")
    found: dict[str, Any] = pages.magnitude_as_json(result)
    true = largest = math.nan
    if job.tokens is not None:
        true = _mean(job.tokens.true_magnitudes.values())
        largest = _mean(row.report.whole_image_max for row in result.rows if row.report)
        known = {"true_magnitude": None if math.isnan(true) else true, "whole_image_max": largest}
        found["overall"].update(known)
        found["samples"] = job.about.choices
    lines = [magnitude_summary(result), *_about_tokens(job, result.mean.mean, true, largest)]
    _give(result, found, lines, job, options)
    return 1 if result.failed else 0


def _labelled(options: Namespace) -> Job:
    """Find images with labels, and who predicts for them."""
    _refuse(options, ONLY_TOKENS, "needs --family: it is about tokens")
    if options.data is None:
        raise InputError("Name the images: DATA is a folder or an index.csv (or give --family).")
    inference, tuning = params_of(options, InferenceParams()), tuning_of(options)
    if arrays := _arrays(options):
        model = _model_predictor(options, inference, tuning)
        return _stacked(predictors.StackPredictor(**vars(model), data=arrays), options)
    found = find_data(options.data, _choice(options, need_labels=True))
    pairs = spread(found.pairs, options.n_samples)
    if options.output is not None:
        writable_folder(options.output)
    predictor: predictors.Predictor
    if options.pred is not None:
        scheme = None if options.types is None else read_type_scheme(options.types)
        predictor = predictors.FolderPredictor(options.pred, tuning.separation, scheme)
    else:
        predictor = _model_predictor(options, inference, tuning)
    left_out = tuple(pair.name for pair in found.unpaired)
    if left_out and not options.quiet:
        complain(f"note: {len(left_out)} image(s) without labels left out: {names_of(left_out)}")
    choices = {name: getattr(options, name) for name in ("split", "source", "pattern", "n_samples")}
    labels = None if options.labels is None else str(options.labels)
    choices |= {"labels": labels, "found": len(found.pairs)}
    return Job(predictor, pairs, pages.DataAbout(found.origin, left_out, choices))


def _arrays(options: Namespace) -> tuple[Dataset, ...]:
    """Open images and labels in arrays (PanNuke, CoNIC, .npz), if that is what lies there."""
    named = (options.pred, options.source, options.labels, options.pattern)
    if any(value is not None for value in named) or options.data.suffix.lower() == ".csv":
        return ()
    try:
        found = datasets(options.data, split=options.split, need_labels=True)
    except InputError:
        return ()  # the search for files says what is wrong
    return tuple(d for d in found if d.stack is not None and {"image", "labels"} <= d.has)


def _stacked(predictor: predictors.StackPredictor, options: Namespace) -> Job:
    arrays = f"is about label files, and {options.data} holds arrays: leave it out, or save files"
    _refuse(options, ("true_types", "ignore"), arrays)
    every = [p for p in predictor.pairs if options.split in (None, p.split)]
    if not every:
        raise InputError(f"{options.data} has no image of the split {options.split!r}.")
    if options.output is not None:
        writable_folder(options.output)
    choices = {"split": options.split, "n_samples": options.n_samples, "found": len(every)}
    about = pages.DataAbout(str(options.data), (), choices)
    return Job(predictor, spread(every, options.n_samples), about)


def _unlabelled(options: Namespace) -> Job:
    """Find images, labelled or not, each once, and the model for them."""
    _refuse(options, ONLY_TOKENS, "needs --family: it is about tokens")
    if not options.data:
        raise InputError("Name the images: a file, a folder or an index.csv (or give --family).")
    inference, tuning = params_of(options, InferenceParams()), tuning_of(options)
    choice = _choice(options, need_labels=False)
    found: dict[str, Pair] = {}
    for path in options.data:
        data = find_data(path, choice)
        for pair in sorted((*data.pairs, *data.unpaired), key=lambda pair: str(pair.image)):
            found.setdefault(str(pair.image.resolve()), pair)
    pairs = spread(list(found.values()), options.n_samples)
    return Job(_model_predictor(options, inference, tuning), pairs, pages.DataAbout(""))


def _choice(options: Namespace, *, need_labels: bool) -> DataChoice:
    given = {name: getattr(options, name) for name in ("split", "source", "labels", "pattern")}
    return DataChoice(**given, need_labels=need_labels)


def tuning_of(options: Namespace) -> TuneParams:
    """Return the separation, from a preset or a file of the tuner."""
    if options.params is not None:
        return read_params(options.params)
    return TuneParams(SeparationParams.preset(options.preset or "local"))


def _model_predictor(
    options: Namespace, inference: InferenceParams, tuning: TuneParams
) -> predictors.ModelPredictor:
    """Load the model, and say which it is."""
    model = load_model(options.model or DEFAULT, options.device)
    model = with_types(model, getattr(options, "types", None))
    if not options.quiet:
        complain(introduction(model))
        if options.preset in FAULTS:
            complain(f"note: {FAULTS[options.preset]}")
    return predictors.ModelPredictor(model, inference, tuning, options.use_mpp)


def _refuse(options: Namespace, names: Sequence[str], why: str) -> None:
    for name in names:
        if getattr(options, name, None) is not None:
            raise InputError(f"--{name.replace('_', '-')} {why}.")


def token_job(options: Namespace, given: Sequence[Path]) -> Job:
    """Load a token decoder, find the family, choose samples."""
    from ..app.tokens import (  # noqa: PLC0415 - images need none of it
        TokenChoice,
        TokenPredictor,
        choose_samples,
        token_pairs,
    )
    from ..core.tokens import AS_FILE  # noqa: PLC0415 - on first use
    from ..core.tokens.data import find_token_data, membership  # noqa: PLC0415
    from ..core.tokens.decode import TokenParams  # noqa: PLC0415

    _refuse(options, ONLY_IMAGES, "is about images; leave --family out")
    if not options.model:
        raise InputError("Name the token decoder: --checkpoint FILE.pth (or .safetensors).")
    model = load_model(options.model, options.device, types_background=options.types_background)
    folders = [*([] if options.data_dir is None else [options.data_dir]), *given]
    beside = [Path(options.model).expanduser().resolve().parent, Path.cwd()]
    data = find_token_data(folders or beside, options.family)
    sides = membership(model.info, data)
    choice = TokenChoice(options.n_samples, options.split, options.seed, options.truth or "auto")
    indices = choose_samples(sides, choice)
    params = TokenParams(options.token_prefix or AS_FILE)
    predictor = TokenPredictor(model, data, indices, params, tuning_of(options), choice.truth)
    if not options.quiet:
        complain(introduction(model))
    samples = {
        "features": str(data.features[0]),
        "family": data.family,
        "which": sides.called(indices),
        "n": len(indices),
        "of": len(data),
        "split": options.split,
        "seed": options.seed,
        "notes": list(sides.notes),
    }
    about = pages.DataAbout(samples["features"], (), samples)
    notes = (*predictor.notes, *sides.notes)
    return Job(predictor, token_pairs(data, sides, indices), about, predictor, notes)


def _about_tokens(job: Job, inside: float, true: float, largest: float) -> list[str]:
    """Return the lines that stand below the table of a token decoder."""
    if job.tokens is None:
        return []
    of_truth = "" if math.isnan(true) else f"; that of the truth is {number(true)}"
    which, n, of, family = ((job.about.choices or {})[k] for k in ("which", "n", "of", "family"))
    choice, prefix = job.tokens.params.prefix, job.tokens.prefix
    as_said = " as the checkpoint says" if choice == "file" else f" (chosen: {choice})"
    return [
        f"HV magnitude inside nuclei {number(inside)}{of_truth}. [image max {number(largest)}] "
        f"{MISLEADING}",
        f"Samples: {n} of {of} of {family}: {which}.",
        f"Tokens before the patches: {prefix}{as_said}.",
    ]


def _mean(values: Iterable[float]) -> float:
    return bootstrap_mean(list(values)).mean


def _give(
    result: batch.BatchResult | batch.MagnitudeResult,
    found: Mapping[str, Any],
    lines: Sequence[str],
    job: Job,
    options: Namespace,
) -> None:
    """Print the result; then each note once, of images with the first of those it is about."""
    say(json.dumps(found, indent=2, allow_nan=False) if options.json else "\n".join(lines))
    about: dict[str, list[str]] = {note: [] for note in job.notes}
    for row in result.rows:
        for note in row.notes:
            about.setdefault(note, []).append(row.name)
    for note, names in about.items() if not options.quiet else ():
        of_images = f"{names_of(names)}: " if names and job.tokens is None else ""
        complain(f"note: {of_images}{note}")


def say_failures(result: batch.BatchResult) -> None:
    """Name the images that failed; if all did there is nothing to report."""
    failed = [f"{row.name}: {row.error}" for row in result.failed]
    if failed and len(failed) == len(result.rows):
        none = f"None of the {len(failed)} images could be evaluated. First "
        raise InputError((none if len(failed) > 1 else "") + failed[0])
    if failed:
        say_list(f"{len(failed)} of {len(result.rows)} images failed", failed)


def with_interval(found: Interval) -> str:
    """Return a mean and its interval."""
    if math.isnan(found.low):
        return number(found.mean)
    return f"{found.mean:.3f} ({found.low:.3f}-{found.high:.3f})"


def summary(result: batch.BatchResult) -> str:
    """Return the means per source and over all, and what became of the nuclei."""
    overall = result.overall
    counts, means = overall.counts, overall.means
    became = ", ".join(f"{counts[f'n_{name}']:,} {name}" for name in batch.OUTCOMES)
    lines = [table([SCORES_HEAD, *map(_line, result.groups)]), ""]
    lines.append(f"{counts['n_true']:,} true nuclei, {counts['n_pred']:,} predicted: {became}")
    lines += _of_types(overall.typed)
    if means["hv_zero_mse"].n:
        error, zero = (number(means[key].mean) for key in ("hv_mse", "hv_zero_mse"))
        lines.append(f"HV error {error}; a map of zeros has {zero}")
    dice = number(means["all_foreground_dice"].mean)
    percent = 100 * result.params.bootstrap.confidence
    lines += [
        f"Calling every pixel nucleus has Dice {dice}",
        "CC AJI: without separation. Oracle: the true maps through the same separation.",
        f"Means over images; in brackets {percent:g} % bootstrap intervals.",
    ]
    return "\n".join(lines)


def _of_types(scores: TypeScores) -> list[str]:
    """Say whether nuclei are found, over all images together, and have the right types."""
    f1, precision, recall = (number(x) for x in (scores.f1, scores.precision, scores.recall))
    bias, offset = 100 * scores.area_bias, scores.boundary_offset
    lines = [f"Detection F1 {f1} (precision {precision}, recall {recall}), all images together"]
    if not math.isnan(bias):
        lines[0] += f"; areas {bias:+.0f} %, outlines {offset:+.2f} px"
    if not scores.types or math.isnan(scores.type_accuracy):
        return lines
    rows = [
        (row.name, f"{row.n_true:,}", f"{row.n_pred:,}", *map(number, (row.f1, row.precision,
         row.recall, row.pq, row.r2)))
        for row in scores.types.values()
    ]  # fmt: skip
    shown = (number(x) for x in (scores.type_accuracy, scores.mpq, scores.mpq_plus, scores.bpq))
    said = "Right type {}; mPQ {} (mean of images), mPQ+ {}, bPQ {} (all together)".format(*shown)
    return [*lines, said, table([TYPES_HEAD, *rows])]


def _line(group: batch.Group) -> list[str]:
    means = group.means
    failed = f" (+{group.n_failed} failed)" if group.n_failed else ""
    inside, true = (number(means[key].mean) for key in ("magnitude_inside", "true_magnitude"))
    return [
        group.name,
        f"{group.n}{failed}",
        *(with_interval(means[key]) for key in ("aji", "pq", "dice")),
        *(number(means[key].mean) for key in ("cc_aji", "oracle_aji", "hv_cosine")),
        inside if not means["magnitude_inside"].n else f"{inside} (truth {true})",
    ]


def magnitude_summary(result: batch.MagnitudeResult) -> str:
    """Return a line per image, that of all images, and how to read them."""
    rows = [_magnitude_line(row) for row in result.rows if not row.error]
    bands = next((row.report.bands for row in result.rows if row.report), MagnitudeBands())
    words = ", ".join(f"{n} {word}" for word, n in result.verdicts.items())
    return "\n".join(
        [
            table([MAGNITUDE_HEAD, *rows]),
            "",
            f"All {len(rows)} image{'' if len(rows) == 1 else 's'}: mean magnitude inside nuclei "
            f"{with_interval(result.mean)}: {result.verdict}; direction "
            f"{number(result.direction.mean, 2)} ({words})",
            f"Bounds: below {bands.collapsed:g} collapsed, below {bands.healthy:g} weak; the "
            f"exact maps of nuclei have {bands.target_low:g} to {bands.target_high:g}.",
            f"{BLIND} Direction: 1 = right, 0 = none learnt, -1 = wrong sign.",
            f"[image max] {MISLEADING}",
        ]
    )


def _magnitude_line(row: batch.ImageRow) -> list[str]:
    report = row.report
    if report is None:  # pragma: no cover - failed rows are left out before
        return [row.name]
    inside, outside = report.inside, report.outside
    return [
        row.name,
        "true" if row.inside == batch.TRUE else "predicted",
        *(number(value) for value in (inside.mean, inside.median, inside.p95, outside.mean)),
        report.verdict,
        number(report.direction, 2),
        f"[{number(report.whole_image_max, 2)}]",
    ]
