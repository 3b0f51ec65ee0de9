"""What a run is compared with, on a ViewerModel: layers, runs, files; edited, renamed, removed."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.utils.key_bindings import coerce_keybinding

from napari_hovernet._napari.comparing import GONE, ITSELF, Comparing, comparing_for
from napari_hovernet._napari.desk import desk_for
from napari_hovernet._napari.images import placement
from napari_hovernet._napari.session_for import forget
from napari_hovernet.app import study as truth_steps
from napari_hovernet.app.session import ImageChoice, Run

WAIT_MS = 60_000


def true_labels(shape=(64, 80)):
    """The two nuclei of the stand-in run, and a third that it missed."""
    labels = np.zeros(shape, np.uint16)
    labels[5:15, 5:15], labels[30:40, 20:32], labels[50:60, 50:60] = 11, 12, 13
    return labels


@pytest.fixture
def viewer():
    return ViewerModel()


@pytest.fixture
def comparing(viewer, jobs, qapp):
    yield comparing_for(viewer)
    forget(viewer)


@pytest.fixture
def desk(viewer, comparing):
    return desk_for(viewer)


@pytest.fixture
def add_run(desk, viewer, make_result):
    """Add a finished run over an image layer."""

    def add(number=1, image="slide", offset=(0, 0)):
        if image not in viewer.layers:
            viewer.add_image(np.zeros((200, 200, 3), np.uint8), rgb=True, name=image)
        layer = viewer.layers[image]
        choice = ImageChoice(id(layer), image)
        place = placement(layer, viewer.dims.current_step)
        run = Run(number, f"compact {number}", choice, make_result(offset=offset), place, {"a": 1})
        desk.work.session.finish(run)
        return run

    return add


def settle(comparing, qtbot):
    def idle():
        return not (comparing.busy or comparing.desk.busy) and comparing.desk.work.layers.settled

    qtbot.waitUntil(idle, timeout=WAIT_MS)


def choose(comparing, layer, qtbot):
    comparing.choose(("layer", id(layer)))
    settle(comparing, qtbot)


def scores(desk):
    return desk.study.findings.comparison.prediction


def test_a_layer_becomes_the_truth(comparing, desk, viewer, add_run, qtbot):
    add_run()
    layer = viewer.add_labels(true_labels(), name="mine")
    assert (("layer", id(layer)), "mine") in comparing.sources()
    choose(comparing, layer, qtbot)
    assert comparing.truth.name == "mine" and comparing.truth.error == ""
    assert scores(desk).outcomes.counts()["matched"] == 2
    assert scores(desk).outcomes.counts()["missed"] == 1
    comparing.choose(None)
    settle(comparing, qtbot)
    assert comparing.truth is None and desk.study.findings.comparison is None


def test_own_layers_and_images_are_not_offered(comparing, viewer, add_run, qtbot):
    add_run()
    settle(comparing, qtbot)
    viewer.add_points(np.zeros((1, 2)))
    assert comparing.sources() == []


def test_edits_of_the_layer_are_followed(comparing, desk, viewer, add_run, qtbot):
    add_run()
    layer = viewer.add_labels(true_labels(), name="mine")
    choose(comparing, layer, qtbot)
    kept = comparing.truth.labels.copy()
    layer.fill((55, 55), 0)
    assert comparing.busy
    np.testing.assert_array_equal(comparing.truth.labels, kept)
    settle(comparing, qtbot)
    assert scores(desk).n_true == 2
    layer.undo()
    settle(comparing, qtbot)
    assert scores(desk).n_true == 3
    layer.data = np.zeros((64, 80), np.uint8)
    settle(comparing, qtbot)
    assert scores(desk).n_true == 0 and comparing.truth.notes == ("The truth holds no nuclei.",)


def test_a_look_that_changes_no_label_changes_nothing(comparing, viewer, add_run, qtbot):
    add_run()
    layer = viewer.add_labels(true_labels(), name="mine")
    choose(comparing, layer, qtbot)
    truth = comparing.truth
    layer.refresh()
    layer.opacity = 0.2
    settle(comparing, qtbot)
    assert comparing.truth is truth


def test_another_layer_is_no_longer_followed(comparing, viewer, add_run, qtbot):
    add_run()
    one = viewer.add_labels(true_labels(), name="one")
    two = viewer.add_labels(true_labels(), name="two")
    choose(comparing, one, qtbot)
    choose(comparing, two, qtbot)
    one.fill((55, 55), 0)
    assert not comparing.busy


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (true_labels((64, 81)), "64 x 81 pixels, the run 64 x 80"),
        (np.zeros((3, 64, 80), int), "shape (3, 64, 80)"),
        (-true_labels().astype(int), "goes down to -13"),
    ],
)
def test_a_layer_that_does_not_fit_is_told_in_words(
    comparing, viewer, add_run, labels, words, qtbot
):
    add_run()
    desk = comparing.desk
    layer = viewer.add_labels(labels, name="bad")
    choose(comparing, layer, qtbot)
    assert words in comparing.truth.error and comparing.truth.labels is None
    assert desk.study.findings.comparison is None and desk.study.findings.nuclei.label.size == 2
    layer.data = true_labels()
    settle(comparing, qtbot)
    assert comparing.truth.error == "" and scores(desk).n_true == 3


def test_a_renamed_layer_is_followed_by_name(comparing, viewer, add_run, qtbot):
    add_run()
    layer = viewer.add_labels(true_labels(), name="mine")
    choose(comparing, layer, qtbot)
    layer.name = "hers"
    assert comparing.truth.name == "hers" and comparing.sources()[0][1] == "hers"


def test_renamed_and_removed_while_it_is_read(comparing, viewer, add_run, monkeypatch, qtbot):
    add_run()
    layer = viewer.add_labels(true_labels(), name="mine")
    comparing.choose(("layer", id(layer)))
    layer.name = "hers"
    settle(comparing, qtbot)
    assert comparing.truth.name == "hers"
    layer.data = np.where(true_labels() == 13, 0, true_labels())
    comparing.refresh()
    viewer.layers.remove(layer)
    settle(comparing, qtbot)
    assert comparing.truth.name == "hers" + GONE
    assert comparing.truth.labels is not None


def test_a_removed_layer_keeps_its_labels(comparing, desk, viewer, add_run, qtbot):
    add_run()
    layer = viewer.add_labels(true_labels(), name="mine")
    choose(comparing, layer, qtbot)
    viewer.layers.remove(layer)
    settle(comparing, qtbot)
    assert comparing.truth.name == "mine" + GONE and scores(desk).n_true == 3
    viewer.layers.append(layer)
    assert comparing.truth.name == "mine"


def test_another_run_of_the_session(comparing, desk, viewer, add_run, qtbot):
    add_run(1)
    add_run(2)
    settle(comparing, qtbot)
    assert comparing.sources() == [(("run", 1), "compact 1")]
    viewer.layers["compact 1 · nuclei"].fill((10, 10), 0)  # its nuclei as they are drawn now
    comparing.choose(("run", 1))
    settle(comparing, qtbot)
    assert scores(desk).n_true == 1 and comparing.truth.notes == ()
    desk.choose_run(1)
    settle(comparing, qtbot)
    assert comparing.truth.error == ITSELF and desk.study.findings.comparison is None
    desk.choose_run(2)
    settle(comparing, qtbot)
    assert comparing.truth.error == "" and scores(desk).n_pred == 2
    desk.work.session.remove_run(1)
    settle(comparing, qtbot)
    assert comparing.truth.name == "compact 1" + GONE and scores(desk).n_true == 1


def test_a_run_elsewhere_or_of_another_image_is_told(comparing, add_run, qtbot):
    add_run(1, offset=(100, 100))
    add_run(2, image="other slide")
    comparing.choose(("run", 1))
    settle(comparing, qtbot)
    assert "from row 100, column 100" in comparing.truth.error
    add_run(3, image="third slide")
    comparing.choose(("run", 2))
    settle(comparing, qtbot)
    assert comparing.truth.notes == ("compact 2 was made from another layer (other slide).",)


def test_the_truth_is_cut_anew_for_another_run(comparing, desk, viewer, add_run, qtbot):
    whole = np.zeros((200, 200), np.int32)
    whole[100:164, 100:180] = true_labels()
    add_run(1, offset=(100, 100))
    layer = viewer.add_labels(whole, name="whole")
    choose(comparing, layer, qtbot)
    assert scores(desk).outcomes.counts()["matched"] == 2
    add_run(2, offset=(10, 10))
    assert comparing.truth.labels is None
    settle(comparing, qtbot)
    assert scores(desk).n_true == 0
    desk.choose_run(1)
    settle(comparing, qtbot)
    assert scores(desk).n_true == 3


def test_a_truth_chosen_before_there_is_a_run(comparing, desk, viewer, add_run, qtbot):
    layer = viewer.add_labels(true_labels(), name="mine")
    comparing.choose(("layer", id(layer)))
    assert not comparing.busy and comparing.truth.labels is None
    add_run()
    settle(comparing, qtbot)
    assert scores(desk).n_true == 3


def test_a_file(comparing, desk, add_run, tmp_path, qtbot):
    add_run()
    np.save(tmp_path / "truth.npy", true_labels())
    path = str(tmp_path / "truth.npy")
    comparing.choose_file(path)
    settle(comparing, qtbot)
    assert comparing.truth.name == "truth.npy" and scores(desk).n_true == 3
    assert (("file", path), "truth.npy") in comparing.sources()
    comparing.choose_file(str(tmp_path / "no.png"))
    settle(comparing, qtbot)
    assert "is not there" in comparing.truth.error


def test_an_unexpected_failure_is_told(comparing, viewer, add_run, monkeypatch, qtbot):
    add_run()
    layer = viewer.add_labels(true_labels(), name="mine")

    def fail(*_):
        raise RuntimeError("no luck")

    monkeypatch.setattr(truth_steps, "_same", fail)
    choose(comparing, layer, qtbot)
    assert "no luck" in comparing.truth.error


def test_metadata_says_what_was_compared(comparing, viewer, add_run, qtbot):
    add_run()
    layer = viewer.add_labels(true_labels().astype(int), name="mine")
    choose(comparing, layer, qtbot)
    expected = {"run": {"a": 1, "title": "compact 1"}, "corrected": False, "truth": "mine"}
    assert comparing.metadata() == {**expected, "notes": []}


def test_keys_lead_from_error_to_error(comparing, viewer, add_run, qtbot):
    add_run()
    choose(comparing, viewer.add_labels(true_labels(), name="mine"), qtbot)
    comparing.keys.acquire()
    assert comparing.keys.bound == ("N", "P", "Shift-N")
    for key in ("N", "P", "Shift-N"):
        viewer.keymap[coerce_keybinding(key)](viewer)
        assert comparing.tour.words == "1 of 1: True nucleus 13 missed"
    comparing.keys.release()
    assert coerce_keybinding("N") not in viewer.keymap


def test_two_viewers_do_not_mix(comparing, viewer, add_run, qtbot):
    add_run()
    other = ViewerModel()
    second = comparing_for(other)
    layer = viewer.add_labels(true_labels(), name="mine")
    choose(comparing, layer, qtbot)
    assert second is not comparing and comparing_for(viewer) is comparing
    assert second.truth is None and second.sources() == []
    forget(other)


def test_a_closed_viewer_is_let_go(jobs, qapp):
    viewer = ViewerModel()
    ref = weakref.ref(comparing_for(viewer))
    assert isinstance(ref(), Comparing)
    forget(viewer)
    del viewer
    gc.collect()
    assert ref() is None
