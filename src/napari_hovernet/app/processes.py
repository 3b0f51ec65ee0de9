"""Processes that outlive us: started detached, recognised again, and ended with their children."""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.io.files import output_error
from ..errors import JobFailed

NICE = 10
"""How much a training process stands back behind the viewer (0 = not at all, 19 = most)."""
LOOK_AGAIN_S = 5.0
"""Where asking for a birth takes a process of its own, it is asked again after this time."""
QUICK = ("linux", "win32")
"""Systems where asking for a birth costs microseconds."""
ZOMBIE = "Z"
QUERY_LIMITED_INFORMATION, ACCESS_DENIED, STILL_ACTIVE = 0x1000, 5, 259
"""Numbers of Windows: what is asked for, why it is refused, the exit code of what runs."""

_children: dict[int, subprocess.Popen[bytes]] = {}
"""Those we started: a handle that is thrown away warns, and never collects its process."""
_seen: dict[tuple[int, str], float] = {}


@dataclass(frozen=True)
class ProcessMark:
    """What tells a process from a later one that got the same number."""

    pid: int  # Number of the process
    birth: str = ""  # When it began, in the words of the system
    host: str = ""  # Name of the computer

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON-able values."""
        return {"pid": self.pid, "birth": self.birth, "host": self.host}


def mark_from(values: Mapping[str, Any]) -> ProcessMark | None:
    """Read what :meth:`ProcessMark.as_dict` made; None where it is anything else."""
    pid, birth, host = values.get("pid"), values.get("birth", ""), values.get("host", "")
    if not isinstance(pid, int) or isinstance(pid, bool) or pid < 1:
        return None
    return ProcessMark(pid, str(birth), str(host))


def mark_of(pid: int) -> ProcessMark:
    """Mark a process of this computer."""
    return ProcessMark(pid, birth_of(pid) or "", socket.gethostname())


def is_here(mark: ProcessMark) -> bool:
    """Tell whether the process is, or was, one of this computer."""
    return mark.host in {"", socket.gethostname()}


def is_alive(mark: ProcessMark) -> bool:
    """Tell whether this very process runs; one that only waits to be collected does not.

    Ask only for processes of this computer (:func:`is_here`).
    """
    child = _children.get(mark.pid)
    if child is not None and child.poll() is not None:
        del _children[mark.pid]
    if sys.platform not in QUICK and _seen_lately(mark):
        return True
    found = birth_of(mark.pid)
    alive = found is not None and ("" in {found, mark.birth} or found == mark.birth)
    if alive:
        _seen[mark.pid, mark.birth] = time.monotonic()
    return alive


def _seen_lately(mark: ProcessMark) -> bool:
    since = time.monotonic() - _seen.get((mark.pid, mark.birth), -LOOK_AGAIN_S)
    if since >= LOOK_AGAIN_S:
        return False
    try:
        os.kill(mark.pid, 0)
    except PermissionError:
        return True
    except OSError:
        return False
    return True


def birth_of(pid: int) -> str | None:
    """Tell when a process began, in the words of the system."""
    by_system = {"linux": birth_on_linux, "win32": birth_on_windows}
    return by_system.get(sys.platform, birth_by_ps)(pid)


def birth_on_linux(pid: int) -> str | None:
    """Read clock ticks since the boot, and which boot: see proc(5), fields 3 and 22 of stat."""
    try:
        text = Path(f"/proc/{pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return None
    except OSError:
        return ""
    state, *fields = text[text.rindex(b")") + 2 :].decode("ascii").split()
    return None if state in {ZOMBIE, "X"} else f"{_boot()}/{fields[18]}"


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return ""


def birth_by_ps(pid: int) -> str | None:
    """Ask ``ps``, which every POSIX system has."""
    try:
        answer = subprocess.run(
            ["ps", "-o", "stat=,lstart=", "-p", str(pid)],
            env={**os.environ, "LC_ALL": "C"},
            capture_output=True,
            text=True,
            check=False,
        ).stdout.split()
    except OSError:
        return ""
    if not answer or answer[0].startswith(ZOMBIE):
        return None
    return " ".join(answer[1:])


def birth_on_windows(pid: int) -> str | None:
    """Ask the kernel for the time of creation, in its own units."""
    import ctypes  # noqa: PLC0415 - Windows alone
    from ctypes import wintypes  # noqa: PLC0415 - Windows alone

    kernel = getattr(ctypes, "WinDLL")("kernel32", use_last_error=True)  # noqa: B009 - no stub
    kernel.OpenProcess.restype = wintypes.HANDLE
    handle = kernel.OpenProcess(QUERY_LIMITED_INFORMATION, False, pid)
    if not handle:
        denied = getattr(ctypes, "get_last_error")() == ACCESS_DENIED  # noqa: B009 - no stub
        return "" if denied else None  # there, but not ours
    try:
        code, times = wintypes.DWORD(), [wintypes.FILETIME() for _ in range(4)]
        kernel.GetExitCodeProcess(wintypes.HANDLE(handle), ctypes.byref(code))
        kernel.GetProcessTimes(wintypes.HANDLE(handle), *map(ctypes.byref, times))
    finally:
        kernel.CloseHandle(wintypes.HANDLE(handle))
    if code.value != STILL_ACTIVE:
        return None
    return f"{times[0].dwHighDateTime}/{times[0].dwLowDateTime}"


def start_detached(
    command: Sequence[str], folder: Path, log: Path, environment: Mapping[str, str], nice: int = 0
) -> ProcessMark:
    """Start a process that goes on when we end, in a group of its own."""
    try:
        output = open(log, "ab")  # noqa: SIM115 - closed below
    except OSError as error:
        raise output_error(log, error) from error
    with output:
        try:
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
            raise JobFailed(f"{command[0]} cannot be started: {error}.") from error
    if nice and sys.platform != "win32":
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, child.pid, nice)
    _children[child.pid] = child
    return mark_of(child.pid)


@atexit.register
def _let_go() -> None:
    """Leave what we started to itself; without this Python warns of processes that still run."""
    for child in _children.values():
        child.returncode = child.poll() or 0


def _detached(nice: int) -> dict[str, Any]:
    if sys.platform == "win32":
        flags = subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW
        flags |= subprocess.BELOW_NORMAL_PRIORITY_CLASS if nice else 0
        return {"creationflags": flags}
    else:
        return {"start_new_session": True}


def kill(mark: ProcessMark) -> None:
    """End a process of this computer, and all it started, at once; one that is gone is fine.

    What is left of its group is ended even if the process itself is gone. A stranger that got its
    number is never touched.
    """
    found = birth_of(mark.pid)
    if found and mark.birth and found != mark.birth:
        return
    try:
        _kill(mark.pid, there=found is not None)
    except ProcessLookupError:
        return
    except OSError as error:
        raise JobFailed(
            f"Process {mark.pid} cannot be ended: {error.strerror or error}. "
            "It may belong to another user."
        ) from error


def _kill(pid: int, there: bool) -> None:
    if sys.platform == "win32":
        if there:
            command = ["taskkill", "/F", "/T", "/PID", str(pid)]
            subprocess.run(command, capture_output=True, check=False)
    elif not there or os.getpgid(pid) == pid:
        os.killpg(pid, signal.SIGKILL)
    else:
        os.kill(pid, signal.SIGKILL)


def wait_until_gone(mark: ProcessMark, seconds: float, step: float = 0.005) -> bool:
    """Wait until a process of this computer is gone; False if it still is there."""
    end = time.monotonic() + seconds
    while is_alive(mark):
        if time.monotonic() >= end:
            return False
        time.sleep(step)
    return True
