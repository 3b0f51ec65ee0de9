"""What a diagnosis says: findings with their evidence, and what to do about each."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ...errors import InputError

FAULT, WARN, OK, NOT_TESTED = VERDICTS = ("fault", "warn", "ok", "not tested")
"""Verdicts, the most urgent first."""
FAMILIES = ("data", "model", "separation", "loss", "augmentation")
"""Families of checks, in the order in which they run."""
LAYERS = (
    "image", "truth", "instances", "np", "hv_x", "hv_y", "magnitude",
    "target_np", "target_hv_x", "target_hv_y", "types")  # fmt: skip
"""What can be looked at in one image."""
PLOTS = ("bars", "histogram", "lines", "matrix")


@dataclass(frozen=True)
class Place:
    """Where an example of a finding is; the box is half-open, in pixels of that image."""

    item: int  # Number of the image in the case
    name: str  # Of that image
    box: tuple[int, int, int, int]  # r0, r1, c0, c1
    words: str = ""  # What is to be seen there, "" = as the finding says


@dataclass(frozen=True, eq=False)
class Plot:
    """A small figure."""

    kind: str  # One of PLOTS
    title: str
    x: tuple[Any, ...]  # Names of bars or columns, edges of bins (one more), or positions
    series: tuple[tuple[str, tuple[float, ...]], ...]  # Name and values; rows of a matrix
    x_label: str = ""  # With units
    y_label: str = ""
    line: float | None = None  # The bound, drawn across the values
    on_x: bool = False  # Of lines: the bound is one of the positions; of a histogram always

    @property
    def upright(self) -> bool:
        """Whether the bound belongs to the horizontal axis."""
        return self.kind == "histogram" or (self.kind == "lines" and self.on_x)


@dataclass(frozen=True)
class Remedy:
    """What to do: for who reads the code, and for who sits at the microscope."""

    text: str  # One or two sentences, imperative
    action: str = ""  # Field of Setup that mends it here and now, "" = none
    value: Any = None  # What to set it to, JSON-able
    plain: str = ""  # The same for people who do not program; "" = text


NO_REMEDY = Remedy("")


@dataclass(frozen=True, eq=False)
class Finding:
    """What one check found.

    Parameters
    ----------
    id : str
        ``family.name``, "data.complete".
    verdict : {"fault", "warn", "ok", "not tested"}
    title : str
        What is wrong (or was looked at), a few words.
    evidence : str
        What was measured, in one or two sentences with the numbers; of a check that was not
        made, why.
    value, threshold : float
        The number that decided, and from where on it is a fault; NaN where there is none.
    unit : str
        Of both; "share", "px", "cosine" ...
    certainty : float
        How sure it is that this is a cause (fault, warn), 0..1; 0 for "ok". Of planted faults
        said with 0.9, nine in ten were right.
    remedy : Remedy
    numbers : mapping of str to float
        More of what was measured, by what it is.
    layers : tuple of str
        What to look at: "image", "truth", "instances", "np", "hv_x", "hv_y", "magnitude",
        "target_np", "target_hv_x", "target_hv_y", "types".
    places : tuple of Place
        Examples, the worst first.
    plot : Plot, optional
    explained_by : str
        Id of a finding of which this one is likely to be but a consequence.
    plain : str
        What it means to who looks at the picture, one sentence; "" = the title says it.
    gain : float
        What the remedy won back when it was tried, in the score of :meth:`.Bench.score`; NaN
        where it could not be tried.
    decisive : bool
        Whether what depends on the same thing cannot be judged beside it.
    stands : bool
        Whether it was told without what labels say too, so that no fault of labels explains it.
    beside : str
        Id of a cause that was mended when this was measured, and that therefore does not explain
        it; "" = measured as everything was given.

    Examples
    --------
    >>> Finding("data.labels", OK, "Labels", "none of 3 is empty").family
    'data'
    """

    id: str
    verdict: str
    title: str
    evidence: str
    value: float = math.nan
    threshold: float = math.nan
    unit: str = ""
    certainty: float = 0.0
    remedy: Remedy = NO_REMEDY
    numbers: Mapping[str, float] = field(default_factory=dict)
    layers: tuple[str, ...] = ()
    places: tuple[Place, ...] = ()
    plot: Plot | None = None
    explained_by: str = ""
    plain: str = ""
    gain: float = math.nan
    decisive: bool = False
    stands: bool = False
    beside: str = ""

    def __post_init__(self) -> None:
        for name, value, known in (
            ("id", self.family, FAMILIES),
            ("verdict", self.verdict, VERDICTS),
            *(("layers", layer, LAYERS) for layer in self.layers),
        ):
            if value not in known:
                raise InputError(f"{name} has {value!r}; choose from {', '.join(known)}.")
        if not 0 <= self.certainty <= 1:
            raise InputError(f"certainty is {self.certainty}; give a number in 0..1.")

    @property
    def family(self) -> str:
        """What the id starts with."""
        return self.id.partition(".")[0]

    @property
    def wrong(self) -> bool:
        """Whether it is a fault or a warning."""
        return self.verdict in (FAULT, WARN)

    @property
    def is_cause(self) -> bool:
        """Whether it is a fault or a warning that nothing else explains."""
        return self.wrong and not self.explained_by

    def as_dict(self) -> dict[str, Any]:
        """Everything but the plot, JSON-able: None stands for "there is none"."""
        return {"id": self.id, "family": self.family, "verdict": self.verdict, "title": self.title,
            "evidence": self.evidence, "plain": self.plain or None, "value": _plain(self.value),
            "threshold": _plain(self.threshold), "unit": self.unit,
            "certainty": round(self.certainty, 3), "remedy": {"text": self.remedy.text,
            "plain": self.remedy.plain or None, "action": self.remedy.action or None,
            "value": self.remedy.value}, "gain": _plain(self.gain), "numbers": {name: _plain(value)
            for name, value in self.numbers.items()}, "layers": list(self.layers),
            "places": [{"item": p.item, "name": p.name, "box": list(p.box), "words": p.words}
            for p in self.places], "explained_by": self.explained_by or None}  # fmt: skip


@dataclass(frozen=True, eq=False)
class DiagnosisReport:
    """All findings, the most likely cause first.

    Parameters
    ----------
    findings : tuple of Finding
        Causes, by what their remedy wins back and by certainty; then what they explain, then
        what is in order, then what was not tested.
    items, of : int
        Images looked at, and images there are.
    seconds : float
        Wall-clock time.
    notes : tuple of str
        What was assumed.
    complete : bool
        False if it was cancelled.

    Examples
    --------
    >>> DiagnosisReport((), 0, 0).summary
    'Nothing was tested.'
    """

    findings: tuple[Finding, ...]
    items: int
    of: int
    seconds: float = 0.0
    notes: tuple[str, ...] = ()
    complete: bool = True

    @property
    def first(self) -> Finding | None:
        """The most likely cause, None if nothing is wrong."""
        return next((f for f in self.findings if f.is_cause), None)

    @property
    def faults(self) -> tuple[Finding, ...]:
        """Findings that are faults, causes first."""
        return self._of(FAULT)

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """Findings worth a look."""
        return self._of(WARN)

    @property
    def passed(self) -> tuple[Finding, ...]:
        """Findings that are in order."""
        return self._of(OK)

    @property
    def not_tested(self) -> tuple[Finding, ...]:
        """What could not be tested, and why."""
        return self._of(NOT_TESTED)

    def get(self, finding_id: str) -> Finding | None:
        """Return the (first) finding of an id, None if there is none."""
        return next((f for f in self.findings if f.id == finding_id), None)

    @property
    def summary(self) -> str:
        """One line."""
        first, tested = self.first, len(self.findings) - len(self.not_tested)
        if not tested:
            return "Nothing was tested."
        if first is None:
            return f"Nothing wrong was found in {tested} checks."
        others = len([f for f in self.findings if f.is_cause]) - 1
        more = f" ({others} more to look at)" if others else ""
        likely = "Most likely cause" if first.verdict == FAULT else "Worth a look"
        return f"{likely}: {first.title}{more}."

    def as_dict(self) -> dict[str, Any]:
        """Everything, JSON-able."""
        return {"schema": "napari-hovernet/diagnosis", "schema_version": 1, "summary": self.summary,
                "items": self.items, "of": self.of, "seconds": round(self.seconds, 2),
                "complete": self.complete, "notes": list(self.notes), "findings": [f.as_dict()
            for f in self.findings]}  # fmt: skip

    def _of(self, verdict: str) -> tuple[Finding, ...]:
        return tuple(f for f in self.findings if f.verdict == verdict)


def _plain(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(f"{value:.6g}")
