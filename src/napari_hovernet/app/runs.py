"""The training runs of this user: made, listed, started in turn, stopped, resumed, removed."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from types import FrameType

from filelock import FileLock, Timeout

from ..core.io.files import TEMPORARY_PREFIX, output_error, writable_folder
from ..core.params import SCRATCH, TrainConfig
from ..core.training.files import RunFolder, is_first
from ..core.weights import BUILT_IN, offered
from ..errors import InputError, UserError, plain
from .jobs import describe_failure
from .processes import (
    MARKER,
    NICE,
    ProcessMark,
    elsewhere,
    end,
    mark_of,
    marker,
    new_token,
    process_of,
    read_mark,
    start_detached,
    write_mark,
)
from .session import APP_NAME
from .watch import (
    ACTIVE,
    BROKEN,
    KILLED,
    NEW,
    RunState,
    last_event,
    numbers_in,
    process_file,
    state_of,
    whole,
    write_state,
    written,
)

RUNS_ENV = "NAPARI_HOVERNET_RUNS"
"""Environment variable that names the folder of the runs."""
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
"""Variables that bound the CPU threads of a process."""
RESUMABLE = ("stopped", "failed", KILLED)
SHOWN = 8
"""Names of runs that an error lists."""
QUEUE, LOCK, BETWEEN = ".queue", "turn.lock", "~"
"""Folder in the store for the tickets, with one folder per computer."""
WAIT_S = 0.5
"""Time between two looks of a waiting run: 2 ms of work each."""
OK, FAILED = 0, 1

Train = Callable[[RunFolder, bool], int]


@dataclass(frozen=True)
class RunInfo:
    """A run in a list."""

    name: str
    folder: RunFolder
    state: str  # As in :class:`RunState`
    message: str = ""
    pid: int | None = None
    config: TrainConfig | None = None  # None if it cannot be read ("broken": the message says why)
    created: float = 0.0  # Unix seconds
    updated: float = 0.0  # Unix seconds
    epoch: int = 0  # Last finished epoch
    n_epochs: int = 0  # How many there are to be
    val: tuple[tuple[str, float], ...] = ()  # Scores of the last finished epoch
    can_resume: bool = False  # Whether :meth:`RunStore.resume` can start it again

    @property
    def active(self) -> bool:
        """Whether it has a process, be it waiting or paused."""
        return RunState(self.state).active

    def score(self, name: str) -> float:
        """Return a validation score of the last finished epoch, NaN if it is not known."""
        return dict(self.val).get(name, float("nan"))


def info_of(folder: RunFolder) -> RunInfo:
    """Return what is known of a run; "broken" if its configuration cannot be read."""
    state = state_of(folder)
    last = last_event(folder.events, "epoch") or {}
    info = RunInfo(
        folder.name, folder, state.state, state.message, state.pid,
        created=written(folder.config_file),
        updated=max(state.updated, written(folder.events)),
        epoch=whole(last.get("epoch")),
        val=tuple(numbers_in(last.get("val")).items()),
    )  # fmt: skip
    try:
        config = folder.read_config()
    except UserError as error:
        return replace(info, state=BROKEN, message=str(error))
    resumable = state.state in RESUMABLE and folder.resume_file.exists()
    return replace(info, config=config, n_epochs=config.optim.epochs, can_resume=resumable)


def _known(folder: RunFolder) -> RunInfo:
    """Return what is known of a run; one broken run must not hide the others."""
    try:
        return info_of(folder)
    except Exception as error:
        why = f"its files cannot be read ({type(error).__name__}: {plain(error, 80)})"
        return RunInfo(folder.name, folder, BROKEN, why, created=written(folder.config_file))


def is_run(path: Path) -> bool:
    """Tell whether a folder is that of a run."""
    return (path / "config.json").is_file() or (path / "events.jsonl").is_file()


def is_built_in(start: str) -> bool:
    """Tell a starting point that is no file: "compact" and "scratch:..."."""
    return start in BUILT_IN or start.startswith(SCRATCH)


def say_what_is_missing(config: TrainConfig) -> None:
    """Check, without reading anything, that the data and the model are where they should be."""
    if not config.data.sources:
        family = f" (there is no data/family_data with {config.data.family})"
        raise InputError(
            f"No training data are given{family if config.data.family else ''}: name a folder or "
            "file, --data DATA."
        )
    for source in (*config.data.sources, *config.data.validation):
        if not Path(source).exists():
            raise InputError(
                f"There are no training data at {source}: put them back if they were moved, "
                "or start a new run with their new place."
            )
    if not is_built_in(config.start) and not Path(config.start).is_file():
        raise InputError(
            f"There is no model at {config.start}: name a file, "
            f"{', '.join(map(repr, offered()))}, or '{SCRATCH}compact' for an untrained one."
        )


@dataclass(frozen=True)
class Start:
    """How a run is started."""

    resume: bool = False  # Go on from its last checkpoint
    queued: bool = True  # Wait until the runs before are through
    wait_s: float = WAIT_S  # Time between two looks while it waits, seconds
    nice: int = NICE  # How much it stands back behind other programs, 0 to 19


Command = Callable[[RunFolder, Start], Sequence[str]]


def runs_folder() -> Path:
    """Return the folder of the runs: ``$NAPARI_HOVERNET_RUNS``, else among the user's data."""
    named = os.environ.get(RUNS_ENV)
    if named:
        return Path(named)
    from platformdirs import user_data_path  # noqa: PLC0415 - on first use

    return Path(user_data_path(APP_NAME, appauthor=False)) / "runs"


def training_command(folder: RunFolder, start: Start) -> list[str]:
    """Return the command line of a training process; by "--run FOLDER" it is known again."""
    command = [sys.executable, "-m", "napari_hovernet", "train", "--run", str(folder.path)]
    return command + ["--resume"] * start.resume + ["--now"] * (not start.queued)


class RunStore:
    """The runs in a folder, one folder each; it keeps nothing in memory."""

    def __init__(
        self, folder: str | os.PathLike[str] | None = None, command: Command | None = None
    ) -> None:
        self.folder = Path(os.path.abspath(runs_folder() if folder is None else folder))
        self._command = command or training_command

    # Looking

    def list(self) -> tuple[RunInfo, ...]:
        """List all runs, the latest first; what cannot be read is listed as "broken"."""
        try:
            names = sorted(os.listdir(self.folder))
        except OSError:
            return ()
        paths = (self.folder / name for name in names if not name.startswith("."))
        found = [_known(RunFolder(path)) for path in paths if is_run(path)]
        return tuple(sorted(found, key=lambda info: (-info.created, info.name)))

    def info(self, run: RunFolder | str) -> RunInfo:
        """Return what is known of a run without reading its whole history."""
        return info_of(self.find(run))

    def find(self, run: RunFolder | str | Path) -> RunFolder:
        """Return a run by its name, or by the path of its folder."""
        if isinstance(run, RunFolder):
            return run
        named = self.folder / run if str(run) not in {"", ".", ".."} else Path(run)
        for path in (named, Path(run)):
            if is_run(path):
                return RunFolder(Path(os.path.abspath(path)))
        names = [info.name for info in self.list()]
        near = get_close_matches(str(run), names, n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        listed = ", ".join(names[:SHOWN]) + (" ..." if len(names) > SHOWN else "")
        there = f"there are: {listed}." if names else "it holds none yet."
        raise InputError(f"There is no run {str(run)!r} in {self.folder}; {there}{hint}")

    def queue(self) -> tuple[str, ...]:
        """Return the runs of this computer that run or wait, in their order."""
        return RunQueue(self.folder).order()

    # Making and removing

    def create(self, config: TrainConfig, *, exact: bool = False) -> RunFolder:
        """Make the folder of a new run and write its configuration."""
        if config.name.startswith("."):
            raise InputError(f"name is {config.name!r}; let it begin with a letter or digit.")
        writable_folder(self.folder)
        name, number = config.name, 1
        while not _made(self.folder / name):
            while (self.folder / name).exists():
                number += 1
                name = f"{config.name}-{number}"
            if exact:
                raise InputError(
                    f"There is a run {config.name!r} in {self.folder}: take another name, "
                    f"like {name}, or remove it."
                )
        run = RunFolder(self.folder / name)
        run.write_config(replace(config, name=name))
        return run

    def remove(self, run: RunFolder | str) -> None:
        """Delete a run that has no process, with all its files; nothing is asked."""
        folder = self.find(run)
        state = state_of(folder)
        if state.active:
            raise InputError(f"The run {folder.name} is {state.state}: stop it before removing it.")
        if folder.path.is_symlink() or not is_run(folder.path):
            raise InputError(f"{folder.path} is no folder of a run; nothing was removed.")
        try:
            shutil.rmtree(folder.path)
        except OSError as error:
            raise output_error(folder.path, error) from error

    # Asking a run for something

    def start(self, run: RunFolder | str, start: Start | None = None) -> None:
        """Start a run's process, anew if it was before; it outlives us, and waits for its turn."""
        self._launch(self.find(run), start or Start())

    def pause(self, run: RunFolder | str) -> None:
        """Ask a running run to stay between two steps; it keeps its memory and its turn."""
        self._ask(run, "pause", ("running", "paused", "starting"))

    def stop(self, run: RunFolder | str) -> None:
        """Ask a run to finish its step, write a checkpoint and end; one that waits just ends."""
        self._ask(run, "stop", ACTIVE)

    def resume(self, run: RunFolder | str, start: Start | None = None) -> None:
        """Let a run go on: one that is paused, or, from its last checkpoint, one that ended."""
        folder = self.find(run)
        state = state_of(folder).state
        if state == "paused":
            folder.write_command("resume")
            return
        if state == "done":
            raise InputError(
                f"The run {folder.name} is done: start a new one from {folder.last.name} of it."
            )
        there = folder.resume_file.exists()
        self._launch(folder, replace(start or Start(), resume=there))

    def kill(self, run: RunFolder | str) -> None:
        """End a run's process and all it started, at once; nothing else is ever signalled."""
        folder = self.find(run)
        mark, state = read_mark(process_file(folder)), state_of(folder)
        lives = mark is not None and process_of(mark, folder.path) is not None
        if not state.active and state.state != KILLED and not lives:
            return
        mark = mark or (ProcessMark(state.pid) if state.pid else None)
        if mark is not None:
            end(mark, folder.path, state.updated)
        _tidy(folder)
        RunQueue(folder.path.parent).leave(folder.name)
        if folder.read_status().get("state") not in {"done", "failed", "stopped"}:
            write_state(folder, "stopped", "Killed. What was saved last is there to go on from.")

    def _ask(self, run: RunFolder | str, command: str, states: tuple[str, ...]) -> None:
        folder = self.find(run)
        state = state_of(folder).state
        if state not in states:
            what = "it has not been started" if state == NEW else f"it is {state}"
            raise InputError(f"The run {folder.name} cannot be asked to {command}: {what}.")
        folder.write_command(command)

    def _launch(self, folder: RunFolder, start: Start) -> None:
        config = folder.read_config()
        say_what_is_missing(config)
        state = state_of(folder)
        if state.active:
            raise InputError(f"The run {folder.name} is {state.state} already.")
        mark = read_mark(process_file(folder))
        if mark is not None and not elsewhere(mark) and not process_of(mark, folder.path):
            end(mark, folder.path)  # the loaders it left behind
        writable_folder(folder.path)
        _tidy(folder)
        with contextlib.suppress(OSError):
            folder.control_file.unlink(missing_ok=True)
        queue = RunQueue(folder.path.parent)
        own = mark_of(os.getpid(), folder.path)
        _record(folder, queue, own, start.queued)  # ours until its own is known
        write_state(folder, "queued" if start.queued else "starting")
        threads = {name: str(config.threads) for name in THREADS} if config.threads else {}
        more = {"PYTHONUNBUFFERED": "1", "PYTHONSAFEPATH": "1", **threads}
        try:
            line = self._command(folder, start)
            child = start_detached(line, folder.path, folder.log, more, start.nice)
        except UserError as error:
            queue.leave(folder.name)
            write_state(folder, "failed", str(error))
            raise
        _record(folder, queue, child, start.queued)


def _made(path: Path) -> bool:
    """Make a folder; False if there is something of this name."""
    try:
        path.mkdir()
    except FileExistsError:
        return False
    except OSError as error:
        raise output_error(path, error) from error
    return True


def _record(folder: RunFolder, queue: RunQueue, mark: ProcessMark, queued: bool) -> None:
    write_mark(process_file(folder), mark)
    if queued:
        queue.enter(folder.name, mark)


def _tidy(folder: RunFolder) -> None:
    """Remove half-written files of a process that was killed."""
    with contextlib.suppress(OSError):
        for path in folder.path.rglob(f"{TEMPORARY_PREFIX}*"):
            path.unlink(missing_ok=True)


class RunQueue:
    """Whose turn it is on this computer.

    A run enters with a ticket; the living one with the lowest ticket has the turn, once the one
    before has let the lock go. Tickets of processes that are gone count for nothing.
    """

    def __init__(self, store: Path) -> None:
        self.folder = Path(store) / QUEUE / socket.gethostname()
        # The system frees it when its owner ends, however that comes about
        self._lock = FileLock(self.folder / LOCK, timeout=0, thread_local=False)

    def enter(self, run: str, mark: ProcessMark) -> None:
        """Take a ticket, or put another process in the place one has already."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise output_error(self.folder, error) from error
        mine = next((path for path, name in self._tickets() if name == run), None)
        write_mark(mine or self.folder / f"{time.time_ns():020d}{BETWEEN}{run}.json", mark)

    def leave(self, run: str) -> None:
        """Give ticket and turn back."""
        for path, name in self._tickets():
            if name == run:
                with contextlib.suppress(OSError):
                    path.unlink(missing_ok=True)
        self._lock.release(force=True)

    def order(self) -> tuple[str, ...]:
        """Return the runs that have a living process, the next first; tidies the others away."""
        living = []
        for path, run in self._tickets():
            mark = read_mark(path)
            if mark is None:
                continue
            if process_of(mark, self.folder.parents[1] / run, written(path)):
                living.append(run)
            elif not elsewhere(mark):
                with contextlib.suppress(OSError):
                    path.unlink(missing_ok=True)
        return tuple(living)

    def ahead(self, run: str) -> tuple[str, ...]:
        """Return the living runs in front of one, the running one included."""
        order = self.order()
        return order[: order.index(run)] if run in order else order

    def try_turn(self, run: str) -> bool:
        """Take the turn if it is this run's; it holds until :meth:`leave` or our end."""
        if self.ahead(run):
            return False
        try:
            self._lock.acquire()
        except Timeout:
            return False
        except NotImplementedError:  # a file system without locks: the tickets alone decide
            return True
        except OSError as error:
            raise output_error(self.folder / LOCK, error) from error
        return True

    def _tickets(self) -> list[tuple[Path, str]]:
        try:
            names = sorted(os.listdir(self.folder))
        except OSError:
            return []
        found = []
        for name in names:
            number, between, run = name.partition(BETWEEN)
            if between and number.isdigit() and run.endswith(".json"):
                found.append((self.folder / name, run.removesuffix(".json")))
        return found


# The life of the training process: it waits for its turn, trains, and says how that ended


def live(folder: RunFolder, train: Train, life: Start | None = None) -> int:
    """Be the process of a run, from its turn to its end; SIGTERM asks it to stop."""
    life = life or Start()
    if not is_first():
        return train(folder, life.resume)
    queue = RunQueue(folder.path.parent)
    with _token_of(folder) as token, _stop_when_told(folder):
        _record(folder, queue, mark_of(os.getpid(), folder.path, token), life.queued)
        try:
            if life.queued and not _wait(folder, queue, life.wait_s):
                write_state(folder, "stopped", "Stopped before its turn came.")
                return OK
            write_state(folder, "starting", pid=os.getpid())
            return _train(folder, train, life.resume)
        finally:
            if life.queued:
                queue.leave(folder.name)


@contextmanager
def _token_of(folder: RunFolder) -> Iterator[str]:
    """Give the token we were started with; where another launcher did, one for our children."""
    before = os.environ.get(MARKER)
    token, _, place = (before or "").partition("@")
    if place != str(folder.path):
        token = new_token()
        os.environ.update(marker(folder.path, token))
    try:
        yield token
    finally:
        os.environ.pop(MARKER, None)
        if before is not None:
            os.environ[MARKER] = before


def _wait(folder: RunFolder, queue: RunQueue, seconds: float) -> bool:
    """Wait for the turn; False if the run is asked to stop before."""
    said = None
    while not queue.try_turn(folder.name):
        if folder.read_command() == "stop":
            return False
        ahead = queue.ahead(folder.name)
        message = f"Waits for {', '.join(ahead)}." if ahead else "Waits for its turn."
        if message != said:
            write_state(folder, "queued", message, os.getpid())
            said = message
        time.sleep(seconds)
    return folder.read_command() != "stop"


def _train(folder: RunFolder, train: Train, resume: bool) -> int:
    try:
        status = train(folder, resume)
    except UserError as error:
        return _failed(folder, str(error))
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else FAILED
    except KeyboardInterrupt:
        write_state(folder, "stopped", "Interrupted.")
        raise
    except MemoryError:
        traceback.print_exc()
        return _failed(folder, "Not enough memory: take a smaller batch or crop.")
    except Exception as error:
        traceback.print_exc()
        return _failed(folder, f"{describe_failure(error)}. The whole of it is in log.txt.")
    if folder.read_status().get("state") in ACTIVE:  # the training left it to us
        if status != OK:
            return _failed(folder, f"It ended with status {status}; see log.txt.")
        write_state(folder, "done")
    return status


def _failed(folder: RunFolder, message: str) -> int:
    """Say what went wrong, unless the training said more exactly what."""
    before = folder.read_status()
    if before.get("state") != "failed" or not before.get("message"):
        write_state(folder, "failed", message)
    return FAILED


@contextmanager
def _stop_when_told(folder: RunFolder) -> Iterator[None]:
    """Let SIGTERM (the computer goes down, a time limit) ask the run to stop by itself."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(_signal: int, _frame: FrameType | None) -> None:
        with contextlib.suppress(UserError):
            folder.write_command("stop")

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
