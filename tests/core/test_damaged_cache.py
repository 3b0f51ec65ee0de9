"""Compiled loops are kept on the disk; what is damaged there is made anew by itself."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

CODE = """
import numba, numpy
from napari_hovernet.core.types import kernel
from {module} import loop
print(loop(numpy.arange(4)))
"""
LOOP = """
from napari_hovernet.core.types import kernel

@kernel
def loop(values):
    total = 0
    for value in values:
        total += value
    return total
"""

NO_HOME = """
from numba.core import caching
import os, tempfile
usual = caching._CacheLocator.ensure_cache_path

def ensure(self):
    if not self.get_cache_path().startswith(tempfile.gettempdir() + os.sep + "napari-hovernet-"):
        raise OSError("a disk that cannot be written")
    usual(self)

caching._CacheLocator.ensure_cache_path = ensure
"""


@pytest.mark.parametrize("damage", [b"", b"\0" * 64, b"\x80\x04cut"])
def test_a_damaged_file_of_numba_s_cache_is_made_anew(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "loops.py").write_text(LOOP)
    source = str(Path(__file__).resolve().parents[2] / "src")
    about = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{source}",
             "NUMBA_CACHE_DIR": str(tmp_path / "cache")}  # fmt: skip
    command = [sys.executable, "-c", CODE.format(module="loops")]

    def run() -> str:
        done = subprocess.run(command, env=about, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    def kept() -> dict[Path, bytes]:
        return {p: p.read_bytes() for p in (tmp_path / "cache").rglob("*.nb?")}

    assert run() == "6"
    whole = kept()
    assert whole
    for path in whole:
        path.write_bytes(damage)
    assert run() == "6"
    assert all(len(data) > 100 for data in kept().values())


@pytest.mark.parametrize("taken", [False, True], ids=["free", "open to others"])
def test_without_a_home_compiled_code_is_kept_for_this_user_alone(
    tmp_path: Path, taken: bool
) -> None:
    (tmp_path / "loops.py").write_text(LOOP)
    folder = tmp_path / f"napari-hovernet-{os.getuid() if hasattr(os, 'getuid') else ''}"
    if taken:  # by someone who would have us run what is in it
        folder.mkdir()
        folder.chmod(0o777)
    source = str(Path(__file__).resolve().parents[2] / "src")
    about = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{source}", "TMPDIR": str(tmp_path),
             "TEMP": str(tmp_path), "NUMBA_CACHE_DIR": ""}  # fmt: skip
    command = [sys.executable, "-c", NO_HOME + CODE.format(module="loops")]
    done = subprocess.run(command, env=about, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "6"
    assert done.stderr.count("compiled code is kept in") == 1
    assert "NUMBA_CACHE_DIR" in done.stderr
    assert any(folder.rglob("loops*.nbi")) is not taken
