"""Put findings in order: what explains the others comes first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from .report import FAULT, OK, VERDICTS, WARN, Finding

EXPLAINS: Mapping[str, tuple[str, ...]] = {}
"""By the id of a cause: findings that it brings about, and that are then no causes of their own.

``*`` at the end stands for any ending.
"""


def rank(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Sort findings: causes by certainty, then what they explain, then the rest.

    Parameters
    ----------
    findings : sequence of Finding
        In the order in which they were made.

    Returns
    -------
    tuple of Finding
        The same, with ``explained_by`` set where a cause explains another finding.

    Examples
    --------
    >>> a = Finding("data.empty", OK, "Empty images", "none")
    >>> b = Finding("data.coverage", FAULT, "Coverage", "86 %", certainty=0.9)
    >>> [f.id for f in rank([a, b])]
    ['data.coverage', 'data.empty']
    """
    causes = [f.id for f in findings if f.verdict == FAULT]
    told = [replace(f, explained_by=_cause_of(f, causes)) for f in findings]
    return tuple(sorted(told, key=_place))


def _cause_of(finding: Finding, causes: Sequence[str]) -> str:
    """Return the id of a fault that brings this finding about, "" if there is none."""
    if finding.verdict not in (FAULT, WARN):
        return ""
    for cause in causes:
        if cause != finding.id and _explains(cause, finding.id):
            mutual = finding.verdict == FAULT and _explains(finding.id, cause)
            if not mutual:
                return cause
    return ""


def _explains(cause: str, symptom: str) -> bool:
    return any(
        symptom.startswith(s[:-1]) if s.endswith("*") else s == symptom
        for s in EXPLAINS.get(cause, ())
    )


def _place(finding: Finding) -> tuple[int, int, float]:
    urgent = VERDICTS.index(finding.verdict)
    explained = int(bool(finding.explained_by))
    group = 0 if finding.verdict in (FAULT, WARN) else VERDICTS.index(OK)
    return (max(group, explained), urgent, -finding.certainty)
