"""Diagnosing without the panel: what runs, what is kept, what is looked at, what is mended."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.utils.key_bindings import coerce_keybinding

from napari_hovernet._napari import diagnosing as module
from napari_hovernet._napari import remedies as remedies_module
from napari_hovernet._napari.comparing import comparing_for
from napari_hovernet._napari.desk import desk_for
from napari_hovernet._napari.diagnosing import diagnosing_for
from napari_hovernet._napari.diagnosis_ask import NO_MAPS, NO_RUN, ready
from napari_hovernet._napari.diagnosis_state import FilesChoice, Opened
from napari_hovernet._napari.remedies import tuned_with
from napari_hovernet._napari.session_for import forget
from napari_hovernet._napari.tuner import tuner_for
from napari_hovernet._napari.view import camera_of
from napari_hovernet.app.diagnose import Diagnosis
from napari_hovernet.core.diagnosis.bench import Bench
from napari_hovernet.core.diagnosis.case import ArrayItems, Case
from napari_hovernet.core.diagnosis.engine import Found
from napari_hovernet.core.diagnosis.params import DiagnosisParams
from napari_hovernet.core.diagnosis.predicting import Predictor
from napari_hovernet.core.diagnosis.ranking import rank
from napari_hovernet.core.diagnosis.report import OK, DiagnosisReport, Finding
from napari_hovernet.core.separation.tuning import TuneParams
from napari_hovernet.core.types import Maps, Progress
from napari_hovernet.errors import InputError

WAIT_MS = 60_000


class Checks:
    """Stands in for the checks: gives made-up findings, one by one, when let go."""

    def __init__(self, findings) -> None:
        self.found = findings.made_up()
        self.go_on, self.error, self.asked = threading.Event(), None, []
        self.go_on.set()
        image = np.zeros((3, 60, 90, 3), np.uint8)
        truth = np.zeros((3, 60, 90), int)
        truth[:, 5:30, 5:30] = 1
        self.case = Case(ArrayItems(image=image, labels=truth))

    def of(self, *asked):
        self.asked.append(asked)
        bench = Bench(self.case)
        yield Opened(0, 0, "Looking", bench=bench)
        for n in (3, len(self.found)):
            yield Found(n, len(self.found), "a check", findings=rank(self.found[:n]))
            while not self.go_on.wait(0.01):
                yield Progress(n, len(self.found), "waiting")
            if self.error is not None:
                raise self.error
        return self.diagnosis(bench, self.found)

    def again(self, was, finding):
        yield Progress(0, 1, "once more")
        yield Found(1, 1, "once more", findings=was.report.findings)
        while not self.go_on.wait(0.01):
            yield Progress(0, 1, "waiting")
        if self.error is not None:
            raise self.error
        mended = Finding(finding.id, OK, finding.title, "AJI 0.97.", 0.97, 0.6, "AJI")
        found = [mended if f.id == finding.id else replace(f, explained_by="") for f in self.found]
        return self.diagnosis(Bench(self.case), rank(found))

    def diagnosis(self, bench, found):
        report = DiagnosisReport(tuple(found), 1, 3)
        return Diagnosis(self.case, bench, report, DiagnosisParams())


@pytest.fixture
def viewer(jobs, qapp):
    viewer = ViewerModel()
    yield viewer
    forget(viewer)


@pytest.fixture
def checks(monkeypatch, findings):
    fake = Checks(findings)
    monkeypatch.setattr(module, "diagnose_run_steps", fake.of)
    monkeypatch.setattr(module, "diagnose_files_steps", fake.of)
    monkeypatch.setattr(remedies_module, "retest", fake.again)
    yield fake
    fake.go_on.set()


@pytest.fixture
def diagnosing(viewer, checks):
    return diagnosing_for(viewer)


@pytest.fixture
def desk(viewer):
    return desk_for(viewer)


@pytest.fixture
def add(viewer, desk, planted_run, qtbot):
    image = viewer.add_image(np.zeros((200, 260, 3), np.uint8), rgb=True, name="slide")

    def add(number=1, **keywords):
        run = planted_run(image, number, **keywords)
        desk.work.session.finish(run)
        qtbot.waitUntil(lambda: not desk.busy and desk.work.layers.settled, timeout=WAIT_MS)
        return run

    return add


@pytest.fixture
def finish(diagnosing, qtbot):
    def finish():
        qtbot.waitUntil(lambda: not diagnosing.busy and not diagnosing.view.busy, timeout=WAIT_MS)

    return finish


def on(viewer):
    return [x.name for x in viewer.layers if x.visible]


# ------------------------------------------------------------------ what runs


def test_it_is_one_per_viewer_and_says_what_is_missing(viewer, diagnosing):
    assert diagnosing_for(viewer) is diagnosing
    with pytest.raises(InputError, match="no run"):
        diagnosing.diagnose_run()
    with pytest.raises(InputError, match="Choose a model"):
        diagnosing.diagnose_files(FilesChoice())
    assert ready(diagnosing.desk, "run", FilesChoice()) == (NO_RUN, "")
    assert ready(diagnosing.desk, "files", FilesChoice("compact")) == ("", "")


def test_a_run_without_maps_cannot_be_diagnosed(diagnosing, viewer, desk, planted_run):
    image = viewer.add_image(np.zeros((200, 260, 3), np.uint8), rgb=True)
    desk.study.choose_run(planted_run(image, maps=None))
    assert ready(diagnosing.desk, "run", FilesChoice())[0] == NO_MAPS
    with pytest.raises(InputError, match="kept no maps"):
        diagnosing.diagnose_run()


def test_a_run_is_diagnosed_with_its_truth(diagnosing, checks, add, desk, finish, qtbot):
    run, viewer = add(), desk.viewer
    truth = viewer.add_labels(run.result.labels.copy(), name="by hand")
    comparing_for(viewer).choose(("layer", id(truth)))
    qtbot.waitUntil(lambda: desk.study.truth.labels is not None, timeout=WAIT_MS)
    said = ready(diagnosing.desk, "run", FilesChoice())[1]
    assert "truth: by hand" in said and "separation local;" in said
    diagnosing.diagnose_run()
    assert diagnosing.busy and diagnosing.headline == "Looking at compact 1 ..."
    finish()
    ((asked,),) = checks.asked
    assert asked.run is run and asked.image.shape == (200, 260, 3)
    assert np.array_equal(asked.truth, run.result.labels)
    assert diagnosing.diagnosis.report.findings == diagnosing.findings
    assert diagnosing.headline.startswith("Most likely cause: Touching nuclei")


def test_findings_come_while_the_rest_runs(diagnosing, checks, qtbot, findings):
    checks.go_on.clear()
    steps = []
    diagnosing.progress.connect(steps.append)
    diagnosing.diagnose_files(FilesChoice("compact"))
    qtbot.waitUntil(lambda: len(diagnosing.findings) == 3, timeout=WAIT_MS)
    assert diagnosing.busy and diagnosing.diagnosis is None and "so far" in diagnosing.headline
    diagnosing.view.choose(findings.CAUSE)
    checks.go_on.set()
    qtbot.waitUntil(lambda: not diagnosing.busy, timeout=WAIT_MS)
    assert len(diagnosing.findings) == 9 and steps[-1] is None
    assert diagnosing.view.finding.id == findings.CAUSE


def test_the_first_cause_is_shown_when_nothing_else_is(diagnosing, finish, findings):
    diagnosing.diagnose_files(FilesChoice("compact"))
    finish()
    assert diagnosing.view.finding.id == findings.CAUSE and diagnosing.view.at == -1


def test_cancel_keeps_what_was_found(diagnosing, checks, qtbot, finish):
    checks.go_on.clear()
    diagnosing.diagnose_files(FilesChoice("compact"))
    qtbot.waitUntil(lambda: len(diagnosing.findings) == 3, timeout=WAIT_MS)
    diagnosing.cancel()
    assert not diagnosing.busy and not diagnosing.at_rest  # no waiting for the step under way
    finish()
    assert len(diagnosing.findings) == 3 and not diagnosing.diagnosis.report.complete
    assert diagnosing.headline.endswith("Stopped before the end.")


def test_a_newer_question_drops_the_older_one(diagnosing, checks, qtbot, finish):
    checks.go_on.clear()
    diagnosing.diagnose_files(FilesChoice("compact"))
    qtbot.waitUntil(lambda: len(diagnosing.findings) == 3, timeout=WAIT_MS)
    diagnosing.diagnose_files(FilesChoice(data="/other"))
    assert diagnosing.findings == () and diagnosing.target.title == "/other"
    checks.go_on.set()
    finish()
    assert [a[0].data for a in checks.asked] == ["", "/other"]
    assert len(diagnosing.findings) == 9


def test_a_failure_is_told_once(diagnosing, checks, finish):
    told = []
    diagnosing.failed.connect(told.append)
    checks.error = InputError("the folder is empty.")
    diagnosing.diagnose_files(FilesChoice("compact"))
    finish()
    assert [str(e) for e in told] == ["the folder is empty."]
    assert diagnosing.diagnosis is None and not diagnosing.busy


# ------------------------------------------------------------------ what is looked at


def test_a_finding_of_a_run_flies_over_the_runs_own_layers(
    viewer, diagnosing, add, finish, findings
):
    add()
    mine = viewer.add_points([[1, 1]], name="mine")
    diagnosing.diagnose_run()
    finish()
    n = len(viewer.layers)
    diagnosing.view.choose(findings.HINT, go=True)
    assert on(viewer) == ["slide", "compact 1 · HV horizontal", "mine"] and mine.visible
    assert camera_of(viewer).center[-2:] == pytest.approx((9.5, 14.5), abs=1)
    diagnosing.view.look_at("hv_y")
    assert "compact 1 · HV vertical" in on(viewer)
    assert "compact 1 · HV horizontal" not in on(viewer) and len(viewer.layers) == n


def test_the_truth_is_seen_over_the_maps(diagnosing, add, desk, finish, findings, qtbot):
    run, viewer = add(), desk.viewer
    truth = viewer.add_labels(run.result.labels.copy(), name="by hand")
    comparing_for(viewer).choose(("layer", id(truth)))
    qtbot.waitUntil(lambda: desk.study.truth.labels is not None, timeout=WAIT_MS)
    diagnosing.diagnose_run()
    finish()
    for _ in range(2):
        diagnosing.view.choose(findings.CAUSE, go=True)
        finish()
        shown = ["slide", "compact 1 · true nuclei", "compact 1 · nuclei"]
        assert on(viewer) == shown and not truth.visible
    assert not viewer.layers["compact 1 · true nuclei"].editable
    diagnosing.view.choose(findings.CAUSE, go=True)
    diagnosing.view.choose(findings.HINT, go=True)  # before the outlines were drawn
    qtbot.wait(50)
    assert on(viewer) == ["slide", "compact 1 · HV horizontal"]
    assert len([x for x in viewer.layers if "true nuclei" in x.name]) == 1


def test_steps_go_round_the_examples(viewer, diagnosing, finish, findings):
    diagnosing.diagnose_files(FilesChoice("compact"))
    finish()
    view = diagnosing.view
    view.keys.acquire()
    view.choose(findings.CAUSE)
    seen = []
    diagnosing.chosen_changed.connect(lambda: seen.append(view.at))
    viewer.keymap[coerce_keybinding(".")](viewer)
    for by in (1, 1, 1, -1, -1):
        view.step(by)
    assert seen == [0, 1, 2, 0, 2, 1]
    view.choose(findings.CAUSE)
    viewer.keymap[coerce_keybinding(",")](viewer)
    assert view.at == 2
    view.keys.release()
    finish()


def test_files_get_a_group_of_layers(viewer, diagnosing, finish, findings):
    diagnosing.diagnose_files(FilesChoice("compact"))
    finish()
    diagnosing.view.choose(findings.CAUSE, go=True)
    finish()
    names = [x.name for x in viewer.layers]
    assert names == ["Diagnosis: image 0 · image", "Diagnosis: image 0 · true nuclei"]
    assert on(viewer) == names
    assert camera_of(viewer).center[-2:] == pytest.approx((9.5, 14.5))
    diagnosing.diagnose_files(FilesChoice("compact"))
    assert len(viewer.layers) == 0 and diagnosing.view.finding is None
    finish()


def test_an_image_is_shown_before_all_is_known(viewer, diagnosing, checks, qtbot, finish, findings):
    flat = Maps(np=np.zeros((60, 90)), hv=np.zeros((2, 60, 90)))
    checks.case = replace(checks.case, predictor=Predictor.of(lambda _image: flat))
    checks.go_on.clear()
    diagnosing.diagnose_files(FilesChoice("compact"))
    qtbot.waitUntil(lambda: len(diagnosing.findings) == 3, timeout=WAIT_MS)
    diagnosing.view.choose(findings.CAUSE, go=True)
    qtbot.waitUntil(lambda: not diagnosing.view.busy, timeout=WAIT_MS)
    assert not diagnosing.view.layers.shown.whole and len(viewer.layers) == 2
    before = [x.name for x in viewer.layers]
    camera_of(viewer).zoom = 1.5
    checks.go_on.set()
    finish()
    assert diagnosing.view.layers.shown.whole
    names = [x.name for x in viewer.layers]
    assert set(before) < set(names) and len(names) == 7 and "[1]" not in "".join(names)
    assert camera_of(viewer).zoom == 1.5  # the user may have moved on in it


def test_a_run_that_is_gone_is_told(viewer, diagnosing, add, desk, finish, findings):
    add()
    diagnosing.diagnose_run()
    finish()
    told = []
    diagnosing.told.connect(told.append)
    desk.work.session.undo()
    diagnosing.view.choose(findings.CAUSE, go=True)
    assert told == ["The run of this diagnosis has been removed."]
    assert not diagnosing.remedies.tunable(diagnosing.view.finding)


# ------------------------------------------------------------------ remedies


def test_a_remedy_is_applied_tested_and_taken_back(diagnosing, finish, findings):
    diagnosing.diagnose_files(FilesChoice("compact"))
    finish()
    remedies, first = diagnosing.remedies, diagnosing.diagnosis
    diagnosing.view.choose(findings.CAUSE)
    remedies.apply()
    assert diagnosing.busy and remedies.testing
    finish()
    (made,) = remedies.applied
    assert (made.before, made.after, made.change) == ("fault", "ok", "separation local")
    assert diagnosing.find(findings.CAUSE).verdict == "ok" and diagnosing.diagnosis is not first
    assert diagnosing.view.finding.verdict == "ok"
    remedies.undo()
    assert diagnosing.diagnosis is first and remedies.applied == ()
    assert diagnosing.view.finding.verdict == "fault"
    remedies.undo()
    assert diagnosing.diagnosis is first


@pytest.mark.parametrize("end", ["cancel", "error"])
def test_a_test_that_does_not_end_changes_nothing(diagnosing, checks, qtbot, finish, findings, end):
    diagnosing.diagnose_files(FilesChoice("compact"))
    finish()
    first, before = diagnosing.diagnosis, diagnosing.findings
    diagnosing.view.choose(findings.CAUSE)
    checks.go_on.clear()
    diagnosing.remedies.apply()
    if end == "cancel":
        qtbot.waitUntil(lambda: diagnosing.checks[1] == 1, timeout=WAIT_MS)
        diagnosing.cancel()
    checks.error = InputError("no")
    checks.go_on.set()
    finish()
    assert diagnosing.diagnosis is first and diagnosing.findings == before
    assert diagnosing.remedies.applied == () and not diagnosing.remedies.testing
    assert "Stopped" not in diagnosing.headline


def test_what_has_no_remedy_here_cannot_be_applied(diagnosing, finish, findings):
    diagnosing.remedies.apply()
    diagnosing.diagnose_files(FilesChoice("compact"))
    finish()
    diagnosing.view.choose("data.good0")
    assert not diagnosing.remedies.can_apply(diagnosing.view.finding)
    diagnosing.remedies.apply()
    assert not diagnosing.busy and diagnosing.remedies.applied == ()


def test_the_tuner_takes_the_separation(diagnosing, add, desk, finish, findings):
    add()
    diagnosing.diagnose_run()
    finish()
    tuning = tuner_for(desk).tuning
    tuning.choose_preset("merging_relabel")
    diagnosing.view.choose(findings.CAUSE)
    assert diagnosing.remedies.tunable(diagnosing.view.finding)
    diagnosing.remedies.use_in_tuner()
    assert tuning.params.separation == tuning.preset("local")
    diagnosing.view.choose(findings.HINT)
    diagnosing.remedies.use_in_tuner()
    assert tuning.params.hv.order == "vh"


def test_files_are_nothing_for_the_tuner(diagnosing, add, finish, findings):
    add()
    diagnosing.diagnose_files(FilesChoice("compact"))
    finish()
    assert not diagnosing.remedies.tunable(diagnosing.find(findings.CAUSE))


def test_single_fields_are_put_into_the_tuners_parameters():
    params = TuneParams()
    made = tuned_with(params, "separation", {"depth": 0.3}, None)
    assert made.separation == replace(params.separation, depth=0.3)
    assert tuned_with(params, "np_threshold", 0.7, None).separation.np_threshold == 0.7
    assert tuned_with(params, "hv_scale", 2.0, None).hv.scale == 2.0
    with pytest.raises(InputError):
        tuned_with(params, "hv_scale", 1e9, None)


def test_a_report_is_saved_in_the_background(diagnosing, finish, tmp_path, qtbot):
    diagnosing.save(str(tmp_path / "never.json"))
    diagnosing.diagnose_files(FilesChoice("compact"))
    finish()
    told, failed = [], []
    diagnosing.told.connect(told.append)
    diagnosing.failed.connect(failed.append)
    diagnosing.save(str(tmp_path / "found.json"))
    qtbot.waitUntil(lambda: not diagnosing.saving, timeout=WAIT_MS)
    diagnosing.save(str(tmp_path / "none" / "found.json"))
    qtbot.waitUntil(lambda: not diagnosing.saving, timeout=WAIT_MS)
    assert [p.name for p in tmp_path.glob("*.json")] == ["found.json"]
    assert len(told) == 1 and len(failed) == 1
