"""Whole files or none: write beside the target, then put it in place in one step."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from ...errors import OutputError

TEMPORARY_PREFIX = ".napari-hovernet-"
"""Files of this name beside a result are left over from a killed process; delete them."""

_REMEDIES = {
    errno.ENOSPC: "the disk is full: free some space or choose another folder",
    errno.EDQUOT: "your quota on this disk is used up: free some space or choose another folder",
    errno.EFBIG: "the file would be larger than this disk or account allows: choose another disk",
    errno.EACCES: "no permission: choose a folder you may write to",
    errno.EPERM: "no permission: choose a folder you may write to",
    errno.EROFS: "the disk is read-only: choose another folder",
    errno.ENOENT: "the folder does not exist: create it first",
    errno.ENOTDIR: "part of this path is a file, not a folder: choose another path",
    errno.EISDIR: "there is a folder of this name: choose another name",
    errno.EEXIST: "there is a file of this name: choose another name",
    errno.ENAMETOOLONG: "the name is too long for this disk: choose a shorter one",
    errno.EIO: "the disk reports a fault: choose another disk",
}


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path to write to; on success it takes the place of ``path``.

    The temporary file lies in the same folder. It is flushed to the disk and renamed
    when the block ends; if the block raises anything, a cancel or Ctrl-C included, it is
    removed and what was at ``path`` before stays as it was. A symbolic link is followed.

    Parameters
    ----------
    path : path
        Where the finished file shall be.

    Yields
    ------
    Path
        Where to write. Its name has no useful ending: tell the writer the format.

    Raises
    ------
    OutputError
        For any :class:`OSError` of the block or of the renaming, naming path and remedy.

    Examples
    --------
    >>> import tempfile
    >>> target = Path(tempfile.mkdtemp()) / "note.txt"
    >>> with atomic_path(target) as temporary:
    ...     _ = temporary.write_text("whole")
    >>> target.read_text()
    'whole'
    """
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f"{TEMPORARY_PREFIX}{secrets.token_hex(6)}.tmp")
    try:
        if target.is_dir():
            raise IsADirectoryError(errno.EISDIR, "is a folder")
        temporary.touch(exist_ok=False)
        yield temporary
        _flush(temporary)
        os.replace(temporary, target)
        _flush_folder(target.parent)
    except OSError as error:
        raise output_error(path, error) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def output_error(path: str | os.PathLike[str], error: OSError) -> OutputError:
    """Say in one line why ``path`` cannot be written and what to do.

    Examples
    --------
    >>> str(output_error("a.csv", OSError(errno.ENOSPC, "")))
    'Cannot write a.csv: the disk is full: free some space or choose another folder.'
    """
    system = error.strerror or str(error) or type(error).__name__
    reason = _REMEDIES.get(error.errno or 0, f"{system}: choose another folder")
    return OutputError(f"Cannot write {os.fspath(path)}: {reason}.")


def writable_folder(folder: str | os.PathLike[str]) -> Path:
    """Make sure that ``folder`` exists and takes files; creates it where needed.

    Raises
    ------
    OutputError
        If it cannot be made or written to.
    """
    path = Path(folder)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        wrong_kind = NotADirectoryError(errno.ENOTDIR, "not a folder")
        raise output_error(folder, wrong_kind) from error
    except OSError as error:
        raise output_error(folder, error) from error
    probe = path / f"{TEMPORARY_PREFIX}{secrets.token_hex(6)}.tmp"
    try:
        probe.touch(exist_ok=False)
    except OSError as error:
        raise output_error(folder, error) from error
    finally:
        with suppress(OSError):
            probe.unlink(missing_ok=True)
    return path


def put_in_place(moves: Sequence[tuple[Path, Path]], aside: Path) -> None:
    """Move every file to its target, or, if one cannot be moved, leave all targets as before.

    Parameters
    ----------
    moves : sequence of (Path, Path)
        What, and where to; on one disk.
    aside : Path
        An empty folder for copies of what is replaced.

    Raises
    ------
    OSError
        If a file cannot be moved.
    """
    undo: list[tuple[Path, Path | None]] = []
    try:
        for number, (source, target) in enumerate(moves):
            before = aside / f"{number}.before" if target.exists() else None
            if before is not None:
                shutil.copy2(target, before)
            os.replace(source, target)
            undo.append((target, before))
    except BaseException:
        for target, before in reversed(undo):
            if before is None:
                target.unlink(missing_ok=True)
            else:
                os.replace(before, target)
        raise


def _flush(path: Path) -> None:
    with open(path, "rb+") as file:
        os.fsync(file.fileno())


def _flush_folder(folder: Path) -> None:
    """Make the new name survive a power cut; not every system lets a folder be flushed."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
