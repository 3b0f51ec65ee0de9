"""How findings read."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from napari_hovernet._napari import diagnosis_words as words
from napari_hovernet.core.diagnosis import report
from napari_hovernet.core.diagnosis.report import FAULT, WARN, Finding


@pytest.fixture
def ranked(findings):
    return findings.made_up()


def test_names_are_those_of_the_report():
    verdicts = (words.FAULT, words.WARN, words.OK, words.NOT_TESTED)
    assert verdicts == report.VERDICTS and set(words.SAID) == set(verdicts)
    assert set(words.LAYER_NAMES) == set(report.LAYERS) >= set(words.MAP_ROLES)
    assert set(words.CHANGES) == set(report.ACTIONS)


def test_what_a_cause_explains_stands_beneath_it(ranked):
    groups = words.grouped(ranked)
    assert [(f.id, [g.id for g in below]) for f, below in groups.causes] == [
        ("separation.relabel", ["separation.under"]),
        ("model.hv_order", []),
    ]
    assert len(groups.passed) == 3
    assert [(why, len(f)) for why, f in groups.not_tested] == [
        ("Give a loss.", 2),
        ("There is one image only.", 1),
    ]


@pytest.mark.parametrize("links", [("b", "c", ""), ("b", "a", ""), ("a", "c", "zz")])
def test_no_finding_is_lost_however_they_explain_each_other(links):
    ids = ("data.a", "data.b", "data.c")
    made = [
        Finding(i, FAULT, i, "x", certainty=0.5, explained_by=f"data.{e}" if e else "")
        for i, e in zip(ids, links, strict=True)
    ]
    groups = words.grouped(made)
    shown = [f.id for cause, below in groups.causes for f in (cause, *below)]
    assert sorted(shown) == list(ids)


def test_the_headline_names_the_first_cause(ranked):
    assert words.headline(ranked) == (
        "Most likely cause: Touching nuclei are merged again (1 more to look at)."
    )
    assert "so far" in words.headline(ranked, busy=True)
    assert words.headline(ranked[3:6]) == "Nothing wrong was found in 3 checks."
    assert words.headline(()) == "Nothing was tested." and words.headline((), busy=True) == ""
    warning = replace(ranked[0], verdict=WARN)
    assert words.headline((warning,)).startswith("Worth a look:")


def test_numbers_have_their_unit_once():
    made = Finding("data.a", FAULT, "a", "x", 0.287, 0.6, "AJI")
    assert words.measured(made) == "<b>0.287 AJI</b>, threshold 0.6"
    share = replace(made, unit="share", threshold=math.nan)
    assert words.measured(share) == "<b>28.7 %</b>"
    assert words.measured(replace(made, value=math.nan)) == ""


@pytest.mark.parametrize("action", report.ACTIONS)
def test_every_remedy_can_be_said(action):
    said = words.change_words(action, 2)
    assert "{" not in said and said


def test_one_map_is_shown_at_a_time():
    layers = ("hv_x", "hv_y", "truth")
    assert words.shown_roles(layers) == {"image", "hv_x", "truth"}
    assert words.shown_roles(layers, "hv_y") == {"image", "hv_y", "truth"}
    assert words.shown_roles(layers, "np") == {"image", "hv_x", "truth"}
    assert words.shown_roles(()) == {"image", "instances"}


def test_the_same_finding_ranked_again_is_known(ranked):
    again = replace(ranked[0])
    assert again is not ranked[0] and words.same(again, ranked[0])
    assert not words.same(replace(again, evidence="other"), ranked[0])
    assert words.same(None, None) and not words.same(None, again)
