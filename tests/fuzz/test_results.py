"""Label and result files that are damaged or made to harm."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from napari_hovernet.core.data.pairs import DataChoice, read_index
from napari_hovernet.core.io import FORMATS
from napari_hovernet.core.io.files import read_params
from napari_hovernet.core.io.open import read_labels
from napari_hovernet.core.io.tables import read_table
from napari_hovernet.core.measure.nuclei import measure
from napari_hovernet.errors import InputError

from .conftest import Rng, damaged

pytestmark = pytest.mark.filterwarnings("ignore")
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


@pytest.mark.parametrize("suffix", [".geojson", ".npy", ".mat", ".tif", ".zip", ".xml", ".csv"])
@pytest.mark.parametrize("kind", ["pipe", "sparse"])
def test_what_is_no_label_file_is_refused_at_once(tmp_path: Path, suffix: str, kind: str) -> None:
    path = tmp_path / f"a{suffix}"
    if kind == "pipe":
        os.mkfifo(path)
    else:
        with path.open("wb") as file:
            file.truncate(200 * 10**9)
    with pytest.raises(InputError):
        read_table(path) if suffix == ".csv" else read_labels(path, (8, 8))
