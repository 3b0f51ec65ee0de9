"""What the panel "Diagnose" runs in its worker thread: open, check, write. No Qt."""

from __future__ import annotations

import json
import os
from collections.abc import Generator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.types import Progress
from ..errors import UserError
from .diagnosis_state import TUNER, Applied, FilesChoice, Opened

if TYPE_CHECKING:
    from ..app.diagnose import Diagnosis
    from ..app.session import Run
    from ..core.separation.tuning import TuneParams
    from ..core.types import Int32

Steps = Generator[Progress, None, Any]

NO_MODEL = "The model of this run cannot be read again ({}), so it was not asked about what-ifs."


@dataclass(frozen=True, eq=False)
class RunAsked:
    """A run to diagnose, as it was when it was asked for.

    Parameters
    ----------
    run : Run
    image : array-like, optional
        Plane that was segmented, (H, W) or (H, W, 3 or 4), as lazy as its layer; None if the
        layer is gone.
    truth : int32 (H, W), optional
        Of the run's size.
    """

    run: Run
    image: Any = None
    truth: Int32 | None = None


def diagnose_run_steps(asked: RunAsked) -> Steps:
    """Diagnose one run of the viewer.

    Yields
    ------
    Progress
        An :class:`Opened` once there is a bench, then as
        :func:`napari_hovernet.app.diagnose.diagnosis_steps`.

    Returns
    -------
    Diagnosis
    """
    from ..app.diagnose import case_of_run, diagnosis_steps  # noqa: PLC0415 - imports torch
    from ..core.diagnosis.bench import Bench  # noqa: PLC0415

    run, result = asked.run, asked.run.result
    yield Progress(0, 0, "Reading the image")
    image = None if asked.image is None else pixels_of(run, asked.image)
    yield Progress(0, 0, "Loading the model")
    model, why = (None, "") if image is None else model_of(run)
    case = case_of_run(
        image,
        result.maps,
        result.labels,
        asked.truth,
        cut_with=result.cut_with,
        model=model,
        inference=result.params.inference,
        name=run.title,
    )
    if why:
        case = replace(case, notes=(*case.notes, NO_MODEL.format(why)))
    bench = Bench(case)
    yield Opened(0, 0, "Looking", bench=bench)
    return (yield from diagnosis_steps(case, bench.params, bench))


def diagnose_files_steps(choice: FilesChoice, tuned: TuneParams | None = None) -> Steps:
    """Diagnose files; yields and returns as :func:`diagnose_run_steps`.

    Parameters
    ----------
    choice : FilesChoice
    tuned : TuneParams, optional
        Separation where the choice says "tuner".
    """
    from ..app.diagnose import diagnosis_steps  # noqa: PLC0415 - imports torch
    from ..app.diagnose_opening import DiagnoseChoice, Own, open_steps  # noqa: PLC0415 - imports torch
    from ..core.diagnosis.bench import Bench  # noqa: PLC0415

    parts = asdict(choice)
    own = None
    if choice.separation == TUNER:
        parts["separation"], own = "", Own(separation=tuned)
    named = DiagnoseChoice(**parts)
    case = yield from open_steps(named, own)
    bench = Bench(case, named.params)
    yield Opened(0, 0, "Looking", bench=bench)
    return (yield from diagnosis_steps(case, named.params, bench))


def retest(diagnosis: Diagnosis, finding: Any) -> Steps:
    """Apply the remedy of a finding and test again; returns the new diagnosis."""
    from ..app.diagnose import retest_steps  # noqa: PLC0415 - imports torch

    yield Progress(0, 0, "Applying the remedy")
    return (yield from retest_steps(diagnosis, finding))


def pictures_of(bench: Any) -> Any:
    """Return a bench that reads what is given and asks no network: one is at work with it."""
    from ..core.diagnosis.bench import Bench  # noqa: PLC0415 - imports torch

    return Bench(replace(bench.case, predictor=None), bench.params)


def save_steps(diagnosis: Diagnosis, path: str, applied: Sequence[Applied] = ()) -> Steps:
    """Write a report, .json or .html by the path's ending; returns the path.

    Parameters
    ----------
    diagnosis : Diagnosis
        As it is now.
    path : str
    applied : sequence of Applied
        Remedies applied so far: the report tells of before and after.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    from ..app.diagnosis_html import render_html  # noqa: PLC0415 - imports jinja2
    from ..app.diagnosis_text import Retest, as_json  # noqa: PLC0415
    from ..core.io.files import atomic_path  # noqa: PLC0415

    yield Progress(0, 0, "Writing the report")
    mended = None
    if applied:
        mended = Retest(applied[0].was, diagnosis, tuple(a.finding for a in applied))
    if Path(path).suffix.lower() == ".json":
        text = json.dumps(as_json(diagnosis, mended), indent=2, allow_nan=False)
    else:
        text = render_html(diagnosis, mended)
    with atomic_path(path) as file:
        file.write_text(text, encoding="utf-8")
    return path


def pixels_of(run: Run, plane: Any) -> Any:
    """Return the part of an image that a run was made of, as an array."""
    row, col = run.result.offset
    height, width = run.result.labels.shape
    return np.asarray(plane[row : row + height, col : col + width])


def model_of(run: Run) -> tuple[Any, str]:
    """Load the model of a run once more; returns also why that fails, "" if it does not.

    A copy of its own: a segmentation may be under way with the other.
    """
    from ..core.checkpoint import load_model  # noqa: PLC0415 - imports torch

    source = run.result.info.source or run.result.info.architecture
    try:
        return load_model(source, str(run.metadata.get("device", "auto"))), ""
    except (UserError, OSError) as error:
        name = os.path.basename(str(source))
        return None, f"{name}: {error}".rstrip(".")
