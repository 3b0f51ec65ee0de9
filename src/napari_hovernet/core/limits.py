"""What a file may cost, looked at before it is read, and what memory there is."""

from __future__ import annotations

import ctypes
import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
import psutil

from ..errors import InputError, plain

MEMORY_SHARE = 0.6
"""Share of the free memory that one thing may take: the pixels of a file, maps, workers."""

_CGROUPS, _OWN_CGROUP = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
"""Where control groups (of containers, of the jobs of a cluster) are, and which is our own."""
_MEMORY_FILES = (
    ("memory.max", "memory.current", "inactive_file"),
    ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)
"""Files of limit and use, and the line of memory.stat with the cache of files that the kernel
gives back, in version 2 and in version 1 of control groups."""
_AFFINITY, _QUOTA = hasattr(os, "sched_getaffinity"), ("quota", "period")
_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def free_memory() -> int:
    """Bytes of main memory that a process may still take; limits of its control groups count."""
    free = _free()
    if _users[0] and free < SCARCE and (libc := _glibc()) is not None:
        libc.malloc_trim(0)  # what was kept is free, too
        free = _free()
    return free


def _free() -> int:
    left = [int(psutil.virtual_memory().available)]
    for version, folder in _own_groups("memory"):
        limit, used, cache = _MEMORY_FILES[version]
        try:
            taken = int((folder / used).read_text()) - _cached(folder, cache)
            left.append(int((folder / limit).read_text()) - taken)
        except (OSError, ValueError):  # no such group, or "max"
            continue
    return max(min(left), 1)


def _cached(group: Path, line: str) -> int:
    """Bytes of a control group's files in memory that are given back when they are needed."""
    try:
        stats = dict(row.split() for row in (group / "memory.stat").read_text().splitlines())
        return int(stats[line])
    except (OSError, ValueError, KeyError):
        return 0


def cores_given() -> int:
    """Cores this process may use: affinity, quotas of its control groups, its share of a job."""
    cores = [len(os.sched_getaffinity(0)) if _AFFINITY else os.cpu_count() or 1]
    for version, folder in _own_groups("cpu"):
        try:
            if version:
                quota, period = ((folder / f"cpu.cfs_{n}_us").read_text() for n in _QUOTA)
            else:
                quota, period = (folder / "cpu.max").read_text().split()
            if int(quota) > 0:  # -1 = no limit
                cores.append(int(quota) // int(period))
        except (OSError, ValueError):  # no such group, or "max"
            continue
    given = os.environ.get("SLURM_CPUS_PER_TASK", "")
    if given.isdecimal():
        cores.append(int(given))
    return max(min(cores), 1)


def _own_groups(controller: str) -> Iterator[tuple[int, Path]]:
    """Yield the folders of the process's own control group and of all above it.

    Before each, 0 for version 2 of control groups, 1 for version 1.
    """
    try:
        lines = _OWN_CGROUP.read_text().splitlines()
    except OSError:  # not Linux
        return
    for line in lines:
        _, controllers, name = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        root = _CGROUPS / (controller if controllers else "")
        group = root / name.lstrip("/")
        for folder in (group, *group.parents):
            yield int(bool(controllers)), folder
            if folder == root:
                break


_MAPPED, _THRESHOLD, _TRIM = -4, -3, -1
"""What ``mallopt`` of glibc sets: blocks mapped at most, from which size, and what is kept free."""
_EVER, _NEVER = 65536, 0
_MIB = 2**20
SCARCE = 4 * 2**30
"""Bytes of free memory below which nothing that was freed is kept."""
_users, _lock = [0], threading.Lock()


@contextmanager
def freed_memory_kept() -> Iterator[None]:
    """Let what is freed stay with the process, and give it back to the system in the end.

    glibc maps each array above 32 MB anew, and the kernel clears it page by page: a third to a half
    of what a network costs on a CPU. Where there is no glibc nothing is done.
    """
    _count_user(1)
    try:
        yield
    finally:
        _count_user(-1)


def _count_user(change: int) -> None:
    """Set the allocator when the first user comes and the last one goes; they may overlap."""
    libc = _glibc()
    with _lock:
        before = _users[0]
        _users[0] += change
        if libc is None or bool(before) == bool(_users[0]):
            return
        libc.mallopt(_MAPPED, _NEVER if _users[0] else _EVER)
        libc.mallopt(_TRIM, 2**31 - 1 if _users[0] else 64 * _MIB)
        if not _users[0]:
            libc.mallopt(_THRESHOLD, 32 * _MIB)  # where glibc itself arrives with large arrays
            libc.malloc_trim(0)


def _glibc() -> Any:
    try:
        libc = ctypes.CDLL(None)
        return libc if hasattr(libc, "gnu_get_libc_version") else None
    except (OSError, TypeError):  # Windows has no library without a name
        return None


def check_file(
    path: str | os.PathLike[str], wanted: str = "a file", most: int | None = None
) -> int:
    """Return the size of a file, bytes; refuse folders, pipes, devices and what is not there."""
    try:
        found = os.stat(path)
    except FileNotFoundError as error:
        raise InputError(f"{path} is not there; check the path.") from error
    except (OSError, ValueError) as error:  # a name with a zero byte
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path} cannot be read: {reason}.") from error
    if not stat.S_ISREG(found.st_mode):
        kind = next((name for is_a, name in _KINDS if is_a(found.st_mode)), "no file")
        raise InputError(f"{path} is {kind}; give {wanted}.")
    if most is not None and found.st_size > most:
        raise InputError(
            f"{path} has {found.st_size / 2**30:.1f} GiB; files up to {most / 2**30:.3g} GiB are "
            "read: export a smaller region."
        )
    return found.st_size


def check_room(needed: int, name: str, remedy: str = "give a smaller part") -> None:
    """Refuse what would not fit into the memory that is free, before it is read."""
    free = free_memory()
    if needed > free * MEMORY_SHARE:
        raise InputError(
            f"{name}: {needed / 1e9:.1f} GB of memory needed, {free / 1e9:.1f} GB are free; "
            f"{remedy}."
        )


def npy_header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Read shape, order (whether columns lie together) and dtype of an .npy.

    ValueError where it is broken.
    """
    form: Any = np.lib.format
    try:
        old = form.read_magic(file) == (1, 0)
        read = form.read_array_header_1_0 if old else form.read_array_header_2_0
        shape, fortran, dtype = read(file)
    except Exception as error:  # numpy's parser raises errors of many kinds
        raise ValueError(plain(error, 80)) from error
    if any(n < 0 for n in shape):
        raise ValueError(f"a shape of {plain(shape, 60)}")
    return tuple(int(n) for n in shape), bool(fortran), dtype
