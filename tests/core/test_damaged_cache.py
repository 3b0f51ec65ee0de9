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
