"""A diagnosis in words, for a terminal and for the viewer, and as plain values for JSON.

Two readers: who reads the code (evidence, with its numbers), and who sits at the microscope
(``plain``: what it means, what to do).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from textwrap import fill
from typing import Any

from .._version import __version__
from ..core.choices import choices
from ..core.diagnosis.case import Setup
from ..core.diagnosis.report import VERDICTS, DiagnosisReport, Finding, Place
from .diagnose import Diagnosis, Retest

WIDTH, INDENT = 96, 13
"""Characters of a line, and in front of what a line is about."""
PLACES = 3
"""Places a finding names."""
LAYER_WORDS = {
    "image": "image", "truth": "true nuclei", "instances": "instances", "np": "NP", "hv_x": "HV x",
    "hv_y": "HV y", "magnitude": "magnitude", "target_np": "stored NP",
    "target_hv_x": "stored HV x", "target_hv_y": "stored HV y", "types": "types",
}  # fmt: skip


def sentence(finding: Finding, *, plain: bool = False) -> str:
    """Say what was found; ``plain``: to who looks at the picture."""
    return finding.plain or f"{finding.title}." if plain else finding.evidence


def what_to_do(finding: Finding, *, plain: bool = False) -> str:
    """Say what to do about it, "" where nothing is said."""
    return (plain and finding.remedy.plain) or finding.remedy.text


def gain_words(finding: Finding) -> str:
    """Say what the remedy won when it was tried, "" where it was not."""
    tried = [finding.numbers.get(f"AJI {n}") for n in ("as it is", "with the remedy")]
    if any(v is None for v in tried) or math.isnan(finding.gain):
        return ""
    return f"Tried: AJI {tried[0]:.2f} -> {tried[1]:.2f}."


def number_words(finding: Finding) -> str:
    """Say the number that decided, and its bound; "" without one."""
    if not math.isfinite(finding.value):
        return ""
    unit = f" {finding.unit}" if finding.unit else ""
    bound = f" (bound {finding.threshold:.3g})" if math.isfinite(finding.threshold) else ""
    return f"{finding.value:.3g}{unit}{bound}"


def place_words(place: Place) -> str:
    """Say where a place is."""
    r0, r1, c0, c1 = place.box
    words = f": {place.words}" if place.words else ""
    return f"{place.name}, rows {r0} to {r1}, columns {c0} to {c1}{words}"


def setup_words(changes: Mapping[str, Any]) -> tuple[str, ...]:
    """Say how things are read that are not read as they claim."""
    titles = {name: known.title for name, known in choices(Setup).items()}
    return tuple(
        f"{titles.get(name, name.replace('_', ' '))}: {_value(value)}"
        for name, value in changes.items()
    )


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
        why = finding.evidence.removeprefix("Not tested: ").strip().rstrip(".")
        groups.setdefault(why, []).append(finding)
    return tuple((w, tuple(f)) for w, f in sorted(groups.items(), key=lambda item: -len(item[1])))


def as_text(report: DiagnosisReport, *, whole: bool = False, plain: bool = False) -> str:
    """Write a report: the first cause, what to do, the others in a line each; or all of it."""
    causes = [f for f in report.findings if f.is_cause]
    told = causes if whole else causes[:1]
    lines = [report.summary, _about(report), ""]
    for number, finding in enumerate(told, 1):
        lines += [*_cause(number, finding, whole, plain), ""]
    rest = causes[len(told) :]
    if rest:
        lines += ["Also worth a look", *(_in_a_line(f) for f in rest), ""]
    if whole:
        lines += _all_of(report)
    else:
        n = len(report.passed), len(report.not_tested)
        lines += [f"{n[0]} checks in order, {n[1]} not made; --all lists them.", ""]
    lines += [_wrapped("Note: ", note) for note in report.notes]
    return "\n".join(lines).rstrip()


def _about(report: DiagnosisReport) -> str:
    some = f"{report.items} of {report.of} images" if report.of else "no images"
    stopped = "" if report.complete else "; stopped before the end"
    return f"{some}, {report.seconds:.1f} s{stopped}"


def _cause(number: int, finding: Finding, whole: bool, plain: bool) -> Iterator[str]:
    head = f"{number}. {finding.verdict.upper():<6} {finding.title}"
    sure = f"{finding.id}, {finding.certainty:.0%} sure"
    yield f"{head}{sure:>{max(WIDTH - len(head), len(sure) + 3)}}"
    if plain and finding.plain:
        yield _line("means", finding.plain)
    if not plain or whole:
        yield _line("evidence", finding.evidence)
    if words := number_words(finding):
        yield _line("number", words)
    if text := what_to_do(finding, plain=plain):
        apply = f" (--apply {finding.id})" if finding.remedy.action else ""
        yield _line("remedy", f"{text}{apply} {gain_words(finding)}".rstrip())
    look = ", ".join(LAYER_WORDS[name] for name in finding.layers)
    places = "; ".join(place_words(p) for p in finding.places[: PLACES if whole else 1])
    if look or places:
        yield _line("look at", " in ".join(part for part in (look, places) if part))


def _in_a_line(finding: Finding) -> str:
    return _wrapped("   ", f"{finding.title} ({finding.id}, {finding.certainty:.0%} sure)")


def _all_of(report: DiagnosisReport) -> Iterator[str]:
    explained = [f for f in report.findings if f.explained_by]
    if explained:
        yield "Comes of it"
        for f in explained:
            yield _wrapped("   ", f"{f.title} ({f.id}, from {f.explained_by}): {f.evidence}")
        yield ""
    if report.passed:
        yield f"In order ({len(report.passed)})"
        yield from (_wrapped("   ", f"{f.id}: {f.evidence}") for f in report.passed)
        yield ""
    if report.not_tested:
        yield f"Not tested ({len(report.not_tested)})"
        for why, group in untested(report):
            yield _wrapped(f"   {why}: ", ", ".join(f.id for f in group))
        yield ""


def _line(title: str, text: str) -> str:
    return _wrapped(f"   {title}".ljust(INDENT), text)


def _wrapped(start: str, text: str) -> str:
    indent = " " * min(len(start), INDENT)
    if len(start) <= WIDTH // 2:
        return fill(text, WIDTH, initial_indent=start, subsequent_indent=indent)
    first = start[: len(start) - len(start.lstrip())]
    return fill(start.lstrip() + text, WIDTH, initial_indent=first, subsequent_indent=indent)


def retest_text(retest: Retest) -> str:
    """Say what applying remedies changed."""
    setup = ", ".join(setup_words(retest.after.case.setup.changes))
    lines = [_wrapped("Applied: ", f"{', '.join(retest.applied)} ({setup})")]
    before, after = (d.bench.score() for d in (retest.before, retest.after))
    if math.isfinite(before + after):
        lines.append(f"   AJI {before:.2f} -> {after:.2f}")
    for a, b in retest.changes:
        lines.append(_wrapped(f"   {a.id}: ", f"{a.verdict} -> {b.verdict}: {b.evidence}"))
    return "\n".join(lines if retest.changes else [*lines, "   No verdict has changed."])


def as_json(diagnosis: Diagnosis, retest: Retest | None = None) -> dict[str, Any]:
    """Return a diagnosis as plain values; after remedies also what was before."""
    report = diagnosis.report
    about = {
        "program": "napari-hovernet",
        "version": __version__,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "setup": json.loads(json.dumps(diagnosis.case.setup.changes, default=str)),
        "verdicts": {v: len([f for f in report.findings if f.verdict == v]) for v in VERDICTS},
    }
    if retest is not None:
        about["applied"] = list(retest.applied)
        about["before"] = retest.before.report.as_dict()
    return {**report.as_dict(), **about}
