"""What there is to diagnose in front of the user, and what is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .diagnosis_state import FILES, FilesChoice
from .diagnosis_steps import RunAsked
from .images import full_data

if TYPE_CHECKING:
    from ..app.session import Run
    from .desk import Desk

NO_RUN = "There is no run to diagnose: segment an image first, or choose files."
NO_MAPS = "This run kept no maps, so it cannot be diagnosed: run the model again."
NO_TRUTH = "no truth: choose one in Compare and correct to test more"


def ready(desk: Desk, kind: str, choice: FilesChoice) -> tuple[str, str]:
    """Return why nothing can be diagnosed, "" if it can, and what would be tested.

    Parameters
    ----------
    desk : Desk
    kind : {"run", "files"}
    choice : FilesChoice
        Of the form of files.
    """
    if kind == FILES:
        return choice.problem, ""
    run, truth = desk.run, desk.study.truth
    if run is None or run.result.maps is None:
        return (NO_RUN if run is None else NO_MAPS), ""
    usable = truth is not None and truth.labels is not None
    against = f"truth: {truth.name}" if truth is not None and usable else NO_TRUTH
    cut = separation_of(desk, run)
    return "", f"Tested: image, maps, {run.result.n:,} nuclei, separation {cut}; {against}."


def separation_of(desk: Desk, run: Run) -> str:
    """Return the preset a run was cut with, or its method."""
    from ..core.params import PRESETS  # noqa: PLC0415 - on first use
    from .tuner import tuner_for  # noqa: PLC0415 - imports torch

    cut, tuning = run.result.cut_with, tuner_for(desk).tuning
    named = next((name for name in PRESETS if tuning.preset(name) == cut), "")
    return named or f"{cut.method} (changed)"


def asked_of(desk: Desk, run: Run) -> RunAsked:
    """Put together what a run is diagnosed from, as it is now; reads no pixel."""
    layer = next((x for x in desk.work.image_layers() if id(x) == run.image.key), None)
    image = None
    if layer is not None:
        data, plane = full_data(layer), run.placement.plane
        image = data[plane] if plane else data
    truth = desk.study.truth
    labels = None if truth is None else truth.labels
    if labels is not None and labels.shape != run.result.labels.shape:
        labels = None
    return RunAsked(run, image, labels)
