"""What a diagnosis says: findings with their evidence, and what to do about each."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ...errors import InputError

FAULT, WARN, OK, NOT_TESTED = "fault", "warn", "ok", "not tested"
VERDICTS = (FAULT, WARN, OK, NOT_TESTED)
"""Verdicts, the most urgent first."""
FAMILIES = ("data", "model", "separation", "loss", "augmentation")
"""Families of checks, in the order in which they run."""
LAYERS = (
    "image", "truth", "instances", "np", "hv_x", "hv_y", "magnitude",
    "target_np", "target_hv_x", "target_hv_y", "types",
)  # fmt: skip
"""What can be looked at in one image."""
PLOTS = ("bars", "histogram", "lines", "matrix")

ACTIONS = (
    "hv_order", "hv_sign", "hv_scale", "target_order", "target_sign", "target_divisor",
    "np_channel", "np_activation", "np_threshold", "channel_order", "input_factor", "zoom",
    "token_prefix", "separation", "labels_turn", "labels_shift", "maps_shift", "type_offset",
    "image_order",
)  # fmt: skip
"""Fields of :class:`.setup.Setup` that a remedy can set."""


@dataclass(frozen=True)
class Place:
    """Where an example of a finding is.

    Parameters
    ----------
    item : int
        Which image, its number in the case.
    name : str
        Of that image.
    box : tuple of int
        r0, r1, c0, c1, half-open, pixels of that image.
    words : str
        What is to be seen there, "" = as the finding says.
    """

    item: int
    name: str
    box: tuple[int, int, int, int]
    words: str = ""


@dataclass(frozen=True, eq=False)
class Plot:
    """A small figure.

    Parameters
    ----------
    kind : {"bars", "histogram", "lines", "matrix"}
    title : str
    x : tuple
        Names of bars or columns, edges of bins (one more than values), or positions.
    series : tuple of (str, tuple of float)
        Name and values; rows of a matrix.
    x_label, y_label : str
        With units.
    line : float, optional
        The threshold, drawn across the values.
    on_x : bool
        Of lines: whether the threshold is one of the positions, not of the values. That of a
        histogram always is.
    """

    kind: str
    title: str
    x: tuple[Any, ...]
    series: tuple[tuple[str, tuple[float, ...]], ...]
    x_label: str = ""
    y_label: str = ""
    line: float | None = None
    on_x: bool = False

    @property
    def upright(self) -> bool:
        """Whether the threshold belongs to the horizontal axis (of bars drawn upwards)."""
        return self.kind == "histogram" or (self.kind == "lines" and self.on_x)

    def __post_init__(self) -> None:
        if self.kind not in PLOTS:
            raise InputError(f"kind is {self.kind!r}; choose one of {', '.join(PLOTS)}.")


@dataclass(frozen=True)
class Remedy:
    """What to do.

    Parameters
    ----------
    text : str
        One or two sentences, imperative.
    action : str
        Field of :class:`.setup.Setup` that mends it here and now, "" = none.
    value : object
        What to set it to, JSON-able.
    """

    text: str
    action: str = ""
    value: Any = None

    def __post_init__(self) -> None:
        if self.action and self.action not in ACTIONS:
            raise InputError(f"action is {self.action!r}; choose one of {', '.join(ACTIONS)}.")


NO_REMEDY = Remedy("")


@dataclass(frozen=True, eq=False)
class Finding:
    """What one check found.

    Parameters
    ----------
    id : str
        ``family.name``, "data.coverage".
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
        How sure it is that this is a cause (fault, warn), 0..1; 0 for "ok".
    remedy : Remedy
    numbers : mapping of str to float
        More of what was measured, by what it is.
    layers : tuple of str
        What to look at, of :data:`LAYERS`.
    places : tuple of Place
        Examples, the worst first.
    plot : Plot, optional
    explained_by : str
        Id of a finding of which this one is likely to be but a consequence.

    Examples
    --------
    >>> Finding("data.empty", OK, "Empty images", "none of 3 is empty").family
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

    def __post_init__(self) -> None:
        if self.family not in FAMILIES:
            raise InputError(f"id is {self.id!r}; it starts with one of {', '.join(FAMILIES)}.")
        if self.verdict not in VERDICTS:
            raise InputError(f"verdict is {self.verdict!r}; choose one of {', '.join(VERDICTS)}.")
        if not 0 <= self.certainty <= 1:
            raise InputError(f"certainty is {self.certainty}; give a number in 0..1.")
        if self.verdict in (OK, NOT_TESTED) and self.certainty:
            raise InputError(f"{self.id} is {self.verdict}, so its certainty is 0.")
        unknown = set(self.layers) - set(LAYERS)
        if unknown:
            raise InputError(f"layers has {', '.join(sorted(unknown))}; known: {LAYERS}.")

    @property
    def family(self) -> str:
        """What the id starts with."""
        return self.id.partition(".")[0]

    @property
    def is_cause(self) -> bool:
        """Whether it is a fault or a warning that nothing else explains."""
        return self.verdict in (FAULT, WARN) and not self.explained_by

    def as_dict(self) -> dict[str, Any]:
        """Everything but the plot, JSON-able: None stands for "there is none"."""
        return {
            "id": self.id,
            "family": self.family,
            "verdict": self.verdict,
            "title": self.title,
            "evidence": self.evidence,
            "value": _plain(self.value),
            "threshold": _plain(self.threshold),
            "unit": self.unit,
            "certainty": round(self.certainty, 3),
            "remedy": {
                "text": self.remedy.text,
                "action": self.remedy.action or None,
                "value": self.remedy.value,
            },
            "numbers": {name: _plain(value) for name, value in self.numbers.items()},
            "layers": list(self.layers),
            "places": [
                {"item": p.item, "name": p.name, "box": list(p.box), "words": p.words}
                for p in self.places
            ],
            "explained_by": self.explained_by or None,
        }


@dataclass(frozen=True, eq=False)
class DiagnosisReport:
    """All findings, the most likely cause first.

    Parameters
    ----------
    findings : tuple of Finding
        Causes by certainty, then what they explain, then what is in order, then what was
        not tested.
    items : int
        Images looked at.
    of : int
        Images there are.
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
        return {
            "schema": "napari-hovernet/diagnosis",
            "schema_version": 1,
            "summary": self.summary,
            "items": self.items,
            "of": self.of,
            "seconds": round(self.seconds, 2),
            "complete": self.complete,
            "notes": list(self.notes),
            "findings": [f.as_dict() for f in self.findings],
        }

    def _of(self, verdict: str) -> tuple[Finding, ...]:
        return tuple(f for f in self.findings if f.verdict == verdict)


def _plain(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(f"{value:.6g}")
