"""One run under the glass: what is chosen and announced; true labels from layers, files, runs."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from napari_hovernet.app import study as module
from napari_hovernet.app.jobs import drive
from napari_hovernet.core.hv import hv_targets
from napari_hovernet.core.io.labels import write_label_tiff
from napari_hovernet.core.params import SeparationParams
from napari_hovernet.core.types import CONSEP, Maps, ModelInfo


def run(number=1, shape=(4, 5)):
    return SimpleNamespace(id=number, result=SimpleNamespace(labels=np.full(shape, number)))


@pytest.fixture
def study():
    return module.Study()


@pytest.fixture
def heard(study):
    """Names of the signals in the order they came."""
    names = []
    for name in ("run", "labels", "truth", "findings", "nucleus"):
        signal = getattr(study, f"{name}_changed")
        signal.connect(lambda _, name=name: names.append(name))
    return names


def findings():
    return module.Findings(nuclei=(), magnitude=None, blobs=None)


def test_a_run_brings_its_own_labels_and_drops_findings_of_another(study, heard):
    first = run(3)
    study.choose_run(first)
    assert study.run is first and study.labels is first.result.labels
    assert not study.instances.corrected and heard == ["run"]
    study.choose_run(first)
    assert heard == ["run"]
    study.choose_run(None)
    assert study.run is study.instances is study.labels is None
    study.choose_run(run(1))
    study.choose_truth(module.TruthChoice(("file", "a.png"), "a.png", np.zeros((4, 5), np.int32)))
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
    ],
    ids=["run", "labels", "truth"],
)
def test_findings_asked_for_before_a_change_are_refused(study, heard, change):
    study.choose_run(run(1))
    before = study.ticket
    change(study)
    assert not study.take(findings(), before) and study.findings is None
    assert study.take(findings(), study.ticket) and heard[-1] == "findings"


def labels() -> np.ndarray:
    image = np.zeros((20, 30), np.int32)
    image[3:9, 3:9], image[3:9, 9:15] = 1, 2
    return image


def source(array, origin=None, notes=()):
    return module.TruthSource(("layer", 1), "mine", lambda _: module.Given(array, origin, notes))


def test_labels_are_checked_noted_and_cut_to_their_place() -> None:
    given = source(labels().astype(float), notes=("as is",))
    choice = drive(module.truth_steps(given, module.Target((20, 30))))
    assert (choice.key, choice.name, choice.error) == (("layer", 1), "mine", "")
    np.testing.assert_array_equal(choice.labels, labels())
    assert choice.notes[0] == "as is" and "float64" in choice.notes[1]
    target = module.Target((8, 10), (2, 6), region=True)
    choice = drive(module.truth_steps(source(labels()), target))
    np.testing.assert_array_equal(choice.labels, labels()[2:10, 6:16])
    assert "cut to the run's region" in choice.notes[0]
    target = module.Target((8, 10), (102, 206), region=True)
    choice = drive(module.truth_steps(source(labels(), (100, 200)), target))
    np.testing.assert_array_equal(choice.labels, labels()[2:10, 6:16])


def test_labels_of_another_size_or_place_are_an_error_and_what_has_not_changed_stays() -> None:
    for bad in (labels()[1:], np.zeros((20, 30, 3), np.uint8), -labels()):
        choice = drive(module.truth_steps(source(bad), module.Target((20, 30))))
        assert choice.labels is None and choice.error.startswith("The truth ")
    target = module.Target((20, 30), (0, 0), region=True)
    for row, column in ((5, 0), (0, 7), (0, -20)):
        choice = drive(module.truth_steps(source(labels(), (row, column)), target))
        assert choice.labels is None and f"from row {row}, column {column}" in choice.error
    target = module.Target((20, 30))
    first = drive(module.truth_steps(source(labels()), target))
    assert drive(module.truth_steps(source(labels()), target, first)) is first
    painted = labels()
    painted[15, 15] = 3
    again = drive(module.truth_steps(source(painted), target, first))
    assert again is not first and again.labels[15, 15] == 3
    wrong = drive(module.truth_steps(source(labels()[1:]), target, first))
    assert drive(module.truth_steps(source(labels()[1:]), target, wrong)) is wrong
    assert drive(module.truth_steps(source(labels()), target, wrong)) is not wrong


def test_true_types_of_a_file_are_compared_with_those_of_the_model(tmp_path: Path) -> None:
    labels = np.zeros((20, 30), np.int32)
    labels[2:10, 2:10], labels[2:10, 15:25] = 1, 2
    write_label_tiff(tmp_path / "x_labels.tif", labels)
    (tmp_path / "x_types.csv").write_text("label,type,type_name\n1,1,Spindle\n2,2,inflammatory\n")
    source = module.file_source(str(tmp_path / "x_labels.tif"))
    target = module.Target(labels.shape)
    truth = drive(module.truth_steps(source, target))
    assert truth is drive(module.truth_steps(source, target, truth)), "nothing has changed"
    types = np.zeros((5, 20, 30), np.float32)
    types[4], types[2][labels == 2], types[4][labels == 2] = labels == 1, 0, 1
    maps = Maps(np=labels > 0, hv=hv_targets(labels), types=types)
    info = ModelInfo("lite", types=dict(CONSEP))
    case = module.Case(maps, labels, info, SeparationParams(), truth=truth.labels, read=truth.read)
    found = drive(module.finding_steps(case))
    scores = found.comparison.prediction.typed
    assert (scores.type_accuracy, scores.confusion[2, 4]) == (0.5, 1)
    assert [row.name for row in scores.types.values()] == [t.name for t in CONSEP.values()][1:]
