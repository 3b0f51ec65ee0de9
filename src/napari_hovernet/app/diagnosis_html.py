"""A diagnosis as one HTML file that needs nothing else."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from .._version import __version__
from ..core.diagnosis.report import FAULT, Finding
from ..core.io.files import atomic_path
from .diagnose import Diagnosis
from .diagnosis_pictures import BOX, INSTANCES, TRUTH, Shown, pictures_of
from .diagnosis_svg import gauge, svg_of_plot
from .diagnosis_text import (
    Retest,
    number_words,
    place_words,
    setup_words,
    untested,
)
from .figures import DIVERGING

TEMPLATE = "diagnosis.html"
FIRST_PLACES, MORE_PLACES = 3, 1
"""Places drawn of the first cause, and of each other one."""
FAMILY_WORDS = {
    "data": "Data", "model": "Model", "separation": "Separation", "loss": "Loss",
    "augmentation": "Augmentation",
}  # fmt: skip
HASH_SHOWN = 12


def write_html(
    path: str | os.PathLike[str], diagnosis: Diagnosis, retest: Retest | None = None
) -> None:
    """Write the report; a file of that name is replaced.

    Raises
    ------
    OutputError
        If it cannot be written; nothing is left of it.
    """
    text = render_html(diagnosis, retest)
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def render_html(diagnosis: Diagnosis, retest: Retest | None = None) -> str:
    """Return the report.

    Parameters
    ----------
    diagnosis : Diagnosis
        The last one.
    retest : Retest, optional
        Where remedies were applied; its findings from before are then what is shown first.

    Returns
    -------
    str
        HTML with its styles and pictures inside; it runs no script and loads nothing.

    Examples
    --------
    >>> render_html(diagnosis).startswith("<!doctype html>")  # doctest: +SKIP
    True
    """
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(place=place_words, number=number_words, rgb=_rgb)
    source = files(__package__).joinpath("templates", TEMPLATE).read_text(encoding="utf-8")
    return environment.from_string(source).render(_context(diagnosis, retest))


def _context(diagnosis: Diagnosis, retest: Retest | None) -> dict[str, Any]:
    told = diagnosis if retest is None else retest.before
    report = told.report
    causes = [f for f in report.findings if f.is_cause]
    return {
        "report": report,
        "first": _card(told, causes[0], FIRST_PLACES) if causes else None,
        "others": [_card(told, f, MORE_PLACES) for f in causes[1:]],
        "explained": [f for f in report.findings if f.explained_by],
        "passed": _by_family(report.passed),
        "untested": untested(report),
        "family_words": FAMILY_WORDS,
        "retest": _retest(retest),
        "facts": _facts(told),
        "setup": setup_words(told.case.setup.changes),
        "failures": _failures(told),
        "how": _how(told),
        "truth": TRUTH,
        "instances": INSTANCES,
        "box": BOX,
        "diverging": [_rgb(colour) for colour in DIVERGING],
        "made": datetime.now().astimezone().strftime("%Y-%m-%d %H:%M"),
        "version": __version__,
    }


def _card(diagnosis: Diagnosis, finding: Finding, places: int) -> dict[str, Any]:
    """Return what is shown of a cause."""
    shown = pictures_of(diagnosis.bench, finding, places, network=diagnosis.report.complete)
    plot = finding.plot
    names = [] if plot is None or plot.kind == "matrix" else [name for name, _ in plot.series]
    return {
        "finding": finding,
        "gauge": Markup(gauge(finding)),
        "plot": Markup("" if plot is None else svg_of_plot(plot)),
        "series": names if len(names) > 1 else [],
        "numbers": [(name, f"{value:.4g}") for name, value in finding.numbers.items()],
        "shown": [_shown(one) for one in shown],
        "untold": len(finding.places) - len(shown),
    }


def _shown(shown: Shown) -> dict[str, Any]:
    return {
        "place": shown.place,
        "panels": [(panel.title, _data(panel.png)) for panel in shown.panels],
    }


def _by_family(findings: Sequence[Finding]) -> list[tuple[str, list[Finding]]]:
    return [
        (words, found)
        for family, words in FAMILY_WORDS.items()
        if (found := [f for f in findings if f.family == family])
    ]


def _retest(retest: Retest | None) -> dict[str, Any] | None:
    if retest is None:
        return None
    after = retest.after.report
    return {
        "applied": [(f, retest.before.report.get(f)) for f in retest.applied],
        "setup": setup_words(retest.after.case.setup.changes),
        "changes": retest.changes,
        "left": [f for f in after.findings if f.is_cause],
        "good": not any(f.verdict == FAULT for f in after.findings),
        "report": after,
    }


def _facts(diagnosis: Diagnosis) -> list[str]:
    """Say in a few words what was tested."""
    case, report = diagnosis.case, diagnosis.report
    facts = []
    if report.of:
        some = "" if report.items == report.of else f"{report.items} of "
        facts.append(f"{some}{report.of} image{'' if report.of == 1 else 's'}")
    if case.predictor is not None:
        facts.append(f"model {case.predictor.name}{_hash(case.predictor.model)}")
    elif case.model_error:
        facts.append("model refused")
    if case.separator is not None:
        facts.append(f"separation {case.separator.name}")
    facts.append(f"{report.seconds:.1f} s")
    return facts


def _hash(model: Any) -> str:
    known = "" if model is None else model.info.sha256
    return f" (SHA-256 {known[:HASH_SHOWN]})" if known else ""


def _failures(diagnosis: Diagnosis) -> list[tuple[str, str]]:
    items = diagnosis.case.items
    names: Sequence[str] = () if items is None else items.names
    return [(names[i], text) for i, text in sorted(diagnosis.bench.failures.items())]


def _how(diagnosis: Diagnosis) -> dict[str, Any]:
    params: Mapping[str, Any] = asdict(diagnosis.params)
    return {name: value for name, value in params.items() if value not in ((), None)}


def _data(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")


def _rgb(colour: Sequence[int]) -> str:
    return f"rgb({', '.join(str(part) for part in colour)})"
