"""Causes are told apart by what a probe measured; nothing is cut here."""

from __future__ import annotations

from dataclasses import replace

import pytest

from napari_hovernet.core.diagnosis import separation_judging as judging
from napari_hovernet.core.diagnosis.separation_limits import SeparationLimits
from napari_hovernet.core.diagnosis.separation_probing import (
    ALONE,
    EXTREME,
    FACTORS,
    TILES,
    Probe,
    Score,
)
from napari_hovernet.core.diagnosis.separation_ways import OURS, WAYS
from napari_hovernet.core.diagnosis.separation_words import Seen
from napari_hovernet.core.params import SeparationParams

LIMITS = SeparationLimits()


def made(aji: float = 1.0, **changes) -> Probe:
    """Return a probe of which everything has the same AJI."""
    scores = {name: Score(aji, 60, 60) for name in ("clusters", "rows", "singles")}
    values = {
        "exact": scores,
        "soft": scores,
        "components": 0.2,
        "ways": {way.name: aji if way.name == OURS else aji / 2 for way in WAYS},
        "factors": dict.fromkeys(FACTORS, aji),
        "inside_out": aji,
        "tiles": dict.fromkeys((ALONE, *TILES), aji),
        "pieces": 1.0,
        "threshold": 0.5,
    }
    return Probe("test", None, 9.0, **{**values, **changes})


def same_every_way(aji: float) -> dict[str, float]:
    return {way.name: aji for way in WAYS}


BAD = {
    "reads_otherwise": made(0.3, ways=same_every_way(0.3) | {"vh inward": 0.95}),
    "wants_other_length": made(0.3, factors={1.0: 0.3, 127.0: 0.95}),
    "seeds_on_rims": made(0.3, ways=same_every_way(0.3), inside_out=0.95, pieces=4.0),
    "merges": made(0.29, components=1.0, ways=same_every_way(0.29)),
}


@pytest.mark.parametrize("cause", BAD)
def test_each_cause_is_told_from_all_others(cause):
    probe = BAD[cause]
    found = [name for name in BAD if getattr(judging, name)(probe, LIMITS)]
    assert found == [cause]
    assert judging.has_own_cause(probe, LIMITS)


def test_a_healthy_probe_has_no_cause_and_gives_ok_everywhere():
    probe = made()
    assert not judging.has_own_cause(probe, LIMITS)
    for finding in (
        judging.deterministic(probe),
        judging.relabel(probe, LIMITS, Seen()),
        judging.rim_seeds(probe, LIMITS, Seen()),
        judging.scale(probe, LIMITS),
        judging.turns(probe, LIMITS, "", measured=False),
        judging.tile(probe, LIMITS, None),
    ):
        assert finding.verdict == "ok"
        assert finding.evidence.endswith(".")


def test_known_parameters_tell_a_merge_for_certain():
    as_set = replace(BAD["merges"], params=SeparationParams.preset("merging_relabel"))
    assert judging.relabel(as_set, LIMITS, Seen()).certainty == 0.99
    assert "merge_touching is set" in judging.relabel(as_set, LIMITS, Seen()).evidence
    other = replace(BAD["merges"], params=SeparationParams(depth=2.0))
    finding = judging.relabel(other, LIMITS, Seen())
    assert finding.verdict == "ok"
    assert "Something else" in finding.evidence


def test_without_hv_it_says_so():
    blind = replace(BAD["merges"], sees_hv=False)
    assert "without HV it gives the very same" in judging.relabel(blind, LIMITS, Seen()).evidence


def test_length_is_graded_by_what_is_met_in_practice():
    def certainty(**lost: float) -> tuple[str, float]:
        factors = dict.fromkeys(FACTORS, 1.0)
        factors |= {float(name[1:].replace("_", ".")): aji for name, aji in lost.items()}
        finding = judging.scale(made(factors=factors), LIMITS)
        return finding.verdict, finding.certainty

    assert certainty() == ("ok", 0)
    assert certainty(x0_5=0.3) == ("fault", 0.9)
    assert certainty(x0_02=0.3) == ("fault", 0.8)
    assert certainty(x50=0.3) == ("warn", 0.3)
    assert certainty(x0_02=0.9) == ("ok", 0)


def test_exact_ties_are_not_taken_for_length():
    alike = dict.fromkeys(FACTORS, 0.6) | {1.0: 1.0}
    assert judging.scale(made(factors=alike), LIMITS).verdict == "ok"
    assert judging.scale(made(factors=alike | {0.02: 0.3}), LIMITS).verdict == "fault"


def test_one_field_mends_a_turn_where_one_is_enough():
    def remedy(reads: str, given: str) -> tuple[str, object]:
        probe = made(0.3, ways=same_every_way(0.3) | {reads: 0.95})
        found = judging.turns(probe, LIMITS, given, measured=True).remedy
        return found.action, found.value

    assert remedy("vh outward", "hv outward") == ("hv_order", "vh")
    assert remedy("hv inward", "hv outward") == ("hv_sign", "inward")
    assert remedy("vh inward", "vh outward") == ("hv_sign", "inward")
    assert remedy("vh inward", "hv outward") == ("separation", {"preset": "local"})
    assert remedy("hv, v negated", "hv outward") == ("separation", {"preset": "local"})
    assert remedy("hv outward", "vh outward") == ("", None)


def test_what_is_given_as_it_is_read_is_in_order():
    probe = BAD["reads_otherwise"]
    assert judging.turns(probe, LIMITS, "vh inward", measured=True).verdict == "ok"
    assert judging.turns(probe, LIMITS, "vh outward", measured=True).verdict == "fault"


def test_only_what_is_met_in_practice_is_a_fault_of_the_tile():
    extreme = made(tiles=dict.fromkeys((ALONE, *TILES), 1.0) | {EXTREME: 0.1})
    finding = judging.tile(extreme, LIMITS, None)
    assert finding.verdict == "ok"
    assert "as with the published separation" in finding.evidence
    usual = made(tiles=dict.fromkeys((ALONE, *TILES), 0.4) | {ALONE: 1.0})
    assert judging.tile(usual, LIMITS, None).remedy.value == {"preset": "local"}
    mended = judging.tile(usual, LIMITS, {"sobel_size": 21})
    assert mended.remedy.value == {"sobel_size": 21}
    assert mended.verdict == "fault"
    assert judging.tile(made(0.3), LIMITS, None).verdict == "not tested"


@pytest.mark.parametrize(
    ("changes", "title"),
    [
        ({"error": "out of cheese"}, "The separation fails"),
        ({"repeat": 0.9}, "The separation is not deterministic"),
        ({"empty_error": "no rows"}, "The separation fails on images without nuclei"),
        ({"empty_found": 3}, "The separation finds nuclei where there are none"),
        ({"repeat": 0.9, "empty_error": "no rows"}, "The separation is not deterministic"),
    ],
)
def test_failures_are_named(changes, title):
    finding = judging.deterministic(made(**changes))
    assert finding.verdict == "fault"
    assert finding.title == title
