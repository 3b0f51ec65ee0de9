"""The table for a terminal and the JSON."""

from __future__ import annotations

import json

import pytest

from napari_hovernet.app.diagnose import diagnosis_steps, retest_steps
from napari_hovernet.app.diagnosis_text import (
    LAYER_WORDS,
    SETUP_WORDS,
    WIDTH,
    Retest,
    as_json,
    as_text,
    number_words,
    retest_text,
    setup_words,
    untested,
)
from napari_hovernet.app.jobs import drive
from napari_hovernet.core.diagnosis.report import LAYERS, NOT_TESTED, DiagnosisReport, Finding
from napari_hovernet.core.diagnosis.setup import Setup

from .diagnosis_fakes import case, fake_checks  # noqa: F401

pytestmark = pytest.mark.usefixtures("fake_checks")


def test_causes_come_first_and_no_line_is_too_long() -> None:
    text = as_text(drive(diagnosis_steps(case())).report)
    lines = text.splitlines()
    assert lines[0] == "Most likely cause: HV channels are swapped (2 more to look at)."
    assert lines[1].startswith("2 of 2 images, 6 findings")
    assert lines[3].startswith("1. FAULT  HV channels are swapped")
    assert lines[3].endswith("model.hv_order, 97% sure")
    assert "   number    0.02 cosine (bound 0.5)" in lines
    assert "   remedy    Read HV as [V, H]. (--apply model.hv_order)" in lines
    assert "   remedy    Look at the masks." in lines
    assert "In order (1): data.touching" in lines
    assert "   give a loss: loss.share, loss.finite" in lines
    assert max(map(len, lines)) <= WIDTH


def test_a_long_reason_is_wrapped_between_words() -> None:
    why = "there is nothing to be seen in it, " * 4
    finding = Finding("data.shift", NOT_TESTED, "a", f"Not tested: {why}so it is left out.")
    lines = as_text(DiagnosisReport((finding,), 1, 1)).splitlines()
    assert max(map(len, lines)) <= WIDTH
    assert any(line.endswith("data.shift") for line in lines)


def test_what_a_remedy_changed() -> None:
    before = drive(diagnosis_steps(case()))
    after = drive(retest_steps(before, before.report.findings[0]))
    retest = Retest(before, after, ("model.hv_order",))
    assert retest_text(retest).splitlines() == [
        "Applied: model.hv_order (order of HV vh)",
        "   model.hv_order  fault -> ok: The cosine to the truth is 0.95.",
    ]
    nothing = Retest(before, before, ("model.hv_order",))
    assert "No verdict has changed." in retest_text(nothing)


def test_json_has_everything_and_what_was_before() -> None:
    before = drive(diagnosis_steps(case()))
    after = drive(retest_steps(before, before.report.findings[0]))
    found = json.loads(json.dumps(as_json(after, Retest(before, after, ("model.hv_order",))),
                                  allow_nan=False))  # fmt: skip
    assert found["schema"] == "napari-hovernet/diagnosis"
    assert found["setup"] == {"hv_order": "vh"} and found["applied"] == ["model.hv_order"]
    assert found["before"]["findings"][0]["verdict"] == "fault"
    assert found["verdicts"] == {"fault": 0, "warn": 2, "ok": 2, "not tested": 2}


def test_not_tested_is_grouped_by_what_it_takes() -> None:
    findings = [Finding(f"data.{n}", NOT_TESTED, n, f"Not tested: {why}.")
                for n, why in (("a", "give x"), ("b", "give y"), ("c", "give y"))]  # fmt: skip
    groups = untested(DiagnosisReport(tuple(findings), 0, 0))
    assert [(why, [f.title for f in found]) for why, found in groups] == [
        ("give y", ["b", "c"]),
        ("give x", ["a"]),
    ]


def test_words_for_all_there_is() -> None:
    assert set(LAYER_WORDS) == set(LAYERS)
    assert set(SETUP_WORDS) == set(vars(Setup()))
    changes = Setup(zoom=0.5, labels_shift=(0, 56), token_prefix=5).changes
    assert set(setup_words(changes)) == {
        "zoom 0.5", "labels moved by 0, 56", "tokens before the first patch 5",
    }  # fmt: skip
    assert number_words(Finding("data.empty", "ok", "a", "b")) == ""
