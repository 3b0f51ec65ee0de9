"""One line that sums up what is on screen, and where to go next."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from napari_hovernet.app.jobs import drive
from napari_hovernet.app.study import Case, Study, find_uncertain, finding_steps, verdict
from napari_hovernet.core.hv import hv_targets
from napari_hovernet.core.measure.nuclei import measure
from napari_hovernet.core.params import SeparationParams
from napari_hovernet.core.separation.tuning import TuneParams
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


def test_nothing_yet():
    assert verdict(Study()).text == ""
    study = studied(squares())
    study.findings = None
    assert verdict(study).text == "6 nuclei · looking closer ..."


def test_all_is_well():
    found = verdict(studied(squares()))
    assert found.text == "6 nuclei · no blobs · HV healthy"
    assert (found.tone, found.step, found.step_label) == ("good", "check", "Check")


def test_blobs_come_first_and_hv_is_not_blamed_for_them():
    truth = np.zeros((40, 130), np.int32)
    rows, cols = np.indices(truth.shape)
    for i, col in enumerate((12, 26, 40, 70, 84, 110)):
        truth[(rows - 20) ** 2 + (cols - col) ** 2 <= 60] = i + 1
    merged = np.array([0, 1, 1, 1, 4, 5, 6], np.int32)[truth]
    found = verdict(studied(truth, merged))
    assert found.text.startswith("4 nuclei · 1 blob") and "wrong way" not in found.text
    assert found.tone == "bad" and found.step in ("check", "why")


def test_health_is_not_said_where_many_are_uncertain():
    truth = squares(10)
    share = np.where(truth > 0, 0.95, 0.02)
    share[(truth > 5)] = 0.6
    found = verdict(studied(truth, np=share))
    assert found.text == "10 nuclei · no blobs · 5 uncertain"
    assert found.tone == "warn"
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


def test_reversed_hv_is_named():
    found = verdict(studied(squares(), length=-1.0))
    assert "HV points the wrong way" in found.text and found.tone == "bad"


def test_a_score_is_added_where_there_is_a_truth():
    truth = squares()
    assert verdict(studied(truth, truth=truth)).text.endswith("AJI 1.00")


def test_the_study_knows_what_the_screen_was_cut_with():
    study, tuned = studied(squares()), TuneParams(SeparationParams(min_area=77))
    assert study.cut_with == SeparationParams()
    study.set_labels(squares(3), corrected=False, params=tuned)
    study.set_labels(squares(4), corrected=True)
    assert study.cut_with.min_area == 77 and study.instances.corrected
