"""The life of the training process: it waits for its turn, trains, and says how that ended."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from ..core.training.files import RunFolder
from ..errors import UserError
from .jobs import describe_failure
from .run_queue import RunQueue
from .run_state import ACTIVE, own_mark, write_process, write_state

WAIT_S = 0.5
"""Time between two looks of a waiting run: 2 ms of work each."""
OK, FAILED = 0, 1
RANKS = ("LOCAL_RANK", "RANK", "NODE_RANK", "SLURM_PROCID")
"""Variables by which launchers number the processes of one training."""

Train = Callable[[RunFolder, bool], int]


@dataclass(frozen=True)
class Life:
    """How a training process lives."""

    resume: bool = False  # Go on from the last checkpoint
    queued: bool = True  # Wait until the runs before are through
    wait_s: float = WAIT_S  # Time between two looks while it waits, seconds


def is_first(environment: Mapping[str, str] | None = None) -> bool:
    """Tell whether this is the process of a training that speaks for all of them."""
    values = os.environ if environment is None else environment
    return all(values.get(name, "0") in {"", "0"} for name in RANKS)


def live(folder: RunFolder, train: Train, life: Life | None = None) -> int:
    """Be the process of a run, from its turn to its end.

    The state is kept true whatever happens, an exception included, short of being killed; SIGTERM
    asks the run to stop with a checkpoint.
    """
    life = Life() if life is None else life
    if not is_first():
        return train(folder, life.resume)
    write_process(folder, own_mark())
    queue = RunQueue(folder.path.parent)
    with _stop_when_told(folder):
        try:
            if life.queued and not _wait(folder, queue, life.wait_s):
                write_state(folder, "stopped", "Stopped before its turn came.")
                return OK
            write_state(folder, "starting", pid=os.getpid())
            return _train(folder, train, life.resume)
        finally:
            if life.queued:
                queue.leave(folder.name)


def _wait(folder: RunFolder, queue: RunQueue, seconds: float) -> bool:
    """Wait for the turn; False if the run is asked to stop before."""
    queue.enter(folder.name, own_mark())
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
        if status == OK:
            write_state(folder, "done")
        else:
            return _failed(folder, f"It ended with status {status}; see log.txt.")
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
