"""Ask why, from files and from what is on screen: findings as they come, a remedy, and back."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from markupsafe import escape

from napari_hovernet.app.diagnose import (
    DiagnoseChoice,
    Diagnosis,
    Own,
    Why,
    apply_steps,
    diagnosis_steps,
    open_steps,
    why_steps,
)
from napari_hovernet.app.diagnose_page import panels_of, render_html, svg, window_of, write_html
from napari_hovernet.app.jobs import drive
from napari_hovernet.app.study import Study, TruthChoice
from napari_hovernet.core.diagnosis.bench import DiagnosisParams
from napari_hovernet.core.diagnosis.case import Separator
from napari_hovernet.core.diagnosis.engine import Found
from napari_hovernet.core.diagnosis.report import FAULT, PLOTS, Finding, Plot
from napari_hovernet.core.hv import hv_targets
from napari_hovernet.core.params import InferenceParams, SeparationParams
from napari_hovernet.core.separation import separate
from napari_hovernet.core.synthetic import planted_maps, tissue
from napari_hovernet.core.types import Maps
from napari_hovernet.errors import InputError

MAPS = DiagnosisParams(families=("model", "separation"))


@pytest.fixture(scope="module")
def scene() -> Any:
    """Tissue, and the maps of a network that gives [V, H]."""
    made = tissue((128, 128), seed=3)
    maps = planted_maps(made.labels, seed=1)
    return SimpleNamespace(image=made.image, labels=made.labels,
                           maps=Maps(maps.np, maps.hv[::-1].copy()))  # fmt: skip


def study_of(scene: Any) -> Study:
    """The study of a run on it, with the truth at hand."""
    study = Study()
    result = SimpleNamespace(
        labels=separate(scene.maps).labels, maps=scene.maps, cut_with=SeparationParams(),
        params=SimpleNamespace(inference=InferenceParams()))  # fmt: skip
    study.choose_run(SimpleNamespace(id=1, title="compact 1", result=result))
    study.choose_truth(TruthChoice(("file", "a"), "a", scene.labels))
    return study


@pytest.fixture
def study(scene: Any) -> Study:
    return study_of(scene)


@pytest.fixture(scope="module")
def diagnosis(scene: Any) -> Diagnosis:
    return drive(why_steps(Why(study_of(scene)).ask(scene.image)))


def test_findings_come_one_by_one_and_the_remedy_changes_the_nuclei(study, scene) -> None:
    why, heard, steps = Why(study), [], []
    why.changed.connect(lambda _: heard.append(len(why.findings)))
    assert why.blocked == ""
    asked = why.ask(scene.image)

    def step(made: Any) -> None:
        steps.append(made)
        if isinstance(made, Found):
            assert why.take(asked, made.findings)

    diagnosis = drive(why_steps(asked), step)
    assert why.take(asked, diagnosis) and why.diagnosis is diagnosis
    assert len([s for s in steps if isinstance(s, Found)]) > 10 and heard[-1] == len(why.findings)
    first = why.findings[0]
    assert (first.id, first.verdict, why.cannot_apply(first)) == ("model.hv_direction", FAULT, "")

    before = study.labels
    applied = drive(apply_steps(asked, diagnosis, first))
    assert study.labels is before  # nothing changes until it is put
    said = why.put(applied)
    assert said == applied.words and "nuclei, AJI" in said
    low, high = (float(part) for part in said.split("AJI ")[1].split(" -> "))
    assert high > low + 0.1
    assert study.labels is applied.labels and applied.tune.hv.order == "vh"
    assert why.cannot_apply(first) == "The nuclei are others by now."

    assert why.can_undo and why.undo() == f"Taken back: {said}"
    assert study.labels is before and not why.can_undo
    assert why.cannot_apply(first) == ""  # what was found holds again


def test_a_remedy_of_the_labels_moves_the_truth(study: Study, scene: Any) -> None:
    good = Maps(scene.maps.np, scene.maps.hv[::-1].copy())
    study.run.result.maps = good  # type: ignore[union-attr]
    moved = np.roll(scene.labels, (7, 0), (0, 1))
    study.choose_truth(TruthChoice(("file", "a"), "a", moved))
    why = Why(study)
    asked = why.ask(scene.image)
    why.take(asked, drive(why_steps(asked)))
    finding = next(f for f in why.findings if f.remedy.action == "labels_shift")
    why.put(drive(apply_steps(asked, why.diagnosis, finding)))
    assert study.truth is not None and study.truth.labels is not None
    assert (study.truth.labels[40:80] == scene.labels[40:80]).all()
    assert why.undo() and study.truth.labels is moved


def test_what_is_no_longer_on_screen_is_refused(study: Study, scene: Any) -> None:
    why = Why(Study())
    assert "run first" in why.blocked
    with pytest.raises(InputError, match="run first"):
        why.ask(None)
    why = Why(study)
    asked = why.ask(None)
    study.set_labels(scene.labels, corrected=True)
    assert not why.take(asked, ()) and why.findings == () and why.undo() == ""


def test_the_page_holds_pictures_and_runs_nothing(diagnosis: Diagnosis, tmp_path: Path) -> None:
    write_html(tmp_path / "a.html", diagnosis)
    text = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert "HV channels are swapped" in text and "data:image/png;base64," in text
    assert "<script" not in text and 'src="http' not in text and "url(http" not in text
    first = diagnosis.report.first
    evil = replace(first, title="<b>x</b>")
    report = replace(diagnosis.report, findings=(evil,))
    assert "<b>x</b>" not in render_html(replace(diagnosis, report=report))
    names = [name for name, _ in panels_of(diagnosis.bench, first, first.places[0])]
    assert names[0] == "image" and "HV x" in names
    assert window_of((10, 20, 10, 20), (256, 256)) == (slice(0, 96), slice(0, 96))


def test_a_cause_without_a_place_shows_the_largest_nucleus(diagnosis: Diagnosis) -> None:
    def page(found: Finding) -> str:
        return render_html(replace(diagnosis, report=replace(diagnosis.report, findings=(found,))))

    nowhere = replace(diagnosis.report.first, places=(), plot=None, plain="")
    sizes = np.bincount(diagnosis.bench.instances(0).ravel())[1:]
    rows, cols = np.nonzero(diagnosis.bench.instances(0) == sizes.argmax() + 1)
    box = f"rows {rows.min()} to {rows.max() + 1}, columns {cols.min()} to {cols.max() + 1}"
    text = page(nowhere)
    assert f"{box}: the largest nucleus found" in text and "data:image/png" in text
    assert text.count(str(escape(nowhere.evidence))) == 1  # said openly, not in the fold once more
    assert "the largest nucleus" not in page(replace(nowhere, layers=()))  # nothing to look at


@pytest.mark.parametrize("kind", PLOTS)
def test_every_kind_of_plot_is_drawn(kind: str) -> None:
    x = (0.0, 1.0, 2.0) if kind in ("histogram", "lines") else ("a <b>", "b")
    values = (1.0, 2.0) if kind != "lines" else (1.0, float("nan"), 2.0)
    drawn = svg(Plot(kind, "t", x, (("one", values), ("two", values)), "x", "y", 1.5))
    assert drawn.startswith("<svg") and "<b>" not in drawn
    assert svg(Plot(kind, "t", x, (("one", (float("nan"),)),))) == ""


def test_files_and_code_are_opened(tmp_path: Path, scene: Any) -> None:
    file = tmp_path / "maps.npz"
    np.savez(file, labels=scene.labels, np_pred=scene.maps.np, hv_pred=scene.maps.hv)
    case = drive(open_steps(DiagnoseChoice(data=str(file), separation="hover_net", loss="default")))
    assert {"labels", "maps", "separation", "loss"} <= case.has
    assert drive(diagnosis_steps(case, MAPS)).report.first.id == "model.hv_direction"  # type: ignore[union-attr]
    np.savez(file, labels=scene.labels, np=scene.labels > 0, hv=hv_targets(scene.labels))
    case = drive(open_steps(DiagnoseChoice(data=str(file), convention="vh_inward_radial")))
    assert "targets" in case.has and case.setup.target_order == "vh"
    own = drive(open_steps(DiagnoseChoice(), Own(separation=lambda p, h: p > 0)))
    assert isinstance(own.separator, Separator) and own.items is None
