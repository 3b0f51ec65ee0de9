"""A diagnosis as text for a terminal, and as plain values for JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from textwrap import fill
from typing import Any

from .._version import __version__
from ..core.diagnosis.report import FAULT, NOT_TESTED, OK, DiagnosisReport, Finding, Place
from .diagnose import Diagnosis

WIDTH = 96
"""Characters of a line."""
INDENT = 13
"""Characters in front of what a line is about."""
PLACES = 3
"""Places a finding names."""
NOT_TESTED_PREFIX = "Not tested: "
LAYER_WORDS = {
    "image": "image", "truth": "true nuclei", "instances": "instances", "np": "NP", "hv_x": "HV x",
    "hv_y": "HV y", "magnitude": "magnitude", "target_np": "stored NP",
    "target_hv_x": "stored HV x", "target_hv_y": "stored HV y", "types": "types",
}  # fmt: skip
"""Layers in words."""
SETUP_WORDS = {
    "hv_order": "order of HV", "hv_sign": "sign of HV", "hv_scale": "HV times",
    "target_order": "order of stored HV", "target_sign": "sign of stored HV",
    "target_divisor": "stored HV divided by", "np_channel": "NP channel",
    "np_activation": "NP is", "np_threshold": "NP threshold", "channel_order": "colours",
    "input_factor": "pixels times", "zoom": "zoom", "token_prefix": "tokens before the first patch",
    "separation": "separation", "labels_turn": "labels turned", "labels_shift": "labels moved by",
    "maps_shift": "maps moved by", "type_offset": "added to types",
    "image_order": "images in order",
}  # fmt: skip
"""Fields of the setup in words."""


@dataclass(frozen=True, eq=False)
class Retest:
    """A diagnosis after remedies were applied.

    Parameters
    ----------
    before, after : Diagnosis
    applied : tuple of str
        Ids of the findings whose remedies were.
    """

    before: Diagnosis
    after: Diagnosis
    applied: tuple[str, ...]

    @property
    def changes(self) -> tuple[tuple[Finding, Finding], ...]:
        """Findings before and after, where the verdict is another one."""
        pairs = [(f, self.after.report.get(f.id)) for f in self.before.report.findings]
        return tuple((a, b) for a, b in pairs if b is not None and a.verdict != b.verdict)


def as_text(report: DiagnosisReport) -> str:
    """Return a report as text: causes first, each with evidence and remedy.

    Examples
    --------
    >>> print(as_text(DiagnosisReport((), 0, 0)).splitlines()[0])
    Nothing was tested.
    """
    causes = [f for f in report.findings if f.is_cause]
    lines = [report.summary, _about(report), ""]
    for number, finding in enumerate(causes, 1):
        lines += [*_cause(number, finding), ""]
    explained = [f for f in report.findings if f.explained_by]
    if explained:
        lines += ["Comes of it", *(_explained(f) for f in explained), ""]
    if report.passed:
        lines += [_wrapped(f"In order ({len(report.passed)}): ", _titles(report.passed)), ""]
    if report.not_tested:
        lines.append(f"Not tested ({len(report.not_tested)})")
        lines += [_wrapped(f"   {why}: ", _titles(group)) for why, group in untested(report)]
        lines.append("")
    lines += [_wrapped("Note: ", note) for note in report.notes]
    return "\n".join(lines).rstrip()


def retest_text(retest: Retest) -> str:
    """Return what applying remedies changed."""
    setup = ", ".join(setup_words(retest.after.case.setup.changes))
    lines = [_wrapped("Applied: ", f"{', '.join(retest.applied)} ({setup})")]
    width = max((len(a.id) for a, _ in retest.changes), default=0)
    for before, after in retest.changes:
        lines.append(_wrapped(
            f"   {before.id:<{width}}  ", f"{before.verdict} -> {after.verdict}: {after.evidence}"
        ))  # fmt: skip
    if not retest.changes:
        lines.append("   No verdict has changed.")
    return "\n".join(lines)


def setup_words(changes: Mapping[str, Any]) -> tuple[str, ...]:
    """Say in words how things are read that are not read as they claim.

    Examples
    --------
    >>> setup_words({"target_order": "vh", "separation": {"preset": "local"}})
    ('order of stored HV vh', 'separation preset local')
    """
    return tuple(f"{SETUP_WORDS.get(name, name)} {_value(v)}" for name, v in changes.items())


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{k} {_value(v)}" for k, v in value.items())
    if isinstance(value, (tuple, list)):
        return ", ".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def untested(report: DiagnosisReport) -> tuple[tuple[str, tuple[Finding, ...]], ...]:
    """Group what was not tested by what it lacks, the most frequent first."""
    groups: dict[str, list[Finding]] = {}
    for finding in report.not_tested:
        why = finding.evidence.removeprefix(NOT_TESTED_PREFIX).strip().rstrip(".")
        groups.setdefault(why, []).append(finding)
    ordered = sorted(groups.items(), key=lambda item: -len(item[1]))
    return tuple((why, tuple(found)) for why, found in ordered)


def number_words(finding: Finding) -> str:
    """Say the number that decided, and its bound; "" without one.

    Examples
    --------
    >>> number_words(Finding("data.coverage", FAULT, "a", "b", 0.86, 0.5, "share"))
    '0.86 share (bound 0.5)'
    """
    if not math.isfinite(finding.value):
        return ""
    unit = f" {finding.unit}" if finding.unit else ""
    bound = f" (bound {finding.threshold:.3g})" if math.isfinite(finding.threshold) else ""
    return f"{finding.value:.3g}{unit}{bound}"


def place_words(place: Place) -> str:
    """Say where a place is.

    Examples
    --------
    >>> place_words(Place(0, "a", (0, 9, 5, 8)))
    'a, rows 0 to 9, columns 5 to 8'
    """
    r0, r1, c0, c1 = place.box
    words = f": {place.words}" if place.words else ""
    return f"{place.name}, rows {r0} to {r1}, columns {c0} to {c1}{words}"


def _about(report: DiagnosisReport) -> str:
    some = f"{report.items} of {report.of} images" if report.of else "no images"
    stopped = "" if report.complete else "; stopped before the end"
    return f"{some}, {len(report.findings)} findings, {report.seconds:.1f} s{stopped}"


def _cause(number: int, finding: Finding) -> Iterator[str]:
    head = f"{number}. {finding.verdict.upper():<6} {finding.title}"
    sure = f"{finding.id}, {finding.certainty:.0%} sure"
    yield f"{head}{sure:>{max(WIDTH - len(head), len(sure) + 3)}}"
    yield _line("evidence", finding.evidence)
    if words := number_words(finding):
        yield _line("number", words)
    if finding.remedy.text:
        apply = f" (--apply {finding.id})" if finding.remedy.action else ""
        yield _line("remedy", f"{finding.remedy.text}{apply}")
    if finding.places or finding.layers:
        yield _line("look at", _look(finding))


def _look(finding: Finding) -> str:
    layers = ", ".join(LAYER_WORDS[name] for name in finding.layers)
    places = "; ".join(place_words(place) for place in finding.places[:PLACES])
    return " in ".join(part for part in (layers, places) if part)


def _line(title: str, text: str) -> str:
    return _wrapped(f"   {title}".ljust(INDENT), text)


def _wrapped(start: str, text: str) -> str:
    indent = " " * min(len(start), INDENT)
    if len(start) <= WIDTH // 2:
        return fill(text, WIDTH, initial_indent=start, subsequent_indent=indent)
    first = start[: len(start) - len(start.lstrip())]
    return fill(start.lstrip() + text, WIDTH, initial_indent=first, subsequent_indent=indent)


def _explained(finding: Finding) -> str:
    text = f"{finding.title} ({finding.id}, from {finding.explained_by}): {finding.evidence}"
    return _wrapped("   ", text)


def _titles(findings: Sequence[Finding]) -> str:
    return ", ".join(f.id for f in findings)


def as_json(diagnosis: Diagnosis, retest: Retest | None = None) -> dict[str, Any]:
    """Return a diagnosis as plain values; after remedies also what was before.

    Examples
    --------
    >>> as_json(diagnosis)["schema"]  # doctest: +SKIP
    'napari-hovernet/diagnosis'
    """
    found = diagnosis.report.as_dict()
    about = {
        "program": "napari-hovernet",
        "version": __version__,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "setup": json.loads(json.dumps(diagnosis.case.setup.changes, default=str)),
        "verdicts": {v: len([f for f in diagnosis.report.findings if f.verdict == v])
                     for v in (FAULT, "warn", OK, NOT_TESTED)},
    }  # fmt: skip
    if retest is not None:
        about["applied"] = list(retest.applied)
        about["before"] = retest.before.report.as_dict()
    return {**found, **about}
