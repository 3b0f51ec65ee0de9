"""Checks of a separation: what it does is found out by cutting, not by reading its code."""

from __future__ import annotations

from collections.abc import Callable

from . import separation_findings as findings
from . import separation_judging as judging
from .bench import Bench
from .registry import Check, Steps
from .report import NOT_TESTED, Finding
from .separation_limits import SeparationLimits
from .separation_probing import Probe
from .separation_study import Study, study_of
from .separation_words import Seen, not_the_same

LIMITS = SeparationLimits()
FAILS = "it fails, or gives other instances the second time; see separation.deterministic"
OTHER_CAUSE = "another fault of the separation has to be mended first"


def _run_deterministic(bench: Bench) -> Steps:
    probe = yield from study_of(bench, LIMITS).probe(bench)
    yield judging.deterministic(probe)


def _run_turns(bench: Bench, study: Study, probe: Probe) -> Steps:
    given, measured = "", False
    if judging.reads_otherwise(probe, LIMITS):
        given, measured = yield from study.given(bench)
    yield judging.turns(probe, LIMITS, given, measured)


def _run_relabel(bench: Bench, study: Study, probe: Probe) -> Steps:
    seen = Seen()
    if judging.merges(probe, LIMITS):
        seen = yield from study.seen(bench)
    yield judging.relabel(probe, LIMITS, seen)


def _run_rim_seeds(bench: Bench, study: Study, probe: Probe) -> Steps:
    seen = Seen()
    if judging.seeds_on_rims(probe, LIMITS):
        seen = yield from study.seen(bench)
    yield judging.rim_seeds(probe, LIMITS, seen)


def _run_scale(_: Bench, __: Study, probe: Probe) -> Steps:
    yield judging.scale(probe, LIMITS)


def _run_tile(_: Bench, study: Study, probe: Probe) -> Steps:
    lost = judging.loses_beside_others(probe, LIMITS)
    yield judging.tile(probe, LIMITS, study.mend_of_tile(probe.radius) if lost else None)


def _run_oracle(bench: Bench, study: Study, probe: Probe) -> Steps:
    own = yield from study.oracle(bench)
    known = judging.has_own_cause(probe, LIMITS)
    yield findings.oracle(probe, own, LIMITS, known=known)


def _run_components(bench: Bench) -> Steps:
    there = bench.case.has
    if "instances" not in there and not {"maps", "separation"} <= there:
        why = "give predicted instances, or NP and HV maps and a separation"
        yield findings.components(None, why, LIMITS)
        return
    parts = yield from study_of(bench, LIMITS).parts(bench)
    why = "there are no instances, or no truth or maps to hold them against"
    yield findings.components(parts, why, LIMITS)


def _run_tuned(kind: str) -> Callable[[Bench, Study, Probe], Steps]:
    """Make the check of over- or under-segmentation, or of the NP threshold."""

    def run(bench: Bench, study: Study, probe: Probe) -> Steps:
        if judging.has_own_cause(probe, LIMITS):
            yield _not_tested(f"separation.{kind}", findings.TITLES[kind], OTHER_CAUSE)
        elif probe.params is None:
            yield findings.unknown(kind, probe, study.reference(probe.radius), LIMITS)
        else:
            choice = yield from study.choice(bench)
            seen = Seen()
            if choice is not None and choice.kind == kind:
                seen = yield from study.seen(bench)
            places = seen.split if kind == "over" else seen.merged
            yield findings.tuned(kind, choice, probe, places, LIMITS)

    return run


def _not_tested(id_: str, title: str, why: str) -> Finding:
    return Finding(id_, NOT_TESTED, title, f"Not tested: {why}.")


def _check(name: str, title: str, run: Callable[[Bench, Study, Probe], Steps]) -> Check:
    """Make a check that works on a probe, and is not made where that says nothing."""
    id_ = f"separation.{name}"

    def steps(bench: Bench) -> Steps:
        study = study_of(bench, LIMITS)
        probe = yield from study.probe(bench)
        if probe.error or not_the_same(probe):
            yield _not_tested(id_, title, FAILS)
            return
        yield from run(bench, study, probe)

    return Check(id_, title, ("separation",), steps)


CHECKS: tuple[Check, ...] = (
    Check(
        "separation.deterministic", "Same maps, same instances", ("separation",),
        _run_deterministic,
    ),
    _check("relabel", "Instances against connected components", _run_relabel),
    _check("rim_seeds", "Seeds in the centres", _run_rim_seeds),
    _check("scale", "Length of HV", _run_scale),
    _check("turns", "Order and sign of HV that the separation reads", _run_turns),
    _check("tile", "What else is in the tile", _run_tile),
    _check("oracle", "Exact maps through the separation", _run_oracle),
    Check(
        "separation.components", "Predicted instances against connected components", (),
        _run_components,
    ),
    _check("threshold", findings.TITLES["threshold"], _run_tuned("threshold")),
    _check("under", findings.TITLES["under"], _run_tuned("under")),
    _check("over", findings.TITLES["over"], _run_tuned("over")),
)  # fmt: skip
"""The quickest first."""
