from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtWidgets import QMainWindow

from napari_hovernet._napari import close_question, preparing
from napari_hovernet._napari.close_question import CloseQuestion
from napari_hovernet._napari.desk import desk_for
from napari_hovernet._napari.finetuning import ACTIONS, FineTuning
from napari_hovernet._napari.session_for import forget
from napari_hovernet.app.training import Checked
from napari_hovernet.core.params import DataParams, TrainConfig
from napari_hovernet.core.types import Progress
from napari_hovernet.errors import InputError

WAIT_MS = 5000


@pytest.fixture
def viewer(jobs):
    viewer = ViewerModel()
    yield viewer
    forget(viewer)


@pytest.fixture
def tuning(viewer, store):
    return FineTuning(desk_for(viewer), store)


@pytest.fixture
def look(tuning, qtbot):
    """Look at the list and at the run, until nothing is on its way."""

    def look():
        tuning.refresh()
        qtbot.waitUntil(
            lambda: not (tuning._listing.busy or tuning._attaching.busy or tuning.pinned.busy),
            timeout=WAIT_MS,
        )
        if tuning.watch is not None:
            tuning.watch._looked = -1.0  # the state is looked at four times a second
            tuning.poll()

    return look


@pytest.fixture
def checks(monkeypatch):
    """Replace the data check: what it is asked, and what it says."""

    class Checks:
        problems: tuple = ()

        def __init__(self):
            self.asked = []

        def steps(self, config):
            yield Progress(0, 0)
            self.asked.append(config)
            return Checked(
                config.data, config.start, problems=self.problems, refused=bool(self.problems)
            )

    made = Checks()
    monkeypatch.setattr(preparing, "check_steps", made.steps)
    return made


def config(folder, **changes):
    return TrainConfig(data=DataParams(sources=(str(folder),)), **changes)


# ---------------------------------------------------------------------- looking


def test_runs_are_found_and_one_that_runs_is_looked_at(tuning, store, look):
    store.record("old")
    store.record("now", state="running")
    store.record("older")
    look()
    assert {run.name for run in tuning.runs} == {"old", "now", "older"}
    assert tuning.chosen == "now" and tuning.view.step == 30
    assert [run.name for run in tuning.active] == ["now"]


def test_what_a_run_says_later_is_heard_by_polling(tuning, store, look):
    recorder = store.record("a", upto=1, state="running")
    look()
    seen = []
    tuning.view_changed.connect(seen.append)
    tuning.poll()
    assert seen == []
    recorder.epoch(2)
    tuning.poll()
    assert seen[-1].rows[-1].epoch == 2
    recorder.end("done")
    look()
    assert tuning.info.state == "done"


def test_polling_is_cheap(tuning, store, look):
    import time  # noqa: PLC0415

    store.record("a", upto=5, state="running")
    look()
    times = []
    for _ in range(40):
        start = time.perf_counter()
        tuning.poll()
        times.append(time.perf_counter() - start)
    assert np.median(times) < 0.010


def test_a_run_that_is_removed_is_let_go(tuning, store, look):
    store.record("a")
    look()
    assert tuning.chosen == "a"
    store.remove("a")
    look()
    assert (tuning.chosen, tuning.view, tuning.runs) == ("", None, ())


def test_an_older_answer_does_not_take_the_choice_away(tuning, store, look):
    store.record("a")
    look()
    store.record("b")
    tuning.choose("b")
    tuning._take_runs(tuning.runs)  # listed before "b" was there
    assert tuning.chosen == "b"


def test_a_closed_viewer_is_not_polled(tuning, viewer, store):
    forget(viewer)
    tuning.poll()
    assert tuning.runs == ()


# ---------------------------------------------------------------------- doing


@pytest.mark.parametrize("what", ["pause", "resume", "stop", "kill", "start"])
def test_actions_reach_the_store_and_are_told(tuning, store, look, qtbot, what):
    store.record("a", state="running")
    look()
    told = []
    tuning.told.connect(told.append)
    tuning.do("a", what)
    qtbot.waitUntil(lambda: bool(told), timeout=WAIT_MS)
    assert store.asked == [(what, "a")]
    assert told == [ACTIONS[what].said.format("a")]


def test_a_kill_shows_within_a_second(tuning, store, look, qtbot):
    store.record("a", state="running")
    look()
    tuning.do("a", "kill")
    qtbot.waitUntil(lambda: tuning.poll() or tuning.info.state == "stopped", timeout=1000)


def test_what_cannot_be_done_is_told(tuning, store, look, qtbot):
    store.record("a", state="running")
    look()
    failed = []
    tuning.failed.connect(failed.append)
    tuning.do("a", "remove")
    qtbot.waitUntil(lambda: bool(failed), timeout=WAIT_MS)
    assert "stop it before removing it" in str(failed[0])
    assert [run.name for run in tuning.runs] == ["a"]


def test_a_start_checks_the_data_first_and_pins_the_image(tuning, store, checks, qtbot, tmp_path):
    tuning.start(config(tmp_path, name="mine"))
    qtbot.waitUntil(lambda: tuning.chosen == "mine", timeout=WAIT_MS)
    assert len(checks.asked) == 1 and store.asked == [("start", "mine")]
    assert tuning.pinned.on
    tuning.start(config(tmp_path, name="mine"))
    qtbot.waitUntil(lambda: tuning.chosen == "mine-2", timeout=WAIT_MS)
    assert len(checks.asked) == 1  # the same data are not read again


def test_refused_data_start_nothing(tuning, store, checks, qtbot, tmp_path):
    checks.problems = ("the labels are empty",)
    failed = []
    tuning.failed.connect(failed.append)
    tuning.start(config(tmp_path))
    qtbot.waitUntil(lambda: bool(failed), timeout=WAIT_MS)
    assert "the labels are empty" in str(failed[0]) and store.list() == ()
    with pytest.raises(InputError, match="the labels are empty"):
        tuning.start(config(tmp_path))


def test_nothing_to_train_on(tuning):
    with pytest.raises(InputError, match="nothing to train on"):
        tuning.start(TrainConfig())


def test_other_data_outdate_a_check(tuning, checks, qtbot, tmp_path):
    tuning.preparing.check_data(config(tmp_path))
    qtbot.waitUntil(lambda: tuning.preparing.check is not None, timeout=WAIT_MS)
    assert tuning.preparing.known(config(tmp_path, seed=9)) is tuning.preparing.check
    tuning.preparing.outdate(config(tmp_path, start="scratch:compact"))
    assert tuning.preparing.check is None


# ---------------------------------------------------------------------- pinned image


def names(viewer):
    return [layer.name for layer in viewer.layers]


def test_the_pinned_image_follows_the_epochs(tuning, viewer, store, look):
    recorder = store.record("a", upto=1, state="running")
    look()
    assert names(viewer) == []
    tuning.pinned.set_on(True)
    look()
    assert names(viewer) == [
        "a · true nuclei", "a · image", "a 1 · NP", "a 1 · magnitude", "a 1 · HV horizontal",
        "a 1 · HV vertical", "a 1 · instances",
    ]  # fmt: skip
    before = list(viewer.layers)
    recorder.epoch(2)
    tuning.poll()
    look()
    assert list(viewer.layers) == before  # the same layers with other data
    assert viewer.layers["a 2 · instances"].data.max() == 3
    np.testing.assert_allclose(viewer.layers["a 2 · magnitude"].data, np.hypot(0.3, 0.3), atol=1e-3)


def test_an_older_epoch_stays_until_the_end_is_chosen_again(tuning, viewer, store, look):
    recorder = store.record("a", upto=2, state="running")
    look()
    tuning.pinned.set_on(True)
    tuning.pinned.scroll_to(1)
    look()
    assert viewer.layers["a 1 · instances"].data.max() == 2
    recorder.epoch(3)
    look()
    assert tuning.pinned.epochs() == (0, 1, 2, 3)
    assert "a 1 · instances" in names(viewer)
    tuning.pinned.scroll_to(3)
    recorder.epoch(4)
    look()
    look()
    assert "a 4 · instances" in names(viewer)


def test_another_run_takes_the_place_of_the_first(tuning, viewer, store, look):
    store.record("a", upto=1)
    store.record("b", upto=3)
    look()
    tuning.choose("a")
    tuning.pinned.set_on(True)
    look()
    tuning.choose("b")
    look()
    look()
    assert len(viewer.layers) == 7 and "b 3 · NP" in names(viewer)
    assert not any(name.startswith("a") for name in names(viewer))
    tuning.pinned.set_on(False)
    assert names(viewer) == []


def test_layers_that_the_user_deletes_stay_away_and_others_are_left_alone(
    tuning, viewer, store, look
):
    own = viewer.add_image(np.zeros((30, 40)), name="own")
    recorder = store.record("a", upto=1, state="running")
    look()
    tuning.pinned.set_on(True)
    look()
    assert viewer.layers["a · image"].extent.world[0, 1] > own.extent.world[1, 1]  # beside it
    assert viewer.layers.selection.active is own
    viewer.layers.remove("a 1 · NP")
    viewer.layers["a 1 · magnitude"].visible = False
    recorder.epoch(2)
    tuning.poll()
    look()
    assert "a 2 · NP" not in names(viewer) and "own" in names(viewer)
    assert not viewer.layers["a 2 · magnitude"].visible


def test_only_the_image_itself_can_be_segmented(tuning, viewer, store, look):
    store.record("a", upto=1)
    look()
    tuning.pinned.set_on(True)
    look()
    assert [layer.name for layer in tuning.desk.work.image_layers()] == ["a · image"]


def test_a_preview_that_is_damaged_is_passed_over(tuning, viewer, store, look, caplog):
    recorder = store.record("a", upto=1)
    recorder.folder.preview_of(1).write_bytes(b"PK half")
    look()
    tuning.pinned.set_on(True)
    look()
    assert names(viewer) == [] and "cannot be shown" in caplog.text
    tuning.pinned.scroll_to(0)
    look()
    assert "a 0 · NP" in names(viewer)


# ---------------------------------------------------------------------- results


def test_the_best_model_is_chosen_for_segmenting(tuning, store, look):
    recorder = store.record("a")
    look()
    with pytest.raises(InputError, match="a has no best model yet"):
        tuning.load("best")
    recorder.folder.best.write_bytes(b"x")
    tuning.load("best")
    assert tuning.desk.work.session.model.source == str(recorder.folder.best)


def test_the_command_line_repeats_the_run(tuning, store, look):
    store.record("a")
    look()
    assert f"--data {store.folder}" in tuning.command()
    assert "--epochs 5" in tuning.command()


def test_words_of_the_log_are_for_runs_that_ended_badly(tuning, store, look):
    for state, words in (("failed", "boom"), ("done", "")):
        recorder = store.record(state, state=state)
        recorder.folder.log.write_text("boom\n")
        look()
        tuning.choose(state)
        look()
        assert tuning.log_end() == words


def test_before_and_after_on_the_chosen_image(tuning, viewer, store, look, qtbot):
    recorder = store.record("a")
    recorder.folder.best.write_bytes(b"x")
    look()
    with pytest.raises(InputError, match="Open an image first"):
        tuning.compare()
    viewer.add_image(np.zeros((64, 80, 3), np.uint8), rgb=True, name="slide")
    tuning.compare()
    assert tuning.before_after.busy
    sides = tuning.before_after.sides
    qtbot.waitUntil(lambda: sides.on and not sides.busy, timeout=2 * WAIT_MS)
    assert [run.title for run in sides.pair] == ["compact 1", "best 2"]
    assert not tuning.before_after.busy
    sides.leave()
    tuning.desk.choose_run(1)
    tuning.desk.work.choose_model("compact")


def test_a_run_from_scratch_has_no_before(tuning, store, look, tmp_path):
    folder = store.create(config(tmp_path, name="s", start="scratch:compact"))
    folder.best.write_bytes(b"x")
    look()
    with pytest.raises(InputError, match="began untrained"):
        tuning.compare()


# ---------------------------------------------------------------------- open layers


@pytest.fixture
def pairs(viewer):
    viewer.add_image(np.zeros((64, 80, 3), np.uint8), rgb=True, name="slide")
    labels = np.zeros((64, 80), np.int32)
    labels[5:15, 5:15] = 3
    viewer.add_labels(labels, name="drawn")
    viewer.add_labels(np.zeros((10, 10), np.int32), name="other size")


def test_layers_that_go_together_become_training_data(tuning, viewer, pairs, qtbot, tmp_path):
    found = tuning.preparing.layer_pairs()
    assert [pair.title for pair in found] == ["slide  +  drawn"]
    staged = []
    tuning.preparing.staged.connect(staged.append)
    tuning.preparing.stage(found, "val")
    qtbot.waitUntil(lambda: bool(staged), timeout=WAIT_MS)
    from napari_hovernet.core.data.pairs import find_pairs  # noqa: PLC0415

    (pair,) = find_pairs(staged[0])
    assert (pair.name, pair.split) == ("slide_drawn", "val")
    tuning.preparing.stage(found, "train")  # again: it is replaced
    qtbot.waitUntil(lambda: len(staged) == 2, timeout=WAIT_MS)
    assert [p.split for p in find_pairs(staged[1])] == ["train"]


def test_empty_labels_are_refused(tuning, viewer, pairs):
    viewer.layers["drawn"].data = np.zeros((64, 80), np.int32)
    with pytest.raises(InputError, match="drawn is empty"):
        tuning.preparing.stage(tuning.preparing.layer_pairs(), "train")


def test_corrected_runs_come_first(tuning, viewer, pairs, planted_run, qtbot):
    image = viewer.add_image(np.zeros((200, 260, 3), np.uint8), rgb=True, name="big")
    tuning.desk.work.session.finish(planted_run(image))
    qtbot.waitUntil(lambda: tuning.desk.work.layers.settled, timeout=WAIT_MS)
    titles = [pair.title for pair in tuning.preparing.layer_pairs()]
    assert titles == ["big  +  compact 1, as it was found", "slide  +  drawn"]
    layer = tuning.desk.layers.find(1, "instances")
    layer.data[:20, :20] = 999
    first, *_ = tuning.preparing.layer_pairs()
    assert first.title == "big  +  compact 1, with brush corrections" and first.corrected


# ---------------------------------------------------------------------- closing


@pytest.mark.parametrize("stop", [False, True])
def test_closing_asks_once_and_stops_only_if_told(tuning, store, look, qtbot, monkeypatch, stop):
    store.record("a", state="running")
    look()
    asked = []
    monkeypatch.setattr(close_question, "ask", lambda _window, names: asked.append(names) or stop)
    window = QMainWindow()
    qtbot.addWidget(window)
    window.show()
    CloseQuestion(window, tuning)
    window.close()
    qtbot.wait(50)
    assert asked == [["a"]]
    assert store.asked == ([("stop", "a")] if stop else [])


def test_closing_without_a_training_asks_nothing(tuning, store, look, qtbot, monkeypatch):
    store.record("a")
    look()
    monkeypatch.setattr(close_question, "ask", lambda *_: pytest.fail("asked"))
    window = QMainWindow()
    qtbot.addWidget(window)
    window.show()
    CloseQuestion(window, tuning)
    window.close()
