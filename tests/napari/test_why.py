"""The tab "Why?" over findings made up, and its remedies over planted maps."""

import threading
from dataclasses import replace

import numpy as np
import pytest

from napari_hovernet._napari import asking as module
from napari_hovernet._napari.panels.why import WhyTab
from napari_hovernet.app.diagnose import Diagnosis
from napari_hovernet.core.diagnosis.engine import Found
from napari_hovernet.core.diagnosis.report import DiagnosisReport
from napari_hovernet.core.types import Progress
from napari_hovernet.core.weights import DEFAULT

from .diagnosis_findings import made_up

LONG_MS = 60_000


@pytest.fixture
def run(work, planted_run, settle):
    made = planted_run(work.image_layers()[0], shape=(64, 80))
    work.session.finish(made)
    settle(work)
    return made


@pytest.fixture
def tab(qtbot, work, run):
    tab = WhyTab(work)
    qtbot.addWidget(tab)
    tab.show()
    return tab


@pytest.fixture
def asked(tab, monkeypatch, qtbot):
    """Ask; the checks find what is made up."""
    made = made_up()

    def steps(_asked):
        yield Found(1, 2, "separation", findings=made[:1])
        return Diagnosis(None, None, DiagnosisReport(made, 1, 1))

    monkeypatch.setattr(module, "why_steps", steps)
    tab.start.click()
    qtbot.waitUntil(lambda: not tab.asking.busy, timeout=LONG_MS)
    return made


def test_another_finding_can_be_chosen_and_read_in_other_words(tab, asked):
    tab.list.setCurrentRow(1)
    assert tab.card.title.text() == "HV channels may be swapped"
    assert not tab.card.words.text()  # the title says it
    tab.code.setChecked(True)
    assert tab.card.words.text() == "Cosine 0.1." and tab.work.forms["why"]["code"] is True


def test_what_was_found_survives_the_dock_and_other_nuclei_outdate_it(
    tab, asked, work, run, qtbot, settle
):
    again = WhyTab(work)
    qtbot.addWidget(again)
    assert again.card.title.text() == tab.card.title.text()
    labels = run.result.labels.copy()
    labels[labels == 1] = 0
    work.study.set_labels(labels, corrected=True)
    assert "ask again" in again.message.text() and not again.card.fix.isEnabled()
    work.study.set_labels(run.result.labels.copy(), corrected=False)
    assert again.message.tone == "bad" and again.card.fix.isEnabled()
    work.session.remove_run(run.id)
    settle(work)
    assert again.asking.findings == () and not again.start.isEnabled()


def test_a_finding_of_another_run_has_a_picture_of_that_run(
    tab, monkeypatch, planted_run, qtbot, settle
):
    work, first = tab.work, made_up()[0]
    for number, shape, box in ((2, (64, 80), (60, 64, 76, 80)), (3, (16, 24), (4, 8, 4, 8))):
        found = replace(first, places=(replace(first.places[0], box=box),))

        def steps(_asked, found=found):
            yield Found(1, 2, "separation", findings=(found,))
            return Diagnosis(None, None, DiagnosisReport((found,), 1, 1))

        monkeypatch.setattr(module, "why_steps", steps)
        work.session.finish(planted_run(work.image_layers()[0], number, shape=shape))
        settle(work)
        tab.start.click()
        qtbot.waitUntil(lambda: not tab.asking.busy, timeout=LONG_MS)
        settle(work)
        assert tab.asking.picture().shape[0] <= shape[0]


def test_a_fix_changes_the_nuclei_before_all_checks_are_done_and_undo_takes_it_back(
    tab, monkeypatch, run, qtbot, settle
):
    work = tab.work
    work.tuning.choose_preset("merging_relabel")
    settle(work)
    merged = work.study.labels.max()
    made = made_up()

    over = threading.Event()

    def steps(_asked):
        yield Found(1, 2, "separation", findings=made)
        while not over.wait(0.02):  # until it is cancelled
            yield Progress(1, 2, "the rest")

    monkeypatch.setattr(module, "why_steps", steps)
    tab.start.click()
    qtbot.waitUntil(lambda: tab.asking.finding is not None, timeout=LONG_MS)
    tab.card.fix.click()
    qtbot.waitUntil(lambda: tab.asking.said[0].startswith("Fixed"), timeout=LONG_MS)
    settle(work)
    assert np.array_equal(work.study.labels > 0, run.result.labels > 0)
    assert tab.asking.fixed and tab.card.title.text().startswith("✓")
    tab.card.undo.click()
    settle(work)
    assert work.study.labels.max() == merged and work.tuning.params.separation.merge_touching
    assert not tab.card.undo.isEnabled()
    over.set()


def test_corrected_nuclei_are_fixed_and_brought_back(tab, asked, work, run, qtbot):
    labels = np.where(run.result.labels > 3, 3, run.result.labels).astype(np.int32)
    work.study.set_labels(labels, corrected=True)
    tab.start.click()
    qtbot.waitUntil(lambda: not tab.asking.busy, timeout=LONG_MS)
    tab.asking.why.diagnosis = None  # the one made up has no bench
    tab.card.fix.click()
    qtbot.waitUntil(lambda: bool(tab.asking.said[0]), timeout=LONG_MS)
    assert tab.asking.said[0].startswith("Fixed") and not work.study.instances.corrected
    tab.card.undo.click()
    assert work.study.labels is labels and work.study.instances.corrected


def test_files_are_asked_about_whatever_is_on_screen(tab, asked, monkeypatch, qtbot, tmp_path):
    made, of_run, go = made_up(), tab.asking.finished, threading.Event()

    def opened(choice):
        assert (choice.model, choice.data) == (DEFAULT, str(tmp_path))
        yield Found(0, 0, "opening")
        return "case"

    def checked(case):
        yield Found(1, 2, "data", findings=made[:1])
        go.wait(20)
        yield Found(2, 2, "data", findings=made)
        return Diagnosis(case, None, DiagnosisReport(made, 1, 1))

    monkeypatch.setattr(module, "open_steps", opened)
    monkeypatch.setattr(module, "diagnosis_steps", checked)
    tab.files.data.setValue(str(tmp_path))
    assert of_run is not None and tab.save.isVisible()
    tab.files.go.click()
    assert not tab.save.isVisible() and tab.asking.finding is None
    qtbot.waitUntil(lambda: tab.asking.finding is not None, timeout=LONG_MS)
    tab.work.study.choose_run(None)  # no reason to stop
    go.set()
    qtbot.waitUntil(lambda: tab.asking.finished is not None, timeout=LONG_MS)
    assert tab.asking.finished is not of_run and tab.asking.finished.case == "case"
    assert tab.card.fix.text() == "Try it" and not tab.card.show_place.isVisible()
    assert tab.save.isVisible()
