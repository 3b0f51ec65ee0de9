"""What ``evaluate`` and ``magnitude`` have in common: data, model, separation, tables."""

from __future__ import annotations

import math
from argparse import Namespace
from collections.abc import Sequence

from ..app.evaluate import ModelPredictor
from ..core.checkpoint import load_model
from ..core.data.pairs import DataChoice
from ..core.io.files import read_params
from ..core.measure.metrics import Interval
from ..core.params import FAULTS, InferenceParams, SeparationParams
from ..core.separation.tuning import TuneParams
from .console import complain, number
from .segment import introduction

BUILT_IN = "compact"
SHOWN = 5
"""Names that are shown in a note."""


def choice_of(options: Namespace, *, need_labels: bool) -> DataChoice:
    """Return which images are meant."""
    return DataChoice(
        split=options.split,
        source=options.source,
        labels=options.labels,
        pattern=options.pattern,
        need_labels=need_labels,
    )


def tuning_of(options: Namespace) -> TuneParams:
    """Return the separation, from a preset or a file of the tuner."""
    if options.params is not None:
        return read_params(options.params)
    return TuneParams(SeparationParams.preset(options.preset or "local"))


def inference_of(options: Namespace) -> InferenceParams:
    """Return how images go through the network."""
    return InferenceParams(
        tiling=options.tiling,
        tile=options.tile,
        batch=options.batch,
        image_mpp=options.image_mpp,
        model_mpp=options.model_mpp,
        precision=options.precision,
    )


def model_predictor(
    options: Namespace, inference: InferenceParams, tuning: TuneParams
) -> ModelPredictor:
    """Load the model, and say which it is."""
    model = load_model(options.model or BUILT_IN, options.device)
    if not options.quiet:
        complain(introduction(model))
        if options.preset in FAULTS:
            complain(f"note: {FAULTS[options.preset]}")
    return ModelPredictor(model, inference, tuning, options.use_mpp)


def names_of(names: Sequence[str]) -> str:
    """Return the first names, and that there are more."""
    return ", ".join(names[:SHOWN]) + (" ..." if len(names) > SHOWN else "")


def with_interval(found: Interval) -> str:
    """Return a mean and its interval."""
    if math.isnan(found.low):
        return number(found.mean)
    return f"{found.mean:.3f} ({found.low:.3f}-{found.high:.3f})"
