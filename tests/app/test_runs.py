"""Runs are made, started in turn, asked, killed, resumed and removed, with real processes."""

import json
import math
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from napari_hovernet.app.processes import mark_of, read_mark
from napari_hovernet.app.runs import (
    RunQueue,
    RunStore,
    Start,
    info_of,
    is_first,
    live,
    training_command,
)
from napari_hovernet.app.watch import RunWatch, process_file, state_of, write_state
from napari_hovernet.core.params import DataParams, OptimParams, TrainConfig
from napari_hovernet.core.training.files import RunFolder
from napari_hovernet.errors import UserError

from ..refusals import refuses

FAKE = Path(__file__).with_name("fake_training.py")
LONGEST_S = 120.0
"""How long anything is waited for on a busy computer; all of it takes a second."""


def fake_command(folder: RunFolder, start: Start) -> list[str]:
    real = training_command(folder, start)
    return [sys.executable, str(FAKE), *real[real.index("--run") :]]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[RunStore]:
    made = RunStore(tmp_path / "runs", fake_command)
    yield made
    for info in made.list():
        if info.active:
            made.kill(info.folder)


@pytest.fixture
def config(tmp_path: Path) -> TrainConfig:
    (tmp_path / "data").mkdir()
    data = DataParams(sources=(str(tmp_path / "data"),))
    return TrainConfig(name="a", data=data, optim=OptimParams(epochs=3))


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    return lambda **how: monkeypatch.setenv("FAKE", json.dumps(how))


def until(store: RunStore, run: RunFolder, *states: str) -> str:
    """Wait until a run is in one of some states."""
    end = time.monotonic() + LONGEST_S
    while (info := store.info(run)).state not in states:
        assert time.monotonic() < end, (info, run.log.read_text() if run.log.exists() else "")
        time.sleep(0.01)
    return info.state


def until_step(run: RunFolder, step: int) -> None:
    end, watch = time.monotonic() + LONGEST_S, RunWatch(run)
    while watch.catch_up().step < step:
        assert time.monotonic() < end
        time.sleep(0.01)


# Making, finding, removing


def test_names_are_unique_and_nothing_is_replaced(store: RunStore, config: TrainConfig) -> None:
    runs = [store.create(config) for _ in range(3)]
    assert [run.name for run in runs] == ["a", "a-2", "a-3"]
    assert [run.read_config().name for run in runs] == ["a", "a-2", "a-3"]
    refuses(r"There is a run 'a'.*take another name, like a-4", store.create, config, exact=True)
    assert {info.name for info in store.list()} == {"a", "a-2", "a-3"}
    for name in ("..", ".hidden"):
        refuses("begin with a letter", store.create, replace(config, name=name))


def test_a_run_that_is_not_there_names_those_that_are(store: RunStore, config: TrainConfig) -> None:
    refuses(r"no run 'b' in .*; it holds none yet\.", store.find, "b")
    run = store.create(replace(config, name="first-run"))
    refuses(r"there are: first-run\. Did you mean first-run\?", store.find, "first-rum")
    for name in ("", ".", ".."):
        refuses("no run", store.find, name)
    assert store.find("first-run") == run
    assert RunStore(store.folder / "elsewhere").find(run.path) == run


def test_a_broken_configuration_is_listed_as_such(store: RunStore, config: TrainConfig) -> None:
    run = store.create(config)
    run.config_file.write_text('{"optim": {"epochs": "many"}}')
    (info,) = store.list()
    assert info.state == "broken" and "epochs is 'many'" in info.message
    refuses("epochs is 'many'", store.start, run)
    run.config_file.write_text("{")
    assert store.info(run).state == "broken"
    store.remove(run)
    assert store.list() == ()


# The life of a run


def test_a_run_from_start_to_done(store, config, fake) -> None:
    fake(step_s=0.01)
    run = store.create(replace(config, threads=3))
    store.start(run)
    assert store.info(run).active
    refuses("already", store.start, run)
    refuses("stop it before removing", store.remove, run)
    until(store, run, "done")
    info = store.info(run)
    assert (info.epoch, info.n_epochs, info.can_resume) == (3, 3, False)
    assert info.score("aji") == pytest.approx(0.3)
    refuses(r"is done: start a new one", store.resume, run)
    for ask in (store.stop, store.pause):
        refuses("it is done", ask, run)
    store.kill(run)
    assert store.info(run).state == "done"
    store.remove(run)
    assert not run.path.exists()


def test_pause_go_on_and_stop(store, config, fake) -> None:
    fake(step_s=0.02, steps=200)
    run = store.create(config)
    refuses("it has not been started", store.stop, run)
    store.start(run)
    until(store, run, "running")
    store.pause(run)
    until(store, run, "paused")
    store.resume(run)
    until(store, run, "running")
    store.stop(run)
    assert until(store, run, "stopped", "killed") == "stopped"


def test_a_killed_run_is_stopped_and_goes_on_from_its_checkpoint(store, config, fake) -> None:
    fake(steps=6, hold_at=8)
    run = store.create(config)
    store.start(run)
    until_step(run, 8)  # within epoch 2; epoch 1 is saved
    (run.path / ".napari-hovernet-0123.tmp").write_text("half of a file")
    watch = RunWatch(run)
    store.kill(run)
    assert watch.catch_up().state == "stopped" and "Killed" in watch.view.message
    assert not list(run.path.glob(".napari*")) and store.info(run).can_resume
    fake(steps=6)
    store.resume(run)
    until(store, run, "done")
    view = RunWatch(run).catch_up()
    assert (view.start["resumed_epoch"], view.steps["step"].tolist()) == (1, list(range(1, 19)))


def test_a_run_killed_by_others_says_what_is_known_and_can_be_resumed(store, config, fake) -> None:
    fake(end="die", die_at=6)
    run = store.create(config)
    store.start(run)
    until(store, run, "killed")
    info = store.info(run)
    assert info.message.endswith("The log ends with: about to go") and info.can_resume
    fake()
    store.resume(run)
    until(store, run, "done")


@pytest.mark.parametrize(
    ("end", "words"),
    [
        ("raise", "ValueError: the network is not there. The whole of it is in log.txt."),
        ("refuse", "The labels have no nuclei."),
        ("memory", "Not enough memory: take a smaller batch or crop."),
    ],
)
def test_a_run_that_fails_says_why(store, config, fake, end, words) -> None:
    fake(end=end, die_at=1)
    run = store.create(config)
    store.start(run)
    until(store, run, "failed")
    assert (store.info(run).message, "Traceback" in run.log.read_text()) == (words, end != "refuse")


# Several runs


def test_runs_wait_for_each_other_in_order_and_a_killed_one_does_not_block(store, config, fake):
    fake(step_s=0.03, steps=1000)
    first, second = store.create(config), store.create(config)
    third, fourth = store.create(config), store.create(config)
    for run in (first, second, third, fourth):
        store.start(run)
    until(store, first, "running")
    assert store.queue() == ("a", "a-2", "a-3", "a-4")
    end = time.monotonic() + LONGEST_S
    while store.info(third).message != "Waits for a, a-2.":
        assert time.monotonic() < end
        time.sleep(0.02)
    store.kill(second)  # while it waits
    store.stop(third)
    assert until(store, third, "stopped") == "stopped" and not third.events.exists()
    assert store.info(fourth).state == "queued"
    store.kill(first)
    until(store, fourth, "running")
    assert store.queue() == ("a-4",)


def test_one_may_run_beside_the_others(store, config, fake) -> None:
    fake(step_s=0.03, steps=1000)
    first, second = store.create(config), store.create(config)
    store.start(first)
    until(store, first, "running")
    store.start(second, Start(queued=False))
    until(store, second, "running")
    assert (store.info(first).state, store.queue()) == ("running", ("a",))


def test_a_start_that_fails_leaves_a_failed_run_and_others_have_their_threads(tmp_path, config):
    store = RunStore(tmp_path / "runs", lambda *_: ["no such program"])
    run = store.create(config)
    refuses("no such program", store.start, run, by=UserError)
    assert (store.info(run).state, store.queue()) == ("failed", ())
    code = "import os; print(os.environ['OMP_NUM_THREADS'], os.environ['PYTHONSAFEPATH'])"
    store = RunStore(tmp_path / "runs", lambda *_: [sys.executable, "-c", code])
    run = store.create(replace(config, threads=3))
    store.start(run)
    until(store, run, "killed")  # it went without a word
    assert run.log.read_text().split() == ["3", "1"] and read_mark(process_file(run)) is not None


# Whose turn it is


def test_the_order_is_that_of_entering_and_the_dead_do_not_count(tmp_path: Path) -> None:
    queue = RunQueue(tmp_path)
    for name, changes in (("b", {}), ("dead", {"born": 1.0}), ("far", {"host": "x"}), ("a", {})):
        queue.enter(name, replace(mark_of(os.getpid(), tmp_path / name), **changes))
    assert queue.order() == ("b", "a") and queue.try_turn("b")
    other = RunQueue(tmp_path)
    other.leave("b")  # its ticket is gone, the lock is still held
    assert not other.try_turn("a")
    queue.leave("b")
    assert other.try_turn("a")


# The process of a run, in this one


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    made = RunFolder(tmp_path / "a")
    made.write_config(TrainConfig(name="a"))
    return made


def test_how_a_training_ends_is_noted(folder: RunFolder) -> None:
    assert live(folder, lambda *_: 3, Start(queued=False)) == 1
    assert state_of(folder).message == "It ended with status 3; see log.txt."

    def train(run: RunFolder, _resume: bool) -> int:
        run.write_status({"state": "failed", "message": "hv_magnitude became NaN"})
        raise SystemExit(1)

    assert (live(folder, train), state_of(folder).message) == (1, "hv_magnitude became NaN")

    def train(*_: object) -> int:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        live(folder, train)
    assert state_of(folder).state == "stopped"


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGTERM")
def test_a_request_of_the_system_to_end_is_one_to_stop(folder: RunFolder) -> None:
    def train(run: RunFolder, _resume: bool) -> int:
        os.kill(os.getpid(), signal.SIGTERM)
        assert run.read_command() == "stop"
        run.write_status({"state": "stopped"})
        return 0

    before = signal.getsignal(signal.SIGTERM)
    assert live(folder, train) == 0 and signal.getsignal(signal.SIGTERM) is before
    assert state_of(folder).state == "stopped"


def test_only_the_first_of_several_processes_speaks(folder, monkeypatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert live(folder, lambda *_: 0) == 0 and not folder.status_file.exists()
    assert not is_first()
    monkeypatch.setenv("LOCAL_RANK", "0")
    monkeypatch.setenv("RANK", "")
    assert is_first()


def test_what_a_list_shows(folder: RunFolder) -> None:
    folder.write_config(TrainConfig(name="a", optim=OptimParams(epochs=7)))
    folder.events.write_text(
        '{"v": 1, "t": 0, "event": "epoch", "epoch": 3, "val": {"aji": 0.5, "pq": null}}\n'
        '{"v": 1, "t": 1, "event": "step", "epoch": 4, "step": 31}\n'
    )
    write_state(folder, "stopped", "for lunch")
    info = info_of(folder)
    assert (info.epoch, info.n_epochs, info.message, info.active) == (3, 7, "for lunch", False)
    assert info.score("aji") == 0.5 and math.isnan(info.score("pq"))
    assert not info.can_resume
    folder.resume_file.parent.mkdir()
    folder.resume_file.touch()
    assert info_of(folder).can_resume and info_of(folder) == info_of(folder)
