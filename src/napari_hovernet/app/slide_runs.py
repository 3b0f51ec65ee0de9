"""A slide's run as a process of its own: what started it stays quick, and may end before it."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..core.io.files import load_json, output_error, write_json
from ..core.slides.params import WorkParams
from ..core.slides.store import FAILED, PARTS, RUN, SUMMARY
from ..core.types import Progress
from ..errors import InputError, JobFailed, plain
from .jobs import Steps
from .processes import NICE, spawn
from .slides import CLOSE_SECONDS, POLL_SECONDS, SlideJob, SlideOutcome, watch_steps
from .watch import log_end

JOB, LOG = ".job.json", ".log"
"""Beside OUT: what is to be done, and what the process has said."""
MESSAGE = 500
"""Characters of the reason of a failure that are shown."""
SOME_FAILED = 1
"""Exit status of `slide` where blocks failed and the rest is there."""


def write_beside(output: Path, ending: str, value: Any) -> Path:
    """Write a JSON file beside OUT; OutputError if that cannot be."""
    path = output.with_name(f"{output.name}{ending}")
    try:
        write_json(path, value)
    except OSError as error:
        raise output_error(path, error) from error
    return path


def read_job(path: Path) -> SlideJob:
    """Read a job; a value that is not known or out of range is named."""
    found = load_json(path)
    try:
        kinds = {**PARTS, "work": WorkParams}
        parts = {name: kind(**found.pop(name)) for name, kind in kinds.items()}
        return SlideJob(**{**found, **parts, "slides": tuple(found["slides"])})
    except (AttributeError, KeyError, TypeError) as error:
        raise InputError(f"{path} is no job of a slide ({error}); start it anew.") from error


def process_steps(job: SlideJob, keep: Callable[[], bool]) -> Steps[SlideOutcome]:
    """Run a slide in another process, and tell how far it is.

    Closing the generator ends the process, unless ``keep()``: then it goes on alone. Either way
    the same job goes on where it was.
    """
    output = Path(job.output)
    log = output.with_name(f"{output.name}{LOG}")
    said = log.stat().st_size if log.exists() else 0
    told = write_beside(output, JOB, {**asdict(job), "output": str(output)})
    command = [sys.executable, "-m", "napari_hovernet", "slide", "-q", "--job", str(told)]
    child = spawn(command, output.parent, log, {}, NICE)
    try:
        while child.poll() is None and not (output / RUN).exists():
            yield Progress(0, 0, "Loading the model and looking for tissue ...")
            time.sleep(POLL_SECONDS)
        if child.poll() is None:
            yield from watch_steps(str(output), lambda: child.poll() is not None)
    except GeneratorExit:
        if not keep():
            child.terminate()
            with suppress(subprocess.TimeoutExpired):
                child.wait(CLOSE_SECONDS)
        raise
    if child.returncode not in (0, SOME_FAILED) or not (output / SUMMARY).exists():
        why = plain(log_end(log, 1, since=said).rpartition("error: ")[2], MESSAGE)
        raise JobFailed(why or f"The run ended with {child.returncode}.")
    log.unlink(missing_ok=True)
    summary = load_json(output / SUMMARY)
    failed = load_json(output / FAILED) if (output / FAILED).exists() else {}
    return SlideOutcome(job.slides[0], str(output), summary, tuple(sorted(failed)))
