"""Live separation on a ViewerModel: what is painted where, and what gets in between."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_hovernet._napari import tuner as tuner_module
from napari_hovernet._napari.desk import desk_for
from napari_hovernet._napari.session_for import forget
from napari_hovernet._napari.tuner import (
    ROLE,
    SETTLE_MS,
    clipped,
    middle_of,
    plane_view,
    tuner_for,
)
from napari_hovernet._napari.view import camera_of, canvas_size
from napari_hovernet.app import tuning as steps_module
from napari_hovernet.app.session import Status
from napari_hovernet.app.study import TruthChoice
from napari_hovernet.app.tuning import cropped
from napari_hovernet.core.hv import HVReading
from napari_hovernet.core.measure.sweep import SweepAxis, sweep
from napari_hovernet.core.params import SeparationParams
from napari_hovernet.core.separation.tuning import TuneParams, stage_counts, tune
from napari_hovernet.core.types import Progress
from napari_hovernet.errors import InputError

WAIT_MS = 60_000
FINE = TuneParams(SeparationParams(depth=0.0, np_threshold=0.7))
COARSE = TuneParams(SeparationParams(depth=0.9))
THRESHOLDS = SweepAxis("np_threshold", (0.3, 0.6))


@pytest.fixture
def viewer():
    return ViewerModel()


@pytest.fixture
def desk(viewer, jobs, qapp):
    yield desk_for(viewer)
    forget(viewer)


@pytest.fixture
def tuner(desk):
    return tuner_for(desk)


@pytest.fixture
def add(desk, viewer, planted_run, qtbot):
    """Add a finished run over the image; returns the run."""

    def add(number=1, **keywords):
        image = next((x for x in viewer.layers if x.name == "slide"), None)
        if image is None:
            image = viewer.add_image(np.zeros((400, 500, 3), np.uint8), rgb=True, name="slide")
        run = planted_run(image, number, step=viewer.dims.current_step, **keywords)
        desk.work.session.finish(run)
        qtbot.waitUntil(lambda: desk.work.layers.settled, timeout=WAIT_MS)
        return run

    return add


@pytest.fixture
def gate(monkeypatch):
    """Hold tuning in its thread: ``gate.started`` is set once it waits, ``gate.open()`` lets go."""

    class Gate(threading.Event):
        def __init__(self):
            super().__init__()
            self.started = threading.Event()

        open = threading.Event.set

    held, real = Gate(), steps_module.tune_steps

    def tune_steps(*arguments):
        held.started.set()
        assert held.wait(30)
        return (yield from real(*arguments))

    monkeypatch.setattr(steps_module, "tune_steps", tune_steps)
    yield held
    held.open()


@pytest.fixture
def settle(desk, tuner, qtbot):
    def settle():
        qtbot.waitUntil(lambda: not tuner.busy and not desk.busy, timeout=WAIT_MS)
        qtbot.waitUntil(lambda: desk.work.layers.settled, timeout=WAIT_MS)

    return settle


@pytest.fixture
def messages(tuner):
    said = []
    tuner.message.connect(said.append)
    return said


def tuned_layer(desk, run):
    return desk.layers.find(run.id, ROLE)


def shown(desk, run):
    """Labels in the layer of tuned nuclei."""
    return plane_view(tuned_layer(desk, run))


def zoom_in(desk, middle, pixels=50):
    """Show about ``pixels`` rows around a pixel of the run."""
    camera = camera_of(desk.viewer)
    camera.center = (*camera.center[:-2], *desk.to_world(*middle)[-2:])
    camera.zoom = canvas_size(desk.viewer)[0] / pixels


def same_up_to_ids(a, b):
    pairs = np.unique(np.stack([a.ravel(), b.ravel()]), axis=1)
    return all(len(np.unique(side)) == pairs.shape[1] for side in pairs)


# ---------------------------------------------------------------------- live


def test_without_a_run_nothing_happens(tuner, desk, viewer, settle):
    tuner.tuning.edit(FINE)
    settle()
    assert tuner.run is None and len(viewer.layers) == 0
    tuner.discard()
    for action in (tuner.keep, lambda: tuner.sweep(THRESHOLDS, None)):
        with pytest.raises(InputError, match="segment an image first"):
            action()


def test_one_tuner_per_desk(tuner, desk):
    assert tuner_for(desk) is tuner


def test_an_edit_shows_the_labels_of_tune(tuner, desk, add, viewer, settle):
    run = add()
    active = viewer.layers.selection.active
    assert tuned_layer(desk, run) is None and not tuner.touched
    tuner.tuning.edit(FINE)
    assert tuner.busy and tuner.touched
    settle()
    wanted = tune(run.result.maps, FINE)
    layer = tuned_layer(desk, run)
    assert layer.name == "compact 1 · tuned nuclei" and layer.visible
    assert np.array_equal(shown(desk, run), wanted.labels)
    assert not np.array_equal(wanted.labels, run.result.labels)
    assert tuner.tuning.tuned.counts == stage_counts(wanted) and tuner.tuning.tuned.box is None
    assert not desk.instances_layer().visible and viewer.layers.selection.active is active
    tuner.tuning.undo()
    settle()
    assert np.array_equal(shown(desk, run), run.result.labels)
    assert tuned_layer(desk, run) is layer  # the same layer, painted anew


def test_the_run_itself_never_changes(tuner, desk, add, settle):
    run = add()
    before = run.result.labels.copy(), run.result.maps.hv.copy()
    tuner.tuning.edit(TuneParams(SeparationParams.preset("merging_relabel"), HVReading("vh")))
    settle()
    assert np.array_equal(run.result.labels, before[0])
    assert np.array_equal(plane_view(desk.instances_layer()), before[0])
    assert np.array_equal(run.result.maps.hv, before[1])


def test_zoomed_in_the_part_in_view_comes_first_and_the_rest_follows(tuner, desk, add, qtbot,
                                                                     settle):  # fmt: skip
    run = add(shape=(400, 500))
    tuner._later.setInterval(WAIT_MS)
    zoom_in(desk, (200, 300))
    tuner.tuning.edit(FINE)
    qtbot.waitUntil(lambda: tuner.tuning.tuned is not None, timeout=WAIT_MS)
    (r0, r1, c0, c1), whole = tuner._live_box(run), tune(run.result.maps, FINE).labels
    assert (r1 - r0) * (c1 - c0) < 0.2 * whole.size and 0 < r0 < 200 < r1 < 400
    inside = np.zeros(whole.shape, bool)
    inside[r0:r1, c0:c1] = True
    plane = shown(desk, run)
    assert same_up_to_ids(plane[r0:r1, c0:c1], whole[r0:r1, c0:c1])
    assert np.array_equal(plane[~inside], run.result.labels[~inside])
    before = run.result.labels[r0:r1, c0:c1]
    assert not np.array_equal(plane[r0:r1, c0:c1] > 0, before > 0)
    top, bottom, left, right = tuner.tuning.tuned.box
    assert top <= r0 and bottom >= r1 and left <= c0 and right >= c1
    assert tuner.busy  # the rest is due
    tuner._later.start(0)
    settle()
    assert np.array_equal(shown(desk, run), whole) and tuner.tuning.tuned.box is None


def test_a_view_of_most_of_the_run_is_the_whole_run(tuner, desk, add):
    run = add()
    zoom_in(desk, (100, 130), pixels=270)
    assert tuner._live_box(run) is None


def test_a_view_beside_the_run_or_in_3d_is_the_whole_run(tuner, desk, add, viewer):
    run = add()
    zoom_in(desk, (5000, 130))
    assert tuner._live_box(run) is None
    viewer.dims.ndisplay = 3
    assert tuner._live_box(run) is None


def test_of_a_large_view_its_middle_comes_first(tuner, desk, add, monkeypatch):
    run = add()
    monkeypatch.setattr(tuner_module, "LIVE_PIXELS", 10_000)
    r0, r1, c0, c1 = tuner._live_box(run)
    assert 9_000 < (r1 - r0) * (c1 - c0) <= 10_000
    assert (r0 + r1, c0 + c1) == pytest.approx((200, 260), abs=2)


def test_many_edits_at_once_are_answered_once_for_the_newest(tuner, desk, add, gate, settle):
    run = add()
    heard = []
    tuner.tuning.tuned_changed.connect(heard.append)
    for depth in np.linspace(0, 1, 25):
        tuner.tuning.edit(TuneParams(SeparationParams(depth=float(depth))), "depth")
    assert gate.started.wait(30) and len(desk.runner.jobs) <= 2
    gate.open()
    settle()
    assert [t.params for t in heard] == [tuner.tuning.params]
    assert np.array_equal(shown(desk, run), tune(run.result.maps, tuner.tuning.params).labels)


def test_an_edit_while_the_rest_is_due_puts_it_off(tuner, desk, add, qtbot, settle):
    run = add(shape=(400, 500))
    tuner._later.setInterval(WAIT_MS)
    zoom_in(desk, (200, 300))
    tuner.tuning.edit(FINE)
    qtbot.waitUntil(tuner._later.isActive, timeout=WAIT_MS)
    tuner.tuning.edit(COARSE)
    assert not tuner._later.isActive()
    tuner._later.setInterval(0)
    settle()
    assert np.array_equal(shown(desk, run), tune(run.result.maps, COARSE).labels)


def test_a_failure_is_told_and_the_next_edit_works(tuner, desk, add, monkeypatch, messages, settle):
    run = add()

    def failing(*_):
        yield Progress(0, 0)
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(steps_module, "tune_steps", failing)
        tuner.tuning.edit(FINE)
        settle()
    assert len(messages) == 1 and "Not enough memory" in messages[0]
    tuner.tuning.edit(COARSE)
    settle()
    assert np.array_equal(shown(desk, run), tune(run.result.maps, COARSE).labels)


def test_a_run_on_a_plane_of_a_stack(tuner, desk, viewer, add, settle):
    stack = np.zeros((5, 200, 260, 3), np.uint8)
    viewer.add_image(stack, rgb=True, name="slide", scale=(2, 0.5, 0.5))
    viewer.dims.set_current_step(0, 3)
    run = add(offset=(10, 20))
    tuner.tuning.edit(FINE)
    settle()
    layer, own = tuned_layer(desk, run), desk.instances_layer()
    assert layer.data.shape == (1, 200, 260)
    assert np.array_equal(layer.data[0], tune(run.result.maps, FINE).labels)
    np.testing.assert_allclose(layer.data_to_world((0, 3, 4)), own.data_to_world((0, 3, 4)))


def test_a_large_run_is_a_pyramid_and_every_level_is_painted(tuner, desk, add, settle):
    run = add(shape=(48, 4200))
    tuner.tuning.edit(FINE)
    settle()
    layer, wanted = tuned_layer(desk, run), tune(run.result.maps, FINE).labels
    assert layer.multiscale and len(layer.data) == 2
    assert np.array_equal(layer.data[0], wanted)
    assert np.array_equal(layer.data[1], wanted[::2, ::2])


def test_a_run_without_maps_cannot_be_tuned(tuner, desk, add, settle):
    run = add()
    desk.study.choose_run(replace(run, id=9, result=replace(run.result, maps=None)))
    tuner.tuning.edit(FINE)
    settle()
    assert tuner.run is None and tuner.tuning.tuned is None and tuned_layer(desk, run) is None
    with pytest.raises(InputError):
        tuner.keep()


# ---------------------------------------------------------------------- what gets in between


def test_a_run_removed_during_a_job_gets_no_layer(tuner, desk, add, viewer, gate, settle):
    add()
    tuner.tuning.edit(FINE)
    assert gate.started.wait(30)
    desk.work.session.remove_run(1)
    gate.open()
    settle()
    assert [x.name for x in viewer.layers] == ["slide"]
    assert tuner.tuning.params == TuneParams() and tuner.tuning.tuned is None


def test_a_run_taken_back_comes_again_with_its_nuclei_and_its_edits(tuner, desk, add, viewer,
                                                                    settle):  # fmt: skip
    run = add()
    own = desk.instances_layer()
    tuner.tuning.edit(FINE)
    settle()
    desk.work.undo()
    assert [x.name for x in viewer.layers] == ["slide"] and not tuner.touched
    assert own.visible  # not hidden for good, though it is not in the viewer now
    desk.work.redo()
    assert tuner.tuning.params == FINE and tuner.tuning.can_undo
    settle()
    assert np.array_equal(shown(desk, run), tune(run.result.maps, FINE).labels)
    tuner.discard()
    assert own in viewer.layers and own.visible


def test_another_run_starts_afresh_and_the_first_is_as_it_was_left(tuner, desk, add, settle):
    first = add(1)
    tuner.tuning.edit(FINE)
    settle()
    own = desk.layers.find(1, "instances")
    second = add(2, seed=5)
    assert tuner.tuning.params == TuneParams() and tuner.tuning.tuned is None
    assert tuned_layer(desk, first) is None and own.visible
    tuner.tuning.edit(COARSE)
    settle()
    assert np.array_equal(shown(desk, second), tune(second.result.maps, COARSE).labels)
    desk.choose_run(1)
    assert tuner.tuning.params == FINE
    settle()
    assert np.array_equal(shown(desk, first), tune(first.result.maps, FINE).labels)
    assert tuned_layer(desk, second) is None


def test_a_job_of_the_run_before_leaves_nothing_for_the_next(tuner, desk, add, monkeypatch, settle):
    """Its thread may begin only once another run is looked at."""
    first, real = add(1), steps_module.Tuners
    started, release = threading.Event(), threading.Event()

    def slow(maps):
        if maps is first.result.maps:
            started.set()
            assert release.wait(30)
        return real(maps)

    monkeypatch.setattr(steps_module, "Tuners", slow)
    tuner.tuning.edit(FINE)
    assert started.wait(30)
    second = add(2, seed=5)
    release.set()
    settle()
    tuner.tuning.edit(FINE)
    settle()
    assert np.array_equal(shown(desk, second), tune(second.result.maps, FINE).labels)
    assert tuned_layer(desk, first) is None


def test_a_layer_renamed_during_a_job_is_painted_all_the_same(tuner, desk, add, viewer, gate,
                                                              settle):  # fmt: skip
    run = add()
    gate.open()
    tuner.tuning.edit(FINE)
    settle()
    layer = tuned_layer(desk, run)
    gate.clear()
    gate.started.clear()
    tuner.tuning.edit(COARSE)
    assert gate.started.wait(30)
    layer.name = "mine"
    gate.open()
    settle()
    assert tuned_layer(desk, run) is layer and layer.name == "mine"
    assert np.array_equal(plane_view(layer), tune(run.result.maps, COARSE).labels)


def test_a_layer_deleted_during_a_job_is_made_again(tuner, desk, add, viewer, gate, settle):
    run = add()
    gate.open()
    tuner.tuning.edit(FINE)
    settle()
    gate.clear()
    gate.started.clear()
    tuner.tuning.edit(COARSE)
    assert gate.started.wait(30)
    viewer.layers.remove(tuned_layer(desk, run))
    gate.open()
    settle()
    assert np.array_equal(shown(desk, run), tune(run.result.maps, COARSE).labels)
    tuner.discard()
    assert desk.instances_layer().visible and tuned_layer(desk, run) is None


@pytest.mark.parametrize("what", ["shape", "dtype", "read-only"])
def test_a_layer_whose_data_the_user_exchanged_is_made_again(tuner, desk, add, settle, what):
    run = add()
    tuner.tuning.edit(FINE)
    settle()
    labels = np.zeros((7, 8) if what == "shape" else run.result.labels.shape,
                      np.uint8 if what == "dtype" else np.int32)  # fmt: skip
    labels.flags.writeable = what != "read-only"
    tuned_layer(desk, run).data = labels
    tuner.tuning.edit(COARSE)
    settle()
    assert np.array_equal(shown(desk, run), tune(run.result.maps, COARSE).labels)
    assert not labels.any()


def test_nuclei_deleted_by_the_user_do_not_matter(tuner, desk, add, viewer, settle):
    run = add()
    viewer.layers.remove(desk.instances_layer())
    tuner.tuning.edit(FINE)
    settle()
    assert np.array_equal(shown(desk, run), tune(run.result.maps, FINE).labels)
    tuner.discard()
    assert tuned_layer(desk, run) is None


def test_two_viewers_do_not_mix(tuner, desk, add, settle):
    other_viewer = ViewerModel()
    other = tuner_for(desk_for(other_viewer))
    add()
    tuner.tuning.edit(FINE)
    settle()
    assert other is not tuner and other.tuning.params == TuneParams()
    assert len(other_viewer.layers) == 0 and not other.busy
    forget(other_viewer)


def test_after_the_viewer_is_closed_nothing_is_computed_any_more(tuner, desk, add, qtbot):
    add(shape=(400, 500))
    zoom_in(desk, (200, 300))
    tuner.tuning.edit(FINE)
    qtbot.waitUntil(tuner._later.isActive, timeout=WAIT_MS)
    forget(desk.viewer)
    qtbot.wait(2 * SETTLE_MS)
    assert desk.runner.jobs == () and tuner.tuning.tuned.box is not None


# ---------------------------------------------------------------------- discard


def test_discard_goes_back_and_undo_brings_the_edits_back(tuner, desk, add, settle):
    run = add()
    tuner.tuning.edit(FINE)
    settle()
    tuner.discard()
    assert tuned_layer(desk, run) is None and desk.instances_layer().visible
    assert not tuner.touched and tuner.tuning.tuned is None and not tuner._later.isActive()
    settle()
    assert tuned_layer(desk, run) is None
    tuner.tuning.undo()
    settle()
    assert tuner.tuning.params == FINE
    assert np.array_equal(shown(desk, run), tune(run.result.maps, FINE).labels)


def test_discard_during_a_job_leaves_nothing(tuner, desk, add, gate, settle):
    run = add()
    tuner.tuning.edit(FINE)
    assert gate.started.wait(30)
    tuner.discard()
    gate.open()
    settle()
    assert tuned_layer(desk, run) is None and tuner.tuning.tuned is None


def test_nuclei_the_user_had_hidden_stay_hidden(tuner, desk, add, settle):
    add()
    desk.instances_layer().visible = False
    tuner.tuning.edit(FINE)
    settle()
    tuner.discard()
    assert not desk.instances_layer().visible


# ---------------------------------------------------------------------- keep


def test_keep_makes_a_run_that_undo_removes(tuner, desk, add, viewer, messages, settle):
    run = add()
    tuner.tuning.edit(FINE)
    settle()
    tuner.keep()
    settle()
    kept, wanted = desk.work.session.runs[-1], tune(run.result.maps, FINE)
    assert (kept.id, kept.title) == (2, "compact 1 tuned") and desk.run is kept
    assert np.array_equal(kept.result.labels, wanted.labels) and kept.result.n == wanted.n
    assert kept.result.cut_with == FINE.separation and tuner.tuning.start == FINE
    assert np.array_equal(plane_view(desk.instances_layer()), wanted.labels)
    assert desk.instances_layer().name == "compact 1 tuned · nuclei"
    assert messages == [f"Kept as compact 1 tuned: {wanted.n:,} nuclei."]
    assert not desk.layers.find(1, "instances").visible  # one set of outlines, not two
    desk.work.undo()
    settle()
    assert desk.run is run and [r.id for r in desk.work.session.runs] == [1]
    assert desk.instances_layer().visible and not tuner.touched
    tuner.tuning.undo()  # the edits are not lost
    settle()
    assert tuner.tuning.params == FINE and np.array_equal(shown(desk, run), wanted.labels)
    assert not desk.instances_layer().visible


def test_going_back_to_a_run_that_was_kept_shows_its_own_nuclei(tuner, desk, add, settle):
    run = add()
    tuner.tuning.edit(FINE)
    settle()
    tuner.keep()
    settle()
    desk.choose_run(1)
    settle()
    assert desk.instances_layer().visible and tuned_layer(desk, run) is None


def test_what_is_kept_says_how_it_was_made(tuner, desk, add, settle):
    add()
    tuner.tuning.edit(FINE)
    settle()
    tuner.keep()
    settle()
    about = desk.work.session.runs[-1].metadata
    assert about["separation"]["depth"] == 0.0
    assert about["tuned"]["from"] == "compact 1" and about["tuned"]["hv"]["order"] == "hv"
    assert about["tuned"]["separation"]["depth"] == 0.0


def test_another_reading_of_hv_is_kept_with_its_maps(tuner, desk, add, settle):
    run = add()
    params = TuneParams(FINE.separation, HVReading("vh", "outward", 0.5))
    tuner.tuning.edit(params)
    settle()
    tuner.keep()
    settle()
    kept = desk.work.session.runs[-1]
    roles = ("np", "hv_horizontal", "hv_vertical", "magnitude", "instances")
    assert all(desk.layers.find(kept.id, role) is not None for role in roles)
    assert np.array_equal(kept.result.maps.hv, run.result.maps.hv[::-1] * 0.5)
    assert np.array_equal(kept.result.labels, tune(run.result.maps, params).labels)
    assert tuner.tuning.params == TuneParams(FINE.separation)  # its maps are read already


def test_keep_zoomed_in_keeps_the_whole(tuner, desk, add, qtbot, settle):
    run = add(shape=(400, 500))
    tuner._later.setInterval(WAIT_MS)
    zoom_in(desk, (200, 300))
    tuner.tuning.edit(FINE)
    qtbot.waitUntil(lambda: tuner.tuning.tuned is not None, timeout=WAIT_MS)
    tuner.keep()
    settle()
    assert np.array_equal(
        desk.work.session.runs[-1].result.labels, tune(run.result.maps, FINE).labels
    )


@pytest.fixture
def keep_gate(monkeypatch):
    """Hold keeping in its thread, as ``gate`` holds tuning."""
    started, release, real = threading.Event(), threading.Event(), steps_module.kept_steps

    def kept_steps(*arguments):
        started.set()
        assert release.wait(30)
        return (yield from real(*arguments))

    monkeypatch.setattr(steps_module, "kept_steps", kept_steps)
    yield started, release
    release.set()


@pytest.fixture
def keeping(tuner, add, keep_gate, settle):
    """A run that is just being kept with FINE."""
    run = add()
    tuner.tuning.edit(FINE)
    settle()
    tuner.keep()
    assert keep_gate[0].wait(30)
    return run


def test_an_edit_while_keeping_does_not_lose_what_is_kept(tuner, desk, keeping, keep_gate, settle):
    run = keeping
    tuner.tuning.edit(COARSE)
    keep_gate[1].set()
    settle()
    kept = desk.work.session.runs[-1]
    assert np.array_equal(kept.result.labels, tune(run.result.maps, FINE).labels)
    desk.choose_run(1)
    assert tuner.tuning.params == COARSE


def test_keeping_again_gets_a_title_and_a_number_of_its_own(tuner, desk, add, settle):
    add()
    for params in (FINE, COARSE):
        desk.choose_run(1)
        tuner.tuning.edit(params)
        settle()
        tuner.keep()
        settle()
    assert [(r.id, r.title) for r in desk.work.session.runs] == [
        (1, "compact 1"), (2, "compact 1 tuned"), (3, "compact 1 tuned 2"),
    ]  # fmt: skip


@pytest.mark.parametrize("kept_first", [True, False])
def test_a_segmentation_meanwhile_has_another_number(desk, keeping, keep_gate, add, settle,
                                                     kept_first):  # fmt: skip
    session = desk.work.session
    number, _ = session.next_run()  # what the segmentation under way was promised
    session._set_status(Status(state="running"))
    if not kept_first:
        add(number, seed=5)
    keep_gate[1].set()
    settle()
    if kept_first:
        add(number, seed=5)
    runs = {r.title: r for r in session.runs}
    assert len(runs) == 3 and len({r.id for r in session.runs}) == 3
    kept = runs["compact 1 tuned"]
    assert desk.layers.find(kept.id, "instances").name == "compact 1 tuned · nuclei"
    assert desk.layers.find(number, "instances").name == f"compact {number} · nuclei"


def test_a_run_removed_while_it_is_kept(desk, keeping, keep_gate, settle):
    desk.work.session.remove_run(1)
    keep_gate[1].set()
    settle()
    kept = desk.run
    assert kept.title == "compact 1 tuned"
    assert np.array_equal(kept.result.labels, tune(keeping.result.maps, FINE).labels)


# ---------------------------------------------------------------------- sweep


def test_a_sweep_without_truth_counts(tuner, desk, add, settle):
    run = add()
    told = []
    tuner.progress.connect(told.append)
    assert tuner.sweep(THRESHOLDS, None) == "the whole run, nuclei counted"
    settle()
    found = tuner.tuning.sweep
    assert np.array_equal(found.counts, sweep(run.result.maps, THRESHOLDS).counts)
    assert found.aji is None and found.start == tuner.tuning.params
    assert told[-1] is None and max(s.total for s in told[:-1]) == 2


def test_a_sweep_with_truth_scores(tuner, desk, add, settle):
    run = add()
    desk.study.choose_truth(TruthChoice("t", "t", run.result.labels))
    assert tuner.sweep(THRESHOLDS, SweepAxis("depth", (0.15, 0.9))) == "the whole run, AJI"
    settle()
    found = tuner.tuning.sweep
    wanted = sweep(run.result.maps, THRESHOLDS, found.columns, truth=run.result.labels)
    assert np.array_equal(found.aji, wanted.aji) and found.best == wanted.best


@pytest.mark.parametrize("truth", [None, np.zeros((3, 4), np.int32)])
def test_a_truth_that_cannot_be_used_is_none(tuner, desk, add, truth, settle):
    add()
    desk.study.choose_truth(TruthChoice("t", "t", truth, error="no good"))
    assert tuner.sweep(THRESHOLDS, None).endswith("nuclei counted")
    settle()
    assert tuner.tuning.sweep.aji is None


def test_a_sweep_of_a_large_run_takes_what_is_in_view(tuner, desk, add, monkeypatch, settle):
    run = add(shape=(400, 500))
    desk.study.choose_truth(TruthChoice("t", "t", run.result.labels))
    monkeypatch.setattr(tuner_module, "SWEEP_PIXELS", 20_000)
    zoom_in(desk, (200, 300), pixels=100)
    assert tuner.sweep(THRESHOLDS, None) == "what is in view, AJI"
    settle()
    seen = clipped(tuner_module.view_box(desk), (400, 500))
    box = middle_of(seen, 20_000)
    part = sweep(
        cropped(run.result.maps, box), THRESHOLDS,
        truth=run.result.labels[box[0] : box[1], box[2] : box[3]],
    )  # fmt: skip
    assert np.array_equal(tuner.tuning.sweep.aji, part.aji)


@pytest.fixture
def slow_sweep(monkeypatch):
    """A sweep that waits after its first combination."""
    from napari_hovernet.core.measure import sweep as sweep_module  # noqa: PLC0415

    started, release, real = threading.Event(), threading.Event(), sweep_module.sweep_steps

    def steps(*arguments):
        started.set()
        assert release.wait(30)
        return (yield from real(*arguments))

    monkeypatch.setattr(sweep_module, "sweep_steps", steps)
    yield started, release
    release.set()


def test_a_sweep_can_be_cancelled(tuner, desk, add, slow_sweep, settle):
    add()
    told = []
    tuner.progress.connect(told.append)
    tuner.sweep(THRESHOLDS, None)
    assert slow_sweep[0].wait(30)
    tuner.cancel_sweep()
    slow_sweep[1].set()
    settle()
    assert tuner.tuning.sweep is None and told[-1] is None


def test_a_sweep_of_the_run_before_is_dropped(tuner, desk, add, slow_sweep, settle):
    add(1)
    told = []
    tuner.progress.connect(told.append)
    tuner.sweep(THRESHOLDS, None)
    assert slow_sweep[0].wait(30)
    add(2, seed=5)
    slow_sweep[1].set()
    settle()
    assert tuner.tuning.sweep is None and told[-1] is None


def test_edits_go_on_during_a_sweep(tuner, desk, add, slow_sweep, qtbot, settle):
    run = add()
    tuner.sweep(THRESHOLDS, None)
    tuner.tuning.edit(FINE)
    qtbot.waitUntil(lambda: tuner.tuning.tuned is not None, timeout=WAIT_MS)
    assert np.array_equal(shown(desk, run), tune(run.result.maps, FINE).labels)
    slow_sweep[1].set()
    settle()
    assert tuner.tuning.sweep.start == TuneParams()  # what it was asked with


def test_a_sweep_that_cannot_be_is_told(tuner, desk, add, messages, settle):
    add()
    told = []
    tuner.progress.connect(told.append)
    tuner.sweep(THRESHOLDS, THRESHOLDS)
    settle()
    assert len(messages) == 1 and "choose two different ones" in messages[0]
    assert told == [None] and tuner.tuning.sweep is None


# ---------------------------------------------------------------------- boxes


@pytest.mark.parametrize("box", [(0, 37, 0, 91), (5, 6, 0, 1000), (3, 4, 3, 4), (0, 1000, 7, 9)])
@pytest.mark.parametrize("pixels", [1, 100, 4321])
def test_the_middle_of_a_box_fits_and_lies_within(box, pixels):
    r0, r1, c0, c1 = middle_of(box, pixels)
    assert box[0] <= r0 <= r1 <= box[1] and box[2] <= c0 <= c1 <= box[3]
    assert (r1 - r0) * (c1 - c0) <= pixels


def test_clipping_a_box():
    assert clipped(None, (5, 5)) is None
    assert clipped((-3, 2, 1, 9), (5, 5)) == (0, 2, 1, 5)
    assert clipped((5, 9, 0, 5), (5, 5)) is None
