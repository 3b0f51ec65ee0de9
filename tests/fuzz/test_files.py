"""Images that are damaged or claim too much."""

import io
import json
import os
import pickle
import zipfile
import zlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from napari_hovernet.core.checkpoint import load_model, save_model
from napari_hovernet.core.data.pairs import DataChoice, read_index
from napari_hovernet.core.io import FORMATS
from napari_hovernet.core.io.files import read_params
from napari_hovernet.core.io.open import read_image, read_labels
from napari_hovernet.core.io.tables import read_table
from napari_hovernet.core.measure.nuclei import measure
from napari_hovernet.core.networks.registry import build
from napari_hovernet.core.types import Model, ModelInfo
from napari_hovernet.errors import CheckpointError

from ..refusals import refuses
from .conftest import Rng, damaged

pytestmark = pytest.mark.filterwarnings("ignore")
RGB = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)


def sound(rng: Rng) -> tuple[str, bytes]:
    """One image file of any kind."""
    kind = int(rng.integers(0, 8))
    buffer = io.BytesIO()
    if kind < 3:
        mode = ("RGB", "LA", "P")[kind]
        Image.fromarray(RGB).convert(mode).save(buffer, "PNG", dpi=(300, 300))
        return "png", buffer.getvalue()
    if kind == 3:
        Image.fromarray(RGB).save(buffer, "JPEG")
        return "jpg", buffer.getvalue()
    if kind == 4:
        Image.fromarray(RGB[..., 0].astype(np.uint16) * 257).save(buffer, "PNG")
        return "png", buffer.getvalue()
    more = ({"tile": (32, 32)}, {"compression": "zlib"}, {"rowsperstrip": 7})[kind - 5]
    ome = kind == 6
    tifffile.imwrite(buffer, RGB, photometric="rgb", ome=ome, **more)
    return ("ome.tif" if ome else "tif"), buffer.getvalue()


def test_600_images(tries, tmp_path: Path) -> None:
    def attack(rng: Rng) -> str | None:
        suffix, data = sound(rng)
        path = tmp_path / f"a.{suffix}"
        if suffix == "png" and rng.integers(0, 2):
            chunk = bytes(rng.choice([*b"tEXtzTXtiTXtiCCPpHYstRNSPLTE"], 4))
            bomb = zlib.compress(bytes(2 ** int(rng.integers(1, 24))))
            body = chunk + rng.bytes(4) + b"\0\0" + bomb
            made = (len(body) - 4).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")
            data = data[:33] + made + data[33:]
        path.write_bytes(damaged(data, rng))
        source = read_image(path).source
        height, width = source.shape
        pixels = source.read(0, min(height, 512), 0, min(width, 512))
        return None if pixels.dtype == np.uint8 and pixels.shape[2] == 3 else "wrong"

    tries(attack, 600)


def special(path: Path, kind: str) -> Path:
    """Make something that is no file to read: endless, huge, or none at all."""
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "device":
        return Path("/dev/zero")
    else:
        with path.open("wb") as file:
            file.truncate(200 * 10**9)
    return path


@pytest.mark.parametrize("kind", ["pipe", "device", "sparse", "folder"])
def test_what_is_no_file_is_refused_at_once(tmp_path: Path, kind: str) -> None:
    words = r"pipe|device|folder|GiB"
    refuses(words, load_model, special(tmp_path / "m.pth", kind), by=CheckpointError)
    refuses("", read_image, special(tmp_path / "a.png", kind))
    for suffix in (".geojson", ".npy", ".mat", ".tif", ".zip", ".xml", ".csv"):
        if kind in ("pipe", "sparse"):
            path = special(tmp_path / f"a{suffix}", kind)
            refuses("", read_table if suffix == ".csv" else read_labels, path)


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


LABELS = np.zeros((40, 50), np.int32)
for k in range(12):
    LABELS[3 * k : 3 * k + 3, 4 * k : 4 * k + 4] = k + 1
VALUES: list[Any] = [
    None, True, -1, 0, 2**31, 2**63, 1e308, "", "x\x1b[2J\n<img src=x>", [], {}, [[]], [1, 2],
    [[0, 0], [1, 1]], {"type": "Polygon"}, "9" * 400,
]  # fmt: skip


def edited(value: Any, rng: Rng) -> Any:
    """Put something odd somewhere into JSON."""
    if isinstance(value, dict) and value and rng.random() < 0.9:
        key = list(value)[int(rng.integers(0, len(value)))]
        return {**value, key: edited(value[key], rng)}
    if isinstance(value, list) and value and rng.random() < 0.9:
        at = int(rng.integers(0, len(value)))
        return [*value[:at], edited(value[at], rng), *value[at + 1 :]]
    return VALUES[int(rng.integers(0, len(VALUES)))]


def test_800_result_files(tries, tmp_path: Path) -> None:
    result = SimpleNamespace(labels=LABELS, nuclei=measure(LABELS), offset=(0, 0), mpp=0.25)
    sound = {}
    for name, kind in FORMATS.items():
        path = tmp_path / f"sound{kind.ending}"
        kind.write(path, result, {"id": "a"})
        sound[name] = path.read_bytes()
    index = b"image,label,mpp,split\nsound_labels.tif,sound_labels.tif,0.25,train\n"

    def attack(rng: Rng) -> str | None:
        name = list(sound)[int(rng.integers(0, len(sound)))]
        path = tmp_path / f"x{FORMATS[name].ending}"
        if name.endswith("json") and rng.integers(0, 2):
            path.write_text(json.dumps(edited(json.loads(sound[name]), rng)))
        else:
            path.write_bytes(damaged(sound[name], rng))
        if rng.integers(0, 8) == 0:
            (tmp_path / "index.csv").write_bytes(damaged(index, rng))
            read_index(tmp_path / "index.csv", DataChoice())
        elif name == "csv":
            read_table(path)
        elif rng.integers(0, 8) == 0:
            read_params(path)
        else:
            found = read_labels(path, LABELS.shape)
            return None if len(found.ids) == len(found.type) else "wrong"
        return None

    tries(attack, 800)
