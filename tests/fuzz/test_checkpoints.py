"""Checkpoints that are damaged or made to harm."""

from __future__ import annotations

import io
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from napari_hovernet.core.checkpoint import load_model, save_model
from napari_hovernet.core.networks.registry import build
from napari_hovernet.core.types import Model, ModelInfo

from .conftest import Rng, damaged

pytestmark = pytest.mark.filterwarnings("ignore")
torch.manual_seed(0)
NETWORK = build("compact", {"widths": [4, 8]}).eval()
STATE = NETWORK.state_dict()


class Runs:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.path}",)


def saved(content: Any, zipped: bool) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer, _use_new_zipfile_serialization=zipped)
    return buffer.getvalue()


def hostile(rng: Rng, folder: Path) -> Any:
    """Content that is no model, or a model with something hostile in it."""
    doubled: Any = 1
    for _ in range(int(rng.integers(1, 70))):
        doubled = (doubled, doubled)
    deep: Any = []
    for _ in range(int(rng.integers(1, 200))):
        deep = [deep]
    name = str(rng.choice(list(STATE)))
    state = dict(STATE)
    things: list[Any] = [
        Runs(folder / "ran"), doubled, deep, {"args": doubled}, [state], None, 3, "text\x1b[31m",
        {"model": {**state, "evil\n\x1b[2J": torch.zeros(1)}},
        {**state, name: state[name].to_sparse()}, {**state, name: state[name].double()},
        {**state, name: torch.full_like(state[name].float(), float("nan"))},
        {**state, name: torch.full_like(state[name].float(), 1e20)},
        {**state, name: torch.zeros((3,) * int(rng.integers(1, 6)))},
        {**state, name: torch.zeros(1).expand(2**40)}, {**state, name: state[name].to("meta")},
        {**state, name: torch.nested.nested_tensor([torch.zeros(2), torch.zeros(3)])},
        {k: v for k, v in state.items() if k != name}, {f"x.{k}": v for k, v in state.items()},
        {"state_dict": state, "history": deep, "args": {"a": doubled}},
    ]  # fmt: skip
    return things[int(rng.integers(0, len(things)))]


def hostile_pickle(rng: Rng) -> bytes:
    """Opcodes at random, or known bombs."""
    bombs = [
        b"\x80\x02cbuiltins\nbytearray\nJ\x00\x00\x00\x7f\x85R.",
        b"\x80\x02Nr\xff\xff\xff\x7f.",
        b"\x80\x02X\xff\xff\xff\x7fabc.",
        b"\x80\x02]" + b"q\x00h\x00\x86" * 60 + b".",
        b"\x80\x02K\x01" + b"2\x86" * 60 + b"}K\x00s.",
        b"\x80\x02" + b"]" * 500 + b"a" * 499 + b".",
    ]
    if rng.integers(0, 2):
        return bombs[int(rng.integers(0, len(bombs)))]
    codes = b"(.0125678FIJKLMNQRSTUVX]^_`abcdefghijklmnopqrstu}\x80\x81\x85\x86\x87\x88\x89"
    return b"\x80\x02" + bytes(rng.choice(list(codes), int(rng.integers(1, 300)))) + b"."


def test_2000_checkpoints(tries, tmp_path: Path) -> None:
    sound = tmp_path / "sound.safetensors"
    save_model(Model(NETWORK, ModelInfo("compact"), torch.device("cpu")), sound)
    own, bodies = sound.read_bytes(), [saved(dict(STATE), zipped) for zipped in (True, False)]
    path = tmp_path / "m.pth"

    def attack(rng: Rng) -> str | None:
        kind = rng.integers(0, 5)
        if kind == 0:
            data = damaged(own, rng)
        elif kind == 1:
            data = damaged(bodies[int(rng.integers(0, 2))], rng)
        elif kind == 2:
            with np.errstate(all="ignore"):
                data = saved_or_plain(hostile(rng, tmp_path), bool(rng.integers(0, 2)))
        elif kind == 3:
            data = with_pickle(bodies[0], hostile_pickle(rng))
        else:
            data = hostile_pickle(rng) + rng.bytes(int(rng.integers(0, 99)))
        path.write_bytes(data)
        model = load_model(path, "cpu")
        same = all(torch.equal(v, STATE[k]) for k, v in model.network.state_dict().items())
        finite = all(bool(v.isfinite().all()) for v in model.network.state_dict().values())
        # what has no checksum (plain torch files) may hold any numbers that can be computed with
        return "right" if same or (kind and finite) else "wrong"

    tries(attack, 2000)


def saved_or_plain(content: Any, zipped: bool) -> bytes:
    try:
        return saved(content, zipped)
    except (RuntimeError, RecursionError, NotImplementedError, pickle.PicklingError):
        return saved({}, zipped)


def with_pickle(body: bytes, data: bytes) -> bytes:
    """Put another pickle into a file of torch."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(body)) as old, zipfile.ZipFile(buffer, "w") as new:
        for name in old.namelist():
            new.writestr(name, data if name.endswith("data.pkl") else old.read(name))
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["pipe", "device", "sparse", "folder"])
def test_what_is_no_file_is_refused_at_once(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "m.pth"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path = Path("/dev/zero")
    elif kind == "folder":
        path.mkdir()
    else:
        with path.open("wb") as file:
            file.truncate(200 * 10**9)
    with pytest.raises(Exception, match=r"pipe|device|folder|GiB") as refused:
        load_model(path)
    assert type(refused.value).__name__ == "CheckpointError"
