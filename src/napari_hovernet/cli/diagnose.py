"""``napari-hovernet diagnose``: whatever is given in, the most likely cause out."""

from __future__ import annotations

import json
import math
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..app.diagnose import (
    DiagnoseChoice,
    Diagnosis,
    Own,
    Retest,
    diagnosis_steps,
    open_steps,
    retest_steps,
    unfinished,
)
from ..app.diagnose_words import as_json, as_text, retest_text
from ..app.jobs import drive
from ..app.own_code import import_named, is_code
from ..core.diagnosis.bench import Bench
from ..core.diagnosis.engine import Found
from ..core.diagnosis.report import FAMILIES, FAULT, WARN, Finding
from ..core.io.files import write_whole
from ..core.types import Progress
from ..errors import InputError, OutputError
from .console import STDOUT, ProgressBar, complain, introduction, one_line, say

NO_FAULT, A_FAULT, INTERRUPTED = 0, 1, 130
FIRST = "first"
"""``--apply first``: the remedy of the most likely cause."""


def run(options: Namespace) -> int:
    """Diagnose; 0 if no fault was found, 1 if one was."""
    _refuse_to_replace(options)
    if options.story:
        return _story(options)
    choice, own = _choice(options)
    params = replace(choice.params, families=_families(options.only))
    with ProgressBar("diagnose", quiet=options.quiet, unit="check") as bar:
        case = drive(open_steps(choice, own), bar)
    if case.predictor is not None and case.predictor.model is not None and not options.quiet:
        complain(introduction(case.predictor.model))
    bench = Bench(case, params)
    diagnosis, retest = _diagnosed(bench, options)
    _give(diagnosis, retest, options)
    if not diagnosis.report.complete:
        return INTERRUPTED
    return A_FAULT if diagnosis.report.faults else NO_FAULT


def _choice(options: Namespace) -> tuple[DiagnoseChoice, Own]:
    """Return what is named, with code of the user's own imported."""
    names = ("model", "separation", "augmentation", "loss")
    given = {name: getattr(options, name) for name in names}
    own = {name: import_named(text) for name, text in given.items() if is_code(text)}
    named = {name: text for name, text in given.items() if name not in own}
    more = {n: getattr(options, n) for n in ("data", "family", "split", "n_samples", "device")}
    choice = DiagnoseChoice(**more, convention=options.hv_convention, **named)
    if not own and not any((choice.data, *named.values())):
        raise InputError(
            "There is nothing to diagnose; give --data, --model, --separation, --loss or "
            "--augmentation (or --story). --help shows examples."
        )
    return choice, Own(**own)


def _families(only: str) -> tuple[str, ...]:
    wanted = tuple(name.strip() for name in only.split(",") if name.strip())
    unknown = [name for name in wanted if name not in FAMILIES]
    if unknown:
        raise InputError(f"--only has {', '.join(unknown)}; choose from {', '.join(FAMILIES)}.")
    return wanted


# --- running --------------------------------------------------------------------------------


class _Teller:
    """Shows progress, and each finding as it comes; keeps what was found last."""

    def __init__(self, bar: ProgressBar) -> None:
        self.findings: tuple[Finding, ...] = ()
        self._bar = bar
        self._told: set[str] = set()

    def __call__(self, step: Progress) -> None:
        if isinstance(step, Found):
            self.findings = step.findings
            for finding in step.findings:
                if finding.verdict in (FAULT, WARN) and finding.id not in self._told:
                    self._told.add(finding.id)
                    self._bar.tell(f"{finding.verdict}: {finding.title}: {finding.evidence}")
        self._bar(step)


def _diagnosed(bench: Bench, options: Namespace) -> tuple[Diagnosis, Retest | None]:
    """Run the checks, and again with remedies; Ctrl-C ends it with what there is by then."""
    with ProgressBar("diagnose", quiet=options.quiet, unit="check") as bar:
        teller = _Teller(bar)
        try:
            diagnosis = drive(diagnosis_steps(bench.case, bench=bench), teller)
        except KeyboardInterrupt:
            return unfinished(bench, teller.findings), None
        if not options.apply:
            return diagnosis, None
        findings = _to_apply(diagnosis, options.apply)
        if not findings:
            return diagnosis, None
        try:
            after = drive(retest_steps(diagnosis, *findings), bar)
        except KeyboardInterrupt:
            return unfinished(bench, teller.findings), None
    return after, Retest(diagnosis, after, tuple(f.id for f in findings))


def _to_apply(diagnosis: Diagnosis, ids: Sequence[str]) -> list[Finding]:
    """Return the findings whose remedies are to be applied; refuse what has none."""
    report = diagnosis.report
    able = [f.id for f in report.findings if f.remedy.action and f.verdict in (FAULT, WARN)]
    chosen: list[Finding] = []
    for name in ids:
        finding = report.first if name == FIRST else report.get(name)
        if finding is None and name == FIRST:
            continue
        if finding is None or not finding.remedy.action:
            what = "there is no such finding" if finding is None else (
                f"its remedy has to be done outside of the program ({finding.remedy.text})"
                if finding.remedy.text else f"it is {finding.verdict}")  # fmt: skip
            can = ", ".join(able) or "none"
            raise InputError(f"--apply {name}: {what}. Remedies that can be applied: {can}.")
        chosen.append(finding)
    return chosen


# --- output ---------------------------------------------------------------------------------


def _refuse_to_replace(options: Namespace) -> None:
    """Refuse to replace earlier files before any work is begun."""
    files = [options.report] if options.report is not None else []
    if options.json not in (None, STDOUT):
        files.append(Path(options.json))
    for file in files:
        if file.exists() and not options.overwrite:
            raise OutputError(f"{file} is there already; give --overwrite, or another name.")
        if not file.parent.is_dir():
            raise OutputError(f"The folder {file.parent} is not there; create it first.")


def _give(diagnosis: Diagnosis, retest: Retest | None, options: Namespace) -> None:
    """Print and write what was asked for."""
    _give_json(options, lambda: as_json(diagnosis, retest))
    if options.json != STDOUT:
        how = {"whole": options.all, "plain": options.plain}
        if retest is not None:
            say(as_text(retest.before.report, **how))
            say(f"\n{retest_text(retest)}\n")
        say(as_text(diagnosis.report, **how))
    if options.report is not None:
        from ..app.diagnose_page import write_html  # noqa: PLC0415 - jinja2 on first use

        write_html(options.report, diagnosis, retest)
        if not options.quiet:
            complain(f"written: {options.report}")


def _give_json(options: Namespace, make: Any) -> None:
    if options.json is None:
        return
    text = json.dumps(make(), indent=2, allow_nan=False)
    if options.json == STDOUT:
        say(text)
        return
    write_whole(options.json, text + "\n")
    if not options.quiet:
        complain(f"written: {options.json}")


def _story(options: Namespace) -> int:
    """Test the numbers of the story; 1 if one does not hold."""
    from ..core.diagnosis.story import story_rows, story_text  # noqa: PLC0415 - on first use

    rows = story_rows()
    held = all(row.holds for row in rows)
    _give_json(options, lambda: {"holds": held, "rows": [_row_dict(row) for row in rows]})
    if options.json != STDOUT:
        say(story_text(rows))
    for row in rows:
        if not row.holds:
            complain(f"does not hold: {one_line(Exception(row.claim))}")
    return NO_FAULT if held else A_FAULT


def _row_dict(row: Any) -> dict[str, Any]:
    plain = {k: v if math.isfinite(v) else str(v) for k, v in row.measured.items()}
    told = {name: getattr(row, name) for name in ("claim", "expected", "holds", "words")}
    return {**told, "measured": plain}
