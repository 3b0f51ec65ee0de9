"""The process of a run: recorded so that no other is taken for it, started, proven, and ended.

A number alone says nothing: systems give it again to others, records are copied and edited, other
boots and containers count anew. So a record also holds when the process began, in which boot,
namespace and computer, whose it is, and a token that the process and all it starts carry in their
environment. What cannot be proven by these is never signalled.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil

from ..core.io.files import load_json, output_error, write_json
from ..errors import InputError, JobFailed, UserError

NICE = 10
"""How much a training process stands back behind the viewer (0 = not at all, 19 = most)."""
MARKER = "NAPARI_HOVERNET_RUN"
"""Environment variable that a run's processes carry: TOKEN@FOLDER."""
TOKEN_BYTES = 16
FOLDER_OPTION = "--run"
"""In front of the run's folder in the command line of its process."""
SLACK_S = 1.5
"""Two times of birth may differ by this: the kernel's boot time wavers by a second."""
GONE_S = 0.9
"""How long a killed process is waited for; it takes some 10 ms."""
ROUNDS = 5
"""How often members are looked for: what is about to be killed may start another."""

_children: list[subprocess.Popen[bytes]] = []
"""Those we started: a handle that is thrown away warns, and never collects its process."""


@dataclass(frozen=True)
class ProcessMark:
    """What tells a process from a later one, or one elsewhere, that has the same number."""

    pid: int
    born: float | None = None  # Seconds since the boot (Linux) or 1970; None = not known
    boot: str = ""  # Which boot of the computer; "" = not known
    space: str = ""  # Namespace of process numbers (Linux); "" = not known
    host: str = ""
    user: str = ""
    program: str = ""  # Executable
    folder: str = ""  # Of the run it works for
    token: str = ""  # In the environment of all it starts; "" = none
    marked: bool = False  # Whether it carries the token itself


def new_token() -> str:
    """Draw a token that nobody else has."""
    return secrets.token_hex(TOKEN_BYTES)


def marker(folder: Path, token: str) -> dict[str, str]:
    """Return the variable that makes a process, and all it starts, the run's own."""
    return {MARKER: f"{token}@{folder}"}


def mark_of(pid: int, folder: Path, token: str = "") -> ProcessMark:
    """Record a process of this computer."""
    known: dict[str, Any] = {"boot": _boot(), "space": _space(), "host": socket.gethostname(),
             "folder": str(folder), "token": token}  # fmt: skip
    try:
        process = psutil.Process(pid)
        mark = ProcessMark(pid, _born(process), user=process.username(), **known)
    except psutil.NoSuchProcess:  # ended and collected already
        return ProcessMark(pid, 0.0, **known)
    return replace(mark, program=_program(process), marked=_carries(process, mark, folder))


def write_mark(path: Path, mark: ProcessMark) -> None:
    """Write a record, JSON."""
    write_json(path, asdict(mark), indent=None)


def read_mark(path: Path) -> ProcessMark | None:
    """Read a record; None where there is none, or it names no process."""
    try:
        values = load_json(path)
    except UserError:
        return None
    return mark_from(values) if isinstance(values, dict) else None


def mark_from(values: Mapping[str, Any]) -> ProcessMark | None:
    """Read what a record holds; what is of another kind counts as not known."""
    pid, born, token = (values.get(name) for name in ("pid", "born", "token"))
    if not isinstance(pid, int) or isinstance(pid, bool) or pid < 1:
        return None
    names = ("boot", "space", "host", "user", "program", "folder")
    words = {n: v for n in names if isinstance(v := values.get(n), str)}
    boot, _, ticks = str(values.get("birth", "")).rpartition("/")
    if "born" not in values and boot and ticks.isdigit():  # as version 0.1 wrote it, on Linux
        words["boot"], born = boot, int(ticks) / os.sysconf("SC_CLK_TCK")
    number = isinstance(born, int | float) and not isinstance(born, bool)
    known = isinstance(token, str) and len(token) == 2 * TOKEN_BYTES
    return ProcessMark(
        pid, float(born) if number and born is not None else None, **words,
        token=str(token) if known else "", marked=values.get("marked") is True,
    )  # fmt: skip


def elsewhere(mark: ProcessMark) -> str:
    """Say where a process is that cannot be seen from here, "" if it can (or is gone)."""
    if mark.host not in {"", socket.gethostname()}:
        return f"on the computer {mark.host}"
    if _other_boot(mark) or mark.space in {"", _space()}:
        return ""
    return "in another container of this computer"


def process_of(
    mark: ProcessMark, folder: Path, since: float | None = None
) -> psutil.Process | None:
    """Find the living process that a run's record names; None if it is gone, or another's.

    ``since`` (Unix seconds) is when a record without a birth was written.
    """
    _collect()
    copied = os.path.exists(mark.folder) and not _same_file(mark.folder, folder)
    if elsewhere(mark) or _other_boot(mark) or copied:  # a folder that was moved is its own still
        return None
    try:
        process = psutil.Process(mark.pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        if mark.born is not None:
            same = abs(_born(process) - mark.born) <= SLACK_S
        else:
            same = since is not None and process.create_time() <= since + SLACK_S
    except psutil.Error:  # gone, or another user's on a system that tells nothing about it
        return None
    return process if same else None


def spawn(
    command: Sequence[str], folder: Path, log: Path, environment: Mapping[str, str], nice: int = 0
) -> subprocess.Popen[bytes]:
    """Start a process that goes on when we end; what it says is added to ``log``."""
    try:
        with open(log, "ab") as output:
            child = subprocess.Popen(
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env={**os.environ, **environment},
                **_detached(nice),
            )
    except OSError as error:
        if error.filename == str(log):
            raise output_error(log, error) from error
        raise JobFailed(f"{command[0]} cannot be started: {error}.") from error
    _children.append(child)
    with contextlib.suppress(psutil.Error, OSError):
        if nice and sys.platform != "win32":
            psutil.Process(child.pid).nice(nice)
    return child


def start_detached(
    command: Sequence[str], folder: Path, log: Path, environment: Mapping[str, str], nice: int = 0
) -> ProcessMark:
    """Start a process of a run that goes on when we end; it and its children carry a token."""
    token = new_token()
    child = spawn(command, folder, log, {**environment, **marker(folder, token)}, nice)
    # Its environment can be read only a moment after the system says that it began
    return replace(mark_of(child.pid, folder, token), marked=True)


def end(mark: ProcessMark, folder: Path, since: float | None = None) -> None:
    """End a run's process and all that provably carries its token; what is gone is fine."""
    if where := elsewhere(mark):
        raise InputError(f"The run {folder.name} is {where}: kill it there, or stop it.")
    leader = process_of(mark, folder, since)
    if leader is not None and (doubt := _doubt(leader, mark, folder)):
        raise InputError(
            f"Process {mark.pid} was left alone, it is not proven to be that of {folder.name}: "
            f"{doubt}. Look at it (ps -p {mark.pid}, or the task manager); if it is the training, "
            f"end it by hand (kill {mark.pid}), then try again."
        )
    for _ in range(ROUNDS):
        there = [leader] if leader is not None and _lives(leader) else []
        there += members(mark, folder, any_program=leader is not None)
        if not there:
            return
        for process in there:
            _kill(process)
        _wait(there)
    numbers = ", ".join(str(process.pid) for process in there)
    raise JobFailed(f"Processes of {folder.name} do not end ({numbers}); try again.")


def members(mark: ProcessMark, folder: Path, *, any_program: bool = False) -> list[psutil.Process]:
    """List the living processes, but the run's own, that prove by its token to belong to it.

    Without ``any_program`` its loaders alone: what else a dead run has left may be of use.
    """
    if not mark.token or elsewhere(mark) or _other_boot(mark):
        return []
    found = []
    for process in psutil.process_iter():
        if process.pid in {os.getpid(), mark.pid} or not _carries(process, mark, folder):
            continue
        if _lives(process) and (any_program or _program(process) == mark.program):
            found.append(process)
    return found


def wait_until_gone(mark: ProcessMark, folder: Path, seconds: float) -> bool:
    """Wait until a run's process is gone; False if it still is there."""
    end_at = time.monotonic() + seconds
    while process_of(mark, folder) is not None:
        if time.monotonic() >= end_at:
            return False
        time.sleep(0.005)
    return True


@atexit.register
def _let_go() -> None:
    """Leave what we started to itself; without this Python warns of processes that still run."""
    for child in _children:
        child.returncode = child.returncode if child.poll() is not None else 0


def _collect() -> None:
    """Collect those of our children that have ended."""
    _children[:] = [child for child in _children if child.poll() is None]


def _detached(nice: int) -> dict[str, Any]:
    if sys.platform == "win32":
        flags = subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW
        flags |= subprocess.BELOW_NORMAL_PRIORITY_CLASS if nice else 0
        return {"creationflags": flags}
    else:
        return {"start_new_session": True}


def _born(process: psutil.Process) -> float:
    """Tell when a process began; on Linux since the boot, which no set clock changes."""
    boot = psutil.boot_time() if sys.platform == "linux" else 0.0
    return float(process.create_time() - boot)


def _program(process: psutil.Process) -> str:
    try:
        return str(process.exe())
    except psutil.Error:
        return ""


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return ""


def _space() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


def _other_boot(mark: ProcessMark) -> bool:
    return bool(mark.boot) and mark.boot != _boot()


def _same_file(one: str | Path, other: str | Path) -> bool:
    try:
        return os.path.samefile(one, other)
    except (OSError, ValueError):
        return False


def _carries(process: psutil.Process, mark: ProcessMark, folder: Path) -> bool:
    """Tell whether a process has the run's token in its environment, for this very folder."""
    try:
        token, _, place = process.environ().get(MARKER, "").partition("@")
    except (psutil.Error, OSError):
        return False
    return bool(mark.token) and token == mark.token and _same_file(place, folder)


def _doubt(process: psutil.Process, mark: ProcessMark, folder: Path) -> str:
    """Say what is not proven of a run's process, "" if nothing."""
    try:
        user, line, place = process.username(), process.cmdline(), process.cwd()
    except psutil.Error:
        return "the system does not tell its command line, it may be another user's"
    named = any(
        word == FOLDER_OPTION and _same_file(Path(place, value), folder)
        for word, value in pairwise(line)
    )
    proofs = {
        "its record does not say when it began": mark.born is not None,
        "it is the very process that was asked": process.pid != os.getpid(),
        f"its command line does not name the run's folder ({FOLDER_OPTION} {folder})": named,
        f"it is {user}'s, the run was {mark.user}'s": mark.user in {"", user},
        f"it does not carry the run's token ({MARKER})": not mark.marked
        or _carries(process, mark, folder),
    }
    return next((doubt for doubt, proven in proofs.items() if not proven), "")


def _lives(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True


def _kill(process: psutil.Process) -> None:
    """Signal one process; psutil compares its birth once more just before."""
    try:
        process.kill()
    except psutil.NoSuchProcess:
        return
    except psutil.AccessDenied as error:
        raise JobFailed(
            f"Process {process.pid} cannot be ended; it may belong to another user."
        ) from error


def _wait(processes: Sequence[psutil.Process]) -> None:
    end_at = time.monotonic() + GONE_S / ROUNDS
    while time.monotonic() < end_at:
        _collect()
        if not any(map(_lives, processes)):
            return
        time.sleep(0.005)
