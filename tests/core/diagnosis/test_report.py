"""Findings and reports: what is refused, what is told first."""

from __future__ import annotations

import json

import pytest

from napari_hovernet.core.diagnosis.report import (
    FAULT,
    NOT_TESTED,
    OK,
    WARN,
    DiagnosisReport,
    Finding,
    Place,
    Plot,
    Remedy,
)
from napari_hovernet.errors import InputError

BAD = Finding(
    "data.coverage",
    FAULT,
    "Nearly all is nucleus",
    "86 % of the pixels",
    value=0.86,
    threshold=0.5,
    certainty=0.9,
    remedy=Remedy("Take the other channel.", "np_channel", 0),
    numbers={"all-foreground Dice": 0.925},
    layers=("image", "truth"),
    places=(Place(0, "a", (0, 5, 0, 5)),),
)
FINE = Finding("model.mpp", OK, "Magnification", "fits")
ODD = Finding("loss.share", WARN, "One term drowns the others", "97 %", certainty=0.3)
UNKNOWN = Finding("augmentation.hv", NOT_TESTED, "Augmentation", "Not tested: give one.")


@pytest.mark.parametrize(
    "changes",
    [
        {"id": "weather.rain"},
        {"verdict": "bad"},
        {"certainty": 1.5},
        {"verdict": OK, "certainty": 0.5},
        {"layers": ("moon",)},
    ],
)
def test_a_finding_that_makes_no_sense_is_refused(changes: dict[str, object]) -> None:
    values = {"id": "data.empty", "verdict": FAULT, "title": "x", "evidence": "y"}
    with pytest.raises(InputError):
        Finding(**{**values, **changes})  # type: ignore[arg-type]


def test_a_remedy_can_only_set_what_there_is() -> None:
    with pytest.raises(InputError, match="weather"):
        Remedy("Wait.", "weather", "sun")


def test_a_plot_of_an_unknown_kind_is_refused() -> None:
    with pytest.raises(InputError, match="pie"):
        Plot("pie", "x", (), ())


def test_a_report_tells_the_first_cause() -> None:
    report = DiagnosisReport((BAD, ODD, FINE, UNKNOWN), 1, 3)
    assert report.first is BAD
    assert report.summary == "Most likely cause: Nearly all is nucleus (1 more to look at)."
    assert report.faults == (BAD,)
    assert report.warnings == (ODD,)
    assert report.passed == (FINE,)
    assert report.not_tested == (UNKNOWN,)
    assert report.get("model.mpp") is FINE
    assert report.get("model.none") is None


def test_what_is_explained_is_no_cause() -> None:
    symptom = Finding(
        "model.score", FAULT, "Low", "low", certainty=0.3, explained_by="data.coverage"
    )
    report = DiagnosisReport((symptom,), 1, 1)
    assert report.first is None
    assert report.summary == "Nothing wrong was found in 1 checks."


def test_a_report_goes_into_json_without_nan() -> None:
    text = json.dumps(DiagnosisReport((BAD, FINE), 1, 3).as_dict(), allow_nan=False)
    read = json.loads(text)
    assert read["findings"][0]["remedy"] == {
        "text": "Take the other channel.",
        "action": "np_channel",
        "value": 0,
    }
    assert read["findings"][1]["value"] is None
    assert read["findings"][0]["places"][0]["box"] == [0, 5, 0, 5]
