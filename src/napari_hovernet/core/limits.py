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
"""Share of the free memory that the pixels of one file may take."""

_CGROUPS, _OWN_CGROUP = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
"""Where control groups (of containers, of the jobs of a cluster) are, and which is our own."""
_CGROUP_FILES = {
    "": ("memory.max", "memory.current"),
    "memory": ("memory.limit_in_bytes", "memory.usage_in_bytes"),
}
"""Names of limit and use, in version 2 and in version 1 (by the controller)."""
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
    for limit, used in _memory_files():
        try:
            left.append(int(limit.read_text()) - int(used.read_text()))
        except (OSError, ValueError):  # no such group, or "max"
            continue
    return max(min(left), 1)


def _memory_files() -> Iterator[tuple[Path, Path]]:
    """Yield limit and use of the process's own control group and of all above it."""
    try:
        lines = _OWN_CGROUP.read_text().splitlines()
    except OSError:  # not Linux
        return
    for line in lines:
        _, controllers, name = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        controller = "memory" if controllers else ""
        root, group = _CGROUPS / controller, _CGROUPS / controller / name.lstrip("/")
        for folder in (group, *group.parents):
            yield tuple(folder / file for file in _CGROUP_FILES[controller])  # type: ignore[misc]
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
            f"{name} takes {needed / 1e9:.1f} GB of memory to read and {free / 1e9:.1f} GB are "
            f"free; {remedy}."
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
