"""One line that sums up what is on screen, and where to go next."""

from types import SimpleNamespace

import numpy as np
import pytest

from napari_hovernet.app import check
from napari_hovernet.app.jobs import drive
from napari_hovernet.app.session import ImageChoice, Run
from napari_hovernet.app.study import (
    Case,
    Study,
    case_of,
    find_uncertain,
    finding_steps,
    two_runs_steps,
    verdict,
    why_not,
)
from napari_hovernet.core.hv import hv_targets
from napari_hovernet.core.measure.nuclei import measure
from napari_hovernet.core.params import SeparationParams
from napari_hovernet.core.types import Maps, ModelInfo


def squares(n=6, edge=12):
    labels = np.zeros((20, 20 * n), np.int32)
    for i in range(n):
        labels[4 : 4 + edge, 20 * i + 4 : 20 * i + 4 + edge] = i + 1
    return labels


def studied(made, labels=None, sure=0.95, length=1.0, **changes):
    """Look at labels (default: the truth itself) with maps of a true image."""
    labels = made if labels is None else labels
    share = np.where(made > 0, sure, 0.02).astype(np.float32)
    maps = Maps(np=changes.pop("np", share), hv=hv_targets(made) * length)
    study = Study()
    nuclei = measure(labels, maps)
    result = SimpleNamespace(labels=labels, nuclei=nuclei, maps=maps, cut_with=SeparationParams())
    study.choose_run(SimpleNamespace(id=1, result=result))
    case = Case(maps, labels, ModelInfo("compact"), SeparationParams(), **changes)
    study.take(drive(finding_steps(case)), study.ticket)
    return study


def test_what_the_line_says():
    assert verdict(Study()).text == ""
    study = studied(squares())
    study.findings = None
    assert verdict(study).text == "6 nuclei · looking closer ..."
    found = verdict(studied(squares()))
    assert found.text == "6 nuclei · no blobs · HV healthy"
    assert (found.tone, found.step, found.step_label) == ("good", "check", "Check")
    found = verdict(studied(squares(), length=-1.0))
    assert "HV points the wrong way" in found.text and found.tone == "bad"
    truth = squares()
    assert "AJI 1.00" in verdict(studied(truth, truth=truth)).text


def test_blobs_come_first_and_health_is_not_said_where_many_are_uncertain():
    truth = discs([(20, col) for col in (12, 26, 40, 70, 84, 110)], (40, 130), 7.75)
    merged = np.array([0, 1, 1, 1, 4, 5, 6], np.int32)[truth]
    found = verdict(studied(truth, merged))
    assert found.text.startswith("4 nuclei · 1 blob") and "wrong way" not in found.text
    assert found.tone == "bad" and found.step in ("check", "why")
    truth = squares(10)
    share = np.where(truth > 0, 0.95, 0.02)
    share[(truth > 5)] = 0.6
    found = verdict(studied(truth, np=share))
    assert (found.text, found.tone) == ("10 nuclei · no blobs · 5 uncertain", "warn")
    few = np.where(truth > 0, 0.95, 0.02)
    few[truth == 3] = 0.6
    assert "healthy · 1 uncertain" in verdict(studied(truth, np=few)).text


def test_areas_that_became_no_nucleus_are_counted():
    truth = squares(8)
    dropped = np.where(truth > 4, 0, truth).astype(np.int32)
    found = verdict(studied(truth, dropped))
    assert found.text == "4 nuclei · no blobs · 4 uncertain"
    maps = studied(truth, dropped).run.result.maps
    lost = find_uncertain(measure(dropped, maps), maps, dropped).lost
    assert lost[0] == (4, 84, 16, 96)
    none = verdict(studied(truth, np.zeros_like(truth)))
    assert (none.text, none.tone) == ("No nuclei found; 8 likely ones were dropped", "bad")


@pytest.mark.parametrize(("length", "word"), [(0.02, "collapsed"), (0.4, "weak")])
def test_short_hv_leads_to_why(length, word):
    found = verdict(studied(squares(), length=length))
    assert f"HV {word}" in found.text and (found.step, found.tone != "good") == ("why", True)


THREE = np.zeros((40, 50), np.int32)
THREE[5:15, 5:15], THREE[5:15, 15:25], THREE[25:35, 30:40] = 1, 2, 3
"""Two squares that touch, and one alone."""


@pytest.fixture
def labels():
    return THREE.copy()


def case(labels, made=None, **changes):
    made = labels if made is None else made
    maps = Maps(np=(made > 0).astype(np.float32), hv=hv_targets(made))
    given = {"separation": SeparationParams(), "info": ModelInfo("compact"), **changes}
    return Case(maps=maps, labels=labels, **given)


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


def test_a_truth_of_another_size_and_no_nuclei_spoil_nothing_else(labels):
    found = drive(finding_steps(case(labels, truth=np.zeros((7, 9), np.int32))))
    assert found.comparison is None and len(found.nuclei) == 3
    assert "7 x 9" in found.errors[0] and "40 x 50" in found.errors[0]
    found = drive(finding_steps(case(np.zeros_like(labels), truth=labels)))
    assert len(found.nuclei) == 0 and found.magnitude.verdict == "no nuclei"
    assert found.blobs.n_instances == 0 and found.comparison.prediction.aji == 0


def run(number=1, labels=None, scale=1.0, image=7, plane=(), offset=(0, 0)):
    labels = THREE if labels is None else labels
    maps = Maps(np=(labels > 0).astype(np.float32), hv=scale * hv_targets(labels))
    result = SimpleNamespace(
        labels=labels, maps=maps, info=ModelInfo("compact"), offset=offset,
        cut_with=SeparationParams(), separation=SimpleNamespace(mask=labels > 0),
    )  # fmt: skip
    choice = ImageChoice(image, f"slide {image}")
    return Run(number, f"compact {number}", choice, result, SimpleNamespace(plane=plane))


def test_what_differs_and_by_how_much():
    """B took two nuclei for one, and its HV collapsed."""
    a = run()
    b = run(2, np.where(THREE == 2, 1, THREE).astype(np.int32), scale=0.05)
    two = drive(two_runs_steps(case_of(a, a.result.labels), case_of(b, b.result.labels)))
    rows = {row.name: row.texts() for row in two.rows()}
    assert rows["Nuclei"] == ("3", "2", "-1")
    assert rows["Verdict"] == ("healthy", "collapsed", "differs")
    assert rows["Components"] == ("2", "2", "0")
    first, second, delta = (float(text) for text in rows["Magnitude inside"])
    assert first > 0.6 and second < 0.1 and delta == pytest.approx(second - first, abs=2e-3)
    assert two.difference.merged == 2 and two.difference.matched == 1
    assert "AJI" not in rows and two.errors == ()


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


LOCAL = SeparationParams.preset("local")


def discs(places, shape=(90, 120), radius=9):
    r, c = np.indices(shape)
    labels = np.zeros(shape, np.int32)
    for number, (row, col) in enumerate(places, start=1):
        labels[((r - row) ** 2 + (c - col) ** 2 <= radius**2) & (labels == 0)] = number
    return labels


TRUE = discs([(20, 20), (20, 36), (20, 90), (60, 30), (60, 80)])
"""Nuclei 1 and 2 touch; what was found: both as one, 4 not at all, and an extra one."""
FOUND = np.where(TRUE == 4, 0, np.where(TRUE == 2, 1, TRUE)).astype(np.int32)
FOUND[75:85, 5:15] = 9


def test_places_are_listed_by_kind_with_the_worst_first():
    found = drive(finding_steps(case(FOUND, TRUE, truth=TRUE)))
    listed = check.places_of(found)
    counts = {kind: len(places) for kind, places in listed.items()}
    assert counts["merged"] == counts["missed"] == counts["spurious"] == counts["blob"] == 1
    assert check.first_kind(listed) == "blob"
    (blob,) = listed["blob"]
    assert blob.nucleus == 1 and blob.words == "cut into 1, looks like 2" and "HV" in blob.tip
    r0, r1, c0, c1 = blob.box
    assert (FOUND[r0:r1, c0:c1] == 1).sum() == (FOUND == 1).sum()
    assert "extra" in listed["spurious"][0].words and listed["missed"][0].nucleus == 0
    assert set(check.places_of(drive(finding_steps(case(FOUND, TRUE))))) == {"blob", "uncertain"}
    assert check.places_of(None) == {}


@pytest.mark.parametrize("hv", [True, False])
def test_split_cuts_where_hv_turns_back_or_by_shape(hv):
    looked = case(FOUND, TRUE)
    if not hv:
        looked = Case(Maps(np=looked.maps.np, hv=0 * looked.maps.hv), FOUND, looked.info, LOCAL)
    made = drive(check.split_steps(looked, 1, LOCAL))
    after = FOUND.copy()
    after[made.rows, made.cols] = made.ids
    assert ("HV turns back" in made.words) == hv and "split into 2" in made.words
    assert set(np.unique(after)) == {*np.unique(FOUND), 10}
    for true in (1, 2):
        inside = after[true == TRUE]
        assert np.bincount(inside).max() > 0.9 * len(inside)
    assert np.array_equal(after > 0, FOUND > 0)
