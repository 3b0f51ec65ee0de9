"""Loops compiled to machine code, kept on the disk for the next process."""

from __future__ import annotations

import logging
import os
import stat
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

_LOG = logging.getLogger(__name__)
_FOLDER = "NUMBA_CACHE_DIR"
"""Variable that names numba's folder; processes that are started later have it, too."""

F = TypeVar("F", bound=Callable[..., object])


def kernel(function: F) -> F:
    """Compile a loop over arrays to machine code that lets other threads run."""
    try:
        made = _kept(function)
    except RuntimeError:  # there is no folder that can be written
        _use_temporary_folder()
        try:
            made = _kept(function)
        except RuntimeError:
            return cast(F, numba.njit(nogil=True)(function))
    if (cache := getattr(made, "_cache", None)) is not None:
        _mend_itself(cache)
    return cast(F, made)


def _kept(function: Callable[..., object]) -> Any:
    # Without the wrapper for C callers, which nobody here is: a twentieth of the time to compile
    compiled: Any = numba.njit  # whose types leave the last option out
    return compiled(cache=True, nogil=True, no_cfunc_wrapper=True)(function)


def _use_temporary_folder() -> None:
    """Let numba keep its files in a folder of this user alone: what it reads there, it runs."""
    if os.environ.get(_FOLDER):
        return
    user = getattr(os, "getuid", lambda: "")()
    folder = Path(tempfile.gettempdir()) / f"napari-hovernet-{user}"
    with suppress(OSError):
        folder.mkdir(mode=0o700, exist_ok=True)
    said = "the next start will be quick"
    if not _is_own(folder):
        folder, said = Path(tempfile.mkdtemp(prefix="napari-hovernet-")), "each start takes as long"
    os.environ[_FOLDER] = str(folder)
    numba.config.reload_config()  # type: ignore[no-untyped-call]
    _LOG.warning(
        "Neither the program's folder nor a home can be written: compiled code is kept in %s, and "
        "%s. Set %s to a folder of your own.", folder, said, _FOLDER,
    )  # fmt: skip


def _is_own(folder: Path) -> bool:
    """Whether a folder, no link, is this user's and nobody else can write there."""
    try:
        found = os.lstat(folder)
    except OSError:
        return False
    mine = not hasattr(os, "getuid") or (found.st_uid == os.getuid() and not found.st_mode & 0o077)
    return stat.S_ISDIR(found.st_mode) and mine


def _mend_itself(cache: Any) -> None:
    """Compile anew where what is kept is damaged (a power cut, a full disk), and replace it."""
    load, save = cache.load_overload, cache.save_overload

    def loaded(*given: Any) -> Any:
        try:
            return load(*given)
        except Exception:
            with suppress(Exception):
                cache.flush()
            return None

    def saved(*given: Any) -> None:
        try:
            save(*given)
        except Exception:
            with suppress(Exception):
                cache.flush()

    cache.load_overload, cache.save_overload = loaded, saved
