"""From wherever true labels are to a :class:`TruthChoice`; runs in a worker thread."""

from __future__ import annotations

from collections.abc import Callable, Generator, Hashable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ..core.types import Progress
from ..errors import InputError, UserError
from .session_state import Run
from .study_state import TruthChoice


@dataclass(frozen=True, eq=False)
class Given:
    """Labels as a source gives them.

    Parameters
    ----------
    labels : array (H, W)
        Not checked yet.
    origin : tuple of int, optional
        Row and column of their first pixel in the whole image, where that is known.
    notes : tuple of str
        What was assumed while they were read.
    """

    labels: npt.NDArray[Any]
    origin: tuple[int, int] | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class TruthSource:
    """Where true labels come from.

    Parameters
    ----------
    key : hashable
        ("layer", id), ("file", path) or ("run", id).
    name : str
        For tables and messages.
    read : callable
        Receives the :class:`Target`, returns :class:`Given`; called in a worker thread.
    """

    key: Hashable
    name: str
    read: Callable[[Target], Given]


@dataclass(frozen=True, eq=False)
class Target:
    """What the labels have to fit: shape of a run, and its first pixel in the whole image.

    ``region`` says whether it is only a part of the image.
    """

    shape: tuple[int, int]
    offset: tuple[int, int] = (0, 0)
    region: bool = False

    @property
    def reach(self) -> tuple[int, int]:
        """Height and width of the image as far as the run reaches."""
        return (self.offset[0] + self.shape[0], self.offset[1] + self.shape[1])


def target_of(run: Run) -> Target:
    """Return what true labels for a run have to fit."""
    height, width = run.result.labels.shape
    region = run.result.params.region is not None or run.result.offset != (0, 0)
    return Target((height, width), run.result.offset, region)


def file_source(path: str) -> TruthSource:
    """Labels in a file of any kind that :func:`read_labels` knows."""

    def read(target: Target) -> Given:
        from ..core.io.labels_file import read_labels  # noqa: PLC0415 - on first use

        found = read_labels(path, target.reach if target.region else target.shape)
        return Given(found.labels, notes=found.notes)

    return TruthSource(("file", path), path.replace("\\", "/").rsplit("/", 1)[-1], read)


def truth_steps(
    source: TruthSource, target: Target, before: TruthChoice | None = None
) -> Generator[Progress, None, TruthChoice]:
    """Read and check true labels.

    Parameters
    ----------
    source : TruthSource
    target : Target
    before : TruthChoice, optional
        What is compared with now; returned as it is if nothing has changed.

    Yields
    ------
    Progress
        One, before the work.

    Returns
    -------
    TruthChoice
        With labels, or with the error that says why not.
    """
    yield Progress(0, 0, f"Reading {source.name} ...")
    try:
        choice = _checked(source, target)
    except UserError as error:
        choice = TruthChoice(source.key, source.name, error=str(error))
    return before if before is not None and _same(before, choice) else choice


def _checked(source: TruthSource, target: Target) -> TruthChoice:
    from ..core.truth import check_truth  # noqa: PLC0415 - on first use

    given = source.read(target)
    labels, notes = given.labels, given.notes
    offset = target.offset if target.region else None
    if given.origin is not None and given.origin != target.offset:
        labels, note = _part(given, target)
        notes, offset = (*notes, note), None
    truth = check_truth(labels, target.shape, offset)
    return TruthChoice(source.key, source.name, truth.labels, (*notes, *truth.notes))


def _part(given: Given, target: Target) -> tuple[npt.NDArray[Any], str]:
    """Cut labels whose place in the image is known to where the run lies."""
    at = given.origin or (0, 0)
    row, col = target.offset[0] - at[0], target.offset[1] - at[1]
    height, width = given.labels.shape[-2:]
    fits = row + target.shape[0] <= height and col + target.shape[1] <= width
    if row < 0 or col < 0 or not fits:
        raise InputError(
            f"It covers {height} x {width} pixels from row {at[0]}, column {at[1]}; the run "
            f"{target.shape[0]} x {target.shape[1]} from row {target.offset[0]}, column "
            f"{target.offset[1]}. Choose one that covers the whole of it."
        )
    part = given.labels[..., row : row + target.shape[0], col : col + target.shape[1]]
    return part, f"Cut to the run's region ({target.shape[0]} x {target.shape[1]})."


def _same(a: TruthChoice, b: TruthChoice) -> bool:
    if replace(a, labels=None).__dict__ != replace(b, labels=None).__dict__:
        return False
    if a.labels is None or b.labels is None:
        return a.labels is b.labels
    return np.array_equal(a.labels, b.labels)
