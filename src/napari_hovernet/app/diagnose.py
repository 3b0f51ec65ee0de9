"""Run a diagnosis, apply a remedy, and test again."""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ..core.diagnosis.bench import Bench
from ..core.diagnosis.case import MAPS, ArrayItems, Case
from ..core.diagnosis.engine import Found, diagnose_steps, report_of
from ..core.diagnosis.params import DiagnosisParams
from ..core.diagnosis.predicting import Predictor
from ..core.diagnosis.ranking import rank
from ..core.diagnosis.registry import all_checks
from ..core.diagnosis.report import FAULT, WARN, DiagnosisReport, Finding
from ..core.diagnosis.separating import Separator
from ..core.diagnosis.setup import Setup
from ..core.hv import HVReading
from ..core.params import InferenceParams
from ..core.separation.tuning import TuneParams
from ..core.types import Int32, Maps, Model, Progress
from .diagnose_opening import DiagnoseChoice, Own, open_steps

__all__ = [
    "DiagnoseChoice", "Diagnosis", "Own", "case_of_run", "diagnosis_steps", "open_steps",
    "retest_steps", "unfinished",
]  # fmt: skip


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """A diagnosis and what it was made of.

    Parameters
    ----------
    case : Case
    bench : Bench
        Holds what was read, predicted and cut.
    report : DiagnosisReport
    params : DiagnosisParams
    made_by : mapping of str to str
        Which check, by its id, made each finding.
    """

    case: Case
    bench: Bench
    report: DiagnosisReport
    params: DiagnosisParams
    made_by: Mapping[str, str] = field(default_factory=dict)


def diagnosis_steps(
    case: Case, params: DiagnosisParams | None = None, bench: Bench | None = None
) -> Generator[Progress, None, Diagnosis]:
    """Run all checks, the quickest first.

    Parameters
    ----------
    case : Case
    params : DiagnosisParams, optional
    bench : Bench, optional
        To work on; whoever makes it can still ask it for pictures after a cancel.

    Yields
    ------
    Progress
        After every check a :class:`.engine.Found` with all that is known by then. Closing
        the generator cancels; see :func:`unfinished`.

    Returns
    -------
    Diagnosis

    Examples
    --------
    >>> import numpy as np
    >>> from napari_hovernet.app.jobs import drive
    >>> case = Case(ArrayItems(labels=np.zeros((64, 64), int)))
    >>> drive(diagnosis_steps(case)).report.of
    1
    """
    used = bench or Bench(case, params)
    made_by: dict[str, str] = {}
    report = yield from _noting(used, None, made_by)
    return Diagnosis(case, used, report, used.params, made_by)


def retest_steps(diagnosis: Diagnosis, *findings: Finding) -> Generator[Progress, None, Diagnosis]:
    """Apply the remedy of a finding (or of several) and test again.

    Arrays are not read again. Checks that found a fault or gave a warning are made again, and
    that of the finding itself; what was in order, or could not be tested, is kept.

    Parameters
    ----------
    diagnosis : Diagnosis
    *findings : Finding

    Raises
    ------
    InputError
        If a remedy has to be done outside of the program.
    """
    setup = diagnosis.case.setup
    for finding in findings:
        setup = setup.applied(finding.remedy)
    began = time.perf_counter()
    bench = diagnosis.bench.again(setup)
    made_by = dict(diagnosis.made_by)
    wrong = [f.id for f in diagnosis.report.findings if f.verdict in (FAULT, WARN)]
    again = {made_by.get(name, name) for name in (*wrong, *(f.id for f in findings))}
    kept = [f for f in diagnosis.report.findings if made_by.get(f.id, f.id) not in again]
    new = yield from _noting(bench, frozenset(again), made_by, kept)
    report = report_of(bench, [*kept, *new.findings], time.perf_counter() - began)
    return Diagnosis(bench.case, bench, report, diagnosis.params, made_by)


def unfinished(bench: Bench, findings: Sequence[Finding]) -> Diagnosis:
    """Make a diagnosis of what was found before a cancel."""
    report = replace(report_of(bench, list(findings), 0.0), complete=False)
    return Diagnosis(bench.case, bench, report, bench.params)


def case_of_run(  # noqa: PLR0913 - what a viewer has in front of it
    image: Any,
    maps: Maps,
    labels: Int32 | None = None,
    truth: Any = None,
    *,
    cut_with: Any = None,
    model: Model | None = None,
    inference: InferenceParams | None = None,
    reading: HVReading | None = None,
    name: str = "run",
) -> Case:
    """Make a case of one finished run.

    Parameters
    ----------
    image : array (H, W, 3)
        Of the region that was segmented.
    maps : Maps
        As the network gave them.
    labels : int32 (H, W), optional
        Instances of the run, corrections included.
    truth : int (H, W), optional
    cut_with : SeparationParams, TuneParams or str, optional
        Separation of the run.
    model : Model, optional
        Asked for what-ifs only: the image itself has its maps already.
    inference : InferenceParams, optional
        How the run went through the network.
    reading : HVReading, optional
        How the run read HV, where it was not as the network gives it.
    name : str

    Examples
    --------
    >>> import numpy as np
    >>> maps = Maps(np=np.zeros((64, 64)), hv=np.zeros((2, 64, 64)))
    >>> sorted(case_of_run(np.zeros((64, 64, 3), np.uint8), maps).has)
    ['hv', 'image', 'maps', 'np', 'separation']
    """
    single = {"image": image, "labels": truth, "np": maps.np, "hv": maps.hv, "instances": labels}
    items = ArrayItems([name], **{k: [v] for k, v in single.items() if v is not None})
    how = reading or HVReading()
    return Case(
        items=items,
        kind=MAPS,
        predictor=None if model is None else _remembering(model, inference, image, maps),
        separator=Separator.of(_cut_of(cut_with)),
        n_types=len(model.info.types) or None if model is not None else None,
        setup=Setup(hv_order=how.order, hv_sign=how.sign, hv_scale=how.scale),
    )


def _noting(
    bench: Bench,
    only: frozenset[str] | None,
    made_by: dict[str, str],
    kept: Sequence[Finding] = (),
) -> Generator[Progress, None, DiagnosisReport]:
    """Run checks, note which of them made which finding, and show kept findings among them."""
    checks = all_checks(bench.params.families)
    if only is not None:
        checks = tuple(c for c in checks if c.id in only)
    known: set[str] = set()
    steps = diagnose_steps(bench, only)
    try:
        while True:
            step = next(steps)
            if isinstance(step, Found):
                ids = {f.id for f in step.findings}
                made_by.update(dict.fromkeys(ids - known, checks[step.done - 1].id))
                known |= ids
                if kept:
                    step = replace(step, findings=rank([*kept, *step.findings]))
            yield step
    except StopIteration as stop:
        report: DiagnosisReport = stop.value
        return report
    finally:
        steps.close()


def _cut_of(cut_with: Any) -> Any:
    """Return a separation without its HV reading: that is the setup's."""
    return cut_with.separation if isinstance(cut_with, TuneParams) else cut_with


def _remembering(
    model: Model, inference: InferenceParams | None, image: Any, maps: Maps
) -> Predictor:
    """Make a predictor that gives the maps there are for the image they are of."""
    plain = Predictor.of(model, inference)
    known = np.asarray(image)

    def call(given: Any, *more: Any) -> Maps:
        same = given.shape == known.shape and np.array_equal(given, known)
        return maps if same else plain.call(given, *more)

    return replace(plain, call=call)
