"""``napari-hovernet magnitude``: how long HV is inside nuclei, and whether it points right."""

from __future__ import annotations

import json
from argparse import Namespace

from ..app.evaluate import TRUE, MagnitudeResult, MagnitudeRow, magnitude_as_json, magnitude_steps
from ..app.jobs import drive
from ..core.data.pairs import Pair, find_data, spread
from ..core.measure.magnitude import BLIND, BROKEN_MAXIMA, MagnitudeBands
from ..errors import InputError
from .batch_options import choice_of, inference_of, model_predictor, tuning_of, with_interval
from .console import ProgressBar, complain, number, say, table
from .token_runs import refuse_without_family, run_magnitude

HEAD = ("image", "inside", "mean", "median", "p95", "outside", "verdict", "direction",
        "[image max]")  # fmt: skip


def run(options: Namespace) -> int:
    """Look at all images; 0 if all went well, 1 if some failed."""
    if options.family is not None:
        return run_magnitude(options)
    refuse_without_family(options)
    if not options.data:
        raise InputError("Name the images: a file, a folder or an index.csv (or give --family).")
    inference, tuning = inference_of(options), tuning_of(options)
    pairs = spread(_pairs(options), options.n_samples)
    predictor = model_predictor(options, inference, tuning)
    with ProgressBar("magnitude", quiet=options.quiet, unit="image") as bar:
        result = drive(magnitude_steps(pairs, predictor), bar)
    say_failures(result)
    if options.json:
        say(json.dumps(magnitude_as_json(result), indent=2, allow_nan=False))
    else:
        say(summary(result))
    _say_notes(result, options)
    return 1 if result.failed else 0


def _pairs(options: Namespace) -> list[Pair]:
    """List the images that are meant, each once, labelled or not."""
    choice = choice_of(options, need_labels=False)
    found: dict[str, Pair] = {}
    for path in options.data:
        data = find_data(path, choice)
        for pair in sorted((*data.pairs, *data.unpaired), key=lambda pair: str(pair.image)):
            found.setdefault(str(pair.image.resolve()), pair)
    return list(found.values())


def say_failures(result: MagnitudeResult) -> None:
    """Name the images that failed; if all did there is nothing to report."""
    failed = result.failed
    if len(failed) == len(result.rows):
        raise InputError(f"{failed[0].name}: {failed[0].error}")
    for row in failed:
        complain(f"error: {row.name}: {row.error}")


def _say_notes(result: MagnitudeResult, options: Namespace) -> None:
    for row in result.rows if not options.quiet else ():
        for note in row.notes:
            complain(f"note: {row.name}: {note}")


def summary(result: MagnitudeResult) -> str:
    """Return a line per image, that of all images, and how to read them."""
    rows = [row for row in result.rows if not row.error]
    bands = rows[0].report.bands if rows and rows[0].report else MagnitudeBands()
    low, high = BROKEN_MAXIMA
    words = ", ".join(f"{n} {word}" for word, n in result.verdicts.items())
    return "\n".join(
        [
            table([HEAD, *map(_line, rows)]),
            "",
            f"All {len(rows)} image{'' if len(rows) == 1 else 's'}: mean magnitude inside nuclei "
            f"{with_interval(result.mean)}: {result.verdict}; direction "
            f"{number(result.direction.mean, 2)} ({words})",
            f"Bounds: below {bands.collapsed:g} collapsed, below {bands.healthy:g} weak; the "
            f"exact maps of nuclei have {bands.target_low:g} to {bands.target_high:g}.",
            f"{BLIND} Direction: 1 = right, 0 = none learnt, -1 = wrong sign.",
            f"[image max] is misleading: it was {low:g} to {high:g} in every broken run.",
        ]
    )


def _line(row: MagnitudeRow) -> list[str]:
    report = row.report
    if report is None:  # pragma: no cover - failed rows are left out before
        return [row.name, *[""] * (len(HEAD) - 1)]
    inside, outside = report.inside, report.outside
    return [
        row.name,
        "true" if row.inside == TRUE else "predicted",
        *(number(value) for value in (inside.mean, inside.median, inside.p95, outside.mean)),
        report.verdict,
        number(report.direction, 2),
        f"[{number(report.whole_image_max, 2)}]",
    ]
