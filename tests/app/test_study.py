from __future__ import annotations

import threading
from types import SimpleNamespace

import numpy as np
import pytest

from napari_hovernet.app.study import Findings, Study, TruthChoice
from napari_hovernet.core.measure.magnitude import MagnitudeBands


def run(number=1, shape=(4, 5)):
    return SimpleNamespace(id=number, result=SimpleNamespace(labels=np.full(shape, number)))


@pytest.fixture
def study():
    return Study()


@pytest.fixture
def heard(study):
    """Names of the signals in the order they came."""
    names = []
    for name in ("run", "labels", "truth", "bands", "findings", "nucleus"):
        signal = getattr(study, f"{name}_changed")
        signal.connect(lambda _, name=name: names.append(name))
    return names


def findings():
    return Findings(nuclei=(), magnitude=None, blobs=None)


def test_a_run_brings_its_own_labels_uncorrected(study, heard):
    first = run(3)
    study.choose_run(first)
    assert study.run is first and study.labels is first.result.labels
    assert not study.instances.corrected and heard == ["run"]
    study.choose_run(first)
    assert heard == ["run"]
    study.choose_run(None)
    assert study.run is study.instances is study.labels is None


def test_another_run_drops_findings_and_the_nucleus_but_keeps_the_truth(study, heard):
    study.choose_run(run(1))
    study.choose_truth(TruthChoice(("file", "a.png"), "a.png", np.zeros((4, 5), np.int32)))
    study.take(findings(), study.ticket)
    study.look_at(7)
    heard.clear()
    study.choose_run(run(2))
    assert study.findings is None and study.nucleus == 0 and study.truth.name == "a.png"
    assert sorted(heard) == ["findings", "nucleus", "run"]


@pytest.mark.parametrize(
    "change",
    [
        lambda s: s.choose_run(run(2)),
        lambda s: s.set_labels(np.zeros((4, 5), np.int32), corrected=True),
        lambda s: s.choose_truth(None),
        lambda s: s.set_bands(MagnitudeBands(weak=0.3)),
    ],
    ids=["run", "labels", "truth", "bands"],
)
def test_findings_asked_for_before_a_change_are_refused(study, heard, change):
    study.choose_run(run(1))
    before = study.ticket
    change(study)
    assert not study.take(findings(), before) and study.findings is None
    assert study.take(findings(), study.ticket) and heard[-1] == "findings"


def test_corrections_keep_old_findings_in_sight_until_new_ones_come(study, heard):
    study.choose_run(run(1))
    old = findings()
    study.take(old, study.ticket)
    labels = np.ones((4, 5), np.int32)
    study.set_labels(labels, corrected=True)
    assert study.findings is old and study.labels is labels and study.instances.corrected
    assert heard[-1] == "labels"


def test_labels_without_a_run_are_nobodys(study, heard):
    study.set_labels(np.ones((4, 5), np.int32), corrected=True)
    assert study.labels is None and heard == []


def test_equal_bands_and_the_same_nucleus_change_nothing(study, heard):
    ticket = study.ticket
    study.set_bands(MagnitudeBands())
    study.look_at(0)
    assert heard == [] and study.ticket == ticket
    study.look_at(4)
    study.look_at(4)
    assert heard == ["nucleus"] and study.ticket == ticket


def test_another_thread_is_refused(study):
    caught = []

    def work():
        try:
            study.look_at(1)
        except TypeError as error:
            caught.append(str(error))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert "main thread" in caught[0] and study.nucleus == 0
