"""Whole files or none."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from napari_hovernet.core.io import files as atomic
from napari_hovernet.core.io.files import atomic_path, output_error, put_in_place, writable_folder
from napari_hovernet.errors import OutputError

DISK_BYTES = 65_536
NOBODY = 65_534
"""User id without rights; root may write everywhere and cannot test permissions."""
READABLE = 0o555


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 64 KiB, where this account may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = shutil.which("mount")
    if mount is None or os.geteuid() != 0:
        pytest.skip("only root may mount a tiny disk")
    options = ["-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(folder)]
    if subprocess.run([mount, *options], capture_output=True, check=False).returncode:
        pytest.skip("this system does not let a tiny disk be mounted")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_writes_the_whole_file_and_leaves_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "result.csv"
    with atomic_path(target) as temporary:
        temporary.write_text("a,b\n")
        assert temporary.parent == target.parent
        assert not target.exists()
    assert target.read_text() == "a,b\n"
    assert os.listdir(tmp_path) == ["result.csv"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, GeneratorExit, MemoryError])
def test_any_error_keeps_the_old_file_and_removes_the_new(
    tmp_path: Path, error: type[BaseException]
) -> None:
    target = tmp_path / "result.csv"
    target.write_text("old")
    with pytest.raises(error), atomic_path(target) as temporary:
        temporary.write_text("half")
        raise error
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["result.csv"]


def test_a_full_disk_says_so_and_leaves_nothing(tiny_disk: Path) -> None:
    target = tiny_disk / "labels.tif"
    said = r"labels\.tif: the disk is full: free some space"
    with pytest.raises(OutputError, match=said), atomic_path(target) as temporary:
        temporary.write_bytes(bytes(2 * DISK_BYTES))
    assert os.listdir(tiny_disk) == []


def test_a_disk_that_fills_while_flushing_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(atomic.os, "fsync", full)
    with pytest.raises(OutputError, match="the disk is full"), atomic_path(tmp_path / "x") as path:
        path.write_text("text")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("code", "remedy"),
    [
        (errno.EROFS, "the disk is read-only: choose another folder"),
        (errno.EACCES, "no permission: choose a folder you may write to"),
        (errno.EDQUOT, "your quota"),
        (errno.ENODEV, "No such device: choose another folder"),
    ],
)
def test_errors_name_path_and_remedy(code: int, remedy: str) -> None:
    message = str(output_error("out/a.csv", OSError(code, os.strerror(code))))
    assert message.startswith("Cannot write out/a.csv: ")
    assert remedy in message


@pytest.fixture
def read_only() -> Iterator[Path]:
    """A folder that this account may look into, but not write to."""
    if os.name != "posix":
        pytest.skip("permissions as POSIX has them")
    folder, root = Path(tempfile.mkdtemp()), os.geteuid() == 0
    folder.chmod(READABLE)
    try:
        if root:
            os.seteuid(NOBODY)
        yield folder
    finally:
        if root:
            os.seteuid(0)
        folder.chmod(stat.S_IRWXU)
        shutil.rmtree(folder)


def test_a_read_only_folder_is_refused(read_only: Path) -> None:
    assert os.listdir(read_only) == []
    with pytest.raises(OutputError, match="no permission"), atomic_path(read_only / "x"):
        pass
    for folder in (read_only, read_only / "new"):
        with pytest.raises(OutputError, match="no permission"):
            writable_folder(folder)
    assert os.listdir(read_only) == []


def test_a_missing_folder_and_a_folder_of_that_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="folder does not exist"), atomic_path(tmp_path / "a/b"):
        pass
    with pytest.raises(OutputError, match="there is a folder of this name"), atomic_path(tmp_path):
        pass
    assert os.listdir(tmp_path) == []


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("old")
    link.symlink_to(target)
    with atomic_path(link) as path:
        path.write_text("new")
    assert link.is_symlink()
    assert target.read_text() == "new"


def test_writable_folder_makes_it_and_leaves_it_empty(tmp_path: Path) -> None:
    folder = writable_folder(tmp_path / "a" / "b")
    assert folder.is_dir()
    assert os.listdir(folder) == []


def test_writable_folder_refuses_a_file_and_what_lies_below_one(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("x")
    for path in (file, file / "below"):
        with pytest.raises(OutputError, match="is a file, not a folder"):
            writable_folder(path)


def test_moves_are_all_or_none(tmp_path):
    aside = tmp_path / "aside"
    aside.mkdir()
    for name in ("a", "b"):
        (tmp_path / name).write_text(f"new {name}")
    (tmp_path / "x").write_text("old x")
    moves = [(tmp_path / "a", tmp_path / "x"), (tmp_path / "b", tmp_path / "no" / "y")]
    with pytest.raises(OSError):
        put_in_place(moves, aside)
    assert (tmp_path / "x").read_text() == "old x"
