"""What is found out of a run, and of two side by side."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from napari_hovernet.app.jobs import drive
from napari_hovernet.app.session import ImageChoice, Run
from napari_hovernet.app.study import (
    Case,
    DeltaRow,
    case_of,
    finding_steps,
    two_runs_steps,
    why_not,
)
from napari_hovernet.core.hv import hv_targets
from napari_hovernet.core.params import SeparationParams
from napari_hovernet.core.types import Maps, ModelInfo, TypeInfo
from napari_hovernet.errors import InputError


@pytest.fixture
def labels():
    """Two squares that touch, and one alone."""
    made = np.zeros((40, 50), np.int32)
    made[5:15, 5:15], made[5:15, 15:25], made[25:35, 30:40] = 1, 2, 3
    return made


def case(labels, **changes):
    maps = Maps(np=(labels > 0).astype(np.float32), hv=hv_targets(labels))
    given = {"separation": SeparationParams(), "info": ModelInfo("compact"), **changes}
    return Case(maps=maps, labels=labels, **given)


def test_everything_is_found_out(labels):
    info = ModelInfo("hovernet", types={1: TypeInfo("neoplastic", (255, 0, 0))})
    found = drive(finding_steps(case(labels, info=info, mask=labels > 0)))
    assert found.nuclei.label.tolist() == [1, 2, 3] and found.nuclei.area.tolist() == [100] * 3
    assert found.nuclei.type_names[1].name == "neoplastic"
    assert found.magnitude.verdict == "healthy" and found.magnitude.inside.n == 300
    assert (found.blobs.n_components, found.blobs.n_instances) == (2, 3)
    assert found.comparison is None and found.errors == ()


def test_a_truth_is_compared_with_and_the_oracle_cut_as_the_run(labels):
    truth = labels.copy()
    truth[truth == 2] = 1  # the truth holds one where the run has two
    merging = SeparationParams.preset("merging_relabel")
    found = drive(finding_steps(case(labels, truth=truth, separation=merging)))
    assert found.comparison.prediction.n_true == 2 and found.comparison.prediction.n_pred == 3
    plain = drive(finding_steps(case(labels, truth=labels))).comparison
    faulty = drive(finding_steps(case(labels, truth=labels, separation=merging))).comparison
    assert plain.prediction.aji == 1 == plain.oracle.aji
    assert faulty.oracle.aji == pytest.approx(faulty.connected_components.aji)
    assert faulty.oracle.aji < 0.8


def test_a_truth_of_another_size_spoils_nothing_else(labels):
    found = drive(finding_steps(case(labels, truth=np.zeros((7, 9), np.int32))))
    assert found.comparison is None and len(found.nuclei) == 3
    assert "7 x 9" in found.errors[0] and "40 x 50" in found.errors[0]


def test_no_nuclei_at_all(labels):
    found = drive(finding_steps(case(np.zeros_like(labels), truth=labels)))
    assert len(found.nuclei) == 0 and found.magnitude.verdict == "no nuclei"
    assert found.blobs.n_instances == 0 and found.comparison.prediction.aji == 0


def run(number=1, labels=None, scale=1.0, image=7, plane=(), offset=(0, 0)):
    if labels is None:
        labels = np.zeros((40, 50), np.int32)
        labels[5:15, 5:15], labels[5:15, 15:25], labels[25:35, 30:40] = 1, 2, 3
    maps = Maps(np=(labels > 0).astype(np.float32), hv=scale * hv_targets(labels))
    result = SimpleNamespace(
        labels=labels, maps=maps, info=ModelInfo("compact"), offset=offset,
        cut_with=SeparationParams(), separation=SimpleNamespace(mask=labels > 0),
    )  # fmt: skip
    choice = ImageChoice(image, f"slide {image}")
    return Run(number, f"compact {number}", choice, result, SimpleNamespace(plane=plane))


@pytest.fixture
def merged():
    """The same image where B took two nuclei for one, and its HV collapsed."""
    a = run()
    labels = np.where(a.result.labels == 2, 1, a.result.labels).astype(np.int32)
    return a, run(2, labels, scale=0.05)


def table(two):
    return {row.name: row.texts() for row in two.rows()}


def test_what_differs_and_by_how_much(merged):
    a, b = merged
    two = drive(two_runs_steps(case_of(a, a.result.labels), case_of(b, b.result.labels)))
    rows = table(two)
    assert rows["Nuclei"] == ("3", "2", "-1")
    assert rows["Verdict"] == ("healthy", "collapsed", "differs")
    assert rows["Components"] == ("2", "2", "0")
    first, second, delta = (float(text) for text in rows["Magnitude inside"])
    assert first > 0.6 and second < 0.1 and delta == pytest.approx(second - first, abs=2e-3)
    assert two.difference.merged == 2 and two.difference.matched == 1
    assert "AJI" not in rows and two.errors == ()


def test_with_a_truth_there_are_scores(merged):
    a, b = merged
    truth = a.result.labels
    cases = [case_of(x, x.result.labels, truth) for x in (a, b)]
    rows = table(drive(two_runs_steps(*cases)))
    assert rows["AJI"][0] == "1.000" and rows["AJI"][2].startswith("-0.")
    assert rows["Dice"] == ("1.000", "1.000", "0.000") and rows["PQ"][0] == "1.000"


def test_a_truth_that_does_not_fit_is_told_once(merged):
    a, b = merged
    cases = [case_of(x, x.result.labels, np.zeros((3, 4), np.int32)) for x in (a, b)]
    two = drive(two_runs_steps(*cases))
    assert "AJI" not in table(two) and len(two.errors) == 1 and "3 x 4" in two.errors[0]


def test_numbers_are_shown_with_their_sign():
    assert DeltaRow("n", "", 12_000, 10_500).texts() == ("12,000", "10,500", "-1,500")
    assert DeltaRow("x", "", float("nan"), 0.5, 2).texts() == ("-", "0.50", "-")


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (run(1), "beside itself"),
        (run(2, image=8), "'slide 7' and compact 2 from 'slide 8'"),
        (run(2, plane=(2,)), "plane 1 and compact 2 plane 3"),
        (run(2, offset=(5, 6)), "40 x 50 pixels from row 5, column 6"),
        (run(2, np.zeros((40, 51), np.int32)), "same region"),
        (run(2), ""),
    ],
)
def test_it_says_why_two_runs_cannot_be_compared(other, words):
    said = why_not(run(1), other)
    assert words in said and bool(said) == bool(words)


def test_other_sizes_and_runs_without_maps_are_refused():
    a, b = run(1), run(2, np.zeros((8, 9), np.int32))
    with pytest.raises(InputError, match="same image and region"):
        drive(two_runs_steps(case_of(a, a.result.labels), case_of(b, b.result.labels)))
    result = SimpleNamespace(**{**vars(a.result), "maps": None})
    with pytest.raises(TypeError, match="no maps"):
        case_of(replace(a, result=result), a.result.labels)
