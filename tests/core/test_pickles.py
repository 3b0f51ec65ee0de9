"""Pickles that would run code, never end or fill the memory are known before they are read."""

import io
import os
import pickle
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from napari_hovernet.core.checkpoint import load_model
from napari_hovernet.core.pickles import read_plain, scan
from napari_hovernet.errors import CheckpointError, InputError

from ..refusals import refuses


def doubled(times: int) -> Any:
    value: Any = 1
    for _ in range(times):
        value = (value, value)
    return value


def nested(times: int) -> bytes:
    return b"\x80\x02" + b"]" * times + b"a" * (times - 1) + b"."


def circle() -> list[Any]:
    found: list[Any] = []
    found.append(found)
    return found


class Runs:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch ran",)


BOMBS = {
    "shared": pickle.dumps({"args": doubled(60)}, 2),
    "hashed": pickle.dumps([doubled(58)], 2).replace(b"]", b"]", 1),
    "deep": nested(500),
    "circle": pickle.dumps(circle(), 2),
    "bytearray": b"\x80\x02cbuiltins\nbytearray\nJ\x00\x00\x00\x7f\x85R.",
    "memo": b"\x80\x02Nr\xff\xff\xff\x7f.",
    "claim": b"\x80\x02X\xff\xff\xff\x7fabc.",
    "long": b"\x80\x02\x8b\xff\xff\xff\x7f.",
    "cut": b"\x80\x02]",
    "nothing": b"\x80\x02.",
}


@pytest.mark.parametrize("name", BOMBS)
@pytest.mark.parametrize("zipped", [True, False])
def test_a_bomb_is_refused_at_once(tmp_path: Path, name: str, zipped: bool) -> None:
    path = tmp_path / "m.pth"
    if zipped:
        torch.save({}, path)
        with torch.serialization.safe_globals([]):
            with zipfile.ZipFile(path) as old:
                entries = {n: old.read(n) for n in old.namelist()}
            with zipfile.ZipFile(path, "w") as new:
                for entry, data in entries.items():
                    new.writestr(entry, BOMBS[name] if entry.endswith("data.pkl") else data)
    else:
        path.write_bytes(BOMBS[name] + bytes(64))
    began = time.process_time()
    said = refuses(r"m\.pth", load_model, path, by=CheckpointError)
    assert "\n" not in said and time.process_time() - began < 5


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_arrays_and_plain_values_are_read_without_running_anything(protocol: int) -> None:
    given = {
        "masks": np.arange(12, dtype=np.uint16).reshape(3, 4),
        "turned": np.asfortranarray(np.eye(3, 4, dtype=np.float32)),
        "flows": [np.zeros((2, 3)), None],
        "diameter": np.float64(3.5),
        "name": "a.png",
    }
    found = read_plain(io.BytesIO(pickle.dumps(given, protocol)))
    assert list(found) == list(given)
    np.testing.assert_array_equal(found["masks"], given["masks"])
    np.testing.assert_array_equal(found["turned"], given["turned"])
    assert found["diameter"] == 3.5 and found["name"] == "a.png"
    with pytest.raises(InputError, match="which is no plain value"):
        read_plain(io.BytesIO(pickle.dumps({"x": Runs()}, protocol)))


def test_a_pickle_as_torch_writes_it_passes(tmp_path: Path) -> None:
    weights = {f"{i}.weight": torch.zeros(3, 3) for i in range(5)}
    torch.save(weights, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    with (tmp_path / "old.pth").open("rb") as file:
        assert scan(file, 5).storage == 45


CODE = """
import numba, numpy
from napari_hovernet.core.types import kernel
from loops import loop
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


def ran(folder: Path, code: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run code beside the module ``loops`` in a process of its own."""
    (folder / "loops.py").write_text(LOOP)
    source = str(Path(__file__).resolve().parents[2] / "src")
    about = {**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{source}", **variables}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, env=about, capture_output=True, text=True, check=True)


@pytest.mark.parametrize("damage", [b"", b"\0" * 64, b"\x80\x04cut"])
def test_a_damaged_file_of_numba_s_cache_is_made_anew(tmp_path: Path, damage: bytes) -> None:
    def run() -> str:
        return ran(tmp_path, CODE, NUMBA_CACHE_DIR=str(tmp_path / "cache")).stdout.strip()

    def kept() -> dict[Path, bytes]:
        return {p: p.read_bytes() for p in (tmp_path / "cache").rglob("*.nb?")}

    assert run() == "6"
    whole = kept()
    assert whole
    for path in whole:
        path.write_bytes(damage)
    assert run() == "6" and all(len(data) > 100 for data in kept().values())


@pytest.mark.parametrize("taken", [False, True], ids=["free", "open to others"])
def test_without_a_home_compiled_code_is_kept_for_this_user_alone(tmp_path, taken) -> None:
    folder = tmp_path / f"napari-hovernet-{os.getuid() if hasattr(os, 'getuid') else ''}"
    if taken:  # by someone who would have us run what is in it
        folder.mkdir()
        folder.chmod(0o777)
    at = str(tmp_path)
    done = ran(tmp_path, NO_HOME + CODE, TMPDIR=at, TEMP=at, NUMBA_CACHE_DIR="")
    assert (done.stdout.strip(), done.stderr.count("compiled code is kept in")) == ("6", 1)
    assert "NUMBA_CACHE_DIR" in done.stderr and any(folder.rglob("loops*.nbi")) is not taken
