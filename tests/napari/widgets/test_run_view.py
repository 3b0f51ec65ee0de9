from __future__ import annotations

import pytest

from napari_hovernet._napari.widgets.epoch_slider import NONE_YET, EpochSlider
from napari_hovernet._napari.widgets.run_buttons import ASKS, RESULTS, STATES, RunButtons
from napari_hovernet._napari.widgets.run_view import NO_RUN, READING, RunViewBox, duration
from napari_hovernet._napari.widgets.runs_table import RunsTable
from napari_hovernet.app.runs import info_of
from napari_hovernet.app.watch import RunWatch

ALWAYS = {"folder", "command"}
"""What can be done with any run."""


@pytest.fixture
def box(qtbot):
    box = RunViewBox()
    qtbot.addWidget(box)
    return box


def show(box, recorder, log=""):
    box.setValue(RunWatch(recorder.folder).catch_up())
    box.set_info(info_of(recorder.folder), log)


# ---------------------------------------------------------------------- the run in words


def test_a_finished_run_in_words(box, store):
    show(box, store.record("skin", upto=4, state="done"))
    text = box.words.text()
    assert "skin: done, on CPU" in text
    assert "epoch 4 of 5, step 40, took 42 s, best AJI 0.400 after epoch 4" in text
    assert box.remark.text() == "Epoch 3, magnitude 0.35: go on."
    assert box.trouble.isHidden()
    assert box.progress.value() == 800


def test_a_running_one_says_how_fast_and_how_long(box, store):
    recorder = store.record("skin", state="running")
    show(box, recorder)  # process 1 is there on every computer with processes
    assert "12.5 crops/s, 90 s left" in box.words.text()


def test_what_went_wrong_the_term_and_the_end_of_the_log(box, store):
    recorder = store.record("bad", state="failed", message="Step 30.", error="The loss is NaN.")
    show(box, recorder, "LossError: NaN\nbye")
    text = box.trouble.text()
    for words in ("Step 30.", "The loss is NaN.", "hv_magnitude", "bye", "Resume begins again"):
        assert words in text
    recorder.folder.resume_file.parent.mkdir()
    recorder.folder.resume_file.write_bytes(b"x")
    show(box, recorder)
    assert "from the last good checkpoint" in box.trouble.text()


def test_nothing_chosen_and_not_read_yet(box, store):
    assert box.words.text() == NO_RUN
    assert box.progress.isHidden() and box.remark.isHidden()
    box.set_info(info_of(store.record().folder), "")
    assert READING in box.words.text()


def test_another_run_takes_the_trouble_of_the_first_away(box, store):
    show(box, store.record("bad", state="failed", message="Broken."))
    assert not box.trouble.isHidden()
    show(box, store.record("good"))
    assert box.trouble.isHidden()


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "0 s"), (99.4, "99 s"), (100, "2 min"), (36_000, "10 h 0 min")]
)
def test_durations(seconds, words):
    assert duration(seconds) == words


# ---------------------------------------------------------------------- buttons


@pytest.mark.parametrize(
    "state", ["new", "queued", "running", "paused", "stopped", "done", "failed", "killed"]
)
def test_buttons_by_state(qtbot, store, state):
    from dataclasses import replace  # noqa: PLC0415

    buttons = RunButtons()
    qtbot.addWidget(buttons)
    info = replace(info_of(store.record().folder), state=state)
    buttons.setValue(info)
    on = {name for name, button in buttons.asks.items() if button.isEnabled()}
    assert on == {name for name, states in STATES.items() if state in states}
    assert ("remove" in on) != ("kill" in on)  # either it has a process, or it can go
    assert {n for n, b in buttons.results.items() if b.isEnabled()} == ALWAYS
    for path in (info.folder.best, info.folder.last, info.folder.report):
        path.write_bytes(b"x")
    buttons.setValue(info)
    assert all(button.isEnabled() for button in buttons.results.values())
    buttons.setValue(None)
    assert not any(b.isEnabled() for b in [*buttons.asks.values(), *buttons.results.values()])


def test_buttons_announce_their_names(qtbot, store):
    buttons = RunButtons()
    qtbot.addWidget(buttons)
    seen = []
    buttons.asked.connect(seen.append)
    buttons.resultAsked.connect(seen.append)
    for button in [*buttons.asks.values(), *buttons.results.values()]:
        button.setEnabled(True)
        button.click()
    assert seen == [*ASKS, *RESULTS]


# ---------------------------------------------------------------------- epochs


def test_the_slider_goes_through_the_epochs_that_were_kept(qtbot):
    slider = EpochSlider()
    qtbot.addWidget(slider)
    assert slider.words.text() == NONE_YET
    slider.set_pinned(True)
    slider.set_epochs((0, 5, 10), 10)
    assert (slider.value(), slider.words.text()) == (10, "epoch 10 of 10")
    with qtbot.waitSignal(slider.valueChanged) as told:
        slider.slider.setValue(1)
    assert told.args == [5]
    with qtbot.assertNotEmitted(slider.valueChanged):
        slider.set_epochs((0, 5, 10, 15), 5)  # a new epoch leaves the one that is looked at
    assert slider.value() == 5
    with qtbot.waitSignal(slider.pinned) as told:
        slider.pin.setChecked(False)
    assert told.args == [False] and not slider.slider.isEnabled()


# ---------------------------------------------------------------------- the list


@pytest.fixture
def table(qtbot):
    table = RunsTable()
    qtbot.addWidget(table)
    return table


def row_of(table, row):
    return [table.item(row, column).text() for column in range(4)]


def test_runs_in_a_list(table, store, qtbot):
    store.record("a", upto=3)
    store.record("b", upto=-1, state="failed", message="Why.")
    infos = sorted(store.list(), key=lambda info: info.name)
    with qtbot.assertNotEmitted(table.valueChanged):
        table.set_runs(infos)
        table.setValue("b")
    assert row_of(table, 0) == ["a", "done", "3 of 5", "0.300"]
    assert row_of(table, 1) == ["b", "failed", "0 of 5", ""]
    assert table.item(1, 1).toolTip() == "Why."
    assert table.value() == "b"
    with qtbot.waitSignal(table.valueChanged) as told:
        table.selectRow(0)
    assert told.args == ["a"]


def test_the_chosen_run_stays_chosen_when_others_come_and_it_changes(table, store):
    from dataclasses import replace  # noqa: PLC0415

    store.record("a")
    table.set_runs(store.list())
    table.setValue("a")
    store.record("b")
    table.set_runs(sorted(store.list(), key=lambda info: info.name, reverse=True))
    assert table.value() == "a" and table.rowCount() == 2
    table.update_run(replace(store.info("a"), state="paused"))
    assert row_of(table, 1)[1] == "paused" and table.value() == "a"
    table.set_runs([])
    assert table.value() == ""
