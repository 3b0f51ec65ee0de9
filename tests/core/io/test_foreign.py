"""Files of nuclei that other programs write."""

from __future__ import annotations

import json
import pickle
import sqlite3
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_hovernet.core.io.open import read_labels
from napari_hovernet.errors import InputError

SHAPE = (20, 30)
EXPECTED = np.zeros(SHAPE, np.int32)
EXPECTED[2:8, 3:9], EXPECTED[10:15, 12:20] = 1, 2
SQUARES = ([[3, 2], [9, 2], [9, 8], [3, 8]], [[12, 10], [20, 10], [20, 15], [12, 15]])


def cellpose(path: Path) -> Path:
    content = {"masks": EXPECTED.astype(np.uint16), "flows": [np.zeros((2, 3)), None],
               "filename": "x.png", "diameter": np.float64(9.5)}  # fmt: skip
    np.save(path / "x_seg.npy", content, allow_pickle=True)
    return path / "x_seg.npy"


def imagescope(path: Path) -> Path:
    regions = "".join(
        f"<Region Id='{k}'><Vertices>{_vertices(s, 'Vertex')}</Vertices></Region>"
        for k, s in enumerate(SQUARES)
    )
    text = f"<Annotations MicronsPerPixel='0.25'><Annotation Id='1'><Regions>{regions}</Regions>"
    (path / "x.xml").write_text(text + "</Annotation></Annotations>")
    return path / "x.xml"


def _vertices(square: Any, name: str) -> str:
    return "".join(f"<{name} X='{x}' Y='{y}'/>" for x, y in square)


def asap(path: Path) -> Path:
    found = "".join(
        f"<Annotation PartOfGroup='tumour'><Coordinates>{_vertices(s, 'Coordinate')}</Coordinates>"
        "</Annotation>"
        for s in SQUARES
    )
    text = f"<?xml version='1.0'?><ASAP_Annotations><Annotations>{found}</Annotations>"
    (path / "x.xml").write_text(text + "</ASAP_Annotations>")
    return path / "x.xml"


def coco(path: Path) -> Path:
    found = [
        {"image_id": 7, "category_id": 3, "segmentation": [np.ravel(s).tolist()]} for s in SQUARES
    ]
    found.append({"image_id": 8, "category_id": 3, "segmentation": [np.ravel(SQUARES[0]).tolist()]})
    images = [{"id": 7, "file_name": "im/x.png"}, {"id": 8, "file_name": "y.png"}]
    _dump(path / "x.json", {"images": images, "annotations": found,
                            "categories": [{"id": 3, "name": "nucleus"}]})  # fmt: skip
    return path / "x.json"


def coco_runs(path: Path) -> Path:
    found = []
    for k in (1, 2):
        flat = (k == EXPECTED).T.ravel()
        edges = np.flatnonzero(np.diff(np.concatenate([[False], flat, [False]]).astype(int)))
        runs = np.diff(np.concatenate([[0], edges, [flat.size]]))
        counts: Any = runs.tolist() if k == 1 else _compressed(runs)
        found.append({"segmentation": {"size": list(SHAPE), "counts": counts}})
    _dump(path / "x.json", {"images": [], "annotations": found})
    return path / "x.json"


def _compressed(runs: np.ndarray) -> str:
    """As pycocotools writes run lengths."""
    text = ""
    for i, run in enumerate(runs.tolist()):
        value, more = run - (runs[i - 2] if i > 2 else 0), True
        while more:
            bits = value & 31
            value >>= 5
            more = value != -1 if bits & 16 else value != 0
            text += chr((bits | (32 if more else 0)) + 48)
    return text


def cellvit(path: Path) -> Path:
    cells = [{"contour": (np.array(s) - 0.5).tolist(), "type": 1, "type_prob": 0.5}
             for s in SQUARES]  # fmt: skip
    _dump(path / "x.json", {"wsi_metadata": {}, "type_map": {"0": "b", "1": "neoplastic"},
                            "cells": cells})  # fmt: skip
    return path / "x.json"


def tiatoolbox(path: Path) -> Path:
    cells = {f"{k:032x}": {"box": [0, 0, 1, 1], "contour": (np.array(s) - 0.5).tolist(), "type": 1}
             for k, s in enumerate(SQUARES)}  # fmt: skip
    _dump(path / "x.json", cells)
    return path / "x.json"


def store(path: Path) -> Path:
    with sqlite3.connect(path / "x.db") as db:
        db.execute("CREATE TABLE annotations(id INTEGER, geometry BLOB, properties TEXT)")
        for k, square in enumerate(SQUARES):
            ring = np.array([*square, square[0]], "<f8")
            data = struct.pack("<BIII", 1, 3, 1, len(ring)) + ring.tobytes()
            data = zlib.compress(data) if k else data
            db.execute("INSERT INTO annotations VALUES(?, ?, ?)", (k, data, '{"type": "tumour"}'))
    db.close()
    return path / "x.db"


def _dump(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content))


MAKERS = [cellpose, imagescope, asap, coco, coco_runs, cellvit, tiatoolbox, store]
TYPED = {asap: 1, coco: 1, cellvit: 1, tiatoolbox: 1, store: 1}


@pytest.mark.parametrize("make", MAKERS)
def test_each_is_read_with_its_types(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    found = read_labels(make(tmp_path), SHAPE, "x")
    np.testing.assert_array_equal(found.labels, EXPECTED)
    assert set(found.type.tolist()) == {TYPED.get(make, 0)}


@pytest.mark.parametrize("make", [coco, cellvit])
def test_large_ones_are_known_by_their_first_bytes(
    tmp_path: Path, make: Callable[[Path], Path]
) -> None:
    """The list of images, or what is said of the slide, may fill all that is looked at."""
    path = make(tmp_path)
    content = json.loads(path.read_text())
    many = [{"id": 100 + k, "file_name": f"other_{k}.png"} for k in range(20_000)]
    padded = {"images": content.pop("images") + many} if "images" in content else {
        "wsi_metadata": {"slide": "s" * 500_000}}  # fmt: skip
    path.write_text(json.dumps({**padded, **content}))
    np.testing.assert_array_equal(read_labels(path, SHAPE, "x").labels, EXPECTED)


@pytest.mark.parametrize("make", MAKERS)
def test_each_cut_off_or_damaged_is_read_or_refused(
    tmp_path: Path, make: Callable[[Path], Path]
) -> None:
    path = make(tmp_path)
    whole, rng = path.read_bytes(), np.random.default_rng(0)
    for trial in range(30):
        data = bytearray(whole)
        for at in rng.integers(0, len(data), 6):
            data[at] = rng.integers(0, 256)
        path.write_bytes(data[: rng.integers(1, len(data))] if trial % 2 else data)
        try:
            read_labels(path, SHAPE, "x")
        except InputError as error:
            assert path.name in str(error)
            assert str(error).isprintable()


def test_code_in_cellpose_s_file_is_never_run(tmp_path: Path) -> None:
    class Runs:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "ran",)

    content = np.array({"masks": Runs()}, dtype=object)
    np.save(tmp_path / "x_seg.npy", content, allow_pickle=True)
    with pytest.raises(InputError, match="no plain value"):
        read_labels(tmp_path / "x_seg.npy")
    assert not (tmp_path / "ran").exists()
    assert pickle.dumps(0)


def test_an_xml_bomb_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.xml").write_text('<!DOCTYPE a [<!ENTITY b "c">]><Annotations/>')
    with pytest.raises(InputError, match="defines entities"):
        read_labels(tmp_path / "x.xml", SHAPE)


def test_a_zip_of_other_things_is_no_region(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("a.txt", "")
    with pytest.raises(InputError, match=r"x\.zip"):
        read_labels(tmp_path / "x.zip", SHAPE)
