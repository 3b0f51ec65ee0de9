"""``napari-hovernet evaluate``: images and labels in, scores and reports out."""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path
from typing import Any

from ..app.evaluate import (
    OUTCOMES,
    BatchParams,
    BatchResult,
    DataAbout,
    FolderPredictor,
    Group,
    Predictor,
    as_json,
    evaluate_steps,
    report_paths,
    write_reports,
)
from ..app.jobs import drive
from ..core.data.pairs import DataSet, find_data, spread
from ..core.io.files import writable_folder
from ..errors import InputError, OutputError
from .batch_options import (
    choice_of,
    inference_of,
    model_predictor,
    names_of,
    tuning_of,
    with_interval,
)
from .console import ProgressBar, complain, number, say, table
from .token_runs import refuse_without_family, run_evaluate

HEAD = ("", "images", "AJI", "PQ", "Dice", "CC AJI", "oracle", "cosine", "magnitude")


def run(options: Namespace) -> int:
    """Evaluate all images; 0 if all went well, 1 if some failed."""
    formats = ("csv", "json") if options.no_html else ("csv", "json", "html")
    if options.output is not None:
        _refuse_to_replace(options, formats)
    if options.family is not None:
        return run_evaluate(options, formats)
    refuse_without_family(options)
    _refuse_what_is_missing(options)
    inference, tuning = inference_of(options), tuning_of(options)
    found = find_data(options.data, choice_of(options, need_labels=True))
    pairs = spread(found.pairs, options.n_samples)
    writable_folder(options.output)
    predictor: Predictor
    if options.pred is not None:
        predictor = FolderPredictor(options.pred, tuning.separation)
    else:
        predictor = model_predictor(options, inference, tuning)
    _say_what_is_left_out(found, options)
    params = BatchParams(n_pictures=0) if options.no_html else BatchParams()
    with ProgressBar("evaluate", quiet=options.quiet, unit="image") as bar:
        result = drive(evaluate_steps(pairs, predictor, params), bar)
    say_failures(result)
    about = DataAbout(found.origin, tuple(p.name for p in found.unpaired), _choices(options, found))
    files = write_reports(result, options.output, about, formats)
    if options.json:
        say(json.dumps(as_json(result, about), indent=2, allow_nan=False))
    else:
        say(summary(result))
    if not options.quiet:
        complain(f"written: {', '.join(str(path) for path in files.values())}")
    return 1 if result.failed else 0


def _refuse_what_is_missing(options: Namespace) -> None:
    """Refuse to go on without images and a place for the reports."""
    if options.data is None:
        raise InputError("Name the images: DATA is a folder or an index.csv (or give --family).")
    if options.output is None:
        raise InputError("Name the folder for the reports: -o OUT.")


def _refuse_to_replace(options: Namespace, formats: tuple[str, ...]) -> None:
    """Refuse to replace earlier reports before any work is begun."""
    paths = report_paths(options.output, formats).values()
    there = [str(path) for path in paths if path.exists()]
    if there and not options.overwrite:
        raise OutputError(
            f"There are earlier reports: {', '.join(there)}. Give --overwrite, or another folder."
        )


def _choices(options: Namespace, found: DataSet) -> dict[str, Any]:
    """Return how the images were chosen, for the JSON."""
    given = {name: getattr(options, name) for name in ("split", "source", "pattern", "n_samples")}
    labels: Path | None = options.labels
    return {**given, "labels": None if labels is None else str(labels), "found": len(found.pairs)}


def _say_what_is_left_out(found: DataSet, options: Namespace) -> None:
    if found.unpaired and not options.quiet:
        names = names_of([pair.name for pair in found.unpaired])
        complain(f"note: {len(found.unpaired)} image(s) without labels left out: {names}")


def say_failures(result: BatchResult) -> None:
    """Name the images that failed; if all did there is nothing to report."""
    failed = result.failed
    if failed and len(failed) == len(result.rows):
        first = f"{failed[0].name}: {failed[0].error}"
        if len(failed) == 1:
            raise InputError(first)
        raise InputError(f"None of the {len(failed)} images could be evaluated. First {first}")
    if failed:
        complain(f"{len(failed)} of {len(result.rows)} images failed:")
        for row in failed:
            complain(f"  {row.name}: {row.error}")


def summary(result: BatchResult) -> str:
    """Return the means per source and over all, and what became of the nuclei."""
    lines = [table([HEAD, *map(_line, result.groups)]), ""]
    counts, overall = result.overall.counts, result.overall
    became = ", ".join(f"{counts[f'n_{name}']:,} {name}" for name in OUTCOMES)
    lines.append(f"{counts['n_true']:,} true nuclei, {counts['n_pred']:,} predicted: {became}")
    zero = overall.means["hv_zero_mse"]
    if zero.n:
        error = overall.means["hv_mse"]
        lines.append(f"HV error {number(error.mean)}; a map of zeros has {number(zero.mean)}")
    dice = number(overall.means["all_foreground_dice"].mean)
    lines.append(f"Calling every pixel nucleus has Dice {dice}")
    lines.append("CC AJI: without separation. Oracle: the true maps through the same separation.")
    percent = 100 * result.params.bootstrap.confidence
    lines.append(f"Means over images; in brackets {percent:g} % bootstrap intervals.")
    return "\n".join(lines)


def _line(group: Group) -> list[str]:
    means = group.means
    failed = f" (+{group.n_failed} failed)" if group.n_failed else ""
    magnitude = number(means["magnitude_inside"].mean)
    of_truth = number(means["true_magnitude"].mean)
    return [
        group.name,
        f"{group.n}{failed}",
        *(with_interval(means[key]) for key in ("aji", "pq", "dice")),
        *(number(means[key].mean) for key in ("cc_aji", "oracle_aji", "hv_cosine")),
        magnitude if not means["magnitude_inside"].n else f"{magnitude} (truth {of_truth})",
    ]
