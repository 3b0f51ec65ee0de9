"""Findings about the case's own nuclei, and about parameters."""

from __future__ import annotations

import math

import pytest

from napari_hovernet.core.diagnosis import separation_findings as findings
from napari_hovernet.core.diagnosis.separation_limits import SeparationLimits
from napari_hovernet.core.diagnosis.separation_own import Oracle, Parts
from napari_hovernet.core.diagnosis.separation_probing import Probe, Score
from napari_hovernet.core.diagnosis.separation_tuning import Choice, Total, Trial

LIMITS = SeparationLimits()


def probe(aji: float = 1.0, soft: Score | None = None, threshold: float = 0.5) -> Probe:
    exact = {"clusters": Score(aji, 60, 60)}
    return Probe(
        "x", None, 9.0, exact=exact, soft={"clusters": soft or Score(0.94, 60, 60)},
        threshold=threshold,
    )  # fmt: skip


def own(aji: float, n: int = 100) -> Oracle:
    return Oracle(aji, {"local": 0.99, "hover_net": 0.93}, 0.4, n)


def test_the_oracle_is_held_against_the_worse_of_the_healthy():
    def verdict(oracle: Oracle | None, aji: float = 1.0, *, known: bool = False):
        made = findings.oracle(probe(aji), oracle, LIMITS, known=known)
        return made.verdict, made.certainty

    assert verdict(None) == verdict(own(0.9)) == ("ok", 0)
    assert verdict(own(0.5))[0] == "fault"
    assert verdict(own(0.5, n=10)) == ("ok", 0)
    assert verdict(None, 0.3)[0] == "fault"
    assert verdict(None, 0.3, known=True) == ("fault", 0.6)
    words = findings.oracle(probe(), own(0.9), LIMITS, known=False).evidence
    assert "100 true nuclei" in words
    assert "hover_net 0.930" in words


def parts(**changes) -> Parts:
    values = {
        "agreement": 1.0, "n_found": 18, "n_parts": 18, "n_local": 60, "aji": 0.29,
        "local_aji": 0.95, "n_touching": 60,
    }  # fmt: skip
    return Parts(**{**values, **changes})


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({}, "fault"),
        ({"aji": math.nan, "local_aji": math.nan}, "fault"),
        ({"n_local": 0, "local_aji": math.nan}, "fault"),
        ({"agreement": 0.9}, "ok"),
        ({"n_local": 19}, "ok"),
        ({"local_aji": 0.3}, "ok"),
        ({"n_touching": 4}, "not tested"),
    ],
)
def test_components_need_something_to_cut_that_was_not_cut(changes, verdict):
    assert findings.components(parts(**changes), "", LIMITS).verdict == verdict


def test_components_without_instances_say_why():
    made = findings.components(None, "give maps", LIMITS)
    assert (made.verdict, made.evidence) == ("not tested", "Not tested: give maps.")


def choice(field: str, value: object, *, own_value: bool = True, gain: float = 0.4) -> Choice:
    base = Trial({}, Total(0.5, 90, 0.6, 0.0), Total(0.3, 200, 0.5, 0.1))
    trial = Trial({field: value}, Total(0.5 + gain, 90, 0.0, 0.0), Total(0.6, 200, 0.2, 0.1))
    return Choice(trial, base, gain, 0.3, own_value)


def test_the_parameter_and_its_value_are_the_remedy():
    made = findings.tuned("under", choice("depth", 0.15), probe(), (), LIMITS)
    assert (made.verdict, made.remedy.action) == ("fault", "separation")
    assert made.remedy.value == {"depth": 0.15}
    assert "depth = 0.15" in made.evidence
    assert 0.85 <= made.certainty <= 0.97
    assert findings.tuned("over", choice("depth", 0.15), probe(), (), LIMITS).verdict == "ok"


def test_thresholds_have_their_own_finding_and_action():
    made = findings.tuned("threshold", choice("np_threshold", 0.45), probe(), (), LIMITS)
    assert (made.remedy.action, made.remedy.value) == ("np_threshold", 0.45)
    made = findings.tuned("threshold", choice("min_mean_np", 0.6), probe(), (), LIMITS)
    assert made.remedy.action == "separation"


def test_scales_are_written_as_json_has_them():
    made = findings.tuned("under", choice("scales", (1.5, 3.0)), probe(), (), LIMITS)
    assert made.remedy.value == {"scales": [1.5, 3.0]}


def test_a_usual_value_is_at_most_worth_a_look():
    usual = choice("depth", 0.1, own_value=False, gain=0.0)
    made = findings.tuned("under", usual, probe(), (), LIMITS)
    assert made.verdict == "warn"
    assert made.certainty <= 0.4
    assert "may make up for something else" in made.evidence


def test_own_functions_are_held_against_the_default():
    few = Score(0.5, 60, 30, merged=40)
    many = Score(0.5, 60, 200, split=50, spurious=10)
    for kind, soft in (("under", few), ("over", many)):
        made = findings.unknown(kind, probe(soft=soft), 0.94, LIMITS)
        assert made.verdict == "fault"
        assert made.remedy.value == {"preset": "local"}
        other = {"under": "over", "over": "under"}[kind]
        assert findings.unknown(other, probe(soft=soft), 0.94, LIMITS).verdict == "ok"
        assert findings.unknown(kind, probe(soft=soft), 0.55, LIMITS).verdict == "ok"


@pytest.mark.parametrize(
    ("threshold", "verdict"),
    [(0.05, "fault"), (0.3, "ok"), (0.6, "ok"), (0.95, "fault"), (math.nan, "not tested")],
)
def test_the_threshold_of_own_functions(threshold, verdict):
    made = findings.unknown("threshold", probe(threshold=threshold), 0.94, LIMITS)
    assert made.verdict == verdict
