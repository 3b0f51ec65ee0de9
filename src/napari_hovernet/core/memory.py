"""How much main memory this computer can still give."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

UNKNOWN_SHARE = 0.5
"""Share of all memory taken for free where the system does not say."""

_MEMINFO = Path("/proc/meminfo")
_CGROUPS = (
    (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")),
    (
        Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
        Path("/sys/fs/cgroup/memory/memory.usage_in_bytes"),
    ),
)


def free_memory() -> int:
    """Bytes of main memory that a process may still take, as far as the system says.

    Linux: ``MemAvailable``, and what a container's limit leaves if that is less.
    Windows: available physical memory. Elsewhere: half of all memory.

    Examples
    --------
    >>> free_memory() > 0
    True
    """
    if sys.platform == "win32":
        return _windows()
    if _MEMINFO.exists():
        return max(min([_available(_MEMINFO.read_text()), *_container()]), 1)
    return int(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") * UNKNOWN_SHARE)


def _available(meminfo: str) -> int:
    """Read ``MemAvailable`` (in kB there) of /proc/meminfo; bytes."""
    for line in meminfo.splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return int(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") * UNKNOWN_SHARE)


def _container() -> list[int]:
    """Bytes that control groups leave; empty where there is no limit."""
    left = []
    for limit, used in _CGROUPS:
        try:
            left.append(int(limit.read_text()) - int(used.read_text()))
        except (OSError, ValueError):  # no such group, or "max"
            continue
    return left


class _MemoryStatus(ctypes.Structure):
    _fields_ = (
        ("length", ctypes.c_uint32),
        ("load", ctypes.c_uint32),
        ("total", ctypes.c_uint64),
        ("available", ctypes.c_uint64),
        ("total_page_file", ctypes.c_uint64),
        ("available_page_file", ctypes.c_uint64),
        ("total_virtual", ctypes.c_uint64),
        ("available_virtual", ctypes.c_uint64),
        ("available_extended", ctypes.c_uint64),
    )


def _windows() -> int:
    status = _MemoryStatus()
    status.length = ctypes.sizeof(status)
    kernel32 = getattr(ctypes, "windll").kernel32  # noqa: B009 - only there on Windows
    kernel32.GlobalMemoryStatusEx(ctypes.byref(status))
    return max(int(status.available), 1)
