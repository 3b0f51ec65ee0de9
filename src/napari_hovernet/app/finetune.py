"""Before a training run: see that everything is there and the data are fit for it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..core.params import SCRATCH, TrainConfig
from ..errors import InputError
from .train_options import BUILT_IN

if TYPE_CHECKING:
    from ..core.training.check import DataReport


def say_what_is_missing(config: TrainConfig) -> None:
    """Check, without reading anything, that the data and the model are where they should be."""
    if not config.data.sources:
        raise InputError("No training data are given: name a folder or file.")
    for source in config.data.sources:
        if not Path(source).exists():
            raise InputError(
                f"There are no training data at {source}: put them back if they were moved, "
                "or start a new run with their new place."
            )
    start = config.start
    if start != BUILT_IN and not start.startswith(SCRATCH) and not Path(start).is_file():
        raise InputError(
            f"There is no model at {start}: name a file, {BUILT_IN!r}, or "
            f"'{SCRATCH}{BUILT_IN}' for an untrained one."
        )


def look_at_data(config: TrainConfig) -> DataReport:
    """Read the data and report on them: coverage, touching nuclei, label problems ..."""
    from ..core.checkpoint.read import describe  # noqa: PLC0415 - loads torch
    from ..core.data.load import load_samples  # noqa: PLC0415 - on first use
    from ..core.training.check import check_data  # noqa: PLC0415 - on first use
    from ..core.training.module import needs_of  # noqa: PLC0415 - loads torch

    say_what_is_missing(config)
    loaded = load_samples(config.data, needs=needs_of(config.start), seed=config.seed)
    if config.start.startswith(SCRATCH):
        return check_data(loaded)
    n_types = describe(config.start).config.get("n_types")
    return check_data(loaded, n_types=n_types if isinstance(n_types, int) else None)
