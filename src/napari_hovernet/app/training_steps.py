"""Before a training starts from a viewer: look at the data, make the run, start it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Generator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.io.files import output_error
from ..core.params import DataParams, TrainConfig
from ..core.types import Progress
from ..errors import UserError
from .finetune import look_at_data

if TYPE_CHECKING:
    from ..core.training.check import DataReport
    from .run_store import RunStore

LOG_LINES, LOG_BYTES = 6, 8192
"""What is shown of the end of a log."""
DATA = "data"
"""Folder of a run for pairs made of a viewer's layers."""


@dataclass(frozen=True)
class Checked:
    """What was found in training data."""

    data: DataParams  # The data that were looked at
    start: str = ""  # The starting point of the training they are for
    summary: str = ""  # One line
    problems: tuple[str, ...] = ()  # What has to be mended
    warnings: tuple[str, ...] = ()  # What is odd
    findings: tuple[str, ...] = ()  # What is in order, and what was assumed
    refused: bool = False  # Whether they cannot be trained on


def check_steps(config: TrainConfig) -> Generator[Progress, None, Checked]:
    """Read training data and report on them; data that cannot be read are refused."""
    yield Progress(0, 0, "Reading the training data ...")
    try:
        report = look_at_data(config)
    except UserError as error:
        problems = (str(error),)
        return Checked(config.data, config.start, problems=problems, refused=True)
    return checked(config, report)


def checked(config: TrainConfig, report: DataReport) -> Checked:
    """Put a report into words, by how bad they are."""
    by_verdict: dict[str, list[str]] = {"fault": [], "warn": [], "ok": []}
    for finding in report.findings:
        by_verdict[finding.verdict].append(finding.words)
    return Checked(
        config.data,
        config.start,
        summary=report.summary,
        problems=tuple(by_verdict["fault"]),
        warnings=tuple(by_verdict["warn"]),
        findings=(*by_verdict["ok"], *report.notes),
        refused=report.refused,
    )


def start_steps(
    store: RunStore, config: TrainConfig, staged: Path | None = None
) -> Generator[Progress, None, str]:
    """Make a run and start its process."""
    yield Progress(0, 0, "Starting ...")
    run = store.create(config)
    try:
        if staged is not None and str(staged) in config.data.sources:
            target = run.path / DATA
            _copy(staged, target)
            made = run.read_config()
            sources = tuple(str(target) if s == str(staged) else s for s in made.data.sources)
            run.write_config(replace(made, data=replace(made.data, sources=sources)))
        store.start(run.name)
    except UserError:
        store.remove(run.name)
        raise
    return run.name


def _copy(source: Path, target: Path) -> None:
    try:
        shutil.copytree(source, target)
    except (OSError, shutil.Error) as error:
        cause = error if isinstance(error, OSError) else OSError(str(error))
        raise output_error(os.fspath(target), cause) from error


def log_end(path: Path, lines: int = LOG_LINES) -> str:
    """Return the last lines of a log, "" if there is none."""
    try:
        with open(path, "rb") as file:
            file.seek(max(file.seek(0, os.SEEK_END) - LOG_BYTES, 0))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return ""
    found = [line.rstrip() for line in text.replace("\r", "\n").splitlines() if line.strip()]
    return "\n".join(found[-lines:])
