"""What a file may cost: looked at before it is read, the same for every format."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
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
    "": ("memory.max", "memory.current", "inactive_file"),
    "memory": ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
}
"""Files of limit and use, and the line of memory.stat with the cache of files that the kernel
gives back, in version 2 and in version 1 (by the controller)."""
_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def free_memory() -> int:
    """Bytes of main memory that a process may still take; limits of its control groups count."""
    left = [int(psutil.virtual_memory().available)]
    for folder, (limit, used, cache) in _memory_groups():
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


def _memory_groups() -> Iterator[tuple[Path, tuple[str, str, str]]]:
    """Yield the process's own control group and all above it, with the names of their files."""
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
            yield folder, _CGROUP_FILES[controller]
            if folder == root:
                break


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
