"""Two runs over the same image beside each other: what differs, and by how much."""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..core.types import Int32, Progress
from .session_state import Run
from .study_state import Findings
from .study_steps import Case, finding_steps

if TYPE_CHECKING:
    from ..core.difference import LabelDifference
    from ..core.magnitude import MagnitudeBands

EMPTY = "-"
"""Stands for a number that there is not."""


@dataclass(frozen=True)
class DeltaRow:
    """One line of the table of two runs.

    Parameters
    ----------
    name, tip : str
        What it is; what it means.
    a, b : float or str
        Of either run; NaN = not known.
    digits : int
        Behind the point.
    """

    name: str
    tip: str
    a: float | str
    b: float | str
    digits: int = 0

    @property
    def delta(self) -> float:
        """B minus A; NaN where there is no number."""
        if isinstance(self.a, str) or isinstance(self.b, str):
            return math.nan
        return self.b - self.a

    def texts(self) -> tuple[str, str, str]:
        """Return A, B and the difference (with its sign) as shown.

        Examples
        --------
        >>> DeltaRow("AJI", "", 0.5, 0.625, 3).texts()
        ('0.500', '0.625', '+0.125')
        """
        return (_text(self.a, self.digits), _text(self.b, self.digits), self._delta_text())

    def _delta_text(self) -> str:
        if isinstance(self.a, str) or isinstance(self.b, str):
            return "same" if self.a == self.b else "differs"
        if math.isnan(self.delta):
            return EMPTY
        text = f"{self.delta:+,.{self.digits}f}"
        return text if text.strip("+-0.") else text[1:]  # no sign on zero


@dataclass(frozen=True, eq=False)
class TwoRuns:
    """What is known of two runs, and where they differ."""

    a: Findings
    b: Findings
    difference: LabelDifference

    def rows(self) -> tuple[DeltaRow, ...]:
        """Return the table, scores only where there is a truth."""
        return (*_plain_rows(self.a, self.b), *_score_rows(self.a, self.b))

    @property
    def errors(self) -> tuple[str, ...]:
        """What could not be found out, each once."""
        return tuple(dict.fromkeys((*self.a.errors, *self.b.errors)))


def why_not(a: Run, b: Run) -> str:
    """Say why two runs cannot be set side by side, "" if they can."""
    for run in (a, b):
        if run.result.maps is None:
            return f"{run.title} was made without keeping its maps: run it again."
    if a.id == b.id:
        return f"{a.title} cannot be set beside itself: choose another run."
    if a.image.key != b.image.key:
        return (
            f"{a.title} was made from {a.image.name!r} and {b.title} from {b.image.name!r}: choose "
            "two runs over the same image."
        )
    plane_a, plane_b = (getattr(run.placement, "plane", ()) for run in (a, b))
    if plane_a != plane_b:
        return (
            f"{a.title} covers plane {_plane(plane_a)} and {b.title} plane {_plane(plane_b)}: run "
            "both on the same plane."
        )
    if a.result.offset != b.result.offset or a.result.labels.shape != b.result.labels.shape:
        return (
            f"{a.title} covers {_region(a)} and {b.title} {_region(b)}: run both on the same "
            "region."
        )
    return ""


def case_of(
    run: Run, labels: Int32, truth: Int32 | None = None, bands: MagnitudeBands | None = None
) -> Case:
    """Return what is looked into of a run with maps.

    Parameters
    ----------
    run : Run
    labels : int32 (H, W)
        Its instances as they are now.
    truth : int32 (H, W), optional
    bands : MagnitudeBands, optional

    Raises
    ------
    TypeError
        If the run was made without keeping its maps.
    """
    if run.result.maps is None:
        raise TypeError(f"{run.title} has no maps.")
    separation = run.result.separation
    return Case(
        maps=run.result.maps,
        labels=labels,
        info=run.result.info,
        separation=run.result.cut_with,
        mask=None if separation is None else separation.mask,
        truth=truth,
        bands=bands,
    )


def two_runs_steps(a: Case, b: Case) -> Generator[Progress, None, TwoRuns]:
    """Look into two runs and tell where they differ; runs in a worker thread.

    Yields
    ------
    Progress
        Those of either run.

    Returns
    -------
    TwoRuns

    Raises
    ------
    InputError
        If they are not of the same size.
    """
    from ..core.difference import label_difference  # noqa: PLC0415 - on first use

    yield Progress(0, 0, "Where they differ ...")
    difference = label_difference(a.labels, b.labels)
    found_a = yield from finding_steps(a)
    found_b = yield from finding_steps(b)
    return TwoRuns(found_a, found_b, difference)


def _plain_rows(a: Findings, b: Findings) -> tuple[DeltaRow, ...]:
    inside = (a.magnitude.inside.mean, b.magnitude.inside.mean)
    return (
        DeltaRow("Nuclei", "Instances, corrections included.", len(a.nuclei), len(b.nuclei)),
        DeltaRow("Magnitude inside", "Mean HV magnitude inside nuclei.", *inside, digits=3),
        DeltaRow(
            "Verdict",
            "What the bounds of the inspector say of it; length alone is not health.",
            a.magnitude.verdict,
            b.magnitude.verdict,
        ),
        DeltaRow(
            "Direction",
            "Mean cosine of HV to the exact HV of these very instances; 1 = right, 0 = unrelated.",
            a.magnitude.direction,
            b.magnitude.direction,
            3,
        ),
        DeltaRow(
            "Components",
            "Connected areas of the mask of nuclei.",
            a.blobs.n_components,
            b.blobs.n_components,
        ),
        DeltaRow(
            "Suspected blobs",
            "Components that look like several nuclei in one.",
            a.blobs.n_suspected,
            b.blobs.n_suspected,
        ),
    )


def _score_rows(a: Findings, b: Findings) -> tuple[DeltaRow, ...]:
    if a.comparison is None or b.comparison is None:
        return ()
    one, two = a.comparison.prediction, b.comparison.prediction
    return tuple(
        DeltaRow(name, f"{name} against the truth chosen in Compare.", first, second, 3)
        for name, first, second in (
            ("AJI", one.aji, two.aji),
            ("PQ", one.pq, two.pq),
            ("Dice", one.dice, two.dice),
        )
    )


def _text(value: float | str, digits: int) -> str:
    if isinstance(value, str):
        return value
    return EMPTY if math.isnan(value) else f"{value:,.{digits}f}"


def _plane(plane: tuple[int, ...]) -> str:
    return ", ".join(str(i + 1) for i in plane) or "1"


def _region(run: Run) -> str:
    height, width = run.result.labels.shape
    row, col = run.result.offset
    return f"{height} x {width} pixels from row {row}, column {col}"
