"""``evaluate`` and ``magnitude`` with ``--family``: a token decoder on cached features."""

from __future__ import annotations

import json
import math
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..app.evaluate import (
    BatchParams,
    BatchResult,
    DataAbout,
    MagnitudeResult,
    as_json,
    evaluate_steps,
    magnitude_as_json,
    magnitude_steps,
    write_reports,
)
from ..app.jobs import drive
from ..app.tokens import TokenChoice, TokenPredictor, choose_samples, token_pairs
from ..core.checkpoint import load_model
from ..core.data.pairs import Pair
from ..core.io.files import writable_folder
from ..core.measure.magnitude import BROKEN_MAXIMA
from ..core.measure.metrics import bootstrap_mean
from ..core.tokens.data import find_token_data, membership
from ..core.tokens.decode import AS_FILE, TokenParams
from ..errors import InputError
from .batch_options import tuning_of
from .console import ProgressBar, complain, number, say
from .segment import introduction

ONLY_TOKENS = ("data_dir", "token_prefix", "seed", "truth")
"""Options that mean nothing without ``--family``."""
ONLY_IMAGES = ("pred", "labels", "source", "pattern", "tile", "image_mpp", "model_mpp")
"""Options that mean nothing with it."""


@dataclass(frozen=True)
class TokenJob:
    """What is run on which samples."""

    predictor: TokenPredictor
    pairs: tuple[Pair, ...]
    samples: dict[str, Any]  # Which samples these are, JSON-able
    notes: tuple[str, ...]


def refuse_without_family(options: Namespace) -> None:
    """Refuse options of the token decoder where no family is named."""
    for name in ONLY_TOKENS:
        if getattr(options, name) is not None:
            raise InputError(f"--{name.replace('_', '-')} needs --family: it is about tokens.")


def token_job(options: Namespace, given: Sequence[Path]) -> TokenJob:
    """Load the checkpoint, find the family, choose samples."""
    for name in ONLY_IMAGES:
        if getattr(options, name, None) is not None:
            raise InputError(f"--{name.replace('_', '-')} is about images; leave --family out.")
    if not options.model:
        raise InputError("Name the token decoder: --checkpoint FILE.pth (or .safetensors).")
    model = load_model(options.model, options.device)
    data = find_token_data(_folders(options, given), options.family)
    sides = membership(model.info, data)
    choice = TokenChoice(options.n_samples, options.split, options.seed, options.truth or "auto")
    indices = choose_samples(sides, choice)
    predictor = TokenPredictor(
        model,
        data,
        indices,
        TokenParams(options.token_prefix or AS_FILE),
        tuning_of(options),
        choice.truth,
    )
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
    pairs = token_pairs(data, sides, indices)
    return TokenJob(predictor, pairs, samples, (*predictor.notes, *sides.notes))


def _folders(options: Namespace, given: Sequence[Path]) -> list[Path]:
    """Where the family is looked for: as named, else beside the checkpoint, else here."""
    named = [*([] if options.data_dir is None else [options.data_dir]), *given]
    if named:
        return named
    return [Path(options.model).expanduser().resolve().parent, Path.cwd()]


def run_evaluate(options: Namespace, formats: tuple[str, ...]) -> int:
    """Score the decoder on a family; see :func:`.evaluate.run`."""
    from .evaluate import say_failures, summary  # noqa: PLC0415 - which imports us

    job = token_job(options, [] if options.data is None else [options.data])
    if not job.predictor.data.has_truth:
        raise InputError(
            f"{job.predictor.data.family} has no true nuclei: put its _targets.npz beside its "
            "features, or use the command magnitude."
        )
    if options.output is not None:
        writable_folder(options.output)
    pictures = options.output is not None and "html" in formats
    params = BatchParams() if pictures else BatchParams(n_pictures=0)
    with ProgressBar("evaluate", quiet=options.quiet, unit="sample") as bar:
        result = drive(evaluate_steps(job.pairs, job.predictor, params), bar)
    say_failures(result)
    about = DataAbout(job.samples["features"], (), job.samples)
    files = {}
    if options.output is not None:
        files = write_reports(result, options.output, about, formats)
    if options.json:
        say(json.dumps(as_json(result, about), indent=2, allow_nan=False))
    else:
        say("\n".join([summary(result), *_evaluated(result), *_which(job)]))
    _say_notes(job, [row.notes for row in result.rows], options)
    if files and not options.quiet:
        complain(f"written: {', '.join(str(path) for path in files.values())}")
    return 1 if result.failed else 0


def run_magnitude(options: Namespace) -> int:
    """Measure the decoder's HV on a family; see :func:`.magnitude.run`."""
    from .magnitude import say_failures, summary  # noqa: PLC0415 - which imports us

    job = token_job(options, options.data)
    with ProgressBar("magnitude", quiet=options.quiet, unit="sample") as bar:
        result = drive(magnitude_steps(job.pairs, job.predictor), bar)
    say_failures(result)
    true = _mean(job.predictor.true_magnitudes.values())
    if options.json:
        found = magnitude_as_json(result)
        found["overall"]["true_magnitude"] = None if math.isnan(true) else true
        found["overall"]["whole_image_max"] = _mean(_maxima(result))
        say(json.dumps({**found, "samples": job.samples}, indent=2, allow_nan=False))
    else:
        lines = [_length_words(result.mean.mean, true, _mean(_maxima(result)))]
        say("\n".join([summary(result), *lines, *_which(job)]))
    _say_notes(job, [row.notes for row in result.rows], options)
    return 1 if result.failed else 0


def _maxima(result: MagnitudeResult) -> list[float]:
    return [row.report.whole_image_max for row in result.rows if row.report is not None]


def _evaluated(result: BatchResult) -> list[str]:
    means = result.overall.means
    good = [row for row in result.rows if not row.error]
    return [
        _length_words(
            means["magnitude_inside"].mean,
            means["true_magnitude"].mean,
            _mean([row["whole_image_max"] for row in good]),
        )
    ]


def _length_words(inside: float, true: float, largest: float) -> str:
    low, high = BROKEN_MAXIMA
    of_truth = "" if math.isnan(true) else f"; that of the truth is {number(true)}"
    return (
        f"HV magnitude inside nuclei {number(inside)}{of_truth}. [image max {number(largest)}] is "
        f"misleading: it was {low:g} to {high:g} in every broken run."
    )


def _which(job: TokenJob) -> list[str]:
    which, n, of = (job.samples[k] for k in ("which", "n", "of"))
    choice = job.predictor.params.prefix
    as_said = " as the checkpoint says" if choice == AS_FILE else f" (chosen: {choice})"
    return [
        f"Samples: {n} of {of} of {job.samples['family']}: {which}.",
        f"Tokens before the patches: {job.predictor.prefix}{as_said}.",
    ]


def _mean(values: Any) -> float:
    return bootstrap_mean(list(values)).mean


def _say_notes(job: TokenJob, notes: Sequence[tuple[str, ...]], options: Namespace) -> None:
    """Say each note once, whichever sample it is about."""
    if not options.quiet:
        for note in dict.fromkeys((*job.notes, *(n for row in notes for n in row))):
            complain(f"note: {note}")
