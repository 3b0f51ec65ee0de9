"""Free memory: what the system says, and what a container leaves of it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from napari_hovernet.core.inference import devices as memory

KIB = 1024
linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/meminfo")


@pytest.fixture
def meminfo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "meminfo"
    path.write_text("MemTotal: 9000 kB\nMemFree: 10 kB\nMemAvailable: 5000 kB\n")
    monkeypatch.setattr(memory, "_MEMINFO", path)
    monkeypatch.setattr(memory, "_CGROUPS", ())
    return path


def group(folder: Path, limit: str, used: str) -> tuple[Path, Path]:
    paths = folder / "limit", folder / "used"
    for path, text in zip(paths, (limit, used), strict=True):
        path.write_text(f"{text}\n")
    return paths


def test_it_is_more_than_nothing_and_less_than_absurd() -> None:
    assert 2**20 < memory.free_memory() < 2**50


@linux
def test_what_is_available_counts_not_what_is_unused(meminfo: Path) -> None:
    assert memory.free_memory() == 5000 * KIB


@linux
@pytest.mark.parametrize(
    ("limit", "used", "free"),
    [
        (str(3000 * KIB), str(1000 * KIB), 2000 * KIB),
        (str(90_000 * KIB), "0", 5000 * KIB),
        ("max", "0", 5000 * KIB),
        ("1000", "2000", 1),
    ],
)
def test_a_container_s_limit_counts_where_it_is_less(
    meminfo: Path, monkeypatch: pytest.MonkeyPatch, limit: str, used: str, free: int
) -> None:
    groups = (group(meminfo.parent, limit, used), (Path("/none"), Path("/none")))
    monkeypatch.setattr(memory, "_CGROUPS", groups)
    assert memory.free_memory() == free


@linux
def test_an_old_kernel_that_does_not_say_gives_a_share_of_all(meminfo: Path) -> None:
    meminfo.write_text("MemTotal: 9000 kB\n")
    assert memory.free_memory() > 2**20
