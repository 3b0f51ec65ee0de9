"""The store: runs are made, started, asked, killed, resumed and removed, with real processes."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from napari_hovernet.app.watch import own_mark, read_process, write_process, write_state
from napari_hovernet.app.runs import RunStore, Start, runs_folder, training_command
from napari_hovernet.app.watch import RunWatch
from napari_hovernet.core.params import DataParams, OptimParams, TrainConfig
from napari_hovernet.core.training.files import RunFolder
from napari_hovernet.errors import InputError, OutputError, UserError

FAKE = Path(__file__).with_name("fake_training.py")
LONGEST_S = 20.0


def fake_command(folder: RunFolder, start: Start) -> list[str]:
    real = training_command(folder, start)
    return [sys.executable, str(FAKE), *real[real.index(str(folder.path)) :]]


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
    with pytest.raises(InputError, match=r"There is a run 'a'.*take another name, like a-4"):
        store.create(config, exact=True)
    assert {info.name for info in store.list()} == {"a", "a-2", "a-3"}
    for name in ("..", ".hidden"):
        with pytest.raises(InputError, match="begin with a letter"):
            store.create(replace(config, name=name))


def test_a_run_that_is_not_there_names_those_that_are(store: RunStore, config: TrainConfig) -> None:
    with pytest.raises(InputError, match=r"no run 'b' in .*; it holds none yet\."):
        store.find("b")
    run = store.create(replace(config, name="first-run"))
    with pytest.raises(InputError, match=r"there are: first-run\. Did you mean first-run\?"):
        store.find("first-rum")
    for name in ("", ".", ".."):
        with pytest.raises(InputError, match="no run"):
            store.find(name)
    assert store.find("first-run") == run
    assert RunStore(store.folder / "elsewhere").find(run.path) == run


def test_a_broken_configuration_is_listed_as_such(store: RunStore, config: TrainConfig) -> None:
    run = store.create(config)
    run.config_file.write_text('{"optim": {"epochs": "many"}}')
    (info,) = store.list()
    assert info.state == "broken"
    assert "epochs is 'many'" in info.message
    with pytest.raises(InputError, match="epochs is 'many'"):
        store.start(run)
    run.config_file.write_text("{")
    assert store.info(run).state == "broken"
    store.remove(run)
    assert store.list() == ()


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_store_says_so(store: RunStore, config: TrainConfig) -> None:
    store.folder.mkdir()
    store.folder.chmod(0o500)
    with pytest.raises(OutputError, match="no permission"):
        store.create(config)


def test_a_store_that_is_a_file_says_so(tmp_path: Path, config: TrainConfig) -> None:
    (tmp_path / "file").write_text("")
    assert RunStore(tmp_path / "file").list() == ()
    with pytest.raises(OutputError, match="file"):
        RunStore(tmp_path / "file").create(config)


def test_where_the_runs_are(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NAPARI_HOVERNET_RUNS", str(tmp_path))
    assert runs_folder() == tmp_path
    monkeypatch.delenv("NAPARI_HOVERNET_RUNS")
    assert runs_folder().parts[-2:] == ("napari-hovernet", "runs")


def test_the_command_of_a_process() -> None:
    folder = RunFolder(Path("/runs/a"))
    line = training_command(folder, Start(resume=True, queued=False))
    assert line == [sys.executable, "-m", "napari_hovernet", "train", "--run",
                    str(Path("/runs/a")), "--resume", "--now"]  # fmt: skip


def test_what_is_gone_is_named_before_anything_starts(
    store: RunStore, config: TrainConfig, tmp_path: Path
) -> None:
    run = store.create(config)
    (tmp_path / "data").rename(tmp_path / "moved")
    with pytest.raises(InputError, match=r"no training data at .*put them back if they were moved"):
        store.start(run)
    assert store.info(run).state == "new"
    other = store.create(replace(config, start=str(tmp_path / "none.tar"), data=DataParams()))
    with pytest.raises(InputError, match="No training data are given"):
        store.start(other)


# The life of a run


def test_a_run_from_start_to_done(
    store: RunStore, config: TrainConfig, fake: Callable[..., None]
) -> None:
    fake(step_s=0.01)
    run = store.create(replace(config, threads=3))
    store.start(run)
    assert store.info(run).active
    with pytest.raises(InputError, match="already"):
        store.start(run)
    with pytest.raises(InputError, match="stop it before removing"):
        store.remove(run)
    until(store, run, "done")
    info = store.info(run)
    assert (info.epoch, info.n_epochs, info.can_resume) == (3, 3, False)
    assert info.score("aji") == pytest.approx(0.3)
    with pytest.raises(InputError, match=r"is done: start a new one"):
        store.resume(run)
    for ask in (store.stop, store.pause):
        with pytest.raises(InputError, match="it is done"):
            ask(run)
    store.kill(run)
    assert store.info(run).state == "done"
    store.remove(run)
    assert not run.path.exists()


def test_pause_go_on_and_stop(
    store: RunStore, config: TrainConfig, fake: Callable[..., None]
) -> None:
    fake(step_s=0.02, steps=200)
    run = store.create(config)
    with pytest.raises(InputError, match="it has not been started"):
        store.stop(run)
    store.start(run)
    until(store, run, "running")
    store.pause(run)
    until(store, run, "paused")
    step = RunWatch(run).catch_up().step
    time.sleep(0.1)
    assert RunWatch(run).catch_up().step == step
    store.resume(run)
    until(store, run, "running")
    store.pause(run)
    until(store, run, "paused")
    store.resume_paused(run)
    until(store, run, "running")
    store.stop(run)
    assert until(store, run, "stopped", "killed") == "stopped"


def test_a_killed_run_is_stopped_within_a_second_and_goes_on_from_its_checkpoint(
    store: RunStore, config: TrainConfig, fake: Callable[..., None]
) -> None:
    fake(step_s=0.02, steps=6)
    run = store.create(config)
    store.start(run)
    until_step(run, 8)  # within epoch 2; epoch 1 is saved
    (run.path / ".napari-hovernet-0123.tmp").write_text("half of a file")
    watch = RunWatch(run)
    begin = time.monotonic()
    store.kill(run)
    while watch.poll() or watch.view.state != "stopped":
        assert time.monotonic() - begin < 1.0
        time.sleep(0.02)
    assert "Killed" in watch.view.message
    assert not list(run.path.glob(".napari*"))
    assert store.info(run).can_resume
    store.resume(run)
    until(store, run, "done")
    view = RunWatch(run).catch_up()
    assert view.start["resumed_epoch"] == 1
    assert view.steps["step"].tolist() == list(range(1, 19))


def test_a_run_killed_by_others_says_what_is_known_and_can_be_resumed(
    store: RunStore, config: TrainConfig, fake: Callable[..., None]
) -> None:
    fake(end="die", die_at=6)
    run = store.create(config)
    store.start(run)
    until(store, run, "killed")
    info = store.info(run)
    assert info.message.endswith("The log ends with: about to go")
    assert info.can_resume
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
def test_a_run_that_fails_says_why(
    store: RunStore, config: TrainConfig, fake: Callable[..., None], end: str, words: str
) -> None:
    fake(end=end, die_at=1)
    run = store.create(config)
    store.start(run)
    until(store, run, "failed")
    assert store.info(run).message == words
    assert ("Traceback" in run.log.read_text()) == (end != "refuse")


def test_a_run_that_forgets_to_say_that_it_is_done(
    store: RunStore, config: TrainConfig, fake: Callable[..., None]
) -> None:
    fake(end="silent")
    run = store.create(config)
    store.start(run)
    assert until(store, run, "done", "killed", "failed") == "done"


# Several runs


def test_runs_wait_for_each_other_in_order_and_a_killed_one_does_not_block(
    store: RunStore, config: TrainConfig, fake: Callable[..., None]
) -> None:
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
    assert until(store, third, "stopped") == "stopped"
    assert not third.events.exists()
    assert store.info(fourth).state == "queued"
    store.kill(first)
    until(store, fourth, "running")
    assert store.queue() == ("a-4",)


def test_one_may_run_beside_the_others(
    store: RunStore, config: TrainConfig, fake: Callable[..., None]
) -> None:
    fake(step_s=0.03, steps=1000)
    first, second = store.create(config), store.create(config)
    store.start(first)
    until(store, first, "running")
    store.start(second, Start(queued=False))
    until(store, second, "running")
    assert store.info(first).state == "running"
    assert store.queue() == ("a",)


def test_two_stores_see_and_ask_the_same_run(
    store: RunStore, config: TrainConfig, fake: Callable[..., None]
) -> None:
    fake(step_s=0.02, steps=200)
    run = store.create(config)
    store.start(run)
    until(store, run, "running")
    other = RunStore(store.folder)
    watches = [RunWatch(run), RunWatch(run)]
    other.stop("a")
    until(store, run, "stopped")
    views = [watch.catch_up() for watch in watches]
    assert views[0].steps["total"].tolist() == views[1].steps["total"].tolist()
    assert {view.state for view in views} == {"stopped"}


def test_a_run_on_another_computer_is_not_killed_from_here(
    store: RunStore, config: TrainConfig
) -> None:
    run = store.create(config)
    write_process(run, replace(own_mark(), host="another computer"))
    write_state(run, "running")
    with pytest.raises(InputError, match="on the computer another computer"):
        store.kill(run)
    store.stop(run)
    assert run.read_command() == "stop"
    write_state(run, "stopped")


def test_a_start_that_fails_leaves_a_failed_run(tmp_path: Path, config: TrainConfig) -> None:
    store = RunStore(tmp_path / "runs", lambda *_: ["no such program"])
    run = store.create(config)
    with pytest.raises(UserError, match="no such program"):
        store.start(run)
    assert store.info(run).state == "failed"
    assert store.queue() == ()


def test_threads_and_priority_of_the_process(tmp_path: Path, config: TrainConfig) -> None:
    code = "import os; print(os.environ['OMP_NUM_THREADS'], os.environ['PYTHONSAFEPATH'])"
    store = RunStore(tmp_path / "runs", lambda *_: [sys.executable, "-c", code])
    run = store.create(replace(config, threads=3))
    store.start(run)
    until(store, run, "killed")  # it went without a word
    assert run.log.read_text().split() == ["3", "1"]
    assert read_process(run) is not None
