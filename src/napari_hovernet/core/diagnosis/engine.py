"""Run all checks on a case, step by step; try the remedies; put the causes in order.

A check is a generator over a :class:`.bench.Bench`, declared by :func:`check`. It measures once
and yields :func:`ok`, :func:`warn` or :func:`fault` with one sentence; between pieces of long
work it yields :class:`Progress`, where a diagnosis can be cancelled. Its bounds stand in it, each
with the reason for its value. What it explains, what it needs and what it costs stand in its
declaration; there is no other table.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from importlib import import_module
from typing import Any

from numpy import asarray, unique  # not np: an argument has that name

from ...errors import CheckpointError, InputError, UserError
from ..data.items import dataset_of_arrays
from ..data.stores import MAPS, TARGETS
from ..types import Progress, driven
from .bench import Bench, DiagnosisParams
from .case import Case, Predictor, Separator, Setup
from .report import FAULT, NOT_TESTED, OK, VERDICTS, WARN, DiagnosisReport, Finding, Remedy

MODULES = ("data", "copies", "placement", "labels", "targets", "maps", "maps_hv", "model",
           "inputs", "layers", "separation", "loss", "augmentation")  # fmt: skip
"""Modules beside this one that declare checks, the quickest first."""
PHRASES = {"image": "images", "labels": "true labels", "types": "types", "features": "tokens",
           "maps": "NP and HV maps (or a model and images)", "targets": "stored targets (hv, np)",
           "model": "a model", "separation": "a separation", "loss": "a loss",
           "augmentation": "an augmentation",
           "held_out": "images of the other side of the split"}  # fmt: skip
"""How what is needed is called in "not tested: give ..."."""
BETTER = 0.02
"""AJI that a remedy must win back to be worth offering: twice what another choice of what-if
images changes."""
UNSCORED = frozenset({"target_order", "target_sign", "target_divisor", "type_offset",
                      "types_background"})  # fmt: skip
"""Fields of the setup that change no nucleus, so that no score tells whether they help."""
AGAIN_S = 25.0
"""CPU seconds of the first look from which on there is no second one: both end within a minute."""
NO_EXCUSE = frozenset({"data.labels", "data.coverage", "data.complete", "data.place",
                       "data.targets", "model.np"})  # fmt: skip
"""Causes that lie in labels, or in the values of NP: they explain nothing that shapes in NP tell,
too. And the AJI by which the remedy of a symptom may win back more than that of its cause:"""
MORE = 0.1
DOUBTED, LOST = 0.6, 0.1
"""Most that is said of a cause whose remedy, tried, costs as much (of three, one was right), or, if
it is the only one, leaves an AJI below that."""
WHAT_IFS = ("model.input", "model.mpp")
"""Causes that were found by trying what mends them, within the network."""
ALONE = 0.5
"""Most that a warning may be sure of which rests on agreement of the data with itself alone."""

Steps = Generator["Progress | Verdict", None, Any]
"""What a check gives, step by step; it may return the last (or only) verdict."""


@dataclass(frozen=True, eq=False)
class Verdict:
    """What a check says; the engine adds its id and title and makes a :class:`Finding` of it."""

    verdict: str
    evidence: str
    more: Mapping[str, Any]


def ok(evidence: str, **more: Any) -> Verdict:
    """Say that what was measured is in order; ``more`` are fields of :class:`Finding`."""
    return Verdict(OK, evidence, more)


def warn(evidence: str, **more: Any) -> Verdict:
    """Say that something is worth a look."""
    return Verdict(WARN, evidence, {"certainty": ALONE, **more})


def fault(evidence: str, **more: Any) -> Verdict:
    """Say that something is wrong; needs an independent witness (labels, another source)."""
    return Verdict(FAULT, evidence, {"certainty": 0.9, **more})


def judge(proven: Any, evidence: str, sure: float, **more: Any) -> Verdict:
    """Say that something is wrong: a fault if an independent witness proves it, else a warning."""
    sure = more.pop("certainty", sure if proven else min(sure, ALONE))
    return (fault if proven and sure > ALONE else warn)(evidence, certainty=sure, **more)


Claim = tuple[Any, ...]
"""Whether it holds, how sure it is, title, evidence, value, bound, remedy (or its text), and maybe
more fields of :class:`Finding`."""


def told(
    claims: Iterable[Claim], *, proven: Any = True, first: Any = False, **common: Any
) -> Iterator[Verdict]:
    """Say the claims that hold (the ``first`` of them alone); hardly sure ones are warnings."""
    for holds, sure, title, said, value, bound, remedy, *more in claims:
        if holds:
            mends = Remedy(remedy) if isinstance(remedy, str) else remedy
            fields = {"title": title, "value": value, "threshold": bound, "remedy": mends}
            yield judge(proven, said, sure, **fields | common | dict(*more))
            if first:
                return


def skip(why: str) -> Verdict:
    """Say that it cannot be told from what was given, and why."""
    return Verdict(NOT_TESTED, f"Not tested: {why}.", {})


@dataclass(frozen=True)
class Check:
    """One check; declared by :func:`check`."""

    id: str
    title: str
    run: Callable[[Bench], Steps]
    needs: tuple[str, ...] = ()  # All of these must be there, of PHRASES
    explains: tuple[str, ...] = ()  # Ids (or patterns) of findings that its fault brings about
    after: tuple[str, ...] = ()  # Not made beside a decisive fault of these (ids or patterns)
    first: bool = False  # Before all others of its kind: what tells whether they can be made
    last: bool = False  # After all others: it looks at what they found

    @property
    def family(self) -> str:
        """What the id starts with."""
        return self.id.partition(".")[0]

    def missing(self, there: frozenset[str]) -> str:
        """Say what has to be given before it can be made, "" if nothing."""
        lacking = [PHRASES.get(need, need) for need in self.needs if need not in there]
        return f"give {' and '.join(lacking)}" if lacking else ""


_CHECKS: dict[str, Check] = {}


def check(id: str, title: str, **more: Any) -> Callable[[Callable[[Bench], Steps]], Check]:
    """Declare a check; ``more`` are fields of :class:`Check`. The order of the file is kept."""

    def declare(run: Callable[[Bench], Steps]) -> Check:
        _CHECKS[id] = Check(id, title, run, **more)
        return _CHECKS[id]

    return declare


def all_checks(families: tuple[str, ...] = ()) -> tuple[Check, ...]:
    """List all checks (of some families), the quickest first."""
    for name in MODULES:
        import_module(f".{name}", __package__)
    wanted = [c for c in _CHECKS.values() if not families or c.family in families]
    return tuple(sorted(wanted, key=lambda c: (c.last, not c.first)))


@dataclass(frozen=True)
class Found(Progress):
    """Progress that carries what has been found so far, ranked."""

    findings: tuple[Finding, ...] = ()


def diagnose_steps(
    bench: Bench, only: frozenset[str] | None = None
) -> Generator[Progress, None, DiagnosisReport]:
    """Run the checks (of these ids alone), try remedies; closing the generator cancels."""
    began, cpu = time.perf_counter(), time.process_time()
    checks = [c for c in all_checks(bench.params.families) if only is None or c.id in only]
    there, found, tried = bench.case.has, bench.found, False
    for number, each in enumerate(checks):
        if each.last and not tried:  # it has to know which remedies help
            yield from _try_remedies(bench, found)
            tried = True
        yield Progress(number, len(checks), each.title)
        missing, over = each.missing(there), _overruled(each, found)
        if missing or over:
            found.append(_finding(each, skip(missing or f"{over} has to be mended first")))
            continue
        yield from _run(each, bench, Progress(number, len(checks), each.title))
        yield Found(number + 1, len(checks), each.title, findings=rank(found))
    if not tried:
        yield from _try_remedies(bench, found)
    if time.process_time() - cpu < AGAIN_S:
        yield from _second_look(bench, found, checks)
    return report_of(bench, found, time.perf_counter() - began)


def report_of(bench: Bench, found: Sequence[Finding], seconds: float) -> DiagnosisReport:
    """Make a report of findings."""
    of = 0 if bench.case.items is None else len(bench.case.items)
    return DiagnosisReport(rank(found), len(bench.indices), of, seconds, bench.case.notes)


def _overruled(each: Check, found: Sequence[Finding]) -> str:
    """Return the id of a decisive fault beside which a check says nothing, "" if there is none."""
    return next((f.id for f in found if f.decisive and f.verdict == FAULT
                 and any(fnmatch(f.id, a) for a in each.after)), "")  # fmt: skip


def _run(each: Check, bench: Bench, at: Progress) -> Generator[Progress, None, None]:
    """Make one check; what goes wrong in it is its finding, and the rest goes on."""
    made = []
    try:
        for step in _said_by(each.run(bench)):
            if isinstance(step, Verdict):
                some = tuple(step.more.get("places", ()))[: bench.params.n_places]
                made.append(replace(_finding(each, step), places=some))
            else:
                yield Progress(at.done, at.total, step.message or at.message, step.notice)
    except UserError as error:
        made.append(_finding(each, skip(str(error).rstrip("."))))
    except Exception as error:  # one check must not end the diagnosis
        made.append(_finding(each, skip(f"the check failed: {type(error).__name__}: {error}")))
    # several findings of one check: the strongest speaks, the others stand behind it
    made.sort(key=lambda f: (VERDICTS.index(f.verdict), -f.certainty))
    bench.found.extend(made or [_finding(each, skip("there was nothing to measure"))])


def _said_by(steps: Steps) -> Iterator[Progress | Verdict]:
    last = yield from steps
    if last is not None:
        yield last


def _finding(each: Check, said: Verdict) -> Finding:
    more = {"title": each.title, **said.more}
    more["certainty"] = min(max(more.get("certainty", 0.0), 0.0), 1.0)
    return Finding(each.id, said.verdict, evidence=said.evidence, **more)


def _try_remedies(bench: Bench, found: list[Finding]) -> Generator[Progress, None, None]:
    """Set what each cause's remedy says and score again; what does not help is not offered."""
    before = math.nan
    for at, finding in enumerate(found):
        action = finding.remedy.action
        if not finding.wrong or not action or action in UNSCORED or finding.family == "loss":
            continue
        yield Progress(at, len(found), f"Trying a remedy of {finding.title}")
        if math.isnan(before):
            before = bench.score()
        if math.isnan(before):
            return
        after = bench.again(bench.setup.applied(finding.remedy)).score()
        gain = after - before
        numbers = {**finding.numbers, "AJI as it is": before, "AJI with the remedy": after}
        remedy, sure = finding.remedy, finding.certainty
        if not gain >= BETTER:  # it says what to do, but the program does not offer to do it
            remedy = replace(remedy, action="", value=None)
        if gain <= -MORE:  # what mends nothing and does harm is hardly the cause
            sure = min(sure, DOUBTED)
        found[at] = replace(finding, gain=gain, numbers=numbers, remedy=remedy, certainty=sure)
    causes = [f.id for f in rank(found) if f.verdict == FAULT and f.is_cause]
    for at, f in enumerate(found):  # beside another cause nothing can be won by one alone
        if [f.id] == causes and f.id not in WHAT_IFS and f.gain < BETTER and before + f.gain < LOST:
            found[at] = replace(f, certainty=min(f.certainty, DOUBTED))


def in_vain(f: Finding) -> bool:
    """Whether it is doubted because its remedy, tried, won nothing back."""
    return f.gain < BETTER and f.certainty <= DOUBTED


def _second_look(
    bench: Bench, found: list[Finding], checks: Sequence[Check]
) -> Generator[Progress, None, None]:
    """Mend the first cause, and make again what it may have hidden; what is still wrong stands."""
    first = next((f for f in rank(found) if f.is_cause and f.verdict == FAULT), None)
    action = "" if first is None else first.remedy.action
    if first is None or not action or not (action in UNSCORED or first.gain >= BETTER):
        return
    mended = bench.again(bench.setup.applied(first.remedy))
    moved = action.startswith(("labels_", "image_order"))  # whatever labels say is open again
    again = [c for c in checks if not (c.last or c.missing(bench.case.has) or c.id == first.id)
             and (_explains(first.id, c.id) or any(fnmatch(first.id, a) for a in c.after)
                  or (moved and c.family in ("data", "model")))]  # fmt: skip
    hidden = {c.id for c in again}
    mended.found = [f for f in found if f.id not in hidden and f.id != first.id]
    for number, each in enumerate(again):
        if not _overruled(each, mended.found):
            yield from _run(each, mended, Progress(number, len(again), each.title))
    made = [f for f in mended.found if f.id in hidden and f.wrong]
    yield from _try_remedies(mended, made)
    stand = [replace(f, beside=first.id, evidence=f"With {first.id} mended: {f.evidence}")
             for f in made]  # fmt: skip
    ids = {f.id for f in stand}
    found[:] = [*(f for f in found if f.id not in ids), *stand]


def rank(found: Sequence[Finding]) -> tuple[Finding, ...]:
    """Sort findings: causes by what their remedy wins back, then what they explain."""
    causes = sorted((f for f in found if f.verdict == FAULT), key=_weight)
    told = _without_rings([replace(f, explained_by=_cause_of(f, causes)) for f in found])
    of = {f.id: _weight(f) for f in reversed(causes)}
    strongest: dict[str, Finding] = {}
    for f in sorted(told, key=_weight):
        strongest.setdefault(f.id, f)

    def order(f: Finding) -> tuple[Any, ...]:
        if f.wrong and f.explained_by:
            group = VERDICTS.index(OK)
        else:
            group = 0 if f.wrong else 1 + VERDICTS.index(f.verdict)
        # what wins back more once a cause is mended comes right behind that
        behind = f.gain >= BETTER and f.beside in of
        verdict, *rest = of[f.beside] if behind else _weight(f)
        again = strongest[f.id] is not f  # what one check says besides stands behind other causes
        return (group, verdict, again, *rest, behind, *_weight(f))

    return tuple(sorted(told, key=order))


def _without_rings(told: Sequence[Finding]) -> list[Finding]:
    """Let the strongest of causes that explain one another in a ring stand for itself."""
    by = {f.id: f for f in sorted(told, key=_weight, reverse=True)}
    for start in list(by):
        way, at = [], start
        while at in by and by[at].explained_by and at not in way:
            way.append(at)
            at = by[at].explained_by
        if at in way:
            strongest = min((by[i] for i in way[way.index(at) :]), key=_weight)
            by[strongest.id] = replace(strongest, explained_by="")
    free = {(f.id, f.title) for f in by.values() if not f.explained_by}
    return [replace(f, explained_by="") if (f.id, f.title) in free else f for f in told]


def _weight(f: Finding) -> tuple[int, float, float]:
    """Order among causes: faults, then what wins back most, then the most certain."""
    gain = 0.0 if math.isnan(f.gain) else max(f.gain, 0.0)
    return (VERDICTS.index(WARN if in_vain(f) else f.verdict), -round(gain, 1), -f.certainty)


def _cause_of(finding: Finding, causes: Sequence[Finding]) -> str:
    """Return the id of a fault that brings this finding about; of two the one that weighs more."""
    if not finding.wrong:
        return ""
    for cause in causes:
        apart = finding.id == cause.beside or cause.id in (finding.id, finding.beside)
        if apart or not _explains(cause.id, finding.id):  # one is there still, the other mended
            continue
        if in_vain(cause):
            continue
        broken = cause.decisive and cause.family == "model"  # whatever its maps gain by a reading
        inside = finding.stands and finding.id == "model.activations"  # what goes in fits there
        if (
            (finding.stands and cause.id in NO_EXCUSE)
            or (inside and cause.id in WHAT_IFS)
            or (finding.gain > max(cause.gain, 0) + MORE and not broken)
        ):
            continue
        mutual = finding.verdict == FAULT and _explains(finding.id, cause.id)
        if not mutual or _weight(cause) < _weight(finding):
            return cause.id
    return ""


def _explains(cause: str, symptom: str) -> bool:
    known = _CHECKS.get(cause)
    return known is not None and any(fnmatch(symptom, pattern) for pattern in known.explains)


def diagnose(  # noqa: PLR0913, PLR0917 - any part may be given
    model: Any = None,
    images: Any = None,
    labels: Any = None,
    hv: Any = None,
    np: Any = None,
    separation: Any = None,
    augmentation: Any = None,
    *,
    loss: Any = None,
    types: Any = None,
    instances: Any = None,
    features: Any = None,
    held_out: Any = None,
    names: Any = None,
    n_types: int | None = None,
    hv_are: str = "auto",
    setup: Setup | None = None,
    params: DiagnosisParams | None = None,
    progress: Callable[[Progress], object] | None = None,
) -> DiagnosisReport:
    """Find out why nuclei do not come apart; name the most likely cause first.

    Any part may be missing; what cannot be tested without it is said.

    Parameters
    ----------
    model : Model, path, Network or callable, optional
        A function takes a uint8 (H, W, 3) image and returns Maps or (np, hv). A file that
        cannot be loaded is a finding.
    images : stack (N, H, W, 3) or list of arrays, optional
        RGB, uint8 (or anything the program can read).
    labels, types : stack (N, H, W) or list, optional
        True instances, and the type of each pixel; 0 = background.
    hv, np : stack (N, 2, H, W) and (N, H, W), or lists, optional
        Predicted HV and probability of nucleus, or stored targets; see ``hv_are``.
    instances, features : stack or list, optional
        Predicted instances that were cut elsewhere; tokens (T, D), for a token decoder.
    separation : str, SeparationParams or callable, optional
        A preset's name, parameters, or a function ``f(np, hv)`` that returns labels.
    augmentation, loss : optional
        As in ``augmentation_given.py`` and ``loss_given.py``: functions of yours, or parameters.
    held_out : stack or list of images, optional
        The other side of the split, for leaks.
    names, n_types : sequence of str, int, optional
        Of the images; types there should be, background included.
    hv_are : {"auto", "maps", "targets"}
        What ``hv`` and ``np`` are. "auto": with a model, or where np is 0 and 1 only or
        missing beside labels, they are targets; what they were taken for is in the notes.
    setup, params : Setup, DiagnosisParams, optional
        How everything is read (for a second look after a remedy), and how much is looked at.
    progress : callable, optional
        Called with a :class:`Progress` at every step.

    Returns
    -------
    DiagnosisReport
        The most likely cause first, each finding with evidence, bound and remedy.

    Raises
    ------
    InputError
        If nothing is given, or the numbers of arrays differ.

    Examples
    --------
    >>> import numpy
    >>> labels = numpy.zeros((1, 64, 64), int)
    >>> diagnose(labels=labels).first.id
    'data.labels'
    """
    stacks = {"image": images, "labels": labels, "hv": hv, "np": np, "types": types,
              "instances": instances, "features": features}  # fmt: skip
    given = {name: stack for name, stack in stacks.items() if stack is not None}
    if not given and all(other is None for other in (model, separation, augmentation, loss)):
        raise InputError("There is nothing to diagnose; give a model, images, labels, hv ...")
    predictor, error = predictor_of(model)
    kind, note = kind_of(hv_are, given, model is not None)
    case = Case(
        dataset_of_arrays(names, **given) if given else None,
        None if held_out is None else dataset_of_arrays(image=held_out), kind, predictor, error,
        None if separation is None else Separator.of(separation), loss, augmentation, n_types,
        setup or Setup(), (note,) if note else ())  # fmt: skip
    return driven(diagnose_steps(Bench(case, params)), progress)


def predictor_of(model: Any) -> tuple[Predictor | None, str]:
    """Make a predictor; returns also why a file cannot be loaded, "" if it can."""
    if model is None:
        return None, ""
    if isinstance(model, str) or hasattr(model, "__fspath__"):
        from ..checkpoint import load_model  # noqa: PLC0415 - on first use

        try:
            model = load_model(model)
        except CheckpointError as error:
            return None, str(error)
    return Predictor.of(model), ""


def kind_of(hv_are: str, given: Mapping[str, Any], with_model: bool) -> tuple[str, str]:
    """Tell whether given hv and np are predictions or stored targets, and what was assumed."""
    if hv_are not in ("auto", MAPS, TARGETS):
        raise InputError(f"hv_are is {hv_are!r}; choose auto, {MAPS} or {TARGETS}.")
    pair = [name for name in ("np", "hv") if name in given]
    if hv_are != "auto" or not pair:
        return (MAPS if hv_are == "auto" else hv_are), ""
    if with_model:
        return TARGETS, ""
    if pair == ["hv"]:
        return TARGETS, ("hv without np: taken for stored targets; if it is predicted, say "
                         "hv_are='maps' and give np too.")  # fmt: skip
    return (TARGETS, "np holds two values alone: np and hv were taken for stored targets.") \
        if len(unique(asarray(given["np"][0]))) <= 2 else (MAPS, "")  # fmt: skip
