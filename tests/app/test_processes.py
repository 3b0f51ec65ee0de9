"""A run's processes are known again and ended; innocents survive whatever a record says.

Each attack points the record of a run at somebody else (a recycled number, an edited or copied
record, another boot, container or computer, a zombie, a daemon in a dead leader's group), then
asks for every signal there is: ``kill``, and starting anew, which ends what a run left behind.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from napari_hovernet.app import processes
from napari_hovernet.app.processes import (
    MARKER,
    ProcessMark,
    elsewhere,
    end,
    mark_from,
    mark_of,
    members,
    process_of,
    read_mark,
    start_detached,
    wait_until_gone,
    write_mark,
)
from napari_hovernet.app.runs import RunStore
from napari_hovernet.app.watch import process_file, state_of, write_state
from napari_hovernet.core.params import DataParams, TrainConfig
from napari_hovernet.core.training.files import RunFolder
from napari_hovernet.errors import JobFailed, UserError

from ..refusals import refuses

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="zombies and groups are POSIX")
LONG_S = 60.0
LEADER = """
import os, subprocess, sys, time
sleep = "import time; time.sleep(600)"
loader = subprocess.Popen([sys.executable, "-c", sleep])
apart = subprocess.Popen([sys.executable, "-c", sleep], start_new_session=True)
daemon = subprocess.Popen(["sleep", "600"])
bare = subprocess.Popen([sys.executable, "-c", sleep], env={})
print(loader.pid, apart.pid, daemon.pid, bare.pid, flush=True)
time.sleep(600)
"""
"""A run with two loaders, another program, and a process that does not carry its token."""


def until(true: Callable[[], object]) -> None:
    end_at = time.monotonic() + LONG_S
    while not true():
        assert time.monotonic() < end_at
        time.sleep(0.01)


def lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.fixture
def own() -> Iterator[list[int]]:
    """Numbers of processes that a test started; those left are ended."""
    pids: list[int] = []
    yield pids
    for pid in pids:
        try:
            psutil.Process(pid).kill()
        except psutil.NoSuchProcess:
            continue


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    (tmp_path / "data").mkdir()
    sleep = "import time; time.sleep(600)"
    return RunStore(
        tmp_path / "runs",
        lambda folder, _: [sys.executable, "-c", sleep, "--run", str(folder.path)],
    )


@pytest.fixture
def run(store: RunStore, tmp_path: Path) -> RunFolder:
    return store.create(TrainConfig(name="a", data=DataParams((str(tmp_path / "data"),))))


@pytest.fixture
def started(run: RunFolder, own: list[int]) -> list[int]:
    """Start the run; gives the numbers of leader, loaders, daemon and the bare process."""
    command = [sys.executable, "-c", LEADER, "--run", str(run.path)]
    mark = start_detached(command, run.path, run.log, {}, nice=5)
    write_mark(process_file(run), mark)
    write_state(run, "running", pid=mark.pid)
    own.append(mark.pid)
    until(lambda: run.log.read_text().endswith("\n"))
    own.extend(map(int, run.log.read_text().split()))
    return list(own)


@pytest.fixture
def innocent(own: list[int], tmp_path: Path) -> int:
    """Somebody else's process, of the same program and user."""
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    processes._children.append(child)
    own.append(child.pid)
    return child.pid


def attack(store: RunStore, run: RunFolder) -> str:
    """Ask for every signal there is; returns what was refused."""
    refused = []
    for act in (store.kill, store.resume, store.kill):
        try:
            act(run)
        except UserError as error:
            refused.append(str(error))
    return " ".join(refused)


# The run's own


def test_a_run_ends_with_all_that_carries_its_token(store, run, started, innocent) -> None:
    leader, loader, apart, daemon, bare = started
    assert state_of(run).state == "running"
    store.kill(run)
    assert [lives(pid) for pid in (leader, loader, apart, daemon)] == [False] * 4
    assert lives(bare), "it does not prove that it is the run's"
    assert lives(innocent) and state_of(run).state == "stopped"
    store.kill(run)  # once more is fine


def test_of_a_dead_run_its_loaders_are_ended_and_daemons_live_on(
    store: RunStore, run: RunFolder, started: list[int], innocent: int, own: list[int]
) -> None:
    leader, loader, apart, daemon, bare = started
    psutil.Process(leader).kill()
    until(lambda: not lives(leader))
    assert state_of(run).state == "killed"
    store.resume(run)
    mark = read_mark(process_file(run))
    own.append(mark.pid)
    assert [lives(pid) for pid in (loader, apart)] == [False] * 2
    assert all(map(lives, (daemon, bare, innocent)))  # though in the dead leader's group
    store.kill(run)
    assert not lives(mark.pid)


def test_a_run_of_version_0_1_is_known_by_its_birth(store, run, started) -> None:
    if sys.platform != "linux":
        pytest.skip("other systems gave a birth in words")
    ticks = Path(f"/proc/{started[0]}/stat").read_text().rsplit(")", 1)[1].split()[19]
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    old = {"pid": started[0], "birth": f"{boot}/{ticks}", "host": mark_of(1, run.path).host}
    process_file(run).write_text(json.dumps(old))
    assert state_of(run).state == "running"
    store.kill(run)
    assert not lives(started[0])
    later = {**old, "pid": started[1], "birth": f"{boot}/{int(ticks) - 1000}"}
    process_file(run).write_text(json.dumps(later))
    assert process_of(read_mark(process_file(run)), run.path) is None  # type: ignore[arg-type]


# Attacks


def edited(run: RunFolder, **changes: object) -> None:
    path = process_file(run)
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize("known", ["number", "birth", "all but the token", "old record"])
def test_a_record_that_names_somebody_else(store, run, started, innocent, known, own) -> None:
    theirs = mark_of(innocent, run.path)
    if known == "number":  # recycled
        edited(run, pid=innocent)
    elif known == "birth":  # edited by hand
        edited(run, pid=innocent, born=theirs.born)
    elif known == "all but the token":
        edited(run, pid=innocent, born=theirs.born, program=theirs.program, marked=False)
    else:
        process_file(run).write_text(json.dumps({"pid": innocent}))
    psutil.Process(started[0]).kill()
    refused = attack(store, run)
    own.append(json.loads(process_file(run).read_text())["pid"])
    assert lives(innocent)
    if known != "number":
        assert f"Process {innocent} was left alone" in refused
        assert f"by hand (kill {innocent})" in refused
        doubt = "does not say when it began" if known == "old record" else "does not name the run's"
        assert doubt in refused


def test_a_command_line_alone_proves_nothing(store, run, started, own) -> None:
    """Another process that names the folder, in a record that is right but for number and birth."""
    command = [sys.executable, "-c", "import time; time.sleep(600)", "--run", str(run.path)]
    child = subprocess.Popen(command)
    processes._children.append(child)
    own.append(child.pid)
    edited(run, pid=child.pid, born=mark_of(child.pid, run.path).born)
    refuses("does not carry the run's token", store.kill, run)
    assert lives(child.pid)


def test_a_copied_folder_has_no_process(store, run, started, own) -> None:
    copy = RunFolder(run.path.with_name("copy"))
    shutil.copytree(run.path, copy.path)
    assert state_of(copy).state == "killed"
    attack(store, copy)
    own.append(json.loads(process_file(copy).read_text())["pid"])
    assert all(map(lives, started)) and state_of(run).state == "running"


def test_a_moved_folder_still_has_its_process_which_is_left_alone(store, run, started) -> None:
    moved = RunFolder(run.path.with_name("moved"))
    run.path.rename(moved.path)
    assert state_of(moved).active  # no second one is started in it
    assert "does not name the run's folder" in attack(store, moved) and all(map(lives, started))


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({"boot": "another boot"}, "killed"),
        ({"space": "pid:[1]"}, "running"),
        ({"host": "another computer"}, "running"),
        ({"token": ""}, "running"),
        ({"token": "0" * 32}, "running"),
        ({"user": "somebody else"}, "running"),
    ],
)
def test_another_boot_container_computer_token_or_user(store, run, started, changes, state, own):
    edited(run, **changes)
    assert state_of(run).state == state
    refused = attack(store, run)
    own.append(json.loads(process_file(run).read_text())["pid"])
    assert ([lives(pid) for pid in started], bool(refused)) == ([True] * 5, state == "running")


def test_a_zombie_is_gone_and_not_signalled(store: RunStore, run: RunFolder) -> None:
    command = [sys.executable, "-c", "", "--run", str(run.path)]
    with subprocess.Popen(command) as child:
        write_mark(process_file(run), mark_of(child.pid, run.path))
        write_state(run, "running", pid=child.pid)
        until(lambda: not lives(child.pid))
        assert child.returncode is None  # nobody has collected it
        assert state_of(run).state == "killed"
        store.kill(run)
    assert child.returncode == 0


def test_whoever_asks_is_never_signalled(store: RunStore, run: RunFolder) -> None:
    """A viewer that has just started the run: its record names the viewer for a moment."""
    write_mark(process_file(run), mark_of(os.getpid(), run.path))
    write_state(run, "queued")
    assert "was left alone" in attack(store, run)


def test_a_member_must_carry_the_very_token_and_folder(run, started, own, tmp_path) -> None:
    mark = read_mark(process_file(run))
    assert {p.pid for p in members(mark, run.path, any_program=True)} == set(started[1:4])
    assert {p.pid for p in members(mark, run.path)} == set(started[1:3])
    (tmp_path / "other").mkdir()
    for value in (f"{mark.token}@{tmp_path / 'other'}", f"{'1' * 32}@{run.path}", mark.token, "@"):
        child = subprocess.Popen(
            [sys.executable, "-c", "import time; time.sleep(600)"], env={MARKER: value}
        )
        processes._children.append(child)
        own.append(child.pid)
    assert {p.pid for p in members(mark, run.path, any_program=True)} == set(started[1:4])
    assert members(replace(mark, token=""), run.path, any_program=True) == []


def test_a_process_that_may_not_be_ended_says_so(run, started, monkeypatch) -> None:
    def denied(self: psutil.Process) -> None:
        raise psutil.AccessDenied(self.pid)

    mark = read_mark(process_file(run))
    with monkeypatch.context() as patch:
        patch.setattr(psutil.Process, "kill", denied)
        refuses("may belong to another user", end, mark, run.path, by=JobFailed)
        patch.setattr(psutil.Process, "kill", lambda self: None)
        refuses("do not end", end, mark, run.path, by=JobFailed)


# Records and starts


def test_records_survive_json_and_nonsense_is_none(tmp_path: Path) -> None:
    mark = ProcessMark(7, 1.5, "b", "s", "h", "u", "p", "f", "0" * 32, True)
    write_mark(tmp_path / "mark", mark)
    assert (read_mark(tmp_path / "mark"), elsewhere(mark)) == (mark, "on the computer h")
    for values in ({}, {"pid": "7"}, {"pid": True}, {"pid": 0}):
        assert mark_from(values) is None
    odd = {"pid": 7, "born": "x", "boot": 1, "token": "short", "marked": "yes", "birth": "a b"}
    assert mark_from(odd) == ProcessMark(7) and read_mark(tmp_path / "none") is None


def test_it_stands_back_and_writes_a_log(run: RunFolder, started: list[int]) -> None:
    assert os.getpgid(started[0]) == started[0] != os.getpgid(0)
    assert os.getpriority(os.PRIO_PROCESS, started[0]) >= 5
    mark = read_mark(process_file(run))
    assert mark.marked and not wait_until_gone(mark, run.path, 0.05)
