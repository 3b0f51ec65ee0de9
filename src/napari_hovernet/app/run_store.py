"""The training runs of this user: made, started, stopped, listed and removed."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path

from ..core.io.files import TEMPORARY_PREFIX, output_error, writable_folder
from ..core.params import TrainConfig
from ..core.training.files import RunFolder
from ..errors import InputError, JobFailed, UserError
from .finetune import say_what_is_missing
from .processes import NICE, is_alive, is_here, kill, start_detached, wait_until_gone
from .run_info import RunInfo, info_of, is_run
from .run_queue import RunQueue
from .run_state import (
    KILLED,
    NEW,
    own_mark,
    read_process,
    state_of,
    write_process,
    write_state,
)
from .session import APP_NAME

RUNS_ENV = "NAPARI_HOVERNET_RUNS"
"""Environment variable that names the folder of the runs."""
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
"""Variables that bound the CPU threads of a process."""
GONE_S = 0.9
"""How long a killed process is waited for; it takes some 10 ms."""
SHOWN = 8
"""Names of runs that an error lists."""

Command = Callable[[RunFolder, "Start"], Sequence[str]]


@dataclass(frozen=True)
class Start:
    """How a run is started."""

    resume: bool = False  # Go on from its last checkpoint
    queued: bool = True  # Wait until the runs before are through
    nice: int = NICE  # How much it stands back behind other programs, 0 to 19


def runs_folder() -> Path:
    """Return the folder of the runs: ``$NAPARI_HOVERNET_RUNS``, else among the user's data."""
    named = os.environ.get(RUNS_ENV)
    if named:
        return Path(named)
    from platformdirs import user_data_path  # noqa: PLC0415 - on first use

    return Path(user_data_path(APP_NAME, appauthor=False)) / "runs"


def training_command(folder: RunFolder, start: Start) -> list[str]:
    """Return the command line of a training process."""
    command = [sys.executable, "-m", "napari_hovernet", "train", "--run", str(folder.path)]
    return command + ["--resume"] * start.resume + ["--now"] * (not start.queued)


class RunStore:
    """The runs in a folder, one folder each.

    It keeps nothing in memory: what it tells, it reads; several may look at one folder.
    """

    def __init__(
        self, folder: str | os.PathLike[str] | None = None, command: Command | None = None
    ) -> None:
        self.folder = Path(os.path.abspath(runs_folder() if folder is None else folder))
        self._command = command or training_command

    # Looking

    def list(self) -> tuple[RunInfo, ...]:
        """List all runs, the latest first; what cannot be read is listed as "broken"."""
        found = [self.info(RunFolder(path)) for path in self._paths()]
        return tuple(sorted(found, key=lambda info: (-info.created, info.name)))

    def info(self, run: RunFolder | str) -> RunInfo:
        """Return what is known of a run without reading its whole history."""
        return info_of(self.find(run))

    def find(self, run: RunFolder | str | Path) -> RunFolder:
        """Return a run by its name, or by the path of its folder."""
        if isinstance(run, RunFolder):
            return run
        named = self.folder / run
        if str(run) not in {"", ".", ".."} and is_run(named):
            return RunFolder(Path(os.path.abspath(named)))
        if is_run(Path(run)):
            return RunFolder(Path(os.path.abspath(run)))
        names = [info.name for info in self.list()]
        near = get_close_matches(str(run), names, n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        listed = ", ".join(names[:SHOWN]) + (" ..." if len(names) > SHOWN else "")
        there = f"there are: {listed}." if names else "it holds none yet."
        raise InputError(f"There is no run {str(run)!r} in {self.folder}; {there}{hint}")

    # Making and removing

    def create(self, config: TrainConfig, *, exact: bool = False) -> RunFolder:
        """Make the folder of a new run and write its configuration."""
        if config.name.startswith("."):
            raise InputError(f"name is {config.name!r}; let it begin with a letter or digit.")
        writable_folder(self.folder)
        name = config.name
        while not self._make(name):
            name = self._free(config.name)
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
        """Start a run's process; it outlives us, and waits for its turn.

        A run that was started before begins again.
        """
        self._launch(self.find(run), start or Start())

    def pause(self, run: RunFolder | str) -> None:
        """Ask a running run to stay between two steps; it keeps its memory and its turn."""
        self._ask(run, "pause", ("running", "paused", "starting"))

    def resume_paused(self, run: RunFolder | str) -> None:
        """Ask a paused run to go on."""
        self._ask(run, "resume", ("paused", "running"))

    def stop(self, run: RunFolder | str) -> None:
        """Ask a run to finish its step, write a checkpoint and end; one that waits just ends."""
        self._ask(run, "stop", ("queued", "starting", "running", "paused"))

    def resume(self, run: RunFolder | str, start: Start | None = None) -> None:
        """Let a run go on: one that is paused, or, from its last checkpoint, one that ended early.

        One that ended before its first checkpoint begins again.
        """
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
        """End a run's process and all it started, at once.

        What came after its last checkpoint is lost.
        """
        folder = self.find(run)
        mark, state = read_process(folder), state_of(folder)
        lives = mark is not None and is_here(mark) and is_alive(mark)
        if not state.active and state.state != KILLED and not lives:
            return
        if mark is not None and not is_here(mark):
            raise InputError(
                f"The run {folder.name} is on the computer {mark.host}: kill it there, or stop it."
            )
        if mark is not None:
            kill(mark)
            if not wait_until_gone(mark, GONE_S):
                raise JobFailed(f"Process {mark.pid} of {folder.name} does not end; try again.")
        _tidy(folder)
        RunQueue(self.folder_of(folder)).leave(folder.name)
        if folder.read_status().get("state") not in {"done", "failed", "stopped"}:
            write_state(folder, "stopped", "Killed. What was saved last is there to go on from.")

    @staticmethod
    def folder_of(run: RunFolder) -> Path:
        """Return the store a run lies in: its queue is there."""
        return run.path.parent

    def queue(self) -> tuple[str, ...]:
        """Return the runs of this computer that run or wait, in their order."""
        return RunQueue(self.folder).order()

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
        mark = read_process(folder)
        if mark is not None and is_here(mark) and not is_alive(mark):
            kill(mark)  # what is left of its group
        writable_folder(folder.path)
        _tidy(folder)
        with contextlib.suppress(OSError):
            folder.control_file.unlink(missing_ok=True)
        write_process(folder, own_mark())  # ours until its own is known
        queue = RunQueue(self.folder_of(folder))
        if start.queued:
            queue.enter(folder.name, own_mark())
        write_state(folder, "queued" if start.queued else "starting")
        try:
            child = start_detached(
                self._command(folder, start), folder.path, folder.log, _surroundings(config),
                start.nice,
            )  # fmt: skip
        except UserError as error:
            queue.leave(folder.name)
            write_state(folder, "failed", str(error))
            raise
        write_process(folder, child)
        if start.queued:
            queue.enter(folder.name, child)

    def _paths(self) -> tuple[Path, ...]:
        try:
            names = sorted(os.listdir(self.folder))
        except OSError:
            return ()
        paths = (self.folder / name for name in names if not name.startswith("."))
        return tuple(path for path in paths if is_run(path))

    def _make(self, name: str) -> bool:
        path = self.folder / name
        try:
            path.mkdir()
        except FileExistsError:
            return False
        except OSError as error:
            raise output_error(path, error) from error
        return True

    def _free(self, name: str) -> str:
        number = 2
        while (self.folder / f"{name}-{number}").exists():
            number += 1
        return f"{name}-{number}"


def _surroundings(config: TrainConfig) -> dict[str, str]:
    """Return the variables of a training process."""
    threads = {name: str(config.threads) for name in THREADS} if config.threads else {}
    return {"PYTHONUNBUFFERED": "1", "PYTHONSAFEPATH": "1", **threads}


def _tidy(folder: RunFolder) -> None:
    """Remove half-written files of a process that was killed."""
    with contextlib.suppress(OSError):
        for path in folder.path.rglob(f"{TEMPORARY_PREFIX}*"):
            path.unlink(missing_ok=True)
