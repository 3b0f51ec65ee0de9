"""Run all checks on a case, step by step, and rank what they find."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

from ...errors import CheckpointError, InputError, UserError
from ..types import Progress
from .bench import Bench
from .case import MAPS, TARGETS, ArrayItems, Case
from .params import DiagnosisParams
from .predicting import Predictor
from .ranking import rank
from .registry import Check, all_checks
from .report import NOT_TESTED, DiagnosisReport, Finding
from .separating import Separator
from .setup import Setup


@dataclass(frozen=True)
class Found(Progress):
    """Progress that carries what has been found so far.

    Parameters
    ----------
    findings : tuple of Finding
        All so far, ranked.
    """

    findings: tuple[Finding, ...] = ()


def diagnose_steps(
    bench: Bench, only: frozenset[str] | None = None
) -> Generator[Progress, None, DiagnosisReport]:
    """Run the checks, the quickest first.

    Parameters
    ----------
    bench : Bench
    only : frozenset of str, optional
        Ids of the checks to run; None = all.

    Yields
    ------
    Progress
        In checks; a :class:`Found` after every check. Closing the generator cancels.

    Returns
    -------
    DiagnosisReport
    """
    began = time.perf_counter()
    checks = all_checks(bench.params.families)
    if only is not None:
        checks = tuple(check for check in checks if check.id in only)
    there, found = bench.case.has, []
    for number, check in enumerate(checks):
        yield Progress(number, len(checks), check.title)
        missing = check.missing(there)
        if missing:
            found.append(Finding(check.id, NOT_TESTED, check.title, f"Not tested: {missing}."))
            continue
        found += yield from _run(check, bench, number, len(checks))
        yield Found(number + 1, len(checks), check.title, findings=rank(found))
    return report_of(bench, found, time.perf_counter() - began)


def report_of(bench: Bench, found: list[Finding], seconds: float) -> DiagnosisReport:
    """Make a report of findings."""
    of = 0 if bench.case.items is None else len(bench.case.items.names)
    return DiagnosisReport(
        findings=rank(found),
        items=len(bench.indices),
        of=of,
        seconds=seconds,
        notes=bench.case.notes,
    )


def _run(
    check: Check, bench: Bench, number: int, total: int
) -> Generator[Progress, None, list[Finding]]:
    """Make one check; what goes wrong in it is its finding, and the rest goes on."""
    made: list[Finding] = []
    try:
        for step in check.run(bench):
            if isinstance(step, Finding):
                made.append(step)
            else:
                yield Progress(number, total, step.message or check.title, step.notice)
    except UserError as error:
        made.append(Finding(check.id, NOT_TESTED, check.title, f"Not tested: {error}"))
    except Exception as error:  # one check must not end the diagnosis
        words = f"Not tested, the check failed: {type(error).__name__}: {error}"
        made.append(Finding(check.id, NOT_TESTED, check.title, words))
    if not made:
        words = "Not tested: there was nothing to measure."
        made.append(Finding(check.id, NOT_TESTED, check.title, words))
    return made


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
    labels : stack (N, H, W) or list, optional
        True instances, 0 = background.
    hv : stack (N, 2, H, W) or list, optional
        Predicted HV, or stored HV targets.
    np : stack (N, H, W) or list, optional
        Predicted probability of nucleus, or stored NP targets.
    separation : str, SeparationParams or callable, optional
        A preset's name, parameters, or a function ``f(np, hv)`` that returns labels.
    augmentation : callable or mapping, optional
        See :mod:`.augmentation_checks`.
    loss : HoverLoss, LossParams, callable or mapping, optional
        See :mod:`.loss_checks`.
    types : stack (N, H, W) or list, optional
        Type of each pixel, 0 = background.
    instances : stack (N, H, W) or list, optional
        Predicted instances, where they were cut elsewhere.
    features : stack (N, T, D) or list, optional
        Tokens, for a token decoder.
    held_out : stack or list of images, optional
        The other side of the split, for leaks.
    names : sequence of str, optional
        Of the images.
    n_types : int, optional
        Types there should be, background included.
    hv_are : {"auto", "maps", "targets"}
        What ``hv`` and ``np`` are. "auto": with a model, or where np is 0 and 1 only or
        missing beside labels, they are targets.
    setup : Setup, optional
        How everything is read; for a second look after a remedy.
    params : DiagnosisParams, optional
    progress : callable, optional
        Called with a :class:`Progress` at every step.

    Returns
    -------
    DiagnosisReport
        Findings by certainty, each with evidence, threshold and remedy.

    Raises
    ------
    InputError
        If nothing is given, or the numbers of arrays differ.

    Examples
    --------
    >>> import numpy
    >>> labels = numpy.zeros((1, 64, 64), int)
    >>> report = diagnose(labels=labels)
    >>> report.first.id
    'data.empty'
    """
    stacks = {
        "image": images, "labels": labels, "hv": hv, "np": np, "types": types,
        "instances": instances, "features": features,
    }  # fmt: skip
    given = {name: stack for name, stack in stacks.items() if stack is not None}
    others = (model, separation, augmentation, loss)
    if not given and all(other is None for other in others):
        raise InputError("There is nothing to diagnose; give a model, images, labels, hv ...")
    items = ArrayItems(names, **given) if given else None
    predictor, error = predictor_of(model)
    case = Case(
        items=items,
        held_out=None if held_out is None else ArrayItems(image=held_out),
        kind=kind_of(hv_are, given, model is not None),
        predictor=predictor,
        model_error=error,
        separator=None if separation is None else Separator.of(separation),
        loss=loss,
        augmentation=augmentation,
        n_types=n_types,
        setup=setup or Setup(),
    )
    steps = diagnose_steps(Bench(case, params))
    while True:
        try:
            step = next(steps)
        except StopIteration as stop:
            report: DiagnosisReport = stop.value
            return report
        if progress is not None:
            progress(step)


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


def kind_of(hv_are: str, given: dict[str, Any], with_model: bool) -> str:
    """Tell whether given hv and np are predicted maps or stored targets.

    Raises
    ------
    InputError
        If ``hv_are`` is not known.
    """
    if hv_are not in ("auto", MAPS, TARGETS):
        raise InputError(f"hv_are is {hv_are!r}; choose auto, {MAPS} or {TARGETS}.")
    if hv_are != "auto":
        return hv_are
    if with_model:
        return TARGETS
    if "np" not in given:
        return TARGETS if "hv" in given else MAPS
    return TARGETS if _two_values(given["np"]) else MAPS


def _two_values(stack: Any) -> bool:
    import numpy  # noqa: PLC0415 - the name np is taken by an argument nearby

    first = numpy.asarray(stack[0])
    return len(numpy.unique(first)) <= 2
