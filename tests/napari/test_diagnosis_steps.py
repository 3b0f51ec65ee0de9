"""What runs in the worker thread: a run, files, reports."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from napari_hovernet._napari import diagnosis_steps as steps
from napari_hovernet._napari.diagnosis_state import TUNER, Applied, FilesChoice
from napari_hovernet.app import diagnose
from napari_hovernet.app.jobs import drive
from napari_hovernet.app.session import ImageChoice, Run
from napari_hovernet.core.diagnosis.bench import Bench
from napari_hovernet.core.diagnosis.case import ArrayItems, Case
from napari_hovernet.core.diagnosis.params import DiagnosisParams
from napari_hovernet.core.diagnosis.report import DiagnosisReport
from napari_hovernet.core.separation.tuning import TuneParams
from napari_hovernet.core.types import Progress
from napari_hovernet.errors import OutputError


@pytest.fixture
def few(monkeypatch):
    """Let the checks be none: opening is what is tested."""

    def none(case, _params, bench):
        yield Progress(0, 1, "checks")
        return diagnose.diagnosis_steps, case, bench

    monkeypatch.setattr(diagnose, "diagnosis_steps", none)


def run_of(result):
    return Run(1, "compact 1", ImageChoice(1, "slide"), result, metadata={"device": "cpu"})


def test_a_run_becomes_a_case_of_its_region(few, make_result):
    run = run_of(make_result(offset=(10, 20)))
    image = np.arange(100 * 120 * 3, dtype=np.uint32).reshape(100, 120, 3).astype(np.uint8)
    seen = []
    truth = run.result.labels
    asked = steps.RunAsked(run, image, truth)
    _, case, bench = drive(steps.diagnose_run_steps(asked), seen.append)
    raw = case.items.read(0)
    assert np.array_equal(raw.image, image[10:74, 20:100]) and raw.labels is truth
    assert raw.name == "compact 1" and case.predictor.model is not None
    assert case.separator.params == run.result.cut_with
    assert [x.bench for x in seen if getattr(x, "bench", None)] == [bench]


def test_a_run_without_its_layer_and_its_model_is_diagnosed_too(few, make_result):
    run = run_of(make_result())
    _, case, _ = drive(steps.diagnose_run_steps(steps.RunAsked(run)))
    assert case.predictor is None and "maps" in case.has and "image" not in case.has
    gone = replace(run.result.info, source="/nowhere/m.tar")
    run = run_of(replace(run.result, info=gone))
    image = np.zeros((64, 80, 3), np.uint8)
    _, case, _ = drive(steps.diagnose_run_steps(steps.RunAsked(run, image)))
    assert case.predictor is None and "m.tar" in case.notes[0]


def test_files_are_opened_with_the_tuners_parameters(few, tmp_path):
    np.savez(tmp_path / "a.npz", labels=np.eye(64, dtype=int)[None])
    choice = FilesChoice(data=str(tmp_path / "a.npz"), separation=TUNER, n_samples=3)
    params = TuneParams(replace(TuneParams().separation, np_threshold=0.7))
    _, case, bench = drive(steps.diagnose_files_steps(choice, params))
    assert case.separator.params.np_threshold == 0.7 and bench.params.n_maps == 3
    assert steps.pictures_of(bench).case.predictor is None


def test_the_report_is_written_as_json_and_as_a_page(tmp_path, findings):
    case = Case(ArrayItems(image=np.zeros((1, 60, 90, 3), np.uint8)))
    report = DiagnosisReport(findings.made_up(), 1, 1)
    made = diagnose.Diagnosis(case, Bench(case), report, DiagnosisParams())
    path = tmp_path / "found.json"
    assert drive(steps.save_steps(made, str(path))) == str(path)
    assert json.loads(path.read_text("utf-8"))["findings"][0]["id"] == findings.CAUSE
    page = tmp_path / "found.html"
    again = Applied(findings.CAUSE, "title", "separation local", "fault", "ok", made)
    drive(steps.save_steps(made, str(page), (again,)))
    assert "Touching nuclei are merged again" in page.read_text("utf-8")
    with pytest.raises(OutputError):
        drive(steps.save_steps(made, str(tmp_path / "none" / "a.json")))


@pytest.mark.slow
def test_checks_run_on_a_run_of_the_viewer(make_result):
    run = run_of(make_result())
    image = np.full((64, 80, 3), 220, np.uint8)
    image[run.result.labels > 0] = (90, 60, 150)
    asked = steps.RunAsked(run, image, run.result.labels)
    found = drive(steps.diagnose_run_steps(asked)).report
    assert found.of == 1 and found.get("data.empty").verdict == "ok"
    assert "failed" not in " ".join(f.evidence for f in found.not_tested)
